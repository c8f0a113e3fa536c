package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsbudgets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/constructs-go/constructs/v10"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// NewWatch makes the stack of alarms, dashboard and budget. Two kinds of alarms are in the service's stack, since they stop a
// deployment: errors of a function, and 5xx.
func NewWatch(scope constructs.Construct, c Config, data *DataStack, s *ServiceStack) awscdk.Stack {
	stack := newStack(scope, c, "watch", "Nightlatch: alarms, dashboard and budget")
	for _, a := range alarms(c, data, s) {
		s.alarm(stack, a)
	}
	anomaly(stack, s, "WrongCodesAnomaly", "wrong-codes",
		"Far more wrong codes than usual at this time: somebody may be guessing.", c.wrongCodes())
	anomaly(stack, s, "LocksAnomaly", "locks",
		"Far more locks than usual at this time: somebody may be guessing at many accounts.", c.event("locked"))
	tellOfKeys(stack, data, s)
	tellOfFailures(stack, data, s)
	dashboard(stack, c, data, s)
	if c.Watch.Budget > 0 {
		budget(stack, c)
	}
	return stack
}

// event is how often something has happened to an account, whatever came of it.
func (c Config) event(kind string) awscloudwatch.Metric {
	return c.ours(api.MetricEvents, api.DimensionType, kind)
}

// outcome is that with one outcome, by one method.
func (c Config) outcome(kind, outcome, method string) awscloudwatch.Metric {
	return c.ours(api.MetricEvents,
		api.DimensionType, kind, api.DimensionOutcome, outcome, api.DimensionMethod, method)
}

// ours is a metric that the functions of this deployment write.
func (c Config) ours(name string, dimensions ...string) awscloudwatch.Metric {
	return metric(c.namespace(), name, dimensions...)
}

// namespace is where CloudWatch keeps these, apart from those of other deployments.
func (c Config) namespace() string { return api.MetricNamespace + "/" + c.Name }

// wrongCodes are those at sign-in and those anywhere else.
func (c Config) wrongCodes() awscloudwatch.IMetric {
	return expression("FILL(totp, 0) + FILL(backup, 0) + FILL(elsewhere, 0)", map[string]awscloudwatch.IMetric{
		"totp": c.outcome("login", "failure", "totp"), "backup": c.outcome("login", "failure", "backup_code"), "elsewhere": c.event("code_refused"),
	})
}

// The stacks know one another's functions and queues by name: an import from the other stack would keep that from ever removing
// one.

func (c Config) queued(queue, name string) awscloudwatch.Metric {
	return by(metric("AWS/SQS", name, "QueueName", c.Name+"-"+queue), "Maximum", time.Minute)
}

func (c Config) lambda(function, name string) awscloudwatch.Metric {
	return metric("AWS/Lambda", name, "FunctionName", c.Name+"-"+function)
}

// mailMetric is one of the mails of this deployment.
func (c Config) mailMetric(name string) awscloudwatch.Metric {
	return metric("AWS/SES", name, "ses:configuration-set", c.Name)
}

func tableMetric(table, name string) awscloudwatch.Metric {
	return metric("AWS/DynamoDB", name, "TableName", table)
}

// operations of DynamoDB that the functions ask for: system errors are told by operation.
var operations = []string{"GetItem", "PutItem", "Query", "UpdateItem", "DeleteItem"}

