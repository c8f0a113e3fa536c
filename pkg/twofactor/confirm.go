package twofactor

import (
	"time"
)

// maxConfirmFailures is how many wrong codes end a set-up. They count against nothing else: whoever sets up has the
// secret on the screen.
const maxConfirmFailures = 10

// Confirm is the first code of a new authenticator.
type Confirm struct {
	Request
	Enrolment Digest
	Code      string
	Challenge *Challenge // inside a sign-in that demanded the enrolment
}

// NewConfirm names the request inside a sign-in by its challenge, enrolment and code, so that a retry of it is
// recognised as one.
func NewConfirm(from Request, ch Challenge, enrolment Digest, code string) Confirm {
	from.ID = NewDigest("confirm", string(ch.ID[:]), string(enrolment[:]), plain(MethodTOTP, code))
	return Confirm{Request: from, Enrolment: enrolment, Code: code, Challenge: &ch}
}

// Confirmed is the answer to a set-up that is done.
type Confirmed struct {
	ActivatedAt time.Time
	BackupCode  *RevealedBackup // when it was made only now
	SignIn      *SignIn         // with a challenge
}

// Confirm turns a pending enrolment into the authenticator in force, and spends the confirming step. Up to here
// nothing has changed for the account, and after a wrong code nothing has either.
func (r Rules) Confirm(a *Account, req Confirm, now time.Time) (Confirmed, error) {
	if req.Challenge != nil {
		if answer, done, err := r.confirmAgain(a, req, now); done || err != nil {
			return answer, err
		}
	} else if again, err := r.answered(a, req.Request, a.confirmOperation(), now); err != nil {
		return Confirmed{}, err
	} else if again && a.Enabled() {
		code, err := r.backupCodeMadeBy(a, req.Request)
		return Confirmed{ActivatedAt: a.Authenticator.ActivatedAt, BackupCode: code}, err
	}
	switch {
	case req.Challenge != nil && a.Enabled() && !a.completes(*req.Challenge):
		return Confirmed{}, refuse(ErrAlreadyEnabled)
	case a.Pending == nil || !a.opens(req.Challenge):
		return Confirmed{}, refuse(ErrEnrolmentExpired)
	case a.Pending.ID != req.Enrolment:
		return Confirmed{}, refuse(ErrEnrolmentReplaced)
	case a.Pending.expired(now):
		return Confirmed{}, refuse(ErrEnrolmentExpired)
	}
	next, err := r.prepareActivation(a, req.Request, now)
	if err != nil {
		return Confirmed{}, err
	}
	c, err := r.compare(a, &a.Pending.Authenticator, sealPending, req.IP, req.Code, now)
	if err != nil {
		return Confirmed{}, err
	}
	switch c.finding {
	case spent:
		return Confirmed{}, a.reused(&a.Pending.Authenticator, c, req.Request, a.confirmOperation(), now)
	case right:
		return a.activate(req, next, c, now), nil
	}
	return Confirmed{}, a.confirmFailed(req.Request, c, now)
}

// confirmAgain looks at the challenge of a confirmation inside a sign-in: is it good, or has it been answered?
func (r Rules) confirmAgain(a *Account, req Confirm, now time.Time) (Confirmed, bool, error) {
	signIn, done, err := r.passChallenge(a, req.Request, *req.Challenge, PurposeEnroll, now)
	if !done || err != nil {
		return Confirmed{}, done, err
	}
	answer := Confirmed{BackupCode: signIn.BackupCode, SignIn: &signIn}
	signIn.BackupCode = nil // of a confirmation it is an answer of its own, as it was the first time
	if a.Enabled() {
		answer.ActivatedAt = a.Authenticator.ActivatedAt
	}
	return answer, true, nil
}

// activation is what a confirmation puts in force.
type activation struct {
	authenticator Authenticator
	backup        *BackupCode     // nil: the present one stays
	revealed      *RevealedBackup // when it is made only now
}

// prepareActivation does all that can fail before the code is compared, as prepare does.
func (r Rules) prepareActivation(a *Account, req Request, now time.Time) (next activation, err error) {
	next.authenticator = a.Pending.Authenticator
	secret, err := a.open(r.Keys.Secrets, sealPending, next.authenticator.Secret)
	if err != nil {
		return activation{}, err
	}
	if next.authenticator.Secret, err = a.seal(r.Keys.Secrets, sealAuthenticator, secret); err != nil {
		return activation{}, err
	}
	switch {
	case a.BackupCode != nil && a.Pending.Reset == (Digest{}): // a replacement keeps it
	case a.Pending.BackupCode != nil:
		next.backup = a.Pending.BackupCode
	default:
		next.backup, next.revealed, err = r.newBackupCode(a, req, now)
	}
	return next, err
}

// activate puts the pending authenticator in force.
func (a *Account) activate(req Confirm, next activation, c compared, now time.Time) Confirmed {
	what := EventEnabled
	if a.Enabled() {
		what = EventReplaced
	}
	if a.Pending.Grant != (Digest{}) { // begun without the old phone: what was guessed at that one is over
		if a.Codes.refuses(now) != nil {
			a.record(req.Request, now, Event{Type: EventUnlocked, Reason: "replaced"})
		}
		a.Codes = CodeThrottle{}
	}
	next.authenticator.ActivatedAt = now
	next.authenticator.accept(c)
	reset := a.Pending.Reset != (Digest{})
	a.Authenticator, a.Pending, a.Grant = &next.authenticator, nil, nil
	a.record(req.Request, now, Event{Type: what, Method: MethodTOTP})
	if reset {
		a.completeReset(req.Request, now)
	}
	a.proofOfLife(req.Request, now)
	if next.backup != nil {
		a.activateBackupCode(next.backup, req.Request, now)
	}
	a.remember(req.Request, now)
	answer := Confirmed{ActivatedAt: now, BackupCode: next.revealed}
	if req.Challenge != nil {
		a.record(req.Request, now, Event{Type: EventLogin, Method: MethodTOTP})
		signIn := a.signedIn(req.Request, *req.Challenge, MethodTOTP, true, now)
		if reset {
			a.SignIn.Reset = true
			signIn = a.SignIn.answer(*req.Challenge)
		}
		answer.SignIn = &signIn
	}
	return answer
}

// confirmFailed counts a wrong code against the set-up alone.
func (a *Account) confirmFailed(req Request, c compared, now time.Time) error {
	a.Pending.Failures++
	a.record(req, now, Event{
		Type: EventCodeRefused, Outcome: Failed, Method: MethodTOTP, Operation: a.confirmOperation(), Reason: c.reason(),
	})
	remaining := maxConfirmFailures - a.Pending.Failures
	if remaining <= 0 {
		a.lapse(now)
	}
	return c.verdict(remaining)
}

// opens says whether the pending enrolment is of the kind that the challenge, or the session, can confirm: one that
// completes a reset only by the challenge that the reset's link has opened, and that challenge no other.
func (a *Account) opens(ch *Challenge) bool {
	var reset Digest
	if ch != nil {
		reset = ch.Reset
	}
	return a.Pending.Reset == reset
}

func (a *Account) confirmOperation() Operation {
	if a.Enabled() {
		return OpReplace
	}
	return OpEnroll
}

// lapse ends a pending enrolment that was not confirmed. Whoever was moving to a new phone is told that the old one is
// still the one.
func (a *Account) lapse(now time.Time) {
	moving := a.Enabled() && a.Pending.Reset == (Digest{})
	a.Pending = nil
	if moving {
		a.record(Request{}, now, Event{Type: EventReplacementLapsed, Actor: ActorSystem})
	}
}
