package twofactor

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Decision is what a reviewer decides.
type Decision string

// The decisions.
const (
	DecisionApprove       Decision = "approve"
	DecisionDeny          Decision = "deny"
	DecisionStop          Decision = "stop"           // an open reset, whatever its state, before it is used
	DecisionRetryIdentity Decision = "retry_identity" // the identity check once more
)

// Reviewer is who decides: by the subject and address of the session.
type Reviewer struct {
	User  UserID
	Email string
}

// Review is one reviewer's decision on a case as it was shown.
type Review struct {
	Request
	ResetID         string
	Reviewer        Reviewer
	Decision        Decision
	CaseVersion     int64
	IdentityMatches bool   // said with an approval
	ReasonCode      string // told to the user
	Note            string // not told
}

// Reviewed is the answer to a decision.
type Reviewed struct {
	State     ResetState
	Approvals int
}

// Review decides on a case. Nobody decides on their own account, nor twice, nor on a case that has changed meanwhile.
func (r Rules) Review(a *Account, req Review, now time.Time) (Reviewed, error) {
	s := a.Reset
	if s == nil || s.ID != req.ResetID {
		return Reviewed{}, refuse(ErrNoReset)
	}
	if own, err := r.own(a, req.Reviewer); err != nil || own {
		return Reviewed{}, orRefuse(err, ErrOwnCase)
	}
	if s.CaseVersion != req.CaseVersion {
		return Reviewed{}, refuse(ErrCaseChanged)
	}
	by := Event{Actor: ActorReviewer, By: string(req.Reviewer.User), Reason: req.ReasonCode, Note: req.Note}
	inReview := s.State == ResetInReview
	switch {
	case req.Decision == DecisionApprove && inReview && req.IdentityMatches:
		if slices.ContainsFunc(s.Approvals, func(a Approval) bool { return a.By == string(req.Reviewer.User) }) {
			return Reviewed{}, refuse(ErrCaseChanged)
		}
		r.approve(a, req, by, now)
	case req.Decision == DecisionDeny && inReview && req.ReasonCode != "":
		a.closeReset(ResetDenied, now)
		s.ReasonCode = req.ReasonCode
		by.Type = EventResetDenied
		a.record(req.Request, now, by)
	case req.Decision == DecisionStop && s.Open():
		a.cancelReset(req.Request, by, now)
		s.ReasonCode = req.ReasonCode
	case req.Decision == DecisionRetryIdentity && inReview:
		a.restartIdentity(now)
		s.TriesLeft, s.ReasonCode = identityTries, req.ReasonCode
		by.Type, by.Reason = EventResetReturned, "retry_identity"
		a.record(req.Request, now, by)
		a.ResetMails = append(recent(a.ResetMails, now, mailDay), now.Unix())
	default:
		return Reviewed{}, refuse(ErrCaseChanged)
	}
	return Reviewed{a.Reset.State, len(a.Reset.Approvals)}, nil
}

// approve counts an approval. The last one that is needed lets the reset take effect, at once or after the wait.
func (r Rules) approve(a *Account, req Review, by Event, now time.Time) {
	s := a.Reset
	s.Approvals = append(s.Approvals, Approval{By: string(req.Reviewer.User), At: now})
	if len(s.Approvals) < r.approvalsNeeded(s) {
		s.CaseVersion++
		by.Type = EventResetApproval
		a.record(req.Request, now, by)
		return
	}
	s.enter(ResetApproved, now)
	s.EffectiveAt, s.ExpiresAt = r.effectiveAt(a, now), time.Time{}
	by.Type = EventResetApproved
	a.record(req.Request, now, by)
	if !now.Before(s.EffectiveAt) {
		a.resetReady(now)
	}
}

// approvalsNeeded is two where there is nothing on file to compare with.
func (r Rules) approvalsNeeded(s *Reset) int {
	if s.Subject == nil {
		return 2
	}
	return r.Policy.Reviewers
}

// effectiveAt is when a reset that is approved now takes effect.
func (r Rules) effectiveAt(a *Account, now time.Time) time.Time {
	at := now.Add(time.Duration(r.Policy.ResetWait))
	if !a.AddressChanged.IsZero() {
		at = later(at, a.AddressChanged.Add(time.Duration(r.Policy.AddressHold)))
	}
	return at
}

// own says whether the case is the reviewer's own: by user, or by an address that the account has or had.
func (r Rules) own(a *Account, reviewer Reviewer) (bool, error) {
	if reviewer.User == a.User {
		return true, nil
	}
	known, err := r.addresses(a)
	return slices.ContainsFunc(known, func(email string) bool {
		return reviewer.Email != "" && strings.EqualFold(email, reviewer.Email)
	}), err
}

// addresses are the present address and, for a while after a change, the one before.
func (r Rules) addresses(a *Account) ([]string, error) {
	c, err := r.contact(a)
	if err != nil {
		return nil, err
	}
	all := []string{c.Email}
	if a.Previous != nil {
		before, err := r.previous(a)
		if err != nil {
			return nil, err
		}
		all = append(all, before.Email)
	}
	return all, nil
}

func orRefuse(err, verdict error) error {
	if err != nil {
		return err
	}
	return refuse(verdict)
}

// NoticeBounced notes that a notice to the user's address could not be delivered: whoever can stop the reset may not know
// of it, so the reviewers have to decide again.
func (r Rules) NoticeBounced(a *Account, resetID string, now time.Time) error {
	s := a.Reset
	if !s.Open() || s.ID != resetID || s.Bounced && s.State != ResetApproved && s.State != ResetReady {
		return a.unlessEvents()
	}
	s.Bounced = true
	a.returnReset(Request{}, "bounced", now)
	return nil
}

// Case is all that a reviewer decides on, from the account. The history comes beside it.
type Case struct {
	Reset           Reset
	Subject         *Subject  // on file; nil: nothing is
	Person          *Person   // verified; nil: nothing is yet
	ApprovalsNeeded int       // in all; 0: it is closed
	EarliestAt      time.Time // when an approval now would take effect, or the one there is does; zero: it is closed
	Enforcement     Enforcement
	AddressChanged  time.Time
}

// Case opens a case for a reviewer. Nobody is shown their own.
func (r Rules) Case(a *Account, resetID string, reviewer Reviewer, now time.Time) (Case, error) {
	s := a.Reset
	if s == nil || s.ID != resetID {
		return Case{}, refuse(ErrNoReset)
	}
	if own, err := r.own(a, reviewer); err != nil || own {
		return Case{}, orRefuse(err, ErrOwnCase)
	}
	c := Case{Reset: *s.clone(), Enforcement: r.Policy.Enforcement, AddressChanged: a.AddressChanged}
	if s.Open() {
		c.ApprovalsNeeded, c.EarliestAt = r.approvalsNeeded(s), s.EffectiveAt
		if c.EarliestAt.IsZero() {
			c.EarliestAt = r.effectiveAt(a, now)
		}
	}
	if err := openJSON(a, r.Keys.Contacts, sealSubject, s.Subject, &c.Subject); err != nil {
		return Case{}, err
	}
	if err := openJSON(a, r.Keys.Contacts, sealIdentity, s.Identity, &c.Person); err != nil {
		return Case{}, err
	}
	return c, errUnchanged
}

// openJSON opens what sealJSON sealed, if there is anything.
func openJSON[T any](a *Account, k AEAD, purpose string, s *Sealed, into **T) error {
	if s == nil {
		return nil
	}
	plaintext, err := a.open(k, purpose, *s)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(plaintext, into); err != nil {
		return a.sealed(purpose, err)
	}
	return nil
}
