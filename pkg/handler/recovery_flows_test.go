package handler_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Whole recoveries, through the handlers.

func TestRecoveryWhereRequired(t *testing.T) {
	recoverOnEachEngine(t, "miaxdx", recoveryWhereRequired)
}

// recoveryWhereRequired: at no moment does the password alone open the account.
func recoveryWhereRequired(t *testing.T, r *recovery) {
	old, backup := r.enrolled("alice")
	asked := r.asked("alice")
	if asked.str("state") != "identity_pending" || asked.str("email_hint") != "a•••@example.com" || !strings.HasPrefix(asked.str("reference"), "R-") {
		t.Fatalf("asked: %s", asked.Text)
	}
	id := asked.str("id")

	// The mailed link: what it is about, and on to the check.
	identity, cancel := r.link("alice", twofactor.LinkIdentity), r.link("alice", twofactor.LinkCancel)
	shown := r.want(anyone, "POST /v1/reset/show", body("token", identity), 200, "")
	want := map[string]any{
		"purpose": "identity", "reference": asked.str("reference"), "state": "identity_pending", "ip": here,
		"requested_at": r.clock().Format(time.RFC3339Nano), "tries_left": 3.0,
	}
	if diff := cmp.Diff(want, shown.Body); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
	first := r.want(anyone, "POST /v1/reset/identity", body("token", identity), 200, "")
	again := r.want(anyone, "POST /v1/reset/identity", body("token", identity), 200, "")
	if first.str("url") == again.str("url") || len(r.persona.ids()) != 1 {
		t.Errorf("two clicks: %s %s %v, want two links to one inquiry", first.Text, again.Text, r.persona.ids())
	}
	inquiry := r.reset("alice").Inquiry

	// Completed is not approved.
	r.persona.decides(inquiry, twofactor.IdentitySubmitted)
	r.hint(inquiry, id)
	if got := r.reset("alice"); got.State != twofactor.ResetIdentityPending || !got.Submitted {
		t.Errorf("a submitted check: %+v", got)
	}
	r.want(anyone, "POST /v1/reset/identity", body("token", identity), 410, "link_expired")
	r.persona.decides(inquiry, twofactor.IdentityPassed)
	r.hint(inquiry, id)
	r.want(anyone, "POST /v1/reset/show", body("token", identity), 410, "link_expired")

	// The reviewer.
	carol := r.reviewer("carol")
	until(t, func() bool {
		a := r.want(carol, "GET /v1/reviews", "", 200, "")
		return len(a.Body["cases"].([]any)) == 1
	})
	found := r.want(carol.about(id), "GET /v1/reviews/{id}", "", 200, "")
	if found.str("inquiry_url") != "https://persona.example/inquiries/"+inquiry || found.Body["approvals_needed"] != 1.0 {
		t.Errorf("case: %s", found.Text)
	}
	if what := found.Body["effect"].(map[string]any)["what"].(string); !strings.Contains(what, "replaces the lost one") {
		t.Errorf("effect: %s", what)
	}
	version := found.Body["case_version"].(float64)
	approve := fmt.Sprintf(`{"decision":"approve","case_version":%v,"identity_matches":true}`, version)
	if a := r.want(carol.about(id), decide, approve, 200, ""); a.str("state") != "ready" || a.Body["approvals"] != 1.0 {
		t.Errorf("approved: %s", a.Text)
	}
	r.want(carol.about(id), decide, approve, 409, "conflict")

	// The sign-in: the password, the link, the new phone.
	c := r.challenge("alice")
	if got := fmt.Sprint(c.Body["methods"]); got != "[totp backup_code reset_link]" {
		t.Errorf("methods = %s", got)
	}
	signIn := r.link("alice", twofactor.LinkSignIn)
	for _, other := range []string{cancel, identity, altered(signIn), signIn + "A", signIn[:len(signIn)-1]} {
		r.want(anyone, "POST /v1/verify", body("challenge", c.str("challenge"), "method", "reset_link", "code", other), 410, "link_expired")
	}
	before := r.unchanged("alice")
	on := r.want(anyone, "POST /v1/verify", body("challenge", c.str("challenge"), "method", "reset_link", "code", signIn), 200, "")
	if on.Body["enrollment_required"] != true || on.str("challenge") == "" || on.str("state") != "enabled" || on.str("assertion") != "" {
		t.Fatalf("reset link: %s", on.Text)
	}
	before()
	r.want(anyone, "POST /v1/verify", body("challenge", on.str("challenge"), "method", "totp", "code", old.code()), 401, "challenge_expired")
	begun := r.want(anyone, "POST /v1/verify/enroll", body("challenge", on.str("challenge")), 200, "")
	r.wantState("alice", twofactor.ResetReady)
	fresh := phone{r.world, begun.str("manual_secret")}
	done := r.want(anyone, "POST /v1/verify/enroll/confirm",
		body("challenge", on.str("challenge"), "enrollment_id", begun.str("enrollment_id"), "code", fresh.code()), 200, "")
	claims := r.assertion(done.str("assertion"))
	r.wantAMR(claims, "pwd", "reset_link", "otp")
	if claims["method"] != "totp" || claims["state"] != "enabled" || begun.str("backup_code") == "" {
		t.Errorf("claims %v, set up by %s", claims, begun.Text)
	}
	r.wantState("alice", twofactor.ResetCompleted)

	// What was lost is of no use any more, and neither are the links.
	r.wind(30 * time.Second)
	r.want(anyone, "POST /v1/verify", body("challenge", r.challenge("alice").str("challenge"), "method", "totp", "code", old.code()), 422, "invalid_code")
	r.want(anyone, "POST /v1/verify", body("challenge", r.challenge("alice").str("challenge"), "method", "backup_code", "code", backup), 422, "invalid_code")
	r.want(anyone, "POST /v1/verify", body("challenge", r.challenge("alice").str("challenge"), "method", "reset_link", "code", signIn), 410, "link_expired")
	for _, link := range []string{identity, cancel, signIn} {
		for _, route := range []string{"POST /v1/reset/show", "POST /v1/reset/identity", "POST /v1/reset/cancel"} {
			r.want(anyone, route, body("token", link), 410, "link_expired")
		}
	}
	status := r.want(r.session("alice"), "GET /v1/status", "", 200, "")
	if reset := status.Body["reset"].(map[string]any); reset["state"] != "completed" || reset["id"] != id {
		t.Errorf("status: %s", status.Text)
	}
	closed := r.want(carol.about(id), "GET /v1/reviews/{id}", "", 200, "")
	if closed.str("state") != "completed" || closed.Body["effect"] != nil || closed.Body["approvals_needed"] != 0.0 {
		t.Errorf("a closed case: %s", closed.Text)
	}
	r.want(carol.about(id), decide, fmt.Sprintf(`{"decision":"stop","case_version":%v}`, closed.Body["case_version"]), 409, "conflict")
	wantMails(t, r, "reset_requested", "reset_requested", "identity_passed", "reset_approved", "reset_ready", "reset_completed")
}

