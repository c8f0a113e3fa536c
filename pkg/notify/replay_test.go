package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/notify"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// shelf is a bucket in memory.
type shelf struct {
	objects map[string]string
	page    int                                        // as many keys are listed at once, unless it is 0
	fault   string                                     // the call that fails
	reading func(key string, most int) (handled error) // before each object
}

func (s *shelf) bucket() notify.Bucket {
	fails := func(call string) error {
		if s.fault == call {
			return errFault
		}
		return nil
	}
	return notify.Bucket{
		List: func(_ context.Context, after string, most int) ([]string, bool, error) {
			keys := slices.DeleteFunc(slices.Sorted(maps.Keys(s.objects)), func(key string) bool { return key <= after })
			n := min(len(keys), most)
			if s.page > 0 {
				n = min(n, s.page)
			}
			return keys[:n], n < len(keys), fails("list")
		},
		Read: func(_ context.Context, key string, most int) ([]byte, error) {
			if s.reading != nil {
				if err := s.reading(key, most); err != nil {
					return nil, err
				}
			}
			return []byte(s.objects[key]), fails("read")
		},
		Delete: func(_ context.Context, key string) error {
			if err := fails("delete"); err != nil {
				return err
			}
			delete(s.objects, key)
			return nil
		},
	}
}

// kept is a record of a user's version that decodeKept decodes; "damaged" is nobody whom it can.
func kept(user string, version int) events.DynamoDBEventRecord {
	r := events.DynamoDBEventRecord{EventID: fmt.Sprint(user, "@", version), EventSource: "aws:dynamodb", EventName: "MODIFY"}
	r.Change.SequenceNumber = strconv.Itoa(1000*int(user[0]) + version)
	r.Change.NewImage = map[string]events.DynamoDBAttributeValue{
		"user": events.NewStringAttribute(user), "version": events.NewNumberAttribute(strconv.Itoa(version)),
	}
	return r
}

func decodeKept(r events.DynamoDBEventRecord) (twofactor.Version, bool, error) {
	user := r.Change.NewImage["user"].String()
	n, err := r.Change.NewImage["version"].Integer()
	switch {
	case err != nil:
		return twofactor.Version{}, false, err
	case user == "damaged":
		return twofactor.Version{}, false, errors.New("damaged")
	case r.EventName == "REMOVE":
		return twofactor.Version{}, false, nil
	}
	return twofactor.Version{User: twofactor.UserID(user), Version: n, Events: []twofactor.Event{{
		ID: fmt.Sprintf("v%012d-00", n), At: time.Unix(1_800_000_000+n, 0).UTC(), Type: twofactor.EventDisabled,
	}}}, true, nil
}

