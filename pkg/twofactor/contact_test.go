package twofactor

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tell is a host that names the user's contact with a challenge.
func (w *world) tell(c Contact) Offer {
	w.Helper()
	offer, err := w.offer(NewChallenge{Contact: c})
	w.must(err)
	return offer
}

func (w *world) addressChanged(email string) {
	w.Helper()
	w.must(w.act(func(a *Account) error { return w.rules.AddressChanged(a, w.request(), email, w.now) }))
}

// previous is the address before the first recent change.
func (w *world) previous() string {
	w.Helper()
	if w.account.Previous == nil {
		return ""
	}
	c, err := w.rules.previous(w.account)
	w.must(err)
	return c.Email
}

// TestContact: what the host told is kept, sealed; empty fields leave what is known; what is known is not written again.
func TestContact(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	steps := []struct {
		tell   Contact
		known  Contact
		stored bool
		name   string // in the authenticator app
	}{
		{Contact{}, Contact{}, false, string(alice)},
		{Contact{Email: "a@example.com"}, Contact{Email: "a@example.com"}, true, "a@example.com"},
		{Contact{Email: "a@example.com"}, Contact{Email: "a@example.com"}, false, "a@example.com"},
		{Contact{Label: "Alice"}, Contact{"a@example.com", "Alice", ""}, true, "Alice"},
		{Contact{Locale: "de"}, Contact{"a@example.com", "Alice", "de"}, true, "Alice"},
		{Contact{}, Contact{"a@example.com", "Alice", "de"}, false, "Alice"},
		{Contact{"a@example.com", "Al", "de"}, Contact{"a@example.com", "Al", "de"}, true, "Al"},
	}
	for i, step := range steps {
		offer := w.tell(step.tell)
		if w.stored != step.stored || offer.Account != step.name {
			t.Errorf("step %d: stored %v, account %q; want %v, %q", i, w.stored, offer.Account, step.stored, step.name)
		}
		if diff := cmp.Diff(step.known, offer.Contact); diff != "" {
			t.Errorf("step %d: contact (-want +got):\n%s", i, diff)
		}
		if len(w.account.Events) != 0 || w.account.Previous != nil || !w.account.AddressChanged.IsZero() {
			t.Errorf("step %d: a first address, name or language is a change of address: %v", i, w.events())
		}
	}
}

// TestPreviousAddress: for the longer of seven days and address_hold after a change, notices also go to the address before the first
// change.
func TestPreviousAddress(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ hold, want time.Duration }{
		{0, 7 * 24 * time.Hour}, {7 * 24 * time.Hour, 7 * 24 * time.Hour}, {30 * 24 * time.Hour, 30 * 24 * time.Hour},
	} {
		for _, change := range []func(w *world, email string){
			func(w *world, email string) { w.tell(Contact{Email: email}) },
			func(w *world, email string) { w.addressChanged(email) },
		} {
			w := newWorld(t, "standard")
			w.rules.Policy.AddressHold = Duration(test.hold)
			w.tell(Contact{Email: "a@example.com"})
			change(w, "b@example.com")
			if e := w.account.Events; len(e) != 1 || e[0].Type != EventAddressChanged || e[0].Actor != ActorHost {
				t.Fatalf("events %+v", e)
			}
			w.later(24 * time.Hour)
			change(w, "c@example.com")
			if got := w.previous(); got != "a@example.com" {
				t.Errorf("previous address %q, want that before the first change", got)
			}
			if got := w.account.Previous.Until.Sub(w.now); got != test.want || !w.account.AddressChanged.Equal(w.now) {
				t.Errorf("kept for %v after the last change, want %v", got, test.want)
			}
			w.later(test.want)
			w.tell(Contact{Label: "new"})
			if got := w.previous(); got != "" {
				t.Errorf("previous address %q after its time", got)
			}
			change(w, "d@example.com")
			if got := w.previous(); got != "c@example.com" {
				t.Errorf("previous address %q, want c@", got)
			}
		}
	}
}

// TestAddressChanged: the host's word that the address has changed counts also where none was known; a known one changes nothing.
func TestAddressChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	w.addressChanged("a@example.com")
	if !w.account.AddressChanged.Equal(w.now) || w.account.Previous != nil || len(w.account.Events) != 1 {
		t.Errorf("first address: changed %v, previous %v, events %v", w.account.AddressChanged, w.account.Previous, w.events())
	}
	w.later(time.Hour)
	w.addressChanged("a@example.com")
	if w.stored {
		t.Error("a known address was written again")
	}
}

func TestHint(t *testing.T) {
	t.Parallel()
	for email, want := range map[string]string{
		"alice@example.com": "a•••@example.com", "ü@example.com": "ü•••@example.com", "": "", "@example.com": "", "alice": "",
	} {
		if got := (Contact{Email: email}).Hint(); got != want {
			t.Errorf("hint of %q = %q, want %q", email, got, want)
		}
	}
}

// TestPreviousIsSealedApart: the address before a change does not open in the place of the present one, nor the other way
// round; and where one of the two cannot be sealed, neither is stored.
func TestPreviousIsSealedApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	w.tell(Contact{Email: "a@example.com"})
	w.tell(Contact{Email: "b@example.com"})
	present, before := *w.account.Contact, w.account.Previous.Contact
	w.account.Contact, w.account.Previous.Contact = &before, present
	if c, err := w.rules.contact(w.account); !errors.Is(err, ErrSealed) {
		t.Errorf("the previous address as the present one: %+v, %v", c, err)
	}
	if c, err := w.rules.previous(w.account); !errors.Is(err, ErrSealed) {
		t.Errorf("the present address as the previous one: %+v, %v", c, err)
	}
	for seals := range 2 {
		w := newWorld(t, "standard")
		w.tell(Contact{Email: "a@example.com"})
		w.rules.Keys.Contacts = &sealsFew{newBox("contacts"), seals}
		if err := w.act(func(a *Account) error { return w.rules.AddressChanged(a, w.request(), "b@example.com", w.now) }); !errors.Is(err, ErrUnavailable) || w.stored {
			t.Errorf("after %d seals: got %v, stored %v", seals, err, w.stored)
		}
	}
}

// sealsFew fails once it has sealed so many.
type sealsFew struct {
	box
	left int
}

func (s *sealsFew) Encrypt(plaintext, associated []byte) ([]byte, error) {
	if s.left--; s.left < 0 {
		return nil, errBroken
	}
	return s.box.Encrypt(plaintext, associated)
}
