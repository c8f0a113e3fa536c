package twofactor

import (
	"slices"
	"time"
)

// Reset is a recovery under way, or one closed a short while ago. At most one is open. Its states and what leads from one
// to the next: reset_request.go, reset_identity.go, review.go, verify.go (the sign-in that it ends with), and here what time
// does.
type Reset struct {
	ID          string     `json:"id"` // opaque: leads to the account
	Reference   string     `json:"ref"`
	LinkKey     uint32     `json:"link_key"` // that the tokens of its mailed links are derived with
	State       ResetState `json:"state"`
	RequestedAt time.Time  `json:"requested"`
	IP          string     `json:"ip,omitempty"` // it was asked for from
	UserAgent   string     `json:"ua,omitempty"` // written by whoever asked
	EnteredAt   time.Time  `json:"entered"`      // the present state
	EffectiveAt time.Time  `json:"effective,omitzero"`
	ExpiresAt   time.Time  `json:"expires,omitzero"`
	MailedAt    time.Time  `json:"mailed,omitzero"`   // its last mail, which is not sent again at once
	RemindedAt  time.Time  `json:"reminded,omitzero"` // its reviewers were
	CaseVersion int64      `json:"case,omitempty"`    // raised by all that a decision depends on, and by nothing else
	Round       int64      `json:"round,omitempty"`   // of sign-in links: an earlier one is dead
	Reviewed    bool       `json:"reviewed,omitempty"`
	TriesLeft   int        `json:"tries,omitempty"`
	ReasonCode  string     `json:"reason,omitempty"`
	Bounced     bool       `json:"bounced,omitempty"`
	Inquiry     string     `json:"inquiry,omitempty"`   // the only identity check that counts
	Attempt     int        `json:"attempt,omitempty"`   // numbers the inquiries, from 0
	Submitted   bool       `json:"submitted,omitempty"` // the check is with the identity service
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

// How long a reset waits in a state, and what ends it (recovery.md).
const (
	identityFor   = 24 * time.Hour      // for a submission to the identity check
	reviewFor     = 14 * 24 * time.Hour // for the identity service's own people, for reviewers, and for the sign-in
	remindAfter   = 24 * time.Hour      // reviewers, and again
	identityTries = 3
	// lastLook is how long after its time a check that was begun can still turn out to have been submitted in time: the
	// webhook may be lost, and the sweep, which asks every five minutes, may fail.
	lastLook = 15 * time.Minute
)

// enter moves the reset into another state. Its user is mailed so.
func (r *Reset) enter(state ResetState, now time.Time) {
	r.State, r.EnteredAt, r.MailedAt, r.ReasonCode = state, now, now, ""
	r.CaseVersion++
}

// over says whether nobody went on with the reset in time.
func (r *Reset) over(now time.Time) bool {
	if r.State == ResetIdentityPending && r.Inquiry != "" {
		now = now.Add(-lastLook)
	}
	return !now.Before(r.ExpiresAt)
}

// closeReset ends the reset. What it knew of the person goes with it, and so does a set-up that would have completed it.
func (a *Account) closeReset(state ResetState, now time.Time) {
	a.Reset.enter(state, now)
	a.Reset.Subject, a.Reset.Identity = nil, nil
	a.dropResetSetUp()
}

// dropResetSetUp ends a set-up that was begun with a mailed link: it is good only while the reset is ready.
func (a *Account) dropResetSetUp() {
	if a.Pending != nil && a.Pending.Reset != (Digest{}) {
		a.Pending = nil
	}
}

// advanceReset does what is due: an approved reset takes effect, one that nobody went on with expires, and one that was
// closed long ago is forgotten. The sweep and every decision on the account come here first, so that a dead schedule
// delays nobody.
func (a *Account) advanceReset(now time.Time) {
	switch r := a.Reset; {
	case r == nil:
	case !r.Open():
		if now.Sub(r.EnteredAt) > closedResetFor {
			a.Reset = nil
		}
	case r.State == ResetApproved:
		if !now.Before(r.EffectiveAt) {
			a.resetReady(now)
		}
	case r.over(now):
		a.expireReset(string(r.State), now)
	}
}

// resetReady lets the user in: with the password and the mailed link.
func (a *Account) resetReady(now time.Time) {
	a.Reset.enter(ResetReady, now)
	a.Reset.ExpiresAt = now.Add(reviewFor)
	a.record(Request{}, now, Event{Type: EventResetReady, Actor: ActorSystem})
}

// expireReset ends a reset that leads nowhere. The reason is the state in which its time ran out, or that the last try
// failed.
func (a *Account) expireReset(reason string, now time.Time) {
	a.closeReset(ResetExpired, now)
	a.record(Request{}, now, Event{Type: EventResetExpired, Actor: ActorSystem, Reason: reason})
}

// withdraw takes back that the reset was approved. A sign-in link that was mailed is dead, and so is what it has opened.
func (a *Account) withdraw() {
	r := a.Reset
	if r.State == ResetApproved || r.State == ResetReady {
		r.Round++
		a.dropResetSetUp()
	}
	r.EffectiveAt, r.Approvals = time.Time{}, nil
}

// returnReset has the reviewers look again: their approval was for things as they were.
func (a *Account) returnReset(req Request, reason string, now time.Time) {
	r := a.Reset
	if !r.Open() {
		return
	}
	if len(r.Approvals) > 0 {
		a.record(req, now, Event{Type: EventResetReturned, Actor: ActorSystem, Reason: reason})
	}
	back := r.State == ResetApproved || r.State == ResetReady
	a.withdraw()
	if !back {
		r.CaseVersion++ // whoever was about to decide has not seen this
		return
	}
	r.enter(ResetInReview, now)
	r.ExpiresAt, r.RemindedAt = now.Add(reviewFor), time.Time{}
}

// cancelReset ends an open reset before it is used. It reports whether there was one.
func (a *Account) cancelReset(req Request, e Event, now time.Time) bool {
	if !a.Reset.Open() {
		return false
	}
	a.closeReset(ResetCanceled, now)
	e.Type = EventResetCanceled
	a.record(req, now, e)
	return true
}

// proofOfLife cancels an open reset: whoever has an accepted code, begins a replacement or turns 2FA off needs none,
// and whoever asked for one may have been someone else.
func (a *Account) proofOfLife(req Request, now time.Time) {
	a.cancelReset(req, Event{Actor: ActorUser, Reason: "proof_of_life"}, now)
}

// CancelReset ends an open reset at its user's wish, from a session. The error is [ErrNoReset] if none is open.
func (r Rules) CancelReset(a *Account, req Request, now time.Time) error {
	if !a.cancelReset(req, Event{Actor: ActorUser}, now) {
		return refuse(ErrNoReset)
	}
	return nil
}

// Sweep does what time has made due, and reminds the reviewers of a case every day.
func (r Rules) Sweep(a *Account, now time.Time) error {
	if s := a.Reset; s != nil && s.State == ResetInReview && !now.Before(later(s.EnteredAt, s.RemindedAt).Add(remindAfter)) {
		s.RemindedAt = now
		a.requestMail(Request{}, "review_reminder", now)
	}
	return a.unlessEvents()
}

// requestMail has a mail sent that goes with no event of the history: one more of the same, or a reminder.
func (a *Account) requestMail(req Request, what string, now time.Time) {
	a.record(req, now, Event{Type: EventMailRequested, Actor: ActorSystem, Reason: what})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
