package handler_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// TestSweep takes resets through all that time does to them.
func TestSweep(t *testing.T) { recoverOnEachEngine(t, "standard", sweepAll) }

func sweepAll(t *testing.T, r *recovery) {
	// Each has come to another state, and is due at another time.
	for _, user := range []string{"asked", "begun", "failed", "passed", "approved"} {
		r.enrolled(user)
	}
	r.asked("asked")
	r.asked("begun")
	inquiry := r.clicked("begun")
	r.asked("failed")
	failed := r.clicked("failed")
	r.toReview("passed")
	r.approved("approved")
	// Nobody was told what became of these.
	r.persona.decides(inquiry, twofactor.IdentityPassed)
	r.persona.decides(failed, twofactor.IdentityFailed)
	r.store.mailed()

	until(t, func() bool { r.wantSwept(); return r.reset("begun").State == twofactor.ResetInReview })
	until(t, func() bool { r.wantSwept(); return r.reset("failed").TriesLeft == 2 })
	wantMailsInAnyOrder(t, r, "identity_passed", "identity_failed")
	states := func(want ...twofactor.ResetState) {
		t.Helper()
		var got []twofactor.ResetState
		for _, user := range []string{"asked", "begun", "failed", "passed", "approved"} {
			got = append(got, r.reset(user).State)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
	}
	states(twofactor.ResetIdentityPending, twofactor.ResetInReview, twofactor.ResetIdentityPending, twofactor.ResetInReview, twofactor.ResetApproved)

	r.wind(24 * time.Hour)
	until(t, func() bool {
		r.wantSwept()
		return r.reset("approved").State == twofactor.ResetReady && r.reset("asked").State == twofactor.ResetExpired && r.reset("failed").State == twofactor.ResetExpired
	})
	states(twofactor.ResetExpired, twofactor.ResetInReview, twofactor.ResetExpired, twofactor.ResetInReview, twofactor.ResetReady)
	wantMailsInAnyOrder(t, r, "reset_expired", "reset_expired", "reset_ready", "review_reminder", "review_reminder")

	r.wind(13 * 24 * time.Hour)
	until(t, func() bool { r.wantSwept(); return r.reset("passed").State == twofactor.ResetExpired })
	until(t, func() bool { r.wantSwept(); return r.reset("begun").State == twofactor.ResetExpired })
	states(twofactor.ResetExpired, twofactor.ResetExpired, twofactor.ResetExpired, twofactor.ResetExpired, twofactor.ResetReady)
	r.wind(24 * time.Hour)
	until(t, func() bool { r.wantSwept(); return r.reset("approved").State == twofactor.ResetExpired })
}

// wantMailsInAnyOrder is wantMails for several accounts.
func wantMailsInAnyOrder(t *testing.T, r *recovery, want ...string) {
	t.Helper()
	slices.Sort(want)
	r.store.mu.Lock()
	slices.Sort(r.store.mails)
	r.store.mu.Unlock()
	wantMails(t, r, want...)
}

// TestReminders: of a case that waits the reviewers are reminded once a day.
func TestReminders(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	r.enrolled("alice")
	r.toReview("alice")
	r.store.mailed()
	r.wind(24*time.Hour - time.Millisecond)
	r.wantSwept()
	wantMails(t, r)
	r.wind(time.Millisecond)
	for range 3 {
		r.wantSwept()
		r.wind(5 * time.Minute)
	}
	wantMails(t, r, "review_reminder")
	r.wind(24*time.Hour - 15*time.Minute - time.Millisecond)
	r.wantSwept()
	wantMails(t, r)
	r.wind(time.Millisecond)
	r.wantSwept()
	wantMails(t, r, "review_reminder")
}

// TestLapsedReplacement: whoever did not finish moving is told by the sweep.
func TestLapsedReplacement(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	p, _ := r.enrolled("alice")
	r.want(r.session("alice"), "POST /v1/enroll", body("code", p.code()), 200, "")
	r.wind(15*time.Minute - time.Millisecond)
	r.wantSwept()
	if got := r.store.mailed(); slices.Contains(got, "replacement_lapsed") {
		t.Errorf("lapsed early: %v", got)
	}
	r.wind(time.Millisecond)
	r.wantSwept()
	if got := r.store.mailed(); !slices.Equal(got, []string{"replacement_lapsed"}) {
		t.Errorf("mailed for %v", got)
	}
}

// TestSweepChangesNothingEarly: what is not due stays as it is.
func TestSweepChangesNothingEarly(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	r.enrolled("alice")
	r.enrolled("bob")
	r.asked("alice")
	r.clicked("alice")
	r.approved("bob")
	r.wind(24*time.Hour - time.Millisecond)
	heldAlice, heldBob := r.unchanged("alice"), r.unchanged("bob")
	r.wantSwept()
	heldAlice()
	heldBob()
}

// waiting has many accounts wait for the same thing, due one minute after the other, and returns when the first one is.
func (r *recovery) waiting(n int, state twofactor.ResetState) time.Time {
	r.t.Helper()
	first := r.clock().Add(time.Hour)
	for i := range n {
		due := first.Add(time.Duration(i) * time.Minute)
		a := &twofactor.Account{
			User: twofactor.UserID(fmt.Sprintf("%s%03d", state, i)), Schema: twofactor.Schema, Version: 1, Writes: []twofactor.WriteID{twofactor.NewWriteID()},
			Reset: &twofactor.Reset{ID: "x", State: state, EnteredAt: r.clock(), ExpiresAt: due, CaseVersion: 1},
		}
		if state == twofactor.ResetApproved {
			a.Reset.EffectiveAt, a.Reset.ExpiresAt = due, time.Time{}
		}
		if err := r.world.store.Replace(r.t.Context(), a); err != nil {
			r.t.Fatal(err)
		}
	}
	return first
}

// TestSweepStopsEarly: in a list that is in the order of what is due, it goes no further than to the first that is not.
func TestSweepStopsEarly(t *testing.T) {
	t.Parallel()
	for _, state := range []twofactor.ResetState{twofactor.ResetApproved, twofactor.ResetReady} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			r := newRecovery(t, "standard")
			first := r.waiting(130, state)
			sweep := func() []twofactor.UserID {
				t.Helper()
				r.store.seen()
				r.store.listed = nil
				r.wantSwept()
				return r.store.seen()
			}
			if got := sweep(); len(got) != 0 || r.store.listed[twofactor.Waiting(state)] != 1 {
				t.Errorf("before the first is due: looked at %v, in %v pages", got, r.store.listed)
			}
			r.wind(first.Sub(r.clock()))
			if got := sweep(); !slices.Equal(got, []twofactor.UserID{twofactor.UserID(state + "000")}) {
				t.Errorf("when the first is due: looked at %v", got)
			}
			r.wind(120 * time.Minute)
			if got := sweep(); len(got) != 120 || got[119] != twofactor.UserID(state+"120") {
				t.Errorf("when 120 more are: looked at %d", len(got))
			}
		})
	}
}

