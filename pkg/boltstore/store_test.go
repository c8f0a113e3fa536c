package boltstore

import (
	"path/filepath"
	"testing"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
	"github.com/nightlatch/nightlatch/pkg/twofactor/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) twofactor.Store { return open(t, filepath.Join(t.TempDir(), "store.db")) })
}

// open opens a store and closes it after the test.
func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
