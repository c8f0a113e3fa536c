package twofactor

import (
	"time"
)

// Operator is who acts on somebody's account, and why. Both are recorded.
type Operator struct {
	Name   string
	Reason string
}

// Unlock lifts locks and suspension and empties the 30-day count. Of a user never seen it makes no account: the name was mistyped.
func (r Rules) Unlock(a *Account, req Request, by Operator, now time.Time) error {
	if a.Version == 1 { // the change under way would be the first
		return refuse(ErrNotEnabled)
	}
	a.Codes, a.Backups = CodeThrottle{}, BackupThrottle{}
	a.record(req, now, Event{Type: EventUnlocked, Actor: ActorOperator, By: by.Name, Reason: by.Reason})
	return nil
}

// RemoveAuthenticator turns 2FA off for a user who has lost authenticator and backup code. Sessions from before cannot
// set it up again.
func (r Rules) RemoveAuthenticator(a *Account, req Request, by Operator, now time.Time) error {
	if !a.Enabled() {
		return refuse(ErrNotEnabled)
	}
	a.cancelReset(req, Event{Actor: ActorOperator, By: by.Name, Reason: "admin_removed"}, now)
	a.turnOff(now)
	a.FreshSince = now
	a.record(req, now, Event{Type: EventAdminRemoved, Actor: ActorOperator, By: by.Name, Reason: by.Reason})
	return nil
}
