package twofactor

import (
	"time"
)

// PasswordChanged ends what an older password has opened: challenges, grants and a set-up under way die, locks are
// lifted. The 30-day count stays, and so does a suspension.
func (r Rules) PasswordChanged(a *Account, req Request, now time.Time) error {
	a.Epoch++
	a.Codes.succeed()
	a.Backups = BackupThrottle{}
	a.Grant, a.Challenges, a.SignIn, a.Answered = nil, nil, nil, nil
	a.FreshSince = now // a session from before cannot begin what has just been ended
	a.record(req, now, Event{Type: EventPasswordChanged, Actor: ActorHost})
	if a.Pending != nil { // whoever began it may be who the password was changed against
		a.lapse(now)
	}
	return nil
}

// AddressChanged notes a new address. The previous one keeps getting notices for a while.
func (r Rules) AddressChanged(a *Account, req Request, email string, now time.Time) error {
	_, changed, err := r.noteContact(a, req, Contact{Email: email}, now)
	switch {
	case err != nil:
		return err
	case !changed:
		return errUnchanged
	case !a.AddressChanged.Equal(now): // the first address that is known here is a change nevertheless: the host says so
		a.AddressChanged = now
		a.record(req, now, Event{Type: EventAddressChanged, Actor: ActorHost})
		a.returnReset(req, "address_changed", now)
	}
	return nil
}

// Erase leaves a tombstone: nothing made for the earlier incarnation is of any use, the version goes on, and its event
// has the history before it deleted. By is who had it done.
func (r Rules) Erase(a *Account, req Request, by Event, now time.Time) error {
	*a = Account{
		User: a.User, Schema: a.Schema, Version: a.Version, Writes: a.Writes, Incarnation: a.Incarnation + 1,
		FreshSince: now, Ended: now, Past: a.Past,
	}
	by.Type = EventErased
	a.record(req, now, by)
	a.Past = nil // erased, too
	return nil
}
