// Mailer writes the mails that notify has asked for, and sends them.
package main

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/environment"
	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/mail"
	"github.com/nightlatch/nightlatch/pkg/metric"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

func main() {
	env := environment.Must(environment.ToSendMails)
	store := dynamostore.New(env.DynamoDB, env.Tables)
	keys := keyring.New(keyring.ReadOnly(store.LoadConfig), keyring.KMS(env.KMS, env.KMSKey), time.Now, keyring.Contact, keyring.Links)
	ses := mail.NewSES(env.SES, env.Mail.From, env.Mail.ConfigurationSet)
	mailer := &mail.Mailer{
		Load: store.Load,
		Rules: func(ctx context.Context) (twofactor.Rules, error) {
			keys, err := keys.Rules(ctx)
			return twofactor.Rules{Policy: env.Policy, Keys: keys}, err
		},
		Send: func(ctx context.Context, to string, m mail.Message, tags map[string]string) error {
			_, err := ses.Send(ctx, to, m, tags)
			return err
		},
		Count: func(outcome string) {
			env.Metrics.Put(metric.Count(api.MetricMails, metric.Dimension{Name: api.DimensionOutcome, Value: outcome}))
		},
		Now: time.Now, Mailed: store.Mailed, MarkMailed: store.MarkMailed,
		App: env.Settings.App, Support: env.Settings.Support, Web: env.Web,
		Words: mail.WordsOf(env.Mail.Words), Reviewers: env.Mail.Reviewers,
	}
	lambda.Start(metric.Job(env.Metrics, "mailer", store.Used, mail.Queue(mailer.Do, env.Log)))
}
