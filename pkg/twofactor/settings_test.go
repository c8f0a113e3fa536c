package twofactor

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestCheck: a right code changes nothing but the version: the code stays usable, counters stay.
func TestCheck(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	w.fail(2)
	code := w.phone.at(w.now)
	for range 3 {
		before := *w.account
		got, err := w.check(code)
		w.must(err)
		if diff := cmp.Diff(Checked{Valid: true}, got); diff != "" {
			t.Errorf("check (-want +got):\n%s", diff)
		}
		if e := w.account.Events[0]; len(w.account.Events) != 1 || e.Type != EventCheck || e.Outcome != Succeeded {
			t.Errorf("events %+v", w.account.Events)
		}
		after := *w.account
		before.Version, before.Writes, before.Events, before.Past = after.Version, after.Writes, after.Events, after.Past
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("a check changed the account (-before +after):\n%s", diff)
		}
	}
	w.must(w.signIn(code))
}

// TestCheckAnswers: what a check says of each code. Negative is behind.
func TestCheckAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		code  func(w *world) string
		want  Checked
		count int // failures
	}{
		{"a step behind", func(w *world) string { return w.phone.at(w.now.Add(-period)) }, Checked{Valid: true, Off: -period}, 0},
		{"a step ahead", func(w *world) string { return w.phone.at(w.now.Add(period)) }, Checked{Valid: true, Off: period}, 0},
		{"wrong", func(w *world) string { return w.phone.wrong(w.now, 0) }, Checked{AttemptsRemaining: 4}, 1},
		{"behind", func(w *world) string { return w.phone.at(w.now.Add(-8 * period)) }, Checked{Skewed: true, Off: -8 * period, AttemptsRemaining: 4}, 1},
		{"ahead", func(w *world) string { return w.phone.at(w.now.Add(8 * period)) }, Checked{Skewed: true, Off: 8 * period, AttemptsRemaining: 4}, 1},
		{"spent", func(w *world) string {
			code := w.phone.at(w.now)
			w.must(w.signIn(code))
			return code
		}, Checked{Valid: true, Spent: true}, 0},
		{"spent a while ago", func(w *world) string {
			code := w.phone.at(w.now)
			w.must(w.signIn(code))
			w.later(5 * period)
			return code
		}, Checked{Skewed: true, Off: -5 * period, AttemptsRemaining: 5}, 0},
		{"told before", func(w *world) string {
			code := w.phone.at(w.now.Add(8 * period))
			_, err := w.check(code)
			w.must(err)
			return code
		}, Checked{Skewed: true, Off: 8 * period, AttemptsRemaining: 4}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := enabledWorld(t, "standard")
			w.later(10 * time.Second)
			code := test.code(w)
			got, err := w.check(code)
			w.must(err)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("check (-want +got):\n%s", diff)
			}
			if w.account.Codes.Failures != test.count || !w.stored {
				t.Errorf("%d failures, stored %v; want %d, true", w.account.Codes.Failures, w.stored, test.count)
			}
			if e := w.account.Events[0]; e.Type != EventCheck || (e.Outcome == Succeeded) != got.Valid {
				t.Errorf("event %+v", e)
			}
		})
	}
	w := newWorld(t, "standard")
	if _, err := w.check("123456"); !errors.Is(err, ErrNotEnabled) {
		t.Errorf("off: got %v", err)
	}
	w = enabledWorld(t, "standard")
	if _, err := w.check("123"); !errors.Is(err, ErrMalformedCode) || w.stored {
		t.Errorf("malformed: got %v, stored %v", err, w.stored)
	}
}

