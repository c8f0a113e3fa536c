package dynamostore

import (
	"crypto/rand"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
	"github.com/nightlatch/nightlatch/pkg/twofactor/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) twofactor.Store { return open(t) })
}

func open(t testing.TB) *Store {
	cfg := aws.Config{Region: "eu-central-1", BaseEndpoint: aws.String("http://127.0.0.1:8555"), Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")}
	name := rand.Text()
	s := New(cfg, Tables{"accounts-" + name, "history-" + name, "config-" + name})
	if err := CreateTables(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return s
}
