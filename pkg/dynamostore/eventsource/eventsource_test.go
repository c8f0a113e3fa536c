package eventsource

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/needs"
	"github.com/nightlatch/nightlatch/pkg/notify"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// a table with a stream, on a real DynamoDB.
type table struct {
	*dynamostore.Store
	t      *testing.T
	config aws.Config
	name   string
}

func newTable(t *testing.T) *table {
	t.Helper()
	name := rand.Text()
	config := aws.Config{
		Region: "local", BaseEndpoint: aws.String(needs.DynamoDBLocal(t)),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}
	s := dynamostore.New(config, dynamostore.Tables{Accounts: name, History: name + "-history", Config: name + "-config"})
	if err := dynamostore.CreateTables(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return &table{s, t, config, name}
}

// write stores versions of a user's account, each with an event that no other has.
func (tab *table) write(user twofactor.UserID, versions int) (ids []string) {
	tab.t.Helper()
	for range versions {
		a, err := tab.Load(tab.t.Context(), user)
		if err != nil {
			tab.t.Fatal(err)
		}
		a.Schema, a.Version = twofactor.Schema, a.Version+1
		a.Events = []twofactor.Event{{ID: fmt.Sprintf("v%012d", a.Version), At: time.UnixMilli(a.Version).UTC(), Type: twofactor.EventCheck}}
		if err := tab.Replace(tab.t.Context(), a); err != nil {
			tab.t.Fatal(err)
		}
		ids = append(ids, a.Events[0].ID)
	}
	return ids
}

// feed runs the function on the stream until it says that it has seen enough.
func (tab *table) feed(function func(events.DynamoDBEvent) (r events.DynamoDBEventResponse, enough bool, err error)) {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.t.Context(), time.Minute)
	defer cancel()
	enough := errors.New("enough")
	ctx, end := context.WithCancelCause(ctx)
	err := Run(ctx, tab.config, tab.name, slog.New(slog.DiscardHandler), func(_ context.Context, e events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
		r, done, err := function(e)
		if done {
			end(enough)
		}
		return r, err
	})
	if !errors.Is(err, context.Canceled) || !errors.Is(context.Cause(ctx), enough) {
		tab.t.Fatalf("Run: %v, %v", err, context.Cause(ctx))
	}
}

func failing(r events.DynamoDBEventRecord) events.DynamoDBEventResponse {
	return events.DynamoDBEventResponse{BatchItemFailures: []events.DynamoDBBatchItemFailure{{ItemIdentifier: r.Change.SequenceNumber}}}
}

// versionOf names the version that a record holds: user and version; nothing for the sentinel.
func versionOf(t *testing.T, r events.DynamoDBEventRecord) string {
	t.Helper()
	v, ok, err := dynamostore.DecodeRecord(r)
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s %d", v.User, v.Version)
}