// TestDisable: secret, pending enrolment, backup code, grant and throttle are gone.
func TestDisable(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	_, err := w.replace(Replace{Request: w.request(), Grant: w.backupSignIn().Grant})
	w.must(err)
	_, err = w.verify(w.challenge(), MethodBackupCode, "00000000")
	if !isErr[*WrongCode](err) {
		t.Fatal(err)
	}
	w.fail(3)
	w.must(w.disable(Disable{Request: w.request(), Code: w.phone.at(w.now)}))
	w.mustBeOff()
	if diff := cmp.Diff([]EventType{EventDisabled}, w.events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if err := w.disable(Disable{Request: w.request(), Code: w.phone.at(w.now)}); !errors.Is(err, ErrNotEnabled) {
		t.Errorf("off already: got %v", err)
	}
	w.enable()
}

// TestForbidden: what the policy does not allow is refused by the name of its setting, before anything is compared.
func TestForbidden(t *testing.T) {
	t.Parallel()
	tests := []struct {
		preset  string
		setting string
		try     func(w *world) error
	}{
		{"miaxdx", "enforcement", func(w *world) error { return w.disable(Disable{Request: w.request(), Code: w.phone.at(w.now)}) }},
		{"midphase", "backup_rotate", func(w *world) error { // rotate before revoke
			_, err := w.rotate(RotateBackup{Request: w.request(), Code: w.phone.at(w.now)})
			return err
		}},
		{"standard", "backup_rotate", func(w *world) error {
			_, err := w.revoke(RevokeBackup{Request: w.request(), Code: w.phone.at(w.now)})
			return err
		}},
	}
	for _, test := range tests {
		w := enabledWorld(t, test.preset)
		var forbidden *Forbidden
		if err := test.try(w); !errors.As(err, &forbidden) || forbidden.Setting != test.setting || w.stored {
			t.Errorf("%s: got %v, stored %v; want policy forbids %s", test.preset, err, w.stored, test.setting)
		}
		w.must(w.signIn(w.phone.at(w.now)))
	}
}

// TestRotate: the previous backup code is dead at once.
func TestRotate(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "mirox")
	old := w.backup
	code := w.phone.at(w.now)
	got, err := w.rotate(RotateBackup{Request: w.request(), Code: code})
	w.must(err)
	if !got.IssuedAt.Equal(w.now) || got.Code.Grouped() == old || len(got.Code) != 8 {
		t.Errorf("got a code of %d characters, issued %v, the old one: %v", len(got.Code), got.IssuedAt, got.Code.Grouped() == old)
	}
	if err := w.signIn(code); !isErr[*CodeReused](err) {
		t.Errorf("the code that confirmed it: got %v, want reused", err)
	}
	if _, err := w.verify(w.challenge(), MethodBackupCode, old); !isErr[*WrongCode](err) {
		t.Errorf("previous backup code: got %v", err)
	}
	w.backupSignIn()
}

// TestRevokeNothing: there has to be a backup code.
func TestRevokeNothing(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "midphase")
	w.backupSignIn()
	if _, err := w.revoke(RevokeBackup{Request: w.request(), Code: w.phone.at(w.now)}); !errors.Is(err, ErrNoBackupCode) || w.stored {
		t.Errorf("got %v, stored %v", err, w.stored)
	}
}

// TestRotatedKey: a backup code outlives the key that was the primary when it was made.
func TestRotatedKey(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	w.rules.Keys.Codes = prf{primary: 2}
	w.backupSignIn()
	if w.account.BackupCode.KeyID != 2 {
		t.Errorf("the new backup code is under key %d", w.account.BackupCode.KeyID)
	}
	w.backupSignIn()
}

// TestRemoveAuthenticator is support for a user who has lost everything: nothing is left, and who did it is recorded.
func TestRemoveAuthenticator(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "miaxdx")
	w.suspend()
	w.remove()
	w.mustBeOff()
	e := w.account.Events[0]
	if len(w.account.Events) != 1 || e.Type != EventAdminRemoved || e.Actor != ActorOperator || e.By != "op" || e.Reason != "phoned" {
		t.Errorf("events %+v", w.account.Events)
	}
	if !w.account.FreshSince.Equal(w.now) {
		t.Error("sessions from before can set 2FA up")
	}
	err := w.act(func(a *Account) error { return w.rules.RemoveAuthenticator(a, w.request(), Operator{}, w.now) })
	if !errors.Is(err, ErrNotEnabled) || w.stored {
		t.Errorf("off already: got %v, stored %v", err, w.stored)
	}
}

