package twofactor

import "time"

// State is how an account stands.
type State string

// The states of an account.
const (
	StateDisabled State = "disabled"
	StatePending  State = "pending" // being set up for the first time
	StateEnabled  State = "enabled"
)

// Status is what a user may know of the account.
type Status struct {
	State          State
	ActivatedAt    time.Time
	BackupIssuedAt time.Time // zero: there is no backup code
	Pending        *PendingStatus
	LockedUntil    time.Time
	Suspended      bool
	Reset          *ResetStatus
}

// PendingStatus is a set-up that has not been confirmed.
type PendingStatus struct {
	ID          Digest
	Replacement bool
	ExpiresAt   time.Time
}

// ResetStatus is a recovery as its user sees it.
type ResetStatus struct {
	ID          string
	Reference   string
	State       ResetState
	RequestedAt time.Time
	EnteredAt   time.Time // its present state
	EffectiveAt time.Time
	TriesLeft   int
	ReasonCode  string
}

// closedResetFor is how long a closed reset is still shown.
const closedResetFor = 14 * 24 * time.Hour

// Status is the account as it stands now. It reads only.
func (a *Account) Status(now time.Time) Status {
	s := Status{State: StateDisabled, Reset: a.Reset.status(now)}
	if a.Pending != nil && !a.Pending.expired(now) {
		s.State = StatePending
		s.Pending = &PendingStatus{ID: a.Pending.ID, Replacement: a.Enabled(), ExpiresAt: a.Pending.expiresAt()}
	}
	if a.Enabled() {
		s.State, s.ActivatedAt = StateEnabled, a.Authenticator.ActivatedAt
	}
	if a.BackupCode != nil {
		s.BackupIssuedAt = a.BackupCode.IssuedAt
	}
	if now.Before(a.Codes.LockedUntil) {
		s.LockedUntil = a.Codes.LockedUntil
	}
	s.Suspended = !a.Codes.SuspendedAt.IsZero()
	return s
}

func (r *Reset) status(now time.Time) *ResetStatus {
	if r == nil || (!r.Open() && now.Sub(r.EnteredAt) > closedResetFor) {
		return nil
	}
	return &ResetStatus{
		ID: r.ID, Reference: r.Reference, State: r.State, RequestedAt: r.RequestedAt, EnteredAt: r.EnteredAt, EffectiveAt: r.EffectiveAt,
		TriesLeft: r.TriesLeft, ReasonCode: r.ReasonCode,
	}
}
