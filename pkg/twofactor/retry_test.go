package twofactor

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRetrySameAnswer: the newest success, sent again with the same code, gets the same answer: assertion with the same jti,
// iat and exp, backup code, grant. It changes nothing and happened only once.
func TestRetrySameAnswer(t *testing.T) {
	t.Parallel()
	for _, preset := range Presets() {
		for _, method := range []Method{MethodTOTP, MethodBackupCode} {
			t.Run(preset+" "+string(method), func(t *testing.T) {
				t.Parallel()
				w := enabledWorld(t, preset)
				ch, code := w.challenge(), w.phone.at(w.now)
				if method == MethodBackupCode {
					code = w.backup
				}
				first, err := w.verify(ch, method, code)
				w.must(err)
				before := w.account
				for range 3 {
					w.later(19 * time.Second)
					again, err := w.verify(ch, method, " "+code[:3]+"-"+code[3:]+" ")
					w.must(err)
					if diff := cmp.Diff(first, again); diff != "" {
						t.Errorf("another answer (-first +again):\n%s", diff)
					}
					if len(w.account.Events) != 0 {
						t.Errorf("a retry did something: %v", w.events())
					}
				}
				if diff := cmp.Diff(before.Codes, w.account.Codes); diff != "" {
					t.Errorf("a retry moved the throttle:\n%s", diff)
				}
			})
		}
	}
}

// TestRetryAfterAssertion: after the assertion's end a retry gets the backup code alone, while that is current, and
// challenge_expired when there was none to repeat.
func TestRetryAfterAssertion(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		preset string
		method Method
		wait   time.Duration
		change func(w *world)
		code   bool // the answer has the backup code, and no assertion
	}{
		{"backup code", "standard", MethodBackupCode, time.Minute, nil, true},
		{"backup code, challenge expired", "standard", MethodBackupCode, 10*time.Minute - 1, nil, true},
		{"backup code, too late", "standard", MethodBackupCode, 10 * time.Minute, nil, false},
		{"backup code, none made", "midphase", MethodBackupCode, time.Minute, nil, false},
		{"backup code, rotated since", "standard", MethodBackupCode, time.Minute, func(w *world) {
			_, err := w.rotate(RotateBackup{Request: w.request(), Code: w.phone.at(w.now)})
			w.must(err)
		}, false},
		{"authenticator", "standard", MethodTOTP, time.Minute, nil, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := enabledWorld(t, test.preset)
			ch := w.challenge()
			w.later(time.Second)
			code := w.phone.at(w.now)
			if test.method == MethodBackupCode {
				code = w.backup
			}
			first, err := w.verify(ch, test.method, code)
			w.must(err)
			w.later(test.wait)
			if test.change != nil {
				test.change(w)
			}
			again, err := w.verify(ch, test.method, code)
			if !test.code {
				if !errors.Is(err, ErrChallengeExpired) {
					t.Errorf("got %+v, %v; want ErrChallengeExpired", again, err)
				}
				return
			}
			w.must(err)
			if again.Assertion != nil {
				t.Error("an assertion after its end")
			}
			if diff := cmp.Diff(first.BackupCode, again.BackupCode); diff != "" {
				t.Errorf("another backup code (-first +again):\n%s", diff)
			}
		})
	}
}

// TestRetryUntilAssertionEnds: the assertion is repeated until its exp, to the moment.
func TestRetryUntilAssertionEnds(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	w.later(999 * time.Millisecond)
	ch, code := w.challenge(), w.phone.at(w.now)
	first, err := w.verify(ch, MethodTOTP, code)
	w.must(err)
	w.now = first.Assertion.ExpiresAt.Add(-time.Millisecond)
	if again, err := w.verify(ch, MethodTOTP, code); err != nil || again.Assertion == nil || again.Assertion.ID != first.Assertion.ID {
		t.Errorf("a moment before its end: got %+v, %v", again, err)
	}
	w.now = first.Assertion.ExpiresAt
	if _, err := w.verify(ch, MethodTOTP, code); !errors.Is(err, ErrChallengeExpired) {
		t.Errorf("at its end: got %v", err)
	}
}

// TestNoRetryAfterPasswordChange: never after password_changed.
func TestNoRetryAfterPasswordChange(t *testing.T) {
	t.Parallel()
	for _, method := range []Method{MethodTOTP, MethodBackupCode} {
		w := enabledWorld(t, "standard")
		ch, code := w.challenge(), w.phone.at(w.now)
		if method == MethodBackupCode {
			code = w.backup
		}
		_, err := w.verify(ch, method, code)
		w.must(err)
		w.passwordChanged()
		if _, err := w.verify(ch, method, code); !errors.Is(err, ErrChallengeExpired) {
			t.Errorf("%s: got %v, want ErrChallengeExpired", method, err)
		}
	}
}

