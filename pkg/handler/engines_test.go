package handler_test

import (
	"crypto/rand"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/nightlatch/nightlatch/pkg/boltstore"
	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/needs"
)

// engines are those the handlers run on. Each function opens an empty one, with keys.
var engines = []struct {
	name string
	open func(testing.TB) engine
}{
	{"bolt", openBolt},
	{"dynamodb", openDynamoDB},
}

// onEachEngine runs a test in a world over each engine.
func onEachEngine(t *testing.T, preset string, test func(*testing.T, *world)) {
	t.Parallel()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			test(t, newWorldOn(t, e.open(t), `{"preset":"`+preset+`"}`))
		})
	}
}

func openBolt(t testing.TB) engine {
	t.Helper()
	store, err := boltstore.Open(filepath.Join(t.TempDir(), "nightlatch.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return withKeys(t, store)
}

func openDynamoDB(t testing.TB) engine {
	t.Helper()
	return withKeys(t, openTables(t, newTables(t), http.NewBuildableClient()))
}

// newTables makes tables in a DynamoDB on this machine.
func newTables(t testing.TB) dynamostore.Tables {
	t.Helper()
	name := rand.Text()
	tables := dynamostore.Tables{Accounts: name + "-accounts", History: name + "-history", Config: name + "-config"}
	if err := dynamostore.CreateTables(t.Context(), openTables(t, tables, http.NewBuildableClient())); err != nil {
		t.Fatal(err)
	}
	return tables
}

// openTables is a store in them, which are reached through client. It has time: this machine may be busy.
func openTables(t testing.TB, tables dynamostore.Tables, client dynamodb.HTTPClient) *dynamostore.Store {
	t.Helper()
	return dynamostore.New(local(t), tables, func(o *dynamodb.Options) { o.HTTPClient = client }, dynamostore.Patient)
}

// local is how a DynamoDB on this machine is reached.
func local(t testing.TB) aws.Config {
	t.Helper()
	return aws.Config{
		Region: "eu-central-1", BaseEndpoint: aws.String(needs.DynamoDBLocal(t)),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}
}

func withKeys(t testing.TB, store engine) engine {
	t.Helper()
	if err := keyring.Create(t.Context(), store, kek(t), keyring.Purposes()...); err != nil {
		t.Fatal(err)
	}
	return store
}
