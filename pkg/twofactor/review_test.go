package twofactor

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestApprovalsNeeded: as many as the policy says, and two where there is nothing on file to compare with.
func TestApprovalsNeeded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		subject   *Subject
		reviewers int
		want      int
	}{
		{&Subject{Name: "Alice Doe"}, 1, 1}, {&Subject{Phone: "+1"}, 1, 1}, {&Subject{Birthdate: "1990-01-31"}, 1, 1}, {nil, 1, 2}, {&Subject{}, 1, 2},
		{&Subject{Name: "Alice Doe"}, 2, 2}, {nil, 2, 2},
	} {
		w := recovering(t, "standard")
		w.subject, w.rules.Policy.Reviewers = test.subject, test.reviewers
		w.mustAsk()
		w.must(w.click("inq"))
		w.result("inq", IdentityPassed)
		if c := w.shown("one"); c.ApprovalsNeeded != test.want || (c.Subject != nil) != (test.subject != nil && *test.subject != Subject{}) {
			t.Errorf("%+v: case %+v, want %d", test.subject, c, test.want)
		}
		for i, by := range []UserID{"one", "two"}[:test.want] {
			if w.account.Reset.State != ResetInReview {
				t.Errorf("%+v, %d reviewers: %s after %d approvals", test.subject, test.reviewers, w.account.Reset.State, i)
			}
			w.must(w.decide(DecisionApprove, by))
		}
		if w.account.Reset.State != ResetApproved {
			t.Errorf("%+v, %d reviewers: %s after all approvals", test.subject, test.reviewers, w.account.Reset.State)
		}
		if c := w.shown("one"); c.ApprovalsNeeded != test.want {
			t.Errorf("approved: %+v", c)
		}
		w.cancel()
		if c := w.shown("one"); c.ApprovalsNeeded != 0 || !c.EarliestAt.IsZero() {
			t.Errorf("of a closed case: %+v", c)
		}
	}
}

// TestOneReviewerTwice: the second of two approvals is another person's, and a second decision by the same is a conflict also
// with what is shown now.
func TestOneReviewerTwice(t *testing.T) {
	t.Parallel()
	w := recovering(t, "standard")
	w.subject = nil
	w.upTo2(ResetInReview)
	w.must(w.decide(DecisionApprove, "one"))
	for range 2 {
		if err := w.decide(DecisionApprove, "one"); !errors.Is(err, ErrCaseChanged) || w.stored {
			t.Errorf("again: %v, stored %v", err, w.stored)
		}
	}
	w.must(w.decide(DecisionDeny, "one")) // but may see it differently now
	if w.account.Reset.State != ResetDenied {
		t.Errorf("state %s", w.account.Reset.State)
	}
}

// upTo2 is upTo for a reset that takes two to approve.
func (w *recovery) upTo2(state ResetState) {
	w.Helper()
	w.mustAsk()
	w.must(w.click("inq_1"))
	w.result("inq_1", IdentityPassed)
	if w.account.Reset.State != state {
		w.Fatalf("state %s", w.account.Reset.State)
	}
}

