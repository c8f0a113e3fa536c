package twofactor

import (
	"strconv"
	"time"

	"github.com/nightlatch/nightlatch/pkg/backupcode"
	"github.com/nightlatch/nightlatch/pkg/totp"
)

// Verify is the second factor of a sign-in.
type Verify struct {
	Request
	Challenge Challenge
	Method    Method
	Code      string
}

// NewVerify names the request by its challenge and code, so that a retry of it is recognised as one.
func NewVerify(from Request, ch Challenge, m Method, code string) Verify {
	from.ID = NewDigest("verify", string(ch.ID[:]), string(m), plain(m, code))
	return Verify{Request: from, Challenge: ch, Method: m, Code: code}
}

// plain is a code as it is compared, however it was typed; what cannot be one stays as it is.
func plain(m Method, typed string) string {
	if m == MethodBackupCode {
		if code, err := backupcode.Normalise(typed); err == nil {
			return string(code)
		}
		return typed
	}
	for _, digits := range []int{6, 8} {
		if code, err := (totp.Params{Digits: digits}).Normalise(typed); err == nil {
			return code
		}
	}
	return typed
}

// Verify lets the user in, or says why not. What it lets in is decided here alone.
func (r Rules) Verify(a *Account, req Verify, now time.Time) (SignIn, error) {
	switch req.Method {
	case MethodTOTP:
		return r.verifyTOTP(a, req, now)
	case MethodBackupCode:
		return r.verifyBackupCode(a, req, now)
	case MethodResetLink:
		return r.verifyResetLink(a, req, now)
	}
	return SignIn{}, refuse(ErrMethod)
}

// verifyTOTP decides in the order lock, retry, comparison.
func (r Rules) verifyTOTP(a *Account, req Verify, now time.Time) (SignIn, error) {
	if answer, done, err := r.passChallenge(a, req.Request, req.Challenge, PurposeVerify, now); done || err != nil {
		return answer, err
	}
	if !a.Enabled() {
		return SignIn{}, refuse(ErrNotEnabled)
	}
	if err := r.spend(a, req.Request, OpSignIn, req.Code, now); err != nil {
		return SignIn{}, err
	}
	a.record(req.Request, now, Event{Type: EventLogin, Method: MethodTOTP})
	return a.signedIn(req.Request, req.Challenge, MethodTOTP, false, now), nil
}

// verifyBackupCode decides in the order retry, lock, comparison: a backup code is too long to be guessed by retries.
func (r Rules) verifyBackupCode(a *Account, req Verify, now time.Time) (SignIn, error) {
	if !a.issued(req.Challenge, PurposeVerify) {
		return SignIn{}, refuse(ErrChallengeExpired)
	}
	if answer, again, err := r.repeated(a, req.Request, req.Challenge, now); again {
		return answer, err
	}
	if err := a.Backups.refuses(now); err != nil {
		return SignIn{}, err
	}
	switch {
	case !a.admitsTo(req.Challenge, PurposeVerify, now):
		return SignIn{}, refuse(ErrChallengeExpired)
	case !a.Enabled():
		return SignIn{}, refuse(ErrNotEnabled)
	case a.BackupCode == nil:
		return SignIn{}, refuse(ErrNoBackupCode)
	}
	if err := a.crowded(); err != nil {
		return SignIn{}, err
	}
	code, err := backupcode.Normalise(req.Code)
	if err != nil {
		return SignIn{}, refuse(ErrMalformedCode)
	}
	var next *BackupCode
	var revealed *RevealedBackup
	if r.Policy.BackupUse == Reissue { // before anything is compared, as in prepare
		if next, revealed, err = r.newBackupCode(a, req.Request, now); err != nil {
			return SignIn{}, err
		}
	}
	same, err := r.matchesBackup(a, a.BackupCode, code)
	if err != nil {
		return SignIn{}, err
	}
	if !same {
		a.record(req.Request, now, Event{
			Type: EventLogin, Outcome: Failed, Method: MethodBackupCode, Reason: "wrong_code",
		})
		if a.Backups.fail(now) {
			a.record(req.Request, now, Event{Type: EventLocked, Method: MethodBackupCode})
		}
		return SignIn{}, &WrongCode{AttemptsRemaining: a.Backups.remaining()}
	}
	answer := r.backupSignIn(a, req, next, now)
	answer.BackupCode = revealed
	return answer, nil
}

