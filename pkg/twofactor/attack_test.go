package twofactor

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/totp"
)

var attackAccounts = flag.Int("attack.accounts", 50, "accounts that TestAttackForAYear guesses at, for each policy")

// boundPerYear is how many guesses the design reckons with: 99 in each of 13 times 30 days, and the one that suspends.
const boundPerYear = 13*99 + 1

const year = 365 * 24 * time.Hour

// TestPresetsThrottleAlike: what TestAttackForAYear finds for one preset holds for all.
func TestPresetsThrottleAlike(t *testing.T) {
	t.Parallel()
	type throttle struct {
		skew, failures, monthly int
		base, most              Duration
	}
	of := func(p Policy) throttle {
		return throttle{p.Skew, p.MaxFailures, p.MonthlyFailures, p.LockBase, p.LockMax}
	}
	for _, name := range Presets() {
		if p, err := Preset(name); err != nil || of(p) != of(Standard()) {
			t.Errorf("%s: %+v, %v", name, of(p), err)
		}
	}
}

// TestAttackForAYear is somebody who has the password and a year, and wants in: every guess comes at the first moment at
// which it is compared, and the one that would suspend the authenticator waits for the year's last. The rules say how many
// guesses that makes; how many of so many accounts they open is counted, with the codes of as many secrets.
//
// Accounts differ in their secrets alone, and until a guess is right nothing that is decided depends on the secret: so the
// rules decide for one account, and every guess that they compare is held against the codes of all.
func TestAttackForAYear(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{`{}`, `{"skew":0}`, `{"max_failures":3,"lock_base":"15m","lock_max":"24h","monthly_failures":30}`} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			rules, err := ParsePolicy([]byte(policy))
			if err != nil {
				t.Fatal(err)
			}
			var most []time.Time
			for _, signIns := range []bool{false, true} {
				if compared := guessForAYear(t, rules, signIns); len(compared) > len(most) {
					most = compared
				}
			}
			if len(most) > boundPerYear {
				t.Errorf("%d guesses were compared, want %d at most", len(most), boundPerYear)
			}
			opened := openedOf(most, rules.Skew, *attackAccounts)
			n, p := float64(*attackAccounts), share(len(most), rules.Skew)
			t.Logf("%d guesses compared in a year; %d of %d accounts opened: %.4f %%; by the formula %.4f %%, and for %d guesses %.4f %%", len(most),
				opened, *attackAccounts, 100*float64(opened)/n, 100*p, boundPerYear, 100*share(boundPerYear, rules.Skew))
			if off := math.Abs(float64(opened) - n*p); off > 5*math.Sqrt(n*p)+1 {
				t.Errorf("opened %d accounts, expected %.1f", opened, n*p)
			}
		})
	}
}

// share is that of the accounts which so many guesses open, each compared with the codes of 2 × skew + 1 steps.
func share(guesses, skew int) float64 {
	return 1 - math.Pow(1-float64(2*skew+1)*1e-6, float64(guesses))
}

// guessForAYear returns when guesses were compared. The user may sign in every morning, which ends locks, and is wanted by
// an attacker for that.
func guessForAYear(t *testing.T, p Policy, signIns bool) (compared []time.Time) {
	w := enabledWorld(t, "standard")
	w.rules.Policy = p
	end := w.now.Add(year)
	morning := w.now.Add(24 * time.Hour)
	for {
		codes := &w.account.Codes
		last := false
		free := later(w.now, codes.LockedUntil)
		codes.tidy(free) // what has run out does not count
		if codes.monthly(free) == p.MonthlyFailures-1 {
			oldest := time.Unix((codes.Days[0].Day+monthlyDays)*24*60*60, 0).UTC()
			if last = !oldest.Before(end); !last {
				free = oldest
			}
		}
		if signIns && morning.Before(end) && !morning.After(free) {
			w.now = morning
			if !morning.Before(codes.LockedUntil) {
				w.must(w.signIn(w.phone.at(w.now)))
			}
			morning = morning.Add(24 * time.Hour)
			continue
		}
		if w.now = free; !w.now.Before(end) {
			return compared
		}
		if err := w.signIn(w.phone.wrong(w.now, 0)); !isErr[*WrongCode](err) {
			t.Fatalf("a guess at %v: %v", w.now, err)
		}
		if compared = append(compared, w.now); last {
			if w.account.Codes.SuspendedAt.IsZero() {
				t.Fatalf("not suspended after %d guesses", len(compared))
			}
			return compared
		}
		w.later(time.Second)
	}
}

// openedOf guesses at accounts at these times, and returns how many it opens.
func openedOf(times []time.Time, skew, accounts int) int {
	var opened, done atomic.Int64
	var wait sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for worker := range workers {
		wait.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(worker)))
			for range accounts/workers + min(1, max(0, accounts%workers-worker)) {
				if secret := drawSecret(r); opens(secret, times, skew, r) {
					opened.Add(1)
				}
				if n := done.Add(1); n%100_000 == 0 {
					fmt.Fprintf(os.Stderr, "attacked %d of %d accounts\n", n, accounts)
				}
			}
		})
	}
	wait.Wait()
	return int(opened.Load())
}

func drawSecret(r *rand.Rand) totp.Secret {
	var s totp.Secret
	for range 3 {
		s = binary.BigEndian.AppendUint64(s, r.Uint64())
	}
	return s[:20]
}

func opens(secret totp.Secret, times []time.Time, skew int, r *rand.Rand) bool {
	for _, at := range times {
		guess := fmt.Sprintf("%06d", r.IntN(1_000_000))
		if _, found, err := totp.Default.Match(secret, guess, totp.Default.StepAt(at), skew); found || err != nil {
			return true
		}
	}
	return false
}
