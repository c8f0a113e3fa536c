package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nightlatch/nightlatch/pkg/notify"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// stream is what DynamoDB's stream holds: a version each, or nothing, or what cannot be decoded.
type stream struct {
	records  []events.DynamoDBEventRecord
	versions map[string]twofactor.Version // by sequence number
}

var errDecode = errors.New("of a newer schema")

const garbage = "garbage"

func (s *stream) add(v *twofactor.Version, image string) {
	if s.versions == nil {
		s.versions = map[string]twofactor.Version{}
	}
	r := events.DynamoDBEventRecord{EventID: fmt.Sprintf("event-%d", len(s.records))}
	r.Change.SequenceNumber = fmt.Sprint(1000 + len(s.records))
	r.Change.NewImage = map[string]events.DynamoDBAttributeValue{"image": events.NewStringAttribute(image)}
	if v != nil {
		s.versions[r.Change.SequenceNumber] = *v
	}
	s.records = append(s.records, r)
}

func (s *stream) decode(r events.DynamoDBEventRecord) (twofactor.Version, bool, error) {
	if r.Change.NewImage["image"].String() == garbage {
		return twofactor.Version{}, false, errDecode
	}
	v, ok := s.versions[r.Change.SequenceNumber]
	return v, ok, nil
}

// silent is for tests that look at something else.
var silent = slog.New(slog.DiscardHandler)

// reported lists the positions in the batch of the records that were reported.
func reported(t interface{ Fatalf(string, ...any) }, batch []events.DynamoDBEventRecord, r events.DynamoDBEventResponse) []int {
	positions := []int{}
	for _, f := range r.BatchItemFailures {
		at := slices.IndexFunc(batch, func(b events.DynamoDBEventRecord) bool { return b.Change.SequenceNumber == f.ItemIdentifier })
		if at < 0 {
			t.Fatalf("%q was reported, and is no record of the batch", f.ItemIdentifier)
		}
		positions = append(positions, at)
	}
	return positions
}

