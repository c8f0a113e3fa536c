package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
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
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	configs := configStore{store}
	if err := refuseLost(ctx, configs, kekFile); err != nil {
		return keys{}, err
	}
	kek, err := keyring.LocalKEK(kekFile)
	if err != nil {
		return keys{}, err
	}
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

// refuseLost returns an error if the key file is missing and the store holds what it has sealed: a new one would open
// none of it, and hide that the old one is to be looked for.
func refuseLost(ctx context.Context, store configStore, kekFile string) error {
	if _, err := os.Lstat(kekFile); !errors.Is(err, fs.ErrNotExist) {
		return nil // LocalKEK says what is wrong with it
	}
	for _, p := range keyring.Purposes() {
		_, version, err := store.LoadConfig(ctx, "keyset/"+string(p))
		switch {
		case err != nil:
			return err
		case version > 0:
			return fmt.Errorf("%s is missing: put it back, or start with another data directory", kekFile)
		}
	}
	return nil
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
