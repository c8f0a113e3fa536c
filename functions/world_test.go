package functions_test

import (
	"crypto/rand"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/needs"
)

const region = "eu-central-1"

// world is what a deployment sets up: three tables and the keysets, sealed by a key in KMS; and the functions, each a
// process of its own which reaches DynamoDB and KMS through gates of its own.
type world struct {
	tb        testing.TB
	tables    dynamostore.Tables
	dynamoDB  aws.Config
	kms       aws.Config
	store     *dynamostore.Store
	settings  map[string]string // what every function is told
	functions map[string]*function
}

// function is a function that runs, and what it asks of others.
type function struct {
	*lambda
	dynamoDB, kms *gate
}

func newWorld(tb testing.TB, policy string) *world {
	tb.Helper()
	shared := aws.Config{Region: region, Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")}
	w := &world{tb: tb, dynamoDB: shared, kms: shared, functions: map[string]*function{}}
	w.dynamoDB.BaseEndpoint = aws.String(needs.DynamoDBLocal(tb))
	w.kms.BaseEndpoint = aws.String(needs.KMS(tb))
	w.tables, w.store = newTables(tb, w.dynamoDB)

	key, err := kms.NewFromConfig(w.kms).CreateKey(tb.Context(), &kms.CreateKeyInput{})
	if err != nil {
		tb.Fatal(err)
	}
	kek := keyring.KMS(w.kms, *key.KeyMetadata.Arn)
	if err := keyring.Create(tb.Context(), w.store, kek, keyring.Purposes()...); err != nil {
		tb.Fatal(err)
	}
	w.settings = map[string]string{
		"AWS_REGION": region, "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_SESSION_TOKEN": "local",
		"NIGHTLATCH_ACCOUNTS_TABLE": w.tables.Accounts, "NIGHTLATCH_HISTORY_TABLE": w.tables.History,
		"NIGHTLATCH_CONFIG_TABLE": w.tables.Config, "NIGHTLATCH_KMS_KEY": *key.KeyMetadata.Arn, "NIGHTLATCH_POLICY": policy,
		"NIGHTLATCH_APP": "Example", "NIGHTLATCH_SUPPORT": "help@example.com", "NIGHTLATCH_ISSUER": issuer, "NIGHTLATCH_AUDIENCE": audience,
	}
	return w
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
		dynamoDB: newGate(tb, *w.dynamoDB.BaseEndpoint, w.tables),
		kms:      newGate(tb, *w.kms.BaseEndpoint, w.tables),
	}
	environment := map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": f.dynamoDB.url, "AWS_ENDPOINT_URL_KMS": f.kms.url}
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
