package twofactor

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"
)

const (
	// maxReviews is how many resets of a user can reach review in 30 days: each costs an identity check and somebody's
	// time.
	maxReviews = 3
	reviewDays = 30 * 24 * time.Hour
	// maxIdentityMails is how many mails with a link to an identity check a user can be sent a day. A request beyond that
	// is answered as ever.
	maxIdentityMails = 3
	mailDay          = 24 * time.Hour
	// resendAfter is how long a mail is not sent again.
	resendAfter = 2 * time.Minute
)

// RequestReset asks for a recovery, at a sign-in whose password was right.
type RequestReset struct {
	Request
	Challenge Challenge
	ID        string // a new one; not used if a reset is open
	Reference string // goes with it
}

// ResetRequested is the answer, the same whether or not a mail can be delivered.
type ResetRequested struct {
	Reset   ResetStatus
	Contact Contact
}

// RequestReset opens a reset and mails the link to an identity check. While one is open its current mail is sent again, at
// most once in two minutes.
func (r Rules) RequestReset(a *Account, req RequestReset, now time.Time) (ResetRequested, error) {
	switch {
	case !a.admitsTo(req.Challenge, PurposeVerify, now):
		return ResetRequested{}, refuse(ErrChallengeExpired)
	case r.Policy.Recovery != IdentityReview:
		return ResetRequested{}, refuse(&Forbidden{Setting: "recovery"})
	case !a.Enabled():
		return ResetRequested{}, refuse(ErrNotEnabled)
	}
	contact, err := r.contact(a)
	if err != nil {
		return ResetRequested{}, err
	}
	switch {
	case a.Reset.Open():
		if now.Before(a.Reset.MailedAt.Add(resendAfter)) || !a.mailAgain(req.Request, now) {
			return ResetRequested{*a.Reset.status(now), contact}, a.unlessEvents()
		}
	default:
		if err := a.openReset(r, req, now); err != nil {
			return ResetRequested{}, err
		}
	}
	return ResetRequested{*a.Reset.status(now), contact}, nil
}

func (a *Account) openReset(r Rules, req RequestReset, now time.Time) error {
	a.ResetReviews = recent(a.ResetReviews, now, reviewDays)
	if n := len(a.ResetReviews); n >= maxReviews {
		return refuse(&ResetLimit{Until: time.Unix(a.ResetReviews[n-maxReviews], 0).Add(reviewDays).UTC()})
	}
	reset := &Reset{
		ID: req.ID, Reference: req.Reference, LinkKey: r.Keys.Links.PrimaryID(), RequestedAt: now,
		IP: cut(req.IP, maxNote), UserAgent: cut(req.UserAgent, maxUserAgent),
		ExpiresAt: now.Add(identityFor), TriesLeft: identityTries,
	}
	if s := req.Challenge.Subject; s != nil && *s != (Subject{}) {
		sealed, err := a.sealJSON(r.Keys.Contacts, sealSubject, req.Challenge.Subject)
		if err != nil {
			return err
		}
		reset.Subject = &sealed
	}
	reset.enter(ResetIdentityPending, now)
	a.Reset = reset
	a.record(req.Request, now, Event{Type: EventResetRequested})
	a.mailAgain(req.Request, now)
	return nil
}

// mailAgain has the mail sent that belongs to the state of the reset. It reports false where there is none to send.
func (a *Account) mailAgain(req Request, now time.Time) bool {
	what := map[ResetState]string{
		ResetIdentityPending: "reset_requested", ResetInReview: "reset_in_review", ResetApproved: "reset_approved", ResetReady: "reset_ready",
	}[a.Reset.State]
	if a.Reset.State == ResetIdentityPending {
		if a.ResetMails = recent(a.ResetMails, now, mailDay); len(a.ResetMails) >= maxIdentityMails {
			return false
		}
		a.ResetMails = append(a.ResetMails, now.Unix())
	}
	a.Reset.MailedAt = now
	a.requestMail(req, what, now)
	return true
}

// recent are the times, in Unix seconds, that are no older than this.
func recent(times []int64, now time.Time, age time.Duration) []int64 {
	return slices.DeleteFunc(times, func(t int64) bool { return !now.Before(time.Unix(t, 0).Add(age)) })
}

// unlessEvents is nil if time has done something to the account, which then has to be stored, and errUnchanged otherwise.
func (a *Account) unlessEvents() error {
	if len(a.Events) == 0 {
		return errUnchanged
	}
	return nil
}

// sealJSON seals a value for this account.
func (a *Account) sealJSON(k AEAD, purpose string, value any) (Sealed, error) {
	var plaintext bytes.Buffer
	e := json.NewEncoder(&plaintext)
	e.SetEscapeHTML(false) // it goes into no page, and "<" would take six bytes
	if err := e.Encode(value); err != nil {
		return Sealed{}, refuse(err)
	}
	return a.seal(k, purpose, bytes.TrimSpace(plaintext.Bytes())) // Encode ends a line
}
