package host_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/nightlatch/nightlatch/pkg/host"
)

// keyServer is a stand-in whose key endpoint can be made to fail, at a time that can be moved.
type keyServer struct {
	*standIn
	clock   atomic.Int64                     // seconds since now
	fetches atomic.Int64                     // of the keys
	instead atomic.Pointer[http.HandlerFunc] // of the keys, unless nil
}

func newKeyServer() *keyServer {
	k := &keyServer{}
	k.standIn = newStandIn(issuer, k.time)
	return k
}

func (k *keyServer) time() time.Time { return now.Add(time.Duration(k.clock.Load()) * time.Second) }

func (k *keyServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/.well-known/jwks.json" || r.Method != http.MethodGet || r.Header.Get("Authorization") != "" {
		http.Error(w, "the keys are public", http.StatusTeapot)
		return
	}
	k.fetches.Add(1)
	if h := k.instead.Load(); h != nil {
		(*h)(w, r)
		return
	}
	k.standIn.ServeHTTP(w, r)
}

func (k *keyServer) failWith(h http.HandlerFunc) { k.instead.Store(&h) }

func (k *keyServer) recover() { k.instead.Store(nil) }

// expect verifies a new assertion and compares the error, and the number of fetches so far.
func (k *keyServer) expect(t *testing.T, client *host.Client, step string, wantErr error, wantFetches int64) {
	t.Helper()
	_, err := client.VerifyAssertion(t.Context(), k.sign(k.claims(want.User, want.Nonce)), want)
	if !errors.Is(err, wantErr) || wantErr != host.ErrAssertion && errors.Is(err, host.ErrAssertion) {
		t.Errorf("%s: %v; want %v", step, err, wantErr)
	}
	if n := k.fetches.Load(); n != wantFetches {
		t.Errorf("%s: fetched %d times; want %d", step, n, wantFetches)
	}
}

// pass moves the clock.
func (k *keyServer) pass(d time.Duration) { k.clock.Add(int64(d / time.Second)) }

func down(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }

// TestKeysAreKept: for an hour; then they are fetched again.
func TestKeysAreKept(t *testing.T) {
	t.Parallel()
	k := newKeyServer()
	client := newClient(t, k, k.time)
	if n := k.fetches.Load(); n != 0 {
		t.Errorf("New fetched %d times", n)
	}
	k.expect(t, client, "at first", nil, 1)
	k.pass(time.Hour - time.Second)
	k.expect(t, client, "within the hour", nil, 1)
	k.pass(time.Second)
	k.expect(t, client, "after the hour", nil, 2)
	k.pass(time.Minute)
	k.expect(t, client, "a minute later", nil, 2)
	k.pass(-2 * time.Hour)
	k.expect(t, client, "on a clock that was put back", nil, 3)
	k.expect(t, client, "and stayed there", nil, 3)
}

// TestRotation: an unknown key is fetched, at most once a minute.
func TestRotation(t *testing.T) {
	t.Parallel()
	k := newKeyServer()
	client := newClient(t, k, k.time)
	old := *k.signing
	k.expect(t, client, "at first", nil, 1)
	k.rotate()
	k.expect(t, client, "new key, within a minute", host.ErrAssertion, 1)
	k.pass(time.Minute - time.Second)
	k.expect(t, client, "new key, still", host.ErrAssertion, 1)
	k.pass(time.Second)
	k.expect(t, client, "new key, after a minute", nil, 2)
	if _, err := client.VerifyAssertion(t.Context(), sign(jose.ES256, old, "nightlatch+jwt", k.claims(want.User, want.Nonce)), want); err != nil {
		t.Errorf("the former key: %v", err)
	}
	stranger := old
	stranger.KeyID = "of nobody"
	for range 100 {
		_, err := client.VerifyAssertion(t.Context(), sign(jose.ES256, stranger, "nightlatch+jwt", k.claims(want.User, want.Nonce)), want)
		if !errors.Is(err, host.ErrAssertion) {
			t.Fatalf("a key of nobody: %v; want ErrAssertion", err)
		}
	}
	if n := k.fetches.Load(); n != 2 {
		t.Errorf("keys of nobody had %d fetches", n-2)
	}
	k.pass(time.Hour)
	k.mu.Lock()
	k.public.Keys = k.public.Keys[1:]
	k.mu.Unlock()
	k.expect(t, client, "the former key was withdrawn", nil, 3)
	if _, err := client.VerifyAssertion(t.Context(), sign(jose.ES256, old, "nightlatch+jwt", k.claims(want.User, want.Nonce)), want); !errors.Is(err, host.ErrAssertion) {
		t.Errorf("a key that was withdrawn: %v; want ErrAssertion", err)
	}
}

