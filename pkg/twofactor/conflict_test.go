package twofactor

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// contended lets another write come first before each of the next n writes.
func (s *served) contended(n int, current bool) (tries *int) {
	tries = new(int)
	s.store.replacing = func() {
		*tries++
		if *tries > n {
			return
		}
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		s.store.accounts[alice] = s.store.accounts[alice].next(NewWriteID(), time.Time{}, s.now)
	}
	if !current {
		s.service.Store = sayNothing{s.store}
	}
	return tries
}

// sayNothing is a store whose conflicts do not say what is stored.
type sayNothing struct{ *memory }

func (s sayNothing) Replace(ctx context.Context, next *Account) error {
	err := s.memory.Replace(ctx, next)
	var c *Conflict
	if errors.As(err, &c) {
		return fmt.Errorf("wrapped: %w", &Conflict{})
	}
	return err
}

// TestLostRaces: whoever loses a race decides again, at most eight times, then answers unavailable. The first time that takes no
// second read.
func TestLostRaces(t *testing.T) {
	t.Parallel()
	tests := []struct {
		lost    int
		current bool // the conflict says what is stored
		loads   int
		in      bool
	}{
		{0, true, 1, true}, {1, true, 1, true}, {2, true, 2, true}, {7, true, 7, true}, {8, true, 0, false},
		{1, false, 2, true}, {7, false, 8, true}, {8, false, 0, false},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%d, %v", test.lost, test.current), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, send := readied(t, "standard", operations[0].ready)
				tries := s.contended(test.lost, test.current)
				got, err := send(t.Context())
				if !test.in {
					if !errors.Is(err, ErrUnavailable) || !cmp.Equal(got, any(SignIn{})) || *tries != 8 || len(s.store.writes) != 0 {
						t.Errorf("got %+v, %v after %d tries and %d writes; want ErrUnavailable after 8 and none",
							got, err, *tries, len(s.store.writes))
					}
					return
				}
				s.must(err)
				if *tries != test.lost+1 || s.store.loads != test.loads {
					t.Errorf("%d tries, %d reads; want %d and %d", *tries, s.store.loads, test.lost+1, test.loads)
				}
			})
		})
	}
}

// TestLoserSeesWinner: whoever loses a race decides on the winner's account, with the winner's counters.
func TestLoserSeesWinner(t *testing.T) {
	t.Parallel()
	s, send := readied(t, "standard", operations[0].ready)
	s.store.replacing = func() {
		s.store.replacing = nil
		s.fail(5)
		s.store.accounts[alice] = s.account
	}
	if got, err := send(t.Context()); !isErr[*Locked](err) {
		t.Errorf("got %+v, %v; want locked", got, err)
	}
}

// TestCanceled: a caller that has gone away is not decided for.
func TestCanceled(t *testing.T) {
	t.Parallel()
	s, send := readied(t, "standard", operations[0].ready)
	ctx, cancel := context.WithCancel(t.Context())
	tries := s.contended(8, true)
	contend := s.store.replacing
	s.store.replacing = func() {
		if *tries == 1 { // the second loss is followed by a pause
			cancel()
		}
		contend()
	}
	got, err := send(ctx)
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) || !cmp.Equal(got, any(SignIn{})) || *tries == 8 {
		t.Errorf("got %+v, %v after %d tries", got, err, *tries)
	}
}
