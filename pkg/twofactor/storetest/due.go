package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nightlatch/nightlatch/pkg/totp"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// maxLag is how long an index may lag behind before the test gives up on it. An engine that does not lag does not wait.
const maxLag = 10 * time.Second

// due reads a whole list in pages of the given size.
func due(t *testing.T, store twofactor.Store, waiting twofactor.Waiting, limit int) []twofactor.Due {
	t.Helper()
	var all []twofactor.Due
	page := twofactor.Page{Limit: limit}
	for range 1000 {
		p, err := store.Due(t.Context(), waiting, page)
		if err != nil {
			t.Fatalf("Due(%s, %+v): %v", waiting, page, err)
		}
		if len(p.Accounts) > limit {
			t.Fatalf("Due(%s, %+v): %d accounts", waiting, page, len(p.Accounts))
		}
		all = append(all, p.Accounts...)
		if p.Next == "" {
			return all
		}
		page.Cursor = p.Next
	}
	t.Fatalf("Due(%s) in pages of %d does not end", waiting, limit)
	return nil
}

// wantDue compares a list, in pages of several sizes. Accounts that are due at one time may come in any order.
func wantDue(t *testing.T, store twofactor.Store, waiting twofactor.Waiting, want ...twofactor.Due) {
	t.Helper()
	byUser := func(a, b twofactor.Due) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.User, b.User))
	}
	want = slices.SortedFunc(slices.Values(want), byUser)
	for _, limit := range []int{1, 2, 3, 50} {
		var diff string
		for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
			got := due(t, store, waiting, limit)
			inOrder := slices.IsSortedFunc(got, func(a, b twofactor.Due) int { return a.At.Compare(b.At) })
			slices.SortFunc(got, byUser)
			diff = gocmp.Diff(want, got, cmpopts.EquateEmpty())
			if !inOrder {
				diff = fmt.Sprintf("not in the order of time: %v", got)
			}
			if diff == "" || time.Since(start) > maxLag {
				break
			}
		}
		if diff != "" {
			t.Fatalf("Due(%s) in pages of %d (-want +got):\n%s", waiting, limit, diff)
		}
	}
}

// inState is the account's next version, in which it waits from or until a time.
func inState(a *twofactor.Account, state twofactor.ResetState, when time.Time) *twofactor.Account {
	n := next(a)
	n.Reset = &twofactor.Reset{State: state}
	switch state {
	case twofactor.ResetInReview:
		n.Reset.EnteredAt = when
	case twofactor.ResetApproved:
		n.Reset.EffectiveAt = when
	default:
		n.Reset.ExpiresAt = when
	}
	return n
}

// replacing is the account's next version, in which a replacement is pending since a time.
func replacing(a *twofactor.Account, begun time.Time) *twofactor.Account {
	n := next(a)
	n.Reset = nil
	n.Authenticator = &twofactor.Authenticator{Params: totp.Default}
	n.Pending = &twofactor.Enrolment{Authenticator: *n.Authenticator, BegunAt: begun}
	return n
}

func dueStates(t *testing.T, store twofactor.Store) {
	lists := map[twofactor.Waiting][]twofactor.Due{
		twofactor.WaitingIdentity: nil, twofactor.WaitingReview: nil, twofactor.WaitingEffect: nil, twofactor.WaitingUse: nil,
		twofactor.WaitingReplacement: nil, "nothing": nil,
	}
	put := func(a *twofactor.Account) {
		t.Helper()
		replace(t, store, a)
		if waiting, when := a.WaitsFor(); waiting != "" {
			lists[waiting] = append(lists[waiting], twofactor.Due{User: a.User, At: when})
		}
	}
	for i, state := range []twofactor.ResetState{
		twofactor.ResetIdentityPending, twofactor.ResetInReview, twofactor.ResetApproved, twofactor.ResetReady,
		twofactor.ResetCompleted, twofactor.ResetDenied, twofactor.ResetCanceled, twofactor.ResetExpired,
	} {
		for n := range 2 {
			user := twofactor.UserID(fmt.Sprintf("%s %d", state, n))
			put(inState(&twofactor.Account{User: user}, state, at(10*i-n)))
		}
	}
	put(replacing(&twofactor.Account{User: "replaces"}, at(5)))
	put(first("waits for nothing"))
	for waiting, want := range lists {
		wantDue(t, store, waiting, want...)
	}
}

