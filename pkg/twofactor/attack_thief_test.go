package twofactor

import (
	"flag"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/totp"
)

var attackDays = flag.Int("attack.days", 7, "days for which TestAttackBackupCode guesses")

// trial decides without storing anything: what the owner would be told now.
func (w *world) trial(rule func(a *Account) error) error {
	return rule(w.account.next(NewWriteID(), w.rules.Fence, w.now))
}

// stolen is a challenge as whoever has the password gets it, without the checks and notes of one that the host asks for.
func (w *world) stolen() Challenge {
	a := w.account
	return Challenge{ID: RandomDigest(), Purpose: PurposeVerify, User: a.User, Incarnation: a.Incarnation, Epoch: a.Epoch, ExpiresAt: w.now.Add(challengeFor)}
}

// wrongCode is compared, which it has to be, without what apply checks besides: there are many.
func (w *world) wrongCode(method Method, code string) {
	w.Helper()
	next := w.account.next(NewWriteID(), w.rules.Fence, w.now)
	if _, err := w.rules.Verify(next, NewVerify(w.request(), w.stolen(), method, code), w.now); !isErr[*WrongCode](err) {
		w.Fatalf("a wrong %s at %v: %v", method, w.now, err)
	}
	w.account = next
}

// TestAttackBackupCode is somebody who has the password and no phone, and guesses at the shortest backup code, 8
// characters or 40 bits, at every first moment at which a guess is compared. They want in. They get 5 guesses, and then
// one a minute, for as long as they like: in a year, 525,600 and 5.
func TestAttackBackupCode(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "mirox")
	end := w.now.Add(time.Duration(*attackDays) * 24 * time.Hour)
	r := rand.New(rand.NewPCG(1, 0))
	compared, refused := 0, 0
	for w.now.Before(end) {
		code := make([]byte, 8)
		for i := range code {
			code[i] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[r.IntN(32)]
		}
		if string(code) == w.backup {
			continue
		}
		w.wrongCode(MethodBackupCode, string(code))
		compared++
		if until := w.account.Backups.LockedUntil; w.now.Before(until) {
			// A second too early the right one is refused as well, and does not count.
			w.now = until.Add(-time.Second)
			if err := w.trial(func(a *Account) error {
				_, err := w.rules.Verify(a, NewVerify(w.request(), w.stolen(), MethodBackupCode, w.backup), w.now)
				return err
			}); isErr[*refusal](err) {
				refused++
			} else {
				t.Fatalf("while locked: %v", err)
			}
			w.now = until
			continue
		}
		w.later(time.Second)
	}
	const perYear, days = 525_600, 365 // one a minute
	if most := perYear/days**attackDays + 5; compared > most || compared < most-5 {
		t.Errorf("%d guesses were compared in %d days, want %d at most, and no fewer than %d", compared, *attackDays, most, most-5)
	}
	t.Logf("%d guesses compared in %d days, and the right code refused %d times in between; a code of 40 bits falls with probability %.1e, one of 65 bits with %.1e",
		compared, *attackDays, refused, float64(compared)/math.Exp2(40), float64(compared)/math.Exp2(65))
	if _, err := w.verify(w.challenge(), MethodBackupCode, w.backup); err != nil {
		t.Errorf("the owner's backup code, in the end: %v", err)
	}
}

