package twofactor

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPersonIsSealed: what the host told of the person, and what was read from the ID, is sealed inside the open reset, shown to
// reviewers, and gone with the reset, however that ends.
func TestPersonIsSealed(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *recovery) error{
		"denied":  func(w *recovery) error { return w.decide(DecisionDeny, "reviewer") },
		"stopped": func(w *recovery) error { return w.decide(DecisionStop, "reviewer") },
		"canceled": func(w *recovery) error {
			return w.act(func(a *Account) error { return w.rules.CancelReset(a, w.request(), w.now) })
		},
		"proof of life": func(w *recovery) error { return w.signIn(w.phone.at(w.now)) },
		"expired": func(w *recovery) error {
			w.later(reviewFor)
			return w.act(func(a *Account) error { return w.rules.Sweep(a, w.now) })
		},
		"completed": func(w *recovery) error {
			w.must(w.decide(DecisionApprove, "reviewer"))
			w.later(w.account.Reset.EffectiveAt.Sub(w.now))
			w.must(w.act(func(a *Account) error { return w.rules.Sweep(a, w.now) }))
			_, err := w.useLink(w.link(LinkSignIn))
			return err
		},
		"erased": func(w *recovery) error {
			return w.act(func(a *Account) error { return w.rules.Erase(a, w.request(), Event{Actor: ActorHost}, w.now) })
		},
	} {
		w := recovering(t, "standard")
		w.saw = func(e Event) {
			if text := string(w.marshal(&Account{Events: []Event{e}})); strings.Contains(text, "Doe") {
				t.Errorf("%s: in the history: %s", name, text)
			}
		}
		w.upTo(ResetInReview)
		c := w.shown("reviewer")
		if diff := cmp.Diff(w.subject, c.Subject); diff != "" || *c.Person != (Person{Name: "Alice Doe"}) {
			t.Errorf("%s: shown %+v; subject (-want +got):\n%s", name, c.Person, diff)
		}
		if text := string(w.marshal(w.account)); strings.Contains(text, "Doe") || strings.Contains(text, "1990") {
			t.Errorf("%s: not sealed: %s", name, text)
		}
		w.must(end(w))
		if r := w.account.Reset; r != nil && (r.Subject != nil || r.Identity != nil) {
			t.Errorf("%s: left over: %+v", name, r)
		}
	}
}

func (w *recovery) shown(to UserID) Case {
	w.Helper()
	c, err := apply(w.world, func(a *Account) (Case, error) { return w.rules.Case(a, a.Reset.ID, Reviewer{User: to}, w.now) })
	w.must(err)
	return c
}

// TestPersonIsCut: an ID, which whoever holds it may have printed, cannot fill the item.
func TestPersonIsCut(t *testing.T) {
	t.Parallel()
	w := recovering(t, "standard")
	w.upTo(ResetIdentityPending)
	w.must(w.click("inq_1"))
	long := strings.Repeat("ü", 10_000)
	w.must(w.act(func(a *Account) error {
		return w.rules.IdentityResult(a, IdentityResult{a.Reset.ID, "inq_1", IdentityPassed, Person{long, long, long, long}}, w.now)
	}))
	cut := strings.Repeat("ü", 128)
	if got := *w.shown("reviewer").Person; got != (Person{cut, cut, cut, cut}) {
		t.Errorf("kept %d, %d, %d and %d bytes", len(got.Name), len(got.Birthdate), len(got.Phone), len(got.Address))
	}
}

// TestPersonDoesNotMove: neither to the other field, nor to another account, nor to another reset.
func TestPersonDoesNotMove(t *testing.T) {
	t.Parallel()
	for name, move := range map[string]func(a *Account){
		"to the other field": func(a *Account) { a.Reset.Subject = a.Reset.Identity },
		"and back":           func(a *Account) { a.Reset.Identity = a.Reset.Subject },
		"to another user":    func(a *Account) { a.User = "bob" },
		"to another life":    func(a *Account) { a.Incarnation++ },
		"not JSON":           func(a *Account) { *a.Reset.Identity, _ = a.seal(newBox("contacts"), sealIdentity, []byte("{")) },
	} {
		w := recovering(t, "standard")
		w.upTo(ResetInReview)
		move(w.account)
		_, err := apply(w.world, func(a *Account) (Case, error) { return w.rules.Case(a, a.Reset.ID, Reviewer{User: "reviewer"}, w.now) })
		if !errors.Is(err, ErrSealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// askWith asks with a challenge that was sealed before the keys went.
func (w *recovery) askWith(subject *Subject) error {
	return w.act(func(a *Account) error {
		_, err := w.rules.RequestReset(a, RequestReset{Challenge: Challenge{
			Purpose: PurposeVerify, User: alice, Subject: subject, ExpiresAt: w.now.Add(challengeFor),
		}}, w.now)
		return err
	})
}

// TestResetWithoutKeys: where the person cannot be sealed, or the address cannot be opened, nothing happens.
func TestResetWithoutKeys(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		up  ResetState
		try func(w *recovery) error
	}{
		"asked for": {"", func(w *recovery) error { return w.askWith(&Subject{Name: "Alice Doe"}) }},
		"asked for, address": {"", func(w *recovery) error {
			w.account.Contact = &Sealed{}
			return w.askWith(nil)
		}},
		"passed": {ResetIdentityPending, func(w *recovery) error {
			w.account.Reset.Inquiry = "inq_1"
			return w.act(func(a *Account) error {
				return w.rules.IdentityResult(a, IdentityResult{ResetID: a.Reset.ID, Inquiry: "inq_1", Outcome: IdentityPassed}, w.now)
			})
		}},
		"decided": {ResetInReview, func(w *recovery) error {
			w.account.Contact = &Sealed{}
			return w.decide(DecisionApprove, "reviewer")
		}},
		"decided, previous address": {ResetInReview, func(w *recovery) error {
			w.account.Previous = &Previous{Until: w.now.Add(1)}
			return w.decide(DecisionApprove, "reviewer")
		}},
		"looked at": {ResetInReview, func(w *recovery) error {
			w.account.Contact = &Sealed{}
			return w.act(func(a *Account) error {
				_, err := w.rules.Case(a, a.Reset.ID, Reviewer{User: "reviewer"}, w.now)
				return err
			})
		}},
	} {
		w := recovering(t, "standard")
		if test.up != "" {
			w.upTo(test.up)
		}
		w.rules.Keys.Contacts = broken{}
		before := w.account
		err := test.try(w)
		if !errors.Is(err, errBroken) || errors.Is(err, ErrSealed) == errors.Is(err, ErrUnavailable) || w.stored || w.account.Version != before.Version {
			t.Errorf("%s: %v, stored %v", name, err, w.stored)
		}
	}
}
