package notify_test

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/notify"
)

// FuzzReplay: of whatever is kept in the bucket, what notify has not taken stays there, and notify is handed nothing but
// versions of accounts.
func FuzzReplay(f *testing.F) {
	f.Add(written(kept("alice", 1)), true)
	f.Add(given(kept("alice", 1), kept("alice", 2)), true)
	f.Add(given(kept("damaged", 1)), false)
	f.Add(given(), true)
	f.Add(`{"payload":{"Records":[{"dynamodb":{"NewImage":{"user":{"S":"u"},"schema":{"N":"1"},"version":{"N":"1"},"writes":{"B":"AAAAAAAAAAAAAAAA"}}}}]}}`, false)
	f.Add(`{"eventID":"1","dynamodb":{"SequenceNumber":"1","NewImage":{"user":{"S":"u"},"schema":{"N":"1"},"version":{"N":"1"}}}}`, true)
	f.Add(`{"eventID":"1","dynamodb":{"SequenceNumber":"1","NewImage":{"user":{"S":"u"},"schema":{"N":"1"},"version":{"N":"1"}}}}`, false)
	f.Add(`{"payload":"{\"Records\":[null,{}]}"}`, true)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	f.Fuzz(func(t *testing.T, object string, takes bool) {
		s := &shelf{objects: map[string]string{"aws/lambda/1": object}}
		handed := 0
		invoke := func(_ context.Context, e events.DynamoDBEvent) (report events.DynamoDBEventResponse, err error) {
			for _, r := range e.Records {
				handed++
				if version, ok, err := dynamostore.DecodeRecord(r); err != nil || !ok || version.User.Validate() != nil {
					t.Errorf("%s: notify is handed %+v, %v", object, version, err)
				}
				if !takes {
					report.BatchItemFailures = append(report.BatchItemFailures, events.DynamoDBBatchItemFailure{ItemIdentifier: r.Change.SequenceNumber})
				}
			}
			return report, nil
		}
		told, err := notify.Replay(s.bucket(), dynamostore.DecodeRecord, invoke, log)(t.Context(), false, "")
		_, stays := s.objects["aws/lambda/1"]
		switch {
		case handed > 0 && !takes && !stays:
			t.Errorf("%s was not taken, and is gone: %+v, %v", object, told, err)
		case told.Removed == 1 == stays || told.Removed > 1:
			t.Errorf("%s is there: %v, but %+v", object, stays, told)
		}
	})
}
