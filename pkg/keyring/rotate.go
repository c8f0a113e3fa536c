package keyring

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

const (
	year     = 365 * 24 * time.Hour
	halfYear = year / 2
)

// A Step is what a rotation has done to a keyset.
type Step string

// The steps. What a keyset needs next follows from what it holds, so nothing else has to be remembered between two of them.
const (
	Nothing  Step = ""
	Added    Step = "added"    // a key, with which nothing is made for a day
	Promoted Step = "promoted" // the key that was added a day ago or longer
)

// Rotate takes the keyset of each purpose one step on, if one is due: a key that has waited for a day is promoted; where none
// waits, and the one in use has reached its lifetime, another is added. It is for a schedule, more often than once a day. What
// was broken off anywhere goes on the next time, and of those who rotate at once, one does each step. A purpose that fails
// holds up no other.
//
// A key that was promoted once and set back by hand is not promoted again: another one is added, in its time.
//
// The lifetimes. What the keys protect against is that one is known to somebody and nobody knows of that, which rotation puts
// an end to for what is made afterwards: for half a year at most where a stolen key opens doors (signing, challenge, links),
// and for a year where it takes the accounts' data as well to do harm (totp, contact, codes, ids). How often a key may be used
// is no limit: of AES-GCM with random nonces that is 2^32 times (NIST SP 800-38D §8.3), for challenges 270 sign-ins a second
// for half a year. What keeps the lifetimes from being shorter is that keys are kept for good and a KMS key takes 4096 bytes:
// as they are, there is room for nine years of signing keys, and for fifteen and more of every other kind.
//
// Rotating is safe for each purpose, as everything made names its key, by Tink's prefix (the AEADs; ids, which are encrypted
// once, kept, and compared as they are), by a "kid" (signing), or in the account (codes, links). So what the former key has
// made stays good for as long as there is anything of it, in a backup as well.
func Rotate(ctx context.Context, store Store, kek tink.AEADWithContext, purposes ...Purpose) (map[Purpose]Step, error) {
	return rotateAll(ctx, store, kek, false, purposes)
}

// Renew is Rotate for a key that is not to reach its lifetime: where no key waits to be promoted, one is added now.
func Renew(ctx context.Context, store Store, kek tink.AEADWithContext, purposes ...Purpose) (map[Purpose]Step, error) {
	return rotateAll(ctx, store, kek, true, purposes)
}

func rotateAll(ctx context.Context, store Store, kek tink.AEADWithContext, early bool, purposes []Purpose) (map[Purpose]Step, error) {
	done := map[Purpose]Step{}
	var all error
	for _, p := range purposes {
		step, err := rotate(ctx, store, kek, p, early)
		if step != Nothing {
			done[p] = step
		}
		if err != nil {
			all = errors.Join(all, fmt.Errorf("rotating keyset %s: %w", p, err))
		}
	}
	return done, all
}

func rotate(ctx context.Context, store Store, kek tink.AEADWithContext, p Purpose, early bool) (done Step, err error) {
	if p == Signing { // what was added, and could not be published
		if err := publish(ctx, store, kek); err != nil {
			return Nothing, err
		}
	}
	err = rewrite(ctx, store, kek, p, func(h *keyset.Handle, e envelope) (*keyset.Handle, envelope, error) {
		done = Nothing // whatever was decided before another write came first
		primary, waiting, err := e.order(h)
		if err != nil {
			return nil, e, err
		}
		switch now := time.Now(); {
		case waiting != 0 && e.ripe(waiting, now):
			done = Promoted
			return withPrimary(h, e, waiting)
		case waiting == 0 && (early || now.Sub(e.Keys[primary].inUse()) >= uses[p].lifetime):
			done = Added
			h, e, _, err = withNewKey(h, e)
			return h, e, err
		}
		return nil, e, nil
	})
	if err != nil {
		return Nothing, err // or it is not known; the next time will tell
	}
	if done == Added && p == Signing {
		err = publish(ctx, store, kek)
	}
	return done, err
}

// order returns the id of the key that new things are made with, and of the one that is to be next: the first of those that
// never were it; 0: there is none.
func (e envelope) order(h *keyset.Handle) (primary, waiting uint32, err error) {
	for i := range h.Len() {
		entry, err := h.Entry(i)
		if err != nil {
			return 0, 0, err
		}
		id := entry.KeyID()
		switch {
		case entry.IsPrimary():
			primary = id
		case waiting == 0 && e.Keys[id].Promoted.IsZero():
			waiting = id
		}
	}
	return primary, waiting, nil
}

// inUse is since when new things are made with a key, which is or was the primary one. The first of a keyset never had to wait.
func (t times) inUse() time.Time {
	if t.Promoted.IsZero() {
		return t.Created
	}
	return t.Promoted
}

// ripe says whether the key has waited long enough: for every ring to have it, and every host.
func (e envelope) ripe(keyID uint32, now time.Time) bool {
	since := e.Keys[keyID].Created
	if e.Purpose == Signing {
		since = e.Keys[keyID].Published
	}
	return !since.IsZero() && now.Sub(since) >= promoteAfter
}
