package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/nightlatch/nightlatch/pkg/keyring"
)

// openKeys opens the key ring, and makes it on the first start. Keys that do not open are told now, not at the first
// sign-in.
func openKeys(store keyring.Store, kekFile string) (*keyring.Ring, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := refuseLost(ctx, store, kekFile); err != nil {
		return nil, err
	}
	kek, err := keyring.LocalKEK(kekFile)
	if err != nil {
		return nil, err
	}
	// The ring's clock is the real one: it says how long ago the ring has looked, and nothing about a user.
	ring := keyring.New(store, kek, time.Now, keyring.Purposes()...)
	err = keyring.Create(ctx, store, kek, keyring.Purposes()...)
	if err == nil {
		_, err = ring.Keys(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("the keys in the store do not open: put back the %s that they were sealed with: %w", kekFile, err)
	}
	return ring, nil
}

// refuseLost returns an error if the key file is missing and the store holds what it has sealed: a new one would open
// none of it, and hide that the old one is to be looked for.
func refuseLost(ctx context.Context, store keyring.Store, kekFile string) error {
	if _, err := os.Lstat(kekFile); !errors.Is(err, fs.ErrNotExist) {
		return nil // LocalKEK says what is wrong with it
	}
	held, err := keyring.Exists(ctx, store)
	if err == nil && held {
		err = fmt.Errorf("%s is missing, and the store holds what it has sealed: put it back, or start with another store (-data, or -dynamodb-prefix)", kekFile)
	}
	return err
}
