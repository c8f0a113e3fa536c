package twofactor

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nightlatch/nightlatch/pkg/totp"
)

// TestEnroll: what the user needs to set up; nothing of it is in force.
func TestEnroll(t *testing.T) {
	t.Parallel()
	for preset, before := range map[string]bool{"standard": true, "mirox": true, "miaxdx": true, "midphase": false} {
		t.Run(preset, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, preset)
			w.must(w.act(func(a *Account) error { return w.rules.AddressChanged(a, w.request(), "a@example.com", w.now) }))
			req := Enroll{Request: w.request(), AuthTime: w.now}
			got, err := w.tryEnroll(req)
			w.must(err)
			want := SetUp{ID: w.account.Pending.ID, Params: totp.Default, Account: "a@example.com", ExpiresAt: noon.Add(15 * time.Minute)}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(SetUp{}, "Secret", "BackupCode")); diff != "" {
				t.Errorf("set-up (-want +got):\n%s", diff)
			}
			if len(got.Secret) != 20 || (got.BackupCode != nil) != before {
				t.Errorf("secret of %d bytes, backup code %v; want 20, %v", len(got.Secret), got.BackupCode != nil, before)
			}
			if before && len(got.BackupCode.Code) != w.rules.Policy.BackupLength {
				t.Errorf("backup code of %d characters, want %d", len(got.BackupCode.Code), w.rules.Policy.BackupLength)
			}
			if w.account.Enabled() || w.account.BackupCode != nil {
				t.Error("something is in force before the confirmation")
			}
			if s := w.account.Status(w.now); s.State != StatePending || s.Pending == nil || s.Pending.Replacement {
				t.Errorf("status %+v, want a pending first enrolment", s)
			}
			if e := w.account.Events[0]; e.Type != EventEnrollmentStarted || e.Operation != OpEnroll {
				t.Errorf("event %+v", e)
			}
		})
	}
}

// TestSetUpOpensNothing: nothing of a pending enrolment can be used to sign in.
func TestSetUpOpensNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "miaxdx") // a challenge is given although 2FA is off
	setUp := w.enroll()
	p := phone{secret: setUp.Secret}
	for _, purpose := range []Purpose{PurposeEnroll, PurposeVerify} {
		ch := w.challenge()
		ch.Purpose = purpose
		for method, code := range map[Method]string{MethodTOTP: p.at(w.now), MethodBackupCode: w.backup} {
			if got, err := w.verify(ch, method, code); err == nil || w.stored {
				t.Errorf("%s, %s: got %+v, stored %v; want a refusal", purpose, method, got, w.stored)
			}
		}
	}
	if _, err := w.check(p.at(w.now)); !errors.Is(err, ErrNotEnabled) {
		t.Errorf("check: got %v", err)
	}
	if _, err := w.rotate(RotateBackup{Request: w.request(), Code: p.at(w.now)}); !errors.Is(err, ErrNotEnabled) {
		t.Errorf("rotate: got %v", err)
	}
	if _, err := w.replace(Replace{Request: w.request(), Code: p.at(w.now)}); !errors.Is(err, ErrNotEnabled) {
		t.Errorf("replace: got %v", err)
	}
	w.rules.Policy, _ = Preset("midphase")
	if _, err := w.revoke(RevokeBackup{Request: w.request(), Code: p.at(w.now)}); !errors.Is(err, ErrNotEnabled) {
		t.Errorf("revoke: got %v", err)
	}
	if err := w.disable(Disable{Request: w.request(), Code: p.at(w.now)}); !errors.Is(err, ErrNotEnabled) {
		t.Errorf("disable: got %v", err)
	}
}

