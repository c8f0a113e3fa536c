package keyring_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/token"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// aeadOf returns the primitive of one of the three AEAD purposes.
func aeadOf(k *keyring.Keys, p keyring.Purpose) tink.AEAD {
	return map[keyring.Purpose]tink.AEAD{keyring.TOTP: k.TOTP, keyring.Contact: k.Contact, keyring.Challenge: k.Challenge}[p]
}

func mustKeys(t testing.TB, r *keyring.Ring) *keyring.Keys {
	t.Helper()
	k, err := r.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func wantUnavailable(t testing.TB, r *keyring.Ring, says ...string) {
	t.Helper()
	k, err := r.Keys(t.Context())
	if k != nil || !errors.Is(err, keyring.ErrUnavailable) {
		t.Fatalf("Keys: got %v, %v; want ErrUnavailable", k, err)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("error %q does not say %q", err, s)
		}
	}
}

func TestKeysOfEveryPurpose(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	store := created(t, kek, keyring.Purposes()...)
	one := mustKeys(t, keyring.New(store, kek, time.Now, keyring.Purposes()...))
	other := mustKeys(t, keyring.New(store, kek, time.Now, keyring.Purposes()...))

	var ciphertexts [][]byte
	for _, p := range []keyring.Purpose{keyring.TOTP, keyring.Contact, keyring.Challenge} {
		c, err := aeadOf(one, p).Encrypt([]byte("secret"), []byte("ad"))
		if err != nil {
			t.Fatal(err)
		}
		ciphertexts = append(ciphertexts, c)
		if got, err := aeadOf(other, p).Decrypt(c, []byte("ad")); err != nil || string(got) != "secret" {
			t.Errorf("%s: got %q, %v", p, got, err)
		}
		if _, err := aeadOf(other, p).Decrypt(c, []byte("other")); err == nil {
			t.Errorf("%s: opens with other associated data", p)
		}
	}
	for i, p := range []keyring.Purpose{keyring.Contact, keyring.Challenge, keyring.TOTP} {
		if _, err := aeadOf(one, p).Decrypt(ciphertexts[i], []byte("ad")); err == nil {
			t.Errorf("%s opens what another purpose sealed", p)
		}
	}
	id, err := one.IDs.EncryptDeterministically([]byte("user"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := other.IDs.EncryptDeterministically([]byte("user"), nil); err != nil || !bytes.Equal(id, again) {
		t.Errorf("ids: got %x then %x, %v; want the same", id, again, err)
	}
	if got, err := other.IDs.DecryptDeterministically(id, nil); err != nil || string(got) != "user" {
		t.Errorf("ids: got %q, %v", got, err)
	}
	if got, want := compute(t, other.Codes, one.Codes.PrimaryID(), 32), compute(t, one.Codes, one.Codes.PrimaryID(), 32); !bytes.Equal(got, want) {
		t.Errorf("codes: got %x, want %x", got, want)
	}
	if bytes.Equal(compute(t, one.Codes, one.Codes.PrimaryID(), 32), compute(t, one.Links, one.Links.PrimaryID(), 32)) {
		t.Error("codes and links share a key")
	}
}

func TestKeysOfOtherPurposesAreNil(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	store := created(t, kek, keyring.Purposes()...)
	for _, p := range keyring.Purposes() {
		before := store.called("load", "keyset/"+string(p))
		k := mustKeys(t, keyring.New(store, kek, time.Now, p, p))
		got := map[keyring.Purpose]bool{
			keyring.TOTP: k.TOTP != nil, keyring.Contact: k.Contact != nil, keyring.Challenge: k.Challenge != nil,
			keyring.Codes: k.Codes != nil, keyring.Links: k.Links != nil, keyring.IDs: k.IDs != nil, keyring.Signing: k.Signing != nil,
		}
		for q, there := range got {
			if there != (q == p) {
				t.Errorf("ring of %s: has %s: %v", p, q, there)
			}
		}
		if got := store.called("load", "keyset/"+string(p)) - before; got != 1 {
			t.Errorf("ring of %s, named twice, read it %d times", p, got)
		}
	}
	if k := mustKeys(t, keyring.New(store, kek, time.Now)); *k != (keyring.Keys{}) {
		t.Errorf("ring of nothing: got %+v", k)
	}
}

// TestRulesAndTokens: each user of the ring is given the keys of its purposes, where a mistake would work until the
// deployment; and a nil interface for each purpose that is not the ring's.
func TestRulesAndTokens(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	store := created(t, kek, keyring.Purposes()...)
	for _, purposes := range append([][]keyring.Purpose{nil, keyring.Purposes()}, slices.Collect(slices.Chunk(keyring.Purposes(), 1))...) {
		ring := keyring.New(store, kek, time.Now, purposes...)
		all := mustKeys(t, ring)
		rules, err := ring.Rules(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tokens, err := ring.Tokens(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for p, c := range map[keyring.Purpose]struct{ got, want any }{
			keyring.TOTP:      {rules.Secrets, all.TOTP},
			keyring.Contact:   {rules.Contacts, all.Contact},
			keyring.Codes:     {rules.Codes, all.Codes},
			keyring.Challenge: {tokens.Challenge, all.Challenge},
			keyring.Signing:   {tokens.Signer, all.Signing},
		} {
			if !slices.Contains(purposes, p) {
				c.want = nil
			}
			if c.got != c.want {
				t.Errorf("ring of %v: %s: got %v, want %v", purposes, p, c.got, c.want)
			}
		}
	}
	broken := keyring.New(newStore(), kek, time.Now, keyring.Purposes()...)
	if rules, err := broken.Rules(t.Context()); rules != (twofactor.Keys{}) || !errors.Is(err, keyring.ErrUnavailable) {
		t.Errorf("Rules of none: got %v, %v; want ErrUnavailable", rules, err)
	}
	if tokens, err := broken.Tokens(t.Context()); tokens != (token.Keys{}) || !errors.Is(err, keyring.ErrUnavailable) {
		t.Errorf("Tokens of none: got %v, %v; want ErrUnavailable", tokens, err)
	}
}

func TestFailedFirstLoadIsTriedAgain(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	store := newStore()
	ring := keyring.New(store, kek, time.Now, keyring.TOTP, keyring.Codes)

	wantUnavailable(t, ring, "keyset totp", "keyset codes", keyring.ErrNoKeyset.Error())
	if err := keyring.Create(t.Context(), store, kek, keyring.TOTP); err != nil {
		t.Fatal(err)
	}
	k, err := ring.Keys(t.Context())
	if k != nil || !errors.Is(err, keyring.ErrNoKeyset) || strings.Contains(err.Error(), "totp") {
		t.Fatalf("without codes: got %v, %v; want ErrNoKeyset for codes alone", k, err)
	}
	if err := keyring.Create(t.Context(), store, kek, keyring.Codes); err != nil {
		t.Fatal(err)
	}
	store.fault = func(op, name string) fault { return failed }
	wantUnavailable(t, ring, "keyset codes", errBroken.Error())
	store.fault = nil
	kek.failWith(errors.New("throttled"))
	wantUnavailable(t, ring, "keyset codes", "throttled")
	kek.failWith(nil)
	mustKeys(t, ring)
	if got := kek.uses(); got != 3 {
		t.Errorf("KEK used %d times, want 3: totp once, codes twice", got)
	}
}

func TestUnknownPurpose(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	store := newStore()
	store.items["keyset/tea"] = item{[]byte(`{"schema":1,"purpose":"tea","keys":{},"sealed":""}`), 1}
	wantUnavailable(t, keyring.New(store, kek, time.Now, "tea"), "keyset tea", "no such purpose")
	if err := keyring.Create(t.Context(), newStore(), kek, "tea"); err == nil {
		t.Error("Create: no error")
	}
}

// clocked returns a ring and its clock.
func clocked(store keyring.Store, kek tink.AEADWithContext, purposes ...keyring.Purpose) (*keyring.Ring, *time.Time) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	return keyring.New(store, kek, func() time.Time { return now }, purposes...), &now
}

func TestLooksEveryFifteenMinutesWithoutKEK(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	purposes := keyring.Purposes()
	store := created(t, kek, purposes...)
	ring, now := clocked(store, kek, purposes...)
	first := mustKeys(t, ring)
	used, looked := kek.uses(), store.called("load", "keyset/totp")

	for _, step := range []struct {
		wait  time.Duration
		looks int
	}{
		{0, 0},
		{15*time.Minute - time.Second, 0},
		{time.Second, 1},
		{0, 1},
		{time.Hour, 2},
		{-10 * time.Minute, 3}, // a clock put back must not put off the next look
		{0, 3},
	} {
		*now = now.Add(step.wait)
		if got := mustKeys(t, ring); got.TOTP != first.TOTP || got.Signing != first.Signing {
			t.Error("keys opened anew although nothing has changed")
		}
		if got := store.called("load", "keyset/totp") - looked; got != step.looks {
			t.Errorf("after %v: %d looks, want %d", step.wait, got, step.looks)
		}
	}
	if got := kek.uses() - used; got != 0 {
		t.Errorf("KEK used %d times for an unchanged version", got)
	}

	if _, err := keyring.Add(t.Context(), store, kek, keyring.TOTP); err != nil {
		t.Fatal(err)
	}
	used = kek.uses()
	*now = now.Add(15 * time.Minute)
	after := mustKeys(t, ring)
	if after.TOTP == first.TOTP {
		t.Error("a newer keyset was not taken")
	}
	if after.Codes != first.Codes {
		t.Error("an unchanged keyset was opened anew")
	}
	if got := kek.uses() - used; got != 1 {
		t.Errorf("KEK used %d times for one changed keyset, want 1", got)
	}
}

// TestAnotherKeysetOfTheSameVersion: a keyset that was lost and made again is another one, for who has been running as well.
func TestAnotherKeysetOfTheSameVersion(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	store := created(t, kek, keyring.TOTP, keyring.Codes)
	ring, now := clocked(store, kek, keyring.TOTP, keyring.Codes)
	first := mustKeys(t, ring)
	sealed, err := first.TOTP.Encrypt([]byte("secret"), nil)
	if err != nil {
		t.Fatal(err)
	}
	store.mu.Lock()
	delete(store.items, "keyset/totp")
	store.mu.Unlock()
	if err := keyring.Create(t.Context(), store, kek, keyring.TOTP); err != nil {
		t.Fatal(err)
	}
	*now = now.Add(15 * time.Minute)
	after := mustKeys(t, ring)
	if after.TOTP == first.TOTP || after.Codes != first.Codes {
		t.Errorf("opened anew: totp %v, codes %v; want totp alone", after.TOTP != first.TOTP, after.Codes != first.Codes)
	}
	if _, err := after.TOTP.Decrypt(sealed, nil); err == nil {
		t.Error("it opens what the lost one has sealed")
	}
}

func TestFailedLookServesOnForADay(t *testing.T) { // not parallel: it reads the log
	var log bytes.Buffer
	former := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(former) })

	for _, broken := range []struct {
		name       string
		fail, mend func(*memStore, *countingKEK)
	}{
		{"store fails",
			func(s *memStore, _ *countingKEK) {
				s.fault = func(_, name string) fault { return map[string]fault{"keyset/totp": failed}[name] }
			},
			func(s *memStore, _ *countingKEK) { s.fault = nil }},
		{"keyset gone",
			func(s *memStore, _ *countingKEK) {
				s.items["aside"] = s.items["keyset/totp"]
				delete(s.items, "keyset/totp")
			},
			func(s *memStore, _ *countingKEK) { s.items["keyset/totp"] = s.items["aside"] }},
		{"newer keyset does not open",
			func(s *memStore, k *countingKEK) {
				if _, err := keyring.Add(t.Context(), s, k, keyring.TOTP); err != nil {
					t.Fatal(err)
				}
				k.failWith(errBroken)
			},
			func(_ *memStore, k *countingKEK) { k.failWith(nil) }},
	} {
		log.Reset()
		kek := newKEK(t)
		store := created(t, kek, keyring.TOTP, keyring.Codes)
		ring, now := clocked(store, kek, keyring.TOTP, keyring.Codes)
		start := *now
		first := mustKeys(t, ring)
		broken.fail(store, kek)
		base := store.called("load", "keyset/totp")

		for i, step := range []struct {
			at    time.Duration
			looks int
		}{
			{15 * time.Minute, 1},
			{16*time.Minute - time.Second, 1},
			{16 * time.Minute, 2}, // a failed look is tried again in a minute, not in fifteen
			{24*time.Hour - time.Second, 3},
		} {
			*now = start.Add(step.at)
			if got := mustKeys(t, ring); got.TOTP != first.TOTP {
				t.Errorf("%s: step %d: other keys", broken.name, i)
			}
			if got := store.called("load", "keyset/totp") - base; got != step.looks {
				t.Errorf("%s: at %v: %d looks, want %d", broken.name, step.at, got, step.looks)
			}
		}
		if !strings.Contains(log.String(), "keyset totp") || strings.Contains(log.String(), "keyset codes") {
			t.Errorf("%s: logged %q, want totp named, and codes not", broken.name, &log)
		}
		*now = start.Add(24 * time.Hour)
		wantUnavailable(t, ring, "keyset totp")
		wantUnavailable(t, ring, "keyset totp")
		if got := store.called("load", "keyset/totp") - base; got != 5 {
			t.Errorf("%s: %d looks, want 5: after a day each call looks", broken.name, got)
		}
		broken.mend(store, kek)
		mustKeys(t, ring)
	}
}

func TestUnknownKeyLeadsToALookOnceAMinute(t *testing.T) {
	t.Parallel()
	for p, use := range map[keyring.Purpose]func(made, by *keyring.Keys) error{
		keyring.TOTP: func(made, by *keyring.Keys) error {
			sealed, _ := made.TOTP.Encrypt([]byte("secret"), nil)
			_, err := by.TOTP.Decrypt(sealed, nil)
			return err
		},
		keyring.IDs: func(made, by *keyring.Keys) error {
			id, _ := made.IDs.EncryptDeterministically([]byte("user"), nil)
			_, err := by.IDs.DecryptDeterministically(id, nil)
			return err
		},
		keyring.Codes: func(made, by *keyring.Keys) error {
			_, err := by.Codes.Compute(made.Codes.PrimaryID(), nil, 16)
			return err
		},
	} {
		kek := newKEK(t)
		store := created(t, kek, p)
		ring, now := clocked(store, kek, p)
		stale := mustKeys(t, ring)
		id, err := keyring.Add(t.Context(), store, kek, p)
		if err != nil {
			t.Fatal(err)
		}
		if err := keyring.Promote(t.Context(), store, kek, p, id); err != nil {
			t.Fatal(err)
		}
		fresh := mustKeys(t, keyring.New(store, kek, time.Now, p))
		base := store.called("load", "keyset/"+string(p))
		looks := func() int { return store.called("load", "keyset/"+string(p)) - base }

		*now = now.Add(time.Minute - time.Second)
		if err := use(fresh, stale); !errors.Is(err, keyring.ErrUnknownKey) {
			t.Errorf("%s: got %v, want ErrUnknownKey", p, err)
		}
		if err := use(fresh, mustKeys(t, ring)); !errors.Is(err, keyring.ErrUnknownKey) || looks() != 0 {
			t.Errorf("%s, within a minute of the load: got %v after %d looks, want ErrUnknownKey after none", p, err, looks())
		}
		*now = now.Add(time.Second)
		if err := use(fresh, mustKeys(t, ring)); err != nil || looks() != 1 {
			t.Errorf("%s, after a minute: got %v after %d looks, want none after one", p, err, looks())
		}
		*now = now.Add(5 * time.Minute)
		mustKeys(t, ring)
		if looks() != 1 {
			t.Errorf("%s: %d looks for one unknown key, want 1", p, looks())
		}
	}
}

func TestForgedKeyIDIsALookAMinute(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	store := created(t, kek, keyring.Challenge)
	ring, now := clocked(store, kek, keyring.Challenge)
	sealed, _ := mustKeys(t, ring).Challenge.Encrypt([]byte("x"), nil)
	base := store.called("load", "keyset/challenge")
	forge := func(change func([]byte) []byte) error {
		_, err := mustKeys(t, ring).Challenge.Decrypt(change(bytes.Clone(sealed)), nil)
		return err
	}
	for name, change := range map[string]func([]byte) []byte{
		"empty":       func([]byte) []byte { return nil },
		"short":       func(c []byte) []byte { return c[:4] },
		"no prefix":   func(c []byte) []byte { c[0], c[1] = 0, c[1]^1; return c },
		"body":        func(c []byte) []byte { c[len(c)-1] ^= 1; return c },
		"prefix only": func(c []byte) []byte { return c[:5] },
	} {
		if err := forge(change); err == nil || errors.Is(err, keyring.ErrUnknownKey) {
			t.Errorf("%s: got %v, want an error that is not ErrUnknownKey", name, err)
		}
	}
	*now = now.Add(2 * time.Minute)
	mustKeys(t, ring)
	if got := store.called("load", "keyset/challenge") - base; got != 0 {
		t.Errorf("bad ciphertexts of a known key led to %d looks", got)
	}
	for range 600 { // ten minutes, a forgery a second
		*now = now.Add(time.Second)
		if err := forge(func(c []byte) []byte { c[1] ^= 1; return c }); !errors.Is(err, keyring.ErrUnknownKey) {
			t.Fatalf("got %v, want ErrUnknownKey", err)
		}
	}
	if got := store.called("load", "keyset/challenge") - base; got < 9 || got > 11 {
		t.Errorf("%d looks in ten minutes, want about 10", got)
	}
	if got := kek.uses(); got != 1 {
		t.Errorf("KEK used %d times, want 1", got)
	}
}

func TestConcurrentCallsLoadOnce(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	purposes := keyring.Purposes()
	store := created(t, kek, purposes...)
	base := map[keyring.Purpose]int{}
	for _, p := range purposes {
		base[p] = store.called("load", "keyset/"+string(p))
	}
	used := kek.uses()
	ring := keyring.New(store, kek, time.Now, purposes...)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if k, err := ring.Keys(t.Context()); err != nil || k.TOTP == nil || k.Signing == nil {
				t.Errorf("got %+v, %v", k, err)
			}
		})
	}
	wg.Wait()
	for _, p := range purposes {
		if got := store.called("load", "keyset/"+string(p)) - base[p]; got != 1 {
			t.Errorf("%s read %d times, want 1", p, got)
		}
	}
	if got := kek.uses() - used; got != len(purposes) {
		t.Errorf("KEK used %d times, want %d", got, len(purposes))
	}
}