// TestOrder: every version comes, once if nothing fails, those of a user in order, at most 100 at a time.
func TestOrder(t *testing.T) {
	t.Parallel()
	const users, versions = 3, 120
	tab := newTable(t)
	for user := range users {
		tab.write(twofactor.UserID(fmt.Sprint("user ", user)), versions)
	}
	var seen []string
	tab.feed(func(e events.DynamoDBEvent) (r events.DynamoDBEventResponse, enough bool, err error) {
		if len(e.Records) > 100 {
			t.Errorf("%d records at once", len(e.Records))
		}
		for _, rec := range e.Records {
			if v := versionOf(t, rec); v != "" {
				seen = append(seen, v)
			}
			if rec.EventSourceArn == "" || rec.Change.SequenceNumber == "" || rec.Change.StreamViewType != "NEW_IMAGE" {
				t.Errorf("a record without source, sequence number or view: %+v", rec)
			}
		}
		return r, len(seen) >= users*versions, nil
	})
	var want []string
	for user := range users {
		for version := range versions {
			want = append(want, fmt.Sprintf("user %d %d", user, version+1))
		}
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
}

// TestFailures: what was reported as failed comes again, with all that follows and nothing of what came before; after an
// error, or a report that makes no sense, everything does.
func TestFailures(t *testing.T) {
	t.Parallel()
	tab := newTable(t)
	tab.write("u", 5)
	var batches []string
	tab.feed(func(e events.DynamoDBEvent) (r events.DynamoDBEventResponse, enough bool, err error) {
		var versions []string
		for _, rec := range e.Records {
			versions = append(versions, strings.TrimPrefix(versionOf(t, rec), "u "))
		}
		batches = append(batches, strings.Join(versions, ","))
		switch len(batches) {
		case 1:
			return r, false, errors.New("no")
		case 2:
			return failing(e.Records[3]), false, nil
		case 3:
			r = failing(e.Records[2])
			r.BatchItemFailures = append(r.BatchItemFailures, failing(e.Records[1]).BatchItemFailures...)
			return r, false, nil
		case 4:
			return events.DynamoDBEventResponse{BatchItemFailures: []events.DynamoDBBatchItemFailure{{}}}, false, nil
		}
		return r, true, nil
	})
	want := []string{",1,2,3,4,5", ",1,2,3,4,5", "3,4,5", "4,5", "4,5"} // the first is the sentinel
	if diff := cmp.Diff(want, batches); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
}

func TestTaken(t *testing.T) {
	t.Parallel()
	batch := make([]events.DynamoDBEventRecord, 4)
	for i := range batch {
		batch[i].Change.SequenceNumber = fmt.Sprint(100 + i)
	}
	for _, test := range []struct {
		failures string
		err      error
		want     int
	}{
		{"", nil, 4}, {"100", nil, 0}, {"103", nil, 3}, {"103 101 102", nil, 1}, {"102 nonsense", nil, 0}, {"", errors.New("no"), 0},
	} {
		var r events.DynamoDBEventResponse
		for _, id := range strings.Fields(test.failures) {
			r.BatchItemFailures = append(r.BatchItemFailures, events.DynamoDBBatchItemFailure{ItemIdentifier: id})
		}
		if got := taken(batch, r, test.err); got != test.want {
			t.Errorf("failures %q, error %v: %d taken, want %d", test.failures, test.err, got, test.want)
		}
	}
}

// TestHistory: two sources at once feed the function that writes the history, whose store fails every third time, before
// or after it has stored: so batches come again in parts and twice over, and the history is exactly what happened.
func TestHistory(t *testing.T) {
	t.Parallel()
	const users, versions = 8, 40
	tab := newTable(t)
	var wait sync.WaitGroup
	ctx, end := context.WithCancel(t.Context())
	for range 2 {
		function := notify.Records(notify.Sinks{History: &flaky{tab.Store}}, dynamostore.DecodeRecord, slog.New(slog.DiscardHandler))
		wait.Go(func() {
			if err := Run(ctx, tab.config, tab.name, slog.New(slog.DiscardHandler), function); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	want := map[twofactor.UserID][]string{}
	for user := range users {
		id := twofactor.UserID(fmt.Sprint("user ", user))
		want[id] = tab.write(id, versions)
	}
	for user, ids := range want {
		var got []string
		for end := time.Now().Add(30 * time.Second); len(got) < len(ids) && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			page, err := tab.History(t.Context(), user, twofactor.Page{Limit: 2 * versions})
			if err != nil {
				t.Fatal(err)
			}
			got = nil
			for _, e := range page.Events {
				got = append([]string{e.ID}, got...) // newest first
			}
		}
		if diff := cmp.Diff(ids, got); diff != "" {
			t.Errorf("history of %s (-want +got):\n%s", user, diff)
		}
	}
	end()
	wait.Wait()
}

// flaky is a store whose every third call fails, before or after it is done.
type flaky struct{ notify.HistoryStore }

var errFlaky = errors.New("flaky")

func (f *flaky) Append(ctx context.Context, user twofactor.UserID, events []twofactor.Event) error {
	switch mathrand.N(6) {
	case 0:
		return errFlaky
	case 1:
		return errors.Join(f.HistoryStore.Append(ctx, user, events), errFlaky)
	}
	return f.HistoryStore.Append(ctx, user, events)
}

// TestNoStream: a table that is not there, or has no stream, is told at the beginning.
func TestNoStream(t *testing.T) {
	t.Parallel()
	tab := newTable(t)
	for _, name := range []string{"nothing-" + tab.name, tab.name + "-history"} {
		err := Run(t.Context(), tab.config, name, slog.New(slog.DiscardHandler), nil)
		if err == nil || !strings.Contains(err.Error(), "stream of table "+name) {
			t.Errorf("stream of %s: %v", name, err)
		}
	}
}
