package keyring_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"
	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/tink-crypto/tink-go/v2/tink"
	"pgregory.net/rapid"
)

const day = 24 * time.Hour

// souvenir is something that was made with a key, and how it is opened with the keys of another time.
type souvenir struct {
	by   string // what tells which key it was made with
	good func(k *keyring.Keys, jwks []byte) error
}

var errOther = errors.New("it comes out otherwise")

// souvenirs makes something of each purpose.
func souvenirs(t testing.TB, k *keyring.Keys) map[keyring.Purpose]souvenir {
	t.Helper()
	sealed := func(of func(*keyring.Keys) tink.AEAD) souvenir {
		box, err := of(k).Encrypt([]byte("x"), []byte("y"))
		if err != nil {
			t.Fatal(err)
		}
		return souvenir{string(box[:5]), func(k *keyring.Keys, _ []byte) error { _, err := of(k).Decrypt(box, []byte("y")); return err }}
	}
	derived := func(of func(*keyring.Keys) *keyring.PRF) souvenir {
		id := of(k).PrimaryID()
		was, err := of(k).Compute(id, []byte("x"), 16)
		if err != nil {
			t.Fatal(err)
		}
		return souvenir{fmt.Sprint(id), func(k *keyring.Keys, _ []byte) error {
			is, err := of(k).Compute(id, []byte("x"), 16)
			if err == nil && !bytes.Equal(is, was) {
				err = errOther
			}
			return err
		}}
	}
	box, err := k.IDs.EncryptDeterministically([]byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	signed := sign(t, k.Signing)
	own, err := k.Signing.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	kid, err := verify(t, signed, own)
	if err != nil {
		t.Fatal(err)
	}
	return map[keyring.Purpose]souvenir{
		keyring.TOTP:      sealed(func(k *keyring.Keys) tink.AEAD { return k.TOTP }),
		keyring.Contact:   sealed(func(k *keyring.Keys) tink.AEAD { return k.Contact }),
		keyring.Challenge: sealed(func(k *keyring.Keys) tink.AEAD { return k.Challenge }),
		keyring.Codes:     derived(func(k *keyring.Keys) *keyring.PRF { return k.Codes }),
		keyring.Links:     derived(func(k *keyring.Keys) *keyring.PRF { return k.Links }),
		keyring.IDs: {string(box[:5]), func(k *keyring.Keys, _ []byte) error {
			_, err := k.IDs.DecryptDeterministically(box, nil)
			return err
		}},
		keyring.Signing: {kid, func(_ *keyring.Keys, jwks []byte) error { _, err := verify(t, signed, jwks); return err }},
	}
}

// TestYearsOfRotation rotates twice a day for three years, two at once, as a schedule does. What was made at any time is good
// at any later one, also by processes that last looked a quarter of an hour ago, and by hosts whose copy of the published keys
// is a day old: nothing is ever made with a key that they do not have.
func TestYearsOfRotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kek := newKEK(t)
		store := created(t, kek, keyring.Purposes()...)
		old := mustKeys(t, keyring.New(store, kek, time.Now, keyring.Purposes()...)) // of a process that is behind
		published := mustJWKS(t, store)                                              // as a host has it
		var kept []map[keyring.Purpose]souvenir
		made := map[keyring.Purpose]map[string]bool{}
		for range 3 * 365 * 2 {
			ring := keyring.New(store, kek, time.Now, keyring.Purposes()...)
			keys := mustKeys(t, ring)
			for p, s := range souvenirs(t, keys) {
				if err := s.good(old, published); err != nil {
					t.Fatalf("%s, made now, for a process that is behind: %v", p, err)
				}
				if made[p] == nil {
					made[p] = map[string]bool{}
				}
				if !made[p][s.by] {
					made[p][s.by] = true
					kept = append(kept, map[keyring.Purpose]souvenir{p: s})
				}
			}
			old, published = keys, mustJWKS(t, store)

			var both sync.WaitGroup
			steps := make([]map[keyring.Purpose]keyring.Step, 2)
			for i := range steps {
				both.Go(func() {
					var err error
					if steps[i], err = keyring.Rotate(t.Context(), store, kek, keyring.Purposes()...); err != nil {
						t.Error(err)
					}
				})
			}
			both.Wait()
			for p := range steps[0] {
				if steps[1][p] != keyring.Nothing {
					t.Errorf("%s: two rotations at once have %s and %s", p, steps[0][p], steps[1][p])
				}
			}
			// Nothing else is due before its time: no key waits for longer, none is added early.
			time.Sleep(12 * time.Hour)
		}
		keys := mustKeys(t, keyring.New(store, kek, time.Now, keyring.Purposes()...))
		for _, some := range kept {
			for p, s := range some {
				if err := s.good(keys, mustJWKS(t, store)); err != nil {
					t.Errorf("%s, made in the past: %v", p, err)
				}
			}
		}
		// A key is in use for its lifetime, and for the day and a half that another one takes.
		want := map[keyring.Purpose]int{
			keyring.TOTP: 3, keyring.Contact: 3, keyring.Codes: 3, keyring.IDs: 3, keyring.Links: 6, keyring.Challenge: 6, keyring.Signing: 6,
		}
		for p, by := range made {
			if len(by) != want[p] {
				t.Errorf("%s: made with %d keys in three years, want %d", p, len(by), want[p])
			}
			if got := len(mustList(t, store, kek, p)); got > want[p]+1 {
				t.Errorf("%s has %d keys after three years", p, got)
			}
		}
	})
}

