package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// The alarms that there are, but for those of each function: the metric, when it is too much, and for how many periods of so
// many seconds.
var wantAlarms = map[string]string{
	"iterator-age":             "Maximum AWS/Lambda IteratorAge of notify > 300000, 3 x 60",
	"mails-unsent":             "Maximum AWS/SQS ApproximateNumberOfMessagesVisible of mails-unsent > 0, 1 x 60",
	"events-lost":              "Maximum AWS/SQS ApproximateNumberOfMessagesVisible of events-lost > 0, 1 x 60",
	"failures":                 "Maximum AWS/S3 NumberOfObjects of data/Failures > 0, 1 x 86400",
	"oldest-mail":              "Maximum AWS/SQS ApproximateAgeOfOldestMessage of mails > 600, 3 x 60",
	"failing-mails":            "Sum Nightlatch/nightlatch Mails of failed > 0, 3 x 300",
	"sweep-silent":             "Sum AWS/Lambda Invocations of sweep <= 0, 1 x 900, also without data",
	"5xx":                      "100 * part / whole of Sum AWS/ApiGateway 5xx of service/Api; Sum AWS/ApiGateway Count of service/Api > 1, 2 x 300",
	"verify-slow":              "p99 AWS/ApiGateway Latency of service/Api POST /v1/verify $default > 1000, 3 x 300",
	"concurrency":              "100 * running / SERVICE_QUOTA(running) of Maximum AWS/Lambda ConcurrentExecutions of  > 80, 3 x 300",
	"unopened":                 "Sum Nightlatch/nightlatch Unopened of  > 0, 1 x 300",
	"keysets":                  "Sum Nightlatch/nightlatch KeysetFailures of  > 0, 1 x 300",
	"webhooks":                 "Sum Nightlatch/nightlatch WebhooksRefused of  > 5, 1 x 300",
	"resets":                   "Sum Nightlatch/nightlatch Events of reset_completed > 10, 1 x 3600",
	"operators":                "Sum Nightlatch/nightlatch OperatorActions of  > 10, 1 x 3600",
	"fences":                   "Sum Nightlatch/nightlatch Fences of  > 0, 1 x 300",
	"unexpected":               "Sum Nightlatch/nightlatch Unexpected of  > 0, 1 x 300",
	"oldest-review":            "Maximum Nightlatch/nightlatch OldestReview of  > 86400, 1 x 900",
	"gaps":                     "Sum Nightlatch/nightlatch Events of gap > 0, 1 x 300",
	"bounces":                  "Average AWS/SES Reputation.BounceRate of nightlatch > 0.02, 1 x 3600",
	"complaints":               "Average AWS/SES Reputation.ComplaintRate of nightlatch > 0.0005, 1 x 3600",
	"wrong-codes":              "anomaly of FILL(totp, 0) + FILL(backup, 0) + FILL(elsewhere, 0), 4 x the deviation, 2 periods",
	"locks":                    "anomaly of Nightlatch/nightlatch Events of locked, 4 x the deviation, 2 periods",
	"table-accounts-throttled": "", "table-history-throttled": "", "table-config-throttled": "",
	"table-accounts-errors": "", "table-history-errors": "", "table-config-errors": "",
}

