package main

import (
	"fmt"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsses"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssnssubscriptions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"

	"github.com/nightlatch/nightlatch/pkg/api"
)

const (
	// mailBatch is how many mails the mailer is handed: see its timeout in pkg/api.
	mailBatch = 4
	// maxMailers is how many of it run at once, of which each has a batch.
	maxMailers = 5
	// mailVisible is how much longer than the mailer may take a job is with it before it comes again, and so how long a mail
	// waits that SES did not take. Shorter than what Lambda's handbook advises, six times: throttled pollers are given up sooner.
	mailVisible = 3
	// mailTries bounds how often a mail is tried: for more than an hour and a half, after which a person looks at it.
	mailTries = 60
	// streamAge is for how long a record of the stream is tried. Streams keep them for 24 hours.
	streamAge = 12 * time.Hour
	// kept is for how long what nobody took waits for somebody: the longest that SQS has.
	kept = 14
)

// topic is whom alarms are told.
func (s *ServiceStack) topic() {
	s.alerts = awssns.NewTopic(s.Stack, text("Alerts"), &awssns.TopicProps{
		TopicName: text(s.config.Name + "-alerts"), DisplayName: text("Nightlatch"), EnforceSSL: yes(),
	})
	tell := func(service string, conditions *map[string]any) {
		s.alerts.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Principals: list[awsiam.IPrincipal](awsiam.NewServicePrincipal(&service, nil)),
			Actions:    texts("sns:Publish"), Resources: list(s.alerts.TopicArn()), Conditions: conditions,
		}))
	}
	tell("cloudwatch.amazonaws.com", &map[string]any{"StringEquals": object{"aws:SourceAccount": s.Stack.Account()}})
	tell("events.amazonaws.com", nil) // EventBridge fulfils no condition that SNS knows
	for _, address := range s.config.Watch.Addresses {
		s.alerts.AddSubscription(awssnssubscriptions.NewEmailSubscription(&address, nil))
	}
}

// What the queues are called, after the deployment.
const (
	mailQueue   = "mails"
	unsentQueue = "mails-unsent"
	lostQueue   = "events-lost"
)

func (s *ServiceStack) queues() {
	queue := func(id, name string, props awssqs.QueueProps) awssqs.Queue {
		props.QueueName = text(s.config.Name + "-" + name)
		props.Encryption, props.EnforceSSL, props.RetentionPeriod = awssqs.QueueEncryption_SQS_MANAGED, yes(), days(kept)
		props.RemovalPolicy = awscdk.RemovalPolicy_DESTROY
		return awssqs.NewQueue(s.Stack, &id, &props)
	}
	mailer := functionOf(api.TriggerQueue)
	s.unsent = queue("UnsentMails", unsentQueue, awssqs.QueueProps{})
	s.mails = queue("Mails", mailQueue, awssqs.QueueProps{
		VisibilityTimeout: after(mailVisible * mailer.Timeout),
		DeadLetterQueue:   &awssqs.DeadLetterQueue{Queue: s.unsent, MaxReceiveCount: number(mailTries)},
	})
	s.lost = queue("LostEvents", lostQueue, awssqs.QueueProps{})
}