// wantMails compares, of what was mailed for, what is about resets.
func wantMails(t *testing.T, r *recovery, want ...string) {
	t.Helper()
	got := slices.DeleteFunc(r.store.mailed(), func(m string) bool {
		return !strings.HasPrefix(m, "reset_") && !strings.HasPrefix(m, "identity_") && !strings.HasPrefix(m, "review_")
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mailed for (-want +got):\n%s", diff)
	}
}

func TestRecoveryWhereOptional(t *testing.T) {
	recoverOnEachEngine(t, "standard", recoveryWhereOptional)
}

// recoveryWhereOptional has a wait between the approval and its effect, which the sweep or the next sign-in ends.
func recoveryWhereOptional(t *testing.T, r *recovery) {
	old, _ := r.enrolled("alice")
	r.store.mailed()
	id := r.approved("alice")
	reset := r.reset("alice")
	if reset.State != twofactor.ResetApproved || !reset.EffectiveAt.Equal(r.clock().Add(24*time.Hour)) {
		t.Fatalf("approved: %+v", reset)
	}
	found := r.want(r.reviewer("carol").about(id), "GET /v1/reviews/{id}", "", 200, "")
	if effect := found.Body["effect"].(map[string]any); effect["earliest_at"] != reset.EffectiveAt.Format(time.RFC3339Nano) || !strings.Contains(effect["what"].(string), "off until") {
		t.Errorf("effect: %v", effect)
	}
	r.wantSwept()
	r.wantState("alice", twofactor.ResetApproved)
	if got := fmt.Sprint(r.challenge("alice").Body["methods"]); got != "[totp backup_code]" {
		t.Errorf("methods before its time: %s", got)
	}

	r.wind(24 * time.Hour)
	until(t, func() bool { r.wantSwept(); return r.reset("alice").State == twofactor.ResetReady })
	c := r.challenge("alice").str("challenge")
	verify := body("challenge", c, "method", "reset_link", "code", r.link("alice", twofactor.LinkSignIn))
	in := r.want(anyone, "POST /v1/verify", verify, 200, "")
	claims := r.assertion(in.str("assertion"))
	r.wantAMR(claims, "pwd", "reset_link")
	if claims["method"] != "reset_link" || claims["state"] != "disabled" || in.str("state") != "disabled" || in.str("grant") != "" {
		t.Errorf("signed in: %s, %v", in.Text, claims)
	}
	r.want(anyone, "POST /v1/verify", body("challenge", c, "method", "totp", "code", old.code()), 401, "challenge_expired")
	if s := r.want(r.session("alice"), "GET /v1/status", "", 200, ""); s.str("state") != "disabled" || s.Body["reset"].(map[string]any)["state"] != "completed" {
		t.Errorf("status: %s", s.Text)
	}
	r.enrolled("alice") // the session of that sign-in sets 2FA up again
	wantMails(t, r, "reset_requested", "reset_requested", "identity_passed", "reset_approved", "reset_ready", "reset_completed")
}

// TestNextSignInEndsTheWait: a schedule that is dead delays nobody.
func TestNextSignInEndsTheWait(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	r.enrolled("alice")
	r.approved("alice")
	r.wind(24 * time.Hour)
	c := r.challenge("alice")
	if got := fmt.Sprint(c.Body["methods"]); got != "[totp backup_code reset_link]" {
		t.Errorf("methods = %s", got)
	}
	r.wantState("alice", twofactor.ResetReady)
}

func TestTwoReviewers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ policy, subject string }{
		"by the policy":         {`{"preset":"miaxdx","reviewers":2}`, aliceOnFile},
		"as nothing is on file": {`{"preset":"miaxdx"}`, `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := recovering(newWorldOn(t, openBolt(t), test.policy))
			r.enrolled("alice")
			id := r.want(anyone, "POST /v1/reset-request", body("challenge", r.challengeAs("alice", test.subject)), 202, "").str("id")
			inquiry := r.clicked("alice")
			r.persona.decides(inquiry, twofactor.IdentityPassed)
			r.hint(inquiry, id)

			carol, dave := r.reviewer("carol").about(id), r.reviewer("dave").about(id)
			stale := r.decision("alice", "approve", matches)
			if a := r.want(carol, decide, stale, 200, ""); a.str("state") != "in_review" || a.Body["approvals"] != 1.0 {
				t.Errorf("the first approval: %s", a.Text)
			}
			r.want(carol, decide, r.decision("alice", "approve", matches), 409, "conflict") // nobody is two people
			r.want(dave, decide, stale, 409, "conflict")                                    // who has not seen the first one
			found := r.want(dave, "GET /v1/reviews/{id}", "", 200, "")
			first := []any{map[string]any{"by": "carol", "at": r.clock().Format(time.RFC3339Nano)}}
			if diff := cmp.Diff(first, found.Body["approvals"]); diff != "" || found.Body["approvals_needed"] != 2.0 {
				t.Errorf("the case: %s", found.Text)
			}
			if a := r.want(dave, decide, r.decision("alice", "approve", matches), 200, ""); a.str("state") != "ready" || a.Body["approvals"] != 2.0 {
				t.Errorf("the second approval: %s", a.Text)
			}
		})
	}
}

// TestDenial: one reviewer suffices, whoever approved before; the user is told the reason and not the note.
func TestDenial(t *testing.T) {
	t.Parallel()
	r := recovering(newWorldOn(t, openBolt(t), `{"preset":"standard","reviewers":2}`))
	r.enrolled("alice")
	id := r.toReview("alice")
	cancel := r.link("alice", twofactor.LinkCancel)
	r.want(r.reviewer("carol").about(id), decide, r.decision("alice", "approve", matches), 200, "")
	deny := r.decision("alice", "deny", `,"reason_code":"identity_mismatch","note":"Another face.\nAsk the host."`)
	if a := r.want(r.reviewer("dave").about(id), decide, deny, 200, ""); a.str("state") != "denied" {
		t.Errorf("denied: %s", a.Text)
	}
	status := r.want(r.session("alice"), "GET /v1/status", "", 200, "")
	if reset := status.Body["reset"].(map[string]any); reset["state"] != "denied" || reset["reason_code"] != "identity_mismatch" {
		t.Errorf("status: %s", status.Text)
	}
	history := r.want(r.session("alice"), "GET /v1/history", "", 200, "")
	if !strings.Contains(history.Text, `"reset_denied"`) || strings.Contains(status.Text+history.Text, "Another face") || strings.Contains(history.Text, "dave") {
		t.Errorf("history: %s", history.Text)
	}
	page, err := r.world.store.History(t.Context(), "alice", twofactor.Page{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if e := page.Events[0]; e.By != "dave" || e.Note != "Another face.\nAsk the host." || e.Actor != twofactor.ActorReviewer {
		t.Errorf("recorded: %+v", e)
	}
	if closed := r.want(r.reviewer("carol").about(id), "GET /v1/reviews/{id}", "", 200, ""); len(closed.Body["earlier_resets"].([]any)) != 0 {
		t.Errorf("a reset is earlier than itself: %s", closed.Text)
	}
	r.want(anyone, "POST /v1/reset/cancel", body("token", cancel), 410, "link_expired")
	if got := r.reset("alice"); got.Subject != nil || got.Identity != nil {
		t.Error("a closed reset keeps what it knew of the person")
	}

	// The next case shows how this one ended.
	r.wind(time.Minute)
	next := r.toReview("alice")
	found := r.want(r.reviewer("carol").about(next), "GET /v1/reviews/{id}", "", 200, "")
	earlier := found.Body["earlier_resets"].([]any)
	if next == id || len(earlier) != 1 || earlier[0].(map[string]any)["type"] != "reset_denied" || earlier[0].(map[string]any)["reason"] != "identity_mismatch" {
		t.Errorf("earlier resets: %v", earlier)
	}
	r.want(r.reviewer("carol").about(id), "GET /v1/reviews/{id}", "", 404, "not_found") // it has made room
	r.want(r.reviewer("carol").about(id), decide, deny, 404, "not_found")
}

// TestStop ends a reset in any of its states, and the link that was mailed is dead.
func TestStop(t *testing.T) {
	t.Parallel()
	for preset, state := range map[string]twofactor.ResetState{"standard": twofactor.ResetApproved, "miaxdx": twofactor.ResetReady} {
		t.Run(preset, func(t *testing.T) {
			t.Parallel()
			r := newRecovery(t, preset)
			r.enrolled("alice")
			id := r.approved("alice")
			r.wantState("alice", state)
			signIn := "none"
			if state == twofactor.ResetReady {
				signIn = r.link("alice", twofactor.LinkSignIn)
			}
			stop := r.decision("alice", "stop", `,"reason_code":"suspicious_request"`)
			if a := r.want(r.reviewer("dave").about(id), decide, stop, 200, ""); a.str("state") != "canceled" {
				t.Errorf("stopped: %s", a.Text)
			}
			r.want(anyone, "POST /v1/verify", body("challenge", r.challenge("alice").str("challenge"), "method", "reset_link", "code", signIn), 410, "link_expired")
			if s := r.want(r.session("alice"), "GET /v1/status", "", 200, ""); s.Body["reset"].(map[string]any)["reason_code"] != "suspicious_request" {
				t.Errorf("status: %s", s.Text)
			}
			r.want(r.session("alice"), "DELETE /v1/reset", "", 409, "conflict")
		})
	}
}

// TestRetryIdentity: the check once more, which another inquiry is begun for.
func TestRetryIdentity(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "miaxdx")
	r.enrolled("alice")
	id := r.toReview("alice")
	before := r.reset("alice").Inquiry
	if a := r.want(r.reviewer("carol").about(id), decide, r.decision("alice", "retry_identity"), 200, ""); a.str("state") != "identity_pending" || a.Body["approvals"] != 0.0 {
		t.Errorf("retry: %s", a.Text)
	}
	held := r.unchanged("alice")
	r.hint(before, id) // it has passed, and no longer counts
	held()
	inquiry := r.clicked("alice")
	if inquiry == before {
		t.Fatal("the same inquiry again")
	}
	r.persona.decides(inquiry, twofactor.IdentityPassed)
	r.hint(inquiry, id)
	r.wantState("alice", twofactor.ResetInReview)
}

// TestNoticeBounced: whoever could stop the reset may not know of it, so it is decided again, and the case says so.
func TestNoticeBounced(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "miaxdx")
	r.enrolled("alice")
	id := r.approved("alice")
	signIn := r.link("alice", twofactor.LinkSignIn)
	ready := r.decision("alice", "stop")
	if err := r.deps.Service.NoticeBounced(t.Context(), "alice", id); err != nil {
		t.Fatal(err)
	}
	carol := r.reviewer("carol").about(id)
	found := r.want(carol, "GET /v1/reviews/{id}", "", 200, "")
	if found.str("state") != "in_review" || found.Body["bounced"] != true || len(found.Body["approvals"].([]any)) != 0 {
		t.Errorf("the case: %s", found.Text)
	}
	list := r.want(carol, "GET /v1/reviews", "", 200, "").Body["cases"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["bounced"] != true {
		t.Errorf("the queue: %v", list)
	}
	r.want(carol, decide, ready, 409, "conflict")
	r.want(anyone, "POST /v1/verify", body("challenge", r.challenge("alice").str("challenge"), "method", "reset_link", "code", signIn), 410, "link_expired")
	r.want(carol, decide, r.decision("alice", "approve", matches), 200, "") // the same reviewer, anew
	r.want(anyone, "POST /v1/verify", body("challenge", r.challenge("alice").str("challenge"), "method", "reset_link", "code", signIn), 410, "link_expired")
	r.want(anyone, "POST /v1/verify", body("challenge", r.challenge("alice").str("challenge"), "method", "reset_link", "code", r.link("alice", twofactor.LinkSignIn)), 200, "")
}

// TestACodeCancels: an accepted code is proof that nothing was lost, and a dry run is not.
func TestACodeCancels(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	p, backup := r.enrolled("alice")
	r.approved("alice")
	r.want(r.session("alice"), "POST /v1/check", body("code", p.code()), 200, "")
	r.want(anyone, "POST /v1/verify", body("challenge", r.challenge("alice").str("challenge"), "method", "totp", "code", p.wrong()), 422, "invalid_code")
	r.wantState("alice", twofactor.ResetApproved)
	r.want(anyone, "POST /v1/verify", body("challenge", r.challenge("alice").str("challenge"), "method", "totp", "code", p.code()), 200, "")
	r.wantState("alice", twofactor.ResetCanceled)
	r.toReview("alice")
	r.want(anyone, "POST /v1/verify", body("challenge", r.challenge("alice").str("challenge"), "method", "backup_code", "code", backup), 200, "")
	r.wantState("alice", twofactor.ResetCanceled)
}