// backupSignIn spends the backup code and does what the policy says next; next is the code that replaces it, if one does.
func (r Rules) backupSignIn(a *Account, req Verify, next *BackupCode, now time.Time) SignIn {
	a.record(req.Request, now, Event{Type: EventBackupCodeUsed, Method: MethodBackupCode})
	a.record(req.Request, now, Event{Type: EventLogin, Method: MethodBackupCode})
	a.proofOfLife(req.Request, now)
	a.BackupCode, a.Backups, a.FreshSince = nil, BackupThrottle{}, now

	switch r.Policy.BackupUse {
	case Disable2FA:
		a.turnOff(now)
		a.record(req.Request, now, Event{Type: EventDisabled, Method: MethodBackupCode})
	case Reissue:
		a.activateBackupCode(next, req.Request, now)
	}
	answer := a.signedIn(req.Request, req.Challenge, MethodBackupCode, false, now)
	if a.Enabled() { // the phone may be gone: 2FA stays on, and this moves it to another one
		answer.Grant = a.grant(req.Request, GrantAny, now)
	}
	return answer
}

// verifyResetLink is the sign-in that a reset ends with: the mailed link is its second factor. What is compared here are
// 128 bits, so a wrong link is neither written nor counted.
//
// Where 2FA is optional the link turns it off. Where it is required nothing is removed yet: the sign-in goes on into an
// enrolment, whose confirmation replaces the authenticator and completes the reset, so that the account is never left with
// a password alone.
func (r Rules) verifyResetLink(a *Account, req Verify, now time.Time) (SignIn, error) {
	if !a.issued(req.Challenge, PurposeVerify) {
		return SignIn{}, refuse(ErrChallengeExpired)
	}
	if answer, again, err := r.repeated(a, req.Request, req.Challenge, now); again {
		return answer, err
	}
	if !a.admitsTo(req.Challenge, PurposeVerify, now) {
		return SignIn{}, refuse(ErrChallengeExpired)
	}
	if r.Policy.Recovery != IdentityReview { // any more
		return SignIn{}, refuse(&Forbidden{Setting: "recovery"})
	}
	if _, err := r.openLink(a, req.Code, LinkSignIn); err != nil {
		return SignIn{}, err
	}
	if err := a.crowded(); err != nil {
		return SignIn{}, err
	}
	if r.Policy.Enforcement == Required {
		enrol := req.Challenge
		enrol.ID, enrol.Purpose, enrol.Reset = req.ID.Derive("enroll"), PurposeEnroll, a.Reset.mark()
		enrol.Subject, enrol.ExpiresAt = nil, now.Add(challengeFor)
		return SignIn{State: StateEnabled, Enroll: &enrol}, a.unlessEvents()
	}
	a.completeReset(req.Request, now)
	a.turnOff(now)
	a.record(req.Request, now, Event{Type: EventLogin, Method: MethodResetLink})
	return a.signedIn(req.Request, req.Challenge, MethodResetLink, false, now), nil
}

// mark names the reset and its round, for a challenge that goes on with it.
func (r *Reset) mark() Digest { return NewDigest("reset", r.ID, strconv.FormatInt(r.Round, 10)) }

// completes says whether the enrolment that this challenge opens completes the reset that is ready.
func (a *Account) completes(ch Challenge) bool {
	return ch.Purpose == PurposeEnroll && a.Reset.Open() && a.Reset.State == ResetReady && ch.Reset == a.Reset.mark()
}

// completeReset is the end that a reset was asked for. What was guessed at the lost authenticator is over.
func (a *Account) completeReset(req Request, now time.Time) {
	a.closeReset(ResetCompleted, now)
	a.record(req, now, Event{Type: EventResetCompleted, Method: MethodResetLink})
	a.Codes, a.Backups, a.Grant, a.FreshSince = CodeThrottle{}, BackupThrottle{}, nil, now
}