// TestOrderForCodes: lock, retry, comparison. A retry before the lock would be a free oracle for whoever stole a challenge.
func TestOrderForCodes(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	ch, code := w.challenge(), w.phone.at(w.now)
	_, err := w.verify(ch, MethodTOTP, code)
	w.must(err)
	w.fail(5)
	if _, err := w.verify(ch, MethodTOTP, code); !isErr[*Locked](err) || w.stored {
		t.Errorf("retry while locked: got %v, stored %v; want locked", err, w.stored)
	}
}

// TestOrderForBackupCodes: retry, lock, comparison.
func TestOrderForBackupCodes(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	ch, code := w.challenge(), w.backup
	first, err := w.verify(ch, MethodBackupCode, code)
	w.must(err)
	for range 5 {
		if _, err := w.verify(w.challenge(), MethodBackupCode, "00000000"); !isErr[*WrongCode](err) {
			t.Fatal(err)
		}
	}
	again, err := w.verify(ch, MethodBackupCode, code)
	w.must(err)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("retry while locked (-first +again):\n%s", diff)
	}
}

// TestSpentChallenge: a challenge succeeds once. Another code on it is a failure whatever the code; and the answer is the
// same as for one that is not counted.
func TestSpentChallenge(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	ch := w.challenge()
	_, err := w.verify(ch, MethodTOTP, w.phone.at(w.now))
	w.must(err)
	for i, code := range []string{w.nextCode(), w.phone.wrong(w.now, 0), "nonsense", "", w.phone.at(w.now.Add(-4 * period))} {
		if _, err := w.verify(ch, MethodTOTP, code); !errors.Is(err, ErrChallengeExpired) || !w.stored {
			t.Errorf("code %d on a spent challenge: got %v, stored %v; want ErrChallengeExpired, stored", i, err, w.stored)
		}
		if got := w.account.Codes.Failures; got != i+1 {
			t.Errorf("after %d codes on a spent challenge: %d failures", i+1, got)
		}
	}
	if err := w.signIn(w.phone.at(w.now)); !isErr[*Locked](err) {
		t.Errorf("got %v, want locked by what was tried on the spent challenge", err)
	}
}

// TestOlderSpentChallenge: the digests of all challenges that succeeded within ten minutes are kept; on those before the
// newest nothing is compared.
func TestOlderSpentChallenge(t *testing.T) {
	t.Parallel()
	for _, method := range []Method{MethodTOTP, MethodBackupCode} {
		w := enabledWorld(t, "standard")
		first := w.challenge()
		code := w.phone.at(w.now)
		_, err := w.verify(first, MethodTOTP, code)
		w.must(err)
		for range 8 {
			w.must(w.signIn(w.nextCode()))
		}
		attempt := w.nextCode()
		if method == MethodBackupCode {
			attempt = w.backup
		}
		for _, again := range []string{code, attempt} {
			if _, err := w.verify(first, method, again); !errors.Is(err, ErrChallengeExpired) || w.stored {
				t.Errorf("%s on an older spent challenge: got %v, stored %v", method, err, w.stored)
			}
		}
		if w.account.Codes.Failures != 0 {
			t.Errorf("%s: %d failures counted", method, w.account.Codes.Failures)
		}
	}
}

// TestSpentByBackupCode: a challenge that a backup code has spent compares no authenticator code.
func TestSpentByBackupCode(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	ch := w.challenge()
	_, err := w.verify(ch, MethodBackupCode, w.backup)
	w.must(err)
	for _, attempt := range []struct {
		method Method
		code   string
	}{{MethodTOTP, w.phone.at(w.now)}, {MethodBackupCode, w.backup}} {
		if _, err := w.verify(ch, attempt.method, attempt.code); !errors.Is(err, ErrChallengeExpired) || w.stored {
			t.Errorf("%s: got %v, stored %v", attempt.method, err, w.stored)
		}
	}
}

// TestSpentChallengeWhenOff: when 2FA is off there is nothing to guess at, and nothing that is tried on a spent challenge may
// stand in the way of setting it up again.
func TestSpentChallengeWhenOff(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	ch, code := w.challenge(), w.phone.at(w.now)
	_, err := w.verify(ch, MethodTOTP, code)
	w.must(err)
	w.must(w.disable(Disable{Request: w.request(), Code: w.nextCode()}))
	if _, err := w.verify(ch, MethodTOTP, code); !errors.Is(err, ErrChallengeExpired) {
		t.Errorf("the code that opened it: got %v, want ErrChallengeExpired: no wrong one is counted now", err)
	}
	for i := range 10 {
		if _, err := w.verify(ch, MethodTOTP, w.phone.wrong(w.now, i)); !errors.Is(err, ErrChallengeExpired) {
			t.Errorf("got %v, want ErrChallengeExpired", err)
		}
	}
	w.mustBeOff()
}

