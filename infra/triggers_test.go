package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStream(t *testing.T) {
	t.Parallel()
	ts := deployed(t, least)
	stream := ts.stacks["service"].Resources["Stream"].Properties
	want := object{
		"StartingPosition": "TRIM_HORIZON", "BatchSize": 100.0, "ParallelizationFactor": 2.0, "BisectBatchOnFunctionError": true,
		"FunctionResponseTypes": []any{"ReportBatchItemFailures"}, "MaximumRecordAgeInSeconds": 43200.0, "MaximumRetryAttempts": -1.0,
	}
	got := object{}
	for name := range want {
		got[name] = stream[name]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for value, want := range map[string]any{
		"data/Accounts.StreamArn": stream["EventSourceArn"], "data/Failures.Arn": at(stream, "DestinationConfig", "OnFailure", "Destination"),
		"service/NotifyLive": stream["FunctionName"],
	} {
		if got := plain(ts.resolve("service", want)); got != plain(value) {
			t.Errorf("%s, want %s", got, value)
		}
	}
}

// TestMails: a throttled SES stalls nothing but the mails, and no mail is lost.
func TestMails(t *testing.T) {
	t.Parallel()
	ts := deployed(t, least)
	jobs := ts.stacks["service"].Resources["MailJobs"].Properties
	if at(jobs, "ScalingConfig", "MaximumConcurrency") != 5.0 || at(jobs, "FunctionResponseTypes", "0") != "ReportBatchItemFailures" ||
		plain(ts.resolve("service", jobs["FunctionName"])) != "service/MailerLive" {
		t.Errorf("%v", jobs)
	}
	queues := map[string]resource{}
	for id, r := range ts.of("AWS::SQS::Queue") {
		queues[plain(id)] = r
		if r.Properties["SqsManagedSseEnabled"] != true || r.Properties["MessageRetentionPeriod"] != 1209600.0 {
			t.Errorf("%s: %v", id, r.Properties)
		}
	}
	if diff := cmp.Diff([]string{"service/LostEvents", "service/Mails", "service/UnsentMails"}, sorted(queues)); diff != "" {
		t.Fatal(diff)
	}
	mails := queues["service/Mails"].Properties
	if got := plain(ts.resolve("service", at(mails, "RedrivePolicy", "deadLetterTargetArn"))); got != "service/UnsentMails" {
		t.Errorf("what cannot be sent goes to %s", got)
	}
	mailer := functionOf("queue")
	visible, tries := mails["VisibilityTimeout"].(float64), at(mails, "RedrivePolicy", "maxReceiveCount").(float64)
	if visible <= mailer.Timeout.Seconds() || visible*tries < 90*60 {
		t.Errorf("a job is tried %v times every %v s; the mailer may take %v", tries, visible, mailer.Timeout)
	}
	if batch := jobs["BatchSize"].(float64); batch*7 > mailer.Timeout.Seconds() {
		t.Errorf("a batch of %v mails does not fit %v", batch, mailer.Timeout)
	}
}

func TestSES(t *testing.T) {
	t.Parallel()
	ts := deployed(t, most)
	set := ts.one(t, "service", "AWS::SES::ConfigurationSet").Properties
	want := object{
		"Name": "example-2fa", "SuppressionOptions": object{"SuppressedReasons": []any{"BOUNCE", "COMPLAINT"}},
		"SendingOptions": object{"SendingEnabled": true}, "ReputationOptions": object{"ReputationMetricsEnabled": true},
	}
	delete(set, "Tags")
	if diff := cmp.Diff(want, set); diff != "" {
		t.Errorf("configuration set (-want +got):\n%s", diff)
	}
	told := ts.one(t, "service", "AWS::SES::ConfigurationSetEventDestination").Properties["EventDestination"]
	if diff := cmp.Diff(any([]any{"bounce", "complaint", "reject"}), at(told, "MatchingEventTypes")); diff != "" {
		t.Errorf("told: %s", diff)
	}
	if got := ts.resolve("service", at(told, "EventBridgeDestination", "EventBusArn")); got != "arn:{AWS::Partition}:events:eu-central-1:111122223333:event-bus/default" {
		t.Errorf("told to %s", got)
	}
	rule := ts.stacks["service"].Resources["MailFeedbackRule"].Properties
	if at(rule, "EventPattern", "detail", "mail", "tags", "ses:configuration-set", "0") != "example-2fa" ||
		plain(ts.resolve("service", at(rule, "Targets", "0", "Arn"))) != "service/MailFeedbackLive" ||
		plain(ts.resolve("service", at(rule, "Targets", "0", "DeadLetterConfig", "Arn"))) != "service/LostEvents.Arn" &&
			!strings.HasPrefix(ts.resolve("service", at(rule, "Targets", "0", "DeadLetterConfig", "Arn")), "service/LostEvents") {
		t.Errorf("feedback: %v", rule)
	}
}

func TestSchedules(t *testing.T) {
	t.Parallel()
	ts := deployed(t, least)
	found := ts.of("AWS::Scheduler::Schedule")
	scheduled := 0
	for _, f := range functions() {
		if f.Every == 0 {
			continue
		}
		scheduled++
		p := found["service/"+idOf(f)+"Schedule"].Properties
		want := object{
			"expression": map[string]string{"sweep": "rate(5 minutes)", "keys": "rate(720 minutes)"}[f.Name], "mode": "OFF", "age": 300.0,
			"input": schedules[f.Name], "lost": true, "calls": "service/" + idOf(f) + "Live",
		}
		got := object{
			"expression": p["ScheduleExpression"], "mode": at(p, "FlexibleTimeWindow", "Mode"),
			"age":   at(p, "Target", "RetryPolicy", "MaximumEventAgeInSeconds"),
			"input": at(p, "Target", "Input"), "calls": plain(ts.resolve("service", at(p, "Target", "Arn"))),
			"lost": strings.HasPrefix(ts.resolve("service", at(p, "Target", "DeadLetterConfig", "Arn")), "service/LostEvents"),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", f.Name, diff)
		}
	}
	if scheduled != len(found) {
		t.Errorf("%d schedules, want %d", len(found), scheduled)
	}
}

// TestKeysets: they are made before the first request can come, and looked at by every deployment of another version.
func TestKeysets(t *testing.T) {
	t.Parallel()
	ts := deployed(t, least)
	keysets := ts.stacks["service"].Resources["Keysets"]
	if got := plain(ts.resolve("service", keysets.Properties["ServiceToken"])); got != "service/KeysLive" {
		t.Errorf("made by %s", got)
	}
	if got := ts.resolve("service", keysets.Properties["Version"]); !strings.HasPrefix(got, "service/KeysCurrentVersion") {
		t.Errorf("made again with %s", got)
	}
	waits := ts.one(t, "service", "AWS::ApiGatewayV2::Stage").DependsOn
	if !strings.Contains(strings.Join(ts.resolveAll("service", waits), " "), "Keysets") {
		t.Errorf("requests may come before there are keysets: %v", waits)
	}
}
