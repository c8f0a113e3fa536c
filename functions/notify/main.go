// Notify takes the stream of the accounts table to the history and the event bus, and asks for the mails.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/environment"
	"github.com/nightlatch/nightlatch/pkg/metric"
	"github.com/nightlatch/nightlatch/pkg/notify"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

func main() {
	env := environment.Must(environment.ToQueueMails)
	store := dynamostore.New(env.DynamoDB, env.Tables)
	to := notify.Sinks{History: store, Count: func(e twofactor.Event) {
		env.Metrics.Put(metric.Event(string(e.Type), string(e.Outcome), string(e.Method))...)
	}}
	if env.EventBus != "" {
		to.Bus = notify.Bus(env.EventBridge, env.EventBus)
	}
	if env.Mail.Queue != "" {
		to.Mails = notify.Queue(env.SQS, env.Mail.Queue)
	}
	if env.Failures != "" {
		to.Park = notify.Park(env.S3, env.Failures)
	}
	lambda.Start(metric.Job(env.Metrics, "notify", store.Used, notify.Records(to, dynamostore.DecodeRecord, env.Log)))
}
