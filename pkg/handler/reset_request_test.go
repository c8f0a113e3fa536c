package handler_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/token"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

var errBroken = errors.New("broken, secret detail")

// wantUnavailable sends a request that cannot be decided, and is told no more than that.
func (r *recovery) wantUnavailable(c caller, route, body string) {
	r.t.Helper()
	a := r.want(c, route, body, 503, "unavailable")
	if a.Headers["retry-after"] == "" || strings.Contains(a.Text, "secret detail") {
		r.t.Errorf("%s: %v %s", route, a.Headers, a.Text)
	}
}

func TestRequestAgain(t *testing.T) { recoverOnEachEngine(t, "standard", requestAgain) }

// requestAgain: while a reset is open it is the answer, whoever asks, and its mail is sent again at most once in two minutes.
func requestAgain(t *testing.T, r *recovery) {
	r.enrolled("alice")
	first := r.asked("alice")
	r.store.mailed()
	r.wind(2*time.Minute - time.Millisecond)
	if again := r.asked("alice"); again.Text != first.Text {
		t.Errorf("again: %s, want %s", again.Text, first.Text)
	}
	wantMails(t, r)
	r.wind(time.Millisecond)
	r.asked("alice")
	wantMails(t, r, "reset_requested")
	// Three mails with an identity link a day; the answer does not tell.
	for range 3 {
		r.wind(2 * time.Minute)
		if again := r.asked("alice"); again.Text != first.Text {
			t.Errorf("again: %s, want %s", again.Text, first.Text)
		}
	}
	wantMails(t, r, "reset_requested")
}

func TestRequestRefused(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "mirox")
	r.enrolled("alice")
	if a := r.want(anyone, "POST /v1/reset-request", body("challenge", r.challenge("alice").str("challenge")), 403, "policy_forbids"); a.str("setting") != "recovery" {
		t.Errorf("recovery is off: %s", a.Text)
	}

	r = newRecovery(t, "standard")
	p, _ := r.enrolled("alice")
	c := r.challenge("alice").str("challenge")
	held := r.unchanged("alice")
	for name, bad := range map[string]string{"forged": altered(c), "not one": "x", "long": strings.Repeat("A", 5000)} {
		if a := r.do(anyone, "POST /v1/reset-request", body("challenge", bad)); a.Status != 401 || a.str("code") != "challenge_expired" {
			t.Errorf("%s: %d %s", name, a.Status, a.Text)
		}
	}
	held()
	old := r.challenge("alice").str("challenge")
	r.wind(10 * time.Minute)
	r.want(anyone, "POST /v1/reset-request", body("challenge", old), 401, "challenge_expired")
	c = r.challenge("alice").str("challenge")
	r.want(anyone, "POST /v1/verify", body("challenge", c, "method", "totp", "code", p.code()), 200, "")
	r.want(anyone, "POST /v1/reset-request", body("challenge", c), 401, "challenge_expired") // it has succeeded
	c = r.challenge("alice").str("challenge")
	r.wind(30 * time.Second)
	r.want(r.session("alice"), "POST /v1/disable", body("code", p.code()), 200, "")
	r.want(anyone, "POST /v1/reset-request", body("challenge", c), 409, "not_enabled")
}

// TestResetLimit: three that reached the reviewers in 30 days.
func TestResetLimit(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	r.enrolled("alice")
	for range 3 {
		id := r.toReview("alice")
		r.want(r.reviewer("carol").about(id), decide, r.decision("alice", "deny", `,"reason_code":"other"`), 200, "")
		r.wind(24 * time.Hour)
	}
	a := r.want(anyone, "POST /v1/reset-request", body("challenge", r.challenge("alice").str("challenge")), 429, "reset_limit")
	if want := "2332800"; a.Headers["retry-after"] != want || a.str("locked_until") == "" { // 27 days
		t.Errorf("retry-after %s, want %s: %s", a.Headers["retry-after"], want, a.Text)
	}
	r.wind(27 * 24 * time.Hour)
	r.asked("alice")
}

// TestAttackLinksLookedAt is a scanner of mails, or whoever reads them on the way, that opens every link fifty times. Nothing
// is to come of that: fifty reads of every link in every state of a reset leave account and history as they were.
func TestAttackLinksLookedAt(t *testing.T) { recoverOnEachEngine(t, "standard", linksCanBeLookedAt) }