// TestEnrollFreshness: a first enrolment from a session needs a fresh one: no older than 15 minutes, and no earlier, in whole
// seconds, than the last backup sign-in or removal.
func TestEnrollFreshness(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		world    func(t *testing.T) *world
		authTime func(w *world) time.Time
		fresh    bool
	}{
		{"now", off, func(w *world) time.Time { return w.now }, true},
		{"15 minutes", off, func(w *world) time.Time { return w.now.Add(-15 * time.Minute) }, true},
		{"a moment more", off, func(w *world) time.Time { return w.now.Add(-15*time.Minute - time.Millisecond) }, false},
		{"a clock ahead", off, func(w *world) time.Time { return w.now.Add(time.Minute) }, true},
		{"the future", off, func(w *world) time.Time { return w.now.Add(time.Minute + time.Millisecond) }, false},
		{"unknown", off, func(w *world) time.Time { return time.Time{} }, false},
		{"from the second of the backup sign-in", usedBackup, func(w *world) time.Time { return w.account.FreshSince.Truncate(time.Second) }, true},
		{"from the second before it", usedBackup, func(w *world) time.Time {
			return w.account.FreshSince.Truncate(time.Second).Add(-time.Millisecond)
		}, false},
		{"from before the removal", removed, func(w *world) time.Time { return w.account.FreshSince.Add(-time.Second) }, false},
		{"after the removal", removed, func(w *world) time.Time { return w.account.FreshSince }, true},
		{"from before the erasure", erased, func(w *world) time.Time { return w.account.FreshSince.Add(-time.Second) }, false},
		{"after the erasure", erased, func(w *world) time.Time { return w.account.FreshSince }, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := test.world(t)
			_, err := w.tryEnroll(Enroll{Request: w.request(), AuthTime: test.authTime(w)})
			if test.fresh {
				w.must(err)
				return
			}
			var stale *Reauthenticate
			if !errors.As(err, &stale) || stale.MaxAge != 15*time.Minute || w.stored {
				t.Errorf("got %v, stored %v; want reauthenticate within 15m", err, w.stored)
			}
		})
	}
}

func off(t *testing.T) *world { return newWorld(t, "standard") }

// usedBackup is off since a backup sign-in a minute ago, in the middle of a second.
func usedBackup(t *testing.T) *world {
	w := enabledWorld(t, "mirox")
	w.later(600 * time.Millisecond)
	auth := w.backupSignIn().Assertion.IssuedAt
	if !auth.Equal(noon) || !w.account.FreshSince.Equal(w.now) {
		t.Fatalf("auth_time %v, fresh since %v", auth, w.account.FreshSince)
	}
	w.later(time.Minute)
	return w
}

func removed(t *testing.T) *world {
	w := enabledWorld(t, "standard")
	w.remove()
	w.later(time.Minute)
	return w
}

func erased(t *testing.T) *world {
	w := enabledWorld(t, "standard")
	w.must(w.act(func(a *Account) error { return w.rules.Erase(a, w.request(), Event{Actor: ActorHost}, w.now) }))
	w.later(time.Minute)
	return w
}

// TestStaleSessionIsShownNothing: not even what was begun under the same Idempotency-Key.
func TestStaleSessionIsShownNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	req := Enroll{Request: w.request(), AuthTime: w.now}
	if _, err := w.tryEnroll(req); err != nil {
		t.Fatal(err)
	}
	req.AuthTime = w.now.Add(-freshFor - time.Second)
	if setUp, err := w.tryEnroll(req); !isErr[*Reauthenticate](err) || setUp.Secret != nil {
		t.Errorf("got %v, %v; want reauthenticate and nothing else", setUp, err)
	}
}

// TestEnrolmentIDNamesOne: a key that is used again when its enrolment is gone begins another, under an id of its own, so
// that a phone which scanned the first is told that it was replaced.
func TestEnrolmentIDNamesOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	req := Enroll{Request: w.request(), AuthTime: w.now}
	first, err := w.tryEnroll(req)
	w.must(err)
	w.enroll()
	second, err := w.tryEnroll(req)
	w.must(err)
	if second.ID == first.ID || second.Secret.Base32() == first.Secret.Base32() {
		t.Errorf("ids %v and %v of two set-ups", first.ID, second.ID)
	}
	scanned := phone{secret: first.Secret}
	if _, err := w.confirm(Confirm{Request: w.request(), Enrolment: first.ID, Code: scanned.at(w.now)}); !errors.Is(err, ErrEnrolmentReplaced) {
		t.Errorf("got %v, want ErrEnrolmentReplaced", err)
	}
}

