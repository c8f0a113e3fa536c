package twofactor

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestReplace: while a replacement is pending the old authenticator stays in force, and so does the backup code, which a
// replacement keeps; at every moment exactly one secret is live.
func TestReplace(t *testing.T) {
	t.Parallel()
	for _, preset := range Presets() {
		t.Run(preset, func(t *testing.T) {
			t.Parallel()
			w := enabledWorld(t, preset)
			old, backup := w.phone, w.account.BackupCode
			code := w.phone.at(w.now)
			setUp, err := w.replace(Replace{Request: w.request(), Code: code})
			w.must(err)
			if setUp.BackupCode != nil {
				t.Error("a replacement brings a backup code although there is one")
			}
			if err := w.signIn(code); !isErr[*CodeReused](err) {
				t.Errorf("the code that began it, at sign-in: got %v, want reused", err)
			}
			w.must(w.signIn(w.nextCode()))
			neu := phone{secret: setUp.Secret}
			if err := w.signIn(neu.at(w.now)); !isErr[*WrongCode](err) {
				t.Errorf("the new phone before the confirmation: got %v", err)
			}
			if s := w.account.Status(w.now); s.State != StateEnabled || s.Pending == nil || !s.Pending.Replacement {
				t.Errorf("status %+v, want a pending replacement", s)
			}
			if waiting, at := w.account.WaitsFor(); waiting != WaitingReplacement || !at.Equal(noon.Add(15*time.Minute)) {
				t.Errorf("waits for %q at %v", waiting, at)
			}
			confirmed, err := w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: neu.at(w.now)})
			w.must(err)
			if confirmed.BackupCode != nil {
				t.Error("the confirmation brings a backup code although there is one")
			}
			if diff := cmp.Diff([]EventType{EventReplaced}, w.events()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(backup, w.account.BackupCode); diff != "" {
				t.Errorf("backup code (-before +after):\n%s", diff)
			}
			w.later(period)
			if err := w.signIn(old.at(w.now)); !isErr[*WrongCode](err) {
				t.Errorf("the old phone after the confirmation: got %v", err)
			}
			w.must(w.signIn(neu.at(w.now)))
			w.backupSignIn()
		})
	}
}

// TestReplaceWithoutBackupCode: one is issued only if there is none.
func TestReplaceWithoutBackupCode(t *testing.T) {
	t.Parallel()
	for preset, before := range map[string]bool{"standard": true, "midphase": false} {
		w := enabledWorld(t, preset)
		w.account.BackupCode = nil
		setUp, err := w.replace(Replace{Request: w.request(), Code: w.phone.at(w.now)})
		w.must(err)
		confirmed, err := w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: phone{secret: setUp.Secret}.at(w.now)})
		w.must(err)
		if (setUp.BackupCode != nil) != before || (confirmed.BackupCode != nil) == before {
			t.Errorf("%s: backup code with the set-up %v, with the confirmation %v", preset, setUp.BackupCode != nil, confirmed.BackupCode != nil)
		}
		if setUp.BackupCode != nil {
			w.backup = setUp.BackupCode.Code.Grouped()
		}
		w.backupSignIn()
	}
}

// TestReplaceThenRotate: one backup code at a time. One that was issued meanwhile stays, and the set-up's own never counts.
func TestReplaceThenRotate(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	w.account.BackupCode = nil
	setUp, err := w.replace(Replace{Request: w.request(), Code: w.phone.at(w.now)})
	w.must(err)
	_, err = w.rotate(RotateBackup{Request: w.request(), Code: w.nextCode()})
	w.must(err)
	_, err = w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: phone{secret: setUp.Secret}.at(w.now)})
	w.must(err)
	if _, err := w.verify(w.challenge(), MethodBackupCode, setUp.BackupCode.Code.Grouped()); !isErr[*WrongCode](err) {
		t.Errorf("the set-up's own: got %v", err)
	}
	w.backupSignIn()
}

// TestSetUpsOwnCodeIsOver: once another backup code was issued the set-up's own stays dead, even when that other one is used before the
// confirmation.
func TestSetUpsOwnCodeIsOver(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	w.rules.Policy.BackupUse = RequireManualNew
	w.account.BackupCode = nil
	setUp, err := w.replace(Replace{Request: w.request(), Code: w.phone.at(w.now)})
	w.must(err)
	_, err = w.rotate(RotateBackup{Request: w.request(), Code: w.nextCode()})
	w.must(err)
	w.backupSignIn()
	_, err = w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: phone{secret: setUp.Secret}.at(w.now)})
	w.must(err)
	if _, err := w.verify(w.challenge(), MethodBackupCode, setUp.BackupCode.Code.Grouped()); !isErr[*WrongCode](err) {
		t.Errorf("the set-up's own: got %v", err)
	}
	w.backupSignIn()
}