func linksCanBeLookedAt(t *testing.T, r *recovery) {
	r.unheld = true // what is alike was held before
	history := func() string { return r.want(r.session("alice"), "GET /v1/history", "", 200, "").Text }
	looks, states := 0, map[twofactor.ResetState]bool{}
	look := func(state twofactor.ResetState, purposes ...twofactor.LinkPurpose) {
		t.Helper()
		states[state] = true
		held, before := r.unchanged("alice"), history()
		for _, purpose := range purposes {
			link := body("token", r.link("alice", purpose))
			for range 50 {
				looks++
				if a := r.want(anyone, "POST /v1/reset/show", link, 200, ""); a.str("purpose") != string(purpose) || a.str("state") != string(state) {
					t.Fatalf("%s: %s, want %s", purpose, a.Text, state)
				}
			}
			for _, scan := range []string{"GET", "HEAD"} { // whatever scans the mail
				for _, path := range []string{"show", "identity", "cancel"} {
					r.want(anyone, scan+" /v1/reset/"+path, "", 404, "not_found")
				}
			}
		}
		held()
		if after := history(); after != before {
			t.Errorf("the history has changed:\n%s\n%s", before, after)
		}
	}
	r.enrolled("alice")
	id := r.asked("alice").str("id")
	look(twofactor.ResetIdentityPending, twofactor.LinkIdentity, twofactor.LinkCancel)
	inquiry := r.clicked("alice")
	look(twofactor.ResetIdentityPending, twofactor.LinkIdentity, twofactor.LinkCancel)
	r.persona.decides(inquiry, twofactor.IdentityPassed)
	r.hint(inquiry, id)
	look(twofactor.ResetInReview, twofactor.LinkCancel)
	r.want(r.reviewer("carol").about(id), decide, r.decision("alice", "approve", matches), 200, "")
	look(twofactor.ResetApproved, twofactor.LinkCancel)
	r.wind(24 * time.Hour)
	look(twofactor.ResetReady, twofactor.LinkCancel) // nobody has stored that yet
	r.wantSwept()
	until(t, func() bool { r.wantSwept(); return r.reset("alice").State == twofactor.ResetReady })
	look(twofactor.ResetReady, twofactor.LinkCancel, twofactor.LinkSignIn)
	r.unheld = false
	r.want(anyone, "POST /v1/reset/show", body("token", r.link("alice", twofactor.LinkSignIn)), 200, "")
	t.Logf("%d looks at the links of a reset, in %d states", looks, len(states))
}

// TestAttackForgedLinks is somebody who has links of their own, and makes others of them: a link is good for its own reset and its own purpose.
func TestAttackForgedLinks(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	r.enrolled("alice")
	r.enrolled("bob")
	r.asked("alice")
	bobs := r.asked("bob").str("id")
	link, cancel := r.link("alice", twofactor.LinkIdentity), r.link("alice", twofactor.LinkCancel)
	id, tag, _ := strings.Cut(link, ".")
	held, heldBob := r.unchanged("alice"), r.unchanged("bob")
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
	for name, forged := range map[string]string{
		"altered": altered(link), "cut": link[:len(link)-1], "longer": link + "A", "no tag": id + ".", "no point": id, "only a tag": "." + tag,
		"of another": bobs + "." + tag, "of no reset": another + "." + tag, "of nobody": nobody + "." + tag, "id altered": altered(id) + "." + tag,
		"nonsense": "x", "a line break": id + ".\n" + tag, "padded": link + "==", "long": strings.Repeat("A", 5000) + "." + tag,
	} {
		for _, route := range []string{"POST /v1/reset/show", "POST /v1/reset/identity", "POST /v1/reset/cancel"} {
			if a := r.do(anyone, route, body("token", forged)); a.Status != 410 || a.str("code") != "link_expired" {
				t.Errorf("%s with a link that is %s: %d %s", route, name, a.Status, a.Text)
			}
		}
	}
	r.want(anyone, "POST /v1/reset/identity", body("token", cancel), 410, "link_expired") // of another purpose
	held()
	heldBob()
	if got := r.persona.ids(); len(got) != 0 {
		t.Errorf("inquiries were begun: %v", got)
	}
}

