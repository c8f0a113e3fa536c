// Keys makes the keysets when the service is deployed, and rotates them. It alone seals, and writes keysets.
package main

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/environment"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/thaw"
)

func main() {
	env := environment.Must()
	store, kek := dynamostore.New(env.DynamoDB, env.Tables), keyring.KMS(env.KMS, env.KMSKey)
	lambda.Start(handler.Keys(handler.KeyDeps[keyring.Purpose, keyring.Step]{
		Exist:    func(ctx context.Context) (bool, error) { return keyring.Exists(ctx, store) },
		Deployed: store.Deployed, Begin: store.Begin,
		Create: func(ctx context.Context, made []keyring.Purpose) error {
			if err := keyring.Held(ctx, store, made...); err != nil {
				return err
			}
			return keyring.Create(ctx, store, kek, keyring.Purposes()...)
		},
		Join: func(ctx context.Context) error { return store.Join(ctx, purposes()...) },
		Rotate: func(ctx context.Context) (map[keyring.Purpose]keyring.Step, error) {
			return keyring.Rotate(ctx, store, kek, keyring.Purposes()...)
		},
		Renew: func(ctx context.Context, purposes ...keyring.Purpose) (map[keyring.Purpose]keyring.Step, error) {
			return keyring.Renew(ctx, store, kek, purposes...)
		},
		Answers: thaw.Client(2 * time.Second),
		Log:     env.Log, Metrics: env.Metrics, Used: store.Used,
	}))
}

func purposes() (all []string) {
	for _, p := range keyring.Purposes() {
		all = append(all, string(p))
	}
	return all
}
