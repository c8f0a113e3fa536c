package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// event is one that happened n milliseconds after the beginning.
func event(n int, id string) twofactor.Event {
	return twofactor.Event{ID: id, At: at(n), Type: twofactor.EventLogin, Outcome: twofactor.Succeeded}
}

func appendEvents(t *testing.T, store twofactor.Store, user twofactor.UserID, events ...twofactor.Event) {
	t.Helper()
	if err := store.Append(t.Context(), user, events); err != nil {
		t.Fatalf("Append(%q): %v", user, err)
	}
}

// history reads all of a user's history in pages of the given size; turn is called between two of them.
func history(t *testing.T, store twofactor.Store, user twofactor.UserID, limit int, turn func()) []twofactor.Event {
	t.Helper()
	var all []twofactor.Event
	page := twofactor.Page{Limit: limit}
	for range 1000 {
		p, err := store.History(t.Context(), user, page)
		if err != nil {
			t.Fatalf("History(%q, %+v): %v", user, page, err)
		}
		if len(p.Events) > limit {
			t.Fatalf("History(%q, %+v): %d events", user, page, len(p.Events))
		}
		all = append(all, p.Events...)
		if p.Next == "" {
			return all
		}
		page.Cursor = p.Next
		turn()
	}
	t.Fatalf("History(%q) in pages of %d does not end", user, limit)
	return nil
}

func wantHistory(t *testing.T, store twofactor.Store, user twofactor.UserID, want ...twofactor.Event) {
	t.Helper()
	got := history(t, store, user, 50, func() {})
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("History(%q) (-want +got):\n%s", user, diff)
	}
}

func wholeHistory(t *testing.T, store twofactor.Store) {
	var e twofactor.Event
	var n int64
	fill(t, reflect.ValueOf(&e).Elem(), &n)
	e.ID = "000000000001-0"
	appendEvents(t, store, "u", e)
	wantHistory(t, store, "u", e)
}

func historyOrder(t *testing.T, store twofactor.Store) {
	want := []twofactor.Event{
		event(86_400_000, "1"), // the next day
		event(1000, "2"),       // the next minute, hour and day of UTC begin here
		event(11, "1"),
		event(10, "000000000002-1"), // three at one time: by id
		event(10, "000000000002-0"),
		event(10, "000000000001-0"),
		event(9, "9"), // a later id does not make it newer
		event(0, "5"),
		event(-1, "5"),
		event(-60_000, "7"),
	}
	shuffled := []int{4, 9, 0, 7, 2, 5, 8, 1, 6, 3}
	appendEvents(t, store, "u", want[shuffled[0]], want[shuffled[1]], want[shuffled[2]])
	for _, i := range shuffled[3:] {
		e := want[i]
		e.At = e.At.In(time.FixedZone("", (i-5)*3600)) // the same time, wherever it was written down
		appendEvents(t, store, "u", e)
	}
	wantHistory(t, store, "u", want...)
}

func appendOnce(t *testing.T, store twofactor.Store) {
	original := event(1, "1")
	original.Reason = "the first"
	other, later, namesake := event(1, "2"), event(2, "1"), original
	namesake.Reason = "the second"
	appendEvents(t, store, "u", original)
	appendEvents(t, store, "u", original)
	appendEvents(t, store, "u", namesake, other, later, other)
	namesake.At = namesake.At.In(time.FixedZone("", 7200))
	appendEvents(t, store, "u", namesake)
	appendEvents(t, store, "someone else", namesake)
	wantHistory(t, store, "u", later, other, original)
	wantHistory(t, store, "someone else", namesake)
}

// seven events, newest first, two pairs of them at one time, between those of users whose ids run into theirs.
func seven(t *testing.T, store twofactor.Store, user twofactor.UserID) []twofactor.Event {
	t.Helper()
	want := []twofactor.Event{
		event(5, "1"), event(4, "2"), event(4, "1"), event(3, "1"), event(2, "4"), event(2, "3"), event(1, "1"),
	}
	appendEvents(t, store, user, want...)
	appendEvents(t, store, user+user, event(3, "not mine"))
	appendEvents(t, store, user[:1], event(3, "not mine"))
	return want
}

func historyPages(t *testing.T, store twofactor.Store) {
	want := seven(t, store, "uu")
	for limit := 1; limit <= len(want)+1; limit++ {
		got := history(t, store, "uu", limit, func() {})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("in pages of %d (-want +got):\n%s", limit, diff)
		}
	}
}