// functionOf returns the one function of a trigger.
func functionOf(t api.Trigger) api.Function {
	var found []api.Function
	for _, f := range functions() {
		if f.Trigger == t {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		panic(fmt.Sprintf("infra: %d functions have the trigger %s, and one is joined to it", len(found), t))
	}
	return found[0]
}

// trigger joins each function to what makes it run.
func (s *ServiceStack) trigger() {
	s.routes()
	s.stream(functionOf(api.TriggerStream))
	s.queue(functionOf(api.TriggerQueue))
	s.feedback(functionOf(api.TriggerFeedback))
	s.deployment(functionOf(api.TriggerDeployment))
	for _, f := range functions() {
		if f.Every > 0 {
			s.schedule(f)
		}
	}
}

func (s *ServiceStack) stream(f api.Function) {
	awslambda.NewCfnEventSourceMapping(s.Stack, text("Stream"), &awslambda.CfnEventSourceMappingProps{
		FunctionName: s.functions[f.Name].alias.FunctionArn(), EventSourceArn: s.data.Accounts.TableStreamArn(),
		StartingPosition: text("TRIM_HORIZON"), BatchSize: number(100), ParallelizationFactor: number(2),
		FunctionResponseTypes: texts("ReportBatchItemFailures"), BisectBatchOnFunctionError: true,
		MaximumRecordAgeInSeconds: number(streamAge.Seconds()), MaximumRetryAttempts: number(-1),
		// SQS and SNS would be told where the records were, and the stream forgets them.
		DestinationConfig: &awslambda.CfnEventSourceMapping_DestinationConfigProperty{
			OnFailure: &awslambda.CfnEventSourceMapping_OnFailureProperty{Destination: s.data.Failures.BucketArn()},
		},
	})
}

func (s *ServiceStack) queue(f api.Function) {
	awslambda.NewCfnEventSourceMapping(s.Stack, text("MailJobs"), &awslambda.CfnEventSourceMappingProps{
		FunctionName: s.functions[f.Name].alias.FunctionArn(), EventSourceArn: s.mails.QueueArn(),
		BatchSize: number(mailBatch), FunctionResponseTypes: texts("ReportBatchItemFailures"),
		ScalingConfig: &awslambda.CfnEventSourceMapping_ScalingConfigProperty{MaximumConcurrency: number(maxMailers)},
	})
}

// configurationSet is how SES treats the mails, and to whom it tells what became of them.
func (s *ServiceStack) configurationSet() {
	set := awsses.NewCfnConfigurationSet(s.Stack, text("MailSettings"), &awsses.CfnConfigurationSetProps{
		Name:               &s.config.Name,
		SendingOptions:     &awsses.CfnConfigurationSet_SendingOptionsProperty{SendingEnabled: true},
		ReputationOptions:  &awsses.CfnConfigurationSet_ReputationOptionsProperty{ReputationMetricsEnabled: true},
		SuppressionOptions: &awsses.CfnConfigurationSet_SuppressionOptionsProperty{SuppressedReasons: texts("BOUNCE", "COMPLAINT")},
		// Nothing of TrackingOptions: no link leads elsewhere first, and no image tells who has read.
	})
	awsses.NewCfnConfigurationSetEventDestination(s.Stack, text("MailEvents"), &awsses.CfnConfigurationSetEventDestinationProps{
		ConfigurationSetName: set.Ref(),
		EventDestination: &awsses.CfnConfigurationSetEventDestination_EventDestinationProperty{
			Name: text("eventbridge"), Enabled: true, MatchingEventTypes: texts("bounce", "complaint", "reject"),
			EventBridgeDestination: &awsses.CfnConfigurationSetEventDestination_EventBridgeDestinationProperty{
				EventBusArn: text(s.arn("events", "event-bus/default")), // SES knows no other
			},
		},
	})
}

// feedback joins a function to what SES tells of the mails of this deployment.
func (s *ServiceStack) feedback(f api.Function) {
	alias := s.functions[f.Name].alias.FunctionArn()
	rule := awsevents.NewCfnRule(s.Stack, text("MailFeedbackRule"), &awsevents.CfnRuleProps{
		Description: text("Mails of " + s.config.Name + " that were lost"),
		EventPattern: object{
			"source":      []string{"aws.ses"},
			"detail-type": []string{"Email Bounced", "Email Complaint Received", "Email Rejected"},
			"detail":      object{"mail": object{"tags": object{"ses:configuration-set": []string{s.config.Name}}}},
		},
		Targets: list[any](&awsevents.CfnRule_TargetProperty{
			Id: text(f.Name), Arn: alias,
			DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: s.lost.QueueArn()},
			RetryPolicy: &awsevents.CfnRule_RetryPolicyProperty{
				MaximumEventAgeInSeconds: number((24 * time.Hour).Seconds()), MaximumRetryAttempts: number(185),
			},
		}),
	})
	s.allow(f.Name, "MailFeedbackInvocation", "events.amazonaws.com", *rule.AttrArn())
	s.lost.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Principals: list[awsiam.IPrincipal](awsiam.NewServicePrincipal(text("events.amazonaws.com"), nil)),
		Actions:    texts("sqs:SendMessage"), Resources: list(s.lost.QueueArn()),
		Conditions: &map[string]any{"ArnEquals": object{"aws:SourceArn": *rule.AttrArn()}},
	}))
	// EventBridge hands it over, and Lambda calls: it tries for six hours, and does not forget it then.
	s.asynchronously(f, 6*time.Hour, 2, true)
}