// TestErase leaves a tombstone: new incarnation, version goes on, nothing made before is of any use.
func TestErase(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "midphase")
	w.addressChanged("a@example.com")
	w.addressChanged("b@example.com")
	ch := w.challenge()
	g := w.backupSignIn().Grant
	before := w.account
	w.must(w.act(func(a *Account) error { return w.rules.Erase(a, w.request(), Event{Actor: ActorOperator}, w.now) }))
	a := w.account
	want := &Account{
		User: alice, Schema: Schema, Version: before.Version + 1, Writes: a.Writes, Incarnation: 1, FreshSince: w.now, Ended: w.now, Events: a.Events,
	}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("tombstone (-want +got):\n%s", diff)
	}
	if e := a.Events; len(e) != 1 || e[0].Type != EventErased || e[0].Actor != ActorOperator {
		t.Errorf("events %+v", e)
	}
	w.later(time.Second)
	w.enable()
	if _, err := w.verify(ch, MethodTOTP, w.nextCode()); !errors.Is(err, ErrChallengeExpired) {
		t.Errorf("challenge from before: got %v", err)
	}
	w.account.BackupCode = nil
	w.mustBeRefused("an earlier life's", g)
}

// TestOffer: what the host is told.
func TestOffer(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	subject := &Subject{Name: "Alice"}
	offer, err := w.offer(NewChallenge{
		Nonce: "n", AMR: []string{"pwd", "otp", "mfa", "backup_code", "reset_link", "hwk"}, Subject: subject, ExpectEnabled: true,
	})
	w.must(err)
	want := Offer{
		Required: true, Methods: []Method{MethodTOTP, MethodBackupCode}, Account: string(alice),
		Challenge: &Challenge{
			ID: offer.Challenge.ID, Purpose: PurposeVerify, User: alice, Nonce: "n", AMR: []string{"pwd", "hwk"}, Subject: subject,
			ExpiresAt: noon.Add(10 * time.Minute),
		},
	}
	if diff := cmp.Diff(want, offer); diff != "" || w.stored {
		t.Errorf("stored %v; offer (-want +got):\n%s", w.stored, diff)
	}
	w.passwordChanged()
	w.account.Incarnation = 7
	w.account.BackupCode = nil
	offer, err = w.offer(NewChallenge{})
	w.must(err)
	if c := offer.Challenge; c.Epoch != 1 || c.Incarnation != 7 || !cmp.Equal(offer.Methods, []Method{MethodTOTP}) {
		t.Errorf("offer %+v with challenge %+v", offer, c)
	}

	w = newWorld(t, "standard")
	offer, err = w.offer(NewChallenge{})
	w.must(err)
	if diff := cmp.Diff(Offer{Methods: []Method{}, Account: string(alice)}, offer); diff != "" {
		t.Errorf("off (-want +got):\n%s", diff)
	}
	_, err = w.offer(NewChallenge{ExpectEnabled: true, Contact: Contact{Email: "a@example.com"}})
	if !errors.Is(err, ErrNotEnabled) || w.stored {
		t.Errorf("the host knows better: got %v, stored %v", err, w.stored)
	}
	w = newWorld(t, "miaxdx")
	offer, err = w.offer(NewChallenge{})
	w.must(err)
	if c := offer.Challenge; !offer.Required || !offer.EnrollmentRequired || c == nil || c.Purpose != PurposeEnroll || !slices.Equal(offer.Methods, []Method{MethodEnroll}) {
		t.Errorf("required and off: %+v", offer)
	}
	w = enabledWorld(t, "standard")
	w.fail(5)
	if offer := w.tell(Contact{}); !offer.LockedUntil.Equal(w.account.Codes.LockedUntil) {
		t.Errorf("locked: %+v", offer)
	}
	w.later(time.Minute)
	if offer := w.tell(Contact{}); !offer.LockedUntil.IsZero() {
		t.Errorf("the lock is over: %+v", offer)
	}
}
