// Reset-review is where reviewers see who waits to be let in again, and decide.
package main

import (
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/environment"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

func main() {
	env := environment.Must()
	store := dynamostore.New(env.DynamoDB, env.Tables)
	keys := keyring.New(store, keyring.KMS(env.KMS, env.KMSKey), time.Now, keyring.IDs, keyring.Contact)
	lambda.Start(handler.ResetReview(handler.Deps{
		Service:  &twofactor.Service{Store: store, Policy: env.Policy, Keys: keys.Rules, Fence: keys.Fence, Now: time.Now},
		Keys:     keys.Tokens,
		Settings: env.Settings,
		Log:      env.Log, Metrics: env.Metrics, Used: store.Used,
	}))
}
