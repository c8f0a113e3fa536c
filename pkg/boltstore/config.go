package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

var errConfigName = errors.New("config: name must have 1 to 255 bytes")

// LoadConfig returns a config item (a sealed keyset, the fence) and its version. Version 0 means that there is none; an
// error never does.
func (s *Store) LoadConfig(ctx context.Context, name string) (value []byte, version int64, err error) {
	if name == "" || len(name) > 255 {
		return nil, 0, errConfigName
	}
	var stored []byte
	err = s.view(ctx, func(tx *bolt.Tx) error {
		stored = bytes.Clone(tx.Bucket(bucketConfig).Get([]byte(name)))
		return nil
	})
	if err != nil || stored == nil {
		return nil, 0, err
	}
	if version, err = configVersion(stored); err != nil {
		return nil, 0, err
	}
	return stored[8:], version, nil
}

// ReplaceConfig stores value as the given version of a config item if and only if the stored version is the one before
// (0 being none), durably; otherwise it returns a [*twofactor.Conflict]. Any other error means that it is not known
// whether the value has been stored.
func (s *Store) ReplaceConfig(ctx context.Context, name string, value []byte, version int64) error {
	if name == "" || len(name) > 255 {
		return errConfigName
	}
	item := append(binary.BigEndian.AppendUint64(nil, uint64(version)), value...)
	var verdict error
	err := s.commit(ctx, func(tx *bolt.Tx) (bool, error) {
		config := tx.Bucket(bucketConfig)
		stored, err := configVersion(config.Get([]byte(name)))
		if err != nil || stored != version-1 {
			if verdict = err; err == nil {
				verdict = &twofactor.Conflict{}
			}
			return false, nil
		}
		return true, config.Put([]byte(name), item)
	})
	if err != nil {
		return err
	}
	return verdict
}

func configVersion(stored []byte) (int64, error) {
	switch {
	case stored == nil:
		return 0, nil
	case len(stored) < 8:
		return 0, fmt.Errorf("%w: a config item of %d bytes", ErrDamaged, len(stored))
	}
	return int64(binary.BigEndian.Uint64(stored)), nil
}
