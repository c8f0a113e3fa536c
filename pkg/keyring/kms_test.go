package keyring_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/google/go-cmp/cmp"
	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/needs"
	"github.com/tink-crypto/tink-go-awskms/v3/integration/awskms"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// kmsConfig is for the imitation of KMS at the endpoint. That cfg wants more attempts than the ring has time for is not
// to count.
func kmsConfig(endpoint string) aws.Config {
	return aws.Config{
		Region: "eu-central-1", BaseEndpoint: &endpoint, RetryMaxAttempts: 20,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	}
}

// newKMSKey makes a key in the imitation of KMS.
func newKMSKey(t testing.TB) (cfg aws.Config, keyARN string) {
	t.Helper()
	cfg = kmsConfig(needs.KMS(t))
	made, err := kms.NewFromConfig(cfg).CreateKey(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, *made.KeyMetadata.Arn
}

// onKMS runs a test with a clock of its own, which stands still while KMS works: on a slow machine nothing is given up too
// early, and what KMS never answers takes no time.
func onKMS(t *testing.T, test func(t *testing.T, cfg aws.Config, keyARN string)) {
	cfg, keyARN := newKMSKey(t)
	synctest.Test(t, func(t *testing.T) { test(t, cfg, keyARN) })
}

// A kmsFault answers in KMS's place; with neither answer nor error the request goes on to KMS.
type kmsFault func(*http.Request) (*http.Response, error)

// A wire stands between a client and KMS. It counts what is sent.
type wire struct {
	mu     sync.Mutex
	kms    *http.Transport
	fault  kmsFault       // may be nil
	sent   map[string]int // attempts, by operation
	bodies []string       // of the requests
}

// newWire returns a wire that keeps no connection, so that none is open when the test is over.
func newWire() *wire {
	return &wire{kms: &http.Transport{DisableKeepAlives: true}, sent: map[string]int{}}
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	w.mu.Lock()
	w.sent[strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")]++
	w.bodies = append(w.bodies, string(body))
	fault := w.fault
	w.mu.Unlock()
	if fault != nil {
		if answer, err := fault(r); answer != nil || err != nil {
			return answer, err
		}
	}
	return w.kms.RoundTrip(r)
}

// through has KMS's client send by the wire, with the time for an attempt that it has by itself.
func (w *wire) through(o *kms.Options) {
	o.HTTPClient = &http.Client{Transport: w, Timeout: o.HTTPClient.(*http.Client).Timeout}
}

// failBy sets the fault from now on.
func (w *wire) failBy(f kmsFault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = f
}

// take returns how often each operation was sent since the last take.
func (w *wire) take() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := w.sent
	w.sent = map[string]int{}
	return sent
}

func wantSent(t testing.TB, w *wire, when string, want map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, w.take()); diff != "" {
		t.Errorf("%s: requests to KMS (-want +got):\n%s", when, diff)
	}
}

// answers is a fault: that answer to everything.
func answers(status int, body string) kmsFault {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
			Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		}, nil
	}
}

// refuses is a fault: KMS says no.
func refuses(status int, exception string) kmsFault {
	return answers(status, fmt.Sprintf(`{"__type":%q,"message":"injected"}`, exception))
}

// hang is a fault: no answer until the attempt is given up.
func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// first is a fault of the first n attempts.
func first(n int32, f kmsFault) kmsFault {
	var attempts atomic.Int32
	return func(r *http.Request) (*http.Response, error) {
		if attempts.Add(1) > n {
			return nil, nil
		}
		return f(r)
	}
}

