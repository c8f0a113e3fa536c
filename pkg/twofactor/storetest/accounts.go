package storetest

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

func neverSeen(t *testing.T, store twofactor.Store) {
	replace(t, store, first("someone else"))
	wantStored(t, store, &twofactor.Account{User: "new"})

	history, err := store.History(t.Context(), "new", twofactor.Page{Limit: 10})
	if err != nil || len(history.Events) != 0 || history.Next != "" {
		t.Errorf("History = %+v, %v; want none", history, err)
	}
	if after, err := store.HistoryAfter(t.Context(), "new", twofactor.Event{}, 10); err != nil || len(after) != 0 {
		t.Errorf("HistoryAfter = %+v, %v; want none", after, err)
	}
	if err := store.EraseHistory(t.Context(), "new", twofactor.Event{ID: "x", At: at(0)}); err != nil {
		t.Errorf("EraseHistory: %v", err)
	}
	if err := store.Append(t.Context(), "new", nil); err != nil {
		t.Errorf("Append of nothing: %v", err)
	}
}

func wholeAccount(t *testing.T, store twofactor.Store) {
	a := new(twofactor.Account)
	var n int64
	fill(t, reflect.ValueOf(a).Elem(), &n)
	a.User, a.Schema, a.Version, a.Writes = "whole", twofactor.Schema, 1, []twofactor.WriteID{twofactor.NewWriteID()}
	if field := unset(reflect.ValueOf(a), "Account"); field != "" {
		t.Fatalf("%s is not set: the test shows nothing about it", field)
	}
	replace(t, store, a)
	wantStored(t, store, a)

	bare := next(&twofactor.Account{User: a.User, Version: a.Version, Writes: a.Writes})
	replace(t, store, bare)
	wantStored(t, store, bare) // nothing of the version before shines through
}

func lastEvents(t *testing.T, store twofactor.Store) {
	one := first("u")
	replace(t, store, one)
	wantStored(t, store, one)
	two := next(one)
	two.Events = append(two.Events, twofactor.Event{ID: "second", At: at(2), Type: twofactor.EventLocked})
	replace(t, store, two)
	wantStored(t, store, two)
	three := next(two)
	three.Events = nil
	replace(t, store, three)
	wantStored(t, store, three)
}

func nextVersionOnly(t *testing.T, store twofactor.Store) {
	nothing := &twofactor.Account{User: "u"}
	for _, version := range []int64{-1, 0, 2, 3, 1 << 40} {
		a := first("u")
		a.Version = version
		wantConflict(t, store.Replace(t.Context(), a), nothing)
		wantStored(t, store, nothing)
	}
	one := first("u")
	replace(t, store, one)
	two := next(one)
	replace(t, store, two)
	for _, version := range []int64{0, 1, 2, 4} {
		a := next(one)
		a.Version = version
		wantConflict(t, store.Replace(t.Context(), a), two)
		wantStored(t, store, two)
	}
	replace(t, store, next(two))
}

func conflictCarriesCurrent(t *testing.T, store twofactor.Store) {
	winner := first("u")
	replace(t, store, winner)
	err := store.Replace(t.Context(), first("u"))
	wantConflict(t, err, winner)

	// Whoever lost decides again on what the conflict carries, without another read.
	var conflict *twofactor.Conflict
	if errors.As(err, &conflict) && conflict.Current != nil {
		again := next(conflict.Current)
		replace(t, store, again)
		wantStored(t, store, again)
	}
}

func wantConflict(t *testing.T, err error, current *twofactor.Account) {
	t.Helper()
	var conflict *twofactor.Conflict
	if !errors.As(err, &conflict) {
		t.Fatalf("Replace: %v, want a conflict", err)
	}
	if diff := cmp.Diff(current, conflict.Current, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the conflict's account (-want +got):\n%s", diff)
	}
}

func oneWinner(t *testing.T, store twofactor.Store) {
	const racers = 200
	errs := make([]error, racers)
	tries := make([]*twofactor.Account, racers)
	inParallel(racers, func(i int) {
		tries[i] = first("u")
		errs[i] = store.Replace(t.Context(), tries[i])
	})
	var winner *twofactor.Account
	for i, err := range errs {
		if err != nil {
			continue
		}
		if winner != nil {
			t.Fatal("two replaces of one version were stored")
		}
		winner = tries[i]
	}
	if winner == nil {
		t.Fatalf("nobody won: %v", errs[0])
	}
	for i, err := range errs {
		if tries[i] != winner {
			wantConflict(t, err, winner)
		}
	}
	wantStored(t, store, winner)
}

func noLostUpdate(t *testing.T, store twofactor.Store) {
	const writers, each = 8, 10
	inParallel(writers, func(int) {
		for range each {
			for {
				a, err := store.Load(t.Context(), "u")
				if err != nil {
					t.Errorf("Load: %v", err)
					return
				}
				n := next(a)
				n.Generation++
				err = store.Replace(t.Context(), n)
				if err == nil {
					break
				}
				var conflict *twofactor.Conflict
				if !errors.As(err, &conflict) {
					t.Errorf("Replace: %v", err)
					return
				}
			}
		}
	})
	if a := load(t, store, "u"); a.Generation != writers*each || a.Version != writers*each {
		t.Errorf("%d decisions stored as version %d, want %d", a.Generation, a.Version, writers*each)
	}
}

