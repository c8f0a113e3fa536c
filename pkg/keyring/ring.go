package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/metric"
	"github.com/nightlatch/nightlatch/pkg/token"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

const (
	// lookEvery is how often a ring looks for newer keysets.
	lookEvery = 15 * time.Minute
	// retryEvery is how often it looks after a look that failed, or when something names a key it does not hold.
	retryEvery = time.Minute
	// maxAge is how long keys are served after the last look that succeeded. Rotation promotes a key no sooner than
	// this after adding it, so a ring that can serve at all knows every key that others may be using.
	maxAge = promoteAfter
	// loadTimeout ends a load that the store or the KEK never answers, so that the next call can try again. It leaves
	// the store its three attempts of a second each, and a function of ten seconds time to say that it failed.
	loadTimeout = 5 * time.Second
	// lookTimeout ends a look while loaded keys can serve on: who waits for it is signing in.
	lookTimeout = time.Second
)

// Ring opens the keysets of some purposes and keeps them.
//
// They are loaded on first use, in parallel. Every 15 minutes the ring reads the store again; the KEK is used only for a
// keyset whose version or ciphertext has changed: one that was lost and made again begins at version 1, too. When something names a key that the ring does not hold, it looks as well, at most
// once a minute. A failure is never kept: as long as a keyset has not been loaded, each call tries again.
type Ring struct {
	store Store
	kek   tink.AEADWithContext
	now   func() time.Time
	fence *twofactor.Fences

	mu    sync.Mutex // guards what follows, and the slots
	slots []*slot
	keys  Keys  // what the slots have loaded so far
	whole *Keys // a copy of keys, once every slot is loaded
	going *load // the load that is going on, if any
}

// A slot is one purpose's place in a ring.
type slot struct {
	purpose Purpose
	version int64       // of the keyset that is loaded; 0 before
	sealed  []byte      // its ciphertext
	tried   time.Time   // when the ring last looked
	looked  time.Time   // when it last looked with success
	missed  atomic.Bool // something has named a key that the keyset does not hold
}

// A load is one look at the store, shared by all who call meanwhile.
type load struct {
	done chan struct{} // closed when keys and err are set
	keys *Keys
	err  error
}

// New returns a ring of the given purposes; it touches neither store nor KEK yet. Both must return when their context
// ends: a look that is not over yet holds up all who wait for it.
func New(store Store, kek tink.AEADWithContext, now func() time.Time, purposes ...Purpose) *Ring {
	r := &Ring{store: store, kek: kek, now: now, fence: twofactor.NewFences(store.LoadConfig, now, metric.Failed("fence", api.MetricKeysetFailures))}
	for i, p := range purposes {
		if !slices.Contains(purposes[:i], p) {
			r.slots = append(r.slots, &slot{purpose: p})
		}
	}
	return r
}

