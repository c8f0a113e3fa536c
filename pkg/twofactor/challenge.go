package twofactor

import (
	"slices"
	"time"
)

// challengeFor is how long a sign-in may take from the password to the second factor. Retries of a success are kept as
// long.
const challengeFor = retryFor

// Purpose is what a challenge can be used for.
type Purpose string

// The purposes of a challenge.
const (
	PurposeVerify Purpose = "verify" // sign in with a second factor
	PurposeEnroll Purpose = "enroll" // set one up inside the sign-in
)

// Challenge says that the password was right a few minutes ago. Package token seals it: it tells a browser nothing.
type Challenge struct {
	ID          Digest    `json:"id"`
	Purpose     Purpose   `json:"for"`
	User        UserID    `json:"user"`
	Incarnation int64     `json:"inc,omitempty"`
	Epoch       int64     `json:"epoch,omitempty"`
	Nonce       string    `json:"nonce,omitempty"` // the host's, for its pending sign-in
	AMR         []string  `json:"amr,omitempty"`   // what the host has checked
	Subject     *Subject  `json:"subject,omitempty"`
	Reset       Digest    `json:"reset,omitzero"` // that its enrolment completes: its mailed link was right
	ExpiresAt   time.Time `json:"exp"`
}

// Subject is what the host knows of the person, for the reviewer of a reset to compare.
type Subject struct {
	Name      string `json:"name,omitempty"`
	Birthdate string `json:"birthdate,omitempty"` // 2006-01-02
	Phone     string `json:"phone,omitempty"`
}

func (c Challenge) expired(now time.Time) bool { return !now.Before(c.ExpiresAt) }

// issued says whether a challenge was made for this account as it is, and for this purpose. An erased account and a new
// password let no earlier challenge live.
func (a *Account) issued(c Challenge, p Purpose) bool {
	return c.User == a.User && c.Purpose == p && c.Incarnation == a.Incarnation && c.Epoch == a.Epoch
}

// admitsTo says whether the challenge can be used for this purpose now. One that a mailed link has opened dies with what it
// completes.
func (a *Account) admitsTo(c Challenge, p Purpose, now time.Time) bool {
	return a.issued(c, p) && !a.spent(c) && !c.expired(now) && (c.Reset == (Digest{}) || a.completes(c))
}

// passChallenge is what comes before an authenticator code is compared at a sign-in: lock, retry, and whether the
// challenge is still good. It is done when there is an answer or a verdict. The lock is that of the authenticator in force:
// it does not hold up whoever replaces that by a mailed link.
//
// Another code on the challenge of the newest success is a failure whatever the code: to compare it only with the
// remembered one, and say so for nothing, would let whoever stole a challenge search for the code that opened it.
func (r Rules) passChallenge(a *Account, req Request, ch Challenge, p Purpose, now time.Time) (SignIn, bool, error) {
	if !a.issued(ch, p) {
		return SignIn{}, true, refuse(ErrChallengeExpired)
	}
	if err := a.Codes.refuses(now); err != nil && !a.completes(ch) {
		return SignIn{}, true, err
	}
	if answer, again, err := r.repeated(a, req, ch, now); again {
		return answer, true, err
	}
	if s := a.SignIn; s != nil && s.Challenge == ch.ID && s.Method == MethodTOTP {
		r.countFailure(a, req, OpSignIn, "challenge_used", now)
		return SignIn{}, true, ErrChallengeExpired
	}
	if !a.admitsTo(ch, p, now) {
		return SignIn{}, true, refuse(ErrChallengeExpired)
	}
	return SignIn{}, false, a.crowded()
}

// NewChallenge is a host asking whether a second factor is due, after the password was right.
type NewChallenge struct {
	Request
	User          UserID
	Contact       Contact
	Nonce         string
	AMR           []string
	Subject       *Subject
	ExpectEnabled bool // the host believes that 2FA is on
}

// Offer is the answer to a host.
type Offer struct {
	Required           bool
	EnrollmentRequired bool
	Methods            []Method
	Challenge          *Challenge // nil when nothing is required
	Contact            Contact    // as now known
	Account            string     // its name in the authenticator app
	LockedUntil        time.Time
	Suspended          bool
	Reset              *ResetStatus
}

// reservedAMR are the methods that only this service vouches for.
var reservedAMR = []string{"otp", "mfa", string(MethodBackupCode), string(MethodResetLink)}

// Challenge says whether a second factor is due, and opens the way to it. Nothing is written unless the host told a new
// address, name or language, or something has become due.
func (r Rules) Challenge(a *Account, req NewChallenge, now time.Time) (Offer, error) {
	contact, changed, err := r.noteContact(a, req.Request, req.Contact, now)
	if err != nil {
		return Offer{}, err
	}
	if req.ExpectEnabled && !a.Enabled() {
		return Offer{}, refuse(ErrNotEnabled)
	}
	status := a.Status(now)
	offer := Offer{
		Required: a.Enabled() || r.Policy.Enforcement == Required, Methods: []Method{},
		Contact: contact, Account: contact.name(a.User),
		LockedUntil: status.LockedUntil, Suspended: status.Suspended, Reset: status.Reset,
	}
	purpose := PurposeVerify
	switch {
	case a.Enabled():
		offer.Methods = append(offer.Methods, MethodTOTP)
		if a.BackupCode != nil {
			offer.Methods = append(offer.Methods, MethodBackupCode)
		}
		if r.Policy.Recovery == IdentityReview && a.Reset.Open() && a.Reset.State == ResetReady {
			offer.Methods = append(offer.Methods, MethodResetLink)
		}
	case offer.Required:
		purpose = PurposeEnroll
		offer.EnrollmentRequired = true
		offer.Methods = append(offer.Methods, MethodEnroll)
	}
	if offer.Required {
		offer.Challenge = &Challenge{
			ID: req.ID, Purpose: purpose, User: a.User, Incarnation: a.Incarnation, Epoch: a.Epoch, Nonce: req.Nonce,
			AMR:     slices.DeleteFunc(slices.Clone(req.AMR), func(m string) bool { return slices.Contains(reservedAMR, m) }),
			Subject: req.Subject, ExpiresAt: now.Add(challengeFor),
		}
	}
	if changed {
		return offer, nil
	}
	return offer, a.unlessEvents()
}
