package needs

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
)

var anyone = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "anyone", SecretAccessKey: "anything"}, nil
})

func dynamoDBAt(endpoint string) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{BaseEndpoint: &endpoint, Region: "eu-central-1", Credentials: anyone, RetryMaxAttempts: 1})
}

// tables are the names of all tables there.
func tables(t *testing.T, endpoint string) []string {
	t.Helper()
	out, err := dynamoDBAt(endpoint).ListTables(t.Context(), &dynamodb.ListTablesInput{})
	if err != nil {
		t.Fatal(err)
	}
	return out.TableNames
}

func TestDynamoDBLocal(t *testing.T) {
	t.Parallel()
	shared := DynamoDBLocal(t)
	if again := DynamoDBLocal(t); again != shared {
		t.Errorf("the second call starts another one: %q, then %q", shared, again)
	}
	_, err := dynamoDBAt(shared).CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName:            aws.String("needs"),
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("k"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("k"), KeyType: types.KeyTypeHash}},
		BillingMode:          types.BillingModePayPerRequest,
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"needs"}, tables(t, shared)); diff != "" {
		t.Errorf("tables of the shared one (-want +got):\n%s", diff)
	}

	var own string
	t.Run("own", func(t *testing.T) {
		own = NewDynamoDBLocal(t)
		if got := tables(t, own); len(got) > 0 {
			t.Errorf("a new one has tables %v", got)
		}
	})
	if call, err := net.Dial("tcp", strings.TrimPrefix(own, "http://")); err == nil {
		call.Close()
		t.Error("a test's own one outlives the test")
	}
}

// Two processes may choose the same port at the same time. The one that comes too late takes another.
func TestDynamoDBLocalPortTaken(t *testing.T) {
	t.Parallel()
	java, dir := dynamoDB(t)
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	taken := l.Addr().(*net.TCPAddr).Port
	noPort := errors.New("no port")

	tests := []struct {
		name  string
		java  string
		ports func(call int) (int, error)
		calls int
		want  string // what the error tells
	}{
		{"once", java, func(call int) (int, error) {
			if call == 1 {
				return taken, nil
			}
			return freePort()
		}, 2, ""},
		{"each time", java, func(int) (int, error) { return taken, nil }, 3, "Address already in use"},
		{"there is none", java, func(int) (int, error) { return 0, noPort }, 1, "no port"},
		{"the program does not start for another reason", "/no/such-java", func(int) (int, error) { return freePort() }, 1, "such-java"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			s, err := startDynamoDB(test.java, dir, func() (int, error) { calls++; return test.ports(calls) })
			if err == nil {
				tables(t, s.endpoint)
				s.stop()
			}
			switch {
			case (err == nil) != (test.want == ""), err != nil && !strings.Contains(err.Error(), test.want):
				t.Errorf("error %v, want it to tell %q", err, test.want)
			case calls != test.calls:
				t.Errorf("asked for %d ports, want %d", calls, test.calls)
			}
		})
	}
}
