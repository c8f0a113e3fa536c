package twofactor

import (
	"time"
)

// IdentityOutcome is what an identity check has come to.
type IdentityOutcome string

// The outcomes. Only IdentityPassed passes.
const (
	IdentityOpen      IdentityOutcome = "open"      // nothing was submitted yet
	IdentitySubmitted IdentityOutcome = "submitted" // the service, or its people, have not decided yet
	IdentityPassed    IdentityOutcome = "passed"
	IdentityFailed    IdentityOutcome = "failed"
	IdentityLapsed    IdentityOutcome = "lapsed" // a new one is needed, which costs no try
)

// Person is what was read from an ID.
type Person struct {
	Name      string `json:"name,omitempty"`
	Birthdate string `json:"birthdate,omitempty"` // 2006-01-02
	Phone     string `json:"phone,omitempty"`
	Address   string `json:"address,omitempty"`
}

// cut is the person in as many bytes as fit into an account.
func (p Person) cut() Person {
	return Person{cut(p.Name, maxNote), cut(p.Birthdate, maxNote), cut(p.Phone, maxNote), cut(p.Address, maxNote)}
}

// IdentityCheck is what a mailed link opens: the inquiry to go on with, or the attempt to begin one for.
type IdentityCheck struct {
	ResetID string
	Attempt int    // numbers the inquiries of this reset, so that two clicks begin one
	Inquiry string // empty: none has been begun
}

// IdentityCheck says which inquiry the holder of a mailed link is to be sent to.
func (r Rules) IdentityCheck(a *Account, token string) (IdentityCheck, error) {
	if _, err := r.openLink(a, token, LinkIdentity); err != nil {
		return IdentityCheck{}, err
	}
	return IdentityCheck{a.Reset.ID, a.Reset.Attempt, a.Reset.Inquiry}, errUnchanged
}

// InquiryBegun notes the inquiry that was begun for a check. From here on it is the only one that counts: anybody can open
// one and say that it is for this reset.
func (r Rules) InquiryBegun(a *Account, check IdentityCheck) error {
	s := a.Reset
	switch {
	case s == nil || s.ID != check.ResetID || s.State != ResetIdentityPending || s.Attempt != check.Attempt:
		return refuse(ErrLinkExpired)
	case s.Inquiry == check.Inquiry:
		return errUnchanged
	case s.Inquiry != "":
		return refuse(ErrLinkExpired) // a second one for the same attempt
	}
	s.Inquiry = check.Inquiry
	return nil
}

// IdentityResult is what the identity service says of an inquiry when it is asked.
type IdentityResult struct {
	ResetID string
	Inquiry string
	Outcome IdentityOutcome
	Person  Person
}

// IdentityResult takes over what the identity service has found. A result of any other inquiry than the one that counts
// changes nothing, and the same result a second time changes nothing either.
func (r Rules) IdentityResult(a *Account, result IdentityResult, now time.Time) error {
	s := a.Reset
	if !s.Open() || s.ID != result.ResetID || s.Inquiry == "" || s.Inquiry != result.Inquiry {
		return a.unlessEvents()
	}
	pending := s.State == ResetIdentityPending
	switch result.Outcome {
	case IdentityPassed:
		if !pending {
			return a.unlessEvents()
		}
		sealed, err := a.sealJSON(r.Keys.Contacts, sealIdentity, result.Person.cut())
		if err != nil {
			return err
		}
		s.Identity = &sealed
		a.enterReview(now)
	case IdentityFailed:
		a.identityFailed(now)
	case IdentityLapsed:
		if !pending {
			return a.unlessEvents()
		}
		s.anotherInquiry()
		if again := now.Add(identityFor); again.Before(s.ExpiresAt) { // it had been submitted
			s.ExpiresAt = again
		}
		a.advanceReset(now) // it may have been given its last minutes for this inquiry alone
	case IdentitySubmitted:
		if !pending || s.Submitted {
			return a.unlessEvents()
		}
		s.Submitted, s.ExpiresAt = true, now.Add(reviewFor)
	default:
		return a.unlessEvents()
	}
	return nil
}

// enterReview hands the case to the reviewers.
func (a *Account) enterReview(now time.Time) {
	s := a.Reset
	s.enter(ResetInReview, now)
	s.ExpiresAt, s.RemindedAt, s.Approvals = now.Add(reviewFor), time.Time{}, nil
	if !s.Reviewed {
		s.Reviewed = true
		a.ResetReviews = append(recent(a.ResetReviews, now, reviewDays), now.Unix())
	}
	a.record(Request{}, now, Event{Type: EventIdentityPassed, Actor: ActorSystem})
}

// identityFailed costs a try. After the last one the reset is over; a reset that had come further goes back to the check,
// and a sign-in link that was mailed is dead.
func (a *Account) identityFailed(now time.Time) {
	s := a.Reset
	s.TriesLeft--
	s.CaseVersion++
	if s.State != ResetIdentityPending {
		a.restartIdentity(now)
		a.record(Request{}, now, Event{Type: EventResetReturned, Actor: ActorSystem, Reason: "identity_declined"})
	}
	s.anotherInquiry()
	a.record(Request{}, now, Event{Type: EventIdentityFailed, Outcome: Failed, Actor: ActorSystem})
	if s.TriesLeft <= 0 {
		a.expireReset("identity_failed", now)
		return
	}
	s.ExpiresAt, s.MailedAt = now.Add(identityFor), now
	a.ResetMails = append(recent(a.ResetMails, now, mailDay), now.Unix()) // its mail has the link to try again
}

// restartIdentity takes a reset back to the identity check.
func (a *Account) restartIdentity(now time.Time) {
	s := a.Reset
	a.withdraw()
	s.enter(ResetIdentityPending, now)
	s.ExpiresAt, s.Identity = now.Add(identityFor), nil
	s.anotherInquiry()
}

// anotherInquiry has the next click begin another inquiry. A result of the one before no longer counts.
func (r *Reset) anotherInquiry() {
	if r.Inquiry != "" {
		r.Attempt++
	}
	r.Inquiry, r.Submitted = "", false
}
