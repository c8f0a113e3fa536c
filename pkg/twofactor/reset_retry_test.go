package twofactor

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestDecisionAgain: a reviewer whose answer was lost sends the decision again, and is told that the case has changed; looking at
// it again shows the decision.
func TestDecisionAgain(t *testing.T) {
	t.Parallel()
	for d, shows := range map[Decision]func(c Case) bool{
		DecisionApprove:       func(c Case) bool { return c.Reset.State == ResetApproved && c.Reset.Approvals[0].By == "one" },
		DecisionDeny:          func(c Case) bool { return c.Reset.State == ResetDenied && c.Reset.ReasonCode == "other" },
		DecisionStop:          func(c Case) bool { return c.Reset.State == ResetCanceled },
		DecisionRetryIdentity: func(c Case) bool { return c.Reset.State == ResetIdentityPending },
	} {
		w := recovering(t, "standard")
		w.upTo(ResetInReview)
		req := Review{Request: w.request(), ResetID: "reset1", Reviewer: Reviewer{User: "one"}, Decision: d,
			CaseVersion: w.account.Reset.CaseVersion, IdentityMatches: true, ReasonCode: "other"}
		send := func() error {
			_, err := apply(w.world, func(a *Account) (Reviewed, error) { return w.rules.Review(a, req, w.now) })
			return err
		}
		w.must(send())
		if err := send(); !errors.Is(err, ErrCaseChanged) || w.stored {
			t.Errorf("%s again: %v, stored %v", d, err, w.stored)
		}
		if c := w.shown("one"); !shows(c) {
			t.Errorf("%s: shown %+v", d, c.Reset)
		}
	}
}

// TestTwiceIsOnce: what a user clicks twice, a webhook says twice or mail feedback reports twice has happened once.
func TestTwiceIsOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		up    ResetState
		do    func(w *recovery) error
		again error // and nothing is written
	}{
		"asks": {"", func(w *recovery) error {
			_, err := w.ask()
			return err
		}, nil},
		"inquiry begun": {ResetIdentityPending, func(w *recovery) error {
			return w.act(func(a *Account) error { return w.rules.InquiryBegun(a, IdentityCheck{"reset1", 0, "inq"}) })
		}, nil},
		"submitted": {ResetIdentityPending, func(w *recovery) error {
			w.account.Reset.Inquiry = "inq"
			w.result("inq", IdentitySubmitted)
			return nil
		}, nil},
		"passed":   {ResetIdentityPending, resultOf("inq", IdentityPassed), nil},
		"failed":   {ResetIdentityPending, resultOf("inq", IdentityFailed), nil},
		"lapsed":   {ResetIdentityPending, resultOf("inq", IdentityLapsed), nil},
		"declined": {ResetApproved, resultOf("inq_1", IdentityFailed), nil},
		"bounced": {ResetReady, func(w *recovery) error {
			return w.act(func(a *Account) error { return w.rules.NoticeBounced(a, "reset1", w.now) })
		}, nil},
		"canceled": {ResetReady, func(w *recovery) error {
			return w.act(func(a *Account) error { return w.rules.CancelReset(a, w.request(), w.now) })
		}, ErrNoReset},
	} {
		w := recovering(t, "standard")
		if test.up != "" {
			w.upTo(test.up)
		}
		if name == "passed" || name == "failed" || name == "lapsed" {
			w.must(w.click("inq"))
		}
		w.must(test.do(w))
		once := w.account
		if err := test.do(w); !errors.Is(err, test.again) || (err == nil) != (test.again == nil) || w.stored || w.account.Version != once.Version {
			t.Errorf("%s twice: %v, stored %v", name, err, w.stored)
		}
	}
}

func resultOf(inquiry string, outcome IdentityOutcome) func(w *recovery) error {
	return func(w *recovery) error { w.result(inquiry, outcome); return nil }
}