// describe says what an alarm looks at.
func (ts *templates) describe(part string, p object) string {
	of := func(m any) string {
		var values []string
		for _, name := range []string{"FunctionName", "QueueName", "BucketName", "ApiId", "Method", "Resource", "Stage", "Type", "Outcome", "ses:configuration-set"} {
			for _, d := range asList(at(m, "Dimensions")) {
				if at(d, "Name") == name {
					values = append(values, strings.TrimPrefix(ts.resolve(part, at(d, "Value")), ts.config.Name+"-"))
				}
			}
		}
		return fmt.Sprint(at(m, "Namespace"), " ", at(m, "MetricName"), " of ", strings.Join(values, " "))
	}
	over := fmt.Sprint(map[any]string{"GreaterThanThreshold": ">", "LessThanOrEqualToThreshold": "<="}[p["ComparisonOperator"]], " ", p["Threshold"])
	if p["ThresholdMetricId"] != nil {
		var band, what string
		for _, m := range asList(p["Metrics"]) {
			switch expression, _ := at(m, "Expression").(string); {
			case strings.HasPrefix(expression, "ANOMALY_DETECTION_BAND("):
				_, band, _ = strings.Cut(strings.TrimSuffix(expression, ")"), ", ")
			case expression != "":
				what = expression
			case what == "":
				what = of(at(m, "MetricStat", "Metric"))
			}
		}
		return fmt.Sprint("anomaly of ", what, ", ", band, " x the deviation, ", p["EvaluationPeriods"], " periods")
	}
	var text string
	var period any
	if metrics := asList(p["Metrics"]); metrics != nil {
		var formula string
		var parts []string
		for _, m := range metrics {
			if expression, ok := at(m, "Expression").(string); ok {
				formula = expression
				continue
			}
			period = at(m, "MetricStat", "Period")
			parts = append(parts, fmt.Sprint(at(m, "MetricStat", "Stat"), " ", of(at(m, "MetricStat", "Metric"))))
		}
		text = formula + " of " + strings.Join(parts, "; ")
	} else {
		statistic := p["Statistic"]
		if statistic == nil {
			statistic = p["ExtendedStatistic"]
		}
		text, period = fmt.Sprint(statistic, " ", of(p)), p["Period"]
	}
	text = fmt.Sprint(text, " ", over, ", ", p["EvaluationPeriods"], " x ", period)
	if p["TreatMissingData"] == "breaching" {
		text += ", also without data"
	}
	return text
}

// TestAlarms: each alarm that the design wants is there, looks at what it should, and tells somebody.
func TestAlarms(t *testing.T) {
	t.Parallel()
	ts := deployed(t, least)
	want := map[string]bool{}
	for name := range wantAlarms {
		want[name] = true
	}
	for _, f := range functions() {
		want[f.Name+"-errors"], want[f.Name+"-throttles"] = true, true
	}
	got := map[string]bool{}
	for id, r := range ts.of("AWS::CloudWatch::Alarm") {
		p := r.Properties
		name := strings.TrimPrefix(p["AlarmName"].(string), "nightlatch-")
		got[name] = true
		for _, action := range []string{"AlarmActions", "OKActions"} {
			told := ts.resolveAll(strings.Split(id, "/")[0], p[action])
			if len(told) != 1 || plain(told[0]) != "service/Alerts" {
				t.Errorf("%s: %s tell %v", name, action, told)
			}
		}
		if name != "sweep-silent" && p["TreatMissingData"] != "notBreaching" {
			t.Errorf("%s: without data it is %v", name, p["TreatMissingData"])
		}
		if text, _ := p["AlarmDescription"].(string); !strings.HasSuffix(text, ". See docs/operations.md.") {
			t.Errorf("%s does not say what it means: %q", name, text)
		}
		if sentence := wantAlarms[name]; sentence != "" {
			if got := ts.describe(strings.Split(id, "/")[0], p); got != sentence {
				t.Errorf("%s:\n got %s\nwant %s", name, got, sentence)
			}
		}
	}
	if diff := cmp.Diff(sorted(want), sorted(got)); diff != "" {
		t.Errorf("alarms (-want +got):\n%s", diff)
	}
	for id := range ts.of("AWS::SQS::Queue") { // one for whatever nobody takes
		name := strings.TrimPrefix(ts.of("AWS::SQS::Queue")[id].Properties["QueueName"].(string), "nightlatch-")
		if name != "mails" && !got[name] {
			t.Errorf("nobody is told what is in %s", name)
		}
	}
}

