package keyring_test

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/mac"
)

func TestWrongKEK(t *testing.T) {
	t.Parallel()
	store := created(t, newKEK(t), keyring.TOTP)
	wantUnavailable(t, keyring.New(store, newKEK(t), time.Now, keyring.TOTP), "keyset totp", "does not open")
}

func TestKeysetInAnothersPlace(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	store := created(t, kek, keyring.Purposes()...)
	for _, from := range keyring.Purposes() {
		for _, to := range keyring.Purposes() {
			if from == to {
				continue
			}
			moved := store.copyOf()
			moved.items["keyset/"+string(to)] = moved.items["keyset/"+string(from)]
			wantUnavailable(t, keyring.New(moved, kek, time.Now, to), "keyset "+string(to), `"`+string(from)+`"`)
			// An envelope that lies about it does not help: the seal knows.
			moved.items["keyset/"+string(to)] = moved.relabelled(from, to)
			wantUnavailable(t, keyring.New(moved, kek, time.Now, to), "keyset "+string(to), "does not open")
		}
	}
}

// relabelled returns one purpose's keyset in an envelope that says it is another's.
func (s *memStore) relabelled(from, to keyring.Purpose) item {
	i := s.items["keyset/"+string(from)]
	i.value = bytes.Replace(i.value, []byte(`"purpose":"`+from+`"`), []byte(`"purpose":"`+to+`"`), 1)
	return i
}

func TestTamperedKeyset(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	store := created(t, kek, keyring.TOTP)
	var e map[string]any
	var sealed struct{ Sealed []byte }
	stored := store.items["keyset/totp"].value
	if err := json.Unmarshal(stored, &e); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(stored, &sealed); err != nil {
		t.Fatal(err)
	}
	for i := range sealed.Sealed {
		changed := append([]byte(nil), sealed.Sealed...)
		changed[i] ^= 0x80
		e["sealed"] = changed
		value, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		store.items["keyset/totp"] = item{value, 1}
		wantUnavailable(t, keyring.New(store, kek, time.Now, keyring.TOTP), "does not open")
	}
}

func TestEnvelopeIsStrict(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	sound := string(created(t, kek, keyring.TOTP).items["keyset/totp"].value)
	for name, c := range map[string]struct{ value, says string }{
		"newer schema":           {strings.Replace(sound, `"schema":1`, `"schema":2`, 1), "newer"},
		"newer schema, no shape": {`{"schema":2,"sealed":{"by":"magic"}}`, "newer"},
		"no schema":              {strings.Replace(sound, `"schema":1,`, ``, 1), "schema 0"},
		"unknown field":          {strings.Replace(sound, `"schema":1`, `"schema":1,"hint":"x"`, 1), "hint"},
		"something follows":      {sound + "{}", "not an envelope"},
		"no purpose":             {strings.Replace(sound, `"purpose":"totp",`, ``, 1), `keyset of ""`},
		"nothing sealed":         {`{"schema":1,"purpose":"totp","keys":{},"sealed":null}`, "does not open"},
		"cut":                    {sound[:len(sound)-2], "not an envelope"},
		"empty":                  {"", "not an envelope"},
		"garbage":                {"\x00\xff", "not an envelope"},
		"wrong type":             {strings.Replace(sound, `"sealed":"`, `"sealed":"!`, 1), "not an envelope"},
	} {
		store := newStore()
		store.items["keyset/totp"] = item{[]byte(c.value), 1}
		wantUnavailable(t, keyring.New(store, kek, time.Now, keyring.TOTP), "keyset totp", c.says)
		before := store.items["keyset/totp"]
		if err := keyring.Create(t.Context(), store, kek, keyring.TOTP); err == nil && c.says != "does not open" {
			t.Errorf("%s: Create: no error", name)
		}
		if _, err := keyring.Add(t.Context(), store, kek, keyring.TOTP); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: Add: got %v, want an error that says %q", name, err, c.says)
		}
		if got := store.items["keyset/totp"]; got.version != before.version || string(got.value) != string(before.value) {
			t.Errorf("%s: was overwritten", name)
		}
	}
}

func TestKeysetOfAnotherKind(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	h, err := keyset.NewHandle(mac.HMACSHA256Tag256KeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range keyring.Purposes() {
		var sealed keyset.MemReaderWriter
		if err := h.WriteWithContext(t.Context(), &sealed, kek, []byte(p)); err != nil {
			t.Fatal(err)
		}
		id := strconv.FormatUint(uint64(h.KeysetInfo().PrimaryKeyId), 10)
		value, err := json.Marshal(map[string]any{
			"schema": 1, "purpose": p, "sealed": sealed.EncryptedKeyset.EncryptedKeyset,
			"keys": map[string]any{id: map[string]any{"created": time.Now(), "published": time.Now()}},
		})
		if err != nil {
			t.Fatal(err)
		}
		store := newStore()
		store.items["keyset/"+string(p)] = item{value, 1}
		wantUnavailable(t, keyring.New(store, kek, time.Now, p), "keyset "+string(p))
	}
}