// TestRotateStep: what one rotation does, and that there is nothing to do before its time.
func TestRotateStep(t *testing.T) {
	t.Parallel()
	for _, p := range keyring.Purposes() {
		synctest.Test(t, func(t *testing.T) {
			lifetime := 365 * day
			if slices.Contains([]keyring.Purpose{keyring.Links, keyring.Challenge, keyring.Signing}, p) {
				lifetime /= 2
			}
			kek := newKEK(t)
			store := created(t, kek, p)
			rotated := func(want keyring.Step) {
				t.Helper()
				got, err := keyring.Rotate(t.Context(), store, kek, p)
				if err != nil || got[p] != want {
					t.Fatalf("%s: %q, %v; want %q", p, got[p], err, want)
				}
			}
			rotated(keyring.Nothing)
			time.Sleep(lifetime - 1)
			rotated(keyring.Nothing)
			time.Sleep(time.Nanosecond)
			rotated(keyring.Added)
			rotated(keyring.Nothing)
			time.Sleep(day - 1)
			rotated(keyring.Nothing)
			time.Sleep(time.Nanosecond)
			rotated(keyring.Promoted)
			rotated(keyring.Nothing)

			// Set back by hand: the bad key does not come again. Another one does, a lifetime later, or when it is asked for.
			list := mustList(t, store, kek, p)
			if err := keyring.Promote(t.Context(), store, kek, p, list[0].ID); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * day)
			rotated(keyring.Nothing)
			for n, want := range []keyring.Step{keyring.Added, keyring.Nothing} {
				got, err := keyring.Renew(t.Context(), store, kek, p)
				if err != nil || got[p] != want {
					t.Errorf("%s: renewed, time %d: %q, %v; want %q", p, n+1, got[p], err, want)
				}
			}
			time.Sleep(day)
			rotated(keyring.Promoted)
			list = mustList(t, store, kek, p)
			if len(list) != 3 || !list[2].Primary || !list[2].Promoted.Equal(time.Now()) {
				t.Errorf("%s: %+v", p, list)
			}
		})
	}
}

