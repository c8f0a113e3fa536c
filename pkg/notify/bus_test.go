package notify_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/needs"
	"github.com/nightlatch/nightlatch/pkg/notify"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// TestBus: what is put on the bus comes out of it, by a rule of a host's, also where it takes several requests. The imitation
// of KMS is one of EventBridge as well.
func TestBus(t *testing.T) {
	t.Parallel()
	cfg := sqsConfig(needs.KMS(t))
	queues, buses, mine := sqs.NewFromConfig(cfg), eventbridge.NewFromConfig(cfg), rand.Text()
	queue, err := queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("host-" + mine)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := buses.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: &mine}); err != nil {
		t.Fatal(err)
	}
	_, err = buses.PutRule(t.Context(), &eventbridge.PutRuleInput{
		Name: aws.String("off"), EventBusName: &mine, EventPattern: aws.String(`{"source":["nightlatch.2fa"],"detail-type":["disabled"]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	url := strings.Split(*queue.QueueUrl, "/")
	arn := "arn:aws:sqs:eu-central-1:" + url[len(url)-2] + ":" + url[len(url)-1]
	if _, err := buses.PutTargets(t.Context(), &eventbridge.PutTargetsInput{
		Rule: aws.String("off"), EventBusName: &mine, Targets: []types.Target{{Id: aws.String("1"), Arn: &arn}},
	}); err != nil {
		t.Fatal(err)
	}

	bus := notify.Bus(cfg, mine)
	if failed := bus(t.Context(), nil); len(failed) > 0 {
		t.Errorf("nothing to send: %v", failed)
	}
	want := map[string]api.BusEvent{}
	var batch []twofactor.Version
	for n := range int64(12) {
		v := version("alice", n, twofactor.EventDisabled, twofactor.EventLogin)
		batch = append(batch, v)
		want[v.Events[0].ID] = notify.Detail("alice", v.Events[0])
	}
	if failed := bus(t.Context(), batch); len(failed) > 0 {
		t.Fatal(failed)
	}
	got := map[string]api.BusEvent{}
	for len(got) < len(want) {
		out, err := queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl, MaxNumberOfMessages: 10})
		if err != nil || len(out.Messages) == 0 {
			t.Fatalf("%d events of %d have come, %v", len(got), len(want), err)
		}
		for _, m := range out.Messages {
			var e struct {
				Source     string       `json:"source"`
				DetailType string       `json:"detail-type"`
				Detail     api.BusEvent `json:"detail"`
			}
			if err := json.Unmarshal([]byte(*m.Body), &e); err != nil || e.Source != api.EventSource || e.DetailType != e.Detail.Type {
				t.Fatalf("%v: %s", err, *m.Body)
			}
			got[e.Detail.ID] = e.Detail
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// eventBridge answers as EventBridge does, and refuses what it is told to.
type eventBridge struct {
	mu sync.Mutex
	// refuse says with which code an entry is refused, if it is; attempt counts from 1 for each event.
	refuse   func(id string, attempt int) string
	instead  func(*http.Request) (*http.Response, error)
	attempts map[string]int
	requests []int // the entries of each
	largest  int
}

func (b *eventBridge) RoundTrip(r *http.Request) (*http.Response, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var in struct{ Entries []types.PutEventsRequestEntry }
	var times struct{ Entries []struct{ Time json.Number } }
	_ = json.Unmarshal(body, &times)
	if err := json.Unmarshal(bytes.ReplaceAll(body, []byte(`"Time":`), []byte(`"-":`)), &in); err != nil {
		return nil, err
	}
	b.requests = append(b.requests, len(in.Entries))
	b.largest = max(b.largest, len(body))
	if b.instead != nil {
		return b.instead(r)
	}
	type told struct{ EventId, ErrorCode, ErrorMessage *string }
	var out struct {
		Entries          []told
		FailedEntryCount int
	}
	for i, e := range in.Entries {
		var detail api.BusEvent
		if err := json.Unmarshal([]byte(*e.Detail), &detail); err != nil {
			return nil, err
		}
		if at, err := times.Entries[i].Time.Float64(); err != nil || int64(at) != detail.At.Unix() || *e.EventBusName != "bus" {
			return nil, fmt.Errorf("bus %s, time %v of an event at %v", *e.EventBusName, at, detail.At)
		}
		b.attempts[detail.ID]++
		if code := b.refuse(detail.ID, b.attempts[detail.ID]); code != "" {
			out.FailedEntryCount++
			out.Entries = append(out.Entries, told{ErrorCode: &code, ErrorMessage: aws.String("no")})
			continue
		}
		out.Entries = append(out.Entries, told{EventId: aws.String(rand.Text())})
	}
	answer, err := json.Marshal(out)
	return answered(200, string(answer)), err
}

func answered(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}}, ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// through is a bus behind that.
func (b *eventBridge) bus() func(context.Context, []twofactor.Version) map[twofactor.UserID]error {
	b.attempts = map[string]int{}
	return notify.Bus(sqsConfig("http://localhost"), "bus", func(o *eventbridge.Options) {
		o.HTTPClient = &http.Client{Timeout: o.HTTPClient.(*http.Client).Timeout, Transport: b}
	})
}

// TestBusRefuses: what EventBridge does not take is sent again, three times in all and alone; and only they fail whose event
// was never taken.
func TestBusRefuses(t *testing.T) {
	t.Parallel()
	var batch []twofactor.Version
	for n := range int64(12) {
		batch = append(batch, version(twofactor.UserID(fmt.Sprintf("user%d", n)), n, twofactor.EventDisabled))
	}
	for name, test := range map[string]struct {
		refuse   func(id string, attempt int) string
		failed   []twofactor.UserID
		requests []int
		told     string
	}{
		"nothing":         {func(string, int) string { return "" }, nil, []int{10, 2}, ""},
		"one, once":       {code("user3-3-0", 1), nil, []int{10, 1, 2}, ""},
		"one, twice":      {code("user3-3-0", 2), nil, []int{10, 1, 1, 2}, ""},
		"one, ever":       {code("user3-3-0", 99), []twofactor.UserID{"user3"}, []int{10, 1, 1, 2}, "ThrottlingException: no"},
		"one of the last": {code("user11-11-0", 99), []twofactor.UserID{"user11"}, []int{10, 2, 1, 1}, "ThrottlingException: no"},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := &eventBridge{refuse: test.refuse}
			failed := b.bus()(t.Context(), batch)
			if len(failed) != len(test.failed) {
				t.Errorf("%s: %v, want that %v failed", name, failed, test.failed)
			}
			for _, user := range test.failed {
				if err := failed[user]; err == nil || !strings.Contains(err.Error(), test.told) {
					t.Errorf("%s: %s: %v, want %q", name, user, err, test.told)
				}
			}
			if diff := cmp.Diff(test.requests, b.requests); diff != "" {
				t.Errorf("%s: entries of the requests (-want +got):\n%s", name, diff)
			}
		})
	}
}

// code refuses an event so often.
func code(id string, times int) func(string, int) string {
	return func(got string, attempt int) string {
		if got == id && attempt <= times {
			return "ThrottlingException"
		}
		return ""
	}
}

// TestBusFaults: an event that EventBridge has not said to have taken is a failure, however it says so; nobody waits for long.
func TestBusFaults(t *testing.T) {
	t.Parallel()
	respond := func(status int, body string) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) { return answered(status, body), nil }
	}
	for name, test := range map[string]struct {
		fault func(*http.Request) (*http.Response, error)
		asked int
		told  string
	}{
		"nothing said":     {respond(200, `{}`), 1, "does not say"},
		"one is missing":   {respond(200, `{"FailedEntryCount":0,"Entries":[{"EventId":"1"}]}`), 1, "does not say"},
		"one has no id":    {respond(200, `{"FailedEntryCount":0,"Entries":[{},{}]}`), 3, "refuses"},
		"no bus":           {respond(400, `{"__type":"ResourceNotFoundException","message":"no"}`), 1, "ResourceNotFoundException"},
		"not let in":       {respond(400, `{"__type":"AccessDeniedException","message":"no"}`), 1, "AccessDeniedException"},
		"throttled":        {respond(400, `{"__type":"ThrottlingException","message":"slow"}`), 3, "ThrottlingException"},
		"broken":           {respond(500, `{}`), 3, "500"},
		"an empty success": {respond(200, ``), 1, ""},
		"no answer": {func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, 3, "exceeded"},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := &eventBridge{instead: test.fault}
			begun := time.Now()
			failed := b.bus()(t.Context(), []twofactor.Version{version("alice", 1, twofactor.EventDisabled), version("bob", 1, twofactor.EventLogin)})
			for _, user := range []twofactor.UserID{"alice", "bob"} {
				if err := failed[user]; err == nil || !strings.Contains(err.Error(), test.told) {
					t.Errorf("%s: %s: %v, want %q", name, user, err, test.told)
				}
			}
			if len(b.requests) != test.asked || time.Since(begun) > 4*time.Second {
				t.Errorf("%s: %d requests in %v, want %d", name, len(b.requests), time.Since(begun), test.asked)
			}
		})
	}
}

// TestBusEnds: when the time is over, what was not taken has failed, and nobody pauses.
func TestBusEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		b := &eventBridge{refuse: func(string, int) string { cancel(); return "InternalFailure" }}
		begun := time.Now()
		failed := b.bus()(ctx, []twofactor.Version{version("alice", 1, twofactor.EventDisabled)})
		if failed["alice"] == nil || time.Since(begun) > 0 || len(b.requests) != 1 {
			t.Errorf("%v after %d requests in %v", failed, len(b.requests), time.Since(begun))
		}
	})
}

// TestBusSize: ten of the longest events are a request that EventBridge takes.
func TestBusSize(t *testing.T) {
	t.Parallel()
	v := twofactor.Version{User: twofactor.UserID(strings.Repeat("<", 128))} // which JSON writes as six bytes, and twice escaped as seven
	for n := range 10 {
		v.Events = append(v.Events, twofactor.Event{
			ID: fmt.Sprintf("v%019d-%02d", n, n), At: time.Unix(1767603600, 412e6), Type: twofactor.EventBackupCodeRevoked, Outcome: twofactor.Succeeded,
			Method: twofactor.MethodBackupCode, Actor: twofactor.ActorUser, IP: strings.Repeat("<", 256), UserAgent: strings.Repeat("<", 128),
			Operation: twofactor.OpRevokeBackup, Reason: strings.Repeat("a", 256), By: strings.Repeat("<", 256), Note: strings.Repeat("<", 256),
		})
	}
	b := &eventBridge{refuse: func(string, int) string { return "" }}
	if failed := b.bus()(t.Context(), []twofactor.Version{v}); len(failed) > 0 || len(b.requests) != 1 {
		t.Fatalf("%v, %d requests", failed, len(b.requests))
	}
	if b.largest > 256<<10/4 {
		t.Errorf("a request of %d bytes", b.largest)
	}
}

// TestBusFails: whose event is not on the bus has all their records come again. Their mails do not wait for it, but for those
// that no row tells to have been sent. Nothing is told of what is not in the history.
func TestBusFails(t *testing.T) {
	t.Parallel()
	asks := version("alice", 2, twofactor.EventMailRequested)
	asks.Events[0].Reason = "reset_requested"
	batch := []twofactor.Version{
		version("alice", 1, twofactor.EventDisabled), asks, version("bob", 1, twofactor.EventDisabled), version("carol", 1, twofactor.EventDisabled),
	}
	for name, test := range map[string]struct {
		bus   map[twofactor.UserID]error
		want  []string
		error string
	}{
		"it works":   {nil, []string{"alice disabled", "alice reset_requested", "bob disabled"}, "fault"},
		"not for a":  {map[twofactor.UserID]error{"alice": errors.New("no bus")}, []string{"alice disabled", "bob disabled"}, "event bus: no bus"},
		"for nobody": {map[twofactor.UserID]error{"alice": errors.New("no bus"), "bob": errors.New("no bus")}, []string{"alice disabled", "bob disabled"}, "event bus: no bus"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &history{fault: func(user twofactor.UserID, _ string, _ bool) error {
				if user == "carol" {
					return errFault
				}
				return nil
			}}
			var mu sync.Mutex
			asked, told := map[string]bool{}, map[twofactor.UserID]int{}
			err := notify.Versions(notify.Sinks{
				History: store,
				Bus: func(_ context.Context, batch []twofactor.Version) map[twofactor.UserID]error {
					for _, v := range batch {
						told[v.User]++
					}
					return test.bus
				},
				Mails: func(_ context.Context, jobs []twofactor.MailJob) error {
					mu.Lock()
					defer mu.Unlock()
					for _, job := range jobs {
						asked[string(job.User)+" "+job.Kind] = true
					}
					return nil
				},
			}, silent)(t.Context(), batch)
			if err == nil || !strings.Contains(err.Error(), test.error) {
				t.Errorf("error %v, want %q", err, test.error)
			}
			want := map[string]bool{}
			for _, mail := range test.want {
				want[mail] = true
			}
			if diff := cmp.Diff(want, asked); diff != "" {
				t.Errorf("mails (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[twofactor.UserID]int{"alice": 2, "bob": 1}, told); diff != "" {
				t.Errorf("the bus is told of (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBusHangs: a bus that never answers has half of the time. The mails have the rest.
func TestBusHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		begun := time.Now()
		var left time.Duration
		err := notify.Versions(notify.Sinks{
			History: &history{},
			Bus: func(ctx context.Context, _ []twofactor.Version) map[twofactor.UserID]error {
				<-ctx.Done()
				return map[twofactor.UserID]error{"alice": ctx.Err()}
			},
			Mails: func(ctx context.Context, _ []twofactor.MailJob) error {
				left = 10*time.Second - time.Since(begun)
				return ctx.Err()
			},
		}, silent)(ctx, []twofactor.Version{version("alice", 1, twofactor.EventDisabled)})
		if !errors.Is(err, context.DeadlineExceeded) || left != 5*time.Second {
			t.Errorf("%v, and %v left for the mails; want 5s", err, left)
		}
	})
}

// TestDetail: the bus is told no names and nothing that people have written, and no addresses of those who work for the
// service.
func TestDetail(t *testing.T) {
	t.Parallel()
	e := twofactor.Event{
		ID: "v000000000007-00", At: time.Date(2026, 1, 5, 10, 1, 35, 73e7, time.FixedZone("", 3600)), Type: twofactor.EventResetDenied,
		Outcome: twofactor.Succeeded, IP: "203.0.113.7", UserAgent: "agent", Operation: twofactor.OpCheck, Reason: "identity_mismatch",
		By: "carol", Note: "the birth date differs",
	}
	for actor, want := range map[twofactor.Actor]string{
		twofactor.ActorUser:     `"ip":"203.0.113.7","operation":"check","reason":"identity_mismatch"`,
		twofactor.ActorHost:     `"ip":"203.0.113.7","operation":"check","reason":"identity_mismatch"`,
		twofactor.ActorSystem:   `"operation":"check","reason":"identity_mismatch"`,
		twofactor.ActorReviewer: `"operation":"check","reason":"identity_mismatch"`,
		twofactor.ActorOperator: `"operation":"check"`,
	} {
		e.Actor = actor
		got, err := json.Marshal(notify.Detail("alice", e))
		want := `{"version":1,"id":"v000000000007-00","user":"alice","at":"2026-01-05T09:01:35.73Z","type":"reset_denied","outcome":"success",` +
			`"method":"none","actor":"` + string(actor) + `",` + want + `}`
		if err != nil || string(got) != want {
			t.Errorf("%s: %v\n%s, want\n%s", actor, err, got, want)
		}
	}
	for ip, want := range map[string]string{
		"2001:db8::7": "2001:db8::7", "fe80::7%alice@example.com": "fe80::7", "": "", "203.0.113.7, 198.51.100.1": "", "alice@example.com": "",
	} {
		if got := notify.Detail("alice", twofactor.Event{IP: ip, Actor: twofactor.ActorHost}).IP; got != want {
			t.Errorf("address %q becomes %q, want %q", ip, got, want)
		}
	}
	for reason, passes := range map[string]bool{"clock_skew": true, "": true, "Because": false, "he said so": false, strings.Repeat("a", 65): false} {
		if got := notify.Detail("alice", twofactor.Event{Reason: reason, Actor: twofactor.ActorReviewer}).Reason; (got == reason) != passes || !passes && got != "" {
			t.Errorf("reason %q becomes %q", reason, got)
		}
	}
}
