// Package identity has people prove who they are to an identity service, Persona, and learns how it went.
//
// An inquiry is one such proof: Client.Create makes it, Client.OneTimeLink leads the person to it, and Client.Fetch tells
// where it stands. A webhook says that an inquiry has moved. VerifyWebhook finds out whether Persona sent it, and
// ParseWebhook which inquiry it is about; it is a hint to look, never a verdict: only what Fetch returns decides.
//
// Whatever goes wrong on the way is ErrUnavailable, and never a status. Package standin speaks the same API on a laptop.
//
// Sources: Persona's documentation (docs.withpersona.com) and its OpenAPI description of version 2023-01-05.
package identity

import (
	"errors"
	"time"
)

var (
	// ErrUnavailable: it could not be told. Persona did not answer, or not sensibly, or wants to be left alone, or the
	// secrets could not be read. Later may be better.
	ErrUnavailable = errors.New("identity: unavailable")
	// ErrNotFound: Persona says that there is no such inquiry.
	ErrNotFound = errors.New("identity: no such inquiry")
	// ErrClosed: the inquiry is not in a state in which its person can go on with it. Fetch tells which it is in.
	ErrClosed = errors.New("identity: the inquiry is closed")
	// ErrRefused: Persona refuses what we ask, by our key, template or request. It is our fault, and stays until somebody
	// puts it right.
	ErrRefused = errors.New("identity: refused")
)

// Status is where an inquiry stands, as Persona names it.
type Status string

// Every status that there is. Persona may add to them (docs.withpersona.com/versioning); one that is not here is an error.
const (
	StatusCreated     Status = "created"      // nobody has begun
	StatusPending     Status = "pending"      // the person has begun
	StatusCompleted   Status = "completed"    // the person has come to the end; nobody has decided
	StatusNeedsReview Status = "needs_review" // somebody at Persona's console is to decide
	StatusApproved    Status = "approved"
	StatusDeclined    Status = "declined"
	StatusFailed      Status = "failed"
	StatusExpired     Status = "expired" // not finished in time
)

// Outcome is what a status means for a reset. The zero value means nothing.
type Outcome int

// The outcomes.
const (
	Open    Outcome = iota // nothing yet: the person is not through
	Waiting                // the person is through, and the decision is Persona's, or that of people there
	Passed                 // the only one that lets a reset go on
	Failed                 // a failed try
	Lapsed                 // a new inquiry is needed; it costs no try
)

var outcomes = map[Status]Outcome{
	StatusCreated: Open, StatusPending: Open,
	StatusCompleted: Waiting, StatusNeedsReview: Waiting,
	StatusApproved: Passed,
	StatusDeclined: Failed, StatusFailed: Failed,
	StatusExpired: Lapsed,
}

// Outcome is what the status means. Only StatusApproved is Passed: StatusCompleted says that the person has come to the
// end, not that anybody was convinced. A status that is none is Open.
func (s Status) Outcome() Outcome { return outcomes[s] }

// Inquiry is one check of one person.
type Inquiry struct {
	ID        string
	Reference string // as given to Create; whoever opens an inquiry chooses it, so it proves nothing
	Status    Status
	Person    Person
	// When it was made, the person came to the end, and it was approved or declined. Zero: it has not happened.
	CreatedAt, CompletedAt, DecisionedAt time.Time
}
