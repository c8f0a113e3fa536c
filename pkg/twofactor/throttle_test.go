package twofactor

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestLockDoubles: five consecutive failures lock for one minute, each further failure doubles the lock, up to one hour.
func TestLockDoubles(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	w.fail(4)
	if !w.account.Codes.LockedUntil.IsZero() {
		t.Fatal("locked after four failures")
	}
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		w.fail(1) // waits out the lock before
		want *= time.Minute
		if got := w.account.Codes.LockedUntil.Sub(w.now); got != want {
			t.Errorf("failure %d locks for %v, want %v", 5+i, got, want)
		}
		if diff := cmp.Diff([]EventType{EventLogin, EventLocked}, w.events()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	}
}

// TestLockIsTightened: the policy's own limits hold on the way to its own longest lock.
func TestLockIsTightened(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	w.rules.Policy.MaxFailures = 2
	w.rules.Policy.LockBase, w.rules.Policy.LockMax = Duration(50*time.Minute), Duration(3*time.Hour)
	w.must(w.rules.Policy.Validate())
	w.fail(1)
	for i, want := range []time.Duration{50 * time.Minute, 100 * time.Minute, 3 * time.Hour, 3 * time.Hour} {
		w.fail(1)
		if got := w.account.Codes.LockedUntil.Sub(w.now); got != want {
			t.Errorf("lock %d lasts %v, want %v", i, got, want)
		}
	}
}

// codeRoutes are all the ways to have an authenticator code compared.
var codeRoutes = []struct {
	name   string
	preset string
	try    func(w *world, code string) error
}{
	{"verify", "standard", func(w *world, code string) error { return w.signIn(code) }},
	{"check", "standard", func(w *world, code string) error {
		got, err := w.check(code)
		if err == nil && !got.Valid {
			return &WrongCode{AttemptsRemaining: got.AttemptsRemaining}
		}
		return err
	}},
	{"rotate", "standard", func(w *world, code string) error {
		_, err := w.rotate(RotateBackup{Request: w.request(), Code: code})
		return err
	}},
	{"revoke", "midphase", func(w *world, code string) error {
		_, err := w.revoke(RevokeBackup{Request: w.request(), Code: code})
		return err
	}},
	{"disable", "standard", func(w *world, code string) error {
		return w.disable(Disable{Request: w.request(), Code: code})
	}},
	{"replace", "standard", func(w *world, code string) error {
		_, err := w.replace(Replace{Request: w.request(), Code: code})
		return err
	}},
}

// TestOneBudget: one budget per account for every comparison on any route. While locked the answer is the same for a right and
// a wrong code, and nothing is written.
func TestOneBudget(t *testing.T) {
	t.Parallel()
	for _, route := range codeRoutes {
		t.Run(route.name, func(t *testing.T) {
			t.Parallel()
			w := enabledWorld(t, route.preset)
			w.fail(2)
			for i, left := range []int{2, 1, 0} {
				var wrong *WrongCode
				if err := route.try(w, w.phone.wrong(w.now, i)); !errors.As(err, &wrong) || wrong.AttemptsRemaining != left {
					t.Fatalf("failure %d: got %v, want a wrong code with %d left", 3+i, err, left)
				}
			}
			for _, route := range codeRoutes {
				w.rules.Policy, _ = Preset(route.preset)
				for _, code := range []string{w.phone.wrong(w.now, 7), w.phone.at(w.now), "nonsense"} {
					var locked *Locked
					err := route.try(w, code)
					if !errors.As(err, &locked) || !locked.Until.Equal(w.now.Add(time.Minute)) || w.stored {
						t.Errorf("%s while locked: got %v, stored %v; want locked for a minute, nothing stored", route.name, err, w.stored)
					}
				}
			}
			w.rules.Policy, _ = Preset(route.preset)
			w.later(time.Minute - time.Millisecond)
			if err := route.try(w, w.phone.at(w.now)); !isErr[*Locked](err) {
				t.Errorf("a moment before the lock's end: got %v", err)
			}
			w.later(time.Millisecond)
			w.must(route.try(w, w.phone.at(w.now)))
		})
	}
}

// TestConsecutive: a success ends the row of failures, and a right check does not.
func TestConsecutive(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	w.fail(4)
	if got, err := w.check(w.phone.at(w.now)); err != nil || !got.Valid || w.account.Codes.Failures != 4 {
		t.Errorf("check: %+v, %v, then %d failures; want valid and 4", got, err, w.account.Codes.Failures)
	}
	w.must(w.signIn(w.phone.at(w.now)))
	w.fail(4)
	if !w.account.Codes.LockedUntil.IsZero() {
		t.Error("locked by failures before the last success")
	}
	w.fail(1)
	if w.account.Codes.LockedUntil.IsZero() {
		t.Error("not locked after five failures")
	}
}