// TestEnrollAgain: calling it again discards the earlier pending enrolment, its secret and its backup code.
func TestEnrollAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	first := w.enroll()
	firstBackup := w.backup
	second := w.enroll()
	if cmp.Equal(first.Secret, second.Secret) || firstBackup == w.backup {
		t.Error("the second set-up has something of the first")
	}
	_, err := w.confirm(Confirm{Request: w.request(), Enrolment: first.ID, Code: phone{secret: first.Secret}.at(w.now)})
	if !errors.Is(err, ErrEnrolmentReplaced) || w.stored {
		t.Errorf("confirming the first: got %v, stored %v", err, w.stored)
	}
	_, err = w.confirm(Confirm{Request: w.request(), Enrolment: second.ID, Code: phone{secret: second.Secret}.at(w.now)})
	w.must(err)
	if _, err := w.verify(w.challenge(), MethodBackupCode, firstBackup); !isErr[*WrongCode](err) {
		t.Errorf("backup code of the first: got %v", err)
	}
	w.backupSignIn()
}

func TestEnrollRefusals(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	if _, err := w.tryEnroll(Enroll{Request: w.request(), AuthTime: w.now}); !errors.Is(err, ErrAlreadyEnabled) {
		t.Errorf("enabled: got %v", err)
	}
	w = newWorld(t, "miaxdx")
	good := w.challenge()
	for name, change := range map[string]func(*Challenge){
		"to sign in":    func(c *Challenge) { c.Purpose = PurposeVerify },
		"another epoch": func(c *Challenge) { c.Epoch++ },
		"another life":  func(c *Challenge) { c.Incarnation++ },
		"another user":  func(c *Challenge) { c.User = "bob" },
		"expired":       func(c *Challenge) { c.ExpiresAt = w.now },
	} {
		ch := good
		change(&ch)
		if _, err := w.tryEnroll(Enroll{Request: w.request(), Challenge: &ch}); !errors.Is(err, ErrChallengeExpired) || w.stored {
			t.Errorf("challenge %s: got %v, stored %v", name, err, w.stored)
		}
	}
}

// TestDiscard drops a set-up; without one it writes nothing.
func TestDiscard(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	discard := func() error { return w.act(func(a *Account) error { return w.rules.Discard(a) }) }
	if err := discard(); err != nil || w.stored {
		t.Errorf("nothing to discard: got %v, stored %v", err, w.stored)
	}
	setUp := w.enroll()
	w.must(discard())
	w.mustBeOff()
	_, err := w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: phone{secret: setUp.Secret}.at(w.now)})
	if !errors.Is(err, ErrEnrolmentExpired) {
		t.Errorf("confirming it: got %v", err)
	}
}

