// Package storetest is the contract of [twofactor.Store] as tests. Every engine runs it:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) twofactor.Store { … })
//	}
package storetest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Run holds an engine to the contract. open returns an empty store, which is its test's alone, and cleans up after the
// test.
func Run(t *testing.T, open func(t *testing.T) twofactor.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, twofactor.Store)
	}{
		{"a user never seen is the zero account", neverSeen},
		{"an account comes back whole", wholeAccount},
		{"the events of the last version only are in the account", lastEvents},
		{"only the next version is stored", nextVersionOnly},
		{"a conflict carries the current account", conflictCarriesCurrent},
		{"one of 200 racing replaces wins", oneWinner},
		{"no decision is lost among racing writers", noLostUpdate},
		{"a lost answer is not a conflict", lostAnswer},
		{"accounts handed in and out are copies", copies},
		{"an item of a newer schema is left alone", newerSchema},
		{"an ended context is an error", endedContext},
		{"users never mix", usersNeverMix},

		{"history comes back whole", wholeHistory},
		{"history is newest first", historyOrder},
		{"an event already there is left as it is", appendOnce},
		{"history has pages of any size", historyPages},
		{"history pages stay in place while events arrive", historyPagesWhileAppending},
		{"a cursor of another history is refused", historyCursors},
		{"history after an event is oldest first", historyAfter},
		{"history after an event has what was appended and not what was erased", historyAfterAtOnce},
		{"erasing history removes what is older", eraseHistory},

		{"a mail about an event is marked as sent", mailsAreMarked},
		{"marking a mail makes no event", marksMakeNoEvents},
		{"no mark is lost among racing ones", racingMarks},

		{"due lists accounts by what they wait for", dueStates},
		{"due is by time and has pages of any size", duePages},
		{"due follows the account", dueMoves},
		{"a cursor of no due list is refused", dueCursors},

		{"nothing depends on the present time", clockFree},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
}

// keptWrites is how many write ids an account keeps (design.md §5).
const keptWrites = 8

// at is n milliseconds, the precision that is stored, after a fixed time.
func at(n int) time.Time {
	return time.Date(2026, 3, 1, 23, 59, 59, 0, time.UTC).Add(time.Duration(n) * time.Millisecond)
}

// next is the account's next version, as the service makes it, with one event that tells whose it is.
func next(a *twofactor.Account) *twofactor.Account {
	n := clone(a)
	n.Schema = twofactor.Schema
	n.Version++
	n.Writes = append(n.Writes[max(0, len(n.Writes)-keptWrites+1):], twofactor.NewWriteID())
	n.Events = []twofactor.Event{{
		ID: fmt.Sprintf("%012d-0", n.Version), At: at(int(n.Version)), Type: twofactor.EventCheck,
		Outcome: twofactor.Failed, Actor: twofactor.ActorUser, Reason: "of " + string(a.User),
	}}
	return n
}

// first is the first version of a user's account.
func first(user twofactor.UserID) *twofactor.Account { return next(&twofactor.Account{User: user}) }

func clone(a *twofactor.Account) *twofactor.Account {
	b, err := json.Marshal(a)
	c := new(twofactor.Account)
	if err == nil {
		err = json.Unmarshal(b, c)
	}
	if err != nil {
		panic(err) // an account that is not its JSON is no account
	}
	return c
}

func load(t *testing.T, store twofactor.Store, user twofactor.UserID) *twofactor.Account {
	t.Helper()
	a, err := store.Load(t.Context(), user)
	if err != nil {
		t.Fatalf("Load(%q): %v", user, err)
	}
	return a
}

func replace(t *testing.T, store twofactor.Store, next *twofactor.Account) {
	t.Helper()
	if err := store.Replace(t.Context(), next); err != nil {
		t.Fatalf("Replace(%q, version %d): %v", next.User, next.Version, err)
	}
}

// wantStored loads the account and compares it. That an empty list may come back as none is the engine's affair.
func wantStored(t *testing.T, store twofactor.Store, want *twofactor.Account) {
	t.Helper()
	if diff := cmp.Diff(want, load(t, store, want.User), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("Load(%q) (-want +got):\n%s", want.User, diff)
	}
}
