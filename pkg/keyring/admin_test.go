package keyring_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
	"github.com/tink-crypto/tink-go/v2/tink"
	"pgregory.net/rapid"
)

func ids(t testing.TB, jwks []byte) []string {
	t.Helper()
	var set struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal(jwks, &set); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, k := range set.Keys {
		ids = append(ids, k.Kid)
	}
	return ids
}

func mustJWKS(t testing.TB, store keyring.Store) []byte {
	t.Helper()
	jwks, err := keyring.LoadJWKS(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	return jwks
}

func mustList(t testing.TB, store keyring.Store, kek tink.AEADWithContext, p keyring.Purpose) []keyring.Key {
	t.Helper()
	keys, err := keyring.List(t.Context(), store, kek, p)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestCreateOnceAmongFiftyRacers(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	store := newStore()
	const racers = 50
	var at [2]atomic.Int32 // racers that have seen that there is no such keyset; none goes on before all have
	gates := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
	store.read = func(name string) {
		if i := slices.Index([]string{"keyset/totp", "keyset/signing"}, name); i >= 0 {
			if at[i].Add(1) == racers {
				close(gates[i])
			}
			<-gates[i]
		}
	}
	var created atomic.Int32
	store.wrote = func(name string) {
		if name == "keyset/totp" {
			created.Add(1)
		}
	}
	var wg sync.WaitGroup
	for range racers {
		wg.Go(func() {
			if err := keyring.Create(t.Context(), store, kek, keyring.Purposes()...); err != nil {
				t.Error(err)
			}
			// Whoever has returned can rely on it.
			if _, err := keyring.New(store, kek, time.Now, keyring.Purposes()...).Keys(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := created.Load(); got != 1 {
		t.Errorf("totp written %d times, want 1", got)
	}
	for _, p := range keyring.Purposes() {
		if got := mustList(t, store, kek, p); len(got) != 1 || !got[0].Primary {
			t.Errorf("%s: got %+v, want one primary key", p, got)
		}
	}
	signer := mustKeys(t, keyring.New(store, kek, time.Now, keyring.Signing)).Signing
	if got := ids(t, mustJWKS(t, store)); len(got) != 1 {
		t.Errorf("published %v, want one key", got)
	}
	if _, err := verify(t, sign(t, signer), mustJWKS(t, store)); err != nil {
		t.Error(err)
	}

	before := store.copyOf()
	store.wrote = func(name string) { t.Errorf("Create wrote %s again", name) }
	if err := keyring.Create(t.Context(), store, kek, keyring.Purposes()...); err != nil {
		t.Error(err)
	}
	for name, i := range before.items {
		if got := store.items[name]; !bytes.Equal(got.value, i.value) {
			t.Errorf("%s replaced", name)
		}
	}
}

func TestCreateAndAddWithFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault fault
		op    string
		want  error
	}{
		{"read fails", failed, "load", errBroken},
		{"write fails", failed, "replace", errBroken},
		{"write fails but is stored", failedStored, "replace", errBroken},
		{"answer lost", lostAnswer, "replace", nil},
	} {
		kek := newKEK(t)
		store := newStore()
		once := func(op, _ string) fault { // the first call of that kind goes wrong
			if op != c.op {
				return sound
			}
			store.fault = nil
			return c.fault
		}
		store.fault = once
		if err := keyring.Create(t.Context(), store, kek, keyring.Codes); !errors.Is(err, c.want) {
			t.Errorf("Create, %s: got %v, want %v", c.name, err, c.want)
		}
		if err := keyring.Create(t.Context(), store, kek, keyring.Codes); err != nil {
			t.Errorf("Create again, %s: %v", c.name, err)
		}
		store.fault = once
		id, err := keyring.Add(t.Context(), store, kek, keyring.Codes)
		if !errors.Is(err, c.want) || (id == 0) != (err != nil) {
			t.Errorf("Add, %s: got %d, %v; want %v", c.name, id, err, c.want)
		}
		want := 2
		if c.fault == failed {
			want = 1
		}
		if got := mustList(t, store, kek, keyring.Codes); len(got) != want {
			t.Errorf("after Add, %s: %d keys, want %d", c.name, len(got), want)
		}
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	type made struct {
		by     func(*keyring.Keys) []byte
		opens  func(k *keyring.Keys, former uint32, old []byte) bool
		source func([]byte) string // what tells by which key it was made
	}
	sealed := func(of func(*keyring.Keys) tink.AEAD) made {
		return made{
			func(k *keyring.Keys) []byte { c, _ := of(k).Encrypt([]byte("x"), nil); return c },
			func(k *keyring.Keys, _ uint32, c []byte) bool {
				p, err := of(k).Decrypt(c, nil)
				return err == nil && string(p) == "x"
			},
			func(c []byte) string { return string(c[:5]) },
		}
	}
	derived := func(of func(*keyring.Keys) *keyring.PRF) made {
		by := func(k *keyring.Keys, id uint32) []byte { out, _ := of(k).Compute(id, []byte("x"), 32); return out }
		return made{
			func(k *keyring.Keys) []byte { return by(k, of(k).PrimaryID()) },
			func(k *keyring.Keys, former uint32, old []byte) bool { return bytes.Equal(by(k, former), old) },
			func(out []byte) string { return string(out) },
		}
	}
	for p, m := range map[keyring.Purpose]made{
		keyring.TOTP:      sealed(func(k *keyring.Keys) tink.AEAD { return k.TOTP }),
		keyring.Contact:   sealed(func(k *keyring.Keys) tink.AEAD { return k.Contact }),
		keyring.Challenge: sealed(func(k *keyring.Keys) tink.AEAD { return k.Challenge }),
		keyring.Codes:     derived(func(k *keyring.Keys) *keyring.PRF { return k.Codes }),
		keyring.Links:     derived(func(k *keyring.Keys) *keyring.PRF { return k.Links }),
		keyring.IDs: {
			func(k *keyring.Keys) []byte { c, _ := k.IDs.EncryptDeterministically([]byte("x"), nil); return c },
			func(k *keyring.Keys, _ uint32, c []byte) bool {
				p, err := k.IDs.DecryptDeterministically(c, nil)
				return err == nil && string(p) == "x"
			},
			func(c []byte) string { return string(c[:5]) },
		},
	} {
		kek := newKEK(t)
		store := created(t, kek, p)
		load := func() *keyring.Keys { return mustKeys(t, keyring.New(store, kek, time.Now, p)) }
		first := m.by(load())
		id, err := keyring.Add(t.Context(), store, kek, p)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.by(load()); m.source(got) != m.source(first) {
			t.Errorf("%s: an added key is used before it is promoted", p)
		}
		if err := keyring.Promote(t.Context(), store, kek, p, id); err != nil {
			t.Fatal(err)
		}
		if got := m.by(load()); m.source(got) == m.source(first) {
			t.Errorf("%s: the promoted key is not used", p)
		}
		list := mustList(t, store, kek, p)
		if !m.opens(load(), list[0].ID, first) {
			t.Errorf("%s: what the former key made does not open", p)
		}
		if len(list) != 2 || list[0].Primary || !list[1].Primary || list[1].ID != id || list[0].Created.IsZero() || !list[1].Published.IsZero() {
			t.Errorf("%s: listed as %+v", p, list)
		}
		store.wrote = func(string) { t.Errorf("%s: promoting the primary key writes", p) }
		if err := keyring.Promote(t.Context(), store, kek, p, id); err != nil {
			t.Errorf("%s: promoting again: %v", p, err)
		}
	}
}

func TestSigningKeyIsPublishedADayBeforeItSigns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kek := newKEK(t)
		store := created(t, kek, keyring.Signing)
		signer := func() *keyring.Signer { return mustKeys(t, keyring.New(store, kek, time.Now, keyring.Signing)).Signing }
		old := sign(t, signer())
		oldKID, _ := verify(t, old, mustJWKS(t, store))

		id, err := keyring.Add(t.Context(), store, kek, keyring.Signing)
		if err != nil {
			t.Fatal(err)
		}
		added := time.Now()
		if got := ids(t, mustJWKS(t, store)); len(got) != 2 {
			t.Fatalf("published %v, want both keys", got)
		}
		if own, err := signer().JWKS(); err != nil || !bytes.Equal(own, mustJWKS(t, store)) {
			t.Errorf("the signer's JWK set is %s, %v; published %s", own, err, mustJWKS(t, store))
		}
		if list := mustList(t, store, kek, keyring.Signing); list[1].ID != id || !list[1].Created.Equal(added) || !list[1].Published.Equal(added) {
			t.Errorf("listed as %+v, want created and published %v", list, added)
		}
		time.Sleep(24*time.Hour - time.Nanosecond)
		if err := keyring.Promote(t.Context(), store, kek, keyring.Signing, id); !errors.Is(err, keyring.ErrTooYoung) {
			t.Errorf("before a day: got %v, want ErrTooYoung", err)
		}
		if kid, err := verify(t, sign(t, signer()), mustJWKS(t, store)); err != nil || kid != oldKID {
			t.Errorf("before: signed by %s, %v; want %s", kid, err, oldKID)
		}
		time.Sleep(time.Nanosecond)
		if err := keyring.Promote(t.Context(), store, kek, keyring.Signing, id); err != nil {
			t.Fatal(err)
		}
		if kid, err := verify(t, sign(t, signer()), mustJWKS(t, store)); err != nil || kid == oldKID {
			t.Errorf("after: signed by %s, %v; want the new key", kid, err)
		}
		if _, err := verify(t, old, mustJWKS(t, store)); err != nil {
			t.Errorf("what the former key signed: %v", err)
		}
		// Back at once, if the new key turns out bad.
		if err := keyring.Promote(t.Context(), store, kek, keyring.Signing, mustList(t, store, kek, keyring.Signing)[0].ID); err != nil {
			t.Errorf("promoting the former key again: %v", err)
		}
	})
}

func TestLostJWKSIsRepaired(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	store := created(t, kek, keyring.Signing)
	primary := mustList(t, store, kek, keyring.Signing)[0].ID
	want := mustJWKS(t, store)
	for name, repair := range map[string]func() error{
		"Create":  func() error { return keyring.Create(t.Context(), store, kek, keyring.Signing) },
		"Promote": func() error { return keyring.Promote(t.Context(), store, kek, keyring.Signing, primary) },
	} {
		for _, lost := range []item{{}, {[]byte(`{"keys":[]}`), 7}, {[]byte("garbage"), 9}} {
			store.items["jwks"] = lost
			if err := repair(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if got := mustJWKS(t, store); !bytes.Equal(got, want) {
				t.Errorf("%s: got %s, want %s", name, got, want)
			}
		}
	}
	delete(store.items, "jwks")
	if _, err := keyring.Add(t.Context(), store, kek, keyring.Signing); err != nil {
		t.Error(err)
	}
	if got := ids(t, mustJWKS(t, store)); len(got) != 2 {
		t.Errorf("Add: published %v, want two keys", got)
	}
}

// Whatever is interrupted wherever, no ring signs with a key that has not been published for a day, but the first; and
// once the faults are over, everything can be completed.
func TestInterruptedAnywhere(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	rapid.Check(t, func(r *rapid.T) {
		steps := rapid.SliceOfN(rapid.IntRange(0, 59), 1, 12).Draw(r, "steps")
		faults := rapid.SliceOfN(rapid.SampledFrom([]fault{sound, sound, sound, failed, failedStored, lostAnswer, conflict}), 0, 60).Draw(r, "faults")
		// The clock of the bubble is drawn on by the steps; rapid keeps its own.
		synctest.Test(t, func(t *testing.T) {
			if err := interrupted(t, kek, steps, faults); err != nil {
				r.Error(err)
			}
		})
	})
}

// interrupted does the steps while store calls go wrong as given, one after the other, and then completes them.
func interrupted(t *testing.T, kek tink.AEADWithContext, steps []int, faults []fault) (wrong error) {
	ctx := t.Context()
	store := newStore()
	store.fault = func(op, name string) fault {
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
	published := map[string]time.Time{} // since when, by key id
	signed := map[string]bool{}
	store.wrote = func(string) { wrong = errors.Join(wrong, checkState(t, store.copyOf(), kek, published, signed)) }

	for _, step := range steps {
		switch n := step / 6; step % 6 {
		case 0:
			_ = keyring.Create(ctx, store, kek, keyring.Signing)
		case 1:
			_, _ = keyring.Add(ctx, store, kek, keyring.Signing)
		case 2, 3:
			if keys, err := keyring.List(ctx, store.copyOf(), kek, keyring.Signing); err == nil {
				_ = keyring.Promote(ctx, store, kek, keyring.Signing, keys[n%len(keys)].ID)
			}
		case 4, 5:
			time.Sleep(time.Duration(4*n) * time.Hour)
		}
	}
	store.fault = nil
	if err := keyring.Create(ctx, store, kek, keyring.Signing); err != nil {
		return errors.Join(wrong, err)
	}
	id, err := keyring.Add(ctx, store, kek, keyring.Signing)
	if err != nil {
		return errors.Join(wrong, err)
	}
	time.Sleep(24 * time.Hour)
	if err := keyring.Promote(ctx, store, kek, keyring.Signing, id); err != nil {
		return errors.Join(wrong, err)
	}
	if got, want := len(ids(t, mustJWKS(t, store))), len(mustList(t, store, kek, keyring.Signing)); got != want {
		wrong = errors.Join(wrong, fmt.Errorf("%d keys published of %d", got, want))
	}
	return wrong
}

// checkState checks a state that a crash can leave.
func checkState(t *testing.T, store *memStore, kek tink.AEADWithContext, published map[string]time.Time, signed map[string]bool) error {
	jwks, err := keyring.LoadJWKS(t.Context(), store)
	if err != nil {
		jwks = []byte("{}")
	}
	there := ids(t, jwks)
	for _, id := range there {
		if _, ok := published[id]; !ok {
			published[id] = time.Now()
		}
	}
	if len(there) != len(published) {
		return fmt.Errorf("published %v, and before %v", there, published)
	}
	keys, err := keyring.New(store, kek, time.Now, keyring.Signing).Keys(t.Context())
	if err != nil {
		return nil // cannot sign
	}
	kid, err := verify(t, sign(t, keys.Signing), jwks)
	if err != nil {
		return fmt.Errorf("key %s signs, and is not published: %w", kid, err)
	}
	if age := time.Since(published[kid]); len(signed) > 0 && !signed[kid] && age < 24*time.Hour {
		return fmt.Errorf("key %s signs, published %v ago", kid, age)
	}
	signed[kid] = true
	return nil
}

// A key that appears between publishing and promoting is not published.
func TestUnnotedKeyIsNotPromoted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kek := newKEK(t)
		store := created(t, kek, keyring.Signing)
		id, err := keyring.Add(t.Context(), store, kek, keyring.Signing)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(48 * time.Hour)
		reads := 0
		store.fault = func(op, name string) fault {
			if op == "load" && name == "keyset/signing" {
				if reads++; reads == 2 { // the first is to publish
					stored := store.items[name]
					stored.value = regexp.MustCompile(`,"published":"[^"]*"`).ReplaceAll(stored.value, nil)
					store.items[name] = stored
				}
			}
			return sound
		}
		if err := keyring.Promote(t.Context(), store, kek, keyring.Signing, id); !errors.Is(err, keyring.ErrTooYoung) || reads != 2 {
			t.Errorf("got %v after %d reads, want ErrTooYoung", err, reads)
		}
	})
}

func TestAddThatIsNotPublishedTellsTheID(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	store := created(t, kek, keyring.Signing)
	store.fault = func(op, name string) fault {
		if op == "replace" && name == "jwks" {
			return failed
		}
		return sound
	}
	id, err := keyring.Add(t.Context(), store, kek, keyring.Signing)
	if !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	if keys := mustList(t, store, kek, keyring.Signing); len(keys) != 2 || keys[1].ID != id || !keys[1].Published.IsZero() {
		t.Errorf("got %d; keys %+v", id, keys)
	}
}

func TestUnpublishedKeysetDoesNotSign(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	store := newStore()
	store.fault = func(op, name string) fault {
		if op == "replace" && name == "jwks" {
			return failed
		}
		return sound
	}
	if err := keyring.Create(t.Context(), store, kek, keyring.Signing); !errors.Is(err, errBroken) {
		t.Errorf("Create: got %v", err)
	}
	wantUnavailable(t, keyring.New(store, kek, time.Now, keyring.Signing), "keyset signing", "not published")
}

func TestRacingAddsAllLand(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	store := created(t, kek, keyring.Signing)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := keyring.Add(t.Context(), store, kek, keyring.Signing); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	keys := mustList(t, store, kek, keyring.Signing)
	if len(keys) != 4 || len(ids(t, mustJWKS(t, store))) != 4 {
		t.Errorf("keys %+v; published %s", keys, mustJWKS(t, store))
	}
	for _, k := range keys {
		if k.Published.IsZero() {
			t.Errorf("key %d not noted as published", k.ID)
		}
	}
}

func TestAddDecidesAgainOnTheWinnersKeyset(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	store := created(t, kek, keyring.Codes)
	var winner uint32
	store.fault = func(op, name string) fault {
		if op == "replace" && winner == 0 {
			winner = 1 // its own write is not to be overtaken
			var err error
			if winner, err = keyring.Add(t.Context(), store, kek, keyring.Codes); err != nil {
				t.Error(err)
			}
		}
		return sound
	}
	loser, err := keyring.Add(t.Context(), store, kek, keyring.Codes)
	if err != nil {
		t.Fatal(err)
	}
	if keys := mustList(t, store, kek, keyring.Codes); len(keys) != 3 || keys[1].ID != winner || keys[2].ID != loser {
		t.Errorf("keys %+v, want the first, %d and %d", keys, winner, loser)
	}
}

func TestAdminErrors(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	for _, p := range []keyring.Purpose{keyring.TOTP, keyring.Signing} {
		empty := newStore()
		if id, err := keyring.Add(t.Context(), empty, kek, p); id != 0 || !errors.Is(err, keyring.ErrNoKeyset) {
			t.Errorf("Add to none: got %d, %v", id, err)
		}
		if err := keyring.Promote(t.Context(), empty, kek, p, 1); !errors.Is(err, keyring.ErrNoKeyset) {
			t.Errorf("Promote in none: got %v", err)
		}
		if keys, err := keyring.List(t.Context(), empty, kek, p); keys != nil || !errors.Is(err, keyring.ErrNoKeyset) {
			t.Errorf("List none: got %v, %v", keys, err)
		}
		if len(empty.items) != 0 {
			t.Errorf("made %v", empty.items)
		}
		store := created(t, kek, p)
		id := mustList(t, store, kek, p)[0].ID
		if err := keyring.Promote(t.Context(), store, kek, p, id+1); !errors.Is(err, keyring.ErrUnknownKey) {
			t.Errorf("Promote of no key: got %v", err)
		}
		other := newKEK(t)
		if id, err := keyring.Add(t.Context(), store, other, p); id != 0 || err == nil {
			t.Errorf("Add with another KEK: got %d, %v", id, err)
		}
		if keys, err := keyring.List(t.Context(), store, other, p); keys != nil || err == nil {
			t.Errorf("List with another KEK: got %v, %v", keys, err)
		}
		if err := keyring.Create(t.Context(), store, other, p); (err != nil) != (p == keyring.Signing) {
			t.Errorf("Create of what is there, with another KEK: got %v; only the signing keyset is opened, to publish it", err)
		}
		next, err := keyring.Add(t.Context(), store, kek, p)
		if err != nil {
			t.Fatal(err)
		}
		store.fault = func(string, string) fault { return failed }
		if err := keyring.Create(t.Context(), store, kek, p); !errors.Is(err, errBroken) {
			t.Errorf("Create, store fails: got %v", err)
		}
		if err := keyring.Promote(t.Context(), store, kek, p, next); !errors.Is(err, errBroken) {
			t.Errorf("Promote, store fails: got %v", err)
		}
		store.fault = nil
		kek.sealErr = errBroken
		if err := keyring.Promote(t.Context(), store, kek, p, next); p != keyring.Signing && (err == nil || !strings.Contains(err.Error(), "does not seal")) {
			t.Errorf("Promote, does not seal: got %v", err)
		}
		if id, err := keyring.Add(t.Context(), store, kek, p); id != 0 || err == nil || !strings.Contains(err.Error(), "does not seal") {
			t.Errorf("Add, does not seal: got %d, %v", id, err)
		}
		kek.sealErr = nil
		kek.failWith(errBroken)
		if err := keyring.Promote(t.Context(), store, kek, p, next); err == nil || !strings.Contains(err.Error(), errBroken.Error()) {
			t.Errorf("Promote without KEK: got %v", err)
		}
		if err := keyring.Create(t.Context(), newStore(), kek, p); err == nil || !strings.Contains(err.Error(), errBroken.Error()) {
			t.Errorf("Create without KEK: got %v", err)
		}
		kek.failWith(nil)
		store.fault = func(op, _ string) fault { return map[string]fault{"replace": conflict}[op] }
		before := store.called("replace", "keyset/"+string(p))
		var conflict *twofactor.Conflict
		if id, err := keyring.Add(t.Context(), store, kek, p); id != 0 || !errors.As(err, &conflict) {
			t.Errorf("Add, always a conflict: got %d, %v", id, err)
		}
		if got := store.called("replace", "keyset/"+string(p)) - before; got != 8 {
			t.Errorf("Add tried %d times, want 8", got)
		}
	}
}

// KMS encrypts at most 4096 bytes.
func TestKeysetsFitKMS(t *testing.T) {
	t.Parallel()
	for p, count := range map[keyring.Purpose]int{keyring.TOTP: 30, keyring.Codes: 30, keyring.IDs: 30, keyring.Signing: 18} {
		kek := newKEK(t)
		store := created(t, kek, p)
		for range count - 1 {
			if _, err := keyring.Add(t.Context(), store, kek, p); err != nil {
				t.Fatal(err)
			}
		}
		if got := kek.longestPlaintext; got > 4096 {
			t.Errorf("%d keys of %s take %d bytes, more than KMS encrypts", count, p, got)
		} else {
			t.Logf("%d keys of %s take %d bytes", count, p, got)
		}
	}
}
