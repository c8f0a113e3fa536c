package twofactor

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestGrant: it stands in for a code in enroll and backup-code, once; 15 minutes, this user, incarnation and authenticator.
func TestGrant(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "midphase")
	g := w.backupSignIn().Grant
	want := &Grant{ID: g.ID, User: alice, ExpiresAt: noon.Add(15 * time.Minute)}
	if diff := cmp.Diff(want, g); diff != "" {
		t.Errorf("grant (-want +got):\n%s", diff)
	}
	_, err := w.rotate(RotateBackup{Request: w.request(), Grant: g})
	w.must(err)
	if diff := cmp.Diff([]EventType{EventBackupCodeIssued}, w.events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	w.account.BackupCode = nil
	w.mustBeRefused("spent", g)
}

// mustBeRefused fails unless the grant opens nothing.
func (w *world) mustBeRefused(why string, g *Grant) {
	w.Helper()
	if _, err := w.rotate(RotateBackup{Request: w.request(), Grant: g}); !errors.Is(err, ErrGrantExpired) || w.stored {
		w.Errorf("%s grant: rotate got %v, stored %v", why, err, w.stored)
	}
	if _, err := w.replace(Replace{Request: w.request(), Grant: g}); !errors.Is(err, ErrGrantExpired) || w.stored {
		w.Errorf("%s grant: replace got %v, stored %v", why, err, w.stored)
	}
}

func TestGrantDies(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world, g *Grant){
		"old":             func(w *world, g *Grant) { w.later(15 * time.Minute) },
		"another user's":  func(w *world, g *Grant) { g.User = "bob" },
		"an earlier life": func(w *world, g *Grant) { g.Incarnation-- },
		"an older epoch":  func(w *world, g *Grant) { g.Epoch-- },
		"forged":          func(w *world, g *Grant) { g.ID = RandomDigest() },
		"password":        func(w *world, g *Grant) { w.passwordChanged() },
		"new authenticator": func(w *world, g *Grant) {
			setUp, err := w.replace(Replace{Request: w.request(), Code: w.phone.at(w.now)})
			w.must(err)
			w.phone = phone{secret: setUp.Secret}
			_, err = w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: w.phone.at(w.now)})
			w.must(err)
			w.account.BackupCode = nil
		},
		"off and on again": func(w *world, g *Grant) {
			w.must(w.disable(Disable{Request: w.request(), Code: w.phone.at(w.now)}))
			w.enable()
			w.account.BackupCode = nil
		},
		"newer grant": func(w *world, g *Grant) {
			_, err := w.rotate(RotateBackup{Request: w.request(), Code: w.phone.at(w.now)})
			w.must(err)
			w.backupSignIn()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := enabledWorld(t, "midphase")
			g := *w.backupSignIn().Grant
			end(w, &g)
			w.mustBeRefused(name, &g)
		})
	}
}

// TestGrantScope: revoking returns a grant that opens only the create that follows.
func TestGrantScope(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "midphase")
	old := w.backup
	g, err := w.revoke(RevokeBackup{Request: w.request(), Code: w.phone.at(w.now)})
	w.must(err)
	if diff := cmp.Diff([]EventType{EventBackupCodeRevoked}, w.events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if _, err := w.verify(w.challenge(), MethodBackupCode, old); !errors.Is(err, ErrNoBackupCode) {
		t.Errorf("revoked backup code: got %v", err)
	}
	if _, err := w.replace(Replace{Request: w.request(), Grant: g}); !errors.Is(err, ErrGrantExpired) {
		t.Errorf("replace with a grant for a backup code: got %v", err)
	}
	_, err = w.rotate(RotateBackup{Request: w.request(), Grant: g})
	w.must(err)
	w.backupSignIn()
}

// TestGrantSpentByConfirm: it is spent by the confirm, not by the begin, so that a lapsed set-up can be begun again; and a set-up begun
// in time may be confirmed after the grant's end.
func TestGrantSpentByConfirm(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "midphase")
	g := w.backupSignIn().Grant
	_, err := w.replace(Replace{Request: w.request(), Grant: g})
	w.must(err)
	w.later(15*time.Minute - time.Millisecond)
	setUp, err := w.replace(Replace{Request: w.request(), Grant: g}) // again, at the last moment
	w.must(err)
	w.later(14 * time.Minute)
	if err := w.signIn(w.phone.at(w.now)); err != nil { // a write that tidies the grant away
		t.Fatal(err)
	}
	w.phone = phone{secret: setUp.Secret}
	confirmed, err := w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: w.phone.at(w.now)})
	w.must(err)
	if confirmed.BackupCode == nil {
		t.Error("no backup code, although there was none")
	}
	w.account.BackupCode = nil
	w.mustBeRefused("spent", g)
}

// TestBegunSetUpDiesWithItsGrant: a grant is good for one thing.
func TestBegunSetUpDiesWithItsGrant(t *testing.T) {
	t.Parallel()
	for name, spend := range map[string]func(w *world, g *Grant){
		"spent on a backup code": func(w *world, g *Grant) {
			_, err := w.rotate(RotateBackup{Request: w.request(), Grant: g})
			w.must(err)
		},
		"password": func(w *world, g *Grant) { w.passwordChanged() },
		"newer grant": func(w *world, g *Grant) {
			_, err := w.rotate(RotateBackup{Request: w.request(), Code: w.phone.at(w.now)})
			w.must(err)
			w.backupSignIn()
		},
	} {
		w := enabledWorld(t, "midphase")
		g := w.backupSignIn().Grant
		setUp, err := w.replace(Replace{Request: w.request(), Grant: g})
		w.must(err)
		spend(w, g)
		req := Confirm{Request: w.request(), Enrolment: setUp.ID, Code: phone{secret: setUp.Secret}.at(w.now)}
		if _, err := w.confirm(req); !errors.Is(err, ErrEnrolmentExpired) {
			t.Errorf("%s: confirm got %v", name, err)
		}
	}
}

// TestSetUpBegunWithCode outlives a grant that is spent meanwhile.
func TestSetUpBegunWithCode(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "midphase")
	setUp, err := w.replace(Replace{Request: w.request(), Code: w.phone.at(w.now)})
	w.must(err)
	_, err = w.rotate(RotateBackup{Request: w.request(), Grant: w.backupSignIn().Grant})
	w.must(err)
	w.phone = phone{secret: setUp.Secret}
	_, err = w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: w.phone.at(w.now)})
	w.must(err)
}

// TestGrantRetryWhileLocked: whoever locks the authenticator must not keep the owner from the answer that was lost. A grant
// cannot be searched for, so neither a lock nor a count stands before its retry.
func TestGrantRetryWhileLocked(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "midphase")
	req := RotateBackup{Request: w.request(), Grant: w.backupSignIn().Grant}
	first, err := w.rotate(req)
	w.must(err)
	w.fail(5)
	if again, err := w.rotate(req); err != nil || again.Code != first.Code {
		t.Errorf("got %v, %v; want the same code again", again, err)
	}
}

// TestGrantLiftsSuspension, and says so.
func TestGrantLiftsSuspension(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "midphase")
	w.suspend()
	setUp, err := w.replace(Replace{Request: w.request(), Grant: w.backupSignIn().Grant})
	w.must(err)
	newPhone := phone{secret: setUp.Secret}
	_, err = w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: newPhone.at(w.now)})
	w.must(err)
	if got := w.events(); !slices.Contains(got, EventUnlocked) {
		t.Errorf("events %v, want unlocked among them", got)
	}
}