func TestRecords(t *testing.T) {
	t.Parallel()
	// Of each record: a version, nothing ("-"), or garbage ("?").
	tests := map[string]struct {
		records  []any
		fails    twofactor.UserID // whose history cannot be written
		reported []int
		want     map[twofactor.UserID][]string
	}{
		"nothing":                {reported: []int{}, want: map[twofactor.UserID][]string{}},
		"no account":             {records: []any{"-"}, reported: []int{}, want: map[twofactor.UserID][]string{}},
		"a batch":                {records: []any{version("a", 1, login), "-", version("b", 1, login), version("a", 2, check)}, reported: []int{}, want: map[twofactor.UserID][]string{"a": {"a-2-0", "a-1-0"}, "b": {"b-1-0"}}},
		"duplicates":             {records: []any{version("a", 1, login), version("a", 2, check), version("a", 1, login), version("a", 2, check)}, reported: []int{}, want: map[twofactor.UserID][]string{"a": {"a-2-0", "a-1-0"}}},
		"erased":                 {records: []any{version("a", 1, login), version("b", 1, login), version("a", 2, erased)}, reported: []int{}, want: map[twofactor.UserID][]string{"a": {"a-2-0"}, "b": {"b-1-0"}}},
		"one user fails":         {records: []any{version("b", 1, login), version("a", 1, login), version("b", 2, login), "-", version("a", 2, login)}, fails: "a", reported: []int{1, 4}, want: map[twofactor.UserID][]string{"b": {"b-2-0", "b-1-0"}}},
		"all fail":               {records: []any{version("a", 1, login), version("a", 2, login)}, fails: "a", reported: []int{0, 1}, want: map[twofactor.UserID][]string{}},
		"garbage":                {records: []any{version("a", 1, login), "?", version("b", 1, login)}, reported: []int{1}, want: map[twofactor.UserID][]string{"a": {"a-1-0"}, "b": {"b-1-0"}}},
		"garbage and a failure":  {records: []any{version("b", 1, login), "?", version("a", 1, login)}, fails: "a", reported: []int{1, 2}, want: map[twofactor.UserID][]string{"b": {"b-1-0"}}},
		"nothing but garbage":    {records: []any{"?", "?"}, reported: []int{0, 1}, want: map[twofactor.UserID][]string{}},
		"garbage beside nothing": {records: []any{"-", "?", "-"}, reported: []int{1}, want: map[twofactor.UserID][]string{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s stream
			for _, r := range test.records {
				switch r := r.(type) {
				case twofactor.Version:
					s.add(&r, "")
				case string:
					s.add(nil, strings.ReplaceAll(r, "?", garbage))
				}
			}
			store := &history{fault: func(user twofactor.UserID, _ string, _ bool) error {
				if user == test.fails {
					return errFault
				}
				return nil
			}}
			response, err := notify.Records(notify.Sinks{History: store}, s.decode, silent)(t.Context(), events.DynamoDBEvent{Records: s.records})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.reported, reported(t, s.records, response)); diff != "" {
				t.Errorf("reported (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.want, store.ids()); diff != "" {
				t.Errorf("history (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReport: the answer is what Lambda reads. An empty list is success; so is null, but an empty list says so.
func TestReport(t *testing.T) {
	t.Parallel()
	var s stream
	s.add(nil, garbage)
	tests := map[string]string{
		"none": `{"batchItemFailures":[]}`,
		"one":  `{"batchItemFailures":[{"itemIdentifier":"1000"}]}`,
	}
	for name, want := range tests {
		e := events.DynamoDBEvent{}
		if name == "one" {
			e.Records = s.records
		}
		response, err := notify.Records(notify.Sinks{History: &history{}}, s.decode, silent)(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(response); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v; want %s", name, got, err, want)
		}
	}
}

// TestLog: what was reported is told with its cause, and nothing of what records hold.
func TestLog(t *testing.T) {
	t.Parallel()
	var s stream
	v := version("alice@example.com", 1, login)
	v.Events[0].IP = "203.0.113.9"
	s.add(&v, "")
	s.add(nil, garbage)
	var log bytes.Buffer
	store := &history{fault: func(twofactor.UserID, string, bool) error { return errFault }}
	if _, err := notify.Records(notify.Sinks{History: store}, s.decode, slog.New(slog.NewJSONHandler(&log, nil)))(t.Context(), events.DynamoDBEvent{Records: s.records}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{errFault.Error(), errDecode.Error(), "event-1", "1001"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, &log)
		}
	}
	for _, never := range []string{"alice", "203.0.113.9", garbage} {
		if strings.Contains(log.String(), never) {
			t.Errorf("the log says %q:\n%s", never, &log)
		}
	}
}

// waiting is a store that writes nothing until ctx ends.
type waiting struct{}

func (waiting) Append(ctx context.Context, _ twofactor.UserID, _ []twofactor.Event) error {
	<-ctx.Done()
	return ctx.Err()
}

func (w waiting) HistoryAfter(ctx context.Context, user twofactor.UserID, _ twofactor.Event, _ int) ([]twofactor.Event, error) {
	return nil, w.Append(ctx, user, nil)
}

func (w waiting) EraseHistory(ctx context.Context, user twofactor.UserID, _ twofactor.Event) error {
	return w.Append(ctx, user, nil)
}

// TestReportsInTime: whatever hangs, the function reports half a second before it would be killed.
func TestReportsInTime(t *testing.T) {
	t.Parallel()
	for _, left := range []time.Duration{10 * time.Second, 200 * time.Millisecond, 0} {
		t.Run(left.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var s stream
				v := version("a", 1, login)
				s.add(&v, "")
				ctx, cancel := context.WithTimeout(t.Context(), left)
				defer cancel()
				begun := time.Now()
				response, err := notify.Records(notify.Sinks{History: waiting{}}, s.decode, silent)(ctx, events.DynamoDBEvent{Records: s.records})
				if err != nil || !cmp.Equal(reported(t, s.records, response), []int{0}) {
					t.Errorf("reported %v, %v; want the record", response, err)
				}
				if took, want := time.Since(begun), max(0, left-500*time.Millisecond); took != want {
					t.Errorf("reported after %s, want %s", took, want)
				}
			})
		})
	}
}

// TestStream: what is not reported is written, and once Lambda has got to the stream's end, however often it came back
// and whatever failed meanwhile, the history is what one delivery without a fault would have made.
func TestStream(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var s stream
		for i := range rapid.IntRange(1, 20).Draw(t, "records") {
			if rapid.IntRange(0, 9).Draw(t, "kind") == 0 {
				s.add(nil, "")
				continue
			}
			user := rapid.SampledFrom([]twofactor.UserID{"a", "b", "c"}).Draw(t, "user")
			types := rapid.SliceOfN(rapid.SampledFrom([]twofactor.EventType{login, check, erased}), 0, 3).Draw(t, "types")
			v := version(user, int64(i+1), types...)
			s.add(&v, "")
		}
		plain := &history{}
		if _, err := notify.Records(notify.Sinks{History: plain}, s.decode, silent)(t.Context(), events.DynamoDBEvent{Records: s.records}); err != nil {
			t.Fatal(err)
		}

		faults := rapid.SliceOfN(rapid.Bool(), 0, 30).Draw(t, "faults")
		fails := func() bool { // asked by all users at once, under the store's lock or before there is more than one
			if len(faults) == 0 {
				return false
			}
			fails := faults[0]
			faults = faults[1:]
			return fails
		}
		store := &history{fault: func(twofactor.UserID, string, bool) error {
			if fails() {
				return errFault
			}
			return nil
		}}
		decode := func(r events.DynamoDBEventRecord) (twofactor.Version, bool, error) {
			if fails() {
				return twofactor.Version{}, false, errDecode
			}
			return s.decode(r)
		}
		function := notify.Records(notify.Sinks{History: store}, decode, silent)
		repeats := rapid.IntRange(0, 5).Draw(t, "repeats")
		for at := 0; at < len(s.records); {
			batch := s.records[at:rapid.IntRange(at+1, len(s.records)).Draw(t, "end")]
			response, err := function(t.Context(), events.DynamoDBEvent{Records: batch})
			if err != nil {
				t.Fatal(err)
			}
			failed := reported(t, batch, response)
			for i, r := range batch {
				if !slices.Contains(failed, i) {
					s.written(t, store, r, batch)
				}
			}
			if len(failed) > 0 {
				at += slices.Min(failed)
				continue
			}
			if at += len(batch); repeats > 0 {
				repeats--
				at = rapid.IntRange(0, at).Draw(t, "again from")
			}
		}
		if diff := cmp.Diff(plain.ids(), store.ids()); diff != "" {
			t.Fatalf("history (-once +repeated):\n%s", diff)
		}
	})
}

// written fails the test unless the record's events are in the store, or were erased by a record of the same batch.
func (s *stream) written(t *rapid.T, store *history, r events.DynamoDBEventRecord, batch []events.DynamoDBEventRecord) {
	v := s.versions[r.Change.SequenceNumber]
	for _, e := range v.Events {
		kept := slices.ContainsFunc(store.events[v.User], func(k twofactor.Event) bool { return k.ID == e.ID })
		gone := slices.ContainsFunc(batch, func(b events.DynamoDBEventRecord) bool {
			return slices.ContainsFunc(s.versions[b.Change.SequenceNumber].Events, func(later twofactor.Event) bool {
				return s.versions[b.Change.SequenceNumber].User == v.User && later.Type == erased && older(e, later) < 0
			})
		})
		if !kept && !gone {
			t.Fatalf("record %s was not reported, and its event %s is not in the history", r.Change.SequenceNumber, e.ID)
		}
	}
}