func historyPagesWhileAppending(t *testing.T, store twofactor.Store) {
	for limit := 1; limit <= 8; limit++ {
		user := twofactor.UserID(fmt.Sprintf("%d-user", limit))
		want := seven(t, store, user)
		turns := 0
		got := history(t, store, user, limit, func() {
			turns++
			appendEvents(t, store, user, event(100+turns, "newer"), event(5, fmt.Sprint("later id ", turns)))
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("in pages of %d (-want +got):\n%s", limit, diff)
		}
	}
}

func historyCursors(t *testing.T, store twofactor.Store) {
	seven(t, store, "uu")
	cursor := func(user twofactor.UserID) string {
		p, err := store.History(t.Context(), user, twofactor.Page{Limit: 2})
		if err != nil || p.Next == "" {
			t.Fatalf("History(%q) = %+v, %v; want a first page", user, p, err)
		}
		return p.Next
	}
	appendEvents(t, store, "u", event(7, "7"), event(8, "8"), event(9, "9"))
	appendEvents(t, store, "uuuu", event(7, "7"), event(8, "8"), event(9, "9"))
	seven(t, store, "vv")
	mine := cursor("uu")
	for name, c := range map[string]string{
		"another user's": cursor("vv"),
		"a prefix's":     cursor("u"),
		"a longer one's": cursor("uuuu"),
		"words":          "garbage",
		"spaces":         "  ",
		"base64":         "AAAAAAAA",
		"json":           `{"user":"uu"}`,
		"cut":            mine[:len(mine)/3],
		"a character":    "é",
	} {
		p, err := store.History(t.Context(), "uu", twofactor.Page{Cursor: c, Limit: 10})
		if !errors.Is(err, twofactor.ErrCursor) || len(p.Events) > 0 {
			t.Errorf("cursor %s (%q) = %+v, %v; want ErrCursor", name, c, p, err)
		}
	}
	// A cursor is a place in the list: it holds when the event that it was made of is gone.
	if err := store.EraseHistory(t.Context(), "uu", event(3, "1")); err != nil {
		t.Fatal(err)
	}
	p, err := store.History(t.Context(), "uu", twofactor.Page{Cursor: mine, Limit: 10})
	if diff := cmp.Diff([]twofactor.Event{event(4, "1"), event(3, "1")}, p.Events); diff != "" || err != nil {
		t.Errorf("after erasing (-want +got), %v:\n%s", err, diff)
	}
}

// wantAfter compares what is newer than an event, oldest first, for every limit.
func wantAfter(t *testing.T, store twofactor.Store, user twofactor.UserID, after twofactor.Event, want ...twofactor.Event) {
	t.Helper()
	for limit := 1; limit <= len(want)+2; limit++ {
		got, err := store.HistoryAfter(t.Context(), user, after, limit)
		if diff := cmp.Diff(want[:min(limit, len(want))], got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("HistoryAfter(%q, %+v, %d), %v (-want +got):\n%s", user, after, limit, err, diff)
		}
	}
}

func historyAfter(t *testing.T, store twofactor.Store) {
	all := seven(t, store, "uu")
	slices.Reverse(all)
	wantAfter(t, store, "uu", event(0, "9"), all...)      // older than all
	wantAfter(t, store, "uu", event(1, "05"), all...)     // at the same time, and before the first
	wantAfter(t, store, "uu", event(1, ""), all...)       // an id that nothing has
	wantAfter(t, store, "uu", event(2, "35"), all[2:]...) // between two of one time
	for i, e := range all {
		e.At = e.At.In(time.FixedZone("", 7200))
		wantAfter(t, store, "uu", e, all[i+1:]...)
	}
	wantAfter(t, store, "uu", event(1000, "1"))
	wantAfter(t, store, "u", event(0, "9"), event(3, "not mine"))
	wantAfter(t, store, "uuuu", event(0, "9"), event(3, "not mine"))
	wantAfter(t, store, "uuu", event(0, "9"))
}

// historyAfterAtOnce: whoever has appended or erased sees it, and so does everybody else.
func historyAfterAtOnce(t *testing.T, store twofactor.Store) {
	var there []twofactor.Event
	for n := 1; n <= 20; n++ {
		there = append(there, event(n, "1"))
		appendEvents(t, store, "u", there[len(there)-1])
		wantAfter(t, store, "u", event(0, "1"), there...)
		if n%4 != 0 {
			continue
		}
		there = there[2:]
		if err := store.EraseHistory(t.Context(), "u", there[0]); err != nil {
			t.Fatal(err)
		}
		wantAfter(t, store, "u", event(0, "1"), there...)
	}
}

func eraseHistory(t *testing.T, store twofactor.Store) {
	all := seven(t, store, "uu")
	erase := func(before twofactor.Event) {
		t.Helper()
		if err := store.EraseHistory(t.Context(), "uu", before); err != nil {
			t.Fatal(err)
		}
	}
	erase(event(0, "9")) // older than all
	wantHistory(t, store, "uu", all...)
	for _, i := range []int{5, 4, 2} { // the one given stays, and so does a later id at the same time
		erase(all[i])
		wantHistory(t, store, "uu", all[:i+1]...)
	}
	erase(all[2]) // again
	wantHistory(t, store, "uu", all[:3]...)
	erase(event(4, "15")) // one that is not there; "15" sorts between "1" and "2"
	wantHistory(t, store, "uu", all[:2]...)
	erase(event(1000, "1"))
	wantHistory(t, store, "uu")

	appendEvents(t, store, "uu", slices.Clone(all)...) // erased is not forbidden
	wantHistory(t, store, "uu", all...)
	wantHistory(t, store, "u", event(3, "not mine"))
	wantHistory(t, store, "uuuu", event(3, "not mine"))
}
