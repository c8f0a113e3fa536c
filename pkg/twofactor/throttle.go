package twofactor

import (
	"slices"
	"time"

	"github.com/nightlatch/nightlatch/pkg/totp"
)

// CodeThrottle is the one budget of an account for every comparison of an authenticator code, on any route (RFC 4226
// §7.3, NIST SP 800-63B-4 §3.2.2).
//
// Consecutive failures lock: the first lock after Policy.MaxFailures, each further failure doubles it. Independently,
// failures in 30 days suspend the authenticator; a success does not give that budget back.
type CodeThrottle struct {
	Failures    int        `json:"failures,omitempty"` // consecutive
	LockedUntil time.Time  `json:"locked_until,omitzero"`
	Days        []DayCount `json:"days,omitempty"` // failures by day
	SuspendedAt time.Time  `json:"suspended,omitzero"`
}

// DayCount is the failures of one day, in days since 1970 UTC.
type DayCount struct {
	Day      int64 `json:"d"`
	Failures int   `json:"n"`
}

// monthlyDays is the number of daily buckets that count: 30 days and the day that is still running.
const monthlyDays = 31

// refuses returns the refusal of every code, right or wrong, while the authenticator is suspended or locked.
func (t *CodeThrottle) refuses(now time.Time) error {
	switch {
	case !t.SuspendedAt.IsZero():
		return refuse(ErrSuspended)
	case now.Before(t.LockedUntil):
		return refuse(&Locked{Until: t.LockedUntil})
	}
	return nil
}

// fail counts a failure. It reports whether that locked or suspended the account.
func (t *CodeThrottle) fail(p Policy, now time.Time) (locked, suspended bool) {
	t.tidy(now)
	t.Failures++
	today := day(now)
	if n := len(t.Days); n > 0 && t.Days[n-1].Day == today {
		t.Days[n-1].Failures++
	} else {
		t.Days = append(t.Days, DayCount{Day: today, Failures: 1})
	}
	if over := t.Failures - p.MaxFailures; over >= 0 {
		lock := time.Duration(p.LockBase)
		for range over {
			if lock *= 2; lock >= time.Duration(p.LockMax) {
				break
			}
		}
		t.LockedUntil = now.Add(min(lock, time.Duration(p.LockMax)))
		locked = true
	}
	if t.monthly(now) >= p.MonthlyFailures {
		t.SuspendedAt = now
		suspended = true
	}
	return locked, suspended
}

// succeed forgets consecutive failures. The monthly count stays.
func (t *CodeThrottle) succeed() { t.Failures, t.LockedUntil = 0, time.Time{} }

// remaining is how many more wrong codes are answered before the next lock or the suspension.
func (t *CodeThrottle) remaining(p Policy, now time.Time) int {
	return max(0, min(p.MaxFailures-t.Failures, p.MonthlyFailures-t.monthly(now)))
}

func (t *CodeThrottle) monthly(now time.Time) int {
	sum := 0
	for _, d := range t.Days {
		if d.Day > day(now)-monthlyDays {
			sum += d.Failures
		}
	}
	return sum
}

func (t *CodeThrottle) tidy(now time.Time) {
	t.Days = slices.DeleteFunc(t.Days, func(d DayCount) bool { return d.Day <= day(now)-monthlyDays })
	if len(t.Days) == 0 {
		t.Days = nil // as it is stored
	}
}

func day(t time.Time) int64 { return int64(totp.Params{Period: 24 * 60 * 60}.StepAt(t)) }

// BackupThrottle is the budget for backup codes. It never suspends, and nothing that happens to the authenticator's
// budget touches it: the backup code is the way out when someone else has locked the account.
type BackupThrottle struct {
	Failures    int       `json:"failures,omitempty"` // since the last success, new code or new password
	LockedUntil time.Time `json:"locked_until,omitzero"`
}

// Five failures, then one attempt a minute: 525,600 tries a year on the 40 bits of a short code get in with
// probability 5e-7.
const (
	maxBackupFailures = 5
	backupLock        = time.Minute
)

func (t *BackupThrottle) refuses(now time.Time) error {
	if now.Before(t.LockedUntil) {
		return refuse(&Locked{Until: t.LockedUntil})
	}
	return nil
}

// fail counts a failure. It reports whether the account has just begun to be slowed down.
func (t *BackupThrottle) fail(now time.Time) (locked bool) {
	t.Failures++
	if t.Failures >= maxBackupFailures {
		t.LockedUntil = now.Add(backupLock)
	}
	return t.Failures == maxBackupFailures
}

func (t *BackupThrottle) remaining() int { return max(0, maxBackupFailures-t.Failures) }