// TestSuspension: 100 failures in 30 days (31 daily buckets) suspend the authenticator; a success does not give that
// budget back. Locks and suspension are recorded once.
func TestSuspension(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	for range 33 { // three a day, and a success after each: never locked
		w.fail(3)
		w.must(w.signIn(w.nextCode()))
		w.later(time.Hour)
	}
	if w.account.Codes.Failures != 0 || w.account.Codes.monthly(w.now) != 99 {
		t.Fatalf("throttle %+v, want 99 in the month and none in a row", w.account.Codes)
	}
	var wrong *WrongCode
	if err := w.signIn(w.phone.wrong(w.now, 0)); !errors.As(err, &wrong) || wrong.AttemptsRemaining != 0 {
		t.Fatalf("100th failure: got %v", err)
	}
	if diff := cmp.Diff([]EventType{EventLogin, EventSuspended}, w.events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	w.later(400 * 24 * time.Hour) // it does not end by itself
	for _, code := range []string{w.phone.at(w.now), w.phone.wrong(w.now, 0)} {
		if err := w.signIn(code); !errors.Is(err, ErrSuspended) || w.stored {
			t.Errorf("suspended: got %v, stored %v", err, w.stored)
		}
	}
	w.passwordChanged()
	if err := w.signIn(w.phone.at(w.now)); !errors.Is(err, ErrSuspended) {
		t.Errorf("after a new password: got %v, want suspended", err)
	}
	if offer, err := w.offer(NewChallenge{}); err != nil || !offer.Suspended {
		t.Errorf("offer %+v, %v; want suspended", offer, err)
	}
	if !w.account.Status(w.now).Suspended {
		t.Error("status does not say suspended")
	}
}

// TestDailyBuckets: failures count for the day they happened on and the thirty after.
func TestDailyBuckets(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		days int
		want int
	}{{0, 4}, {1, 4}, {30, 4}, {31, 1}, {100, 1}} {
		w := enabledWorld(t, "standard")
		w.fail(3)
		w.later(time.Duration(test.days) * 24 * time.Hour)
		w.fail(1)
		if got := w.account.Codes.monthly(w.now); got != test.want {
			t.Errorf("three failures, one %d days later: %d count, want %d", test.days, got, test.want)
		}
		if n := len(w.account.Codes.Days); n > 2 {
			t.Errorf("%d buckets are kept", n)
		}
	}
}

// suspend spends the monthly budget.
func (w *world) suspend() {
	w.Helper()
	w.rules.Policy.MonthlyFailures = 5
	w.fail(5)
	if w.account.Codes.SuspendedAt.IsZero() {
		w.Fatal("not suspended")
	}
}

// TestSuspensionEnds: by an operator, or by a replacement begun with a backup sign-in's grant, each of which empties
// the buckets; not by a replacement that was begun with a code before.
func TestSuspensionEnds(t *testing.T) {
	t.Parallel()
	t.Run("operator", func(t *testing.T) {
		t.Parallel()
		w := enabledWorld(t, "standard")
		w.suspend()
		w.unlock()
		if diff := cmp.Diff(CodeThrottle{}, w.account.Codes); diff != "" {
			t.Errorf("throttle (-want +got):\n%s", diff)
		}
		if e := w.account.Events[0]; e.Type != EventUnlocked || e.Actor != ActorOperator || e.By != "op" || e.Reason != "phoned" {
			t.Errorf("event %+v", e)
		}
		w.must(w.signIn(w.nextCode()))
	})
	t.Run("replacement begun with a grant", func(t *testing.T) {
		t.Parallel()
		w := enabledWorld(t, "standard")
		w.suspend()
		setUp, err := w.replace(Replace{Request: w.request(), Grant: w.backupSignIn().Grant})
		w.must(err)
		if w.account.Codes.SuspendedAt.IsZero() {
			t.Error("the suspension ended with the begin")
		}
		w.phone = phone{secret: setUp.Secret}
		_, err = w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: w.phone.at(w.now)})
		w.must(err)
		if diff := cmp.Diff(CodeThrottle{}, w.account.Codes); diff != "" {
			t.Errorf("throttle (-want +got):\n%s", diff)
		}
		w.must(w.signIn(w.nextCode()))
	})
	t.Run("not a replacement begun with a code", func(t *testing.T) {
		t.Parallel()
		w := enabledWorld(t, "standard")
		setUp, err := w.replace(Replace{Request: w.request(), Code: w.phone.at(w.now)})
		w.must(err)
		w.suspend()
		w.phone = phone{secret: setUp.Secret}
		_, err = w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: w.phone.at(w.now)})
		w.must(err)
		if err := w.signIn(w.nextCode()); !errors.Is(err, ErrSuspended) {
			t.Errorf("got %v, want suspended", err)
		}
	})
}