// asynchronously is what becomes of calls that nobody waits for.
func (s *ServiceStack) asynchronously(f api.Function, age time.Duration, retries int, keep bool) {
	props := &awslambda.CfnEventInvokeConfigProps{
		FunctionName: s.functions[f.Name].lambda.FunctionName(), Qualifier: text(aliasName),
		MaximumEventAgeInSeconds: number(age.Seconds()), MaximumRetryAttempts: number(retries),
	}
	if keep {
		props.DestinationConfig = &awslambda.CfnEventInvokeConfig_DestinationConfigProperty{
			OnFailure: &awslambda.CfnEventInvokeConfig_OnFailureProperty{Destination: s.lost.QueueArn()},
		}
	}
	config := awslambda.NewCfnEventInvokeConfig(s.Stack, text(idOf(f)+"Calls"), props)
	config.Node().AddDependency(s.functions[f.Name].alias)
}

// schedules are what functions are handed by their schedules.
var schedules = map[string]string{"sweep": `{}`, "keys": `{"operation":"rotate"}`}

// scheduleAge is after what time a run is not made up for: the next one does its work.
const scheduleAge = 5 * time.Minute

func (s *ServiceStack) schedule(f api.Function) {
	input, known := schedules[f.Name]
	if !known {
		panic("infra: nobody knows what " + f.Name + " is handed by its schedule")
	}
	alias := s.functions[f.Name].alias.FunctionArn()
	name := s.config.nameOf(f)
	clock := role(s.Stack, idOf(f)+"Clock", "Runs "+name, awsiam.NewServicePrincipal(text("scheduler.amazonaws.com"), &awsiam.ServicePrincipalOpts{
		Conditions: &map[string]any{"StringEquals": object{
			"aws:SourceAccount": s.Stack.Account(), "aws:SourceArn": s.arn("scheduler", "schedule-group/default"),
		}},
	}), []grant{
		{name: "Run", actions: []string{"lambda:InvokeFunction"}, resources: []string{*alias}},
		{name: "GiveUp", actions: []string{"sqs:SendMessage"}, resources: []string{*s.lost.QueueArn()}},
	})
	awsscheduler.NewCfnSchedule(s.Stack, text(idOf(f)+"Schedule"), &awsscheduler.CfnScheduleProps{
		Name: &name, Description: text("Runs " + name),
		ScheduleExpression: text(fmt.Sprintf("rate(%d minutes)", int(f.Every.Minutes()))),
		FlexibleTimeWindow: &awsscheduler.CfnSchedule_FlexibleTimeWindowProperty{Mode: text("OFF")},
		Target: &awsscheduler.CfnSchedule_TargetProperty{
			Arn: alias, RoleArn: clock.RoleArn(), Input: &input,
			DeadLetterConfig: &awsscheduler.CfnSchedule_DeadLetterConfigProperty{Arn: s.lost.QueueArn()},
			RetryPolicy: &awsscheduler.CfnSchedule_RetryPolicyProperty{
				MaximumEventAgeInSeconds: number(scheduleAge.Seconds()), MaximumRetryAttempts: number(5),
			},
		},
	})
	if f.Every <= scheduleAge {
		s.asynchronously(f, scheduleAge, 0, false) // the next run does what this one could not, and an alarm tells of it
	}
}

// deployment has the function run at every deployment with another version of it, before requests can come. It answers
// CloudFormation itself, and makes nothing twice.
func (s *ServiceStack) deployment(f api.Function) {
	made := s.functions[f.Name]
	keysets := awscdk.NewCfnCustomResource(s.Stack, text("Keysets"), &awscdk.CfnCustomResourceProps{
		ServiceToken:   made.alias.FunctionArn(),
		ServiceTimeout: number((10 * time.Minute).Seconds()), // Lambda tries three times in four minutes
	})
	keysets.AddOverride(text("Properties.Version"), made.lambda.CurrentVersion().Version())
	s.Stack.Node().FindChild(text("Stage")).(awscdk.CfnResource).AddResourceDependency(keysets, nil)
}
