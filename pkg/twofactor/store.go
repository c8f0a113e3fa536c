package twofactor

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Store keeps accounts and their history. What its methods promise is proven for every engine by package storetest.
//
// An error is never an empty account: a store that could not tell says so. Every method may be called in parallel and
// gives up when ctx ends.
type Store interface {
	// Load returns the account, strongly consistent: what any Replace that has returned stored is seen. A user never
	// seen is the zero account with its User. The caller may change what it gets. An item of a newer schema is
	// ErrNewerSchema.
	Load(ctx context.Context, user UserID) (*Account, error)

	// Replace stores next together with its events, atomically, if and only if the stored version is next.Version-1,
	// and returns only when the write is durable. Otherwise it returns a *Conflict with the current account. A write
	// that had landed before, recognised by the newest of next.Writes among the stored ones, is a success, also when
	// others have landed on top. Any other error means that it is not known whether the write has landed.
	Replace(ctx context.Context, next *Account) error

	// Due lists accounts by what they wait for, earliest due first, at most page.Limit of them. It may lag behind
	// Replace: Load before acting.
	Due(ctx context.Context, waiting Waiting, page Page) (DuePage, error)

	// Append adds events to the user's history. An event already there, by time and id, is left as it is.
	Append(ctx context.Context, user UserID, events []Event) error

	// History lists the user's events, newest first (by time, then id), at most page.Limit of them. A cursor that is
	// not of this store's making is ErrCursor.
	History(ctx context.Context, user UserID, page Page) (HistoryPage, error)

	// HistoryAfter lists the user's events newer than the given one (by time, then id), oldest first, at most limit of
	// them, which is at least 1: fewer are all there are. An event whose Append has returned is among them, and one whose
	// EraseHistory has returned is not.
	HistoryAfter(ctx context.Context, user UserID, after Event, limit int) ([]Event, error)

	// EraseHistory removes the user's events older than the given one (by time, then id).
	EraseHistory(ctx context.Context, user UserID, before Event) error
}

// KeepHistory is how long a store keeps an event at least. An older one may be gone.
const KeepHistory = 400 * 24 * time.Hour

// Page asks for a part of a list. An empty Cursor is the beginning. Limit is at least 1.
type Page struct {
	Cursor string
	Limit  int
}

// HistoryPage is a part of a user's history; an empty Next is the end.
type HistoryPage struct {
	Events []Event
	Next   string
}

// DuePage is a part of a list of accounts that wait; an empty Next is the end.
type DuePage struct {
	Accounts []Due
	Next     string
}

// Due is an account that waits until a time.
type Due struct {
	User UserID
	At   time.Time
}

// Waiting is what an account waits for. The empty Waiting is nothing.
type Waiting string

// What an account can wait for, and what its due time is.
const (
	WaitingIdentity    Waiting = "identity_pending" // due: when it expires
	WaitingReview      Waiting = "in_review"        // due: when it entered review
	WaitingEffect      Waiting = "approved"         // due: when it takes effect
	WaitingUse         Waiting = "ready"            // due: when it expires
	WaitingReplacement Waiting = "replacement"      // due: when the pending replacement expires
)

// WaitsFor says what the account waits for, and its due time; the stores index it.
func (a *Account) WaitsFor() (Waiting, time.Time) {
	if r := a.Reset; r != nil {
		switch r.State {
		case ResetIdentityPending:
			return WaitingIdentity, r.ExpiresAt
		case ResetInReview:
			return WaitingReview, r.EnteredAt
		case ResetApproved:
			return WaitingEffect, r.EffectiveAt
		case ResetReady:
			return WaitingUse, r.ExpiresAt
		}
	}
	if a.Pending != nil && a.Enabled() {
		return WaitingReplacement, a.Pending.expiresAt()
	}
	return "", time.Time{}
}

// Version is one version of an account as the stream delivers it, at least once, in order for each user.
type Version struct {
	User    UserID
	Version int64
	Events  []Event
	Past    *Recorded // where the events before these are; nil: not known
}

// Conflict is what a compare-and-swap returns when another write came first: Replace of an account, and the engines'
// ReplaceConfig of a config item.
type Conflict struct {
	// Current is the account as it is stored now; nil when the engine cannot say, and Load will. Of a config item it is
	// always nil.
	Current *Account
}

// Error says that another write came first.
func (c *Conflict) Error() string {
	if c.Current == nil {
		return "another write came first"
	}
	return fmt.Sprintf("another write came first: version %d is stored", c.Current.Version)
}

var (
	// ErrNewerSchema is returned for an item that a newer release wrote.
	ErrNewerSchema = errors.New("stored by a newer release: this one would lose what it does not know")
	// ErrCursor is returned for a cursor that no store has given.
	ErrCursor = errors.New("not a cursor of this list")
)
