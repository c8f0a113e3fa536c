package functions_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/identity"
)

// TestOthersFail: where the queue, the sender of mails or the secrets cannot be reached, what was to be done comes again, and
// is done once all is well.
func TestOthersFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	w.functions["challenge"] = w.start(t, "challenge", nil)
	newClient(t, w.functions, timeout).challenge("alice") // whose address is known now
	stream := decode[events.DynamoDBEvent](t, "notify")
	job := events.SQSEvent{Records: []events.SQSMessage{
		{MessageId: "1", Body: `{"user":"alice","event":"v000000000001-00","at":"2026-01-05T09:00:00Z","kind":"disabled","to":"user"}`},
	}}

	t.Run("faults", func(t *testing.T) {
		for what, fault := range map[string]struct {
			answer  http.HandlerFunc
			timeout time.Duration
		}{
			"refuse":  {refuse("AccessDeniedException"), timeout},
			"fail":    {status(http.StatusInternalServerError), timeout},
			"hang up": {hangUp, timeout},
			"hang":    {hang, time.Second},
		} {
			t.Run(what, func(t *testing.T) {
				t.Parallel()
				start := func(name string) *function {
					f := w.start(t, name, nil)
					f.others.answer(fault.answer)
					return f
				}
				notify, mailer, webhook := start("notify"), start("mailer"), start("identity-webhook")
				try := func(timeout time.Duration, want bool) {
					t.Helper()
					var streamed events.DynamoDBEventResponse
					if err := notify.call(stream, timeout, &streamed); err != nil || (len(streamed.BatchItemFailures) == 0) != want {
						t.Errorf("notify: %v, %v, want all done: %v", streamed, err, want)
					}
					var sent events.SQSEventResponse
					if err := mailer.call(job, timeout, &sent); err != nil || (len(sent.BatchItemFailures) == 0) != want || (len(mailer.others.taken()) == 1) != want {
						t.Errorf("mailer: %v, %v, want it done: %v; it says:\n%s", sent, err, want, &mailer.said)
					}
					e := decode[events.APIGatewayV2HTTPRequest](t, "identity-webhook")
					e.Headers["persona-signature"] = identity.Sign(webhookSecret, []byte(e.Body), time.Now())
					var response events.APIGatewayV2HTTPResponse
					if err := webhook.call(e, timeout, &response); err != nil || (response.StatusCode < 300) != want ||
						!want && (response.StatusCode != 503 || !strings.Contains(response.Body, `"unavailable"`)) {
						t.Errorf("identity-webhook: %d %s, %v, want it taken: %v", response.StatusCode, response.Body, err, want)
					}
				}
				try(fault.timeout, false)
				for _, f := range []*function{notify, mailer, webhook} {
					f.others.answer(nil)
				}
				try(timeout, true)
			})
		}
	})
}

// TestMailedOnce: a mail about what is in the history is sent once, however often its job comes, and when the mark could not
// be read it waits.
func TestMailedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	for _, name := range []string{"challenge", "notify", "mailer"} {
		w.functions[name] = w.start(t, name, nil)
	}
	stream, jobs := decode[events.DynamoDBEvent](t, "notify"), decode[events.SQSEvent](t, "mailer")
	newClient(t, w.functions, timeout).challenge(stream.Records[0].Change.Keys["user"].String()) // whose address is known now
	var streamed events.DynamoDBEventResponse
	if err := w.functions["notify"].call(stream, timeout, &streamed); err != nil || len(streamed.BatchItemFailures) > 0 {
		t.Fatalf("notify: %v, %v", streamed, err)
	}
	mailer := w.functions["mailer"]
	for n, test := range []struct {
		dynamoDB http.HandlerFunc
		reported int
		taken    int
	}{{refuse("com.amazon.coral.service#AccessDeniedException"), 1, 0}, {nil, 0, 1}, {nil, 0, 1}} {
		mailer.dynamoDB.answer(test.dynamoDB)
		var report events.SQSEventResponse
		if err := mailer.call(jobs, timeout, &report); err != nil || len(report.BatchItemFailures) != test.reported || len(mailer.others.taken()) != test.taken {
			t.Errorf("time %d: %v, %v, %d mails; want %d", n+1, report, err, len(mailer.others.taken()), test.taken)
		}
	}
}
