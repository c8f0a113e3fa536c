package dynamostore

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// times is a fault n times over.
func times(n int, f fault) []fault { return slices.Repeat([]fault{f}, n) }

// TestAppendAgain: when some events could not be stored, the same call made again stores the rest, and leaves what is
// there as it is: an event may have been marked as mailed meanwhile.
func TestAppendAgain(t *testing.T) {
	t.Parallel()
	const events = 3 * maxParallel
	for name, test := range map[string]struct {
		faults []fault
		fails  bool
	}{
		"one denied":                   {[]fault{denied}, true},
		"some denied":                  {[]fault{nil, nil, denied, nil, denied, lost, nil, throttled}, true},
		"all under way denied":         {times(maxParallel, denied), true},
		"some answers lost":            {[]fault{lost, closed, nil, altered, emptied}, false},
		"all answers lost, every time": {times(3*events, lost), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			marked := event(events)
			marked.Reason = "mailed"
			if err := s.Append(t.Context(), "u", []twofactor.Event{marked}); err != nil {
				t.Fatal(err)
			}
			f, line := faulty(t, s)
			line.next("PutItem", test.faults...)
			if err := f.Append(t.Context(), "u", newest(events)); test.fails != (err != nil) {
				t.Errorf("Append: %v, want a failure: %v", err, test.fails)
			}
			line.next("PutItem")
			if err := f.Append(t.Context(), "u", newest(events)); err != nil {
				t.Errorf("Append again: %v", err)
			}
			wantHistory(t, s, "u", append([]twofactor.Event{marked}, newest(events-1)...))
		})
	}
}

// TestAppendStops: after a failure nothing new is begun, since the whole call is to be made again.
func TestAppendStops(t *testing.T) {
	t.Parallel()
	f, line := faulty(t, open(t))
	line.all(denied)
	if err := f.Append(t.Context(), "u", newest(100)); err == nil {
		t.Error("no error")
	}
	if n := line.requests("PutItem"); n > 2*maxParallel {
		t.Errorf("%d requests although all fail, want no more than were under way or handed out", n)
	}
}

// TestEraseAgain: when some events could not be removed, the same call made again removes the rest.
func TestEraseAgain(t *testing.T) {
	t.Parallel()
	const events, kept = 40, 3
	for name, test := range map[string]struct {
		operation string
		faults    []fault
		fails     bool
	}{
		"nothing wrong":                 {"Query", nil, false},
		"some removals denied":          {"DeleteItem", []fault{nil, denied, nil, denied}, true},
		"all removals denied":           {"DeleteItem", times(events, denied), true},
		"removals' answers lost":        {"DeleteItem", []fault{lost, closed, altered, emptied}, false},
		"removals' answers lost always": {"DeleteItem", times(3*events, lost), true},
		"the second part denied":        {"Query", []fault{nil, denied}, true},
		"its answer lost":               {"Query", []fault{nil, lost, cutShort}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			if err := s.Append(t.Context(), "u", newest(events)); err != nil {
				t.Fatal(err)
			}
			f, line := faulty(t, s)
			line.parts = 7
			line.next(test.operation, test.faults...)
			before := event(events - kept + 1)
			if err := f.EraseHistory(t.Context(), "u", before); test.fails != (err != nil) {
				t.Errorf("EraseHistory: %v, want a failure: %v", err, test.fails)
			}
			line.next(test.operation)
			if err := f.EraseHistory(t.Context(), "u", before); err != nil {
				t.Errorf("EraseHistory again: %v", err)
			}
			wantHistory(t, s, "u", newest(events)[:kept])
		})
	}
}

// TestParts: DynamoDB ends a part of a list where it likes, and says that there is more when there is nothing. The pages
// are as long as was asked all the same, and none but the last has no successor.
func TestParts(t *testing.T) {
	t.Parallel()
	const events = 6
	s := open(t)
	var due []twofactor.Due
	for n := range events {
		a := first(twofactor.UserID(fmt.Sprint(n)))
		a.Reset = &twofactor.Reset{State: twofactor.ResetInReview, EnteredAt: at(n)}
		if err := s.Replace(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		due = append(due, twofactor.Due{User: a.User, At: at(n)})
	}
	if err := s.Append(t.Context(), "u", newest(events)); err != nil {
		t.Fatal(err)
	}
	f, line := faulty(t, s)
	for line.parts = range events + 2 {
		for limit := 1; limit <= events+1; limit++ {
			got := pages(t, limit, func(p twofactor.Page) ([]twofactor.Event, string, error) {
				found, err := f.History(t.Context(), "u", p)
				return found.Events, found.Next, err
			})
			if diff := cmp.Diff(newest(events), got); diff != "" {
				t.Errorf("history in parts of %d and pages of %d (-want +got):\n%s", line.parts, limit, diff)
			}
			want := newest(events)
			slices.Reverse(want)
			after, err := f.HistoryAfter(t.Context(), "u", twofactor.Event{At: at(0)}, limit)
			if diff := cmp.Diff(want[:min(limit, events)], after); diff != "" || err != nil {
				t.Errorf("history in parts of %d, the first %d, %v (-want +got):\n%s", line.parts, limit, err, diff)
			}
			waiting := pages(t, limit, func(p twofactor.Page) ([]twofactor.Due, string, error) {
				found, err := f.Due(t.Context(), twofactor.WaitingReview, p)
				return found.Accounts, found.Next, err
			})
			if diff := cmp.Diff(due, waiting); diff != "" {
				t.Errorf("due in parts of %d and pages of %d (-want +got):\n%s", line.parts, limit, diff)
			}
		}
	}
}

// pages reads a list page by page. All but the last are full.
func pages[T any](t *testing.T, limit int, read func(twofactor.Page) ([]T, string, error)) (all []T) {
	t.Helper()
	for page := (twofactor.Page{Limit: limit}); ; {
		found, next, err := read(page)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
		if page.Cursor = next; next == "" {
			return all
		}
		if len(found) != limit {
			t.Fatalf("a page of %d with a successor, want %d", len(found), limit)
		}
	}
}
