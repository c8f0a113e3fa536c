package boltstore

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	s := open(t, storeIn(t))
	is := func(name, wantValue string, wantVersion int64) {
		t.Helper()
		value, version, err := s.LoadConfig(t.Context(), name)
		if err != nil || string(value) != wantValue || version != wantVersion {
			t.Errorf("LoadConfig(%q) = %q, %d, %v; want %q, %d", name, value, version, err, wantValue, wantVersion)
		}
	}
	put := func(name, value string, version int64, lands bool) {
		t.Helper()
		given := []byte(value)
		err := s.ReplaceConfig(t.Context(), name, given, version)
		if lands && err != nil || !lands && !lostRace(err) {
			t.Errorf("ReplaceConfig(%q, %d): %v; should land: %v, and else be a conflict", name, version, err, lands)
		}
		clear(given) // the store has its own copy
	}
	put("large", strings.Repeat("x", 10_000), 1, true) // so that bbolt hands out its mapped memory
	is("keyset/totp", "", 0)
	for _, version := range []int64{-1, 0, 2} {
		put("keyset/totp", "early", version, false)
	}
	is("keyset/totp", "", 0)
	put("keyset/totp", "one", 1, true)
	put("keyset/totp", "again", 1, false)
	put("keyset/totp", "gap", 3, false)
	is("keyset/totp", "one", 1)
	put("keyset/totp", "two", 2, true)
	is("keyset/totp", "two", 2)
	is("keyset/tot", "", 0)
	put("keyset/tot", "", 1, true)
	is("keyset/tot", "", 1)

	value, _, _ := s.LoadConfig(t.Context(), "keyset/totp")
	clear(value)
	is("keyset/totp", "two", 2)

	for _, name := range []string{"", strings.Repeat("x", 256)} {
		if err := s.ReplaceConfig(t.Context(), name, nil, 1); err == nil {
			t.Errorf("ReplaceConfig with a name of %d bytes succeeded", len(name))
		}
		if _, _, err := s.LoadConfig(t.Context(), name); err == nil {
			t.Errorf("LoadConfig with a name of %d bytes succeeded", len(name))
		}
	}
}

func lostRace(err error) bool {
	var conflict *twofactor.Conflict
	return errors.As(err, &conflict) && conflict.Current == nil
}

func TestConfigHasOneWinner(t *testing.T) {
	t.Parallel()
	s := open(t, storeIn(t))
	var won atomic.Int32
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			switch err := s.ReplaceConfig(t.Context(), "c", []byte{byte(i)}, 1); {
			case err == nil:
				won.Add(1)
			case !lostRace(err):
				t.Errorf("ReplaceConfig: %v", err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d winners", won.Load())
	}
}

func TestConfigDamaged(t *testing.T) {
	t.Parallel()
	s := open(t, storeIn(t))
	err := s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketConfig).Put([]byte("c"), []byte("short")) })
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.LoadConfig(t.Context(), "c"); !errors.Is(err, ErrDamaged) {
		t.Errorf("LoadConfig: %v, want ErrDamaged", err)
	}
	if err := s.ReplaceConfig(t.Context(), "c", nil, 1); !errors.Is(err, ErrDamaged) {
		t.Errorf("ReplaceConfig: %v, want ErrDamaged", err)
	}
}
