package twofactor

import (
	"errors"
	"testing"
	"time"
)

// What happens when a clock is wrong by more than the minute that the rules allow for, and is put right: TestHistories has
// what happens within that minute. Steps, locks and ends that were written by the wrong clock stay as they are. To set them
// back would be to accept a code twice, or to end a lock, for whoever can move a clock.

// TestClockAheadPhoneAhead: a code of tomorrow was accepted, by a server and from a phone that both were a day ahead. Every
// code of today is then one of the past. It is told as used, is no failure, and locks nobody; and there are three ways out.
func TestClockAheadPhoneAhead(t *testing.T) {
	t.Parallel()
	const ahead = 24 * time.Hour
	begin := func(t *testing.T) *world {
		w := enabledWorld(t, "standard")
		w.later(ahead)
		w.must(w.signIn(w.phone.at(w.now)))
		w.later(-ahead)
		for range 20 {
			var reused *CodeReused
			if err := w.signIn(w.nextCode()); !errors.As(err, &reused) || reused.RetryAfter < ahead-time.Hour || reused.RetryAfter > ahead+2*period {
				t.Fatalf("a code of today: %v, want that one of tomorrow is the next", err)
			}
		}
		if w.account.Codes.Failures != 0 {
			t.Fatalf("%d failures are counted", w.account.Codes.Failures)
		}
		return w
	}
	t.Run("the backup code, and then a phone whose time is right", func(t *testing.T) {
		t.Parallel()
		w := begin(t)
		signIn := w.backupSignIn()
		setUp, err := w.replace(Replace{Request: w.request(), Grant: signIn.Grant})
		w.must(err)
		w.phone = phone{secret: setUp.Secret}
		_, err = w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: w.phone.at(w.now)})
		w.must(err)
		w.must(w.signIn(w.nextCode()))
	})
	t.Run("an operator who removes the authenticator", func(t *testing.T) {
		t.Parallel()
		w := begin(t)
		w.remove()
		w.later(time.Second)
		w.enable()
		w.must(w.signIn(w.nextCode()))
	})
	t.Run("a day", func(t *testing.T) {
		t.Parallel()
		w := begin(t)
		w.later(ahead)
		w.must(w.signIn(w.nextCode()))
	})
}

// TestClockAhead: the clock of a server alone was a day ahead. A phone whose time is right got nobody in there, and nothing
// that the server has accepted of it is in its way afterwards. A lock that the server has set lasts until tomorrow. The backup
// code is not touched by it, and an operator, or a new password, ends it.
func TestClockAhead(t *testing.T) {
	t.Parallel()
	const ahead = 24 * time.Hour
	for name, end := range map[string]func(*world){
		"unlock": (*world).unlock, "a new password": (*world).passwordChanged, "a day": func(w *world) { w.later(ahead) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := enabledWorld(t, "standard")
			for range 5 {
				var wrong *WrongCode
				right := w.phone.at(w.now)
				w.later(ahead)
				if err := w.signIn(right); !errors.As(err, &wrong) || wrong.Skew != nil {
					t.Fatalf("a code of today, tomorrow: %v", err)
				}
				w.later(period - ahead)
			}
			if err := w.signIn(w.nextCode()); !isErr[*Locked](err) {
				t.Fatalf("%v, want the lock of tomorrow", err)
			}
			w.backupSignIn()
			end(w)
			w.must(w.signIn(w.nextCode()))
		})
	}
}

// TestClockAheadEnrolment: a sign-in that turned 2FA off by a clock that was a day ahead lets no session of today set it up.
// A new password, reported by the host, puts that right.
func TestClockAheadEnrolment(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "mirox")
	w.later(24 * time.Hour)
	w.backupSignIn()
	w.mustBeOff()
	w.later(-24 * time.Hour)
	if _, err := w.tryEnroll(Enroll{Request: w.request(), AuthTime: w.now}); !isErr[*Reauthenticate](err) {
		t.Fatalf("a set-up from a session of today: %v", err)
	}
	w.passwordChanged()
	w.later(time.Second)
	w.enable()
	w.must(w.signIn(w.nextCode()))
}

