package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

func TestOpenCreates(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "deeper")
	path := filepath.Join(dir, "store.db")
	s := open(t, path)
	if err := s.Replace(t.Context(), version("u", 1)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, path: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v; want %v", path, info.Mode().Perm(), err, want)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("%v, %v; want the store alone", files, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if a, err := open(t, path).Load(t.Context(), "u"); err != nil || a.Version != 1 {
		t.Errorf("Load after opening again = %+v, %v", a, err)
	}
}

// TestOpenCreatesOnce lets many create one store: all but one are told that it is in use, and nobody gets another.
func TestOpenCreatesOnce(t *testing.T) {
	t.Parallel()
	path := storeIn(t)
	opened := make(chan *Store, 8)
	for range cap(opened) {
		go func() {
			s, err := Open(path)
			if err != nil && !errors.Is(err, ErrInUse) {
				t.Errorf("Open: %v", err)
			}
			opened <- s
		}()
	}
	var stores []*Store
	for range cap(opened) {
		if s := <-opened; s != nil {
			stores = append(stores, s)
		}
	}
	if len(stores) > 1 {
		t.Errorf("%d have it open", len(stores))
	}
	for _, s := range stores {
		s.Close()
	}
}

// sample makes a store with pages of every kind, and returns its bytes.
func sample(t *testing.T) []byte {
	t.Helper()
	path := storeIn(t)
	s := open(t, path)
	for batch := range 4 {
		err := s.db.Update(func(tx *bolt.Tx) error {
			for i := range 100 {
				user := twofactor.UserID(fmt.Sprintf("user %d", (batch*100+i)*7919%400))
				image := fmt.Appendf(nil, `{"user":%q,"schema":1,"version":1,"x":%q}`, user, strings.Repeat("x", 300))
				if i == 50 { // more than a page
					image = append(image, bytes.Repeat([]byte(" "), 9000)...)
				}
				item := append(head{version: 1, schema: 1}.append(nil), image...)
				if err := tx.Bucket(bucketAccounts).Put([]byte(user), item); err != nil {
					return err
				}
				if err := appendVersion(tx, append(prefix(user), image...)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.delivered(t.Context(), sequence(1300)); err != nil { // leaves free pages
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), "u", []twofactor.Event{{ID: "1"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t *testing.T, b []byte) (path string) {
	t.Helper()
	path = storeIn(t)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// refused opens a file that cannot be opened, and sees that it was left as it was.
func refused(t *testing.T, b []byte, want error) {
	t.Helper()
	path := writeFile(t, b)
	s, err := Open(path)
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, want) || !strings.Contains(fmt.Sprint(err), path) {
		t.Errorf("Open: %v, want %v and the path", err, want)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, b) {
		t.Errorf("the file was changed, %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	whole := sample(t)
	pageSize := os.Getpagesize()
	m, err := readMetas(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(b []byte)) []byte {
		b := bytes.Clone(whole)
		change(b)
		return b
	}
	other := func(fill func(tx *bolt.Tx) error, options *bolt.Options) []byte {
		path := storeIn(t)
		db, err := bolt.Open(path, 0o600, options)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Update(fill); err != nil {
			t.Fatal(err)
		}
		db.Close()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	says := func(format string, buckets ...[]byte) func(tx *bolt.Tx) error {
		return func(tx *bolt.Tx) error {
			for _, b := range buckets {
				if _, err := tx.CreateBucket(b); err != nil {
					return err
				}
			}
			return tx.Bucket(bucketMeta).Put(keyFormat, []byte(format))
		}
	}
	foreign := func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("members")); return err }
	for name, test := range map[string]struct {
		file []byte
		want error
	}{
		"empty":                        {nil, ErrNotStore},
		"text":                         {[]byte("hello\n"), ErrNotStore},
		"a long text":                  {bytes.Repeat([]byte("hello\n"), 10_000), ErrNotStore},
		"zeros":                        {make([]byte, 8*pageSize), ErrNotStore},
		"another program's":            {other(foreign, nil), ErrNotStore},
		"another program's, unsynced":  {other(foreign, &bolt.Options{NoFreelistSync: true}), ErrNotStore},
		"another program's, with meta": {other(says("etcd 3", bucketMeta), nil), ErrNotStore},
		"no format":                    {other(says("nightlatch x", buckets...), nil), ErrNotStore},
		"a newer format":               {other(says("nightlatch 2", buckets...), nil), ErrNewerFormat},
		"no accounts":                  {other(says("nightlatch 1", buckets[1:]...), nil), ErrDamaged},
		"first header zero":            {with(func(b []byte) { clear(b[:pageSize]) }), ErrDamaged},
		"second header zero":           {with(func(b []byte) { clear(b[pageSize : 2*pageSize]) }), ErrDamaged},
		"both headers zero":            {with(func(b []byte) { clear(b[:2*pageSize]) }), ErrNotStore},
		"half a header":                {whole[:50], ErrNotStore},
		"one header":                   {whole[:pageSize], ErrNotStore},
		"headers only":                 {whole[:2*pageSize], ErrDamaged},
		"not even all pages":           {whole[:int(m.pages)*pageSize-1], ErrDamaged},
		"the first half":               {whole[:len(whole)/2], ErrDamaged},
		"zeros after the headers":      {with(func(b []byte) { clear(b[2*pageSize:]) }), ErrDamaged},
		"noise after the headers": {with(func(b []byte) {
			rand.NewChaCha8([32]byte{}).Read(b[2*pageSize:])
		}), ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, test.file, test.want)
		})
	}
	t.Run("a directory", func(t *testing.T) {
		t.Parallel()
		if _, err := Open(t.TempDir()); !errors.Is(err, ErrNotStore) || !strings.Contains(fmt.Sprint(err), "regular file") {
			t.Errorf("Open: %v, want ErrNotStore because it is not a regular file", err)
		}
	})
	t.Run("below a file", func(t *testing.T) {
		t.Parallel()
		if _, err := Open(filepath.Join(writeFile(t, whole), "store.db")); err == nil {
			t.Error("Open below a file succeeded")
		}
	})
	t.Run("whole", func(t *testing.T) {
		t.Parallel()
		if a, err := open(t, writeFile(t, whole)).Load(t.Context(), "user 7"); err != nil || a.Version != 1 {
			t.Errorf("Load = %+v, %v", a, err)
		}
	})
}

func TestNoUser(t *testing.T) {
	t.Parallel()
	s := open(t, storeIn(t))
	for _, user := range []twofactor.UserID{"", "x\x00", "\xff", twofactor.UserID(strings.Repeat("x", 129))} {
		_, loaded := s.Load(t.Context(), user)
		_, listed := s.History(t.Context(), user, twofactor.Page{Limit: 1})
		_, after := s.HistoryAfter(t.Context(), user, twofactor.Event{}, 1)
		for name, err := range map[string]error{
			"Load": loaded, "History": listed, "HistoryAfter": after,
			"Replace":      s.Replace(t.Context(), version(user, 1)),
			"Append":       s.Append(t.Context(), user, nil),
			"EraseHistory": s.EraseHistory(t.Context(), user, twofactor.Event{}),
		} {
			if !errors.Is(err, twofactor.ErrUserID) {
				t.Errorf("%s(%q): %v, want ErrUserID", name, user, err)
			}
		}
	}
}

func TestWhatCannotBeWritten(t *testing.T) {
	t.Parallel()
	s := open(t, storeIn(t))
	beyond := time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) // JSON has no such year
	a := version("u", 1)
	a.FreshSince = beyond
	if err := s.Replace(t.Context(), a); err == nil {
		t.Error("Replace of a time that cannot be written succeeded")
	}
	if err := s.Append(t.Context(), "u", []twofactor.Event{{ID: "1", At: beyond}}); err == nil {
		t.Error("Append of a time that cannot be written succeeded")
	}
}

func TestLongHistoryIsErasedInParts(t *testing.T) {
	t.Parallel()
	s := open(t, storeIn(t))
	events := make([]twofactor.Event, 2*maxErase+1)
	for i := range events {
		events[i] = twofactor.Event{ID: fmt.Sprintf("%06d", i)}
	}
	if err := s.Append(t.Context(), "u", events); err != nil {
		t.Fatal(err)
	}
	before := s.Counts().Commits
	if err := s.EraseHistory(t.Context(), "u", events[len(events)-1]); err != nil {
		t.Fatal(err)
	}
	p, err := s.History(t.Context(), "u", twofactor.Page{Limit: 9})
	if err != nil || len(p.Events) != 1 || p.Events[0].ID != events[len(events)-1].ID {
		t.Errorf("History = %+v, %v; want the last event", p, err)
	}
	if got := s.Counts().Commits - before; got != 2 {
		t.Errorf("%d commits, want 2", got)
	}
}
