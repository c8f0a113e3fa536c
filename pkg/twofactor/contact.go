package twofactor

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// Contact is how the host last named and reached the user. It is kept sealed.
type Contact struct {
	Email  string `json:"email,omitempty"`
	Label  string `json:"label,omitempty"`  // the account's name in the authenticator app
	Locale string `json:"locale,omitempty"` // BCP 47
}

// Hint is the address as it may be shown to someone who only knows the password: "a•••@example.com".
func (c Contact) Hint() string {
	local, domain, ok := strings.Cut(c.Email, "@")
	if !ok || local == "" {
		return ""
	}
	_, n := utf8.DecodeRuneInString(local)
	return local[:n] + "•••@" + domain
}

// name is the account's name in the authenticator app.
func (c Contact) name(user UserID) string {
	switch {
	case c.Label != "":
		return c.Label
	case c.Email != "":
		return c.Email
	}
	return string(user)
}

// Previous is the contact before the first recent change. Notices with cancel links go there too, so that whoever
// changes the address does not silence the owner.
type Previous struct {
	Contact Sealed    `json:"contact"`
	Until   time.Time `json:"until"`
}

// minPreviousFor is the least time for which the previous address is kept in use.
const minPreviousFor = 7 * 24 * time.Hour

// contact opens the stored contact; none is the zero Contact.
func (r Rules) contact(a *Account) (Contact, error) {
	if a.Contact == nil {
		return Contact{}, nil
	}
	return r.openContact(a, sealContact, *a.Contact)
}

// previous opens the contact before the first recent change; there is one.
func (r Rules) previous(a *Account) (Contact, error) {
	return r.openContact(a, sealPrevious, a.Previous.Contact)
}

func (r Rules) openContact(a *Account, purpose string, sealed Sealed) (c Contact, err error) {
	plaintext, err := a.open(r.Keys.Contacts, purpose, sealed)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(plaintext, &c); err != nil {
		return c, a.sealed(sealContact, err)
	}
	return c, nil
}

// noteContact stores what the host has just told, if it is new, and says whether it was. Empty fields leave what is
// known.
func (r Rules) noteContact(a *Account, req Request, told Contact, now time.Time) (known Contact, changed bool, err error) {
	old, err := r.contact(a)
	if err != nil {
		return Contact{}, false, err
	}
	c := old
	if told.Email != "" {
		c.Email = told.Email
	}
	if told.Label != "" {
		c.Label = told.Label
	}
	if told.Locale != "" {
		c.Locale = told.Locale
	}
	if c == old {
		return c, false, nil
	}
	sealed, err := a.sealJSON(r.Keys.Contacts, sealContact, c)
	if err != nil {
		return Contact{}, false, err
	}
	a.Contact = &sealed
	if old.Email != "" && c.Email != old.Email {
		if a.Previous == nil {
			before, err := a.sealJSON(r.Keys.Contacts, sealPrevious, old) // sealed anew: it does not open as the present one
			if err != nil {
				return Contact{}, false, err
			}
			a.Previous = &Previous{Contact: before}
		}
		a.Previous.Until = now.Add(max(minPreviousFor, time.Duration(r.Policy.AddressHold)))
		a.AddressChanged = now
		a.record(req, now, Event{Type: EventAddressChanged, Actor: ActorHost})
		a.returnReset(req, "address_changed", now)
	}
	return c, true, nil
}