// TestAttackLockOut is somebody who has the password and wants nothing but that the owner does not get in. For a week
// they send a wrong authenticator code, and in the second run a wrong backup code as well, at the first moment at which
// one is compared. They get the authenticator locked, then suspended. They get no say over the rest: a backup code that
// only they guess at is refused for most of every minute, and a new password ends all of it at once; so does a recovery,
// which no guess holds up.
func TestAttackLockOut(t *testing.T) {
	t.Parallel()
	for name, both := range map[string]bool{"authenticator codes": false, "and backup codes": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := enabledWorld(t, "standard")
			w.tell(Contact{Email: "alice@example.com"})
			begun, guesses, longest := w.now, 0, time.Duration(0)
			var suspended time.Time
			asked, byPhone, byBackup, byRecovery, byPassword := 0, 0, 0, 0, 0
			for w.now.Before(begun.Add(7 * 24 * time.Hour)) {
				if suspended.IsZero() && !w.now.Before(w.account.Codes.LockedUntil) {
					if err := w.signIn(w.phone.wrong(w.now, 0)); !isErr[*WrongCode](err) {
						t.Fatalf("guess %d: %v", guesses, err)
					}
					guesses++
					longest = max(longest, w.account.Codes.LockedUntil.Sub(w.now))
					suspended = w.account.Codes.SuspendedAt
				}
				if both && !w.now.Before(w.account.Backups.LockedUntil) {
					w.wrongCode(MethodBackupCode, "00000-00000-000")
				}
				if w.now.Sub(begun)%(10*time.Minute) == 0 { // the owner, at any time of the day
					asked++
					count := func(n *int, rule func(a *Account) error) {
						if w.trial(rule) == nil {
							*n++
						}
					}
					signIn := func(method Method, code string) func(a *Account) error {
						return func(a *Account) error {
							ch := w.stolen()
							ch.Epoch = a.Epoch
							_, err := w.rules.Verify(a, NewVerify(w.request(), ch, method, code), w.now)
							return err
						}
					}
					code := w.phone.at(w.now)
					count(&byPhone, signIn(MethodTOTP, code))
					count(&byBackup, signIn(MethodBackupCode, w.backup))
					count(&byRecovery, func(a *Account) error {
						_, err := w.rules.RequestReset(a, RequestReset{Request: w.request(), Challenge: w.stolen(), ID: "id", Reference: "R"}, w.now)
						return err
					})
					count(&byPassword, func(a *Account) error {
						if err := w.rules.PasswordChanged(a, w.request(), w.now); err != nil {
							return err
						}
						if _, err := w.rules.Verify(a, NewVerify(w.request(), w.stolen(), MethodTOTP, code), w.now); err == nil {
							t.Error("the thief's challenge has outlived the password")
						}
						return signIn(MethodBackupCode, w.backup)(a)
					})
				}
				w.later(time.Minute)
			}
			t.Logf("%d guesses, the longest lock %v, suspended after %v; of %d tries of the owner's in 7 days %d get in by the phone, %d by the backup code, "+
				"%d by it after a new password; a recovery can be begun at %d", guesses, longest, suspended.Sub(begun), asked, byPhone, byBackup, byPassword, byRecovery)
			if longest > byDesign.most || guesses > byDesign.monthly || byRecovery != asked || byPassword != asked || !both && byBackup != asked {
				t.Errorf("a lock of %v, %d guesses; want an hour, and 100, at most; and the owner to get in by what is not guessed at", longest, guesses)
			}
			// What the owner does about it, for good: a backup code after a new password, and the phone is set up again.
			w.passwordChanged()
			w.setUpAgain()
			if err := w.signIn(w.nextCode()); err != nil {
				t.Errorf("the owner, with the phone set up again: %v", err)
			}
		})
	}
}

// TestAttackDriftOracle is somebody who is told by how much a code is off, and so of which time step it is: they try codes
// of the future on every route, by a hundred times as many as they could guess, and nothing locks them out. Each that they
// are told of they try again on every route as its step comes, is there, and has passed. They want one to be accepted, or
// to be told that it was right. They get neither, and the owner's phone goes on to work.
func TestAttackDriftOracle(t *testing.T) {
	t.Parallel()
	const tries = 12
	accounts := max(10, *attackAccounts/1000)
	told, offered, accepted := 0, 0, 0
	r := rand.New(rand.NewPCG(2, 0))
	for range accounts {
		w := enabledWorld(t, "standard")
		unlocked := func() { w.account.Codes = CodeThrottle{} } // which is more than anybody gets
		routes := []func(code string) (skew *time.Duration, err error){
			func(code string) (*time.Duration, error) {
				got, err := w.check(code)
				if err == nil && got.Valid && !got.Spent {
					return nil, nil
				}
				if err == nil && got.Skewed {
					return &got.Off, &WrongCode{Skew: &got.Off}
				}
				return nil, &WrongCode{}
			},
		}
		for _, verdict := range []func(code string) error{
			w.signIn,
			func(code string) error {
				_, err := w.rotate(RotateBackup{Request: w.request(), Code: code})
				return err
			},
			func(code string) error {
				_, err := w.replace(Replace{Request: w.request(), Code: code})
				return err
			},
			func(code string) error { return w.disable(Disable{Request: w.request(), Code: code}) },
		} {
			routes = append(routes, func(code string) (*time.Duration, error) {
				err := verdict(code)
				if wrong, ok := err.(*WrongCode); ok {
					return wrong.Skew, err
				}
				return nil, err
			})
		}
		learnt := map[totp.Step]string{}
		for range tries {
			step := w.present() + totp.Step(2+r.IntN(18))
			code := w.phone.step(int64(step))
			skew, err := routes[r.IntN(len(routes))](code)
			if err == nil {
				t.Fatalf("a code of %d steps ahead was accepted", step-w.present())
			}
			if skew != nil {
				learnt[w.present()+totp.Step(*skew/period)] = code
			}
			unlocked()
		}
		told += len(learnt)
		last := w.present() + 20
		for ; w.present() < last; w.later(period) {
			var window []string // with codes that are right by chance as well
			for step := w.present() - 1; step <= w.present()+1; step++ {
				if _, known := learnt[step]; !known {
					window = append(window, w.phone.step(int64(step)))
				}
			}
			for step, code := range learnt {
				if step < w.present()-2 || step > w.present()+2 || slices.Contains(window, code) {
					continue
				}
				for i, route := range routes {
					offered++
					if _, err := route(code); err == nil {
						accepted++
						t.Errorf("route %d accepts a code that was told, %d steps from its own", i, w.present()-step)
					}
					unlocked()
				}
			}
		}
		w.later(2 * period)
		w.must(w.signIn(w.phone.at(w.now)))
	}
	t.Logf("%d codes of the future were told on %d accounts, and offered again %d times around their own time steps: %d accepted", told, accounts, offered, accepted)
	if told < accounts*tries/2 {
		t.Errorf("only %d were told: the oracle was hardly asked", told)
	}
}
