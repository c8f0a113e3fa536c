package keyring

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

const (
	// promoteAfter is how long a signing key is published before it may sign: hosts keep the JWK set for an hour, and
	// caches in front of them for longer. Rotation waits as long for every other purpose.
	promoteAfter = 24 * time.Hour
	// maxTries is how often a write decides again after a conflict. Each conflict means that another write got on.
	maxTries = 8
)

// Exists says whether the store holds any keyset. One that held some and holds none has lost them: whoever creates new ones
// there opens nothing that the former have sealed.
func Exists(ctx context.Context, store Store) (bool, error) {
	for _, p := range Purposes() {
		if _, version, err := store.LoadConfig(ctx, p.item()); err != nil || version > 0 {
			return version > 0, err
		}
	}
	return false, nil
}

// Held returns an error that wraps [ErrLost] and names the keysets, unless the store holds each: they were made, so one that is
// missing was lost.
func Held(ctx context.Context, store Store, purposes ...Purpose) error {
	var lost []string
	for _, p := range purposes {
		_, version, err := store.LoadConfig(ctx, p.item())
		if err != nil {
			return fmt.Errorf("keyset %s: %w", p, err)
		}
		if version == 0 {
			lost = append(lost, string(p))
		}
	}
	if lost != nil {
		return fmt.Errorf("%w: keyset %s", ErrLost, strings.Join(lost, ", "))
	}
	return nil
}

// Create creates the keyset of each purpose that has none, with one key, and never touches one that exists, but to
// publish what is not: run again after a failure, it completes what was begun. Of those who race, all succeed.
func Create(ctx context.Context, store Store, kek tink.AEADWithContext, purposes ...Purpose) error {
	for _, p := range purposes {
		if err := create(ctx, store, kek, p); err != nil {
			return fmt.Errorf("creating keyset %s: %w", p, err)
		}
	}
	return nil
}

func create(ctx context.Context, store Store, kek tink.AEADWithContext, p Purpose) error {
	_, _, err := read(ctx, store, p)
	if errors.Is(err, ErrNoKeyset) {
		if err = createFirst(ctx, store, kek, p); lostRace(err) {
			err = nil // somebody else's is there now
		}
	}
	if err != nil || p != Signing {
		return err
	}
	return publish(ctx, store, kek)
}

func createFirst(ctx context.Context, store Store, kek tink.AEADWithContext, p Purpose) error {
	use, ok := uses[p]
	if !ok {
		return errors.New("no such purpose")
	}
	h, err := keyset.NewHandle(use.template())
	if err != nil {
		return err
	}
	primary, err := h.Primary()
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	e, err := envelope{Schema: schema, Purpose: p}.with(primary.KeyID(), times{Created: now, Promoted: now}).seal(ctx, h, kek)
	if err != nil {
		return err
	}
	return e.replace(ctx, store, 1)
}

// Add adds a new key to a keyset and returns its id. It opens and verifies from now on, but nothing is made with it
// before Promote. A signing key is published in the JWK set; if only that failed, Add returns the id with the error: the
// key is there, and the next Create, Add or Promote publishes it.
func Add(ctx context.Context, store Store, kek tink.AEADWithContext, purpose Purpose) (keyID uint32, err error) {
	err = rewrite(ctx, store, kek, purpose, func(h *keyset.Handle, e envelope) (*keyset.Handle, envelope, error) {
		h, e, keyID, err = withNewKey(h, e)
		return h, e, err
	})
	if err != nil {
		return 0, fmt.Errorf("adding a key to keyset %s: %w", purpose, err)
	}
	if purpose == Signing {
		err = publish(ctx, store, kek)
	}
	return keyID, err
}

// withNewKey returns the keyset with one more key, which nothing is made with yet.
func withNewKey(h *keyset.Handle, e envelope) (*keyset.Handle, envelope, uint32, error) {
	m := keyset.NewManagerFromHandle(h)
	id, err := m.Add(uses[e.Purpose].template())
	if err != nil {
		return nil, e, 0, err
	}
	h, err = m.Handle()
	return h, e.with(id, times{Created: time.Now().UTC()}), id, err
}

