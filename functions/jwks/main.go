// Jwks publishes the keys that assertions are verified with. It opens no key: they are public.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/environment"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/keyring"
)

func main() {
	env := environment.Must()
	store := dynamostore.New(env.DynamoDB, env.Tables)
	lambda.Start(handler.JWKS(handler.Deps{
		JWKS: func(ctx context.Context) ([]byte, error) { return keyring.LoadJWKS(ctx, store) },
		Log:  env.Log, Metrics: env.Metrics, Used: store.Used,
	}))
}
