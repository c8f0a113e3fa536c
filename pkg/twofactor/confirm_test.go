package twofactor

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestConfirm: it moves the enrolment into place and spends the confirming step.
func TestConfirm(t *testing.T) {
	t.Parallel()
	for preset, after := range map[string]bool{"standard": false, "mirox": false, "miaxdx": false, "midphase": true} {
		t.Run(preset, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, preset)
			setUp := w.enroll()
			w.phone = phone{secret: setUp.Secret}
			w.later(14*time.Minute + 59*time.Second)
			code := w.phone.at(w.now)
			got, err := w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: code})
			w.must(err)
			if !got.ActivatedAt.Equal(w.now) || (got.BackupCode != nil) != after || got.SignIn != nil {
				t.Errorf("got %+v; want activated now, backup code %v, no sign-in", got, after)
			}
			if diff := cmp.Diff([]EventType{EventEnabled, EventBackupCodeIssued}, w.events()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if w.account.Pending != nil {
				t.Error("the set-up is still pending")
			}
			s := w.account.Status(w.now)
			if s.State != StateEnabled || !s.ActivatedAt.Equal(w.now) || s.BackupIssuedAt.IsZero() {
				t.Errorf("status %+v", s)
			}
			if err := w.signIn(code); !isErr[*CodeReused](err) {
				t.Errorf("the confirming code at sign-in: got %v, want reused", err)
			}
			w.must(w.signIn(w.nextCode()))
			w.backupSignIn()
		})
	}
}

// TestConfirmFailures: ten attempts of its own, which count against nothing else; clock drift is told, and a future step that was
// told is burned.
func TestConfirmFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	setUp := w.enroll()
	p := phone{secret: setUp.Secret}
	confirm := func(code string) error {
		_, err := w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: code})
		return err
	}
	if err := confirm("nonsense"); !errors.Is(err, ErrMalformedCode) || w.stored {
		t.Errorf("nonsense: got %v, stored %v", err, w.stored)
	}
	var wrong *WrongCode
	ahead := p.at(w.now.Add(3 * period))
	if err := confirm(ahead); !errors.As(err, &wrong) || wrong.Skew == nil || *wrong.Skew != 3*period || wrong.AttemptsRemaining != 9 {
		t.Fatalf("ahead: got %v %+v", err, wrong)
	}
	if e := w.account.Events[0]; e.Type != EventCodeRefused || e.Outcome != Failed || e.Operation != OpEnroll || e.Reason != "clock_skew" {
		t.Errorf("event %+v", e)
	}
	w.later(3 * period)
	if err := confirm(ahead); !isErr[*CodeReused](err) {
		t.Errorf("burned: got %v, want reused", err)
	}
	for i := range 9 {
		if err := confirm(p.wrong(w.now, i)); !errors.As(err, &wrong) || wrong.AttemptsRemaining != 8-i {
			t.Fatalf("failure %d: got %v %+v", i+2, err, wrong)
		}
	}
	w.mustBeOff()
	if err := confirm(p.at(w.now)); !errors.Is(err, ErrEnrolmentExpired) {
		t.Errorf("after ten failures: got %v, want expired", err)
	}
	w.enable()
}

// TestConfirmTooLate: 15 minutes.
func TestConfirmTooLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	setUp := w.enroll()
	w.later(15 * time.Minute)
	req := Confirm{Request: w.request(), Enrolment: setUp.ID, Code: phone{secret: setUp.Secret}.at(w.now)}
	if _, err := w.confirm(req); !errors.Is(err, ErrEnrolmentExpired) || w.stored {
		t.Errorf("got %v, stored %v", err, w.stored)
	}
	// The rule looks at the time itself, and does not lean on what has been tidied away.
	untidied := *w.account
	if _, err := w.rules.Confirm(&untidied, req, w.now); !errors.Is(err, ErrEnrolmentExpired) {
		t.Errorf("untidied: got %v", err)
	}
	if s := w.account.Status(w.now); s.State != StateDisabled || s.Pending != nil {
		t.Errorf("status %+v", s)
	}
}

// TestConfirmNothing: without a set-up there is nothing to confirm.
func TestConfirmNothing(t *testing.T) {
	t.Parallel()
	for _, w := range []*world{newWorld(t, "standard"), enabledWorld(t, "standard")} {
		_, err := w.confirm(Confirm{Request: w.request(), Enrolment: RandomDigest(), Code: "123456"})
		if !errors.Is(err, ErrEnrolmentExpired) || w.stored {
			t.Errorf("got %v, stored %v", err, w.stored)
		}
	}
}