// TestTwoClicks: of two inquiries that two clicks have begun, one counts; whoever began the other is told, and finds the first
// with the next click. What comes of the other changes nothing.
func TestTwoClicks(t *testing.T) {
	t.Parallel()
	w := recovering(t, "standard")
	w.upTo(ResetIdentityPending)
	begun := func(attempt int, inquiry string) error {
		return w.act(func(a *Account) error { return w.rules.InquiryBegun(a, IdentityCheck{"reset1", attempt, inquiry}) })
	}
	w.must(begun(0, "first"))
	if err := begun(0, "second"); !errors.Is(err, ErrLinkExpired) || w.stored {
		t.Errorf("a second inquiry: %v, stored %v", err, w.stored)
	}
	token := w.link(LinkIdentity)
	check, err := apply(w.world, func(a *Account) (IdentityCheck, error) { return w.rules.IdentityCheck(a, token) })
	if diff := cmp.Diff(IdentityCheck{"reset1", 0, "first"}, check); diff != "" || err != nil {
		t.Errorf("the next click, %v (-want +got):\n%s", err, diff)
	}
	if w.result("second", IdentityPassed); w.stored {
		t.Error("another inquiry counts")
	}
	w.result("first", IdentityFailed)
	for _, attempt := range []int{0, 2} {
		if err := begun(attempt, "third"); !errors.Is(err, ErrLinkExpired) {
			t.Errorf("attempt %d after one: %v", attempt, err)
		}
	}
	w.must(begun(1, "third"))
	if w.result("first", IdentityPassed); w.stored {
		t.Error("an inquiry that has failed counts")
	}
	w.result("third", IdentityPassed)
}

// TestLastMinutes: a check that was begun may have been submitted in its last minutes, and that may come out only later.
func TestLastMinutes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		begun bool
		after time.Duration
		in    bool
	}{
		{true, 24 * time.Hour, true}, {true, 24*time.Hour + 15*time.Minute - 1, true}, {true, 24*time.Hour + 15*time.Minute, false},
		{false, 24*time.Hour - 1, true}, {false, 24 * time.Hour, false},
	} {
		w := recovering(t, "standard")
		w.upTo(ResetIdentityPending)
		if test.begun {
			w.must(w.click("inq"))
		}
		w.later(test.after)
		w.must(w.act(func(a *Account) error { return w.rules.Sweep(a, w.now) }))
		if w.account.Reset.Open() != test.in {
			t.Errorf("begun %v, after %v: %s", test.begun, test.after, w.account.Reset.State)
		}
		if test.begun {
			if w.result("inq", IdentitySubmitted); w.account.Reset.Submitted != test.in {
				t.Errorf("submitted after %v: %v", test.after, w.account.Reset.Submitted)
			}
		}
	}
	w := recovering(t, "standard")
	w.upTo(ResetIdentityPending)
	w.must(w.click("inq"))
	w.result("inq", IdentitySubmitted)
	w.later(13 * 24 * time.Hour)
	w.result("inq", IdentityLapsed)
	if got := w.account.Reset.ExpiresAt.Sub(w.now); got != 24*time.Hour || w.account.Reset.TriesLeft != 3 {
		t.Errorf("lapsed after all: %v for another, %d tries left", got, w.account.Reset.TriesLeft)
	}
}

// TestStatusShowsTime: the user is shown what time has done, also where nobody has stored it; looking stores nothing.
func TestStatusShowsTime(t *testing.T) {
	t.Parallel()
	w := recovering(t, "standard")
	w.upTo(ResetApproved)
	s := serve(w.world)
	for after, want := range map[time.Duration]ResetState{24*time.Hour - time.Millisecond: ResetApproved, 24 * time.Hour: ResetReady} {
		s.service.Now = func() time.Time { return noon.Add(after) }
		if got, err := s.service.Status(t.Context(), alice); err != nil || got.Reset.State != want {
			t.Errorf("after %v: %+v, %v", after, got.Reset, err)
		}
	}
	if len(s.store.writes) != 0 {
		t.Error("a look was stored")
	}
}

