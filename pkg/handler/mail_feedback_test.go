package handler_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// TestMailFeedback says what of all that SES tells brings a reset back to the reviewers.
func TestMailFeedback(t *testing.T) {
	t.Parallel()
	const lost = `"eventType":"Bounce","bounce":{"bounceType":"Permanent"}`
	const toUser = `"reset":["RESET"],"to":["user"]`
	for name, test := range map[string]struct {
		what, tags string
		returned   bool
	}{
		"bounced for good":      {lost, toUser, true},
		"complained":            {`"eventType":"Complaint","complaint":{}`, toUser, true},
		"refused":               {`"eventType":"Reject","reject":{"reason":"Bad content"}`, toUser, true},
		"with other tags":       {lost, toUser + `,"event":["v000000000007-00"],"ses:from-domain":["example.com"]`, true},
		"mailbox full":          {`"eventType":"Bounce","bounce":{"bounceType":"Transient"}`, toUser, false},
		"nobody can tell":       {`"eventType":"Bounce","bounce":{"bounceType":"Undetermined"}`, toUser, false},
		"delivered":             {`"eventType":"Delivery"`, toUser, false},
		"to reviewers":          {lost, `"reset":["RESET"],"to":["reviewers"]`, false},
		"to the former address": {lost, `"reset":["RESET"],"to":["previous"]`, false},
		"to nobody":             {lost, `"reset":["RESET"]`, false},
		"to two":                {lost, `"reset":["RESET"],"to":["previous","user"]`, false},
		"about no reset":        {lost, `"to":["user"]`, false},
		"about another's":       {lost, `"reset":["AcYzEhxRn0TtQqJv3kXhEr1Yy2pW7mZb"],"to":["user"]`, false},
		"without tags":          {lost, ``, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRecovery(t, "miaxdx")
			r.enrolled("alice")
			id := r.approved("alice")
			decode := func(tag string) (string, error) {
				if tag == "RESET" {
					tag = id
				}
				return tag, nil
			}
			hear := handler.MailFeedback(r.deps, decode)
			e := events.EventBridgeEvent{Source: "aws.ses", Detail: json.RawMessage(`{` + test.what + `,"mail":{"tags":{` + test.tags + `}}}`)}
			for range 2 { // EventBridge may deliver it twice
				if err := hear(t.Context(), e); err != nil {
					t.Fatal(err)
				}
			}
			want := twofactor.ResetReady
			if test.returned {
				want = twofactor.ResetInReview
			}
			r.wantState("alice", want)
			if got := r.reset("alice").Bounced; got != test.returned {
				t.Errorf("bounced: %v, want %v", got, test.returned)
			}
		})
	}
}

// TestMailFeedbackFails: what could not be understood or done comes again.
func TestMailFeedbackFails(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "miaxdx")
	r.enrolled("alice")
	id := r.approved("alice")
	bad := errors.New("bad tag")
	for name, test := range map[string]struct {
		detail string
		fails  error
	}{
		"not JSON": {`[]`, nil},
		"bad tag":  {`{"eventType":"Complaint","mail":{"tags":{"reset":["x"],"to":["user"]}}}`, bad},
	} {
		hear := handler.MailFeedback(r.deps, func(string) (string, error) { return "", bad })
		if err := hear(t.Context(), events.EventBridgeEvent{Detail: json.RawMessage(test.detail)}); err == nil || test.fails != nil && !errors.Is(err, test.fails) {
			t.Errorf("%s: %v", name, err)
		}
	}
	hear := handler.MailFeedback(r.deps, func(tag string) (string, error) { return tag, nil })
	e := events.EventBridgeEvent{Detail: json.RawMessage(`{"eventType":"Complaint","mail":{"tags":{"reset":["` + id + `"],"to":["user"]}}}`)}
	r.store.fail("Load", errors.New("no answer"))
	if err := hear(t.Context(), e); !errors.Is(err, twofactor.ErrUnavailable) {
		t.Errorf("with a store that fails: %v", err)
	}
	r.store.fail("Load", nil)
	r.wantState("alice", twofactor.ResetReady)
	if err := hear(t.Context(), e); err != nil {
		t.Error(err)
	}
	r.wantState("alice", twofactor.ResetInReview)
}
