package twofactor

import "time"

// grantFor is how long a grant can be used to begin something.
const grantFor = 15 * time.Minute

// GrantScope is what a grant stands in for a code at.
type GrantScope string

// The two scopes.
const (
	GrantAny        GrantScope = "any"         // everywhere: a new phone or a new backup code, after a backup sign-in
	GrantBackupCode GrantScope = "backup_code" // at the new backup code only: after a revocation
)

// Grant is what its holder presents, sealed by package token: it stands in for a code, once.
type Grant struct {
	ID          Digest    `json:"id"`
	User        UserID    `json:"user"`
	Incarnation int64     `json:"inc"`
	Epoch       int64     `json:"epoch"`
	ExpiresAt   time.Time `json:"exp"`
}

// OpenGrant is the account's side of the one grant that can still be used. It goes when the grant is spent, when the
// authenticator changes, with a new password, and when a newer grant is given.
type OpenGrant struct {
	ID        Digest     `json:"id"`
	Scope     GrantScope `json:"scope"`
	ExpiresAt time.Time  `json:"expires"`
}

// grant opens a grant. Its id follows from the request, so that a retry gets the same one.
func (a *Account) grant(req Request, scope GrantScope, now time.Time) *Grant {
	a.dropGrant(now)
	a.Grant = &OpenGrant{ID: req.ID.Derive("grant"), Scope: scope, ExpiresAt: now.Add(grantFor)}
	return a.grantOf(req)
}

// grantOf returns the open grant as its holder gets it, if it is the one that req was answered with.
func (a *Account) grantOf(req Request) *Grant {
	if a.Grant == nil || a.Grant.ID != req.ID.Derive("grant") {
		return nil
	}
	return &Grant{
		ID: a.Grant.ID, User: a.User, Incarnation: a.Incarnation, Epoch: a.Epoch, ExpiresAt: a.Grant.ExpiresAt,
	}
}

// admits says whether the grant can be used now where this scope is asked for.
func (a *Account) admits(g Grant, scope GrantScope, now time.Time) error {
	open := a.Grant
	if open == nil || open.ID != g.ID || g.User != a.User || g.Incarnation != a.Incarnation || g.Epoch != a.Epoch ||
		!now.Before(open.ExpiresAt) || (open.Scope != GrantAny && open.Scope != scope) {
		return refuse(ErrGrantExpired)
	}
	return nil
}

// dropGrant ends the open grant, and a set-up that was begun with it: a grant is good for one thing.
func (a *Account) dropGrant(now time.Time) {
	a.Grant = nil
	if a.Pending != nil && a.Pending.Grant != (Digest{}) {
		a.lapse(now)
	}
}
