package handler_test

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// TestRecoveryRace: the moment at which a reset takes effect is the moment of everybody: the schedule, twice; the host, that
// asks for a challenge; whoever holds the mailed link; the owner, who has found the phone, or presses "cancel". One of them
// ends the reset, the others are told so, and the history says who it was.
func TestRecoveryRace(t *testing.T) {
	t.Parallel()
	for _, e := range engines {
		for _, policy := range []string{`{"preset":"standard"}`, `{"preset":"miaxdx","reset_wait":"24h"}`} {
			t.Run(e.name+" "+policy, func(t *testing.T) {
				t.Parallel()
				r := recovering(newWorldOn(t, e.open(t), policy))
				r.unheld = true
				rounds, ends := 16, map[string]int{}
				if testing.Short() {
					rounds = 5
				}
				for i := range rounds {
					ends[r.raceForReset(fmt.Sprint("user ", i), i%2 == 1)]++
				}
				t.Logf("ended by: %v", ends)
			})
		}
	}
}

// raceForReset has all of them race for one reset, and says how it ended. Where the sign-in goes on into a set-up, the
// holder of the link may have a lead: all but the last step of it.
func (r *recovery) raceForReset(user string, lead bool) string {
	p, _ := r.enrolled(user)
	r.approved(user)
	r.wind(24*time.Hour - 5*time.Minute)
	cancel, signIn := r.link(user, twofactor.LinkCancel), r.linkAhead(user)
	byLink, byCode := r.challenge(user).str("challenge"), r.challenge(user).str("challenge")
	r.wantState(user, twofactor.ResetApproved)
	r.wind(5 * time.Minute)

	var linkIn, codeIn, canceled, dropped answer
	byTheLink := func() { linkIn = r.signInByLink(byLink, signIn)() }
	if lead && r.deps.Service.Policy.Enforcement == twofactor.Required {
		last := r.signInByLink(byLink, signIn)
		byTheLink = func() { linkIn = last() }
	}
	var start, wait sync.WaitGroup
	start.Add(1)
	race := func(do func()) {
		wait.Go(func() { start.Wait(); do() })
	}
	for range 2 {
		race(func() { _ = handler.Sweep(r.deps)(r.t.Context()) })
		race(func() { r.settled(host(), "POST /v1/challenges", body("user_id", user, "nonce", "n")) })
	}
	race(func() { canceled = r.settled(anyone, "POST /v1/reset/cancel", body("token", cancel)) })
	race(func() { dropped = r.settled(r.session(user), "DELETE /v1/reset", "") })
	race(func() { codeIn = r.settled(anyone, "POST /v1/verify", verifying(byCode, "totp", p.code())) })
	race(byTheLink)
	start.Done()
	wait.Wait()

	a, happened := r.account(user), r.happened(user)
	t := r.t
	count := func(what twofactor.EventType, reason string) (n int) {
		for _, e := range happened {
			if e.Type == what && (reason == "any" || e.Reason == reason) {
				n++
			}
		}
		return n
	}
	told := fmt.Sprintf("%s: canceled %d, dropped %d, code %d, link %d, reset %s, 2FA on: %t\n%+v", user,
		canceled.Status, dropped.Status, codeIn.Status, linkIn.Status, a.Reset.State, a.Enabled(), happened)
	if n := count(twofactor.EventResetReady, "any"); n != 1 {
		t.Errorf("took effect %d times: %s", n, told)
	}
	ends := map[string]int{
		"cancel": count(twofactor.EventResetCanceled, "link"), "session": count(twofactor.EventResetCanceled, ""),
		"code": count(twofactor.EventResetCanceled, "proof_of_life"), "link": count(twofactor.EventResetCompleted, "any"),
	}
	maps.DeleteFunc(ends, func(_ string, n int) bool { return n == 0 })
	if len(ends) != 1 || slices.Max(slices.Collect(maps.Values(ends))) != 1 || count(twofactor.EventResetExpired, "any") != 0 {
		t.Errorf("ended by %v: %s", ends, told)
	}
	for _, claim := range []struct {
		who string
		did answer
	}{{"cancel", canceled}, {"session", dropped}, {"link", linkIn}} {
		if (claim.did.Status == 200) != (ends[claim.who] == 1) {
			t.Errorf("%s was answered %d %s: %s", claim.who, claim.did.Status, claim.did.Text, told)
		}
	}
	want := twofactor.ResetCanceled
	if ends["link"] == 1 {
		want = twofactor.ResetCompleted
	}
	if a.Reset.State != want {
		t.Errorf("is %s, want %s: %s", a.Reset.State, want, told)
	}
	// Under standard the link turns 2FA off; under miaxdx it puts another phone in the place of the lost one.
	replaced := count(twofactor.EventReplaced, "any") == 1
	required := r.deps.Service.Policy.Enforcement == twofactor.Required
	if replaced != (required && ends["link"] == 1) || a.Enabled() == (!required && ends["link"] == 1) {
		t.Errorf("replaced: %t: %s", replaced, told)
	}
	if ends["code"] == 1 && codeIn.Status != 200 || count(twofactor.EventLogin, "") != in(codeIn)+in(linkIn) {
		t.Errorf("sign-ins that do not add up: %s", told)
	}
	for _, link := range []string{cancel, signIn} { // nothing is left to be done
		r.want(anyone, "POST /v1/reset/cancel", body("token", link), 410, "link_expired")
	}
	for who := range ends {
		return who
	}
	return "nobody"
}