func written(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// given is what Lambda writes about a batch that it has given up on.
func given(records ...events.DynamoDBEventRecord) string {
	return written(map[string]any{
		"requestContext":     map[string]any{"requestId": "316aa6d0", "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 1},
		"responseContext":    map[string]any{"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
		"version":            "1.0",
		"timestamp":          "2026-01-05T09:13:49.717Z",
		"DDBStreamBatchInfo": map[string]any{"shardId": "shardId-1", "batchSize": len(records)},
		"payload":            written(events.DynamoDBEvent{Records: records}),
	})
}

// taker is a notify that takes what it is not told to refuse.
type taker struct {
	invoked int
	batches [][]string
	refuse  string   // the event id
	whole   bool     // refuse everything by an empty identifier
	breaks  []string // by the event ids
	fails   int      // the invocation from which on all fail, from 1
}

func (n *taker) invoke(_ context.Context, e events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
	n.invoked++
	if n.fails > 0 && n.invoked >= n.fails || slices.ContainsFunc(e.Records, func(r events.DynamoDBEventRecord) bool { return slices.Contains(n.breaks, r.EventID) }) {
		return events.DynamoDBEventResponse{}, errFault
	}
	var batch []string
	var report events.DynamoDBEventResponse
	for _, r := range e.Records {
		batch = append(batch, r.EventID)
		if r.EventSource == "aws:dynamodb" {
			batch = append(batch, "as if it came from the stream")
		}
		if r.EventID == n.refuse {
			report.BatchItemFailures = append(report.BatchItemFailures, events.DynamoDBBatchItemFailure{ItemIdentifier: r.Change.SequenceNumber})
		}
	}
	if n.whole {
		report.BatchItemFailures = append(report.BatchItemFailures, events.DynamoDBBatchItemFailure{})
	}
	n.batches = append(n.batches, batch)
	return report, nil
}

func TestReplay(t *testing.T) {
	t.Parallel()
	removal := kept("alice", 9)
	removal.EventName = "REMOVE"
	var many, ids []string
	for n := range 120 {
		many = append(many, written(kept("zoe", 120-n)))
		ids = append(ids, fmt.Sprint("zoe@", n+1))
	}
	manyObjects := map[string]string{}
	for i, object := range many {
		manyObjects[fmt.Sprintf("records/%03d", i)] = object
	}
	all := func() map[string]string {
		return map[string]string{
			"aws/lambda/a/1": given(kept("bob", 3), kept("alice", 2), kept("bob", 2), removal),
			"aws/lambda/a/2": given(kept("alice", 2), kept("carol", 7)),
			"records/1.json": written(kept("alice", 1)),
		}
	}
	for name, test := range map[string]struct {
		objects map[string]string
		page    int
		after   string
		fault   string
		dryRun  bool
		notify  taker
		want    api.ReplayResponse
		batches [][]string
		left    []string
		err     error
	}{
		"nothing": {},
		"everything, in order": {
			objects: all(), want: api.ReplayResponse{Objects: 3, Records: 6, Taken: 6, Removed: 3},
			batches: [][]string{{"alice@1", "alice@2", "bob@2", "bob@3", "carol@7"}},
		},
		"a dry run": {
			objects: all(), dryRun: true, want: api.ReplayResponse{Objects: 3, Records: 6, Taken: 6},
			left: []string{"aws/lambda/a/1", "aws/lambda/a/2", "records/1.json"},
		},
		"there is more": {
			objects: map[string]string{"records/1.json": written(kept("alice", 1)), "records/2.json": written(kept("alice", 2))}, page: 1,
			want: api.ReplayResponse{Objects: 1, Records: 1, Taken: 1, Removed: 1, Next: "records/1.json"}, batches: [][]string{{"alice@1"}},
			left: []string{"records/2.json"},
		},
		"all but what the one before has read": {
			objects: map[string]string{"1": written(kept("alice", 1)), "2": written(kept("alice", 2))}, after: "1",
			want: api.ReplayResponse{Objects: 1, Records: 1, Taken: 1, Removed: 1}, batches: [][]string{{"alice@2"}}, left: []string{"1"},
		},
		"an event as it is, and not as text": {
			objects: map[string]string{"x": `{"payload":` + written(events.DynamoDBEvent{Records: []events.DynamoDBEventRecord{kept("alice", 1)}}) + `}`},
			want:    api.ReplayResponse{Objects: 1, Records: 1, Taken: 1, Removed: 1}, batches: [][]string{{"alice@1"}},
		},
		"what holds no records stays": {
			objects: map[string]string{
				"1": "", "2": "{", "3": "{}", "4": "[]", "5": `{"payload":"<html>"}`, "6": `{"payload":"{\"Records\":[]}"}`, "7": `{"payload":"{}`,
				"8": `{"dynamodb":1}`, "9": `{"payload":null}`, "ok": written(kept("alice", 1)),
			},
			want:    api.ReplayResponse{Objects: 10, Unreadable: 9, Records: 1, Taken: 1, Removed: 1},
			batches: [][]string{{"alice@1"}}, left: []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"},
		},
		"what cannot be decoded stays": {
			objects: map[string]string{"1": given(kept("damaged", 1), kept("alice", 1)), "2": written(kept("damaged", 1)), "3": written(kept("alice", 1))},
			want:    api.ReplayResponse{Objects: 3, Records: 2, Undecodable: 1, Taken: 1, Removed: 1},
			batches: [][]string{{"alice@1"}}, left: []string{"1", "2"},
		},
		"and is none of a dry run's": {
			objects: map[string]string{"1": given(kept("damaged", 1), kept("alice", 1))}, dryRun: true,
			want: api.ReplayResponse{Objects: 1, Records: 2, Undecodable: 1, Taken: 1}, left: []string{"1"},
		},
		"what is not taken stays": {
			objects: all(), notify: taker{refuse: "bob@2"}, want: api.ReplayResponse{Objects: 3, Records: 6, Taken: 5, Removed: 2},
			batches: [][]string{{"alice@1", "alice@2", "bob@2", "bob@3", "carol@7"}}, left: []string{"aws/lambda/a/1"},
		},
		"nothing is taken": {
			objects: map[string]string{"1": written(kept("alice", 1))}, notify: taker{whole: true}, want: api.ReplayResponse{Objects: 1, Records: 1},
			batches: [][]string{{"alice@1"}}, left: []string{"1"},
		},
		"a hundred at once": {
			objects: manyObjects, want: api.ReplayResponse{Objects: 120, Records: 120, Taken: 120, Removed: 120},
			batches: [][]string{ids[:100], ids[100:]},
		},
		"notify breaks": {
			objects: maps.Clone(manyObjects), notify: taker{fails: 2}, want: api.ReplayResponse{Objects: 120, Records: 120, Taken: 100, Removed: 100},
			batches: [][]string{ids[:100]}, left: slices.Sorted(maps.Keys(manyObjects))[:20], err: errFault,
		},
		"notify breaks at one record": {
			objects: all(), notify: taker{breaks: []string{"bob@2"}}, want: api.ReplayResponse{Objects: 3, Records: 6, Taken: 4, Removed: 2},
			batches: [][]string{{"alice@1", "alice@2"}, {"carol@7"}}, left: []string{"aws/lambda/a/1"}, err: errFault,
		},
		"and at another": {
			objects: map[string]string{"1": written(kept("alice", 1)), "2": written(kept("bob", 1)), "3": written(kept("carol", 1)), "4": written(kept("zoe", 1))},
			notify:  taker{breaks: []string{"alice@1", "carol@1"}}, want: api.ReplayResponse{Objects: 4, Records: 4, Taken: 2, Removed: 2},
			batches: [][]string{{"bob@1"}, {"zoe@1"}}, left: []string{"1", "3"}, err: errFault,
		},
		"a user waits": {
			objects: maps.Clone(manyObjects), notify: taker{refuse: "zoe@100"}, want: api.ReplayResponse{Objects: 120, Records: 120, Taken: 99, Removed: 99},
			batches: [][]string{ids[:100]}, left: slices.Sorted(maps.Keys(manyObjects))[:21],
		},
		"the bucket cannot be listed": {objects: map[string]string{"1": ""}, fault: "list", left: []string{"1"}, err: errFault},
		"nor read": {
			objects: map[string]string{"1": written(kept("alice", 1))}, fault: "read", left: []string{"1"}, err: errFault,
		},
		"nor emptied": {
			objects: map[string]string{"1": written(kept("alice", 1))}, fault: "delete", want: api.ReplayResponse{Objects: 1, Records: 1, Taken: 1},
			batches: [][]string{{"alice@1"}}, left: []string{"1"}, err: errFault,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &shelf{objects: maps.Clone(test.objects), page: test.page, fault: test.fault}
			n := test.notify
			var logged bytes.Buffer
			got, err := notify.Replay(s.bucket(), decodeKept, n.invoke, slog.New(slog.NewJSONHandler(&logged, nil)))(t.Context(), test.dryRun, test.after)
			if !errors.Is(err, test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.batches, n.batches); diff != "" {
				t.Errorf("notify was handed (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.left, slices.Sorted(maps.Keys(s.objects))); diff != "" {
				t.Errorf("in the bucket (-want +got):\n%s", diff)
			}
			if told := test.want.Undecodable+test.want.Unreadable > 0; told != (logged.Len() > 0) || strings.Contains(logged.String(), "html") {
				t.Errorf("logged: %s", &logged)
			}
		})
	}
}

// TestReplayLarge: notify is handed no more than Lambda takes at once.
func TestReplayLarge(t *testing.T) {
	t.Parallel()
	s := &shelf{objects: map[string]string{}}
	for i := range 12 {
		r := kept("alice", i)
		r.Change.NewImage["rest"] = events.NewStringAttribute(strings.Repeat("a", 1<<20))
		s.objects[fmt.Sprint(i)] = written(r)
	}
	var sizes []int
	_, err := notify.Replay(s.bucket(), decodeKept, func(_ context.Context, e events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
		sizes = append(sizes, len(written(e)))
		return events.DynamoDBEventResponse{}, nil
	}, silent)(t.Context(), false, "")
	if err != nil || len(sizes) != 4 || slices.Max(sizes) > 4<<20+1000 {
		t.Errorf("batches of %v bytes, %v; want 4 of 3 MB", sizes, err)
	}
}

// TestReplayRead: no object stops the others from being replayed, and no more is read than there is room for.
func TestReplayRead(t *testing.T) {
	t.Parallel()
	objects := func() map[string]string {
		return map[string]string{"1": written(kept("alice", 1)), "2": written(kept("bob", 1)), "3": written(kept("carol", 1))}
	}
	for name, test := range map[string]struct {
		err  error
		want api.ReplayResponse
	}{
		"another replay has removed it":    {notify.ErrGone, api.ReplayResponse{Objects: 2, Records: 2, Taken: 2, Removed: 2}},
		"somebody has put something there": {notify.ErrTooLarge, api.ReplayResponse{Objects: 3, Unreadable: 1, Records: 2, Taken: 2, Removed: 2}},
	} {
		s := &shelf{objects: objects(), reading: func(key string, _ int) error {
			if key == "2" {
				return test.err
			}
			return nil
		}}
		n := &taker{}
		got, err := notify.Replay(s.bucket(), decodeKept, n.invoke, silent)(t.Context(), false, "")
		if err != nil || got != test.want || len(s.objects) != 1 {
			t.Errorf("%s: %+v, %v, want %+v; %d objects left", name, got, err, test.want, len(s.objects))
		}
	}

	s, largest := &shelf{objects: map[string]string{}}, 0
	s.reading = func(_ string, most int) error { largest = most; return nil }
	for i := range 40 {
		r := kept("alice", i)
		r.Change.NewImage["rest"] = events.NewStringAttribute(strings.Repeat("a", 1<<20))
		s.objects[fmt.Sprintf("%02d", i)] = written(r)
	}
	got, err := notify.Replay(s.bucket(), decodeKept, (&taker{}).invoke, silent)(t.Context(), false, "")
	if want := (api.ReplayResponse{Objects: 32, Records: 32, Taken: 32, Removed: 32, Next: "31"}); err != nil || got != want || largest != 16<<20 {
		t.Errorf("%+v, %v; want %+v. An object of %d bytes would be read", got, err, want, largest)
	}
}

// TestReplayStarved: objects of which nothing can be taken hide none that are behind them, however many they are.
func TestReplayStarved(t *testing.T) {
	t.Parallel()
	s := &shelf{objects: map[string]string{"records/1.json": written(kept("alice", 1))}}
	for i := range 1000 {
		s.objects[fmt.Sprintf("junk/%04d", i)] = "junk"
	}
	run := notify.Replay(s.bucket(), decodeKept, (&taker{}).invoke, silent)
	first, err := run(t.Context(), false, "")
	if want := (api.ReplayResponse{Objects: 1000, Unreadable: 1000, Next: "junk/0999"}); err != nil || first != want {
		t.Errorf("%+v, %v; want %+v", first, err, want)
	}
	second, err := run(t.Context(), false, first.Next)
	if want := (api.ReplayResponse{Objects: 1, Records: 1, Taken: 1, Removed: 1}); err != nil || second != want {
		t.Errorf("then %+v, %v; want %+v", second, err, want)
	}
}

// TestReplayInTime: half of the time is for reading, and what was read is sent. The rest is for another time.
func TestReplayInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{objects: map[string]string{}, reading: func(string, int) error { time.Sleep(time.Second); return nil }}
		for i := range 30 {
			s.objects[fmt.Sprintf("%02d", i)] = written(kept("alice", i))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		n := &taker{}
		got, err := notify.Replay(s.bucket(), decodeKept, n.invoke, silent)(ctx, false, "")
		if want := (api.ReplayResponse{Objects: 6, Records: 6, Taken: 6, Removed: 6, Next: "05"}); err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	})
}

// TestReplayed: what is replayed and cannot be decoded is not parked, or the one copy would be another's to remove. What its
// user was erased after is not there afterwards, and nobody hears of it.
func TestReplayed(t *testing.T) {
	t.Parallel()
	erased := twofactor.Event{ID: "v000000000005-00", At: time.Unix(1_800_000_005, 0).UTC(), Type: twofactor.EventErased}
	store := &history{events: map[twofactor.UserID][]twofactor.Event{"alice": {erased}}}
	var mu sync.Mutex
	parked, told, mailed := 0, []string{}, []string{}
	function := notify.Records(notify.Sinks{
		History: store,
		Bus: func(_ context.Context, batch []twofactor.Version) map[twofactor.UserID]error {
			for _, v := range batch {
				told = append(told, fmt.Sprint(v.User, v.Version))
			}
			return nil
		},
		Mails: func(_ context.Context, jobs []twofactor.MailJob) error { // for several users at once
			mu.Lock()
			defer mu.Unlock()
			for _, job := range jobs {
				if job.To == twofactor.MailToUser {
					mailed = append(mailed, string(job.User)+job.Event)
				}
			}
			return nil
		},
		Park: func(context.Context, events.DynamoDBEventRecord) error { parked++; return nil },
	}, decodeKept, silent)
	s := &shelf{objects: map[string]string{
		"1": given(kept("alice", 4), kept("alice", 6), kept("damaged", 1)), "2": written(kept("alice", 3)), "3": written(kept("bob", 1)),
	}}
	undecoded := func(r events.DynamoDBEventRecord) (twofactor.Version, bool, error) { // as another release would
		return twofactor.Version{User: "z"}, true, nil
	}
	got, err := notify.Replay(s.bucket(), func(r events.DynamoDBEventRecord) (twofactor.Version, bool, error) {
		if v, ok, err := decodeKept(r); err == nil {
			return v, ok, nil
		}
		return undecoded(r)
	}, func(ctx context.Context, e events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
		return function(ctx, e)
	}, silent)(t.Context(), false, "")
	if want := (api.ReplayResponse{Objects: 3, Records: 5, Taken: 4, Removed: 2}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if parked != 0 || len(s.objects) != 1 || s.objects["1"] == "" {
		t.Errorf("%d records were parked, and %d objects are left", parked, len(s.objects))
	}
	want := map[twofactor.UserID][]string{"alice": {"v000000000006-00", "v000000000005-00"}, "bob": {"v000000000001-00"}}
	if diff := cmp.Diff(want, store.ids()); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	slices.Sort(told)
	slices.Sort(mailed)
	if !cmp.Equal(told, []string{"alice6", "bob1"}) || !cmp.Equal(mailed, []string{"alicev000000000006-00", "bobv000000000001-00"}) {
		t.Errorf("told %v, mailed %v; want what was not erased", told, mailed)
	}

	// What comes from the stream afterwards is not taken for a replay.
	looks := store.looks
	if _, err := function(t.Context(), events.DynamoDBEvent{Records: []events.DynamoDBEventRecord{kept("bob", 2)}}); err != nil || store.looks != looks {
		t.Errorf("%v, and %d more looks into the history", err, store.looks-looks)
	}

	// Where the history does not answer, it comes again.
	for _, call := range []string{"erase", "look"} {
		store.fault = func(_ twofactor.UserID, write string, stored bool) error {
			if write == call && !stored {
				return errFault
			}
			return nil
		}
		r := kept("alice", 4)
		r.EventSource = "nightlatch:replay"
		report, err := function(t.Context(), events.DynamoDBEvent{Records: []events.DynamoDBEventRecord{r}})
		if err != nil || len(report.BatchItemFailures) != 1 {
			t.Errorf("%s fails: %v, %v; want the record reported", call, report, err)
		}
	}
}