// alarms are those with a threshold.
func alarms(c Config, data *DataStack, s *ServiceStack) []alarm {
	all := []alarm{
		// Pipeline.
		{id: "IteratorAge", name: "iterator-age", what: "The history, the event bus and the mails are more than five minutes late.",
			metric: by(c.lambda("notify", "IteratorAge"), "Maximum", time.Minute), over: 5 * 60 * 1000, periods: 3},
		{id: "UnsentMails", name: unsentQueue, what: "There are mails that SES does not take.",
			metric: c.queued(unsentQueue, "ApproximateNumberOfMessagesVisible")},
		{id: "LostEvents", name: lostQueue, what: "There are runs of a schedule, or events of SES, that no function took.",
			metric: c.queued(lostQueue, "ApproximateNumberOfMessagesVisible")},
		{id: "FailureBucket", name: "failures", what: "There are records that the history lacks.",
			metric: by(metric("AWS/S3", "NumberOfObjects", "BucketName", *data.Failures.BucketName(), "StorageType", "AllStorageTypes"), "Maximum", 24*time.Hour)},
		// SQS leaves a message that was received three times out of that age, so a mail that is tried in vain is another alarm's.
		{id: "OldestMail", name: "oldest-mail", what: "A mail has waited for more than ten minutes.",
			metric: c.queued(mailQueue, "ApproximateAgeOfOldestMessage"), over: 10 * 60, periods: 3},
		{id: "FailingMails", name: "failing-mails", what: "For more than ten minutes mails are tried in vain.",
			metric: c.ours(api.MetricMails, api.DimensionOutcome, "failed"), periods: 3},
		{id: "SweepSilent", name: "sweep-silent", what: "Nothing has moved on for fifteen minutes what time has made due.",
			metric: by(c.lambda("sweep", "Invocations"), "Sum", 15*time.Minute), under: true, silence: true},

		// Service.
		{id: "VerifySlow", name: "verify-slow", what: "One sign-in of a hundred waits for more than a second.",
			metric: by(routeLatency(s, "POST", "/v1/verify"), "p99", 5*time.Minute), over: 1000, periods: 3},
		{id: "AccountConcurrency", name: "concurrency", what: "More than 80 % of the functions that the account may run at once are running.",
			metric: expression("100 * running / SERVICE_QUOTA(running)", map[string]awscloudwatch.IMetric{
				"running": by(metric("AWS/Lambda", "ConcurrentExecutions"), "Maximum", 5*time.Minute)}), over: 80, periods: 3},

		// Keys.
		{id: "Unopened", name: "unopened", what: "A secret did not open: it was moved, damaged, or sealed by a key that is gone.", metric: c.ours(api.MetricUnopened)},
		{id: "KeysetFailures", name: "keysets", what: "A keyset could not be read or opened: nobody gets in whose request needs it.",
			metric: c.ours(api.MetricKeysetFailures)},

		// Abuse.
		{id: "WebhooksRefused", name: "webhooks", what: "Webhooks came with a wrong signature: a secret was rotated here or there alone, or somebody forges them.",
			metric: c.ours(api.MetricWebhooksRefused), over: 5},
		{id: "ResetsCompleted", name: "resets", what: "More than ten accounts were recovered within an hour.",
			metric: by(c.event("reset_completed"), "Sum", time.Hour), over: 10},
		{id: "OperatorActions", name: "operators", what: "Operators did more than ten things within an hour.",
			metric: by(c.ours(api.MetricOperatorActions), "Sum", time.Hour), over: 10},
		{id: "Fences", name: "fences", what: "An operator has raised the fence: everybody's backup codes and recoveries have ended.",
			metric: c.ours(api.MetricFences)},
		{id: "Unexpected", name: "unexpected", what: "A host believes that a user has 2FA, who has none: look at the account, and at which table is in use.",
			metric: c.ours(api.MetricUnexpected)},

		// Other.
		{id: "OldestReview", name: "oldest-review", what: "Somebody has waited for a reviewer for more than a day.",
			metric: by(c.ours(api.MetricOldestReview), "Maximum", 15*time.Minute), over: 24 * 60 * 60},
		{id: "Gaps", name: "gaps", what: "The history of an account has a gap.", metric: c.event("gap")},
		{id: "Bounces", name: "bounces", what: "More than 2 % of the mails bounce: SES reviews an account at 5 %.",
			metric: by(c.mailMetric("Reputation.BounceRate"), "Average", time.Hour), over: 0.02},
		{id: "Complaints", name: "complaints", what: "More than 0.05 % of the mails are complained of: SES reviews an account at 0.1 %.",
			metric: by(c.mailMetric("Reputation.ComplaintRate"), "Average", time.Hour), over: 0.0005},
	}
	for _, f := range functions() {
		all = append(all, alarm{id: idOf(f) + "Throttles", name: f.Name + "-throttles", what: "Lambda refuses to run " + f.Name + ": too many run at once.",
			metric: c.lambda(f.Name, "Throttles")})
	}
	for _, of := range tables(data) {
		id, table := of.id, of.name
		throttled := expression("FILL(reads, 0) + FILL(writes, 0)", map[string]awscloudwatch.IMetric{
			"reads": tableMetric(table, "ReadThrottleEvents"), "writes": tableMetric(table, "WriteThrottleEvents"),
		})
		all = append(all, alarm{id: id + "Throttled", name: "table-" + strings.ToLower(id) + "-throttled",
			what: "DynamoDB refuses requests: the ceiling of tables.max_reads or tables.max_writes, or one key that is hot.", metric: throttled})
		var terms []string
		errors := map[string]awscloudwatch.IMetric{}
		for i, operation := range operations {
			term := fmt.Sprintf("e%d", i)
			terms = append(terms, "FILL("+term+", 0)")
			errors[term] = metric("AWS/DynamoDB", "SystemErrors", "TableName", table, "Operation", operation)
		}
		all = append(all, alarm{id: id + "Errors", name: "table-" + strings.ToLower(id) + "-errors", what: "DynamoDB fails.",
			metric: expression(strings.Join(terms, " + "), errors), periods: 2})
	}
	return all
}