// TestClockForgets: what a clock that is ahead has let run out, in an account that it has written, stays so. A challenge that
// was spent is no longer known as such, if the clock is ahead by more than challenges live; a code that was spent always is.
func TestClockForgets(t *testing.T) {
	t.Parallel()
	const ahead = 20 * time.Minute
	w := enabledWorld(t, "standard")
	grant := w.backupSignIn().Grant
	setUp, err := w.replace(Replace{Request: w.request(), Grant: grant})
	w.must(err)
	newPhone := phone{secret: setUp.Secret}
	ch, code := w.challenge(), w.nextCode()
	w.mustIn(w.verify(ch, MethodTOTP, code))
	backup := w.backup

	w.later(ahead)
	if _, err := w.check(w.phone.wrong(w.now, 0)); err != nil { // is written
		t.Fatal(err)
	}
	w.later(-ahead)
	if _, err := w.verify(ch, MethodTOTP, code); !isErr[*CodeReused](err) {
		t.Errorf("the spent code on the spent challenge: %v", err)
	}
	if _, err := w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: newPhone.at(w.now)}); !errors.Is(err, ErrEnrolmentExpired) {
		t.Errorf("the set-up that has lapsed: %v", err)
	}
	if _, err := w.rotate(RotateBackup{Request: w.request(), Grant: grant}); !errors.Is(err, ErrGrantExpired) {
		t.Errorf("the grant that has run out: %v", err)
	}
	w.mustIn(w.verify(ch, MethodTOTP, w.nextCode())) // one more code, one more assertion: the host's sign-in is what it opens once
	w.mustIn(w.verify(w.challenge(), MethodBackupCode, backup))
}

// TestSpentWithinMinute: a challenge that was spent stays so until the last clock that is less than a minute behind has called
// it expired, whatever the first that is ahead has cleared away.
func TestSpentWithinMinute(t *testing.T) {
	t.Parallel()
	const apart = 59 * time.Second
	for _, left := range []time.Duration{time.Millisecond, time.Second, apart} {
		w := enabledWorld(t, "standard")
		ch := w.challenge()
		w.mustIn(w.verify(ch, MethodTOTP, w.nextCode()))
		w.now = ch.ExpiresAt.Add(apart - left)
		if _, err := w.check(w.phone.wrong(w.now, 0)); err != nil { // is written
			t.Fatal(err)
		}
		w.later(-apart)
		if _, err := w.verify(ch, MethodTOTP, w.phone.at(w.now)); !errors.Is(err, ErrChallengeExpired) {
			t.Errorf("a spent challenge, %v before its end: %v", left, err)
		}
	}
}

func (w *world) mustIn(s SignIn, err error) {
	w.Helper()
	if err != nil || s.Assertion == nil {
		w.Fatalf("%+v, %v; want to be in", s, err)
	}
}

// TestLockBetweenClocks: with two servers whose clocks are apart, a lock is shorter by no more than that, and of all that is
// guessed at both no more is compared than one server would compare in a time that is longer by as much.
func TestLockBetweenClocks(t *testing.T) {
	t.Parallel()
	for _, apart := range []time.Duration{0, time.Second, 3 * time.Second, 30 * time.Second, 5 * time.Minute} {
		t.Run(apart.String(), func(t *testing.T) {
			t.Parallel()
			w := enabledWorld(t, "standard")
			lock, since := time.Duration(0), w.now // by a clock that is right
			for compared, n := 0, 0; compared < 12; n++ {
				here := time.Duration(n%2) * apart // of this server
				w.later(here)
				err := w.signIn(w.phone.wrong(w.now, n))
				w.later(-here)
				switch took := w.now.Sub(since); {
				case isErr[*WrongCode](err):
					if compared++; lock > 0 && took < lock-apart {
						t.Fatalf("guess %d is compared %v after a failure that locks for %v, by clocks %v apart", compared, took, lock, apart)
					}
					since = w.now
					if compared >= 5 {
						lock = min(time.Minute<<(compared-5), time.Hour)
					}
				case !isErr[*Locked](err):
					t.Fatal(err)
				case took > lock+apart:
					t.Fatalf("locked for %v, want %v by clocks %v apart", took, lock, apart)
				case took > 5*time.Second && took < lock-apart-5*time.Second:
					w.now = since.Add(lock - apart - 5*time.Second) // one second after the other would take a while
				}
				w.later(time.Second)
			}
		})
	}
}