func TestCancelByLink(t *testing.T) {
	t.Parallel()
	for _, purpose := range []twofactor.LinkPurpose{twofactor.LinkIdentity, twofactor.LinkCancel} {
		r := newRecovery(t, "standard")
		r.enrolled("alice")
		r.asked("alice")
		link := body("token", r.link("alice", purpose))
		if a := r.want(anyone, "POST /v1/reset/cancel", link, 200, ""); a.Text != `{"state":"canceled"}` {
			t.Errorf("%s: %s", purpose, a.Text)
		}
		r.wantState("alice", twofactor.ResetCanceled)
		r.want(anyone, "POST /v1/reset/cancel", link, 410, "link_expired")
		r.want(r.session("alice"), "DELETE /v1/reset", "", 409, "conflict")
	}
}

func TestCancelFromASession(t *testing.T) { recoverOnEachEngine(t, "standard", cancelFromASession) }

func cancelFromASession(t *testing.T, r *recovery) {
	r.enrolled("alice")
	r.want(r.session("alice"), "DELETE /v1/reset", "", 409, "conflict") // nothing is open
	r.want(r.session("stranger"), "DELETE /v1/reset", "", 409, "conflict")
	r.want(anyone, "DELETE /v1/reset", "", 401, "unauthorized")
	r.asked("alice")
	if a := r.want(r.session("alice"), "DELETE /v1/reset", `not looked at`, 200, ""); a.Text != `{"state":"canceled"}` {
		t.Errorf("canceled: %s", a.Text)
	}
	r.want(r.session("alice"), "DELETE /v1/reset", "", 409, "conflict")
}

// TestIdentityServiceFails: whichever of its answers is missing, nothing is told, and the same request works later. What is
// our own fault, such as a key that it does not know, is for somebody to see.
func TestIdentityServiceFails(t *testing.T) {
	t.Parallel()
	for code, broken := range map[string]error{"internal": errBroken, "unavailable": errors.Join(errBroken, twofactor.ErrUnavailable)} {
		r := newRecovery(t, "standard")
		fails := func(c caller, route, body string) {
			t.Helper()
			a := r.want(c, route, body, map[string]int{"internal": 500, "unavailable": 503}[code], code)
			if strings.Contains(a.Text, "secret detail") {
				t.Errorf("%s: %s", route, a.Text)
			}
		}
		r.enrolled("alice")
		id := r.asked("alice").str("id")
		link := body("token", r.link("alice", twofactor.LinkIdentity))
		for _, call := range []string{"Begin", "Link"} {
			r.persona.fail(call, broken)
			fails(anyone, "POST /v1/reset/identity", link)
			r.persona.fail(call, nil)
		}
		r.want(anyone, "POST /v1/reset/identity", link, 200, "")
		inquiry := r.reset("alice").Inquiry
		r.persona.decides(inquiry, twofactor.IdentityPassed)
		r.persona.fail("Result", broken)
		held := r.unchanged("alice")
		fails(anyone.signed("signed"), webhook, hintOf(inquiry, id))
		fails(anyone, "POST /v1/reset/identity", link) // it is closed, and it cannot be told what it has come to
		if err := r.sweep(); !errors.Is(err, broken) {
			t.Errorf("sweep: %v", err)
		}
		held()
		r.persona.fail("Result", nil)
		r.hint(inquiry, id)
		r.wantState("alice", twofactor.ResetInReview)
		if got := r.persona.ids(); !slices.Equal(got, []string{inquiry}) {
			t.Errorf("inquiries %v, want only %s", got, inquiry)
		}
	}
}

// TestTwoClicks: whoever comes second is sent to the inquiry of the first, also where the identity service has made two.
func TestTwoClicks(t *testing.T) {
	t.Parallel()
	for _, forgets := range []bool{false, true} {
		r := newRecovery(t, "standard")
		r.enrolled("alice")
		r.asked("alice")
		link := body("token", r.link("alice", twofactor.LinkIdentity))
		r.persona.forgets = forgets
		var inside answer
		r.persona.onBegin = func() { inside = r.want(anyone, "POST /v1/reset/identity", link, 200, "") }
		outside := r.want(anyone, "POST /v1/reset/identity", link, 200, "")
		inquiry := r.reset("alice").Inquiry
		for _, a := range []answer{inside, outside} {
			if !strings.Contains(a.str("url"), "inquiry="+inquiry+"&") {
				t.Errorf("forgets %t: sent to %s, want %s", forgets, a.str("url"), inquiry)
			}
		}
	}
}

func TestManyClicks(t *testing.T) { recoverOnEachEngine(t, "standard", manyClicks) }

