package twofactor

import (
	"errors"
	"fmt"
	"time"
)

// The verdicts without details. Those with details are types: [*WrongCode], [*CodeReused], [*Locked], [*Forbidden],
// [*Reauthenticate].
var (
	ErrSuspended         = errors.New("authenticator codes are suspended after too many failures")
	ErrNotEnabled        = errors.New("two-factor authentication is not on")
	ErrAlreadyEnabled    = errors.New("two-factor authentication is already on")
	ErrNoBackupCode      = errors.New("there is no backup code")
	ErrEnrolmentExpired  = errors.New("this set-up has expired")
	ErrEnrolmentReplaced = errors.New("this set-up was replaced by another")
	ErrChallengeExpired  = errors.New("the challenge is too old, or was already used, or is not for this")
	ErrGrantExpired      = errors.New("the grant is too old, or was already used, or is not for this")
	ErrLinkExpired       = errors.New("the mailed link is too old, or was already used, or is not for this")
	ErrMalformedCode     = errors.New("code does not have the form of one")
	ErrKeyReused         = errors.New("the Idempotency-Key was used for another request")
	ErrMethod            = errors.New("no such method")
	ErrNoReset           = errors.New("there is no such reset")
	ErrOwnCase           = errors.New("nobody decides on their own account")
	ErrInquiryClosed     = errors.New("nobody can go on with this identity check")
	ErrCaseChanged       = errors.New("the case has changed, or was decided")
	ErrEnded             = errors.New("2FA was turned off here, or the user erased, and this authenticator is not known to be newer")

	// ErrUnavailable is returned when it could not be told who may get in: the store or the key ring failed, or too
	// much happened at once. No outcome has been released, and the same request is safe to send again.
	ErrUnavailable = errors.New("cannot decide now")
	// ErrSealed is returned when a sealed part of an account does not open: it was moved, altered, or its key is
	// missing. It needs an operator; nobody gets in on it.
	ErrSealed = errors.New("a sealed part of the account does not open")
)

// WrongCode is the verdict on a code that is not the one.
type WrongCode struct {
	AttemptsRemaining int            // before codes are refused for a while
	Skew              *time.Duration // set when the phone's clock is off by this; negative: behind
}

// Error says that the code is wrong.
func (e *WrongCode) Error() string { return "wrong code" }

// CodeReused is the verdict on a right code that was already spent, or told apart before.
type CodeReused struct {
	RetryAfter time.Duration // until the next code
}

// Error says that the code was spent.
func (e *CodeReused) Error() string { return "the code was already used" }

// Locked is the verdict on every code, right or wrong, while the account is throttled.
type Locked struct {
	Until time.Time
}

// Error says until when.
func (e *Locked) Error() string { return "locked until " + e.Until.Format(time.RFC3339) }

// ResetLimit is the verdict on one recovery too many.
type ResetLimit struct {
	Until time.Time // when the next one can be asked for
}

// Error says until when.
func (e *ResetLimit) Error() string { return "no reset before " + e.Until.Format(time.RFC3339) }

// Forbidden is the verdict on what the policy does not allow.
type Forbidden struct {
	Setting string // the policy's setting, as in its JSON
}

// Error names the setting.
func (e *Forbidden) Error() string { return fmt.Sprintf("policy forbids: %s", e.Setting) }

// Reauthenticate is the verdict on a session that signed in too long ago.
type Reauthenticate struct {
	MaxAge time.Duration
}

// Error says how fresh the session must be.
func (e *Reauthenticate) Error() string {
	return fmt.Sprintf("the session must have signed in within %s", e.MaxAge)
}

// refusal is a verdict for which nothing was compared, so that nothing needs to be written before it is told. It is
// the exception: a verdict that is not wrapped in one leaves the service only after its write has landed.
type refusal struct{ verdict error }

func (r *refusal) Error() string { return fmt.Sprint(r.verdict) }
func (r *refusal) Unwrap() error { return r.verdict }

func refuse(verdict error) error { return &refusal{verdict} }

// errUnchanged is the verdict on what needs no write because nothing is new: success.
var errUnchanged = refuse(nil)
