package twofactor

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestResetHistory: every step of a recovery is recorded, with who did it, why and from where.
func TestResetHistory(t *testing.T) {
	t.Parallel()
	from := func(e Event) Event { // what came with a request
		e.IP, e.UserAgent = "203.0.113.7", "test"
		return e
	}
	by := func(what EventType, reviewer, reason string) Event {
		return from(Event{Type: what, Actor: ActorReviewer, By: reviewer, Reason: reason, Note: "seen"})
	}
	system := func(what EventType, reason string) Event {
		return Event{Type: what, Actor: ActorSystem, Reason: reason}
	}
	requested := []Event{from(Event{Type: EventResetRequested, Actor: ActorUser}), from(system(EventMailRequested, "reset_requested"))}
	passed := system(EventIdentityPassed, "")
	failed := Event{Type: EventIdentityFailed, Outcome: Failed, Actor: ActorSystem}
	canceled := func(actor Actor, reason string) Event {
		return from(Event{Type: EventResetCanceled, Actor: actor, Reason: reason})
	}
	completed := from(Event{Type: EventResetCompleted, Actor: ActorUser, Method: MethodResetLink})

	ask := step{func(w *recovery) error {
		_, err := w.ask()
		return err
	}, requested}
	pass := step{func(w *recovery) error {
		w.must(w.click("inq"))
		w.result("inq", IdentityPassed)
		return nil
	}, []Event{passed}}
	fail := step{func(w *recovery) error {
		inquiry := w.account.Reset.Inquiry
		if inquiry == "" {
			inquiry = "inq"
			w.must(w.click(inquiry))
		}
		w.result(inquiry, IdentityFailed)
		return nil
	}, []Event{failed}}
	decide := func(d Decision, who UserID, want ...Event) step {
		return step{func(w *recovery) error {
			return w.decideFor(d, who, map[Decision]string{DecisionDeny: "other", DecisionStop: "suspicious_request", DecisionRetryIdentity: "document_unreadable"}[d])
		}, want}
	}
	approve := decide(DecisionApprove, "one", by(EventResetApproved, "one", ""))
	approveNow := decide(DecisionApprove, "one", by(EventResetApproved, "one", ""), system(EventResetReady, ""))
	sweep := func(after time.Duration, want ...Event) step {
		return step{func(w *recovery) error {
			w.later(after)
			return w.act(func(a *Account) error { return w.rules.Sweep(a, w.now) })
		}, want}
	}
	act := func(do func(w *recovery, a *Account) error, want ...Event) step {
		return step{func(w *recovery) error { return w.act(func(a *Account) error { return do(w, a) }) }, want}
	}
	bounce := func(want ...Event) step {
		return act(func(w *recovery, a *Account) error { return w.rules.NoticeBounced(a, a.Reset.ID, w.now) }, want...)
	}
	move := func(want ...Event) step {
		return act(func(w *recovery, a *Account) error {
			return w.rules.AddressChanged(a, w.request(), "new@example.com", w.now)
		},
			append([]Event{from(Event{Type: EventAddressChanged, Actor: ActorHost})}, want...)...)
	}

	for name, test := range map[string]struct {
		preset string
		steps  []step
	}{
		"optional": {"standard", []step{ask, pass, approve, sweep(24*time.Hour, system(EventResetReady, "")), {func(w *recovery) error {
			_, err := w.useLink(w.link(LinkSignIn))
			return err
		}, []Event{completed, from(Event{Type: EventLogin, Actor: ActorUser, Method: MethodResetLink})}}}},
		"required": {"miaxdx", []step{ask, pass, approveNow, {func(w *recovery) error { return w.setUpByLink() }, []Event{
			from(Event{Type: EventEnrollmentStarted, Actor: ActorUser, Operation: OpReplace}),
			from(Event{Type: EventReplaced, Actor: ActorUser, Method: MethodTOTP}), completed,
			from(Event{Type: EventBackupCodeIssued, Actor: ActorUser}), from(Event{Type: EventLogin, Actor: ActorUser, Method: MethodTOTP}),
		}}}},
		"two reviewers, one too many": {"standard", []step{
			{func(w *recovery) error { w.rules.Policy.Reviewers = 2; return nil }, nil}, ask, pass,
			decide(DecisionApprove, "one", by(EventResetApproval, "one", "")), move(from(system(EventResetReturned, "address_changed"))),
			decide(DecisionApprove, "one", by(EventResetApproval, "one", "")), bounce(system(EventResetReturned, "bounced")),
			decide(DecisionApprove, "two", by(EventResetApproval, "two", "")), decide(DecisionApprove, "one", by(EventResetApproved, "one", "")),
		}},
		"returned":       {"miaxdx", []step{ask, pass, approveNow, bounce(system(EventResetReturned, "bounced"))}},
		"moved":          {"standard", []step{ask, pass, approve, move(from(system(EventResetReturned, "address_changed")))}},
		"nothing to say": {"standard", []step{ask, bounce(), move(), pass}},
		"denied":         {"standard", []step{ask, pass, decide(DecisionDeny, "one", by(EventResetDenied, "one", "other"))}},
		"stopped":        {"standard", []step{ask, pass, approve, decide(DecisionStop, "two", by(EventResetCanceled, "two", "suspicious_request"))}},
		"checked again":  {"standard", []step{ask, pass, decide(DecisionRetryIdentity, "one", by(EventResetReturned, "one", "retry_identity")), pass}},
		"reminded": {"standard", []step{ask, pass, sweep(24*time.Hour, system(EventMailRequested, "review_reminder")), sweep(23 * time.Hour),
			sweep(time.Hour, system(EventMailRequested, "review_reminder"))}},
		"three tries":        {"standard", []step{ask, fail, fail, {fail.do, []Event{failed, system(EventResetExpired, "identity_failed")}}}},
		"declined after all": {"standard", []step{ask, pass, approve, {fail.do, []Event{system(EventResetReturned, "identity_declined"), failed}}}},
		"declined for good": {"standard", []step{ask, fail, fail, pass, {fail.do, []Event{
			system(EventResetReturned, "identity_declined"), failed, system(EventResetExpired, "identity_failed"),
		}}}},
		"never begun":   {"standard", []step{ask, sweep(24*time.Hour, system(EventResetExpired, "identity_pending"))}},
		"never decided": {"standard", []step{ask, pass, sweep(14*24*time.Hour, system(EventResetExpired, "in_review"))}},
		"never used":    {"miaxdx", []step{ask, pass, approveNow, sweep(14*24*time.Hour, system(EventResetExpired, "ready"))}},
		"by session": {"standard", []step{ask, act(func(w *recovery, a *Account) error { return w.rules.CancelReset(a, w.request(), w.now) },
			canceled(ActorUser, ""))}},
		"by link": {"standard", []step{ask, {func(w *recovery) error {
			token := w.link(LinkCancel)
			return w.act(func(a *Account) error { return w.rules.CancelByLink(a, w.request(), token, w.now) })
		}, []Event{canceled(ActorUser, "link")}}}},
		"by a code": {"standard", []step{ask, {func(w *recovery) error { return w.signIn(w.phone.at(w.now)) }, []Event{
			canceled(ActorUser, "proof_of_life"), from(Event{Type: EventLogin, Actor: ActorUser, Method: MethodTOTP}),
		}}}},
		"by an operator": {"standard", []step{ask, act(func(w *recovery, a *Account) error {
			return w.rules.RemoveAuthenticator(a, w.request(), Operator{"op", "phoned"}, w.now)
		}, from(Event{Type: EventResetCanceled, Actor: ActorOperator, By: "op", Reason: "admin_removed"}),
			from(Event{Type: EventAdminRemoved, Actor: ActorOperator, By: "op", Reason: "phoned"}))}},
		"erased": {"standard", []step{ask, act(func(w *recovery, a *Account) error {
			return w.rules.Erase(a, w.request(), Event{Actor: ActorHost}, w.now)
		},
			from(Event{Type: EventErased, Actor: ActorHost}))}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := recovering(t, test.preset)
			w.must(w.act(func(a *Account) error { return w.rules.AddressChanged(a, w.request(), "old@example.com", w.now) }))
			w.account.AddressChanged = time.Time{}
			var got []Event
			w.saw = func(e Event) {
				if e.Outcome == Succeeded { // as everything is but what says otherwise
					e.Outcome = ""
				}
				got = append(got, e)
			}
			for i, step := range test.steps {
				got = nil
				w.must(step.do(w))
				if diff := cmp.Diff(step.want, got, cmpopts.IgnoreFields(Event{}, "ID", "At"), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("step %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

// step of a recovery, and what it records.
type step struct {
	do   func(w *recovery) error
	want []Event
}

func (w *recovery) decideFor(d Decision, by UserID, reason string) error {
	req := Review{Request: w.request(), ResetID: w.account.Reset.ID, Reviewer: Reviewer{User: by}, Decision: d,
		CaseVersion: w.account.Reset.CaseVersion, IdentityMatches: true, ReasonCode: reason, Note: "seen"}
	_, err := apply(w.world, func(a *Account) (Reviewed, error) { return w.rules.Review(a, req, w.now) })
	return err
}

// setUpByLink signs in with the mailed link where 2FA is required, and sets a new phone up.
func (w *recovery) setUpByLink() error {
	answer, err := w.useLink(w.link(LinkSignIn))
	if err != nil {
		return err
	}
	setUp, err := w.tryEnroll(Enroll{Request: w.request(), Challenge: answer.Enroll})
	if err != nil {
		return err
	}
	_, err = w.confirm(NewConfirm(w.request(), *answer.Enroll, setUp.ID, phone{secret: setUp.Secret}.at(w.now)))
	return err
}
