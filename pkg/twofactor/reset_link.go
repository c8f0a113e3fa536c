package twofactor

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
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
// <reset id>.<PRF of purpose, user, reset id and round>. The error is [ErrLinkExpired] when there is nothing to do with such
// a link, and [ErrUnavailable] without its key.
func (r Rules) Link(a *Account, purpose LinkPurpose) (string, error) {
	if !a.Reset.Open() || !a.Reset.fits(purpose) {
		return "", ErrLinkExpired
	}
	return r.link(a, purpose)
}

func (r Rules) link(a *Account, purpose LinkPurpose) (string, error) {
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
		return "", unavailable(fmt.Errorf("link: %w", err))
	}
	return a.Reset.ID + "." + base64.RawURLEncoding.EncodeToString(tag), nil
}

// linkPurpose says what a token is for. The error is [ErrLinkExpired] for one that is not of the open reset.
func (r Rules) linkPurpose(a *Account, token string) (LinkPurpose, error) {
	if !a.Reset.Open() || !strings.HasPrefix(token, a.Reset.ID+".") { // and nothing is computed for what is foreign
		return "", refuse(ErrLinkExpired)
	}
	for _, purpose := range linkPurposes {
		link, err := r.link(a, purpose)
		if err != nil {
			return "", refuse(err)
		}
		if subtle.ConstantTimeCompare([]byte(link), []byte(token)) == 1 {
			return purpose, nil
		}
	}
	return "", refuse(ErrLinkExpired)
}

// openLink says what a token opens. The error is [ErrLinkExpired] also for one for which it is too late or too early, or
// that is for none of these purposes.
func (r Rules) openLink(a *Account, token string, purposes ...LinkPurpose) (LinkPurpose, error) {
	purpose, err := r.linkPurpose(a, token)
	if err == nil && (!slices.Contains(purposes, purpose) || !a.Reset.fits(purpose)) {
		err = refuse(ErrLinkExpired)
	}
	return purpose, err
}

// fits says whether there is something to do for a link of this purpose while the reset is open.
func (r *Reset) fits(purpose LinkPurpose) bool {
	switch purpose {
	case LinkIdentity:
		return r.State == ResetIdentityPending
	case LinkSignIn:
		return r.State == ResetReady
	}
	return true
}

// LinkShown is what a mailed link is about.
type LinkShown struct {
	Purpose LinkPurpose
	Reset   ResetStatus
	IP      string // it was asked for from
}

// ShowLink says what a mailed link is about. Nothing changes, however often it is looked at.
func (r Rules) ShowLink(a *Account, token string, now time.Time) (LinkShown, error) {
	purpose, err := r.openLink(a, token, linkPurposes...)
	if err != nil {
		return LinkShown{}, err
	}
	return LinkShown{purpose, *a.Reset.status(now), a.Reset.IP}, errUnchanged
}

// CancelByLink ends the reset that a mailed link of any purpose belongs to, for as long as it is open: whoever looks at the
// identity check's page, and has not asked for it, can say so whatever has happened to the reset meanwhile.
func (r Rules) CancelByLink(a *Account, req Request, token string, now time.Time) error {
	if _, err := r.linkPurpose(a, token); err != nil {
		return err
	}
	a.cancelReset(req, Event{Actor: ActorUser, Reason: "link"}, now)
	return nil
}
