// Identity-webhook hears from Persona that an identity check has moved, and asks it what that has come to.
package main

import (
	"log"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/environment"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/identity"
	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

func main() {
	env := environment.Must(environment.ToHearPersona)
	store := dynamostore.New(env.DynamoDB, env.Tables)
	keys := keyring.New(store, keyring.KMS(env.KMS, env.KMSKey), time.Now, keyring.IDs, keyring.Contact)
	persona, err := identity.New(identity.Config{
		URL: env.Persona.URL, Template: env.Persona.Template, ReturnTo: env.Persona.ReturnTo,
		APIKey: identity.NewSecrets(identity.SecretsManager(env.SecretsManager, env.Persona.APIKey), time.Now),
	})
	if err != nil {
		log.Fatal(err)
	}
	webhook := identity.NewSecrets(identity.SecretsManager(env.SecretsManager, env.Persona.WebhookSecret), time.Now)
	lambda.Start(handler.IdentityWebhook(handler.Deps{
		Service:  &twofactor.Service{Store: store, Policy: env.Policy, Keys: keys.Rules, Fence: keys.Fence, Now: time.Now},
		Keys:     keys.Tokens,
		Identity: identity.Checks{Client: persona},
		Webhook:  identity.Webhooks(webhook),
		Log:      env.Log, Metrics: env.Metrics, Used: store.Used,
	}))
}
