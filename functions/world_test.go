package functions_test

import (
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ses"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/needs"
)

const region = "eu-central-1"

// world is what a deployment sets up: three tables and the keysets, sealed by a key in KMS; a queue, a sender of mails, and
// secrets; and the functions, each a process of its own which reaches services through gates of its own. Around it are
// people, and the identity service.
type world struct {
	tb        testing.TB
	tables    dynamostore.Tables
	dynamoDB  aws.Config
	moto      aws.Config // KMS, and the others
	store     *dynamostore.Store
	settings  map[string]string // what every function is told
	names     map[string]string // what a table, the queue or a secret is for, by its name
	functions map[string]*function
	persona   *persona
	lambda    string // URL of Lambda's own API, as far as a replay needs it
}

// function is a function that runs, and what it asks of others.
type function struct {
	*lambda
	dynamoDB, kms, others, lambdas *gate
}

func newWorld(tb testing.TB, policy string) *world {
	tb.Helper()
	shared := aws.Config{Region: region, Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")}
	w := &world{tb: tb, dynamoDB: shared, moto: shared, functions: map[string]*function{}, persona: newPersona(tb)}
	w.persona.webhook = func(e events.APIGatewayV2HTTPRequest) (response events.APIGatewayV2HTTPResponse, err error) {
		err = w.functions["identity-webhook"].call(e, timeout, &response)
		return response, err
	}
	api := httptest.NewServer(http.HandlerFunc(w.invokeNotify))
	tb.Cleanup(api.Close)
	w.lambda = api.URL
	w.dynamoDB.BaseEndpoint = aws.String(needs.DynamoDBLocal(tb))
	w.moto.BaseEndpoint = aws.String(needs.KMS(tb)) // which imitates the others as well
	w.tables, w.store = newTables(tb, w.dynamoDB)

	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	ctx, mine := tb.Context(), rand.Text()
	key, err := kms.NewFromConfig(w.moto).CreateKey(ctx, &kms.CreateKeyInput{})
	must(err)
	kek := keyring.KMS(w.moto, *key.KeyMetadata.Arn)
	must(keyring.Create(ctx, w.store, kek, keyring.Purposes()...))
	must(w.store.Join(ctx, purposes()...))
	queue, err := sqs.NewFromConfig(w.moto).CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("mails-" + mine)})
	must(err)
	bucket := "failures-" + strings.ToLower(mine)
	_, err = s3.NewFromConfig(w.moto, func(o *s3.Options) { o.UsePathStyle = true }).CreateBucket(ctx, &s3.CreateBucketInput{
		Bucket: &bucket, CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: region},
	})
	must(err)
	_, err = eventbridge.NewFromConfig(w.moto).CreateEventBus(ctx, &eventbridge.CreateEventBusInput{Name: aws.String("bus-" + mine)})
	must(err)
	sender := "no-reply-" + mine + "@example.com"
	_, err = ses.NewFromConfig(w.moto).VerifyEmailIdentity(ctx, &ses.VerifyEmailIdentityInput{EmailAddress: &sender})
	must(err)
	secret := func(name, value string) string {
		tb.Helper()
		made, err := secretsmanager.NewFromConfig(w.moto).CreateSecret(ctx,
			&secretsmanager.CreateSecretInput{Name: aws.String(name + "-" + mine), SecretString: &value})
		must(err)
		return *made.ARN
	}
	w.settings = map[string]string{
		"AWS_REGION": region, "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_SESSION_TOKEN": "local",
		"NIGHTLATCH_ACCOUNTS_TABLE": w.tables.Accounts, "NIGHTLATCH_HISTORY_TABLE": w.tables.History,
		"NIGHTLATCH_CONFIG_TABLE": w.tables.Config, "NIGHTLATCH_KMS_KEY": *key.KeyMetadata.Arn, "NIGHTLATCH_POLICY": policy,
		"NIGHTLATCH_APP": "Example", "NIGHTLATCH_SUPPORT": "help@example.com", "NIGHTLATCH_ISSUER": issuer, "NIGHTLATCH_AUDIENCE": audience,
		"NIGHTLATCH_WEB": webURL, "NIGHTLATCH_MAIL_QUEUE": *queue.QueueUrl, "NIGHTLATCH_MAIL_FROM": "Example <" + sender + ">",
		"NIGHTLATCH_REVIEWERS": "reviewers@example.com", "NIGHTLATCH_PERSONA_URL": w.persona.url, "NIGHTLATCH_PERSONA_TEMPLATE": "itmpl_example",
		"NIGHTLATCH_PERSONA_SECRET": secret("persona", personaKey), "NIGHTLATCH_WEBHOOK_SECRET": secret("webhook", webhookSecret),
		"NIGHTLATCH_INQUIRY_URL": "https://app.withpersona.com/dashboard/inquiries/",
		"NIGHTLATCH_EVENT_BUS":   "bus-" + mine, "NIGHTLATCH_FAILURE_BUCKET": bucket, "NIGHTLATCH_NOTIFY_FUNCTION": notifyARN,
	}
	w.names = map[string]string{
		w.tables.Accounts: "accounts", w.tables.History: "history", w.tables.Config: "config", *queue.QueueUrl: "mails",
		"bus-" + mine: "bus", bucket: "failures", "nightlatch-notify": "notify",
		w.settings["NIGHTLATCH_PERSONA_SECRET"]: "persona", w.settings["NIGHTLATCH_WEBHOOK_SECRET"]: "webhook",
	}
	return w
}

