package keyring_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"sync"
	"testing"

	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

var errBroken = errors.New("broken")

// A fault is how a store call goes wrong.
type fault int

const (
	sound        fault = iota
	failed             // an error, and nothing stored
	failedStored       // stored, but the answer is an error
	lostAnswer         // stored, and tried again by the client: a conflict with itself
	conflict           // somebody else was faster
	hangs              // until the context ends
)

type item struct {
	value   []byte
	version int64
}

// memStore is a Store in memory.
type memStore struct {
	fault func(op, name string) fault // may be nil; op is "load" or "replace"
	read  func(name string)           // called between a load and its answer
	wrote func(name string)           // called between a change and its answer

	mu    sync.Mutex
	items map[string]item
	calls map[string]int // by op and name
}

func newStore() *memStore {
	return &memStore{items: map[string]item{}, calls: map[string]int{}}
}

// copyOf returns a store with the same items and no faults.
func (s *memStore) copyOf() *memStore {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := newStore()
	c.items = maps.Clone(s.items)
	return c
}

func (s *memStore) called(op, name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[op+" "+name]
}

// failBy sets the fault, also while the store is in use.
func (s *memStore) failBy(fault func(op, name string) fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

func (s *memStore) goesWrong(op, name string) fault {
	s.mu.Lock()
	s.calls[op+" "+name]++
	fault := s.fault
	s.mu.Unlock()
	if fault == nil {
		return sound
	}
	return fault(op, name)
}

func (s *memStore) LoadConfig(ctx context.Context, name string) ([]byte, int64, error) {
	switch s.goesWrong("load", name) {
	case failed:
		return nil, 0, errBroken
	case hangs:
		<-ctx.Done()
		return nil, 0, ctx.Err()
	}
	s.mu.Lock()
	i := s.items[name]
	s.mu.Unlock()
	if s.read != nil {
		s.read(name)
	}
	return bytes.Clone(i.value), i.version, nil
}

func (s *memStore) ReplaceConfig(ctx context.Context, name string, value []byte, version int64) error {
	f := s.goesWrong("replace", name)
	switch f {
	case failed:
		return errBroken
	case conflict:
		return &twofactor.Conflict{}
	}
	s.mu.Lock()
	if s.items[name].version != version-1 {
		s.mu.Unlock()
		return &twofactor.Conflict{}
	}
	s.items[name] = item{bytes.Clone(value), version}
	s.mu.Unlock()
	if s.wrote != nil {
		s.wrote(name)
	}
	switch f {
	case failedStored:
		return errBroken
	case lostAnswer:
		return &twofactor.Conflict{}
	}
	return nil
}

// countingKEK counts what it opens, and can fail (to do anything, or only to seal) or wait.
type countingKEK struct {
	aead             tink.AEAD
	mu               sync.Mutex
	opened           int
	err, sealErr     error
	waitFor          chan struct{}
	longestPlaintext int
}

func newKEK(t testing.TB) *countingKEK {
	t.Helper()
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	a, err := aead.New(h)
	if err != nil {
		t.Fatal(err)
	}
	return &countingKEK{aead: a}
}

func (k *countingKEK) EncryptWithContext(_ context.Context, plaintext, associatedData []byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.longestPlaintext = max(k.longestPlaintext, len(plaintext))
	if err := errors.Join(k.err, k.sealErr); err != nil {
		return nil, err
	}
	return k.aead.Encrypt(plaintext, associatedData)
}

func (k *countingKEK) DecryptWithContext(ctx context.Context, ciphertext, associatedData []byte) ([]byte, error) {
	k.mu.Lock()
	k.opened++
	err, waitFor := k.err, k.waitFor
	k.mu.Unlock()
	if waitFor != nil {
		select {
		case <-waitFor:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err != nil {
		return nil, err
	}
	return k.aead.Decrypt(ciphertext, associatedData)
}

func (k *countingKEK) uses() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.opened
}

func (k *countingKEK) failWith(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
}

// created returns a store with a keyset for each purpose.
func created(t testing.TB, kek tink.AEADWithContext, purposes ...keyring.Purpose) *memStore {
	t.Helper()
	s := newStore()
	if err := keyring.Create(t.Context(), s, kek, purposes...); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestReadOnly: a store that can be read is a ring's like any other, and nothing is written to it.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	store := keyring.ReadOnly(func(_ context.Context, name string) ([]byte, int64, error) { return []byte(name), 7, nil })
	if value, version, err := store.LoadConfig(t.Context(), "keyset/totp"); err != nil || string(value) != "keyset/totp" || version != 7 {
		t.Errorf("LoadConfig = %q, %d, %v", value, version, err)
	}
	if err := store.ReplaceConfig(t.Context(), "keyset/totp", nil, 8); err == nil {
		t.Error("ReplaceConfig: no error")
	}
}
