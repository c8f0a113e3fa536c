// Admin is what an operator can do to somebody's account, and for what notify could not take. It opens no key.
package main

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/environment"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/notify"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

func main() {
	env := environment.Must()
	store := dynamostore.New(env.DynamoDB, env.Tables)
	deps := handler.Deps{
		Service:  &twofactor.Service{Store: store, Policy: env.Policy, Keys: noKeys, Now: time.Now},
		Settings: env.Settings,
		Log:      env.Log,
	}
	if env.Failures != "" && env.Notify != "" {
		deps.Replay = notify.Replay(notify.S3(env.S3, env.Failures), dynamostore.DecodeRecord, notify.Invoke(env.Lambda, env.Notify, time.Now), env.Log)
	}
	lambda.Start(handler.Admin(deps))
}

func noKeys(context.Context) (twofactor.Keys, error) { return twofactor.Keys{}, nil }
