package mail

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

func message(t *testing.T, id string, job twofactor.MailJob) events.SQSMessage {
	t.Helper()
	body, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	return events.SQSMessage{MessageId: id, Body: string(body)}
}

func reported(r events.SQSEventResponse) []string {
	var ids []string
	for _, f := range r.BatchItemFailures {
		ids = append(ids, f.ItemIdentifier)
	}
	return ids
}

// TestQueue: each job is done by itself, and what is not done is reported, whatever the reason.
func TestQueue(t *testing.T) {
	t.Parallel()
	job := func(event string) twofactor.MailJob {
		return twofactor.MailJob{User: "alice", Event: event, At: time.Unix(1767603600, 0).UTC(), Kind: "locked", To: twofactor.MailToUser, IP: "203.0.113.7"}
	}
	fails := map[string]error{
		"refused": fmt.Errorf("%w: %w", ErrRejected, &smithy.GenericAPIError{Code: "MessageRejected", Message: "not verified: alice@example.com"}),
		"no kind": fmt.Errorf("%w: kind", ErrContent),
		"later":   errors.New("mail: throttled"),
	}
	var done []twofactor.MailJob
	var log bytes.Buffer
	queue := Queue(func(_ context.Context, j twofactor.MailJob) error {
		if err := fails[j.Event]; err != nil {
			return err
		}
		done = append(done, j)
		return nil
	}, slog.New(slog.NewTextHandler(&log, nil)))
	answer, err := queue(t.Context(), events.SQSEvent{Records: []events.SQSMessage{
		message(t, "1", job("first")), message(t, "2", job("refused")), message(t, "3", job("no kind")), message(t, "4", job("later")),
		{MessageId: "5", Body: "alice@example.com"}, {MessageId: "6", Body: `{"user":"alice","much":"newer"}`}, message(t, "7", job("last")),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"2", "3", "4", "5", "6"}, reported(answer)); diff != "" {
		t.Errorf("reported (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]twofactor.MailJob{job("first"), job("last")}, done); diff != "" {
		t.Errorf("done (-want +got):\n%s", diff)
	}
	said := log.String()
	if got := strings.Count(said, "mail not sent"); got != 5 || strings.Count(said, "for_good=true") != 2 || !strings.Contains(said, "MessageRejected") {
		t.Errorf("%d failures are logged, want 5, two of them for good, and why:\n%s", got, said)
	}
	if strings.Contains(said, "alice") {
		t.Errorf("the log says whom the mail is to:\n%s", said)
	}
}

// TestQueueNothing: the report is a list also where nothing failed. Lambda takes another for a failure of all.
func TestQueueNothing(t *testing.T) {
	t.Parallel()
	answer, err := Queue(nil, slog.New(slog.DiscardHandler))(t.Context(), events.SQSEvent{})
	text, _ := json.Marshal(answer)
	if err != nil || string(text) != `{"batchItemFailures":[]}` {
		t.Errorf("got %s, %v", text, err)
	}
}

// TestQueueInTime: a sender that hangs ends before the function is killed, and what was not tried is reported, too.
func TestQueueInTime(t *testing.T) {
	t.Parallel()
	var tried int
	queue := Queue(func(ctx context.Context, _ twofactor.MailJob) error {
		tried++
		if left, ok := ctx.Deadline(); !ok || time.Until(left) > 9*time.Hour+59*time.Minute+59500*time.Millisecond {
			t.Errorf("until %v, want half a second less than the function has", left)
		}
		return nil
	}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Hour)
	defer cancel()
	both := events.SQSEvent{Records: []events.SQSMessage{message(t, "1", twofactor.MailJob{}), message(t, "2", twofactor.MailJob{})}}
	if answer, err := queue(ctx, both); err != nil || len(answer.BatchItemFailures) > 0 || tried != 2 {
		t.Errorf("in time: %v, %v after %d", answer, err, tried)
	}
	over, cancel := context.WithTimeout(t.Context(), spare/2)
	defer cancel()
	if answer, err := queue(over, both); err != nil || len(answer.BatchItemFailures) != 2 || tried != 2 {
		t.Errorf("with no time left: %v, %v after %d", answer, err, tried)
	}
}