// Promote makes a key the one that new things are made with; the former one goes on to open and verify. ErrUnknownKey
// if the keyset does not hold it. A signing key published less than 24 hours ago is refused with ErrTooYoung. A key of
// another purpose may be promoted earlier, at a price: a ring that has looked within the last minute answers ErrUnknownKey
// until the minute is over.
func Promote(ctx context.Context, store Store, kek tink.AEADWithContext, purpose Purpose, keyID uint32) error {
	if purpose == Signing {
		if err := publish(ctx, store, kek); err != nil {
			return err
		}
	}
	err := rewrite(ctx, store, kek, purpose, func(h *keyset.Handle, e envelope) (*keyset.Handle, envelope, error) {
		if k, err := knownTo(h, nil); err != nil || !k.ids[keyID] {
			return nil, e, errors.Join(err, ErrUnknownKey)
		}
		if primary, err := h.Primary(); err != nil || primary.KeyID() == keyID {
			return nil, e, err
		}
		if published := e.Keys[keyID].Published; purpose == Signing && (published.IsZero() || time.Since(published) < promoteAfter) {
			return nil, e, ErrTooYoung
		}
		return withPrimary(h, e, keyID)
	})
	if err != nil {
		return fmt.Errorf("promoting key %d of keyset %s: %w", keyID, purpose, err)
	}
	return nil
}

// withPrimary returns the keyset with one of its keys as the one that new things are made with.
func withPrimary(h *keyset.Handle, e envelope, keyID uint32) (*keyset.Handle, envelope, error) {
	m := keyset.NewManagerFromHandle(h)
	if err := m.SetPrimary(keyID); err != nil {
		return nil, e, err
	}
	h, err := m.Handle()
	t := e.Keys[keyID]
	t.Promoted = time.Now().UTC()
	return h, e.with(keyID, t), err
}

// A Key is what there is to know about a key of a keyset without seeing it.
type Key struct {
	ID        uint32
	Primary   bool // new things are made with it
	Created   time.Time
	Published time.Time // signing keys only: since when it is in the JWK set; zero if it is not (yet)
	Promoted  time.Time // when new things were last begun to be made with it; zero: they never were
}

// List returns the keys of a keyset, in the order in which they were added: rotation goes by it.
func List(ctx context.Context, store Store, kek tink.AEADWithContext, purpose Purpose) ([]Key, error) {
	e, _, err := read(ctx, store, purpose)
	if err != nil {
		return nil, fmt.Errorf("listing keyset %s: %w", purpose, err)
	}
	h, err := e.open(ctx, kek)
	if err != nil {
		return nil, fmt.Errorf("listing keyset %s: %w", purpose, err)
	}
	keys := make([]Key, h.Len())
	for i := range keys {
		entry, err := h.Entry(i)
		if err != nil {
			return nil, fmt.Errorf("listing keyset %s: %w", purpose, err)
		}
		id := entry.KeyID()
		t := e.Keys[id]
		keys[i] = Key{id, entry.IsPrimary(), t.Created, t.Published, t.Promoted}
	}
	return keys, nil
}

// rewrite replaces a keyset by what edit makes of it, deciding again after a conflict. An edit that returns a nil handle
// leaves it as it is.
func rewrite(ctx context.Context, store Store, kek tink.AEADWithContext, p Purpose, edit func(*keyset.Handle, envelope) (*keyset.Handle, envelope, error)) error {
	return again(func() error {
		e, version, err := read(ctx, store, p)
		if err != nil {
			return err
		}
		h, err := e.open(ctx, kek)
		if err != nil {
			return err
		}
		if h, e, err = edit(h, e); err != nil || h == nil {
			return err
		}
		if e, err = e.seal(ctx, h, kek); err != nil {
			return err
		}
		return e.replace(ctx, store, version+1)
	})
}

// again calls a read-decide-write until it ends in anything but a conflict.
func again(write func() error) error {
	var err error
	for range maxTries {
		if err = write(); !lostRace(err) {
			return err
		}
	}
	return err
}
