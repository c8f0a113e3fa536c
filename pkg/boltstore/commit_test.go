package boltstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// version is a version of an account with enough in it to be stored.
func version(user twofactor.UserID, n int64) *twofactor.Account {
	return &twofactor.Account{
		User: user, Schema: twofactor.Schema, Version: n, Writes: []twofactor.WriteID{twofactor.NewWriteID()},
	}
}

// block holds the committer up until the returned function is called: what is queued meanwhile is one batch. It is for a
// synctest bubble.
func block(s *Store) (release func()) {
	held := make(chan struct{})
	go s.commit(context.Background(), func(*bolt.Tx) (bool, error) {
		<-held
		return false, nil
	})
	synctest.Wait()
	return func() {
		close(held)
		synctest.Wait()
	}
}

// queued starts calls one after the other and returns where their errors will be.
func queued(calls ...func() error) []error {
	errs := make([]error, len(calls))
	for i, call := range calls {
		errs[i] = errors.New("not answered yet")
		go func() { errs[i] = call() }()
		synctest.Wait()
	}
	return errs
}

func storeIn(t *testing.T) string { return filepath.Join(t.TempDir(), "store.db") }

func TestManyWritersShareOneCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, storeIn(t))
		release := block(s)
		var calls []func() error
		for i := range 64 {
			user := twofactor.UserID(fmt.Sprint("user ", i))
			calls = append(calls, func() error { return s.Replace(t.Context(), version(user, 1)) })
		}
		errs := queued(calls...)
		if got := s.Counts().Commits; got != 0 {
			t.Fatalf("%d commits before anybody could write", got)
		}
		release()
		for i, err := range errs {
			if err != nil {
				t.Errorf("writer %d: %v", i, err)
			}
		}
		if got, want := s.Counts(), (Counts{Replaces: 64, Commits: 1}); got != want {
			t.Errorf("Counts = %+v, want %+v", got, want)
		}
	})
}

func TestBatchIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, storeIn(t))
		release := block(s)
		for i := range maxBatch + 1 {
			go s.Append(t.Context(), "u", []twofactor.Event{{ID: fmt.Sprint(i)}})
		}
		synctest.Wait()
		release()
		if got := s.Counts().Commits; got != 2 {
			t.Errorf("%d commits, want 2", got)
		}
	})
}

func TestBatchIsInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, storeIn(t))
		release := block(s)
		one, two, rival := version("u", 1), version("u", 2), version("u", 1)
		errs := queued(
			func() error { return s.Replace(t.Context(), one) },
			func() error { return s.Replace(t.Context(), rival) },
			func() error { return s.Replace(t.Context(), two) }, // sees the first, which is not durable yet
			func() error { return s.Replace(t.Context(), version("v", 1)) },
			func() error { return s.Replace(t.Context(), one) }, // its answer was lost
		)
		for _, err := range errs {
			if err == nil || err.Error() != "not answered yet" {
				t.Fatalf("answered before the commit: %v", err)
			}
		}
		release()
		var conflict *twofactor.Conflict
		if !errors.As(errs[1], &conflict) || conflict.Current.Writes[0] != one.Writes[0] {
			t.Errorf("the second of two first versions: %v, want a conflict with the first", errs[1])
		}
		for _, i := range []int{0, 2, 3} {
			if errs[i] != nil {
				t.Errorf("write %d: %v", i, errs[i])
			}
		}
		if !errors.As(errs[4], &conflict) { // version() keeps one write id only
			t.Errorf("the first again: %v, want a conflict", errs[4])
		}
		if got, want := s.Counts(), (Counts{Replaces: 5, Conflicts: 2, Commits: 1}); got != want {
			t.Errorf("Counts = %+v, want %+v", got, want)
		}
	})
}

