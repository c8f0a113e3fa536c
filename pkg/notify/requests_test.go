package notify_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/notify"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// TestMailWithoutRow: Lambda delivers again all that follows a failure, for up to twelve hours. A mail that has no row in the
// history is not asked for each time; nor is it lost.
func TestMailWithoutRow(t *testing.T) {
	t.Parallel()
	asks := func(user twofactor.UserID, n int64) twofactor.Version {
		v := version(user, n, twofactor.EventMailRequested)
		v.Events[0].Reason = "reset_requested"
		return v
	}
	// Before, between and after the records of alice's, of which one is of what has happened.
	batch := []any{asks("bob", 1), version("alice", 1, twofactor.EventDisabled), asks("carol", 1), asks("alice", 2), asks("bob", 2)}
	tests := map[string]struct {
		batch []any // instead of that; "?" is garbage
		fails string
		want  []string
	}{
		"nothing fails":               {want: []string{"alice-2-0", "bob-1-0", "bob-2-0", "carol-1-0"}},
		"the history":                 {fails: "history", want: []string{"bob-1-0"}},
		"the bus":                     {fails: "bus", want: []string{"bob-1-0"}},
		"the queue":                   {fails: "queue", want: []string{"bob-1-0"}},
		"a record that is not parked": {batch: []any{asks("bob", 1), "?", asks("carol", 1)}, want: []string{"bob-1-0"}},
		"the first":                   {batch: []any{"?", asks("carol", 1)}},
		"the last":                    {batch: []any{asks("carol", 1), "?"}, want: []string{"carol-1-0"}},
		"a replay of it":              {fails: "replay", want: []string{"bob-1-0", "bob-2-0", "carol-1-0"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.batch == nil {
				test.batch = batch
			}
			var s stream
			for _, r := range test.batch {
				if v, ok := r.(twofactor.Version); ok {
					s.add(&v, "")
				} else {
					s.add(nil, garbage)
				}
			}
			if test.fails == "replay" {
				for i := range s.records {
					s.records[i].EventSource = "nightlatch:replay"
				}
			}
			var mu sync.Mutex
			var asked []string
			_, err := notify.Records(notify.Sinks{
				History: &history{fault: func(user twofactor.UserID, write string, _ bool) error {
					if (test.fails == "history" || test.fails == "replay") && user == "alice" {
						return errFault
					}
					return nil
				}},
				Bus: func(context.Context, []twofactor.Version) map[twofactor.UserID]error {
					if test.fails == "bus" {
						return map[twofactor.UserID]error{"alice": errFault}
					}
					return nil
				},
				Mails: func(_ context.Context, jobs []twofactor.MailJob) error {
					mu.Lock()
					defer mu.Unlock()
					for _, job := range jobs {
						switch {
						case test.fails == "queue" && job.Kind == string(twofactor.EventDisabled):
							return errFault
						case job.Kind == "reset_requested" && job.To == twofactor.MailToUser:
							asked = append(asked, job.Event)
						}
					}
					return nil
				},
			}, s.decode, silent)(t.Context(), events.DynamoDBEvent{Records: s.records})
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(asked)
			if diff := cmp.Diff(test.want, asked); diff != "" {
				t.Errorf("asked for (-want +got):\n%s", diff)
			}
		})
	}
}
