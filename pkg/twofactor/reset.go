package twofactor

import (
	"slices"
	"time"
)

// Reset is a recovery under way, or one closed a short while ago. At most one is open.
type Reset struct {
	ID          string     `json:"id"` // opaque: leads to the account
	Reference   string     `json:"ref"`
	State       ResetState `json:"state"`
	RequestedAt time.Time  `json:"requested"`
	EnteredAt   time.Time  `json:"entered"` // the present state
	EffectiveAt time.Time  `json:"effective,omitzero"`
	ExpiresAt   time.Time  `json:"expires,omitzero"`
	CaseVersion int64      `json:"case,omitempty"`
	Round       int64      `json:"round,omitempty"` // of sign-in links: an earlier one is dead
	TriesLeft   int        `json:"tries,omitempty"`
	ReasonCode  string     `json:"reason,omitempty"`
	Bounced     bool       `json:"bounced,omitempty"`
	Inquiry     string     `json:"inquiry,omitempty"` // the only identity check that counts
	Approvals   []Approval `json:"approvals,omitempty"`
	Subject     *Sealed    `json:"subject,omitempty"`  // what the host told about the person
	Identity    *Sealed    `json:"identity,omitempty"` // what was read from the ID
}

// Approval is one reviewer's consent.
type Approval struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// ResetState is where a recovery stands.
type ResetState string

// The states of recovery.md; the first four are open.
const (
	ResetIdentityPending ResetState = "identity_pending"
	ResetInReview        ResetState = "in_review"
	ResetApproved        ResetState = "approved"
	ResetReady           ResetState = "ready"
	ResetCompleted       ResetState = "completed"
	ResetDenied          ResetState = "denied"
	ResetCanceled        ResetState = "canceled"
	ResetExpired         ResetState = "expired"
)

// Open says whether the recovery can still let its user in.
func (r *Reset) Open() bool {
	if r == nil {
		return false
	}
	switch r.State {
	case ResetIdentityPending, ResetInReview, ResetApproved, ResetReady:
		return true
	}
	return false
}

func (r *Reset) clone() *Reset {
	c := clone(r)
	if c != nil {
		c.Approvals = slices.Clone(r.Approvals)
		c.Subject, c.Identity = clone(r.Subject), clone(r.Identity)
	}
	return c
}

// proofOfLife cancels an open reset: whoever has an accepted code, begins a replacement or turns 2FA off needs none,
// and whoever asked for one may have been someone else.
func (a *Account) proofOfLife(req Request, now time.Time, actor Actor) {
	if !a.Reset.Open() {
		return
	}
	a.Reset.State, a.Reset.EnteredAt = ResetCanceled, now
	a.Reset.CaseVersion++
	a.Reset.Subject, a.Reset.Identity = nil, nil
	a.record(req, now, Event{Type: EventResetCanceled, Actor: actor, Reason: "proof_of_life"})
}