// TestIdempotencyKey: a retry under the same Idempotency-Key gets the same answer on confirm, rotate, revoke and disable, once.
func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		preset string
		ready  func(w *world) func() (any, error) // what is then sent twice
	}{
		{"enroll", "standard", func(w *world) func() (any, error) {
			w.must(w.disable(Disable{Request: w.request(), Code: w.phone.at(w.now)}))
			req := Enroll{Request: w.request(), AuthTime: w.now}
			return func() (any, error) { return shown(w.tryEnroll(req)) }
		}},
		{"replace", "standard", func(w *world) func() (any, error) {
			req := Replace{Request: w.request(), Code: w.phone.at(w.now)}
			return func() (any, error) { return shown(w.replace(req)) }
		}},
		{"replace with a grant", "midphase", func(w *world) func() (any, error) {
			req := Replace{Request: w.request(), Grant: w.backupSignIn().Grant}
			return func() (any, error) { return shown(w.replace(req)) }
		}},
		{"confirm", "standard", func(w *world) func() (any, error) { return w.readyToConfirm() }},
		{"confirm, backup code after", "midphase", func(w *world) func() (any, error) { return w.readyToConfirm() }},
		{"rotate", "standard", func(w *world) func() (any, error) {
			req := RotateBackup{Request: w.request(), Code: w.phone.at(w.now)}
			return func() (any, error) { return w.rotate(req) }
		}},
		{"rotate with a grant", "midphase", func(w *world) func() (any, error) {
			req := RotateBackup{Request: w.request(), Grant: w.backupSignIn().Grant}
			return func() (any, error) { return w.rotate(req) }
		}},
		{"revoke", "midphase", func(w *world) func() (any, error) {
			req := RevokeBackup{Request: w.request(), Code: w.phone.at(w.now)}
			return func() (any, error) { return w.revoke(req) }
		}},
		{"disable", "standard", func(w *world) func() (any, error) {
			req := Disable{Request: w.request(), Code: w.phone.at(w.now)}
			return func() (any, error) { return nil, w.disable(req) }
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := enabledWorld(t, test.preset)
			send := test.ready(w)
			first, err := send()
			w.must(err)
			for range 2 {
				w.later(4 * time.Minute)
				again, err := send()
				w.must(err)
				if diff := cmp.Diff(first, again); diff != "" {
					t.Errorf("another answer (-first +again):\n%s", diff)
				}
				if len(w.account.Events) != 0 {
					t.Errorf("a retry did something: %v", w.events())
				}
			}
		})
	}
}

// TestIdempotencyKeyEnds: the last one is kept, for ten minutes. Any other reuse of a code is refused as reused.
func TestIdempotencyKeyEnds(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	first := RotateBackup{Request: w.request(), Code: w.phone.at(w.now)}
	_, err := w.rotate(first)
	w.must(err)
	if _, err := w.rotate(RotateBackup{Request: w.request(), Code: first.Code}); !isErr[*CodeReused](err) {
		t.Errorf("another request, same code: got %v, want reused", err)
	}
	w.later(10 * time.Minute)
	if _, err := w.rotate(first); !isErr[*CodeReused](err) && !isErr[*WrongCode](err) {
		t.Errorf("after ten minutes: got %v", err)
	}
	second := RotateBackup{Request: w.request(), Code: w.phone.at(w.now)}
	_, err = w.rotate(second)
	w.must(err)
	_, err = w.rotate(RotateBackup{Request: w.request(), Code: w.nextCode()})
	w.must(err)
	if _, err := w.rotate(second); !isErr[*CodeReused](err) {
		t.Errorf("not the last one: got %v, want reused", err)
	}
}

// TestIdempotencyKeyWhileLocked: lock, retry, comparison holds here, too.
func TestIdempotencyKeyWhileLocked(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "midphase")
	req := RevokeBackup{Request: w.request(), Code: w.phone.at(w.now)}
	_, err := w.revoke(req)
	w.must(err)
	w.fail(5)
	if _, err := w.revoke(req); !isErr[*Locked](err) {
		t.Errorf("got %v, want locked", err)
	}
}

// readyToConfirm begins a replacement of a phone whose backup code is gone, and returns the confirmation.
func (w *world) readyToConfirm() func() (any, error) {
	w.account.BackupCode = nil
	setUp, err := w.replace(Replace{Request: w.request(), Code: w.phone.at(w.now)})
	w.must(err)
	req := Confirm{Request: w.request(), Enrolment: setUp.ID, Code: phone{secret: setUp.Secret}.at(w.now)}
	return func() (any, error) { return w.confirm(req) }
}

