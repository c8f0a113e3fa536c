package host

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"
)

// Redeemer remembers which assertions were used, so that each opens one session.
//
// Of all calls with one jti, on all servers of the host together, exactly one returns true; it does so once the jti is
// stored durably. An insert under a unique key is enough, a read before a write is not. After expires, the jti may be
// forgotten: the assertion is refused without it. An error says nothing about the jti, which may have been stored, and
// nobody gets in on it. Redeem must be safe for concurrent use.
type Redeemer interface {
	Redeem(ctx context.Context, jti string, expires time.Time) (first bool, err error)
}

// maxRemembered is how many assertions a memory redeemer holds at once: those of a little over a minute.
const maxRemembered = 1 << 17

// NewMemoryRedeemer returns a Redeemer for a host that is one process: with several, an assertion could be used once in
// each. It forgets everything at a restart, and otherwise only what has expired; 131072 assertions at once are all that it
// holds, and one more is an error, as is one that has expired by its clock.
func NewMemoryRedeemer() Redeemer { return newMemoryRedeemer(time.Now) }

func newMemoryRedeemer(now func() time.Time) *memoryRedeemer {
	return &memoryRedeemer{now: now, used: map[string]time.Time{}}
}

type memoryRedeemer struct {
	now func() time.Time

	mu      sync.Mutex           // guards what follows
	used    map[string]time.Time // jti: when it may be forgotten
	sweepAt int                  // how many there are when expired ones are next looked for
}

func (r *memoryRedeemer) Redeem(_ context.Context, jti string, expires time.Time) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if !now.Before(expires) {
		return false, errors.New("memory redeemer: already expired: the clocks differ")
	}
	if _, used := r.used[jti]; used {
		return false, nil
	}
	if len(r.used) >= r.sweepAt {
		r.sweep(now)
	}
	if len(r.used) >= maxRemembered {
		return false, errors.New("memory redeemer: full")
	}
	r.used[jti] = expires
	return true, nil
}

// sweep forgets what has expired. It is due again when there are twice as many as it left.
func (r *memoryRedeemer) sweep(now time.Time) {
	maps.DeleteFunc(r.used, func(_ string, expires time.Time) bool { return !now.Before(expires) })
	r.sweepAt = min(max(1024, 2*len(r.used)), maxRemembered)
}
