package keyring_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/keyring"
)

// FuzzKeyset: a keyset that is stored otherwise than it was written serves the keys that were sealed in it, or none.
func FuzzKeyset(f *testing.F) {
	kek := newKEK(f)
	store := created(f, kek, keyring.TOTP)
	const name = "keyset/totp"
	whole := store.items[name].value
	secret, err := mustKeys(f, keyring.New(store, kek, time.Now, keyring.TOTP)).TOTP.Encrypt([]byte("secret"), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(nil), uint16(0), byte(0))
	f.Add([]byte("{}"), uint16(7), byte(1))
	f.Add([]byte(`{"schema":1,"purpose":"totp","keys":{},"sealed":""}`), uint16(1), byte(255))
	f.Add([]byte(`{"schema":2,"purpose":"totp"}`), uint16(300), byte(32))
	f.Add([]byte(`{"schema":1,"purpose":"contact","keys":{"1":{"created":"2026-01-01T00:00:00Z"}},"sealed":"AAAA"}`), uint16(40), byte(4))
	f.Fuzz(func(t *testing.T, value []byte, place uint16, flip byte) {
		altered := append([]byte(nil), whole...)
		altered[int(place)%len(altered)] ^= flip
		for _, stored := range [][]byte{value, altered, append(append([]byte(nil), whole...), value...)} {
			damaged := store.copyOf()
			damaged.items[name] = item{stored, 1}
			keys, err := keyring.New(damaged, kek, time.Now, keyring.TOTP).Keys(t.Context())
			if err != nil {
				if keys != nil || !errors.Is(err, keyring.ErrUnavailable) {
					t.Errorf("%q: %v, %v", stored, keys, err)
				}
				continue
			}
			if opened, err := keys.TOTP.Decrypt(secret, nil); err != nil || string(opened) != "secret" {
				t.Errorf("%q holds other keys: %q, %v", stored, opened, err)
			}
		}
	})
}