func TestNothingChangedNothingSynced(t *testing.T) {
	t.Parallel()
	s := open(t, storeIn(t))
	one := version("u", 1)
	for _, call := range []func() error{
		func() error { return s.Replace(t.Context(), one) },
		func() error { return s.Append(t.Context(), "u", []twofactor.Event{{ID: "1"}}) },
	} {
		for range 3 {
			if err := call(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.EraseHistory(t.Context(), "v", twofactor.Event{ID: "1"}); err != nil {
		t.Fatal(err)
	}
	s.Replace(t.Context(), version("u", 7))
	s.Load(t.Context(), "u")
	if got, want := s.Counts(), (Counts{Loads: 1, Replaces: 4, Conflicts: 1, Commits: 2}); got != want {
		t.Errorf("Counts = %+v, want %+v", got, want)
	}
}

func TestContextEndsInTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, storeIn(t))
		release := block(s)
		ctx, cancel := context.WithCancel(t.Context())
		errs := queued(
			func() error { return s.Replace(ctx, version("u", 1)) },
			func() error { return s.Replace(t.Context(), version("v", 1)) },
		)
		cancel()
		synctest.Wait()
		if !errors.Is(errs[0], context.Canceled) {
			t.Errorf("Replace: %v, want the context's error before the others are done", errs[0])
		}
		release()
		if errs[1] != nil {
			t.Errorf("the next in the queue: %v", errs[1])
		}
		if a, err := s.Load(t.Context(), "u"); err != nil || a.Version != 0 {
			t.Errorf("Load = %+v, %v; want that nothing was stored", a, err)
		}
	})
}

func TestCloseCommitsWhatIsQueued(t *testing.T) {
	t.Parallel()
	path := storeIn(t)
	synctest.Test(t, func(t *testing.T) {
		s := open(t, path)
		release := block(s)
		errs := queued(
			func() error { return s.Replace(t.Context(), version("u", 1)) },
			func() error { return s.Replace(t.Context(), version("v", 1)) },
			s.Close,
			s.Close,
			func() error { return s.Replace(t.Context(), version("late", 1)) },
		)
		if !errors.Is(errs[4], ErrClosed) {
			t.Errorf("Replace while closing: %v, want ErrClosed", errs[4])
		}
		release()
		for i, err := range errs[:4] {
			if err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		}
		for name, err := range calls(t, s) {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("%s after Close: %v, want ErrClosed", name, err)
			}
		}
	})
	s := open(t, path)
	for user, want := range map[twofactor.UserID]int64{"u": 1, "v": 1, "late": 0} {
		if a, err := s.Load(t.Context(), user); err != nil || a.Version != want {
			t.Errorf("Load(%s) = %+v, %v; want version %d", user, a, err, want)
		}
	}
}

// calls calls every method once.
func calls(t *testing.T, s *Store) map[string]error {
	t.Helper()
	errs := map[string]error{}
	note := func(name string, err error) { errs[name] = err }
	ctx, page, events := t.Context(), twofactor.Page{Limit: 1}, []twofactor.Event{{ID: "1"}}
	_, err := s.Load(ctx, "u")
	note("Load", err)
	_, err = s.Due(ctx, twofactor.WaitingReview, page)
	note("Due", err)
	_, err = s.History(ctx, "u", page)
	note("History", err)
	_, err = s.HistoryAfter(ctx, "u", events[0], 1)
	note("HistoryAfter", err)
	_, _, err = s.LoadConfig(ctx, "c")
	note("LoadConfig", err)
	_, err = s.Versions(ctx, "u", 1)
	note("Versions", err)
	_, err = s.Item(ctx, "u")
	note("Item", err)
	note("Replace", s.Replace(ctx, version("u", 1)))
	note("Append", s.Append(ctx, "u", events))
	note("EraseHistory", s.EraseHistory(ctx, "u", events[0]))
	note("ReplaceConfig", s.ReplaceConfig(ctx, "c", nil, 1))
	note("Stream", s.Stream(ctx, func(context.Context, []twofactor.Version) error { return nil }))
	return errs
}

