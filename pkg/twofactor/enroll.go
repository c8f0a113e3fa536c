package twofactor

import (
	"strconv"
	"time"

	"github.com/nightlatch/nightlatch/pkg/totp"
)

const (
	// enrolFor is how long a set-up can be confirmed.
	enrolFor = 15 * time.Minute
	// freshFor is how recently a session must have signed in to set 2FA up for the first time.
	freshFor = 15 * time.Minute
)

// Enroll asks for a first authenticator, from a session or from a challenge that demands one.
type Enroll struct {
	Request
	Secret    totp.Secret // a new one
	AuthTime  time.Time   // when the session signed in; not looked at with a challenge
	Challenge *Challenge
}

// SetUp is what the user needs to set an authenticator up. The secret is never shown again after the confirmation.
type SetUp struct {
	ID         Digest
	Secret     totp.Secret
	Params     totp.Params
	Account    string          // its name in the authenticator app
	BackupCode *RevealedBackup // becomes active with the confirmation
	ExpiresAt  time.Time
}

// Enroll begins a first enrolment. An earlier one that was not confirmed is discarded.
func (r Rules) Enroll(a *Account, req Enroll, now time.Time) (SetUp, error) {
	if req.Challenge != nil && !a.admitsTo(*req.Challenge, PurposeEnroll, now) {
		return SetUp{}, refuse(ErrChallengeExpired)
	}
	var reset Digest
	if req.Challenge != nil {
		reset = req.Challenge.Reset
	}
	if a.Enabled() && reset == (Digest{}) {
		return SetUp{}, refuse(ErrAlreadyEnabled)
	}
	if req.Challenge == nil && !a.fresh(req.AuthTime, now) { // first: a stale session is not shown a secret, either
		return SetUp{}, refuse(&Reauthenticate{MaxAge: freshFor})
	}
	if a.begunBy(req.Request, now) {
		return r.show(a, a.Pending, req.Request, req.Challenge)
	}
	pending, setUp, err := r.prepare(a, req.Request, req.Secret, Digest{}, req.Challenge, now)
	if err != nil {
		return SetUp{}, err
	}
	pending.Reset = reset
	a.begin(pending, req.Request, a.confirmOperation(), now)
	return setUp, nil
}

// fresh says whether a session is recent enough to set 2FA up: within 15 minutes, and not from before the second in
// which the account was last opened without its authenticator. An assertion's auth_time is that second, and hosts copy
// it, so the session which that sign-in opened passes. What lies in the future is no time of a sign-in.
func (a *Account) fresh(authTime, now time.Time) bool {
	age := now.Sub(authTime)
	return -clockSlack <= age && age <= freshFor && authTime.Unix() >= a.FreshSince.Unix()
}

// prepare makes a pending enrolment and what its user needs; the account does not have it yet. All that can fail is done
// here, before a code is compared: a failure after that would tell a right code for nothing.
func (r Rules) prepare(a *Account, req Request, secret totp.Secret, grant Digest, ch *Challenge, now time.Time) (*Enrolment, SetUp, error) {
	sealed, err := a.seal(r.Keys.Secrets, sealPending, secret)
	if err != nil {
		return nil, SetUp{}, err
	}
	pending := &Enrolment{
		ID: a.enrolmentID(req, sealed), Authenticator: Authenticator{Secret: sealed, Params: totp.Default}, Grant: grant,
		BegunAt: now,
	}
	first := a.BackupCode == nil || ch != nil && a.completes(*ch)
	if first && r.Policy.BackupIssue == BeforeConfirm {
		if pending.BackupCode, _, err = r.newBackupCode(a, req, now); err != nil {
			return nil, SetUp{}, err
		}
	}
	setUp, err := r.show(a, pending, req, ch)
	return pending, setUp, err
}

// begin puts a new authenticator on probation, in the place of an earlier one. What is in force stays in force.
func (a *Account) begin(pending *Enrolment, req Request, op Operation, now time.Time) {
	a.Pending = pending
	a.record(req, now, Event{Type: EventEnrollmentStarted, Operation: op})
}

// show returns what the user needs to go on with an enrolment that req has begun. Inside a sign-in it ends with the
// challenge.
func (r Rules) show(a *Account, pending *Enrolment, req Request, ch *Challenge) (SetUp, error) {
	secret, err := a.open(r.Keys.Secrets, sealPending, pending.Authenticator.Secret)
	if err != nil {
		return SetUp{}, err
	}
	contact, err := r.contact(a)
	if err != nil {
		return SetUp{}, err
	}
	code, err := r.reveal(a, pending.BackupCode, req.ID)
	if err != nil {
		return SetUp{}, err
	}
	ends := pending.expiresAt()
	if ch != nil && ch.ExpiresAt.Before(ends) {
		ends = ch.ExpiresAt
	}
	return SetUp{
		ID: pending.ID, Secret: secret, Params: pending.Authenticator.Params, Account: contact.name(a.User),
		BackupCode: code, ExpiresAt: ends,
	}, nil
}

// Discard drops a pending enrolment. Without one nothing changes.
func (r Rules) Discard(a *Account) error {
	if a.Pending == nil {
		return errUnchanged
	}
	a.Pending = nil
	return nil
}

func (e *Enrolment) expiresAt() time.Time { return e.BegunAt.Add(enrolFor) }

func (e *Enrolment) expired(now time.Time) bool { return !now.Before(e.expiresAt()) }

// enrolmentID names an enrolment by the request that begins it and the generation of its secret: the same request, sent
// again when its enrolment is gone, begins another one.
func (a *Account) enrolmentID(req Request, secret Sealed) Digest {
	return NewDigest("enrolment", string(req.ID[:]), strconv.FormatInt(a.Incarnation, 10), strconv.FormatInt(secret.Generation, 10))
}

// begunBy says whether this very request has begun the pending enrolment, and is only asking again.
func (a *Account) begunBy(req Request, now time.Time) bool {
	e := a.Pending
	return e != nil && e.ID == a.enrolmentID(req, e.Authenticator.Secret) && !e.expired(now)
}