// TestOwnCase: nobody looks at or decides on their own account, which is theirs by its user, its address, or the address that it
// had until a while ago.
func TestOwnCase(t *testing.T) {
	t.Parallel()
	hold := 7 * 24 * time.Hour
	for name, test := range map[string]struct {
		reviewer Reviewer
		after    time.Duration // since the address changed
		own      bool
	}{
		"the user":                {Reviewer{User: alice}, 0, true},
		"the user, other address": {Reviewer{User: alice, Email: "other@example.com"}, 0, true},
		"the address":             {Reviewer{User: "x", Email: "new@example.com"}, 0, true},
		"in capitals":             {Reviewer{User: "x", Email: "New@EXAMPLE.com"}, 0, true},
		"previous address":        {Reviewer{User: "x", Email: "old@example.com"}, hold - 1, true},
		"an address of long ago":  {Reviewer{User: "x", Email: "old@example.com"}, hold, false},
		"a neighbour":             {Reviewer{User: "x", Email: "neW@example.org"}, 0, false},
		"without an address":      {Reviewer{User: "x"}, 0, false},
		"capitals in the user":    {Reviewer{User: "Alice@example.com"}, 0, false},
	} {
		w := recovering(t, "standard")
		w.addressChanged("old@example.com")
		w.addressChanged("new@example.com")
		w.upTo(ResetInReview)
		w.later(test.after)
		want := map[bool]error{true: ErrOwnCase}[test.own]
		for _, d := range []Decision{DecisionStop, DecisionDeny, DecisionRetryIdentity, DecisionApprove} {
			req := Review{ResetID: "reset1", Reviewer: test.reviewer, Decision: d, CaseVersion: w.account.Reset.CaseVersion, IdentityMatches: true, ReasonCode: "other"}
			_, err := w.rules.Review(w.account.next("w", time.Time{}, w.now), req, w.now)
			if !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Errorf("%s: %s: %v, want %v", name, d, err, want)
			}
		}
		_, err := apply(w.world, func(a *Account) (Case, error) { return w.rules.Case(a, "reset1", test.reviewer, w.now) })
		if !errors.Is(err, want) || w.stored {
			t.Errorf("%s: looked at: %v, want %v", name, err, want)
		}
	}
	w := recovering(t, "standard") // no address is known: having none is nothing in common
	w.upTo(ResetInReview)
	w.must(w.decide(DecisionApprove, "reviewer"))
}

// TestEffectiveTime: the later of the waiting time after the approval and the hold after the last change of address; the case
// says so before, and time alone makes it so.
func TestEffectiveTime(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	for name, test := range map[string]struct {
		wait, hold time.Duration
		changed    time.Duration // before the approval; 0: never
		want       time.Duration // after it
	}{
		"at once":                  {0, 7 * day, 0, 0},
		"a day":                    {day, 7 * day, 0, day},
		"thirty days":              {30 * day, 7 * day, 0, 30 * day},
		"the address has changed":  {day, 7 * day, time.Hour, 7*day - time.Hour},
		"no wait, but the address": {0, 7 * day, 6 * day, day},
		"the hold is nearly over":  {day, 7 * day, 6*day + 1, day},
		"the hold is over":         {0, 7 * day, 7 * day, 0},
		"no hold":                  {0, 0, time.Hour, 0},
		"a long hold":              {day, 30 * day, day, 29 * day},
	} {
		w := recovering(t, "standard")
		w.rules.Policy.ResetWait, w.rules.Policy.AddressHold = Duration(test.wait), Duration(test.hold)
		if test.changed > 0 {
			w.now = noon.Add(-test.changed)
			w.account.Authenticator.ActivatedAt = w.now
			w.addressChanged("new@example.com")
			w.now = noon
		}
		w.upTo(ResetInReview)
		at := noon.Add(test.want)
		if c := w.shown("one"); !c.EarliestAt.Equal(at) || c.Enforcement != Optional || !c.AddressChanged.Equal(w.account.AddressChanged) {
			t.Errorf("%s: earliest %v, want %v", name, c.EarliestAt, at)
		}
		w.must(w.decide(DecisionApprove, "one"))
		if test.want > 0 {
			w.later(test.want - time.Millisecond)
			if c := w.shown("one"); c.Reset.State != ResetApproved || !c.EarliestAt.Equal(at) {
				t.Errorf("%s: just before: %s, %v", name, c.Reset.State, c.EarliestAt)
			}
			w.later(time.Millisecond)
		}
		if offer, err := w.offer(NewChallenge{}); err != nil || len(offer.Methods) != 3 || offer.Reset.State != ResetReady || w.stored != (test.want > 0) {
			t.Errorf("%s: offer %+v, %v", name, offer, err)
		}
	}
}