// TestAlarmsOfTables: throttles and errors of each table, by what each operation tells.
func TestAlarmsOfTables(t *testing.T) {
	t.Parallel()
	ts := deployed(t, least)
	for id, r := range ts.of("AWS::CloudWatch::Alarm") {
		name := strings.TrimPrefix(r.Properties["AlarmName"].(string), "nightlatch-")
		if !strings.HasPrefix(name, "table-") {
			continue
		}
		table := "data/" + strings.ToUpper(name[6:7]) + strings.Split(name[7:], "-")[0]
		want := []string{"SystemErrors DeleteItem", "SystemErrors GetItem", "SystemErrors PutItem", "SystemErrors Query", "SystemErrors UpdateItem"}
		if strings.HasSuffix(name, "-throttled") {
			want = []string{"ReadThrottleEvents ", "WriteThrottleEvents "}
		}
		got := map[string]bool{}
		for _, m := range asList(r.Properties["Metrics"]) {
			metric := at(m, "MetricStat", "Metric")
			if metric == nil {
				continue
			}
			var operation string
			for _, d := range asList(at(metric, "Dimensions")) {
				switch value := ts.resolve("watch", at(d, "Value")); at(d, "Name") {
				case "Operation":
					operation = value
				case "TableName":
					if value != table {
						t.Errorf("%s looks at %s", id, value)
					}
				}
			}
			got[fmt.Sprint(at(metric, "MetricName"), " ", operation)] = true
		}
		if diff := cmp.Diff(want, sorted(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
	}
}

// TestTopic: alarms, and EventBridge, may tell; who is told is asked first.
func TestTopic(t *testing.T) {
	t.Parallel()
	ts := deployed(t, most)
	who := map[string]bool{}
	policy := ts.one(t, "service", "AWS::SNS::TopicPolicy").Properties["PolicyDocument"]
	for _, s := range asList(at(policy, "Statement")) {
		if at(s, "Effect") == "Allow" {
			who[fmt.Sprint(at(s, "Principal", "Service"), " ", at(s, "Condition"))] = true
		}
	}
	want := []string{"cloudwatch.amazonaws.com map[StringEquals:map[aws:SourceAccount:111122223333]]", "events.amazonaws.com <nil>"}
	if diff := cmp.Diff(want, sorted(who)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if p := ts.one(t, "service", "AWS::SNS::Subscription").Properties; p["Endpoint"] != "operations@example.com" || p["Protocol"] != "email" {
		t.Errorf("%v", p)
	}
}

// TestEvents: what CloudWatch has no metric of, or tells too late, is told by rules.
func TestEvents(t *testing.T) {
	t.Parallel()
	ts := deployed(t, most)
	rules := ts.stacks["watch"].Resources
	danger := rules["KeyInDanger"].Properties
	if got := ts.resolveAll("watch", at(danger, "EventPattern", "detail", "resources", "ARN")); !cmp.Equal(got, []string{"data/KeysetKey.Arn", "data/TableKey.Arn"}) {
		t.Errorf("keys %v", got)
	}
	if got := ts.resolveAll("watch", at(danger, "EventPattern", "detail", "eventName")); !cmp.Equal(got, []string{"DisableKey", "ScheduleKeyDeletion", "PutKeyPolicy"}) {
		t.Errorf("told of %v", got)
	}
	failed := rules["RecordFailed"].Properties
	if got := ts.resolveAll("watch", at(failed, "EventPattern", "detail", "bucket", "name")); !cmp.Equal(got, []string{"data/Failures"}) {
		t.Errorf("bucket %v", got)
	}
	for _, p := range []object{danger, failed} {
		if got := ts.resolve("watch", at(p, "Targets", "0", "Arn")); plain(got) != "service/Alerts" {
			t.Errorf("tells %s", got)
		}
	}
}

// TestDashboard: every widget that the design wants, and what is in it.
func TestDashboard(t *testing.T) {
	t.Parallel()
	ts := deployed(t, least)
	body := ts.resolve("watch", ts.one(t, "watch", "AWS::CloudWatch::Dashboard").Properties["DashboardBody"])
	var board struct {
		Widgets []struct {
			Properties struct {
				Title, Query string
				Metrics      [][]any
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &board); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{ // how many lines
		"Sign-ins by outcome and method": 6, "Latency, p50": len(api.Routes()), "Latency, p99": len(api.Routes()), "Cold starts by function": 0,
		"4xx by code": len(api.Codes()) - 2, "Conflicts, and units per verification": 3, "Locks": 3, "Resets by state": 4,
		"Oldest review, in seconds": 1, "Iterator age": 1, "Queue depth": 3, "Mail sent and bounced": 7, "Failures by function": len(functions()), "KMS": 3,
		"Concurrency": len(functions()), "Tables: units": 6,
	}
	got := map[string]int{}
	for _, w := range board.Widgets {
		got[w.Properties.Title] = len(w.Properties.Metrics)
		for _, f := range functions() {
			if w.Properties.Query != "" && len(f.Routes()) > 0 && !strings.Contains(w.Properties.Query, "'/aws/lambda/nightlatch-"+f.Name+"'") {
				t.Errorf("%s does not read the log of %s: %s", w.Properties.Title, f.Name, w.Properties.Query)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("widgets (-want +got):\n%s", diff)
	}
}

// TestLogs: every function, and the API, has a log that is there before it writes to it, for 90 days.
func TestLogs(t *testing.T) {
	t.Parallel()
	ts := deployed(t, least)
	logs := ts.of("AWS::Logs::LogGroup")
	for id, r := range logs {
		if r.Properties["RetentionInDays"] != 90.0 {
			t.Errorf("%s is kept for %v days", id, r.Properties["RetentionInDays"])
		}
	}
	used := map[string]bool{}
	for id, r := range ts.of("AWS::Lambda::Function") {
		group := ts.resolve("service", at(r.Properties, "LoggingConfig", "LogGroup"))
		if logs[group].Type == "" {
			t.Errorf("%s writes to %s", id, group)
		}
		used[group] = true
	}
	access := strings.TrimSuffix(ts.resolve("service", at(ts.one(t, "service", "AWS::ApiGatewayV2::Stage").Properties, "AccessLogSettings", "DestinationArn")), ".Arn")
	used[access] = true
	if logs[access].Type == "" || len(used) != len(logs) {
		t.Errorf("the API writes to %s; %d logs are written to, of %d", access, len(used), len(logs))
	}
}

// TestBudget: there is one when it is wanted, of this deployment alone.
func TestBudget(t *testing.T) {
	t.Parallel()
	if n := len(deployed(t, least).of("AWS::Budgets::Budget")); n != 0 {
		t.Errorf("%d budgets that nobody wants", n)
	}
	p := deployed(t, most).one(t, "watch", "AWS::Budgets::Budget").Properties
	if at(p, "Budget", "BudgetLimit", "Amount") != 100.0 || at(p, "Budget", "CostFilters", "TagKeyValue", "0") != "user:application$example-2fa" ||
		at(p, "NotificationsWithSubscribers", "1", "Subscribers", "0", "Address") != "operations@example.com" {
		t.Errorf("%v", p)
	}
}

// TestMetricsAreRead: what the functions write is of use to somebody.
func TestMetricsAreRead(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../pkg/api/metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	ts := deployed(t, least)
	for _, line := range strings.Split(string(source), "\n") {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "= ")
		if !ok || !strings.HasPrefix(name, "Metric") || strings.HasPrefix(name, "MetricNamespace") {
			continue
		}
		if !strings.Contains(ts.stacks["watch"].text, strings.Trim(value, `"`)) {
			t.Errorf("nobody reads %s", value)
		}
	}
}

// TestNamespaces: what the functions of a deployment write, its alarms and its dashboard read, and those of no other.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	for _, config := range []string{least, most} {
		ts := deployed(t, config)
		want := "Nightlatch/" + ts.config.Name
		for name, f := range ts.functions() {
			if got := at(f.Properties, "Environment", "Variables", "NIGHTLATCH_METRIC_NAMESPACE"); got != want {
				t.Errorf("%s writes to %v, want %s", name, got, want)
			}
		}
		read := regexp.MustCompile(`Nightlatch(/[a-z0-9-]+)?\\*",?`).FindAllString(ts.stacks["watch"].text, -1)
		if len(read) < 20 {
			t.Errorf("%s: %d metrics of ours are read", config, len(read))
		}
		for _, namespace := range read {
			if strings.TrimRight(namespace, `\",`) != want {
				t.Errorf("%s: somebody reads %s", config, namespace)
			}
		}
	}
}
