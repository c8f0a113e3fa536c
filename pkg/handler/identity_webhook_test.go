package handler_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/token"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

const webhook = "POST /v1/webhooks/persona"

// TestHintsThatMeanNothing: whoever asks for it, only the inquiry that the open reset holds is looked at.
func TestHintsThatMeanNothing(t *testing.T) { recoverOnEachEngine(t, "standard", hintsThatMeanNothing) }

func hintsThatMeanNothing(t *testing.T, r *recovery) {
	r.enrolled("alice")
	r.enrolled("bob")
	id, bobs := r.asked("alice").str("id"), r.asked("bob").str("id")
	inquiry := r.clicked("alice")
	keys, err := r.deps.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	another, _, err := token.NewResetID(keys.IDs, "alice")
	if err != nil {
		t.Fatal(err)
	}
	nobody, _, err := token.NewResetID(keys.IDs, "nobody")
	if err != nil {
		t.Fatal(err)
	}
	// Anyone can open an inquiry with any reference, pass it, and have a signed hint sent for it.
	foreign, err := r.persona.Begin(t.Context(), "a reference of their own", 0)
	if err != nil {
		t.Fatal(err)
	}
	r.persona.decides(foreign, twofactor.IdentityPassed)
	r.persona.decides(inquiry, twofactor.IdentityPassed)
	held, heldBob := r.unchanged("alice"), r.unchanged("bob")
	for name, hint := range map[string][2]string{
		"of another inquiry":           {foreign, id},
		"of no inquiry":                {"", id},
		"of another user's reset":      {inquiry, bobs},
		"for who has begun none":       {"", bobs},
		"of a reset that is not there": {inquiry, another},
		"of a user who is not there":   {inquiry, nobody},
		"with a forged reference":      {inquiry, altered(id)},
		"with a foreign reference":     {inquiry, "customer 7"},
		"with no reference":            {inquiry, ""},
		"about something else":         {"", ""},
	} {
		if a := r.want(anyone.signed("signed"), webhook, hintOf(hint[0], hint[1]), 200, ""); a.Text != "{}" {
			t.Errorf("a hint %s: %s", name, a.Text)
		}
	}
	for _, signature := range []string{"", "forged"} {
		a := r.want(anyone.signed(signature), webhook, hintOf(inquiry, id), 401, "unauthorized")
		if a.Headers["www-authenticate"] == "" || strings.Contains(a.Text, errUnsigned.Error()) {
			t.Errorf("signed %q: %v %s", signature, a.Headers, a.Text)
		}
	}
	held()
	heldBob()
	if got := r.persona.called("Result"); got != 0 {
		t.Errorf("the service was asked %d times", got)
	}
	if !strings.Contains(r.logs.String(), "webhook refused") || strings.Contains(r.logs.String(), id) {
		t.Errorf("logged: %s", r.logs)
	}
	r.hint(inquiry, id)
	r.wantState("alice", twofactor.ResetInReview)
}

// TestHintsAgainAndOutOfOrder: it is the inquiry as it is now that counts, and each of its outcomes once.
func TestHintsAgainAndOutOfOrder(t *testing.T) {
	recoverOnEachEngine(t, "standard", hintsAgainAndOutOfOrder)
}