// in is 1 for who got in.
func in(a answer) int {
	if a.Status == 200 && a.str("assertion") != "" {
		return 1
	}
	return 0
}

// settled asks until there is an answer other than to ask again.
func (w *world) settled(c caller, route, body string) (a answer) {
	for range 10 {
		if a = w.do(c, route, body); a.Status != 503 {
			break
		}
	}
	if a.Status >= 500 {
		w.t.Errorf("%s: %d %s", route, a.Status, a.Text)
	}
	return a
}

// signInByLink goes the way that the mailed link leads, up to the last step, which it returns.
func (r *recovery) signInByLink(challenge, link string) (last func() answer) {
	verify := func() answer { return r.settled(anyone, "POST /v1/verify", verifying(challenge, "reset_link", link)) }
	if r.deps.Service.Policy.Enforcement != twofactor.Required {
		return verify
	}
	a := verify()
	if a.Status != 200 {
		return func() answer { return a }
	}
	challenge = a.str("challenge")
	begun := r.settled(anyone, "POST /v1/verify/enroll", body("challenge", challenge))
	if begun.Status != 200 {
		return func() answer { return begun }
	}
	fresh := phone{r.world, begun.str("manual_secret")}
	return func() answer {
		return r.settled(anyone, "POST /v1/verify/enroll/confirm",
			body("challenge", challenge, "enrollment_id", begun.str("enrollment_id"), "code", fresh.code()))
	}
}

// linkAhead is the sign-in link that will be mailed when the approved reset takes effect.
func (r *recovery) linkAhead(user string) string {
	r.t.Helper()
	keys, err := r.deps.Service.Keys(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	a := r.account(user)
	a.Reset.State = twofactor.ResetReady
	link, err := twofactor.Rules{Policy: r.deps.Service.Policy, Keys: keys}.Link(a, twofactor.LinkSignIn)
	if err != nil {
		r.t.Fatal(err)
	}
	return link
}

// happened is the user's history, oldest first.
func (r *recovery) happened(user string) []twofactor.Event {
	r.t.Helper()
	page, err := r.world.store.History(r.t.Context(), twofactor.UserID(user), twofactor.Page{Limit: 200})
	if err != nil || page.Next != "" {
		r.t.Fatalf("history: %v", err)
	}
	slices.Reverse(page.Events)
	return page.Events
}