// TestRotationInterrupted: whatever goes wrong wherever, for as long as it does, no key signs that has not been published for
// a day, at most one key waits, and afterwards rotation goes on by itself.
func TestRotationInterrupted(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	rapid.Check(t, func(r *rapid.T) {
		p := rapid.SampledFrom([]keyring.Purpose{keyring.Signing, keyring.Signing, keyring.Codes}).Draw(r, "purpose")
		waits := rapid.SliceOfN(rapid.IntRange(0, 40), 1, 30).Draw(r, "waits, in days")
		faults := rapid.SliceOfN(rapid.SampledFrom([]fault{sound, sound, sound, failed, failedStored, lostAnswer, conflict}), 0, 90).Draw(r, "faults")
		synctest.Test(t, func(t *testing.T) {
			if err := rotationInterrupted(t, kek, p, waits, faults); err != nil {
				r.Error(err)
			}
		})
	})
}

func rotationInterrupted(t *testing.T, kek tink.AEADWithContext, p keyring.Purpose, waits []int, faults []fault) (wrong error) {
	store := created(t, kek, p)
	published, signed := map[string]time.Time{}, map[string]bool{}
	check := func() {
		now := store.copyOf()
		keys, err := keyring.List(t.Context(), now, kek, p)
		if err != nil {
			wrong = errors.Join(wrong, err)
			return
		}
		waiting := 0
		for _, k := range keys {
			if k.Promoted.IsZero() {
				waiting++
			}
		}
		if waiting > 1 {
			wrong = errors.Join(wrong, fmt.Errorf("%d keys wait", waiting))
		}
		if p == keyring.Signing {
			wrong = errors.Join(wrong, checkState(t, now, kek, published, signed))
		}
	}
	check()
	store.wrote = func(string) { check() }
	store.fault = func(op, _ string) fault {
		if len(faults) == 0 {
			return sound
		}
		f := faults[0]
		faults = faults[1:]
		if op == "load" && f != failed {
			return sound
		}
		return f
	}
	for _, days := range waits {
		_, _ = keyring.Rotate(t.Context(), store, kek, p)
		time.Sleep(time.Duration(days) * day)
	}
	store.fault = nil
	for quiet := 0; quiet < 2; quiet++ { // what was under way, or has become due meanwhile, comes to its end
		step, err := keyring.Rotate(t.Context(), store, kek, p)
		if err != nil {
			return errors.Join(wrong, err)
		}
		if step[p] != keyring.Nothing {
			quiet = 0
		}
		time.Sleep(day)
	}
	if _, err := keyring.Renew(t.Context(), store, kek, p); err != nil {
		return errors.Join(wrong, err)
	}
	time.Sleep(day)
	step, err := keyring.Rotate(t.Context(), store, kek, p)
	if err != nil || step[p] != keyring.Promoted {
		wrong = errors.Join(wrong, err, fmt.Errorf("afterwards: %q", step[p]))
	}
	return wrong
}

// TestRotationFails: a purpose that fails is named, and holds up no other.
func TestRotationFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kek := newKEK(t)
		store := created(t, kek, keyring.TOTP, keyring.Codes)
		time.Sleep(365 * day)
		got, err := keyring.Rotate(t.Context(), store, kek, keyring.TOTP, keyring.Signing, keyring.Codes)
		if diff := cmp.Diff(map[keyring.Purpose]keyring.Step{keyring.TOTP: keyring.Added, keyring.Codes: keyring.Added}, got); diff != "" {
			t.Errorf("done (-want +got):\n%s", diff)
		}
		if !errors.Is(err, keyring.ErrNoKeyset) || !bytes.Contains([]byte(err.Error()), []byte("keyset signing")) {
			t.Errorf("got %v, want that there is no keyset signing", err)
		}
		store.fault = func(op, name string) fault { return map[string]fault{"replace keyset/totp": failed}[op+" "+name] }
		time.Sleep(day)
		got, err = keyring.Rotate(t.Context(), store, kek, keyring.TOTP, keyring.Codes)
		if diff := cmp.Diff(map[keyring.Purpose]keyring.Step{keyring.Codes: keyring.Promoted}, got); diff != "" || !errors.Is(err, errBroken) {
			t.Errorf("%v; done (-want +got):\n%s", err, diff)
		}
		store.fault = nil
		kek.sealErr = errBroken // as KMS says of more than it takes
		if got, err := keyring.Renew(t.Context(), store, kek, keyring.Codes); err == nil || len(got) > 0 {
			t.Errorf("a keyset that does not seal: %v, %v", got, err)
		}
		if got := mustList(t, store, kek, keyring.Codes); len(got) != 2 || !got[1].Primary {
			t.Errorf("it is now %+v", got)
		}
	})
}