// Keys returns the ring's keys, having loaded or looked where that is due. An error wraps ErrUnavailable and names the
// keysets that failed. It is safe for concurrent use: calls share one load, which outlives the call that began it, so
// that a caller who gives up takes nobody with it.
//
// When a look fails, the keys that are loaded are served for up to 24 hours after the last look that succeeded, and the
// failure is logged: keysets change a few times a year, keys are never removed, and a new one is not used before a day
// has passed, so yesterday's keys are as good as today's, whereas without keys nobody gets in. After a day that no
// longer holds.
func (r *Ring) Keys(ctx context.Context) (*Keys, error) {
	r.mu.Lock()
	// Round drops the monotonic clock, which stands still while a function is frozen.
	now := r.now().Round(0)
	if r.going == nil {
		var due []*slot
		timeout := lookTimeout
		for _, s := range r.slots {
			if s.due(now) {
				due = append(due, s)
			}
			if !s.usable(now) {
				timeout = loadTimeout
			}
		}
		if len(due) == 0 && r.whole != nil {
			defer r.mu.Unlock()
			return r.whole, nil
		}
		r.going = &load{done: make(chan struct{})}
		go r.load(context.WithoutCancel(ctx), r.going, due, now, timeout)
	}
	going := r.going
	r.mu.Unlock()

	select {
	case <-going.done:
		return going.keys, going.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
}

// Rules returns those of the ring's keys that the rules use: it is a twofactor.Service's Keys. Errors are those of Keys.
func (r *Ring) Rules(ctx context.Context) (twofactor.Keys, error) {
	k, err := r.Keys(ctx)
	if err != nil {
		return twofactor.Keys{}, err
	}
	rules := twofactor.Keys{Secrets: k.TOTP, Contacts: k.Contact}
	if k.Codes != nil { // a nil pointer would be an interface that is not nil
		rules.Codes = k.Codes
	}
	if k.Links != nil {
		rules.Links = k.Links
	}
	return rules, nil
}

// Fence returns the fence among the store's config items: it is a twofactor.Service's Fence. It is looked for on first use, and
// then as often as for keysets.
func (r *Ring) Fence(ctx context.Context) (time.Time, error) { return r.fence.At(ctx) }

// Tokens returns those of the ring's keys that tokens are sealed and signed with: it is a handler.Deps's Keys. Errors are
// those of Keys.
func (r *Ring) Tokens(ctx context.Context) (token.Keys, error) {
	k, err := r.Keys(ctx)
	if err != nil {
		return token.Keys{}, err
	}
	tokens := token.Keys{Challenge: k.Challenge, IDs: k.IDs}
	if k.Signing != nil {
		tokens.Signer = k.Signing
	}
	return tokens, nil
}

// usable reports whether the slot's keys may be served.
func (s *slot) usable(now time.Time) bool { return s.version != 0 && now.Sub(s.looked) < maxAge }

// due reports whether it is time to look.
func (s *slot) due(now time.Time) bool {
	wait := lookEvery
	if s.missed.Load() || !s.tried.Equal(s.looked) {
		wait = retryEvery
	}
	since := now.Sub(s.tried)
	return !s.usable(now) || since >= wait || since < 0 // a clock put back must not put off the next look
}

// A found is what a look at one keyset has found.
type found struct {
	slot    *slot
	version int64
	sealed  []byte
	fit     func(*Keys) // nil if neither has changed
	err     error
}

// load looks at the keysets that are due, in parallel, and tells those who wait.
func (r *Ring) load(ctx context.Context, l *load, due []*slot, now time.Time, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	results := make([]found, len(due))
	var looks sync.WaitGroup
	for i, s := range due {
		s.missed.Store(false) // whatever is missed from here on is news
		looks.Go(func() { results[i] = r.look(ctx, s) })
	}
	looks.Wait()

	r.mu.Lock()
	defer r.mu.Unlock()
	l.keys, l.err = r.settle(ctx, results, now)
	r.going = nil
	close(l.done)
}

// look reads one keyset, and opens it if it is not the one that is loaded.
func (r *Ring) look(ctx context.Context, s *slot) found {
	f := found{slot: s}
	var e envelope
	e, f.version, f.err = read(ctx, r.store, s.purpose)
	f.sealed = e.Sealed
	if f.err == nil && (f.version != s.version || !bytes.Equal(f.sealed, s.sealed)) {
		f.fit, f.err = r.open(ctx, e, s)
	}
	return f
}

func (r *Ring) open(ctx context.Context, e envelope, s *slot) (func(*Keys), error) {
	use, ok := uses[s.purpose]
	if !ok {
		return nil, errors.New("no such purpose")
	}
	h, err := e.open(ctx, r.kek)
	if err != nil {
		return nil, err
	}
	primary, err := h.Primary()
	if err != nil {
		return nil, err
	}
	if s.purpose == Signing && e.Keys[primary.KeyID()].Published.IsZero() {
		return nil, errors.New("its public half is not published yet: create it again to repair that")
	}
	return use.open(h, func() { s.missed.Store(true) })
}

// settle takes over what was found, and decides whether the ring can serve.
func (r *Ring) settle(ctx context.Context, results []found, now time.Time) (*Keys, error) {
	var failed error
	for _, f := range results {
		s := f.slot
		s.tried = now
		if f.err == nil {
			s.looked, s.version, s.sealed = now, f.version, f.sealed
			if f.fit != nil {
				f.fit(&r.keys)
			}
			continue
		}
		err := fmt.Errorf("%w: keyset %s: %w", ErrUnavailable, s.purpose, f.err)
		if s.usable(now) {
			slog.ErrorContext(ctx, "keyset not looked at; the loaded one serves on", "purpose", s.purpose, "since", s.looked, "err", err, metric.Counted(api.MetricKeysetFailures))
			continue
		}
		slog.ErrorContext(ctx, "keyset not loaded", "purpose", s.purpose, "err", err, metric.Counted(api.MetricKeysetFailures))
		failed = errors.Join(failed, err)
	}
	if failed != nil {
		return nil, failed
	}
	whole := r.keys
	r.whole = &whole
	return r.whole, nil
}