func shown(s SetUp, err error) (any, error) { return s, err }

// TestSpentOutlivesItsChallenge: a challenge from a process whose clock is ahead is remembered for as long as it could be
// presented, to a process whose clock is behind as well.
func TestSpentOutlivesItsChallenge(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	w.now = w.now.Add(2 * time.Second)
	ch := w.challenge()
	w.now = w.now.Add(-2 * time.Second)
	_, err := w.verify(ch, MethodTOTP, w.phone.at(w.now))
	w.must(err)
	w.later(10*time.Minute + time.Second)
	w.must(w.signIn(w.phone.at(w.now))) // a write, which drops what has run out
	w.later(period)
	w.now = ch.ExpiresAt.Add(-time.Millisecond)
	if _, err := w.verify(ch, MethodTOTP, w.phone.at(w.now.Add(period))); !errors.Is(err, ErrChallengeExpired) {
		t.Errorf("got %v, want ErrChallengeExpired", err)
	}
}

// TestIdempotencyKeyIsNoOracle: another body under an answered key is a failure whatever it says, so that whoever knows the
// key cannot search for the code that was in it.
func TestIdempotencyKeyIsNoOracle(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		preset string
		begin  func(w *world) (try func(req Request, code string) error, code string)
	}{
		"revoke": {preset: "midphase", begin: func(w *world) (func(Request, string) error, string) {
			return func(req Request, code string) error {
				_, err := w.revoke(RevokeBackup{Request: req, Code: code})
				return err
			}, w.nextCode()
		}},
		"rotate": {preset: "standard", begin: func(w *world) (func(Request, string) error, string) {
			return func(req Request, code string) error {
				_, err := w.rotate(RotateBackup{Request: req, Code: code})
				return err
			}, w.nextCode()
		}},
		"confirm": {preset: "standard", begin: func(w *world) (func(Request, string) error, string) {
			setUp, err := w.replace(Replace{Request: w.request(), Code: w.nextCode()})
			w.must(err)
			newPhone := phone{secret: setUp.Secret}
			return func(req Request, code string) error {
				_, err := w.confirm(Confirm{Request: req, Enrolment: setUp.ID, Code: code})
				return err
			}, newPhone.at(w.now)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := enabledWorld(t, test.preset)
			try, code := test.begin(w)
			first := w.request()
			w.must(try(first, code))
			w.must(try(first, code)) // its retry
			for i := range 5 {
				guess := Request{ID: RandomDigest(), Key: first.Key}
				if err := try(guess, w.phone.wrong(w.now, i)); !errors.Is(err, ErrKeyReused) || !w.stored || w.account.Codes.Failures != i+1 {
					t.Fatalf("guess %d: got %v, stored %v, %d failures", i, err, w.stored, w.account.Codes.Failures)
				}
			}
			if err := try(first, code); !isErr[*Locked](err) {
				t.Errorf("the right one after five others: got %v, want locked", err)
			}
		})
	}
}

// TestManyBackupSignIns: each backup code can bring the next, so that only this bounds what an account remembers of them.
func TestManyBackupSignIns(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	for range maxChallenges {
		w.backupSignIn()
	}
	_, err := w.verify(w.challenge(), MethodBackupCode, w.backup)
	if !isErr[*Locked](err) || w.stored || len(w.account.Challenges) != maxChallenges {
		t.Errorf("got %v, stored %v, %d kept; want locked, unwritten, %d", err, w.stored, len(w.account.Challenges), maxChallenges)
	}
	w.later(retryFor + clockSlack)
	w.backupSignIn()
}

// TestManySignIns: moving from phone to phone spends steps of each, so that steps alone do not bound what is remembered.
func TestManySignIns(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	for range maxChallenges {
		w.account.Challenges = append(w.account.Challenges, Spent{Challenge: RandomDigest(), Until: w.now.Add(time.Minute)})
	}
	if err := w.signIn(w.phone.at(w.now)); !isErr[*Locked](err) || w.stored {
		t.Errorf("got %v, stored %v; want locked, unwritten", err, w.stored)
	}
	w.later(time.Minute)
	w.must(w.signIn(w.phone.at(w.now)))
}

// TestRetryAfterPolicyChange: a code is shown again in the length that it was made in.
func TestRetryAfterPolicyChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	req := Enroll{Request: w.request(), AuthTime: w.now}
	first, err := w.tryEnroll(req)
	w.must(err)
	w.rules.Policy.BackupLength = 26
	again, err := w.tryEnroll(req)
	w.must(err)
	if again.BackupCode == nil || again.BackupCode.Code != first.BackupCode.Code {
		t.Errorf("got %v, want the same code again", again.BackupCode)
	}
}
