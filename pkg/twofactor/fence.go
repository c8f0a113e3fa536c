package twofactor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// passFence takes an account over a fence: a time, set by an operator after the accounts were restored from a backup, before
// which nothing counts that may have been spent, used, withdrawn or ended since the backup was made. Without one, what was
// restored would open again what had been opened with it.
//
// No code is accepted of a step that could have been accepted before the fence; a backup code, a grant, a set-up under way, a
// reset and an answer for a retry from before it are gone. Its user is told of what is missed. FreshSince says that an account
// has been taken over it, since none that was restored can have one that late; and no session from before sets 2FA up.
func (a *Account) passFence(fence, now time.Time) {
	if !a.FreshSince.Before(fence) {
		return
	}
	a.FreshSince = fence
	a.SignIn, a.Answered = nil, nil
	if auth := a.Authenticator; auth != nil && auth.Params.Validate() == nil {
		auth.notBefore(fence)
	}
	if a.Grant != nil && a.Grant.ExpiresAt.Add(-grantFor).Before(fence) {
		a.Grant = nil
	}
	if a.Pending != nil && a.Pending.BegunAt.Before(fence) {
		a.lapse(now)
	}
	if a.BackupCode != nil && a.BackupCode.IssuedAt.Before(fence) {
		a.BackupCode = nil
		a.record(Request{}, now, Event{Type: EventBackupCodeRevoked, Actor: ActorSystem, Reason: restored})
	}
	if a.Reset.Open() && a.Reset.RequestedAt.Before(fence) {
		a.cancelReset(Request{}, Event{Actor: ActorSystem, Reason: restored}, now)
	}
}

// restored is why something ended at a fence.
const restored = "restored"

// fence is the config item that a restore leaves.
type fence struct {
	Schema int       `json:"schema"`
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
}

const (
	fenceItem   = "fence"
	fenceSchema = 1
	// lookEvery is how often a process looks for a newer fence: as often as for newer keysets. One that begins with other
	// tables looks at once.
	lookEvery = 15 * time.Minute
	// lookAgain is how soon after a look that failed it looks again, and fenceFor how long it goes on with what it knows.
	lookAgain = time.Minute
	fenceFor  = 24 * time.Hour
	// fenceAhead is how much later than now a fence may be, as clocks differ.
	fenceAhead = time.Minute
)

// errAhead is the verdict on a fence of the future. It is an error and not as of now: each time it was passed it would take
// what people have just been given, for as long as it is ahead.
var errAhead = errors.New("is in the future: raise it again, which puts it to now, once the clocks are right")

// Fences knows the fence. It is safe for concurrent use.
type Fences struct {
	load func(ctx context.Context, name string) (value []byte, version int64, err error)
	now  func() time.Time

	failed func(context.Context, error)

	mu     sync.Mutex
	at     time.Time
	looked time.Time // when it last looked with success; zero: never
	tried  time.Time
}

// NewFences returns what knows the fence that is among the config items which load loads, as a store's LoadConfig does. It
// touches nothing yet. The clock is that which a fence is raised by. failed is told of each look that failed, and of a fence
// that has gone back.
func NewFences(load func(context.Context, string) ([]byte, int64, error), now func() time.Time, failed func(context.Context, error)) *Fences {
	return &Fences{load: load, now: now, failed: failed}
}

// At returns the fence; the zero time if there is none. When it cannot be told, what was known within the last day is told.
// What a process has seen never goes back, though the config table may have been restored. Both are told as failures.
func (f *Fences) At(ctx context.Context) (time.Time, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now().Round(0) // the monotonic clock stands still while a function is frozen
	wait := lookEvery
	if !f.tried.Equal(f.looked) {
		wait = lookAgain
	}
	known := !f.looked.IsZero() && now.Sub(f.looked) < fenceFor
	if since := now.Sub(f.tried); known && since >= 0 && since < wait {
		return f.at, nil
	}
	is, _, err := f.read(ctx)
	if err == nil && is.At.After(now.Add(fenceAhead)) {
		err = errAhead
	}
	f.tried = now
	if err != nil {
		f.failed(ctx, err)
		if !known {
			return time.Time{}, fmt.Errorf("the fence: %w", err)
		}
		return f.at, nil
	}
	f.looked = now
	if is.At.Before(f.at) {
		f.failed(ctx, fmt.Errorf("has gone back from %v to %v: raise it again", f.at, is.At))
		return f.at, nil
	}
	f.at = is.At
	return f.at, nil
}

func (f *Fences) read(ctx context.Context) (is fence, version int64, err error) {
	value, version, err := f.load(ctx, fenceItem)
	if err != nil || version == 0 {
		return fence{}, 0, err
	}
	switch err := json.Unmarshal(value, &is); {
	case err != nil:
		return fence{}, 0, fmt.Errorf("is none: %w", err)
	case is.Schema > fenceSchema:
		return fence{}, 0, ErrNewerSchema
	case is.Schema != fenceSchema || is.At.IsZero():
		return fence{}, 0, errors.New("is none")
	}
	return is, version, nil
}

// Raise sets the fence, with a store's ReplaceConfig, and returns it. It only goes forward: of those who raise it at once the
// latest time counts. But one of the future, which is never set here, is replaced.
func (f *Fences) Raise(ctx context.Context, replace func(ctx context.Context, name string, value []byte, version int64) error, at time.Time, by Operator) (time.Time, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now().Round(0)
	latest := now.Add(fenceAhead)
	if at.After(latest) {
		return time.Time{}, unavailable(fmt.Errorf("the fence: %v %w", at, errAhead))
	}
	want := fence{Schema: fenceSchema, At: stored(at), By: by.Name, Reason: by.Reason}
	for attempt := 1; ; attempt++ {
		is, version, err := f.read(ctx)
		if err != nil {
			return time.Time{}, unavailable(fmt.Errorf("the fence: %w", err))
		}
		if version > 0 && !is.At.Before(want.At) && !is.At.After(latest) {
			want = is
			break
		}
		value, err := json.Marshal(want)
		if err != nil {
			return time.Time{}, err
		}
		if err = replace(ctx, fenceItem, value, version+1); err == nil {
			break
		}
		var conflict *Conflict
		if !errors.As(err, &conflict) || attempt == maxDecisions {
			return time.Time{}, unavailable(fmt.Errorf("the fence: %w", err))
		}
	}
	f.looked, f.tried = now, now
	if f.at.Before(want.At) {
		f.at = want.At
	}
	return want.At, nil
}