func duePages(t *testing.T, store twofactor.Store) {
	var want []twofactor.Due
	for i, ms := range []int{5, -60_000, 1, 5, 86_400_000, 0, 5, 1000} { // three at one time
		user := twofactor.UserID(fmt.Sprintf("user %d", i))
		replace(t, store, inState(&twofactor.Account{User: user}, twofactor.ResetApproved, at(ms)))
		replace(t, store, inState(&twofactor.Account{User: "other " + user}, twofactor.ResetReady, at(ms)))
		want = append(want, twofactor.Due{User: user, At: at(ms)})
	}
	wantDue(t, store, twofactor.WaitingEffect, want...)
}

func dueMoves(t *testing.T, store twofactor.Store) {
	is := func(waiting twofactor.Waiting, when time.Time) {
		t.Helper()
		for _, list := range []twofactor.Waiting{
			twofactor.WaitingIdentity, twofactor.WaitingReview, twofactor.WaitingEffect, twofactor.WaitingUse,
			twofactor.WaitingReplacement,
		} {
			if list == waiting {
				wantDue(t, store, list, twofactor.Due{User: "u", At: when})
			} else {
				wantDue(t, store, list)
			}
		}
	}
	a := inState(&twofactor.Account{User: "u"}, twofactor.ResetIdentityPending, at(9))
	replace(t, store, a)
	is(twofactor.WaitingIdentity, at(9))

	a = inState(a, twofactor.ResetInReview, at(3)) // another state
	replace(t, store, a)
	is(twofactor.WaitingReview, at(3))

	a = inState(a, twofactor.ResetInReview, at(4)) // another time
	replace(t, store, a)
	is(twofactor.WaitingReview, at(4))

	a = next(a) // neither
	replace(t, store, a)
	is(twofactor.WaitingReview, at(4))

	stale := inState(a, twofactor.ResetReady, at(7)) // not stored
	stale.Version--
	if err := store.Replace(t.Context(), stale); err == nil {
		t.Fatal("a stale version was stored")
	}
	is(twofactor.WaitingReview, at(4))

	a = inState(a, twofactor.ResetDenied, at(5)) // over
	replace(t, store, a)
	is("", time.Time{})

	a = replacing(a, at(6)) // begins anew
	replace(t, store, a)
	waiting, when := a.WaitsFor()
	is(waiting, when)

	a = next(a)
	a.Reset, a.Pending = nil, nil
	replace(t, store, a)
	is("", time.Time{})
}

func dueCursors(t *testing.T, store twofactor.Store) {
	for i := range 3 {
		user := twofactor.UserID(fmt.Sprintf("user %d", i))
		replace(t, store, inState(&twofactor.Account{User: user}, twofactor.ResetInReview, at(i)))
		replace(t, store, inState(&twofactor.Account{User: "other " + user}, twofactor.ResetReady, at(i)))
	}
	wantDue(t, store, twofactor.WaitingUse, // the index has caught up
		twofactor.Due{User: "other user 0", At: at(0)}, twofactor.Due{User: "other user 1", At: at(1)}, twofactor.Due{User: "other user 2", At: at(2)})
	p, err := store.Due(t.Context(), twofactor.WaitingUse, twofactor.Page{Limit: 1})
	if err != nil || p.Next == "" {
		t.Fatalf("Due = %+v, %v; want a first page", p, err)
	}
	for _, c := range []string{p.Next, "garbage", "AAAAAAAA", `{"user":"u"}`, "é"} {
		p, err := store.Due(t.Context(), twofactor.WaitingReview, twofactor.Page{Cursor: c, Limit: 10})
		if !errors.Is(err, twofactor.ErrCursor) || len(p.Accounts) > 0 {
			t.Errorf("cursor %q = %+v, %v; want ErrCursor", c, p, err)
		}
	}
}
