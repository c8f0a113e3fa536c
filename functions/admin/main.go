// Admin is what an operator can do: to somebody's account, after a restore, and for what notify could not take. Of keys it opens
// that of contacts, for whoever asks what is kept about them, and that of authenticators, for those that are brought along.
package main

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/environment"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/metric"
	"github.com/nightlatch/nightlatch/pkg/notify"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

func main() {
	env := environment.Must()
	store := dynamostore.New(env.DynamoDB, env.Tables)
	keys := keyring.New(store, keyring.KMS(env.KMS, env.KMSKey), time.Now, keyring.TOTP, keyring.Contact)
	fences := twofactor.NewFences(store.LoadConfig, time.Now, metric.Failed("fence", api.MetricKeysetFailures))
	deps := handler.Deps{
		Service:  &twofactor.Service{Store: store, Policy: env.Policy, Keys: keys.Rules, Fence: fences.At, Now: time.Now},
		Settings: env.Settings,
		Log:      env.Log, Metrics: env.Metrics, Used: store.Used,
		RaiseFence: func(ctx context.Context, at time.Time, by twofactor.Operator) (time.Time, error) {
			return fences.Raise(ctx, store.ReplaceConfig, at, by)
		},
	}
	if env.Failures != "" && env.Notify != "" {
		deps.Replay = notify.Replay(notify.S3(env.S3, env.Failures), dynamostore.DecodeRecord, notify.Invoke(env.Lambda, env.Notify, time.Now), env.Log)
	}
	lambda.Start(handler.Admin(deps))
}
