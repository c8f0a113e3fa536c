// Sweep moves on what time has made due, and asks after identity checks of which nothing was heard.
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
	env := environment.Must(environment.ToAskPersona)
	store := dynamostore.New(env.DynamoDB, env.Tables)
	keys := keyring.New(store, keyring.KMS(env.KMS, env.KMSKey), time.Now, keyring.Contact)
	persona, err := identity.New(identity.Config{
		URL: env.Persona.URL, Template: env.Persona.Template, ReturnTo: env.Persona.ReturnTo,
		APIKey: identity.NewSecrets(identity.SecretsManager(env.SecretsManager, env.Persona.APIKey), time.Now),
	})
	if err != nil {
		log.Fatal(err)
	}
	lambda.Start(handler.Sweep(handler.Deps{
		Service:  &twofactor.Service{Store: store, Policy: env.Policy, Keys: keys.Rules, Fence: keys.Fence, Now: time.Now},
		Identity: identity.Checks{Client: persona},
		Log:      env.Log, Metrics: env.Metrics, Used: store.Used,
	}))
}