func hintsAgainAndOutOfOrder(t *testing.T, r *recovery) {
	r.enrolled("alice")
	id := r.asked("alice").str("id")
	again := func(inquiry string) {
		t.Helper()
		held := r.unchanged("alice")
		for range 3 {
			r.hint(inquiry, id)
		}
		held()
	}
	first := r.clicked("alice")
	again(first) // that it was created
	r.persona.decides(first, twofactor.IdentityFailed)
	r.hint(first, id)
	if got := r.reset("alice").TriesLeft; got != 2 {
		t.Errorf("%d tries left, want 2", got)
	}
	again(first)
	second := r.clicked("alice")
	again(first) // late: another one counts by now
	r.persona.decides(second, twofactor.IdentitySubmitted)
	r.hint(second, id)
	if !r.reset("alice").Submitted {
		t.Error("that it was submitted is not noted")
	}
	again(second)
	r.persona.decides(second, twofactor.IdentityPassed)
	r.hint(second, id) // as it may be that this was the hint of its submission
	r.wantState("alice", twofactor.ResetInReview)
	again(second)

	// The service declines after all, up to the moment of the sign-in.
	r.want(r.reviewer("carol").about(id), decide, r.decision("alice", "approve", matches), 200, "")
	again(second)
	r.persona.decides(second, twofactor.IdentityFailed)
	r.hint(second, id)
	if got := r.reset("alice"); got.State != twofactor.ResetIdentityPending || got.TriesLeft != 1 || len(got.Approvals) != 0 {
		t.Errorf("declined after all: %+v", got)
	}
	again(second)

	// A closed reset hears nothing.
	third := r.clicked("alice")
	r.want(r.session("alice"), "DELETE /v1/reset", "", 200, "")
	r.persona.decides(third, twofactor.IdentityPassed)
	again(third)
}

// TestHintWhileTheClickIsNotStored: it is early, and the sweep asks again.
func TestHintWhileTheClickIsNotStored(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	r.enrolled("alice")
	id := r.asked("alice").str("id")
	inquiry, err := r.persona.Begin(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	held := r.unchanged("alice")
	r.hint(inquiry, id)
	held()
	if got := r.clicked("alice"); got != inquiry {
		t.Fatalf("the click began %s", got)
	}
	r.persona.decides(inquiry, twofactor.IdentityPassed)
	r.wantSwept()
	r.wantState("alice", twofactor.ResetInReview)
}

// TestWebhookSecretsUnread: it could not be told whether the signature is right, so the hint is to come again.
func TestWebhookSecretsUnread(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	d := r.deps
	d.Webhook = func(context.Context, string, []byte) (string, string, error) {
		return "", "", errors.Join(errBroken, twofactor.ErrUnavailable)
	}
	r.funcs["identity-webhook"] = handler.IdentityWebhook(d)
	r.wantUnavailable(anyone.signed("signed"), webhook, hintOf("inq_1", "x"))
}

// TestWebhookBodies: what is signed are the bytes, up to 1 MB of them.
func TestWebhookBodies(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	r.unheld = true // the description's own reader takes long for a megabyte
	var got []byte
	d := r.deps
	d.Webhook = func(_ context.Context, signature string, body []byte) (string, string, error) {
		got = body
		return openHint(t.Context(), signature, []byte(hintOf("", "")))
	}
	r.funcs["identity-webhook"] = handler.IdentityWebhook(d)
	odd := " {\"data\":{},\r\n\"data\":null, \"é\":7}{ \xff"
	for name, text := range map[string]string{
		"largest": strings.Repeat("x", api.MaxWebhookBody), "odd": odd, "empty": "",
	} {
		for _, c := range []caller{anyone.signed("signed"), anyone.signed("signed").inBase64()} {
			r.want(c, webhook, text, 200, "")
			if string(got) != text {
				t.Errorf("%s, base64 %t: the body was changed on the way", name, c.base64)
			}
		}
	}
	got = nil
	for _, c := range []caller{anyone.signed("signed"), anyone.signed("signed").inBase64()} {
		r.want(c, webhook, strings.Repeat("x", api.MaxWebhookBody+1), 413, "too_large")
	}
	if got != nil {
		t.Error("a body that is too large was read")
	}
	r.unheld = false
	r.want(anyone.signed("forged"), webhook, strings.Repeat("x", api.MaxWebhookBody+1), 413, "too_large")
}

// TestSubmittedInTime: a submission in the last minute of a day is found by the sweep, although its hint was lost.
func TestSubmittedInTime(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	r.enrolled("alice")
	r.asked("alice")
	inquiry := r.clicked("alice")
	r.wind(24*time.Hour - time.Second)
	r.persona.decides(inquiry, twofactor.IdentitySubmitted)
	r.wind(5 * time.Minute)
	r.wantSwept()
	if got := r.reset("alice"); got.State != twofactor.ResetIdentityPending || !got.Submitted {
		t.Errorf("the reset: %+v", got)
	}
}