// TestPoisonedAccount: what fails for one account holds up no other, in no list, and is told.
func TestPoisonedAccount(t *testing.T) {
	t.Parallel()
	for _, state := range []twofactor.ResetState{twofactor.ResetApproved, twofactor.ResetReady, twofactor.ResetIdentityPending} {
		for _, what := range []string{"Load", "Replace"} {
			t.Run(string(state)+" "+what, func(t *testing.T) {
				t.Parallel()
				r := newRecovery(t, "standard")
				first := r.waiting(3, state)
				r.wind(first.Sub(r.clock()) + time.Hour)
				poisoned := string(state) + "000"
				r.store.fail(what+" "+poisoned, errBroken)
				if err := r.sweep(); !errors.Is(err, errBroken) {
					t.Errorf("sweep: %v", err)
				}
				for i, user := range []string{poisoned, string(state) + "001", string(state) + "002"} {
					if moved := r.reset(user).State != state; moved != (i > 0) {
						t.Errorf("%s has moved on: %t", user, moved)
					}
				}
				if !strings.Contains(r.logs.String(), poisoned) || !strings.Contains(r.logs.String(), "secret detail") {
					t.Errorf("logged: %s", r.logs)
				}
				r.store.fail(what+" "+poisoned, nil)
				r.wantSwept() // the next time
				if r.reset(poisoned).State == state {
					t.Error("it was not tried again")
				}
			})
		}
	}
}

