package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nightlatch/nightlatch/pkg/boltstore"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// keys is the key ring in the forms that its users take.
type keys struct {
	ring  *keyring.Ring
	store configStore
}

// openKeys opens the key ring, and makes it on the first start. Keys that do not open are told now, not at the first
// sign-in.
func openKeys(store *boltstore.Store, kekFile string) (keys, error) {
	kek, err := keyring.LocalKEK(kekFile)
	if err != nil {
		return keys{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	configs := configStore{store}
	// The ring's clock is the real one: it says how long ago the ring has looked, and nothing about a user.
	k := keys{keyring.New(configs, kek, time.Now, keyring.Purposes()...), configs}
	err = keyring.Create(ctx, configs, kek, keyring.Purposes()...)
	if err == nil {
		_, err = k.ring.Keys(ctx)
	}
	if err != nil {
		return keys{}, fmt.Errorf("the keys in the store do not open: put back the %s that they were sealed with: %w", kekFile, err)
	}
	return k, nil
}

func (k keys) rules(ctx context.Context) (twofactor.Keys, error) {
	all, err := k.ring.Keys(ctx)
	if err != nil {
		return twofactor.Keys{}, err
	}
	return twofactor.Keys{Secrets: all.TOTP, Contacts: all.Contact, Codes: all.Codes}, nil
}

func (k keys) tokens(ctx context.Context) (handler.Keys, error) {
	all, err := k.ring.Keys(ctx)
	if err != nil {
		return handler.Keys{}, err
	}
	return handler.Keys{Challenge: all.Challenge, Signer: all.Signing}, nil
}

func (k keys) jwks(ctx context.Context) ([]byte, error) { return keyring.LoadJWKS(ctx, k.store) }

// configStore joins the embedded store and the key ring, which do not know each other.
type configStore struct{ *boltstore.Store }

// ReplaceConfig says who lost a race in the key ring's word.
func (c configStore) ReplaceConfig(ctx context.Context, name string, value []byte, version int64) error {
	err := c.Store.ReplaceConfig(ctx, name, value, version)
	if errors.Is(err, boltstore.ErrConfigConflict) {
		return keyring.ErrConflict
	}
	return err
}
