package twofactor

import (
	"strings"
	"testing"
	"time"
)

// TestClocksDiffer: processes whose clocks differ decide one after the other. What they record is in the order of versions
// nevertheless, and an erasure is the last of all.
func TestClocksDiffer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	var last Event
	w.saw = func(e Event) {
		if c := e.At.Compare(last.At); c < 0 || c == 0 && strings.Compare(e.ID, last.ID) <= 0 {
			t.Errorf("%s at %v comes after %s at %v", e.ID, e.At, last.ID, last.At)
		}
		last = e
	}
	record := func(behind time.Duration, rule func(a *Account, now time.Time) error) {
		now := w.now.Add(-behind)
		w.must(w.act(func(a *Account) error { return rule(a, now) }))
	}
	login := func(a *Account, now time.Time) error {
		a.record(w.request(), now, Event{Type: EventLogin})
		a.record(w.request(), now, Event{Type: EventCheck})
		return nil
	}
	nothing := func(*Account, time.Time) error { return nil }
	erase := func(a *Account, now time.Time) error {
		return w.rules.Erase(a, w.request(), Event{Actor: ActorHost}, now)
	}
	record(0, login)
	record(time.Second, login)
	record(2*time.Second, nothing)
	record(3*time.Second, erase)
	if w.account.Past != nil {
		t.Errorf("an erased account remembers %+v", w.account.Past)
	}
	record(4*time.Second, login)
	if last.Version() != 5 || !last.At.Equal(w.now) {
		t.Errorf("the last event is %s at %v, want version 5 at %v", last.ID, last.At, w.now)
	}
	w.later(time.Minute)
	record(0, login)
	if !last.At.Equal(w.now) {
		t.Errorf("recorded at %v, want %v: the clocks agree again", last.At, w.now)
	}
}
