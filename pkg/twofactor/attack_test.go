package twofactor

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/totp"
)

var attackAccounts = flag.Int("attack.accounts", 50, "accounts that TestAttackForAYear guesses at, for each policy")

// boundPerYear is how many guesses the design reckons with: 99 in each of 13 times 30 days, and the one that suspends.
const boundPerYear = 13*99 + 1

// limits are those of a throttle as design and policy say them; none is taken from the code.
type limits struct {
	failures   int
	base, most time.Duration
	monthly    int
}

// byDesign is what the standard throttle has to be.
var byDesign = limits{5, time.Minute, time.Hour, 100}

// lock is how long nothing is compared after so many consecutive failures.
func (l limits) lock(failures int) time.Duration {
	if failures < l.failures {
		return 0
	}
	return time.Duration(min(math.Exp2(float64(failures-l.failures))*float64(l.base), float64(l.most)))
}

// guesses is when they come from begun to end, each at the first moment at which it is compared; the one that would
// suspend waits for the last.
func (l limits) guesses(begun, end time.Time) (times []time.Time) {
	forgotten := func(t time.Time) time.Time { return t.Truncate(24*time.Hour).AddDate(0, 0, 31) }
	oldest := 0 // of those that count: of today, or of the 30 days before
	for at := begun; at.Before(end); {
		for ; oldest < len(times) && !at.Before(forgotten(times[oldest])); oldest++ {
		}
		if len(times)-oldest == l.monthly-1 {
			next := forgotten(times[oldest])
			if !next.Before(end) {
				return append(times, at)
			}
			at = next
			continue
		}
		times = append(times, at)
		at = at.Add(max(l.lock(len(times)), time.Second))
	}
	return times
}

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
// which it is compared, and the one that would suspend the authenticator waits for the year's last. The rules say when
// they compare, which has to be when the limits say; how many of so many accounts that opens is counted, with the codes of
// as many secrets.
//
// Accounts differ in their secrets alone, and until a guess is right nothing that is decided depends on the secret: so the
// rules decide for one account, and every guess that they compare is held against the codes of all.
func TestAttackForAYear(t *testing.T) {
	t.Parallel()
	for policy, l := range map[string]limits{
		`{}`:         byDesign,
		`{"skew":0}`: byDesign,
		`{"max_failures":3,"lock_base":"15m","lock_max":"24h","monthly_failures":30}`: {3, 15 * time.Minute, 24 * time.Hour, 30},
	} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			rules, err := ParsePolicy([]byte(policy))
			if err != nil {
				t.Fatal(err)
			}
			most, want := guessForAYear(t, rules, false), l.guesses(noon, noon.Add(year))
			if !slices.EqualFunc(most, want, time.Time.Equal) {
				same := 0
				for same < min(len(most), len(want)) && most[same].Equal(want[same]) {
					same++
				}
				t.Errorf("%d guesses were compared, by the limits %d; from number %d on they come at other times", len(most), len(want), same+1)
			}
			if daily := guessForAYear(t, rules, true); len(daily) > len(most) {
				most = daily
			}
			if n := 12*(l.monthly-1) + 1; len(most) != n { // a year is eleven times 31 days, and some
				t.Errorf("%d guesses were compared, want %d", len(most), n)
			}
			opened, n := openedOf(most, rules.Skew, *attackAccounts), float64(*attackAccounts)
			low, high := interval(opened, *attackAccounts)
			p := share(len(most), rules.Skew)
			t.Logf("%d guesses compared in a year; %d of %d accounts opened: %.4f %%, 95 %% interval %.4f to %.4f; by the formula %.4f %%, and for %d guesses %.4f %%",
				len(most), opened, *attackAccounts, 100*float64(opened)/n, 100*low, 100*high, 100*p, boundPerYear, 100*share(boundPerYear, rules.Skew))
			if off := math.Abs(float64(opened) - n*p); off > 5*math.Sqrt(n*p)+1 {
				t.Errorf("opened %d accounts, expected %.1f", opened, n*p)
			}
		})
	}
}

// interval is the 95 % interval of Wilson for a share of which k in n were found.
func interval(k, n int) (low, high float64) {
	const z = 1.96
	found, all := float64(k), float64(n)
	off := z * math.Sqrt(found*(1-found/all)+z*z/4)
	return (found + z*z/2 - off) / (all + z*z), (found + z*z/2 + off) / (all + z*z)
}

// TestAttackSuspendedForAYear is the same one in haste: they guess at every moment at which a code is compared, and so
// suspend the authenticator within days. They want what comes then: an owner who gets back in with the backup code and
// sets the phone up again, which empties the count, and who leaves the password as it is. Each time that is worth a
// hundred guesses more, and no more. An owner who signs in every morning, for whom a wiser attacker leaves the account
// unlocked, ends their locks as well.
func TestAttackSuspendedForAYear(t *testing.T) {
	t.Parallel()
	span := year
	if raceDetector { // it finds nothing here, and takes ten times as long
		span /= 12
	}
	for _, back := range []time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour} {
		for _, signIns := range []bool{false, true} {
			t.Run(fmt.Sprint(back, signIns), func(t *testing.T) {
				t.Parallel()
				guesses, emptied := guessInHaste(t, span, back, signIns)
				t.Logf("the owner is back after %v, and signs in every morning: %v; in %v %d guesses compared, emptied %d times: %.2f %%",
					back, signIns, span, guesses, emptied, 100*share(guesses, 1))
				if most := 100 * (emptied + 1); guesses > most {
					t.Errorf("%d guesses were compared, want %d at most", guesses, most)
				}
				if signIns {
					return
				}
				cycle := back
				for failures := 1; failures < 100; failures++ {
					cycle += max(byDesign.lock(failures), time.Second)
				}
				if n := int(span / cycle); emptied > n || emptied < n-1 {
					t.Errorf("emptied %d times, want %d, or one less for what setting up takes", emptied, n)
				}
			})
		}
	}
}

// guessInHaste returns how many guesses are compared, and how often a phone set up again has emptied their count.
func guessInHaste(t *testing.T, span, back time.Duration, signIns bool) (guesses, emptied int) {
	w := enabledWorld(t, "standard")
	end, morning := w.now.Add(span), w.now.Add(24*time.Hour)
	for w.now.Before(end) {
		codes := &w.account.Codes
		if !codes.SuspendedAt.IsZero() {
			if w.later(back); !w.now.Before(end) {
				break
			}
			w.setUpAgain()
			emptied++
			for w.later(period); !morning.After(w.now); morning = morning.Add(24 * time.Hour) {
			}
			continue
		}
		free := later(w.now, codes.LockedUntil)
		if signIns && !morning.After(free.Add(byDesign.most)) { // a lock that would last until then is left alone
			w.now = later(free, morning)
			w.must(w.signIn(w.phone.at(w.now)))
			morning = morning.Add(24 * time.Hour)
			continue
		}
		if w.now = free; !w.now.Before(end) {
			break
		}
		w.wrongCode(MethodTOTP, w.phone.wrong(w.now, 0))
		guesses++
		w.later(time.Second)
	}
	return guesses, emptied
}

// setUpAgain is the owner, who gets in with the backup code and sets the phone up anew.
func (w *world) setUpAgain() {
	w.Helper()
	in := w.backupSignIn()
	setUp, err := w.replace(Replace{Request: w.request(), Grant: in.Grant})
	w.must(err)
	w.phone = phone{secret: setUp.Secret}
	_, err = w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: w.phone.at(w.now)})
	w.must(err)
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
