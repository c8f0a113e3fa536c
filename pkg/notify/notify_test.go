package notify_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nightlatch/nightlatch/pkg/notify"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// history is a store of histories that fails when it is told to.
type history struct {
	mu     sync.Mutex
	events map[twofactor.UserID][]twofactor.Event // newest first, as History lists them
	// fault is asked before and after each write whether it fails there: not stored, or stored and not told.
	fault   func(user twofactor.UserID, write string, stored bool) error
	appends int
	looks   int
}

var errFault = errors.New("fault")

func older(a, b twofactor.Event) int {
	if c := a.At.Compare(b.At); c != 0 {
		return c
	}
	return strings.Compare(a.ID, b.ID)
}

func (h *history) write(user twofactor.UserID, name string, do func([]twofactor.Event) []twofactor.Event) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fault != nil {
		if err := h.fault(user, name, false); err != nil {
			return err
		}
	}
	if h.events == nil {
		h.events = map[twofactor.UserID][]twofactor.Event{}
	}
	h.events[user] = do(h.events[user])
	if h.fault != nil {
		return h.fault(user, name, true)
	}
	return nil
}

func (h *history) Append(_ context.Context, user twofactor.UserID, events []twofactor.Event) error {
	return h.write(user, "append", func(kept []twofactor.Event) []twofactor.Event {
		h.appends++
		for _, e := range events {
			if !slices.ContainsFunc(kept, func(k twofactor.Event) bool { return older(k, e) == 0 }) {
				kept = append(kept, e)
			}
		}
		slices.SortFunc(kept, func(a, b twofactor.Event) int { return older(b, a) })
		return kept
	})
}

func (h *history) HistoryAfter(_ context.Context, user twofactor.UserID, after twofactor.Event, limit int) (found []twofactor.Event, err error) {
	err = h.write(user, "look", func(kept []twofactor.Event) []twofactor.Event {
		h.looks++
		for _, e := range slices.Backward(kept) {
			if older(after, e) < 0 && len(found) < limit {
				found = append(found, e)
			}
		}
		return kept
	})
	return found, err
}

func (h *history) EraseHistory(_ context.Context, user twofactor.UserID, before twofactor.Event) error {
	return h.write(user, "erase", func(kept []twofactor.Event) []twofactor.Event {
		return slices.DeleteFunc(kept, func(e twofactor.Event) bool { return older(e, before) < 0 })
	})
}

// ids lists what is kept of each user, newest first.
func (h *history) ids() map[twofactor.UserID][]string {
	all := map[twofactor.UserID][]string{}
	for user, events := range h.events {
		for _, e := range events {
			all[user] = append(all[user], e.ID)
		}
	}
	return all
}

// version makes a version of what happened in it, one second after the version before.
func version(user twofactor.UserID, n int64, types ...twofactor.EventType) twofactor.Version {
	v := twofactor.Version{User: user, Version: n}
	for i, t := range types {
		v.Events = append(v.Events, twofactor.Event{
			ID: fmt.Sprintf("%s-%d-%d", user, n, i), At: time.Unix(1_800_000_000+n, 0).UTC(), Type: t,
		})
	}
	return v
}

const (
	login  = twofactor.EventLogin
	check  = twofactor.EventCheck
	erased = twofactor.EventErased
)

func TestHistory(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		batch   []twofactor.Version
		want    map[twofactor.UserID][]string
		appends int
	}{
		"nothing":            {},
		"without events":     {batch: []twofactor.Version{version("a", 1)}, want: map[twofactor.UserID][]string{}},
		"all events of one":  {batch: []twofactor.Version{version("a", 1, login, check)}, want: map[twofactor.UserID][]string{"a": {"a-1-1", "a-1-0"}}, appends: 1},
		"twice the same":     {batch: []twofactor.Version{version("a", 1, login), version("a", 1, login)}, want: map[twofactor.UserID][]string{"a": {"a-1-0"}}, appends: 1},
		"one write for each": {batch: []twofactor.Version{version("a", 1, login), version("b", 1, login), version("a", 2, login)}, want: map[twofactor.UserID][]string{"a": {"a-2-0", "a-1-0"}, "b": {"b-1-0"}}, appends: 2},
		"erased":             {batch: []twofactor.Version{version("a", 1, login), version("b", 1, login), version("a", 2, erased)}, want: map[twofactor.UserID][]string{"a": {"a-2-0"}, "b": {"b-1-0"}}, appends: 2},
		"erased, and again":  {batch: []twofactor.Version{version("a", 1, erased), version("a", 2, login), version("a", 3, erased)}, want: map[twofactor.UserID][]string{"a": {"a-3-0"}}, appends: 1},
		"used after erasing": {batch: []twofactor.Version{version("a", 1, login), version("a", 2, erased), version("a", 3, check)}, want: map[twofactor.UserID][]string{"a": {"a-3-0", "a-2-0"}}, appends: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &history{}
			if err := notify.Versions(notify.Sinks{History: store}, silent)(t.Context(), test.batch); err != nil {
				t.Fatal(err)
			}
			if got := store.ids(); len(got)+len(test.want) > 0 && !cmp.Equal(got, test.want) {
				t.Errorf("history (-want +got):\n%s", cmp.Diff(test.want, got))
			}
			if store.appends != test.appends {
				t.Errorf("%d writes, want %d", store.appends, test.appends)
			}
		})
	}
}