func inParallel(n int, run func(i int)) {
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			run(i)
		})
	}
	close(start)
	all.Wait()
}

func lostAnswer(t *testing.T, store twofactor.Store) {
	before := first("u")
	replace(t, store, before)
	mine := next(before)
	replace(t, store, mine)
	top := mine
	for range keptWrites {
		// Its answer did not arrive, so the same write is sent again: with nothing on top, with one, … with seven.
		if err := store.Replace(t.Context(), mine); err != nil {
			t.Fatalf("Replace of what had landed, %d on top: %v", top.Version-mine.Version, err)
		}
		wantStored(t, store, top) // and changed nothing
		top = next(top)
		replace(t, store, top)
	}
	wantConflict(t, store.Replace(t.Context(), mine), top)

	// It is the newest id that names a write. The older ones are those of the versions before it.
	stranger := next(mine)
	wantConflict(t, store.Replace(t.Context(), stranger), top)
}

func copies(t *testing.T, store twofactor.Store) {
	given := new(twofactor.Account)
	var n int64
	fill(t, reflect.ValueOf(given).Elem(), &n)
	given.User, given.Schema, given.Version = "u", twofactor.Schema, 1
	want := clone(given)
	replace(t, store, given)
	scramble(reflect.ValueOf(given))
	wantStored(t, store, want)

	scramble(reflect.ValueOf(load(t, store, "u")))
	wantStored(t, store, want)

	var conflicts [2]*twofactor.Conflict
	for i := range conflicts {
		if err := store.Replace(t.Context(), first("u")); !errors.As(err, &conflicts[i]) {
			t.Fatalf("Replace: %v, want a conflict", err)
		}
	}
	scramble(reflect.ValueOf(conflicts[0].Current))
	wantConflict(t, conflicts[1], want)
	wantStored(t, store, want)
}

// newerSchema plays a newer release, which stores through the same Replace and only counts its schema further.
func newerSchema(t *testing.T, store twofactor.Store) {
	old := first("u")
	replace(t, store, old)
	newer := next(old)
	newer.Schema = twofactor.Schema + 1
	replace(t, store, newer)

	after := next(newer)
	after.Schema = twofactor.Schema
	for _, replaced := range []*twofactor.Account{after, next(old), old} {
		replaced.Schema = twofactor.Schema
		if err := store.Replace(t.Context(), replaced); !errors.Is(err, twofactor.ErrNewerSchema) {
			t.Errorf("Replace by version %d: %v, want ErrNewerSchema", replaced.Version, err)
		}
		if a, err := store.Load(t.Context(), "u"); !errors.Is(err, twofactor.ErrNewerSchema) || a != nil {
			t.Errorf("Load = %v, %v; want ErrNewerSchema", a, err)
		}
	}
}

func endedContext(t *testing.T, store twofactor.Store) {
	one := first("u")
	replace(t, store, one)
	event := one.Events[0]
	if err := store.Append(t.Context(), "u", []twofactor.Event{event}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	page := twofactor.Page{Limit: 1}
	for name, call := range map[string]func() (any, error){
		"Load":         func() (any, error) { return store.Load(ctx, "u") },
		"Load, new":    func() (any, error) { return store.Load(ctx, "new") },
		"Replace":      func() (any, error) { return nil, store.Replace(ctx, next(one)) },
		"Replace, new": func() (any, error) { return nil, store.Replace(ctx, first("new")) },
		"Due":          func() (any, error) { return store.Due(ctx, twofactor.WaitingReview, page) },
		"Append":       func() (any, error) { return nil, store.Append(ctx, "u", []twofactor.Event{event}) },
		"History":      func() (any, error) { return store.History(ctx, "u", page) },
		"HistoryAfter": func() (any, error) { return store.HistoryAfter(ctx, "u", twofactor.Event{}, 1) },
		"EraseHistory": func() (any, error) { return nil, store.EraseHistory(ctx, "u", event) },
		"Mailed":       func() (any, error) { return mailLog(t, store).Mailed(ctx, about("u", event, "disabled", "user")) },
		"MarkMailed": func() (any, error) {
			return nil, mailLog(t, store).MarkMailed(ctx, about("u", event, "disabled", "user"), at(0))
		},
	} {
		got, err := call()
		var conflict *twofactor.Conflict
		if err == nil || errors.As(err, &conflict) || errors.Is(err, twofactor.ErrNewerSchema) {
			t.Errorf("%s: error %v, want the context's", name, err)
		}
		if got != nil && !reflect.ValueOf(got).IsZero() {
			t.Errorf("%s = %v with an error, want nothing", name, got)
		}
	}
}