// TestResetServices: a recovery from its first request to its end, by way of the store.
func TestResetServices(t *testing.T) {
	t.Parallel()
	w := recovering(t, "standard")
	ch := w.challenge()
	ch.Subject = w.subject
	s := serve(w.world)
	ctx := t.Context()
	link := func(p LinkPurpose) string {
		token, err := s.rules.Link(s.store.accounts[alice], p)
		s.must(err)
		return token
	}
	at := func(want ResetState, err error) {
		t.Helper()
		s.must(err)
		if got, err := s.service.Reset(ctx, alice); err != nil || got.State != want {
			t.Fatalf("%+v, %v; want %s", got, err, want)
		}
	}
	if got, err := s.service.Reset(ctx, alice); got != nil || err != nil {
		t.Errorf("before: %+v, %v", got, err)
	}
	ask := func(id string) error {
		got, err := s.service.RequestReset(ctx, RequestReset{Request: s.request(), Challenge: ch, ID: id, Reference: "R-" + id})
		if err == nil && (got.Reset.ID != id || got.Reset.Reference != "R-"+id) {
			t.Errorf("asked: %+v", got)
		}
		return err
	}
	at(ResetIdentityPending, ask("a"))
	if got, err := s.service.ShowLink(ctx, alice, link(LinkIdentity)); err != nil || got.Purpose != LinkIdentity {
		t.Errorf("shown %+v, %v", got, err)
	}
	at(ResetCanceled, s.service.CancelByLink(ctx, alice, s.request(), link(LinkCancel)))
	at(ResetIdentityPending, ask("b"))
	at(ResetCanceled, s.service.CancelReset(ctx, alice, s.request()))
	at(ResetIdentityPending, ask("c"))
	check, err := s.service.IdentityCheck(ctx, alice, link(LinkIdentity))
	s.must(err)
	check.Inquiry = "inq"
	at(ResetIdentityPending, s.service.InquiryBegun(ctx, alice, check))
	at(ResetInReview, s.service.IdentityResult(ctx, alice, IdentityResult{ResetID: "c", Inquiry: "inq", Outcome: IdentityPassed}))
	c, err := s.service.Case(ctx, alice, "c", Reviewer{User: "one"})
	s.must(err)
	s.must(s.service.CaseViewed(ctx, alice, s.request(), Reviewer{User: "one"}))
	if e := s.store.history[0]; e.Type != EventCaseViewed || e.Actor != ActorReviewer || e.By != "one" || e.IP != "203.0.113.7" || e.Outcome != Succeeded {
		t.Errorf("viewed: %+v", e)
	}
	decide := func(d Decision) error {
		_, err := s.service.Review(ctx, alice, Review{Request: s.request(), ResetID: "c", Reviewer: Reviewer{User: "one"}, Decision: d,
			CaseVersion: c.Reset.CaseVersion, IdentityMatches: true, ReasonCode: "other"})
		return err
	}
	at(ResetApproved, decide(DecisionApprove))
	at(ResetInReview, s.service.NoticeBounced(ctx, alice, "c"))
	if err := decide(DecisionDeny); !errors.Is(err, ErrCaseChanged) {
		t.Errorf("on what was shown before: %v", err)
	}
	s.later(14 * 24 * time.Hour)
	at(ResetExpired, s.service.Sweep(ctx, alice))
	s.store.failLoad = 1
	if got, err := s.service.Reset(ctx, alice); got != nil || !errors.Is(err, ErrUnavailable) {
		t.Errorf("could not tell: %+v, %v", got, err)
	}
}

// waiting is a store whose list of what is due fails as told.
type waiting struct {
	Store
	err error
}

func (w waiting) Due(context.Context, Waiting, Page) (DuePage, error) {
	return DuePage{Next: "n"}, w.err
}

func TestServiceDue(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ err, want error }{{nil, nil}, {ErrCursor, ErrCursor}, {errStore, ErrUnavailable}} {
		s := newService(waiting{err: test.err}, Standard(), time.Now)
		got, err := s.Due(t.Context(), WaitingReview, Page{Limit: 1})
		if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) || err == nil && got.Next != "n" {
			t.Errorf("%v: got %+v, %v", test.err, got, err)
		}
	}
}