// TestFailureFailsTheBatch: whichever write fails, stored or not, the batch has failed, and the other users' events are
// there nevertheless.
func TestFailureFailsTheBatch(t *testing.T) {
	t.Parallel()
	batch := []twofactor.Version{version("a", 1, login), version("b", 1, login), version("a", 2, erased), version("c", 1, login)}
	for _, write := range []string{"append", "erase"} {
		for _, stored := range []bool{false, true} {
			store := &history{fault: func(user twofactor.UserID, w string, s bool) error {
				if user == "a" && w == write && s == stored {
					return errFault
				}
				return nil
			}}
			deliver := notify.Versions(notify.Sinks{History: store}, silent)
			if err := deliver(t.Context(), batch); !errors.Is(err, errFault) {
				t.Errorf("%s fails, stored %t: error %v, want the fault", write, stored, err)
			}
			for _, user := range []twofactor.UserID{"b", "c"} {
				if len(store.events[user]) != 1 {
					t.Errorf("%s fails, stored %t: user %s has %d events, want 1", write, stored, user, len(store.events[user]))
				}
			}
			store.fault = nil
			if err := deliver(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
			want := map[twofactor.UserID][]string{"a": {"a-2-0"}, "b": {"b-1-0"}, "c": {"c-1-0"}}
			if diff := cmp.Diff(want, store.ids()); diff != "" {
				t.Errorf("%s failed, stored %t, and was tried again (-want +got):\n%s", write, stored, diff)
			}
		}
	}
}

// TestEveryFailureIsTold: two users' failures are both in the error.
func TestEveryFailureIsTold(t *testing.T) {
	t.Parallel()
	one, two := errors.New("one"), errors.New("two")
	store := &history{fault: func(user twofactor.UserID, _ string, _ bool) error {
		return map[twofactor.UserID]error{"a": one, "b": two}[user]
	}}
	err := notify.Versions(notify.Sinks{History: store}, silent)(t.Context(), []twofactor.Version{version("a", 1, login), version("b", 1, login)})
	if !errors.Is(err, one) || !errors.Is(err, two) {
		t.Errorf("error %v, want both", err)
	}
}

// TestDelivery: however often a stream repeats itself, and whatever fails meanwhile, once it has got to its end the
// history is what one delivery without a fault would have made.
func TestDelivery(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var stream []twofactor.Version
		for i := range rapid.IntRange(1, 20).Draw(t, "versions") {
			user := rapid.SampledFrom([]twofactor.UserID{"a", "b"}).Draw(t, "user")
			types := rapid.SliceOfN(rapid.SampledFrom([]twofactor.EventType{login, check, erased}), 0, 3).Draw(t, "types")
			stream = append(stream, version(user, int64(i+1), types...))
		}
		plain := &history{}
		if err := notify.Versions(notify.Sinks{History: plain}, silent)(t.Context(), stream); err != nil {
			t.Fatal(err)
		}

		faults := rapid.SliceOfN(rapid.Bool(), 0, 20).Draw(t, "faults")
		store := &history{fault: func(twofactor.UserID, string, bool) error {
			if len(faults) == 0 {
				return nil
			}
			fails := faults[0]
			faults = faults[1:]
			if fails {
				return errFault
			}
			return nil
		}}
		deliver := notify.Versions(notify.Sinks{History: store}, silent)
		repeats := rapid.IntRange(0, 5).Draw(t, "repeats")
		for at := 0; at < len(stream); {
			end := rapid.IntRange(at+1, len(stream)).Draw(t, "end")
			if deliver(t.Context(), stream[at:end]) != nil {
				continue // the same versions again, perhaps with more
			}
			if at = end; repeats > 0 {
				repeats--
				at = rapid.IntRange(0, end).Draw(t, "again from")
			}
		}
		if diff := cmp.Diff(plain.ids(), store.ids()); diff != "" {
			t.Fatalf("history (-once +repeated):\n%s", diff)
		}
	})
}
