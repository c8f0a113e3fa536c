package host

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	freshFor = time.Hour       // how long keys are used before they are fetched again
	staleFor = 24 * time.Hour  // how long they are used while fetching fails: a new key is published a day before it signs
	fetchGap = time.Minute     // between fetches, as long as there are keys at all
	fetchFor = 5 * time.Second // a fetch, at most
)

// keySet is the service's public signing keys, fetched when they are needed. They are used for an hour, and for a day
// while fetching fails. A key that is not among them has them fetched again, but not within a minute of the last time,
// so that nobody can make a host hammer the service with key ids of their own.
type keySet struct {
	client *http.Client
	url    string
	now    func() time.Time

	mu    sync.Mutex // guards what follows
	keys  map[string]*ecdsa.PublicKey
	got   time.Time     // when the fetch that got keys began
	tried time.Time     // when the last one began
	err   error         // of the last one
	going chan struct{} // closed when the one that is going on has ended; nil if there is none
}

// key returns the key with the given id. ErrAssertion when the service has no such key, ErrUnavailable when that cannot
// be told.
func (s *keySet) key(ctx context.Context, id string) (*ecdsa.PublicKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.due(id, s.time()) {
		if s.going == nil {
			s.going = make(chan struct{})
			go s.fetch(context.WithoutCancel(ctx), s.going, s.time()) // a caller who gives up takes nobody with it
		}
		going := s.going
		s.mu.Unlock()
		select {
		case <-going:
		case <-ctx.Done():
		}
		s.mu.Lock()
		if err := context.Cause(ctx); err != nil {
			return nil, fmt.Errorf("%w: signing keys: %w", ErrUnavailable, err)
		}
	}
	key, known := s.keys[id]
	switch {
	case !s.usable(s.time()):
		return nil, fmt.Errorf("%w: signing keys: %w", ErrUnavailable, s.err)
	case known:
		return key, nil
	case s.err != nil: // it may be a new one
		return nil, fmt.Errorf("%w: signing key %q is not known, and newer ones cannot be had: %w", ErrUnavailable, id, s.err)
	}
	return nil, fmt.Errorf("%w: the service has no signing key %q", ErrAssertion, id)
}

// time is without the monotonic clock, which stands still while a function is frozen.
func (s *keySet) time() time.Time { return s.now().Round(0) }

func (s *keySet) usable(now time.Time) bool { return s.keys != nil && within(staleFor, s.got, now) }

// due says whether keys must be fetched before this one is looked up.
func (s *keySet) due(id string, now time.Time) bool {
	if !s.usable(now) {
		return true
	}
	if within(fetchGap, s.tried, now) {
		return false
	}
	return s.keys[id] == nil || !within(freshFor, s.got, now)
}

// within says whether less than d has passed since t. A clock that was put back makes it false.
func within(d time.Duration, t, now time.Time) bool {
	since := now.Sub(t)
	return 0 <= since && since < d
}

func (s *keySet) fetch(ctx context.Context, done chan struct{}, began time.Time) {
	defer close(done)
	ctx, cancel := context.WithTimeout(ctx, fetchFor)
	defer cancel()
	keys, err := s.get(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.going, s.tried, s.err = nil, began, err
	if err == nil {
		s.keys, s.got = keys, began
	}
}

func (s *keySet) get(ctx context.Context) (map[string]*ecdsa.PublicKey, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	response, answer, err := do(s.client, r)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, problem(response, answer)
	}
	return parseKeys(answer)
}

// parseKeys reads the ES256 keys of a JWK set (RFC 7517 §5, RFC 7518 §6.2), and passes over others: the service may sign
// by another algorithm one day. A set without any is an error, so that it never takes the place of one that has some.
func parseKeys(set []byte) (map[string]*ecdsa.PublicKey, error) {
	var parsed struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(set, &parsed); err != nil {
		return nil, fmt.Errorf("JWK set: %w", err)
	}
	keys := map[string]*ecdsa.PublicKey{}
	for _, raw := range parsed.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(raw) != nil || k.KeyID == "" || k.Use != "" && k.Use != "sig" ||
			k.Algorithm != "" && k.Algorithm != string(jose.ES256) {
			continue
		}
		if public, ok := k.Key.(*ecdsa.PublicKey); ok && public.Curve == elliptic.P256() && k.Valid() {
			keys[k.KeyID] = public
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("JWK set: no ES256 key")
	}
	return keys, nil
}
