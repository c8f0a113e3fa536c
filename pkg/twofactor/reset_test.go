package twofactor

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// recovering begins with 2FA on, and a reset asked for whose host told who the user is.
func recovering(t *testing.T, preset string) *recovery {
	t.Helper()
	return &recovery{world: enabledWorld(t, preset), subject: &Subject{Name: "Alice Doe", Birthdate: "1990-01-31"}}
}

// recovery is a world in which somebody recovers.
type recovery struct {
	*world
	subject *Subject
	resets  int
}

func (w *recovery) ask() (ResetRequested, error) {
	ch := w.challenge()
	ch.Subject = w.subject
	w.resets++
	return apply(w.world, func(a *Account) (ResetRequested, error) {
		return w.rules.RequestReset(a, RequestReset{Request: w.request(), Challenge: ch, ID: fmt.Sprint("reset", w.resets), Reference: "R-7K4Q"}, w.now)
	})
}

// link is a token as it is mailed.
func (w *recovery) link(p LinkPurpose) string {
	w.Helper()
	token, err := w.rules.Link(w.account, p)
	w.must(err)
	return token
}

// click begins an identity check, as the holder of the mailed link does.
func (w *recovery) click(inquiry string) error {
	token := w.link(LinkIdentity)
	check, err := apply(w.world, func(a *Account) (IdentityCheck, error) { return w.rules.IdentityCheck(a, token) })
	if err != nil {
		return err
	}
	if check.Inquiry == "" {
		check.Inquiry = inquiry
	}
	return w.act(func(a *Account) error { return w.rules.InquiryBegun(a, check) })
}

func (w *recovery) result(inquiry string, outcome IdentityOutcome) {
	w.Helper()
	id := w.account.Reset.ID
	w.must(w.act(func(a *Account) error {
		return w.rules.IdentityResult(a, IdentityResult{ResetID: id, Inquiry: inquiry, Outcome: outcome, Person: Person{Name: "Alice Doe"}}, w.now)
	}))
}

func (w *recovery) decide(d Decision, by UserID) error {
	req := Review{Request: w.request(), ResetID: w.account.Reset.ID, Reviewer: Reviewer{User: by}, Decision: d,
		CaseVersion: w.account.Reset.CaseVersion, IdentityMatches: true, ReasonCode: "other"}
	_, err := apply(w.world, func(a *Account) (Reviewed, error) { return w.rules.Review(a, req, w.now) })
	return err
}

// upTo brings a new reset to a state.
func (w *recovery) upTo(state ResetState) {
	w.Helper()
	_, err := w.ask()
	w.must(err)
	if state == ResetIdentityPending {
		return
	}
	w.must(w.click("inq_1"))
	w.result("inq_1", IdentityPassed)
	if state == ResetInReview {
		return
	}
	w.must(w.decide(DecisionApprove, "reviewer"))
	if state == ResetReady && w.account.Reset.State == ResetApproved {
		w.later(w.account.Reset.EffectiveAt.Sub(w.now))
		w.must(w.act(func(a *Account) error { return w.rules.Sweep(a, w.now) }))
	}
	if w.account.Reset.State != state {
		w.Fatalf("state %s, want %s", w.account.Reset.State, state)
	}
}

// useLink signs in with the mailed link.
func (w *recovery) useLink(token string) (SignIn, error) {
	return w.verify(w.challenge(), MethodResetLink, token)
}

// TestRecoveryOptional: with 2FA optional the mailed link turns it off, in the write that lets the user in.
func TestRecoveryOptional(t *testing.T) {
	t.Parallel()
	w := recovering(t, "standard")
	w.upTo(ResetReady)
	offer, err := w.offer(NewChallenge{})
	if diff := cmp.Diff([]Method{MethodTOTP, MethodBackupCode, MethodResetLink}, offer.Methods); diff != "" || err != nil {
		t.Errorf("methods (-want +got), %v:\n%s", err, diff)
	}
	link, another := w.link(LinkSignIn), w.challenge()
	answer, err := w.useLink(link)
	w.must(err)
	if answer.State != StateDisabled || answer.Assertion == nil || !cmp.Equal(answer.Assertion.AMR, []string{"pwd", "reset_link"}) {
		t.Errorf("answer %+v", answer)
	}
	if w.account.Enabled() || w.account.Reset.State != ResetCompleted || w.account.Reset.Subject != nil || w.account.Reset.Identity != nil {
		t.Errorf("enabled %v, reset %+v", w.account.Enabled(), w.account.Reset)
	}
	if diff := cmp.Diff([]EventType{EventResetCompleted, EventLogin}, w.events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if _, err := w.verify(another, MethodResetLink, link); !errors.Is(err, ErrLinkExpired) {
		t.Errorf("the link a second time: %v", err)
	}
}

// TestRecoveryRequired: with 2FA required nothing is removed before the new phone works.
func TestRecoveryRequired(t *testing.T) {
	t.Parallel()
	w := recovering(t, "miaxdx")
	w.account.Codes.SuspendedAt = w.now // what was guessed at the lost phone does not hold up the new one
	old, former := w.account.Authenticator.Secret, w.account.BackupCode.Digest
	w.upTo(ResetReady)
	link := w.link(LinkSignIn)
	answer, err := w.useLink(link)
	w.must(err)
	if answer.Assertion != nil || answer.Enroll == nil || w.stored || w.account.Reset.State != ResetReady {
		t.Fatalf("answer %+v, stored %v, reset %s", answer, w.stored, w.account.Reset.State)
	}
	enroll := *answer.Enroll
	setUp, err := apply(w.world, func(a *Account) (SetUp, error) {
		return w.rules.Enroll(a, Enroll{Request: w.request(), Secret: mustSecret(), Challenge: &enroll}, w.now)
	})
	w.must(err)
	if !cmp.Equal(w.account.Authenticator.Secret, old) || setUp.BackupCode == nil {
		t.Errorf("the old phone is gone, or there is no backup code: %+v", setUp)
	}
	confirmed, err := w.confirm(NewConfirm(w.request(), enroll, setUp.ID, phone{secret: setUp.Secret}.at(w.now)))
	w.must(err)
	if diff := cmp.Diff([]string{"pwd", "reset_link", "otp"}, confirmed.SignIn.Assertion.AMR); diff != "" || confirmed.SignIn.Assertion.Method != MethodTOTP {
		t.Errorf("assertion %+v:\n%s", confirmed.SignIn.Assertion, diff)
	}
	a := w.account
	if cmp.Equal(a.Authenticator.Secret, old) || a.BackupCode.Digest == former || a.Reset.State != ResetCompleted || !a.Codes.SuspendedAt.IsZero() {
		t.Errorf("account %+v", a)
	}
	if diff := cmp.Diff([]EventType{EventReplaced, EventResetCompleted, EventBackupCodeIssued, EventLogin}, w.events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if _, err := w.useLink(link); !errors.Is(err, ErrLinkExpired) {
		t.Errorf("the link a second time: %v", err)
	}
}

// TestAddressHold: after a change of address an approval takes effect no sooner than the hold allows.
func TestAddressHold(t *testing.T) {
	t.Parallel()
	w := recovering(t, "miaxdx")
	w.addressChanged("old@example.com")
	w.addressChanged("new@example.com")
	w.upTo(ResetApproved)
	if got := w.account.Reset.EffectiveAt; !got.Equal(w.account.AddressChanged.Add(7 * 24 * time.Hour)) {
		t.Errorf("effective at %v, want seven days after %v", got, w.account.AddressChanged)
	}
}