// TestEnrollInsideSignIn: under enforcement=required a user without 2FA sets it up inside the sign-in. The factor is new, so
// amr adds otp and not mfa; a retry gets the same answer; the challenge is spent.
func TestEnrollInsideSignIn(t *testing.T) {
	t.Parallel()
	for _, issue := range []BackupIssue{BeforeConfirm, AfterActivation} {
		t.Run(string(issue), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "miaxdx")
			w.rules.Policy.BackupIssue = issue
			offer, err := w.offer(NewChallenge{Nonce: "nonce", AMR: []string{"pwd"}})
			w.must(err)
			if !offer.Required || !offer.EnrollmentRequired || !cmp.Equal(offer.Methods, []Method{MethodEnroll}) {
				t.Fatalf("offer %+v, want an enrolment", offer)
			}
			ch := *offer.Challenge
			setUp, err := w.tryEnroll(Enroll{Request: w.request(), Challenge: &ch}) // no session, no auth_time
			w.must(err)
			w.phone = phone{secret: setUp.Secret}

			wrong := NewConfirm(w.request(), ch, setUp.ID, w.phone.wrong(w.now, 0))
			if _, err := w.confirm(wrong); !isErr[*WrongCode](err) {
				t.Fatalf("wrong code: got %v", err)
			}
			req := NewConfirm(w.request(), ch, setUp.ID, w.phone.at(w.now))
			first, err := w.confirm(req)
			w.must(err)
			if a := first.SignIn.Assertion; !cmp.Equal(a.AMR, []string{"pwd", "otp"}) || a.Method != MethodTOTP || a.Nonce != "nonce" {
				t.Errorf("assertion %+v", a)
			}
			if (first.BackupCode != nil) != (issue == AfterActivation) {
				t.Errorf("backup code with the confirmation: %v", first.BackupCode != nil)
			}
			want := []EventType{EventEnabled, EventBackupCodeIssued, EventLogin}
			if diff := cmp.Diff(want, w.events()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}

			w.later(time.Second)
			again, err := w.confirm(NewConfirm(w.request(), ch, setUp.ID, req.Code))
			w.must(err)
			if diff := cmp.Diff(first, again); diff != "" {
				t.Errorf("a retry gets another answer (-first +again):\n%s", diff)
			}
			w.later(time.Minute)
			again, err = w.confirm(req)
			if issue == AfterActivation {
				w.must(err)
				if again.SignIn.Assertion != nil || !cmp.Equal(first.BackupCode, again.BackupCode) {
					t.Errorf("late retry: got %+v, want the backup code alone", again)
				}
			} else if !errors.Is(err, ErrChallengeExpired) {
				t.Errorf("late retry: got %v", err)
			}
			if _, err := w.confirm(NewConfirm(w.request(), ch, setUp.ID, w.phone.at(w.now))); !errors.Is(err, ErrChallengeExpired) {
				t.Errorf("another code on the spent challenge: got %v", err)
			}
			if w.account.Codes.Failures != 1 {
				t.Errorf("%d failures, want 1: another code on a spent challenge counts", w.account.Codes.Failures)
			}
			if _, err := w.tryEnroll(Enroll{Request: w.request(), Challenge: &ch}); !errors.Is(err, ErrChallengeExpired) {
				t.Errorf("enrolling on the spent challenge: got %v", err)
			}
			w.must(w.signIn(w.phone.at(w.now)))
		})
	}
}

// TestConfirmInsideSignInWhenEnabled: somebody else was faster; a password alone does not replace an authenticator.
func TestConfirmInsideSignInWhenEnabled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "miaxdx")
	ch := w.challenge()
	w.enable()
	setUp, err := w.replace(Replace{Request: w.request(), Code: w.nextCode()})
	w.must(err)
	p := phone{secret: setUp.Secret}
	if _, err := w.confirm(NewConfirm(w.request(), ch, setUp.ID, p.at(w.now))); !errors.Is(err, ErrAlreadyEnabled) || w.stored {
		t.Errorf("confirm: got %v, stored %v", err, w.stored)
	}
	if _, err := w.tryEnroll(Enroll{Request: w.request(), Challenge: &ch}); !errors.Is(err, ErrAlreadyEnabled) {
		t.Errorf("enroll: got %v", err)
	}
}

// TestSetUpInsideSignInEndsWithIt: the time that is told is the one that counts.
func TestSetUpInsideSignInEndsWithIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "miaxdx")
	ch := w.challenge()
	setUp, err := w.tryEnroll(Enroll{Request: w.request(), Challenge: &ch})
	w.must(err)
	if !setUp.ExpiresAt.Equal(ch.ExpiresAt) {
		t.Errorf("expires at %v, want %v, when the challenge does", setUp.ExpiresAt, ch.ExpiresAt)
	}
}