// TestRotateOnKMS: what KMS is asked for by a rotation, and that its keys open there.
func TestRotateOnKMS(t *testing.T) {
	t.Parallel()
	onKMS(t, func(t *testing.T, cfg aws.Config, keyARN string) {
		w := newWire()
		kek := keyring.KMS(cfg, keyARN, w.through)
		store := created(t, kek, keyring.Purposes()...)
		before := souvenirs(t, mustKeys(t, keyring.New(store, kek, time.Now, keyring.Purposes()...)))
		for _, c := range []struct {
			after time.Duration
			want  keyring.Step
			sent  map[string]int
		}{
			{0, keyring.Nothing, map[string]int{"Decrypt": 8}}, // of signing, once more for what is published
			{365 * day, keyring.Added, map[string]int{"Decrypt": 9, "Encrypt": 7}},
			{day, keyring.Promoted, map[string]int{"Decrypt": 8, "Encrypt": 7}},
		} {
			time.Sleep(c.after)
			w.take()
			got, err := keyring.Rotate(t.Context(), store, kek, keyring.Purposes()...)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range keyring.Purposes() {
				if got[p] != c.want {
					t.Errorf("after %v: %s %q, want %q", c.after, p, got[p], c.want)
				}
			}
			wantSent(t, w, fmt.Sprintf("after %v", c.after), c.sent)
		}
		keys := mustKeys(t, keyring.New(store, kek, time.Now, keyring.Purposes()...))
		after := souvenirs(t, keys)
		for _, p := range slices.Sorted(maps.Keys(before)) {
			if err := before[p].good(keys, mustJWKS(t, store)); err != nil {
				t.Errorf("%s, of before: %v", p, err)
			}
			if before[p].by == after[p].by {
				t.Errorf("%s is made with the same key as before", p)
			}
		}
	})
}

// TestHeld: a keyset that was made and is missing is named, and others are not.
func TestHeld(t *testing.T) {
	t.Parallel()
	store := newStore()
	if err := keyring.Create(t.Context(), store, newKEK(t), keyring.Codes, keyring.TOTP); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(keyring.Held(t.Context(), store), keyring.Held(t.Context(), store, keyring.TOTP, keyring.Codes)); err != nil {
		t.Error(err)
	}
	err := keyring.Held(t.Context(), store, keyring.Links, keyring.TOTP, keyring.Contact)
	if !errors.Is(err, keyring.ErrLost) || !strings.HasSuffix(err.Error(), ": keyset links, contact") {
		t.Errorf("two are lost: %v", err)
	}
	store.fault = func(op, _ string) fault { return failed }
	if err := keyring.Held(t.Context(), store, keyring.TOTP); !errors.Is(err, errBroken) || errors.Is(err, keyring.ErrLost) {
		t.Errorf("could not tell: %v", err)
	}
}

// TestExists: which keysets there are is known without the key that seals them.
func TestExists(t *testing.T) {
	t.Parallel()
	store := newStore()
	exists := func() bool {
		t.Helper()
		got, err := keyring.Exists(context.Background(), store)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if exists() {
		t.Error("there is a keyset in an empty store")
	}
	if err := keyring.Create(t.Context(), store, newKEK(t), keyring.Signing); err != nil {
		t.Fatal(err)
	}
	if !exists() {
		t.Error("one keyset is none")
	}
	store.fault = func(op, _ string) fault { return failed }
	if _, err := keyring.Exists(t.Context(), store); !errors.Is(err, errBroken) {
		t.Errorf("could not tell: %v", err)
	}
}