// TestReplacementLapses: a replacement that lapses, by time or by ten wrong codes, is mailed: the old phone is still the one.
func TestReplacementLapses(t *testing.T) {
	t.Parallel()
	for name, lapse := range map[string]func(w *world, setUp SetUp){
		"time": func(w *world, _ SetUp) { w.later(15 * time.Minute); w.must(w.signIn(w.phone.at(w.now))) },
		"wrong codes": func(w *world, setUp SetUp) {
			for i := range 10 {
				code := phone{secret: setUp.Secret}.wrong(w.now, i)
				_, err := w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: code})
				if !isErr[*WrongCode](err) {
					w.Fatal(err)
				}
				if e := w.account.Events[0]; e.Operation != OpReplace {
					w.Errorf("event %+v, want operation replace", e)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := enabledWorld(t, "standard")
			setUp, err := w.replace(Replace{Request: w.request(), Code: w.phone.at(w.now)})
			w.must(err)
			lapsed := 0
			w.saw = func(e Event) {
				if e.Type == EventReplacementLapsed && e.Actor == ActorSystem {
					lapsed++
				}
			}
			lapse(w, setUp)
			if lapsed != 1 || w.account.Pending != nil {
				t.Errorf("events %v, pending %v; want one replacement_lapsed and none", w.events(), w.account.Pending != nil)
			}
			if w.account.Codes.Failures != 0 {
				t.Errorf("%d failures counted against the authenticator", w.account.Codes.Failures)
			}
			w.must(w.signIn(w.nextCode()))
		})
	}
}

// TestReplaceCancelsReset: beginning a replacement cancels an open reset, with a code or with a grant.
func TestReplaceCancelsReset(t *testing.T) {
	t.Parallel()
	for _, state := range []ResetState{ResetIdentityPending, ResetInReview, ResetApproved, ResetReady} {
		for _, withGrant := range []bool{false, true} {
			w := enabledWorld(t, "midphase")
			req := Replace{Request: w.request(), Code: w.phone.at(w.now)}
			if withGrant {
				req.Grant = w.backupSignIn().Grant
			}
			until := w.now.Add(time.Hour)
			w.account.Reset = &Reset{State: state, EffectiveAt: until, ExpiresAt: until, Subject: &Sealed{}, Identity: &Sealed{}, CaseVersion: 3}
			_, err := w.replace(req)
			w.must(err)
			want := &Reset{State: ResetCanceled, EnteredAt: w.now, EffectiveAt: until, ExpiresAt: until, MailedAt: w.now, CaseVersion: 4}
			if diff := cmp.Diff(want, w.account.Reset); diff != "" {
				t.Errorf("%s, grant %v: reset (-want +got):\n%s", state, withGrant, diff)
			}
			if e := w.account.Events[0]; e.Type != EventResetCanceled || e.Reason != "proof_of_life" {
				t.Errorf("%s, grant %v: event %+v", state, withGrant, e)
			}
		}
	}
}

// TestProofOfLife: any accepted code but in check cancels an open reset.
func TestProofOfLife(t *testing.T) {
	t.Parallel()
	for _, route := range append(codeRoutes, struct {
		name   string
		preset string
		try    func(w *world, code string) error
	}{"backup code", "standard", func(w *world, _ string) error { w.backupSignIn(); return nil }}) {
		w := enabledWorld(t, route.preset)
		w.account.Reset = &Reset{State: ResetReady, ExpiresAt: w.now.Add(reviewFor)}
		w.must(route.try(w, w.phone.at(w.now)))
		if open, want := w.account.Reset.Open(), route.name == "check"; open != want {
			t.Errorf("%s: reset open %v, want %v", route.name, open, want)
		}
	}
	w := enabledWorld(t, "standard")
	w.account.Reset = &Reset{State: ResetReady, ExpiresAt: w.now.Add(reviewFor)}
	if err := w.signIn(w.phone.wrong(w.now, 0)); !isErr[*WrongCode](err) || !w.account.Reset.Open() {
		t.Errorf("wrong code: %v, reset open %v", err, w.account.Reset.Open())
	}
	setUp, err := w.replace(Replace{Request: w.request(), Code: w.phone.at(w.now)})
	w.must(err)
	w.account.Reset = &Reset{State: ResetReady, ExpiresAt: w.now.Add(reviewFor)} // asked for while the replacement was under way
	newPhone := phone{secret: setUp.Secret}
	if _, err := w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: newPhone.at(w.now)}); err != nil || w.account.Reset.Open() {
		t.Errorf("confirmation: %v, reset open %v", err, w.account.Reset.Open())
	}
	w.account.Reset = &Reset{State: ResetReady, ExpiresAt: w.now.Add(reviewFor)}
	w.remove()
	if w.account.Reset.Open() {
		t.Error("the reset of a removed authenticator is open")
	}
}

func TestReplaceRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	if _, err := w.replace(Replace{Request: w.request(), Code: "123456"}); !errors.Is(err, ErrNotEnabled) || w.stored {
		t.Errorf("off: got %v, stored %v", err, w.stored)
	}
	w = enabledWorld(t, "standard")
	if _, err := w.replace(Replace{Request: w.request(), Code: w.phone.wrong(w.now, 0)}); !isErr[*WrongCode](err) || w.account.Pending != nil {
		t.Errorf("wrong code: got %v, pending %v", err, w.account.Pending != nil)
	}
	if e := w.account.Events[0]; e.Type != EventCodeRefused || e.Operation != OpReplace || e.Outcome != Failed {
		t.Errorf("event %+v", e)
	}
}
