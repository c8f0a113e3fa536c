package dynamostore

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// What is stored is read by later releases. So the account in which everything is set, which is written out in
// ../boltstore/format_test.go and stored by that engine in ../boltstore/testdata, is kept as it is stored here. What to do
// when a test fails on it is said there: a field that was added is added to the files; no line of them is ever changed
// or removed.

const whatToDo = "what to do is said in ../boltstore/format_test.go"

// TestFormat: an account in which everything is set is stored as it was before, and read.
func TestFormat(t *testing.T) {
	t.Parallel()
	var want twofactor.Account
	plainly(t, "../boltstore/testdata/account.json", &want)
	got, err := decodeAccount("alice", fixture(t, "testdata/account.json"))
	if diff := cmp.Diff(&want, got); diff != "" || err != nil {
		t.Errorf("what was stored is read as %v (-want +got), %s:\n%s", err, whatToDo, diff)
	}
	now, err := encodeAccount(&want, "eu-central-1")
	if diff := cmp.Diff(fixture(t, "testdata/account.json"), now, asStored); diff != "" || err != nil {
		t.Errorf("stored in another way, %v (-want +got), %s:\n%s", err, whatToDo, diff)
	}
}

// TestHistoryFormat: so is a row of the history.
func TestHistoryFormat(t *testing.T) {
	t.Parallel()
	var want twofactor.Event
	plainly(t, "../boltstore/testdata/event.json", &want)
	s := open(t)
	byHand(t, s, s.tables.History, fixture(t, "testdata/event.json"))
	wantHistory(t, s, "alice", []twofactor.Event{want})

	s = open(t)
	if err := s.Append(t.Context(), "alice", []twofactor.Event{want}); err != nil {
		t.Fatal(err)
	}
	rows, err := s.query(t.Context(), s.historyOf("alice"))
	if diff := cmp.Diff([]item{fixture(t, "testdata/event.json")}, rows, asStored); diff != "" || err != nil {
		t.Errorf("stored in another way, %v (-want +got), %s:\n%s", err, whatToDo, diff)
	}
}

// plainly reads plain JSON.
func plainly(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// fixture reads an item in DynamoDB's JSON, as `aws dynamodb put-item` takes it.
func fixture(t *testing.T, file string) item {
	t.Helper()
	var r events.DynamoDBEventRecord
	plainly(t, file, &r.Change.NewImage)
	i, err := image(r)
	if err != nil {
		t.Fatal(err)
	}
	return i
}