// TestDownAtStart: without keys nobody gets in, and every sign-in tries again.
func TestDownAtStart(t *testing.T) {
	t.Parallel()
	k := newKeyServer()
	k.failWith(down)
	client := newClient(t, k, k.time)
	k.expect(t, client, "at first", host.ErrUnavailable, 1)
	k.expect(t, client, "at once again", host.ErrUnavailable, 2)
	k.recover()
	k.expect(t, client, "when it is back", nil, 3)
	k.expect(t, client, "then", nil, 3)
}

// TestDownLater: the keys at hand are used for a day, and fetching is tried once a minute.
func TestDownLater(t *testing.T) {
	t.Parallel()
	k := newKeyServer()
	client := newClient(t, k, k.time)
	k.expect(t, client, "at first", nil, 1)
	k.failWith(down)
	k.pass(time.Hour)
	k.expect(t, client, "after an hour", nil, 2)
	k.pass(59 * time.Second)
	k.expect(t, client, "59 seconds later", nil, 2)
	k.pass(time.Second)
	k.expect(t, client, "a minute later", nil, 3)
	k.pass(22*time.Hour + 58*time.Minute + 59*time.Second)
	k.expect(t, client, "a second before the day is over", nil, 4)
	k.pass(time.Second)
	k.expect(t, client, "after a day", host.ErrUnavailable, 5)
	k.expect(t, client, "at once again", host.ErrUnavailable, 6)
	k.recover()
	k.expect(t, client, "when it is back", nil, 7)
}

// TestNewKeyWhileDown: whether an unknown key is a new one cannot be told.
func TestNewKeyWhileDown(t *testing.T) {
	t.Parallel()
	k := newKeyServer()
	client := newClient(t, k, k.time)
	k.expect(t, client, "at first", nil, 1)
	k.rotate()
	k.failWith(down)
	k.pass(time.Minute)
	k.expect(t, client, "a new key", host.ErrUnavailable, 2)
	k.expect(t, client, "at once again", host.ErrUnavailable, 2)
	k.recover()
	k.pass(time.Minute)
	k.expect(t, client, "when it is back", nil, 3)
}

// TestBadKeySets: no answer takes the place of keys that are good, or counts as one that has none.
func TestBadKeySets(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set := func(keys ...jose.JSONWebKey) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: keys})
		}
	}
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, s) }
	}
	tests := map[string]http.HandlerFunc{
		"empty":             text(""),
		"a page":            text("<!doctype html><title>Sign in to the Wi-Fi</title>"),
		"null":              text("null"),
		"a list":            text("[]"),
		"no keys":           text(`{"keys":[]}`),
		"keys are a text":   text(`{"keys":"key-1"}`),
		"keys are numbers":  text(`{"keys":[1,2]}`),
		"not on the curve":  text(`{"keys":[{"kty":"EC","crv":"P-256","kid":"key-1","x":"AAAA","y":"AAAA"}]}`),
		"a symmetric key":   text(`{"keys":[{"kty":"oct","kid":"key-1","k":"AAAA"}]}`),
		"Ed25519":           set(jose.JSONWebKey{Key: public, KeyID: "key-1"}),
		"P-384":             set(jose.JSONWebKey{Key: p384.Public(), KeyID: "key-1"}),
		"for encryption":    set(jose.JSONWebKey{Key: p256.Public(), KeyID: "key-1", Use: "enc"}),
		"of another alg":    set(jose.JSONWebKey{Key: p256.Public(), KeyID: "key-1", Algorithm: "ECDH-ES"}),
		"a private key":     set(jose.JSONWebKey{Key: p256, KeyID: "key-1"}),
		"a private Ed25519": set(jose.JSONWebKey{Key: private, KeyID: "key-1"}),
		"without a kid":     set(jose.JSONWebKey{Key: p256.Public()}),
		"huge":              text(`{"keys":[],"x":"` + strings.Repeat("x", 65<<10) + `"}`),
		"not found":         http.NotFound,
		"an error with keys": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			set(jose.JSONWebKey{Key: p256.Public(), KeyID: "key-1"})(w, r)
		},
		"an empty 204": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"elsewhere":    http.RedirectHandler("/elsewhere", http.StatusFound).ServeHTTP,
	}
	for name, bad := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeyServer()
			k.failWith(bad)
			client := newClient(t, k, k.time)
			k.expect(t, client, "at start", host.ErrUnavailable, 1)
			k.recover()
			k.expect(t, client, "when it is back", nil, 2)
			k.failWith(bad)
			k.pass(time.Hour)
			k.expect(t, client, "later", nil, 3)
		})
	}
}