// TestPoisonedInquiry: an inquiry that cannot be asked after holds up no other, and no list.
func TestPoisonedInquiry(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	var inquiries []string
	for _, user := range []string{"alice", "bob", "carl"} {
		r.enrolled(user)
		r.asked(user)
		inquiries = append(inquiries, r.clicked(user))
		r.persona.decides(inquiries[len(inquiries)-1], twofactor.IdentityPassed)
	}
	r.enrolled("dora")
	r.toReview("dora")
	r.wind(24*time.Hour - time.Second) // the first three expire earlier, so that they come first in any order
	r.store.mailed()
	r.persona.fail("Result "+inquiries[0], errBroken)
	if err := r.sweep(); !errors.Is(err, errBroken) {
		t.Errorf("sweep: %v", err)
	}
	r.wantState("alice", twofactor.ResetIdentityPending)
	r.wantState("bob", twofactor.ResetInReview)
	r.wantState("carl", twofactor.ResetInReview)
	wantMailsInAnyOrder(t, r, "identity_passed", "identity_passed")
	r.persona.fail("Result "+inquiries[0], nil)
	r.wantSwept()
	r.wantState("alice", twofactor.ResetInReview)

	// With the whole service down the reviewers are reminded all the same.
	r.asked("alice")
	r.enrolled("emil")
	r.asked("emil")
	r.clicked("emil")
	r.wind(23 * time.Hour)
	r.store.mailed()
	r.persona.fail("Result", errBroken)
	if err := r.sweep(); !errors.Is(err, errBroken) {
		t.Errorf("sweep: %v", err)
	}
	wantMailsInAnyOrder(t, r, "review_reminder")
}

// TestListsFail: a list that cannot be read holds up no other.
func TestListsFail(t *testing.T) {
	t.Parallel()
	lists := []twofactor.Waiting{
		twofactor.WaitingEffect, twofactor.WaitingUse, twofactor.WaitingIdentity, twofactor.WaitingReview, twofactor.WaitingReplacement,
	}
	for _, broken := range lists {
		r := newRecovery(t, "standard")
		r.store.fail("Due "+string(broken), errBroken)
		if err := r.sweep(); !errors.Is(err, errBroken) || !errors.Is(err, twofactor.ErrUnavailable) {
			t.Errorf("without %s: %v", broken, err)
		}
		for _, other := range lists {
			if read := r.store.listed[other] > 0; read != (other != broken) {
				t.Errorf("without %s: %s was read: %t", broken, other, read)
			}
		}
	}
}

// TestSweepOutOfTime: it says so, and looks at no more accounts.
func TestSweepOutOfTime(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	first := r.waiting(5, twofactor.ResetApproved)
	r.wind(first.Sub(r.clock()) + time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	r.store.onReplace = cancel
	r.store.seen()
	if err := handler.Sweep(r.deps)(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("sweep: %v", err)
	}
	if got := r.store.seen(); len(got) != 1 {
		t.Errorf("looked at %v after its time was over", got)
	}
	r.wantSwept()
	for i := range 5 {
		r.wantState(fmt.Sprintf("approved%03d", i), twofactor.ResetReady)
	}
}

// TestSweepIsRepeatable: a schedule that fires twice does nothing twice.
func TestSweepIsRepeatable(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	r.enrolled("alice")
	r.approved("alice")
	r.wind(24 * time.Hour)
	r.wantSwept()
	held := r.unchanged("alice")
	r.store.mailed()
	r.wantSwept()
	held()
	wantMails(t, r)
}