// A commit that fails may or may not be in the file. Nobody is told anything any more until it was opened again.
func TestFailedCommit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		spoil func(s *Store) func() error // what to queue besides
		want  error
	}{
		{"the file cannot grow", func(s *Store) func() error {
			s.db.MaxSize = 1
			return func() error {
				return s.ReplaceConfig(context.Background(), "large", make([]byte, 1<<20), 1)
			}
		}, berrors.ErrMaxSizeReached},
		{"bbolt meets a page that makes no sense", func(s *Store) func() error {
			return func() error {
				return s.commit(context.Background(), func(*bolt.Tx) (bool, error) { panic("page 7 of 5") })
			}
		}, ErrDamaged},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := storeIn(t)
			synctest.Test(t, func(t *testing.T) {
				s := open(t, path)
				if err := s.Replace(t.Context(), version("u", 1)); err != nil {
					t.Fatal(err)
				}
				release := block(s)
				spoiled := test.spoil(s)
				errs := queued(
					func() error { return s.Replace(t.Context(), version("u", 2)) },
					func() error { return s.Replace(t.Context(), version("u", 2)) }, // even a conflict may not be one
					spoiled,
				)
				release()
				for i, err := range errs[:2] {
					if !errors.Is(err, ErrFailed) || !errors.Is(err, test.want) {
						t.Errorf("write %d: %v, want %v", i, err, test.want)
					}
				}
				for name, err := range calls(t, s) {
					if !errors.Is(err, ErrFailed) {
						t.Errorf("%s afterwards: %v, want ErrFailed", name, err)
					}
				}
				if err := s.Close(); !errors.Is(err, ErrFailed) {
					t.Errorf("Close: %v, want ErrFailed", err)
				}
			})
			s := open(t, path)
			if a, err := s.Load(t.Context(), "u"); err != nil || a.Version != 1 {
				t.Errorf("Load = %+v, %v; want version 1, as acknowledged", a, err)
			}
			if err := s.Replace(t.Context(), version("u", 2)); err != nil {
				t.Errorf("Replace: %v", err)
			}
		})
	}
}

// What bbolt refuses before it writes fails the batch, leaves nothing of it, and the store goes on.
func TestRefusedByTheEngine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, storeIn(t))
		release := block(s)
		refusal := errors.New("no")
		errs := queued(
			func() error { return s.Replace(t.Context(), version("u", 1)) },
			func() error {
				return s.commit(t.Context(), func(tx *bolt.Tx) (bool, error) {
					return true, errors.Join(tx.Bucket(bucketConfig).Put([]byte("half"), nil), refusal)
				})
			},
		)
		release()
		for i, err := range errs {
			if !errors.Is(err, refusal) || errors.Is(err, ErrFailed) {
				t.Errorf("write %d: %v, want the refusal", i, err)
			}
		}
		if _, version, err := s.LoadConfig(t.Context(), "half"); err != nil || version != 0 {
			t.Errorf("half a write was stored: %v", err)
		}
		if a, err := s.Load(t.Context(), "u"); err != nil || a.Version != 0 {
			t.Errorf("Load = %+v, %v; want nothing", a, err)
		}
		if err := s.Replace(t.Context(), version("u", 1)); err != nil {
			t.Errorf("Replace: %v", err)
		}
		if err := s.Append(t.Context(), "u", []twofactor.Event{{ID: string(make([]byte, bolt.MaxKeySize))}}); err == nil {
			t.Error("an event id that no key can hold was accepted")
		}
	})
}

func TestReaderMeetsDamage(t *testing.T) {
	t.Parallel()
	s := open(t, storeIn(t))
	err := s.view(t.Context(), func(*bolt.Tx) error { panic("page 7 of 5") })
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("view: %v, want ErrDamaged", err)
	}
	if err := s.Replace(t.Context(), version("u", 1)); err != nil { // and no lock is left behind
		t.Errorf("Replace: %v", err)
	}
}
