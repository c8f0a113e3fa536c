package keyring

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/tink-crypto/tink-go/v2/jwt"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// jwksItem is the config item that holds the public signing keys as a JWK set.
const jwksItem = "jwks"

// LoadJWKS returns the public signing keys as a JWK set (RFC 7517), without a KEK. An error wraps ErrUnavailable.
func LoadJWKS(ctx context.Context, store Store) ([]byte, error) {
	set, version, err := store.LoadConfig(ctx, jwksItem)
	if err == nil && version == 0 {
		err = ErrNoKeyset
	}
	if err != nil {
		return nil, fmt.Errorf("%w: public signing keys: %w", ErrUnavailable, err)
	}
	return set, nil
}

// publish brings the JWK set in step with the signing keyset, and then notes in the keyset's envelope since when each
// key is in it. A primary key without that note does not sign, and no key without a day-old note becomes primary: so
// whatever crashes in between, no key signs that is not published. What a crash left undone, the next call does.
//
// The set is read before the keyset it is made from, and replaced only if nobody has replaced it since. Keysets only
// grow, so no writer ever puts an older set over a newer one.
func publish(ctx context.Context, store Store, kek tink.AEADWithContext) error {
	err := again(func() error {
		old, setVersion, err := store.LoadConfig(ctx, jwksItem)
		if err != nil {
			return err
		}
		e, version, err := read(ctx, store, Signing)
		if err != nil {
			return err
		}
		h, err := e.open(ctx, kek)
		if err != nil {
			return err
		}
		set, err := publicJWKS(h)
		if err != nil {
			return err
		}
		if !bytes.Equal(old, set) {
			if err := store.ReplaceConfig(ctx, jwksItem, set, setVersion+1); err != nil {
				return err
			}
		}
		keys, err := knownTo(h, nil)
		if err != nil {
			return err
		}
		noted := e
		for id := range keys.ids {
			if t := e.Keys[id]; t.Published.IsZero() {
				t.Published = time.Now().UTC()
				noted = noted.with(id, t)
			}
		}
		if maps.Equal(noted.Keys, e.Keys) {
			return nil
		}
		return noted.replace(ctx, store, version+1)
	})
	if err != nil {
		return fmt.Errorf("publishing the signing keys: %w", err)
	}
	return nil
}

// publicJWKS is a function of the keyset: Tink's JSON varies in its spaces from build to build, on purpose.
func publicJWKS(h *keyset.Handle) ([]byte, error) {
	public, err := h.Public()
	if err != nil {
		return nil, err
	}
	set, err := jwt.JWKSetFromPublicKeysetHandle(public)
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, set); err != nil {
		return nil, err
	}
	return compact.Bytes(), nil
}
