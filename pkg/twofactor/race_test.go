package twofactor

import (
	"context"
	"errors"
	mathrand "math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// racers is an enabled account in a store with two services over it, the second with a clock two seconds ahead: two
// processes are never quite of one mind. Time stands still.
type racers struct {
	*world
	store    *memory
	services [2]*Service
}

func newRacers(t *testing.T) *racers {
	t.Helper()
	r := &racers{world: enabledWorld(t, "standard"), store: newMemory()}
	r.store.accounts[alice] = r.account
	r.store.replacing = runtime.Gosched // invite others in between load and write
	for i := range r.services {
		ahead := time.Duration(i) * 2 * time.Second
		r.services[i] = newService(r.store, r.rules.Policy, func() time.Time {
			return noon.Add(ahead)
		})
	}
	return r
}

// newChallenge is a challenge for the account as it was in the beginning.
func (r *racers) newChallenge() Challenge {
	return Challenge{ID: RandomDigest(), Purpose: PurposeVerify, User: alice, ExpiresAt: noon.Add(time.Hour)}
}

// together runs n calls as much at the same time as the machine can, in an order that nobody chose.
func together(n int, call func(i int)) {
	start := make(chan struct{})
	var ready, done sync.WaitGroup
	ready.Add(n)
	for _, i := range mathrand.Perm(n) {
		done.Go(func() {
			ready.Done()
			<-start
			call(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

// untilAnswered sends the same request again for as long as it could not be decided.
func (r *racers) untilAnswered(i int, req Verify) (SignIn, error) {
	for {
		signIn, err := r.services[i%2].Verify(context.Background(), req)
		if !errors.Is(err, ErrUnavailable) {
			return signIn, err
		}
	}
}

// TestAttackOneCodeManyChallenges is somebody who sees a code as it is typed, and has the password: they send it on 199
// challenges of their own at the same moment. They want a second sign-in from it. One of the 200 gets in.
func TestAttackOneCodeManyChallenges(t *testing.T) {
	t.Parallel()
	for range 5 {
		r := newRacers(t)
		code := r.phone.at(noon)
		var in, reused atomic.Int32
		together(200, func(i int) {
			switch _, err := r.untilAnswered(i, NewVerify(r.request(), r.newChallenge(), MethodTOTP, code)); {
			case err == nil:
				in.Add(1)
			case isErr[*CodeReused](err):
				reused.Add(1)
			default:
				t.Errorf("got %v", err)
			}
		})
		if in.Load() != 1 || reused.Load() != 199 {
			t.Errorf("%d got in and %d were told that the code was used; want 1 and 199", in.Load(), reused.Load())
		}
		if got := r.store.events(alice, EventLogin, Succeeded); got != 1 {
			t.Errorf("%d sign-ins recorded, want 1", got)
		}
		if got := r.store.events(alice, EventCodeReused, Failed); got != maxReplays {
			t.Errorf("%d replays recorded, want %d", got, maxReplays)
		}
		t.Logf("one code on 200 challenges at once: %d in, %d told that it was used", in.Load(), reused.Load())
	}
}

// TestAttackOneChallenge is somebody who sends a request that they have overheard 199 times more, at the same moment. They
// want a sign-in of their own from it. 200 copies are one sign-in, with one assertion, which the host redeems once.
func TestAttackOneChallenge(t *testing.T) {
	t.Parallel()
	for _, method := range []Method{MethodTOTP, MethodBackupCode} {
		r := newRacers(t)
		code := r.phone.at(noon)
		if method == MethodBackupCode {
			code = r.backup
		}
		req := NewVerify(r.request(), r.newChallenge(), method, code)
		answers := make([]SignIn, 200)
		together(len(answers), func(i int) {
			var err error
			if answers[i], err = r.untilAnswered(i, req); err != nil {
				t.Errorf("%s: copy %d: got %v", method, i, err)
			}
		})
		if t.Failed() {
			return
		}
		for i, got := range answers {
			first := answers[0]
			if got.Assertion.ID != first.Assertion.ID || !got.Assertion.IssuedAt.Equal(first.Assertion.IssuedAt) {
				t.Errorf("%s: answers 0 and %d differ: %+v, %+v", method, i, first.Assertion, got.Assertion)
			}
			if method == MethodBackupCode && (got.BackupCode.Code != first.BackupCode.Code || *got.Grant != *first.Grant) {
				t.Errorf("%s: answers 0 and %d show different backup codes or grants", method, i)
			}
		}
		if got := r.store.events(alice, EventLogin, Succeeded); got != 1 {
			t.Errorf("%s: %d sign-ins recorded, want 1", method, got)
		}
	}
}

// TestAttackManyWrongCodes is somebody who has the password, and sends 10,000 guesses at the same moment, before the first is
// counted. They want more than the five that the budget allows. Five are called wrong; all others get the lock.
func TestAttackManyWrongCodes(t *testing.T) {
	t.Parallel()
	const guesses = 10_000
	r := newRacers(t)
	codes := r.phone.wrongs(noon, guesses)
	var wrong, locked, undecided atomic.Int32
	together(guesses, func(i int) {
		var err error
		if i%3 == 0 {
			var got Checked
			got, err = r.services[i%2].Check(context.Background(), alice, Check{Request: r.request(), Code: codes[i]})
			if err == nil && !got.Valid {
				err = &WrongCode{}
			}
		} else {
			_, err = r.services[i%2].Verify(context.Background(), NewVerify(r.request(), r.newChallenge(), MethodTOTP, codes[i]))
		}
		switch {
		case isErr[*WrongCode](err):
			wrong.Add(1)
		case isErr[*Locked](err):
			locked.Add(1)
		case errors.Is(err, ErrUnavailable):
			undecided.Add(1)
		default:
			t.Errorf("guess %d: got %v", i, err)
		}
	})
	if wrong.Load() != 5 {
		t.Errorf("%d outcomes released (%d locked, %d undecided), want 5", wrong.Load(), locked.Load(), undecided.Load())
	}
	if got := r.store.accounts[alice].Codes.Failures; got != 5 {
		t.Errorf("%d failures counted, want 5", got)
	}
	if got := r.store.events(alice, EventLocked, Succeeded); got != 1 {
		t.Errorf("%d locks recorded, want 1", got)
	}
	t.Logf("%d guesses at once: %d compared, %d refused, %d undecided", guesses, wrong.Load(), locked.Load(), undecided.Load())
}

// TestAttackRightAmongWrong is somebody who hides the right code among 400 guesses, all sent at the same moment. They want it
// compared after five were wrong. No sixth is, in any round; and it is not drawn to the front by so much that rounds show it:
// in a fair queue it is among the first five in 5 of 400, which of 300 are 3.75 on average, and more than 15 once in a
// million runs.
func TestAttackRightAmongWrong(t *testing.T) {
	t.Parallel()
	const rounds, guesses, most = 300, 400, 15
	for name, try := range map[string]func(r *racers, i int, code string) bool{
		"verify": func(r *racers, i int, code string) bool {
			_, err := r.services[i%2].Verify(context.Background(), NewVerify(r.request(), r.newChallenge(), MethodTOTP, code))
			return err == nil
		},
		"check": func(r *racers, i int, code string) bool {
			got, err := r.services[i%2].Check(context.Background(), alice, Check{Request: r.request(), Code: code})
			return err == nil && got.Valid
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRacers(t)
			r.store.replacing = func() { // less often than elsewhere: 240,000 guesses are made here
				if mathrand.N(4) == 0 {
					runtime.Gosched()
				}
			}
			enabled := r.account
			codes := r.phone.wrongs(noon, guesses)
			codes[guesses/2] = r.phone.at(noon)
			found := 0
			for range rounds {
				r.store.accounts[alice] = enabled
				var right atomic.Int32
				together(guesses, func(i int) {
					if try(r, i, codes[i]) {
						right.Add(1)
					}
				})
				if right.Load() > 0 {
					found++
				}
				if f := r.store.accounts[alice].Codes.Failures; f > 5 {
					t.Fatalf("%d failures", f)
				}
			}
			t.Logf("found in %d of %d rounds; a fair queue finds it in %.1f", found, rounds, float64(rounds)*5/guesses)
			if found > most {
				t.Errorf("found in %d of %d rounds, want at most %d", found, rounds, most)
			}
		})
	}
}
