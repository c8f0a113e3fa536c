package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// TestEveryByteOfTheHeaders flips each byte that says something, in each header.
func TestEveryByteOfTheHeaders(t *testing.T) {
	t.Parallel()
	whole := sample(t)
	for _, start := range []int{0, os.Getpagesize()} {
		for i := range metaSize {
			b := bytes.Clone(whole)
			b[start+pageHead+i] ^= 1 << (i % 8)
			if _, err := readMetas(bytes.NewReader(b)); !errors.Is(err, ErrDamaged) {
				t.Errorf("byte %d of the header at %d flipped: %v, want ErrDamaged", i, start, err)
			}
		}
	}
}

// TestFlippedBits damages pages in the parts that bbolt follows. Each time the file is refused, or every account can be
// read, or its reader is told: never a crash, a circle or a hang.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	whole := sample(t)
	pageSize := os.Getpagesize()
	m, err := readMetas(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	refusals, passes := 0, 0
	for page := 2; page < int(m.pages); page++ {
		for i := page % 4; i < 64; i += 4 {
			b := whole
			at, bit := page*pageSize+i, byte(1)<<((page/4+i/4)%8)
			b[at] ^= bit
			err := checkFile(bytes.NewReader(b), int64(len(b)))
			switch {
			case err == nil:
				if passes++; passes%40 == 0 {
					useAll(t, writeFile(t, b))
				}
			case errors.Is(err, ErrDamaged):
				if refusals++; refusals%100 == 0 {
					refused(t, b, ErrDamaged)
				}
			default:
				t.Errorf("page %d, byte %d: %v, want ErrDamaged", page, i, err)
			}
			b[at] ^= bit
		}
	}
	if refusals < int(m.pages) {
		t.Errorf("%d refusals among %d pages: the test damages nothing", refusals, m.pages)
	}
}

// useAll reads every account of a sample and writes one.
func useAll(t *testing.T, path string) {
	t.Helper()
	s := open(t, path)
	for n := range 400 {
		if _, err := s.Load(t.Context(), twofactor.UserID(fmt.Sprintf("user %d", n))); err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("Load: %v", err)
		}
	}
	if err := s.Replace(t.Context(), version("new", 1)); err != nil {
		t.Errorf("Replace: %v", err)
	}
	s.Close()
}

// TestDamagedValues puts what no store writes where bbolt's own structure is whole.
func TestDamagedValues(t *testing.T) {
	t.Parallel()
	good := head{version: 1, schema: 1}.append(nil)
	for name, account := range map[string][]byte{
		"empty":          {},
		"cut in head":    good[:5],
		"cut in due":     head{version: 1, schema: 1, due: []byte("due")}.append(nil)[:14],
		"no JSON":        append(bytes.Clone(good), `{"user":`...),
		"nothing":        good,
		"another user's": append(bytes.Clone(good), `{"user":"v","schema":1,"version":1}`...),
		"wrong version":  append(bytes.Clone(good), `{"user":"u","schema":1,"version":2}`...),
		"wrong schema":   append(bytes.Clone(good), `{"user":"u","schema":0,"version":1}`...),
		"no schema":      append(head{version: 1}.append(nil), `{"user":"u","version":1}`...),
		"no version":     append(head{schema: 1}.append(nil), `{"user":"u","schema":1}`...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, storeIn(t))
			put(t, s, bucketAccounts, "u", account)
			if a, err := s.Load(t.Context(), "u"); !errors.Is(err, ErrDamaged) || a != nil {
				t.Errorf("Load = %v, %v; want ErrDamaged", a, err)
			}
			if err := s.Replace(t.Context(), version("u", 1)); !errors.Is(err, ErrDamaged) {
				t.Errorf("Replace: %v, want ErrDamaged", err)
			}
			if err := s.Replace(t.Context(), version("v", 1)); err != nil {
				t.Errorf("Replace of another: %v", err)
			}
		})
	}
	t.Run("lists", func(t *testing.T) {
		t.Parallel()
		s := open(t, storeIn(t))
		put(t, s, bucketDue, string(prefix(twofactor.WaitingReview))+"tomorrow", nil)
		if p, err := s.Due(t.Context(), twofactor.WaitingReview, twofactor.Page{Limit: 9}); !errors.Is(err, ErrDamaged) {
			t.Errorf("Due = %v, %v; want ErrDamaged", p, err)
		}
		put(t, s, bucketHistory, string(historyKey("u", twofactor.Event{At: time.Unix(1, 0), ID: "1"})), []byte("{"))
		if p, err := s.History(t.Context(), "u", twofactor.Page{Limit: 9}); !errors.Is(err, ErrDamaged) {
			t.Errorf("History = %v, %v; want ErrDamaged", p, err)
		}
		if p, err := s.HistoryAfter(t.Context(), "u", twofactor.Event{}, 9); !errors.Is(err, ErrDamaged) || p != nil {
			t.Errorf("HistoryAfter = %v, %v; want ErrDamaged", p, err)
		}
		put(t, s, bucketStream, string(sequence(1)), nil)
		if v, err := s.Versions(t.Context(), "u", 9); !errors.Is(err, ErrDamaged) {
			t.Errorf("Versions = %v, %v; want ErrDamaged", v, err)
		}
	})
}

func put(t *testing.T, s *Store, bucket []byte, key string, value []byte) {
	t.Helper()
	if err := s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucket).Put([]byte(key), value) }); err != nil {
		t.Fatal(err)
	}
}

// TestNewerSchemaStaysAsItIs compares the bytes of what must not be written back without its newer fields.
func TestNewerSchemaStaysAsItIs(t *testing.T) {
	t.Parallel()
	s := open(t, storeIn(t))
	newer := append(head{version: 7, schema: twofactor.Schema + 1}.append(nil), `{"user":"u","passkeys":[1]}`...)
	put(t, s, bucketAccounts, "u", newer)
	for _, n := range []int64{1, 7, 8} {
		if err := s.Replace(t.Context(), version("u", n)); !errors.Is(err, twofactor.ErrNewerSchema) {
			t.Errorf("Replace by version %d: %v, want ErrNewerSchema", n, err)
		}
	}
	if got, err := s.stored(t.Context(), "u"); err != nil || !bytes.Equal(got, newer) {
		t.Errorf("stored is %q, %v; want it as it was", got, err)
	}
}
