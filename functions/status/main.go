// Status says how an account stands, and what has happened to it. It opens no key.
package main

import (
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/environment"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/metric"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

func main() {
	env := environment.Must()
	store := dynamostore.New(env.DynamoDB, env.Tables)
	fences := twofactor.NewFences(store.LoadConfig, time.Now, metric.Failed("fence", api.MetricKeysetFailures))
	lambda.Start(handler.Status(handler.Deps{
		Service:  &twofactor.Service{Store: store, Policy: env.Policy, Fence: fences.At, Now: time.Now},
		Settings: env.Settings,
		Log:      env.Log, Metrics: env.Metrics, Used: store.Used,
	}))
}