func TestACallerWhoGivesUpTakesNobodyWithIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kek := newKEK(t)
		store := created(t, kek, keyring.TOTP, keyring.Codes)
		kek.waitFor = make(chan struct{})
		ring := keyring.New(store, kek, time.Now, keyring.TOTP, keyring.Codes)
		ctx, cancel := context.WithCancel(t.Context())
		impatient, patient := make(chan error, 1), make(chan error, 1)
		go func() { _, err := ring.Keys(ctx); impatient <- err }()
		synctest.Wait() // the impatient one has begun the load
		go func() { _, err := ring.Keys(t.Context()); patient <- err }()
		synctest.Wait()
		cancel()
		if err := <-impatient; !errors.Is(err, keyring.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("impatient: got %v, want ErrUnavailable and context.Canceled", err)
		}
		close(kek.waitFor)
		if err := <-patient; err != nil {
			t.Errorf("patient: %v", err)
		}
		if got := kek.uses(); got != 2 {
			t.Errorf("KEK used %d times, want 2", got)
		}
	})
}

func TestALoadThatNeverAnswersEnds(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"store", "KEK"} {
		synctest.Test(t, func(t *testing.T) {
			kek := newKEK(t)
			store := created(t, kek, keyring.TOTP, keyring.Codes)
			if who == "store" {
				store.fault = func(string, string) fault { return hangs }
			} else {
				kek.waitFor = make(chan struct{})
			}
			ring := keyring.New(store, kek, time.Now, keyring.TOTP, keyring.Codes)
			start := time.Now()
			wantUnavailable(t, ring, "keyset totp", "keyset codes")
			if got := time.Since(start); got != 5*time.Second {
				t.Errorf("%s hangs: gave up after %v, want 5s", who, got)
			}
			store.failBy(nil)
			kek.mu.Lock()
			kek.waitFor = nil
			kek.mu.Unlock()
			mustKeys(t, ring)
		})
	}
}

func TestALookThatNeverAnswersHoldsUpASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kek := newKEK(t)
		store := created(t, kek, keyring.TOTP)
		ring := keyring.New(store, kek, time.Now, keyring.TOTP)
		first := mustKeys(t, ring)
		store.failBy(func(string, string) fault { return hangs })
		time.Sleep(15 * time.Minute)
		start := time.Now()
		if got := mustKeys(t, ring); got.TOTP != first.TOTP {
			t.Error("other keys")
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("held up for %v, want 1s", got)
		}
		mustKeys(t, ring)
		if got := time.Since(start); got != time.Second {
			t.Error("held up again within a minute")
		}
	})
}

func ExampleRing() {
	keys := func(r *keyring.Ring) error {
		k, err := r.Keys(context.Background())
		if err != nil {
			return err // nobody gets in
		}
		_, err = k.TOTP.Encrypt([]byte("secret"), []byte("user 42"))
		return err
	}
	fmt.Println(errors.Is(keys(keyring.New(newStore(), nil, time.Now, keyring.TOTP)), keyring.ErrUnavailable))
	// Output: true
}
