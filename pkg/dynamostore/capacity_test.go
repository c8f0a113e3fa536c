package dynamostore

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// TestCapacity: what DynamoDB says that each call consumes. The account is one in daily use.
func TestCapacity(t *testing.T) {
	t.Parallel()
	s := open(t)
	u := enrolled(t, s)
	costs := func(name string, reads, writes float64, call func() error) {
		t.Helper()
		before := s.Counts()
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		after := s.Counts()
		if r, w := after.ReadUnits-before.ReadUnits, after.WriteUnits-before.WriteUnits; r != reads || w != writes {
			t.Errorf("%s: %v read units and %v write units, want %v and %v", name, r, w, reads, writes)
		}
	}
	ch := u.challenge()
	costs("a right code", 1, 1, func() error { return u.verify(ch, u.code()) })
	ch = u.challenge()
	for n := range u.service.Policy.MaxFailures {
		costs(fmt.Sprint("wrong code ", n), 1, 1, func() error {
			var wrong *twofactor.WrongCode
			if err := u.verify(ch, fmt.Sprintf("%06d", n)); !errors.As(err, &wrong) {
				return fmt.Errorf("%w, want a wrong code", err)
			}
			return nil
		})
	}
	costs("while locked", 1, 0, func() error {
		var locked *twofactor.Locked
		if err := u.verify(ch, u.code()); !errors.As(err, &locked) {
			return fmt.Errorf("%w, want locked", err)
		}
		return nil
	})
	costs("a user never seen", 1, 0, func() error { _, err := s.Load(t.Context(), "nobody"); return err })

	long := event(1)
	long.ID, long.IP, long.UserAgent = "v000000000001-00", u.from.IP, u.from.UserAgent
	one := []twofactor.Event{long}
	costs("an event", 0, 1, func() error { return s.Append(t.Context(), "u", one) })
	costs("three events", 0, 3, func() error { return s.Append(t.Context(), "u", newest(4)[:3]) })
	costs("a page of history", 1, 0, func() error { _, err := s.History(t.Context(), "u", twofactor.Page{Limit: 50}); return err })
	costs("what came after", 1, 0, func() error {
		_, err := s.HistoryAfter(t.Context(), "u", twofactor.Event{At: at(0)}, 2)
		return err
	})
	costs("whether a mail was sent", 1, 0, func() error { _, err := s.Mailed(t.Context(), about(1, "login")); return err })
	costs("that it was", 0, 1, func() error { return s.MarkMailed(t.Context(), about(1, "login"), at(1)) })
	costs("erasing three of four", 1, 3, func() error { return s.EraseHistory(t.Context(), "u", event(4)) })
	costs("a new config item", 0, 1, func() error { return s.ReplaceConfig(t.Context(), "c", make([]byte, 900), 1) })
	costs("a config item", 1, 0, func() error { _, _, err := s.LoadConfig(t.Context(), "c"); return err })
	costs("a list of nobody", 0, 0, func() error {
		_, err := s.Due(t.Context(), twofactor.WaitingReview, twofactor.Page{Limit: 50})
		return err
	})
}

// TestCounts: what has been asked of a store, and how it went.
func TestCounts(t *testing.T) {
	t.Parallel()
	s := open(t)
	one := first("u")
	for _, a := range []*twofactor.Account{one, one, first("u"), next(one), next(one)} { // stored, stored before, lost, stored, lost
		if _, conflict := isConflict(s.Replace(t.Context(), a)); !conflict {
			continue
		}
		if _, err := s.Load(t.Context(), "u"); err != nil {
			t.Error(err)
		}
	}
	got := s.Counts()
	if want := (Counts{Loads: 2, Replaces: 5, Conflicts: 2, ReadUnits: 4, WriteUnits: 2}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}
