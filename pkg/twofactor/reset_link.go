package twofactor

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// LinkPurpose is what a mailed link is for.
type LinkPurpose string

// The purposes of links. None of them changes anything by being looked at.
const (
	LinkIdentity LinkPurpose = "identity" // to the identity check
	LinkCancel   LinkPurpose = "cancel"   // ends the reset
	LinkSignIn   LinkPurpose = "sign_in"  // the second factor of one sign-in
)

var linkPurposes = []LinkPurpose{LinkIdentity, LinkCancel, LinkSignIn}

// linkBytes is the length of what makes a link's token unguessable: 128 bits.
const linkBytes = 16

// Link returns the token of a mailed link, which is derived when it is needed and stored nowhere:
// <reset id>.<PRF of purpose, user, reset id and round>.
func (r Rules) Link(a *Account, purpose LinkPurpose) (string, error) {
	if !a.Reset.Open() {
		return "", ErrLinkExpired
	}
	tag, err := r.linkTag(a, purpose)
	if err != nil {
		return "", err
	}
	return a.Reset.ID + "." + base64.RawURLEncoding.EncodeToString(tag), nil
}

func (r Rules) linkTag(a *Account, purpose LinkPurpose) ([]byte, error) {
	var round int64
	if purpose == LinkSignIn { // the others are good for as long as there is something to do
		round = a.Reset.Round
	}
	input := []byte("nightlatch link v1")
	for _, part := range []string{string(purpose), string(a.User), a.Reset.ID, fmt.Sprint(a.Incarnation), fmt.Sprint(round)} {
		input = binary.BigEndian.AppendUint32(input, uint32(len(part)))
		input = append(input, part...)
	}
	tag, err := r.Keys.Links.Compute(a.Reset.LinkKey, input, linkBytes)
	if err != nil {
		return nil, unavailable(fmt.Errorf("link: %w", err))
	}
	return tag, nil
}

// linkPurpose says what a token opens. The error is [ErrLinkExpired] for one that is not of the open reset, or for which
// it is too late or too early.
func (r Rules) linkPurpose(a *Account, token string) (LinkPurpose, error) {
	id, text, ok := strings.Cut(token, ".")
	given, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if !ok || err != nil || len(given) != linkBytes || !a.Reset.Open() || id != a.Reset.ID {
		return "", refuse(ErrLinkExpired)
	}
	for _, purpose := range linkPurposes {
		tag, err := r.linkTag(a, purpose)
		if err != nil {
			return "", refuse(err)
		}
		if subtle.ConstantTimeCompare(tag, given) == 1 {
			return purpose, a.fits(purpose)
		}
	}
	return "", refuse(ErrLinkExpired)
}

// fits says whether there is something to do for a link of this purpose.
func (a *Account) fits(purpose LinkPurpose) error {
	switch {
	case purpose == LinkIdentity && a.Reset.State != ResetIdentityPending,
		purpose == LinkSignIn && a.Reset.State != ResetReady:
		return refuse(ErrLinkExpired)
	}
	return nil
}

// LinkShown is what a mailed link is about.
type LinkShown struct {
	Purpose LinkPurpose
	Reset   ResetStatus
	IP      string // it was asked for from
}

// ShowLink says what a mailed link is about. Nothing changes, however often it is looked at.
func (r Rules) ShowLink(a *Account, token string, now time.Time) (LinkShown, error) {
	purpose, err := r.linkPurpose(a, token)
	if err != nil {
		return LinkShown{}, err
	}
	return LinkShown{purpose, *a.Reset.status(now), a.Reset.IP}, errUnchanged
}

// CancelByLink ends the reset that a mailed link of any purpose belongs to.
func (r Rules) CancelByLink(a *Account, req Request, token string, now time.Time) error {
	if _, err := r.linkPurpose(a, token); err != nil {
		return err
	}
	a.cancelReset(req, Event{Actor: ActorUser, Reason: "link"}, now)
	return nil
}