func manyClicks(t *testing.T, r *recovery) {
	r.enrolled("alice")
	r.asked("alice")
	link := body("token", r.link("alice", twofactor.LinkIdentity))
	urls := make([]string, 8)
	var clicks sync.WaitGroup
	for i := range urls {
		clicks.Go(func() { urls[i] = r.do(anyone, "POST /v1/reset/identity", link).str("url") })
	}
	clicks.Wait()
	if got := r.persona.ids(); len(got) != 1 {
		t.Errorf("inquiries %v, want one", got)
	}
	slices.Sort(urls)
	if urls[0] == "" || len(slices.Compact(urls)) != 8 {
		t.Errorf("links %v, want eight", urls)
	}
}

// TestCanceledWhileAnInquiryBegins: nobody is sent to an inquiry that nothing waits for.
func TestCanceledWhileAnInquiryBegins(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	r.enrolled("alice")
	r.asked("alice")
	link := body("token", r.link("alice", twofactor.LinkIdentity))
	r.persona.onBegin = func() { r.want(r.session("alice"), "DELETE /v1/reset", "", 200, "") }
	r.want(anyone, "POST /v1/reset/identity", link, 410, "link_expired")
}

// TestWriteLostAfterBegin: the number of the attempt finds the inquiry again.
func TestWriteLostAfterBegin(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		landed bool
		begun  int
	}{"not landed": {false, 2}, "landed, and the answer lost": {true, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRecovery(t, "standard")
			r.enrolled("alice")
			r.asked("alice")
			link := body("token", r.link("alice", twofactor.LinkIdentity))
			if test.landed {
				r.store.lost = errBroken
			} else {
				r.store.fail("Replace", errBroken)
			}
			r.wantUnavailable(anyone, "POST /v1/reset/identity", link)
			r.store.fail("Replace", nil)
			r.want(anyone, "POST /v1/reset/identity", link, 200, "")
			if diff := cmp.Diff([]string{"inq_1"}, r.persona.ids()); diff != "" || r.reset("alice").Inquiry != "inq_1" {
				t.Errorf("inquiries %v, the reset holds %q", r.persona.ids(), r.reset("alice").Inquiry)
			}
			if got := r.persona.called("Begin"); got != test.begun {
				t.Errorf("Begin was called %d times, want %d", got, test.begun)
			}
		})
	}
}

// TestClickOnAClosedInquiry: the click finds out itself what no hint has told yet.
func TestClickOnAClosedInquiry(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		outcome twofactor.IdentityOutcome
		status  int
		state   twofactor.ResetState
		tries   int
		begun   int
	}{
		"lapsed":        {twofactor.IdentityLapsed, 200, twofactor.ResetIdentityPending, 3, 2},
		"failed":        {twofactor.IdentityFailed, 200, twofactor.ResetIdentityPending, 2, 2},
		"submitted":     {twofactor.IdentitySubmitted, 410, twofactor.ResetIdentityPending, 3, 1},
		"passed":        {twofactor.IdentityPassed, 410, twofactor.ResetInReview, 3, 1},
		"not known yet": {"", 410, twofactor.ResetIdentityPending, 3, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRecovery(t, "standard")
			r.enrolled("alice")
			r.asked("alice")
			link := body("token", r.link("alice", twofactor.LinkIdentity))
			r.persona.decides(r.clicked("alice"), test.outcome)
			code := ""
			if test.status == 410 {
				code = "link_expired"
			}
			r.want(anyone, "POST /v1/reset/identity", link, test.status, code)
			if got := r.reset("alice"); got.State != test.state || got.TriesLeft != test.tries {
				t.Errorf("%s with %d tries left, want %s, %d", got.State, got.TriesLeft, test.state, test.tries)
			}
			if got := r.persona.ids(); len(got) != test.begun {
				t.Errorf("inquiries %v, want %d", got, test.begun)
			}
		})
	}
}

// TestTheLastTry ends the reset.
func TestTheLastTry(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	r.enrolled("alice")
	r.asked("alice")
	link := body("token", r.link("alice", twofactor.LinkIdentity))
	for range 2 {
		r.persona.decides(r.clicked("alice"), twofactor.IdentityFailed)
		r.want(anyone, "POST /v1/reset/identity", link, 200, "")
	}
	r.persona.decides(r.reset("alice").Inquiry, twofactor.IdentityFailed)
	r.want(anyone, "POST /v1/reset/identity", link, 410, "link_expired")
	r.wantState("alice", twofactor.ResetExpired)
}