const notifyARN = "arn:aws:lambda:" + region + ":111122223333:function:nightlatch-notify"

// invokeNotify is Lambda's API for one function (https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html).
func (w *world) invokeNotify(response http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/2015-03-31/functions/nightlatch-notify/invocations" ||
		!strings.Contains(r.Header.Get("Authorization"), "/"+region+"/lambda/aws4_request") {
		http.Error(response, "{}", http.StatusForbidden)
		return
	}
	o := w.functions["notify"].invoke(body, timeout)
	if o.err != nil {
		response.Header().Set("X-Amz-Function-Error", "Unhandled")
	}
	_, _ = response.Write(o.answer)
}

// endpoints tells a function where services are.
func endpoints(dynamoDB, kms, others, lambdas string) map[string]string {
	return map[string]string{
		"AWS_ENDPOINT_URL_DYNAMODB": dynamoDB, "AWS_ENDPOINT_URL_KMS": kms,
		"AWS_ENDPOINT_URL_SECRETS_MANAGER": others, "AWS_ENDPOINT_URL_SES": others, "AWS_ENDPOINT_URL_SQS": others,
		"AWS_ENDPOINT_URL_EVENTBRIDGE": others, "AWS_ENDPOINT_URL_LAMBDA": lambdas, "AWS_ENDPOINT_URL_S3": others,
	}
}

// newTables makes tables that are nobody else's.
func newTables(tb testing.TB, cfg aws.Config) (dynamostore.Tables, *dynamostore.Store) {
	tb.Helper()
	mine := rand.Text()
	tables := dynamostore.Tables{Accounts: "accounts-" + mine, History: "history-" + mine, Config: "config-" + mine}
	store := dynamostore.New(cfg, tables)
	if err := dynamostore.CreateTables(tb.Context(), store); err != nil {
		tb.Fatal(err)
	}
	return tables, store
}

// start starts a function. Settings that are given here replace the world's.
func (w *world) start(tb testing.TB, name string, settings map[string]string) *function {
	tb.Helper()
	f := &function{
		dynamoDB: newGate(tb, *w.dynamoDB.BaseEndpoint, w.names),
		kms:      newGate(tb, *w.moto.BaseEndpoint, w.names),
		others:   newGate(tb, *w.moto.BaseEndpoint, w.names),
		lambdas:  newGate(tb, w.lambda, w.names),
	}
	environment := endpoints(f.dynamoDB.url, f.kms.url, f.others.url, f.lambdas.url)
	for _, some := range []map[string]string{w.settings, settings} {
		for variable, value := range some {
			environment[variable] = value
		}
	}
	f.lambda = startLambda(tb, name, program(tb, name), environment)
	return f
}

// startAll starts every function.
func (w *world) startAll() {
	w.tb.Helper()
	for _, name := range names(w.tb) {
		w.functions[name] = w.start(w.tb, name, nil)
	}
}