// table is one of the three: as the stack calls it, and as DynamoDB does.
type table struct{ id, name string }

func tables(data *DataStack) []table {
	return []table{
		{"Accounts", *data.Accounts.TableName()}, {"History", *data.History.TableName()}, {"Config", *data.Config.TableName()},
	}
}

func routeLatency(s *ServiceStack, method, path string) awscloudwatch.Metric {
	return metric("AWS/ApiGateway", "Latency", "ApiId", *s.api.Ref(), "Stage", "$default", "Method", method, "Resource", path)
}

// anomaly goes off when a metric is above the band in which it usually is at this time.
func anomaly(stack awscdk.Stack, s *ServiceStack, id, name, what string, m awscloudwatch.IMetric) {
	made := awscloudwatch.NewAnomalyDetectionAlarm(stack, &id, &awscloudwatch.AnomalyDetectionAlarmProps{
		AlarmName: text(s.config.Name + "-" + name), AlarmDescription: text(what + " See docs/operations.md."),
		Metric: m, StdDevs: number(4), EvaluationPeriods: number(2),
		ComparisonOperator: awscloudwatch.ComparisonOperator_GREATER_THAN_UPPER_THRESHOLD,
		TreatMissingData:   awscloudwatch.TreatMissingData_NOT_BREACHING,
	})
	s.tell(made)
}

// tellOfKeys tells at once when somebody disables a key, has it deleted, or changes who may use it. CloudTrail notes all of it.
func tellOfKeys(stack awscdk.Stack, data *DataStack, s *ServiceStack) {
	keys := []string{*data.Keysets.KeyArn()}
	if data.TableKey != nil {
		keys = append(keys, *data.TableKey.KeyArn())
	}
	awsevents.NewCfnRule(stack, text("KeyInDanger"), &awsevents.CfnRuleProps{
		Description: text("A key was disabled, is to be deleted, or has another policy: enable it, cancel its deletion, or put the policy back. See docs/operations.md."),
		EventPattern: object{
			"source": []string{"aws.kms"}, "detail-type": []string{"AWS API Call via CloudTrail"},
			"detail": object{
				"eventSource": []string{"kms.amazonaws.com"}, "eventName": []string{"DisableKey", "ScheduleKeyDeletion", "PutKeyPolicy"},
				"resources": object{"ARN": keys},
			},
		},
		Targets: list[any](&awsevents.CfnRule_TargetProperty{Id: text("alerts"), Arn: s.alerts.TopicArn()}),
	})
}

// tellOfFailures tells at once of a record that could not be taken: the alarm looks once a day.
func tellOfFailures(stack awscdk.Stack, data *DataStack, s *ServiceStack) {
	awsevents.NewCfnRule(stack, text("RecordFailed"), &awsevents.CfnRuleProps{
		Description: text("A record could not be taken to the history. See docs/operations.md."),
		EventPattern: object{
			"source": []string{"aws.s3"}, "detail-type": []string{"Object Created"},
			"detail": object{"bucket": object{"name": []string{*data.Failures.BucketName()}}},
		},
		Targets: list[any](&awsevents.CfnRule_TargetProperty{Id: text("alerts"), Arn: s.alerts.TopicArn()}),
	})
}

// budget tells of what the deployment costs. The tag "application" must have been activated for cost allocation.
func budget(stack awscdk.Stack, c Config) {
	var notices []any
	for _, percent := range []float64{80, 100} {
		var addresses []any
		for _, address := range c.Watch.Addresses {
			addresses = append(addresses, &awsbudgets.CfnBudget_SubscriberProperty{Address: text(address), SubscriptionType: text("EMAIL")})
		}
		notices = append(notices, &awsbudgets.CfnBudget_NotificationWithSubscribersProperty{
			Notification: &awsbudgets.CfnBudget_NotificationProperty{
				ComparisonOperator: text("GREATER_THAN"), NotificationType: text("ACTUAL"), Threshold: &percent, ThresholdType: text("PERCENTAGE"),
			},
			Subscribers: &addresses,
		})
	}
	awsbudgets.NewCfnBudget(stack, text("Budget"), &awsbudgets.CfnBudgetProps{
		Budget: &awsbudgets.CfnBudget_BudgetDataProperty{
			BudgetName: text(c.Name + "-" + c.Region), BudgetType: text("COST"), TimeUnit: text("MONTHLY"),
			BudgetLimit: &awsbudgets.CfnBudget_SpendProperty{Amount: &c.Watch.Budget, Unit: text("USD")},
			CostFilters: object{"TagKeyValue": []string{"user:application$" + c.Name}},
		},
		NotificationsWithSubscribers: &notices,
	})
}