// together is a fault: of n attempts none is answered before all are under way.
func together(n int32) kmsFault {
	var attempts atomic.Int32
	all := make(chan struct{})
	return func(r *http.Request) (*http.Response, error) {
		if attempts.Add(1) == n {
			close(all)
		}
		select {
		case <-all:
			return nil, nil
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

// TestKMSFormat: what one seals, the other opens, where the other is Tink's own.
func TestKMSFormat(t *testing.T) {
	t.Parallel()
	cfg, keyARN := newKMSKey(t)
	w := newWire()
	ours := keyring.KMS(cfg, keyARN, w.through)
	tinks, err := awskms.NewAEADWithContext(t.Context(), keyARN, awskms.WithKMS(kms.NewFromConfig(cfg)))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ sealer, opener tink.AEADWithContext }{
		"ours to Tink's": {ours, tinks}, "Tink's to ours": {tinks, ours}, "ours": {ours, ours},
	} {
		sealed, err := c.sealer.EncryptWithContext(t.Context(), []byte("keyset"), []byte("totp"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.opener.DecryptWithContext(t.Context(), sealed, []byte("totp")); err != nil || string(got) != "keyset" {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		if got, err := c.opener.DecryptWithContext(t.Context(), sealed, []byte("contact")); err == nil {
			t.Errorf("%s: opens %q as another purpose's", name, got)
		}
	}
	// By this a policy tells the purposes apart, and by this no other key is used than the one that is configured.
	for _, body := range w.bodies {
		var sent struct {
			KeyID             string
			EncryptionContext map[string]string
		}
		if err := json.Unmarshal([]byte(body), &sent); err != nil {
			t.Fatal(err)
		}
		if p := sent.EncryptionContext["associatedData"]; sent.KeyID != keyARN || len(sent.EncryptionContext) != 1 || p != "746f7470" && p != "636f6e74616374" {
			t.Errorf("sent %s; want the key's ARN, and totp or contact in hex", body)
		}
	}
}

func TestKMSOpensWithTheConfiguredKeyOnly(t *testing.T) {
	t.Parallel()
	cfg, keyARN := newKMSKey(t)
	_, other := newKMSKey(t)
	store := created(t, keyring.KMS(cfg, other), keyring.TOTP)
	mustKeys(t, keyring.New(store, keyring.KMS(cfg, other), time.Now, keyring.TOTP))
	wantUnavailable(t, keyring.New(store, keyring.KMS(cfg, keyARN), time.Now, keyring.TOTP), "keyset totp", "does not open")
}

func TestKMSWithoutAKey(t *testing.T) {
	t.Parallel()
	w := newWire()
	kek := keyring.KMS(kmsConfig("http://127.0.0.1:1"), "", w.through)
	const says = "no KMS key is configured"
	if err := keyring.Create(t.Context(), newStore(), kek, keyring.TOTP); err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("Create: got %v, want %s", err, says)
	}
	wantUnavailable(t, keyring.New(created(t, newKEK(t), keyring.TOTP), kek, time.Now, keyring.TOTP), "keyset totp", says)
	wantSent(t, w, "without a key", map[string]int{})
}

func TestRequestsToKMS(t *testing.T) {
	t.Parallel()
	onKMS(t, func(t *testing.T, cfg aws.Config, keyARN string) {
		purposes := keyring.Purposes()
		admins, rings := newWire(), newWire()
		kek := keyring.KMS(cfg, keyARN, admins.through)
		store := created(t, kek, purposes...)
		wantSent(t, admins, "Create", map[string]int{"Encrypt": 7, "Decrypt": 1}) // the one to publish the signing key
		if err := keyring.Create(t.Context(), store, kek, purposes...); err != nil {
			t.Fatal(err)
		}
		wantSent(t, admins, "Create again", map[string]int{"Decrypt": 1})

		ring := keyring.New(store, keyring.KMS(cfg, keyARN, rings.through), time.Now, purposes...)
		wantSent(t, rings, "before the first use", map[string]int{})
		rings.failBy(together(7))
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if k, err := ring.Keys(t.Context()); err != nil || k.TOTP == nil || k.Signing == nil {
					t.Errorf("first use: got %+v, %v", k, err)
				}
			})
		}
		all.Wait()
		wantSent(t, rings, "first use by 100", map[string]int{"Decrypt": 7})

		rings.failBy(nil)
		for range 100 {
			mustKeys(t, ring)
		}
		wantSent(t, rings, "warm", map[string]int{})
		looks := store.called("load", "keyset/totp")
		time.Sleep(15 * time.Minute)
		before := mustKeys(t, ring)
		wantSent(t, rings, "the look", map[string]int{})
		if got := store.called("load", "keyset/totp") - looks; got != 1 {
			t.Errorf("%d looks after 15 minutes, want 1", got)
		}

		id, err := keyring.Add(t.Context(), store, kek, keyring.TOTP)
		if err != nil {
			t.Fatal(err)
		}
		if err := keyring.Promote(t.Context(), store, kek, keyring.TOTP, id); err != nil {
			t.Fatal(err)
		}
		wantSent(t, admins, "Add and Promote", map[string]int{"Encrypt": 2, "Decrypt": 2})
		time.Sleep(15 * time.Minute)
		after := mustKeys(t, ring)
		wantSent(t, rings, "a keyset rotated", map[string]int{"Decrypt": 1})
		if sealed, _ := before.TOTP.Encrypt([]byte("secret"), nil); after.TOTP == before.TOTP {
			t.Error("the rotated keyset was not taken")
		} else if got, err := after.TOTP.Decrypt(sealed, nil); err != nil || string(got) != "secret" {
			t.Errorf("what the former key sealed: got %q, %v", got, err)
		}
	})
}

// TestForgedKeyIDsCostKMSNothing: whoever makes up key ids has the ring look, once a minute, and KMS do nothing.
func TestForgedKeyIDsCostKMSNothing(t *testing.T) {
	t.Parallel()
	onKMS(t, func(t *testing.T, cfg aws.Config, keyARN string) {
		w := newWire()
		store := created(t, keyring.KMS(cfg, keyARN, newWire().through), keyring.Challenge)
		ring := keyring.New(store, keyring.KMS(cfg, keyARN, w.through), time.Now, keyring.Challenge)
		forged, _ := mustKeys(t, ring).Challenge.Encrypt([]byte("x"), nil)
		forged[1] ^= 1
		w.take()
		looks := store.called("load", "keyset/challenge")
		for range 180 {
			time.Sleep(time.Second)
			if _, err := mustKeys(t, ring).Challenge.Decrypt(forged, nil); !errors.Is(err, keyring.ErrUnknownKey) {
				t.Fatalf("got %v, want ErrUnknownKey", err)
			}
		}
		wantSent(t, w, "three minutes of forgeries", map[string]int{})
		if got := store.called("load", "keyset/challenge") - looks; got != 3 {
			t.Errorf("%d looks in three minutes, want 3", got)
		}
	})
}

func TestKMSKeysetInAnothersPlace(t *testing.T) {
	t.Parallel()
	onKMS(t, func(t *testing.T, cfg aws.Config, keyARN string) {
		kek := keyring.KMS(cfg, keyARN, newWire().through)
		store := created(t, kek, keyring.Purposes()...)
		for _, from := range keyring.Purposes() {
			for _, to := range keyring.Purposes() {
				if from == to {
					continue
				}
				moved := store.copyOf()
				moved.items["keyset/"+string(to)] = moved.relabelled(from, to)
				wantUnavailable(t, keyring.New(moved, kek, time.Now, to), "keyset "+string(to), "InvalidCiphertextException")
			}
		}
	})
}

// TestKMSRefuses: whatever goes wrong with KMS, nobody gets in, the error names the keyset and says what it was, what
// may pass is tried three times, and the next call tries again.
func TestKMSRefuses(t *testing.T) {
	t.Parallel()
	onKMS(t, func(t *testing.T, cfg aws.Config, keyARN string) {
		store := created(t, keyring.KMS(cfg, keyARN, newWire().through), keyring.TOTP, keyring.Codes)
		for name, c := range map[string]struct {
			fault    kmsFault
			attempts int
			says     string
		}{
			"not allowed":         {refuses(400, "AccessDeniedException"), 1, "AccessDeniedException"},
			"key to be deleted":   {refuses(400, "KMSInvalidStateException"), 1, "KMSInvalidStateException"},
			"key disabled":        {refuses(400, "DisabledException"), 1, "DisabledException"},
			"no such key":         {refuses(400, "NotFoundException"), 1, "NotFoundException"},
			"sealed by another":   {refuses(400, "IncorrectKeyException"), 1, "IncorrectKeyException"},
			"altered":             {refuses(400, "InvalidCiphertextException"), 1, "InvalidCiphertextException"},
			"too much":            {refuses(400, "ThrottlingException"), 3, "ThrottlingException"},
			"internal error":      {refuses(500, "KMSInternalException"), 3, "KMSInternalException"},
			"dependency too slow": {refuses(503, "DependencyTimeoutException"), 3, "DependencyTimeoutException"},
			"key not available":   {refuses(500, "KeyUnavailableException"), 3, "KeyUnavailableException"},
			"bad gateway":         {answers(502, "<html>Bad Gateway</html>"), 3, "502"},
			"bare 400":            {answers(400, ""), 1, "400"},
			"garbage":             {answers(200, "\x00garbage"), 1, "does not open"},
			"nothing":             {answers(200, ""), 1, "does not open"},
			"no plaintext":        {answers(200, "{}"), 1, "does not open"},
			"empty plaintext":     {answers(200, `{"Plaintext":""}`), 1, "does not open"},
			"another plaintext":   {answers(200, `{"Plaintext":"AAAA"}`), 1, "does not open"},
			"reset":               {func(*http.Request) (*http.Response, error) { return nil, syscall.ECONNRESET }, 3, "connection reset"},
			"refused": {func(*http.Request) (*http.Response, error) {
				return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
			}, 3, "connection refused"},
			"no answer": {hang, 3, "exceeded"},
		} {
			w := newWire()
			w.failBy(c.fault)
			ring := keyring.New(store, keyring.KMS(cfg, keyARN, w.through), time.Now, keyring.TOTP, keyring.Codes)
			start := time.Now()
			for range 2 {
				wantUnavailable(t, ring, "keyset totp", "keyset codes", c.says)
				if rules, err := ring.Rules(t.Context()); rules.Secrets != nil || rules.Codes != nil || err == nil {
					t.Errorf("%s: Rules: got %+v, %v; want an error", name, rules, err)
				}
			}
			if took := time.Since(start); took >= 4*5*time.Second {
				t.Errorf("%s: took %v, so that a load was ended", name, took)
			}
			wantSent(t, w, name+", 4 loads of 2", map[string]int{"Decrypt": 4 * 2 * c.attempts})
			w.failBy(nil)
			mustKeys(t, ring)
			wantSent(t, w, name+", over", map[string]int{"Decrypt": 2})
		}
	})
}

// TestKMSPasses: what may pass is not told to anyone if it has passed by the third attempt.
func TestKMSPasses(t *testing.T) {
	t.Parallel()
	onKMS(t, func(t *testing.T, cfg aws.Config, keyARN string) {
		for name, f := range map[string]kmsFault{
			"throttled": refuses(400, "ThrottlingException"), "internal error": refuses(500, "KMSInternalException"), "no answer": hang,
		} {
			w := newWire()
			kek := keyring.KMS(cfg, keyARN, w.through)
			w.failBy(first(2, f))
			store := newStore()
			if err := keyring.Create(t.Context(), store, kek, keyring.TOTP); err != nil {
				t.Errorf("%s: Create: %v", name, err)
			}
			w.failBy(first(2, f))
			mustKeys(t, keyring.New(store, kek, time.Now, keyring.TOTP))
			wantSent(t, w, name, map[string]int{"Encrypt": 3, "Decrypt": 3})
		}
	})
}

// TestWithoutKMSLoadedKeysServeOn: nobody who signs in notices that KMS does not open a rotated keyset, but for a second
// once a minute at worst; after a day nobody gets in.
func TestWithoutKMSLoadedKeysServeOn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault    kmsFault
		attempts int // before the look is ended
		holdsUp  time.Duration
	}{
		"not allowed": {refuses(400, "AccessDeniedException"), 1, 0},
		"no answer":   {hang, 1, time.Second},
	} {
		onKMS(t, func(t *testing.T, cfg aws.Config, keyARN string) {
			admin, w := keyring.KMS(cfg, keyARN, newWire().through), newWire()
			store := created(t, admin, keyring.TOTP)
			ring := keyring.New(store, keyring.KMS(cfg, keyARN, w.through), time.Now, keyring.TOTP)
			first := mustKeys(t, ring)
			loaded := time.Now()
			w.take()
			if _, err := keyring.Add(t.Context(), store, admin, keyring.TOTP); err != nil {
				t.Fatal(err)
			}
			w.failBy(c.fault)
			for i, at := range []time.Duration{15 * time.Minute, 17 * time.Minute, 24*time.Hour - time.Minute} {
				time.Sleep(time.Until(loaded.Add(at)))
				start := time.Now()
				for range 10 {
					if got := mustKeys(t, ring); got.TOTP != first.TOTP {
						t.Errorf("%s: at %v: other keys", name, at)
					}
				}
				if took := time.Since(start); took != c.holdsUp {
					t.Errorf("%s: at %v: held up for %v, want %v", name, at, took, c.holdsUp)
				}
				wantSent(t, w, fmt.Sprintf("%s, failed look %d", name, i+1), map[string]int{"Decrypt": c.attempts})
			}
			time.Sleep(time.Until(loaded.Add(24 * time.Hour)))
			wantUnavailable(t, ring, "keyset totp")
			w.failBy(nil)
			if got := mustKeys(t, ring); got.TOTP == first.TOTP {
				t.Errorf("%s, over: the rotated keyset was not taken", name)
			}
		})
	}
}
