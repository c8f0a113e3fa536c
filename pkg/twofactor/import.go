package twofactor

import (
	"crypto/subtle"
	"time"

	"github.com/nightlatch/nightlatch/pkg/totp"
)

// Import brings an authenticator along from another system, so that its user need not scan a QR code again.
type Import struct {
	Request
	Secret      totp.Secret
	Params      totp.Params
	ActivatedAt time.Time // there; zero: not known
	Contact     Contact   // as that system knows it
	By          Operator
}

// Import puts an authenticator of another system in force. Its user has no backup code until they make one.
//
// A run over many users may break off and be begun again: the very same import of what is in force changes nothing. But it
// never brings back what has ended here. Once 2FA was turned off here, by whomever, or the user was erased, only an
// authenticator that is known to be newer than that comes in.
//
// A set-up under way gives way: its code is shown to whoever has the password, and the one brought along is known to be the
// user's. An account without 2FA has neither locks nor an open reset that it could end.
func (r Rules) Import(a *Account, req Import, now time.Time) error {
	if err := req.Params.Validate(); err != nil {
		return refuse(err)
	}
	if a.Enabled() {
		secret, err := a.open(r.Keys.Secrets, sealAuthenticator, a.Authenticator.Secret)
		if err != nil {
			return err
		}
		if subtle.ConstantTimeCompare(secret, req.Secret) != 1 || a.Authenticator.Params != req.Params {
			return refuse(ErrAlreadyEnabled)
		}
		return errUnchanged
	}
	if !a.Ended.IsZero() && !req.ActivatedAt.After(a.Ended) {
		return refuse(ErrEnded)
	}
	sealed, err := a.seal(r.Keys.Secrets, sealAuthenticator, req.Secret)
	if err != nil {
		return err
	}
	if err := r.importContact(a, req, now); err != nil {
		return err
	}
	if req.ActivatedAt.IsZero() || req.ActivatedAt.After(now) { // on a clock that is a little ahead
		req.ActivatedAt = now
	}
	a.Authenticator = &Authenticator{Secret: sealed, Params: req.Params, ActivatedAt: stored(req.ActivatedAt)}
	a.Authenticator.notBefore(now)
	a.Pending = nil
	a.record(req.Request, now, Event{
		Type: EventEnabled, Method: MethodTOTP, Actor: ActorOperator, Operation: OpImport, By: req.By.Name, Reason: req.By.Reason,
	})
	return nil
}

// importContact notes what nobody has told yet. What the host has told itself is newer than a list that was made once.
func (r Rules) importContact(a *Account, req Import, now time.Time) error {
	known, err := r.contact(a)
	if err != nil {
		return err
	}
	told := req.Contact
	if known.Email != "" {
		told.Email = ""
	}
	if known.Label != "" {
		told.Label = ""
	}
	if known.Locale != "" {
		told.Locale = ""
	}
	_, _, err = r.noteContact(a, req.Request, told, now)
	return err
}

// notBefore has no code accepted of a step that could have been accepted before a time, here or, of an authenticator that was
// brought along, in another system: whoever has seen it used there could use it once more.
func (a *Authenticator) notBefore(t time.Time) {
	if last := a.Params.StepAt(t) + stillPossible; a.LastStep < last {
		a.LastStep, a.LastFrom, a.Replays = last, nil, 0
	}
}