// TestReasonCode is told to the user for as long as the decision stands.
func TestReasonCode(t *testing.T) {
	t.Parallel()
	w := recovering(t, "standard")
	w.upTo(ResetInReview)
	w.must(w.decideFor(DecisionRetryIdentity, "one", "document_unreadable"))
	if got := w.account.Status(w.now).Reset; got.ReasonCode != "document_unreadable" || got.TriesLeft != 3 {
		t.Errorf("status %+v", got)
	}
	w.must(w.click("again"))
	w.result("again", IdentityPassed)
	if got := w.account.Status(w.now).Reset.ReasonCode; got != "" {
		t.Errorf("passed, and the reason is still %q", got)
	}
	w.must(w.decideFor(DecisionDeny, "one", "identity_mismatch"))
	if got := w.account.Status(w.now).Reset; got.ReasonCode != "identity_mismatch" || got.State != ResetDenied {
		t.Errorf("status %+v", got)
	}
	for _, state := range []ResetState{ResetIdentityPending, ResetInReview, ResetApproved, ResetReady} {
		w := recovering(t, "standard")
		w.upTo(state)
		w.must(w.decideFor(DecisionStop, "one", "suspicious_request"))
		if got := w.account.Status(w.now).Reset; got.ReasonCode != "suspicious_request" || got.State != ResetCanceled {
			t.Errorf("stopped while %s: %+v", state, got)
		}
	}
}

// TestNoSuchCase: a case is the account's last reset, and no other.
func TestNoSuchCase(t *testing.T) {
	t.Parallel()
	w := recovering(t, "standard")
	try := func(id string) (looked, decided error) {
		_, looked = apply(w.world, func(a *Account) (Case, error) { return w.rules.Case(a, id, Reviewer{User: "one"}, w.now) })
		_, decided = apply(w.world, func(a *Account) (Reviewed, error) {
			return w.rules.Review(a, Review{ResetID: id, Reviewer: Reviewer{User: "one"}, Decision: DecisionStop}, w.now)
		})
		return looked, decided
	}
	for _, id := range []string{"", "reset1"} {
		if looked, decided := try(id); !errors.Is(looked, ErrNoReset) || !errors.Is(decided, ErrNoReset) {
			t.Errorf("%q without a reset: %v, %v", id, looked, decided)
		}
	}
	w.upTo(ResetIdentityPending)
	w.cancel()
	if looked, decided := try("reset1"); looked != nil || !errors.Is(decided, ErrCaseChanged) {
		t.Errorf("closed: %v, %v", looked, decided)
	}
	w.upTo(ResetIdentityPending)
	if looked, decided := try("reset1"); !errors.Is(looked, ErrNoReset) || !errors.Is(decided, ErrNoReset) {
		t.Errorf("an earlier one: %v, %v", looked, decided)
	}
}

// TestReviewAnswer: what a reviewer is told.
func TestReviewAnswer(t *testing.T) {
	t.Parallel()
	w := recovering(t, "miaxdx")
	w.subject = nil
	w.upTo2(ResetInReview)
	for i, by := range []UserID{"one", "two"} {
		req := Review{ResetID: "reset1", Reviewer: Reviewer{User: by}, Decision: DecisionApprove, CaseVersion: w.account.Reset.CaseVersion, IdentityMatches: true}
		got, err := apply(w.world, func(a *Account) (Reviewed, error) { return w.rules.Review(a, req, w.now) })
		w.must(err)
		want := []Reviewed{{ResetInReview, 1}, {ResetReady, 2}}[i]
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("answer (-want +got):\n%s", diff)
		}
	}
	want := []Approval{{"one", w.now}, {"two", w.now}}
	if diff := cmp.Diff(want, w.shown("one").Reset.Approvals); diff != "" {
		t.Errorf("approvals (-want +got):\n%s", diff)
	}
}
