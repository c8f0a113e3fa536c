package main

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// dashboard shows at a glance who gets in, how quickly, and what waits.
func dashboard(stack awscdk.Stack, c Config, data *DataStack, s *ServiceStack) {
	board := awscloudwatch.NewDashboard(stack, text("Dashboard"), &awscloudwatch.DashboardProps{
		DashboardName: text(s.config.Name + "-" + s.config.Region), DefaultInterval: awscdk.Duration_Days(number(1)),
	})
	board.AddWidgets(
		graph("Sign-ins by outcome and method", signIns(c)...),
		graph("Latency, p50", latencies(s, "p50")...),
		graph("Latency, p99", latencies(s, "p99")...),
	)
	board.AddWidgets(
		coldStarts(c),
		graph("4xx by code", problems(c)...),
		graph("Conflicts, and units per verification", append(unitsPerVerification(c), c.ours(api.MetricConflicts))...),
	)
	board.AddWidgets(
		graph("Locks", c.event("locked"), c.event("suspended"), c.event("unlocked")),
		graph("Resets by state", waiting(c)...),
		graph("Oldest review, in seconds", by(c.ours(api.MetricOldestReview), "Maximum", 5*time.Minute)),
	)
	board.AddWidgets(
		graph("Iterator age", by(c.lambda("notify", "IteratorAge"), "Maximum", time.Minute)),
		graph("Queue depth", depth(c, mailQueue), depth(c, unsentQueue), depth(c, lostQueue)),
		graph("Mail sent and bounced", mails(c)...),
	)
	board.AddWidgets(
		graph("KMS", kms(), c.ours(api.MetricUnopened), c.ours(api.MetricKeysetFailures)),
		graph("Concurrency", concurrency(c)...),
		graph("Tables: units", units(data)...),
	)
	board.AddWidgets(graph("Failures by function", failures(c)...))
}

func graph(title string, metrics ...awscloudwatch.IMetric) awscloudwatch.IWidget {
	return awscloudwatch.NewGraphWidget(&awscloudwatch.GraphWidgetProps{
		Title: &title, Left: &metrics, Width: number(8), Height: number(6), LiveData: yes(),
	})
}

func signIns(c Config) []awscloudwatch.IMetric {
	var all []awscloudwatch.IMetric
	for _, of := range []struct{ outcome, method string }{
		{"success", "totp"}, {"success", "backup_code"}, {"success", "reset_link"}, {"failure", "totp"}, {"failure", "backup_code"}, {"failure", "reset_link"},
	} {
		all = append(all, labelled(c.outcome("login", of.outcome, of.method), of.outcome+", "+of.method))
	}
	return all
}

func latencies(s *ServiceStack, statistic string) []awscloudwatch.IMetric {
	var all []awscloudwatch.IMetric
	for _, r := range api.Routes() {
		all = append(all, labelled(by(routeLatency(s, r.Method, r.Path), statistic, 5*time.Minute), r.Key()))
	}
	return all
}

// coldStarts reads them from what Lambda writes into the logs: there is no metric of them.
func coldStarts(c Config) awscloudwatch.IWidget {
	var groups []*string
	for _, f := range functions() {
		if len(f.Routes()) > 0 {
			groups = append(groups, text(c.logOf(f)))
		}
	}
	return awscloudwatch.NewLogQueryWidget(&awscloudwatch.LogQueryWidgetProps{
		Title: text("Cold starts by function"), LogGroupNames: &groups, Width: number(8), Height: number(6),
		View: awscloudwatch.LogQueryVisualizationType_TABLE,
		QueryLines: texts(
			`filter @type = "REPORT"`,
			`parse @log "*:/aws/lambda/*" as account, function`,
			`stats count() as calls, count(@initDuration) as cold, pct(@initDuration, 50) as p50, pct(@initDuration, 99) as p99 by function`,
			`sort cold desc`,
		),
	})
}

func problems(c Config) []awscloudwatch.IMetric {
	var all []awscloudwatch.IMetric
	for _, code := range api.Codes() {
		if api.NewProblem(code, "").Status < 500 {
			all = append(all, labelled(c.ours(api.MetricProblems, api.DimensionCode, string(code)), string(code)))
		}
	}
	return all
}

// unitsPerVerification should be one of each.
func unitsPerVerification(c Config) []awscloudwatch.IMetric {
	of := func(name string) awscloudwatch.IMetric {
		return labelled(by(c.ours(name, api.DimensionFunction, "verify"), "Average", 5*time.Minute), name+" of verify")
	}
	return []awscloudwatch.IMetric{of(api.MetricReadUnits), of(api.MetricWriteUnits)}
}

func waiting(c Config) []awscloudwatch.IMetric {
	var all []awscloudwatch.IMetric
	for _, state := range []string{"identity_pending", "in_review", "approved", "ready"} {
		all = append(all, labelled(by(c.ours(api.MetricWaiting, api.DimensionState, state), "Maximum", 5*time.Minute), state))
	}
	return all
}

// mails are those of this deployment, and what became of all mails of the account.
func mails(c Config) []awscloudwatch.IMetric {
	var all []awscloudwatch.IMetric
	for _, outcome := range []string{"sent", "needless", "failed"} {
		all = append(all, labelled(c.ours(api.MetricMails, api.DimensionOutcome, outcome), outcome))
	}
	for _, name := range []string{"Send", "Bounce", "Complaint", "Reject"} {
		all = append(all, labelled(metric("AWS/SES", name), name+", in the account"))
	}
	return all
}

func failures(c Config) []awscloudwatch.IMetric {
	var all []awscloudwatch.IMetric
	for _, f := range functions() {
		all = append(all, labelled(c.ours(api.MetricRequests,
			api.DimensionFunction, f.Name, api.DimensionOutcome, "failure"), f.Name))
	}
	return all
}

func depth(c Config, queue string) awscloudwatch.IMetric {
	return labelled(c.queued(queue, "ApproximateNumberOfMessagesVisible"), queue)
}

// kms counts what KMS seals and opens, for the whole account: it tells no more.
func kms() awscloudwatch.IMetric {
	return labelled(metric("AWS/Usage", "CallCount",
		"Class", "None", "Resource", "CryptographicOperationsSymmetric", "Service", "KMS", "Type", "API"), "sealed and opened, in the account")
}

func concurrency(c Config) []awscloudwatch.IMetric {
	var all []awscloudwatch.IMetric
	for _, f := range functions() {
		all = append(all, labelled(by(c.lambda(f.Name, "ConcurrentExecutions"), "Maximum", time.Minute), f.Name))
	}
	return all
}

func units(data *DataStack) []awscloudwatch.IMetric {
	var all []awscloudwatch.IMetric
	for _, table := range tables(data) {
		for _, name := range []string{"ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits"} {
			all = append(all, labelled(tableMetric(table.name, name), table.id+", "+name))
		}
	}
	return all
}