// TestBackupThrottle: its own counter, five failures, then one attempt a minute; never suspended; recorded as locked once.
func TestBackupThrottle(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	wrong := "00000-00000-000"
	for i := range 120 {
		_, err := w.verify(w.challenge(), MethodBackupCode, wrong)
		var refused *WrongCode
		if !errors.As(err, &refused) || refused.AttemptsRemaining != max(0, 4-i) || refused.Skew != nil {
			t.Fatalf("failure %d: got %v %+v", i+1, err, refused)
		}
		want := []EventType{EventLogin}
		if i == 4 {
			want = append(want, EventLocked)
		}
		if diff := cmp.Diff(want, w.events()); diff != "" {
			t.Errorf("failure %d: events (-want +got):\n%s", i+1, diff)
		}
		if i < 4 {
			continue
		}
		for _, code := range []string{wrong, w.backup, "nonsense"} { // the same for right and wrong
			_, err := w.verify(w.challenge(), MethodBackupCode, code)
			var locked *Locked
			if !errors.As(err, &locked) || !locked.Until.Equal(w.now.Add(time.Minute)) || w.stored {
				t.Fatalf("after failure %d: got %v, stored %v; want locked for a minute", i+1, err, w.stored)
			}
		}
		w.later(time.Minute)
	}
	if w.account.Codes.Failures != 0 || len(w.account.Codes.Days) != 0 {
		t.Errorf("wrong backup codes counted against the authenticator: %+v", w.account.Codes)
	}
	w.must(w.signIn(w.phone.at(w.now))) // a success with the authenticator leaves this counter
	if w.account.Backups.Failures != 120 {
		t.Errorf("%d failures after an authenticator success, want 120", w.account.Backups.Failures)
	}
	w.backupSignIn()
	if diff := cmp.Diff(BackupThrottle{}, w.account.Backups); diff != "" {
		t.Errorf("throttle after a success (-want +got):\n%s", diff)
	}
}

// TestBackupThrottleCleared: by a new code, by password_changed, by an operator.
func TestBackupThrottleCleared(t *testing.T) {
	t.Parallel()
	for name, clear := range map[string]func(w *world){
		"new code": func(w *world) {
			_, err := w.rotate(RotateBackup{Request: w.request(), Code: w.phone.at(w.now)})
			w.must(err)
		},
		"password_changed": func(w *world) { w.passwordChanged() },
		"operator":         func(w *world) { w.unlock() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := enabledWorld(t, "standard")
			for range 5 {
				_, err := w.verify(w.challenge(), MethodBackupCode, "00000000")
				if !isErr[*WrongCode](err) {
					t.Fatal(err)
				}
			}
			clear(w)
			w.backupSignIn()
		})
	}
}

// TestThrottlesAreIndependent: a locked or suspended authenticator does not affect backup codes, nor the other way round.
func TestThrottlesAreIndependent(t *testing.T) {
	t.Parallel()
	for name, lock := range map[string]func(w *world){
		"locked":    func(w *world) { w.fail(5) },
		"suspended": func(w *world) { w.suspend() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := enabledWorld(t, "standard")
			lock(w)
			before := w.account.Codes
			w.backupSignIn()
			if diff := cmp.Diff(before, w.account.Codes); diff != "" {
				t.Errorf("a backup sign-in changed the authenticator's throttle (-before +after):\n%s", diff)
			}
		})
	}
}

// TestPasswordChanged: it clears a lock and keeps the 30-day count.
func TestPasswordChanged(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	w.fail(5)
	w.passwordChanged()
	if w.account.Epoch != 1 {
		t.Errorf("epoch %d, want 1", w.account.Epoch)
	}
	if e := w.account.Events[0]; e.Type != EventPasswordChanged || e.Actor != ActorHost {
		t.Errorf("event %+v", e)
	}
	if got := w.account.Codes.monthly(w.now); got != 5 {
		t.Errorf("30-day count %d, want 5", got)
	}
	w.must(w.signIn(w.phone.at(w.now)))
}

// TestPasswordChangedEndsSetUp: whoever began it may be who the password was changed against.
func TestPasswordChangedEndsSetUp(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	setUp, err := w.replace(Replace{Request: w.request(), Code: w.phone.at(w.now)})
	w.must(err)
	w.passwordChanged()
	if got := w.events(); !slices.Contains(got, EventReplacementLapsed) {
		t.Errorf("events %v, want that the replacement has lapsed", got)
	}
	stranger := phone{secret: setUp.Secret}
	if _, err := w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: stranger.at(w.now)}); !errors.Is(err, ErrEnrolmentExpired) {
		t.Errorf("got %v, want ErrEnrolmentExpired", err)
	}
	w.later(period)
	w.must(w.signIn(w.phone.at(w.now)))
}

// TestPasswordChangedStalesSessions: a session from before cannot begin again what has just been ended, nor ask again for
// what it was shown.
func TestPasswordChangedStalesSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	stolen := w.now
	w.later(time.Minute)
	w.passwordChanged()
	if _, err := w.tryEnroll(Enroll{Request: w.request(), AuthTime: stolen}); !isErr[*Reauthenticate](err) {
		t.Errorf("got %v, want reauthenticate", err)
	}
	w.enable()
	req := RotateBackup{Request: w.request(), Code: w.nextCode()}
	_, err := w.rotate(req)
	w.must(err)
	w.passwordChanged()
	if code, err := w.rotate(req); code != nil || !isErr[*CodeReused](err) {
		t.Errorf("got %v, %v; want reused", code, err)
	}
}