// TestOtherKeys: keys of other kinds may stand beside ours.
func TestOtherKeys(t *testing.T) {
	t.Parallel()
	k := newKeyServer()
	ours, err := json.Marshal(k.public.Keys[0])
	if err != nil {
		t.Fatal(err)
	}
	k.failWith(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"keys":[{"kty":"AKP","kid":"pq","alg":"ML-DSA-44","pub":"AAAA"},7,`+string(ours)+`]}`)
	})
	k.expect(t, newClient(t, k, k.time), "among others", nil, 1)
}

// TestCutAnswer: half an answer is none.
func TestCutAnswer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, `{"keys":[]}`)
	}))
	defer server.Close()
	s := newStandIn(server.URL, at(now))
	client := newClient(t, nil, at(now), func(c *host.Config) { c.URL, c.HTTP = server.URL, nil })
	_, err := client.VerifyAssertion(t.Context(), s.sign(s.claims(want.User, want.Nonce)), want)
	if !errors.Is(err, host.ErrUnavailable) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v; want ErrUnavailable, unexpected EOF", err)
	}
}

var errGone = errors.New("the browser has gone")

// TestOneFetch: all who wait share one fetch, and one who gives up takes nobody with them.
func TestOneFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKeyServer()
		answer := make(chan struct{})
		k.failWith(func(w http.ResponseWriter, r *http.Request) {
			<-answer
			k.standIn.ServeHTTP(w, r)
		})
		client := newClient(t, k, k.time)
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := make(chan error)
		go func() {
			_, err := client.VerifyAssertion(ctx, k.sign(k.claims(want.User, want.Nonce)), want)
			gone <- err
		}()
		synctest.Wait()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if _, err := client.VerifyAssertion(t.Context(), k.sign(k.claims(want.User, want.Nonce)), want); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		cancel(errGone)
		if err := <-gone; !errors.Is(err, host.ErrUnavailable) || !errors.Is(err, errGone) {
			t.Errorf("who gave up: %v; want ErrUnavailable and the cause", err)
		}
		close(answer)
		all.Wait()
		if n := k.fetches.Load(); n != 1 {
			t.Errorf("fetched %d times; want once", n)
		}
	})
}

// TestSlowKeys: a fetch that is never answered ends after five seconds, and then the keys at hand are used.
func TestSlowKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKeyServer()
		never := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		client := newClient(t, k, k.time)
		begin := time.Now()
		k.failWith(never)
		k.expect(t, client, "at start", host.ErrUnavailable, 1)
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("at start: gave up after %v; want 5s", took)
		}
		k.recover()
		k.expect(t, client, "when it is back", nil, 2)
		k.failWith(never)
		k.pass(time.Hour)
		begin = time.Now()
		k.expect(t, client, "later", nil, 3)
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("later: gave up after %v; want 5s", took)
		}
	})
}