// TestClicksThatNeverSettle: who always loses is told to come again.
func TestClicksThatNeverSettle(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	r.enrolled("alice")
	r.asked("alice")
	link := body("token", r.link("alice", twofactor.LinkIdentity))
	r.persona.forgets = true
	// Whenever an inquiry is begun, another one has just come first and lapsed.
	var lapse func()
	lapse = func() {
		check, err := r.deps.Service.IdentityCheck(t.Context(), "alice", r.link("alice", twofactor.LinkIdentity))
		if err != nil {
			t.Fatal(err)
		}
		check.Inquiry = "inq_other"
		if err := r.deps.Service.InquiryBegun(t.Context(), "alice", check); err != nil {
			t.Fatal(err)
		}
		result := twofactor.IdentityResult{ResetID: check.ResetID, Inquiry: check.Inquiry, Outcome: twofactor.IdentityLapsed}
		if err := r.deps.Service.IdentityResult(t.Context(), "alice", result); err != nil {
			t.Fatal(err)
		}
		r.persona.onBegin = lapse
	}
	r.persona.onBegin = lapse
	r.wantUnavailable(anyone, "POST /v1/reset/identity", link)
	r.persona.onBegin = nil
	r.want(anyone, "POST /v1/reset/identity", link, 200, "")
}

// TestRecoveryFaults takes away the store and the keys under every route of a recovery.
func TestRecoveryFaults(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	r.enrolled("alice")
	r.enrolled("bob")
	challenge := r.challenge("bob").str("challenge")
	id := r.asked("alice").str("id")
	inquiry := r.clicked("alice")
	r.persona.decides(inquiry, twofactor.IdentityPassed)
	identity, cancel := body("token", r.link("alice", twofactor.LinkIdentity)), body("token", r.link("alice", twofactor.LinkCancel))
	carol := r.reviewer("carol").about(id)
	requests := []struct {
		c           caller
		route, body string
	}{
		{anyone, "POST /v1/reset-request", body("challenge", challenge)},
		{anyone, "POST /v1/reset/show", cancel},
		{anyone, "POST /v1/reset/identity", identity},
		{anyone, "POST /v1/reset/cancel", cancel},
		{r.session("alice"), "DELETE /v1/reset", ""},
		{carol, "GET /v1/reviews/{id}", ""},
		{carol, decide, r.decision("alice", "stop")},
		{anyone.signed("signed"), "POST /v1/webhooks/persona", hintOf(inquiry, id)},
	}
	heldAlice, heldBob := r.unchanged("alice"), r.unchanged("bob")
	for name, fault := range map[string]*error{"store": &r.storeIs, "rules' keys": &r.keysAre, "tokens' keys": &r.signer} {
		for _, q := range requests {
			if name == "tokens' keys" && q.route == "DELETE /v1/reset" {
				continue // which opens none
			}
			r.set(fault, errBroken)
			r.wantUnavailable(q.c, q.route, q.body)
			r.set(fault, nil)
		}
	}
	r.store.fail("Replace", errBroken)
	for _, q := range requests {
		if q.route != "POST /v1/reset/show" && q.route != "GET /v1/reviews/{id}" && q.route != "POST /v1/reset/identity" {
			r.wantUnavailable(q.c, q.route, q.body)
		}
	}
	r.store.fail("Replace", nil)
	for _, what := range []string{"History", "Append"} { // nobody looks at a case unrecorded
		r.store.fail(what, errBroken)
		r.wantUnavailable(carol, "GET /v1/reviews/{id}", "")
		r.store.fail(what, nil)
	}
	heldAlice()
	heldBob()
	for _, link := range []string{identity, cancel} {
		if strings.Contains(r.logs.String(), link[10:40]) {
			t.Error("a link was logged")
		}
	}
	if !strings.Contains(r.logs.String(), "secret detail") {
		t.Error("the cause was not logged")
	}
}

// TestIDKeysFailInBetween: it could not be told whether there is a newer key, so nothing is told of the link.
func TestIDKeysFailInBetween(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	d, calls := r.deps, 0
	d.Keys = func(ctx context.Context) (token.Keys, error) {
		if calls++; calls == 2 {
			return token.Keys{}, errBroken
		}
		return r.deps.Keys(ctx)
	}
	r.funcs["reset-request"] = handler.ResetRequest(d)
	r.wantUnavailable(anyone, "POST /v1/reset/show", body("token", "x.y"))
}
