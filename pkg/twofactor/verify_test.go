package twofactor

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/totp"
)

func TestVerifyLetsIn(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	ch := w.challenge()
	w.later(700 * time.Millisecond)
	got, err := w.verify(ch, MethodTOTP, w.phone.at(w.now))
	w.must(err)
	if a := got.Assertion; a == nil || a.ID == "" {
		t.Fatalf("no assertion, or one without jti: %+v", a)
	}
	want := &Assertion{
		ID: got.Assertion.ID, Subject: alice, IssuedAt: noon, ExpiresAt: noon.Add(time.Minute), Nonce: "nonce",
		Method: MethodTOTP, State: StateEnabled, AMR: []string{"pwd", "otp", "mfa"},
	}
	if diff := cmp.Diff(want, got.Assertion); diff != "" {
		t.Errorf("assertion (-want +got):\n%s", diff)
	}
	if got.State != StateEnabled || got.BackupCode != nil || got.Grant != nil {
		t.Errorf("got %+v; want enabled, no backup code, no grant", got)
	}
	if diff := cmp.Diff([]EventType{EventLogin}, w.events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	e := w.account.Events[0]
	want2 := Event{
		ID: e.ID, At: w.now, Type: EventLogin, Outcome: Succeeded, Method: MethodTOTP, Actor: ActorUser,
		IP: "203.0.113.7", UserAgent: "test",
	}
	if diff := cmp.Diff(want2, e); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

// TestVerifyWindow: the window is one step each way, none in the strict profile; beyond it, within ten minutes, the
// answer says by how many seconds the phone's clock is off, negative when it is behind.
func TestVerifyWindow(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		skew  int
		steps int
		in    bool
		off   time.Duration // told with a refusal; 0: nothing is told
	}{
		{"present", 1, 0, true, 0},
		{"one behind", 1, -1, true, 0},
		{"one ahead", 1, 1, true, 0},
		{"two behind", 1, -2, false, -time.Minute},
		{"two ahead", 1, 2, false, time.Minute},
		{"ten minutes behind", 1, -20, false, -10 * time.Minute},
		{"ten minutes ahead", 1, 20, false, 10 * time.Minute},
		{"more behind", 1, -21, false, 0},
		{"more ahead", 1, 21, false, 0},
		{"strict, present", 0, 0, true, 0},
		{"strict, one behind", 0, -1, false, -period},
		{"strict, one ahead", 0, 1, false, period},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := enabledWorld(t, "standard")
			w.later(time.Hour) // away from the step that was spent by the confirmation
			w.rules.Policy.Skew = test.skew
			w.phone.off = time.Duration(test.steps) * period
			err := w.signIn(w.phone.at(w.now))
			if test.in {
				w.must(err)
				return
			}
			var wrong *WrongCode
			if !errors.As(err, &wrong) || wrong.AttemptsRemaining != 4 {
				t.Fatalf("got %v; want a wrong code with 4 attempts left", err)
			}
			switch {
			case test.off == 0 && wrong.Skew != nil:
				t.Errorf("told skew %v, want none", *wrong.Skew)
			case test.off != 0 && (wrong.Skew == nil || *wrong.Skew != test.off):
				t.Errorf("skew = %v, want %v", wrong.Skew, test.off)
			}
			reason := "wrong_code"
			if test.off != 0 {
				reason = "clock_skew"
			}
			if e := w.account.Events[0]; e.Type != EventLogin || e.Outcome != Failed || e.Reason != reason {
				t.Errorf("event %+v, want a failed login for %s", e, reason)
			}
		})
	}
}

// TestStepAcceptedOnce: a step is accepted once, and only if it is greater than the last accepted one.
func TestStepAcceptedOnce(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	w.phone.off = period // the code of the step to come: within the window
	w.must(w.signIn(w.phone.at(w.now)))
	for _, off := range []time.Duration{period, 0, -period} {
		w.phone.off = off
		var reused *CodeReused
		err := w.signIn(w.phone.at(w.now))
		if !errors.As(err, &reused) {
			t.Fatalf("code of %v: got %v, want reused", off, err)
		}
		if want := 2 * period; reused.RetryAfter != want {
			t.Errorf("code of %v: retry after %v, want %v: the next step was accepted early", off, reused.RetryAfter, want)
		}
		if w.account.Codes.Failures != 0 {
			t.Error("a spent code was counted as a failure")
		}
	}
	w.phone.off = 0
	w.later(2 * period)
	w.must(w.signIn(w.phone.at(w.now)))
}

// TestReplaysRecorded: a spent step tried again is recorded four times, then refused without a write, and never counted.
func TestReplaysRecorded(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	code := w.phone.at(w.now)
	w.must(w.signIn(code))
	for i := range 7 {
		err := w.signIn(code)
		if !isErr[*CodeReused](err) {
			t.Fatalf("replay %d: got %v, want reused", i, err)
		}
		if want := i < 4; w.stored != want {
			t.Errorf("replay %d: stored = %v, want %v", i, w.stored, want)
		}
		if w.stored && (len(w.account.Events) != 1 || w.account.Events[0].Type != EventCodeReused) {
			t.Errorf("replay %d: events %v, want one code_reused", i, w.events())
		}
	}
	if w.account.Codes.Failures != 0 || len(w.account.Codes.Days) != 0 {
		t.Errorf("replays were counted: %+v", w.account.Codes)
	}
	again := w.nextCode()
	w.must(w.signIn(again)) // a new success begins a new count
	if err := w.signIn(again); !isErr[*CodeReused](err) || !w.stored {
		t.Errorf("got %v, stored %v; want reused and recorded", err, w.stored)
	}
}

// TestBurnedStep: a future step that was told apart is burned in the same write: it is never accepted, and answers as a spent
// one does. The last accepted step does not move, so a phone put right works at once.
func TestBurnedStep(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	last := w.account.Authenticator.LastStep
	ahead := w.phone.at(w.now.Add(4 * period))
	if err := w.signIn(ahead); !isErr[*WrongCode](err) || !w.stored {
		t.Fatalf("got %v, stored %v; want a wrong code, stored", err, w.stored)
	}
	if got := w.account.Authenticator.LastStep; got != last {
		t.Errorf("last step moved from %d to %d", last, got)
	}
	if err := w.signIn(ahead); !isErr[*CodeReused](err) {
		t.Errorf("told a second time: got %v, want reused", err)
	}
	w.must(w.signIn(w.phone.at(w.now))) // the phone was put right

	w.later(3 * period)
	for range 3 { // the burned step is the next, the present, the previous one
		if err := w.signIn(ahead); !isErr[*CodeReused](err) {
			t.Errorf("at %v: got %v, want reused", w.now, err)
		}
		w.later(period)
	}
	if got := w.account.Codes.Failures; got != 0 {
		t.Errorf("%d failures counted, want 0: burned steps answer as spent ones", got)
	}
	w.must(w.signIn(w.phone.at(w.now)))
}

// TestToldToOneRefusedByAll: the step just out of the window, told apart here, could still be accepted by a process whose
// clock is two seconds behind.
func TestToldToOneRefusedByAll(t *testing.T) {
	t.Parallel()
	for _, skew := range []int{0, 1} {
		w := enabledWorld(t, "standard")
		w.rules.Policy.Skew = skew
		w.now = totp.Default.StartOf(w.present() + 10)
		behind := w.phone.at(w.now.Add(-time.Duration(skew+1) * period))
		if err := w.signIn(behind); !isErr[*WrongCode](err) {
			t.Fatalf("skew %d: got %v, want a wrong code", skew, err)
		}
		w.now = w.now.Add(-2 * time.Second)
		if err := w.signIn(behind); !isErr[*CodeReused](err) {
			t.Errorf("skew %d: two seconds behind: got %v, want reused", skew, err)
		}
	}
}

// TestBurnedAtMostTwenty: when there is no room to burn a future step, the answer is an ordinary wrong code.
func TestBurnedAtMostTwenty(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	present := w.present()
	for i := range maxBurned {
		w.account.Authenticator.Burned = append(w.account.Authenticator.Burned, present+100+totp.Step(i))
	}
	ahead := w.phone.at(w.now.Add(4 * period))
	var wrong *WrongCode
	if err := w.signIn(ahead); !errors.As(err, &wrong) || wrong.Skew != nil {
		t.Fatalf("got %v, skew told %v; want a wrong code without skew", err, wrong != nil && wrong.Skew != nil)
	}
	if got, err := w.check(ahead); err != nil || got.Valid || got.Skewed || got.Off != 0 {
		t.Errorf("check: got %+v, %v; want wrong and no offset", got, err)
	}
	if n := len(w.account.Authenticator.Burned); n != maxBurned {
		t.Errorf("%d burned, want %d", n, maxBurned)
	}
	w.later(4 * period)
	w.unlock()
	w.must(w.signIn(ahead)) // nothing was told, so nothing is burned

	for i := range w.account.Authenticator.Burned {
		w.account.Authenticator.Burned[i] = w.present() - 3
	}
	if err := w.signIn(w.phone.at(w.now.Add(4 * period))); !errors.As(err, &wrong) || wrong.Skew == nil {
		t.Errorf("got %v; want the skew: past steps make room", err)
	}
}

func TestVerifyRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		try  func(w *world) error
		want error
	}{
		{"nonsense", func(w *world) error { return w.signIn("12345x") }, ErrMalformedCode},
		{"malformed backup code", func(w *world) error {
			_, err := w.verify(w.challenge(), MethodBackupCode, "U")
			return err
		}, ErrMalformedCode},
		{"no method", func(w *world) error {
			_, err := w.verify(w.challenge(), "sms", w.phone.at(w.now))
			return err
		}, ErrMethod},
		{"reset link without a reset", func(w *world) error {
			_, err := w.verify(w.challenge(), MethodResetLink, "x")
			return err
		}, ErrLinkExpired},
		{"no backup code", func(w *world) error {
			w.account.BackupCode = nil
			_, err := w.verify(w.challenge(), MethodBackupCode, w.backup)
			return err
		}, ErrNoBackupCode},
		{"removed since, code", func(w *world) error {
			ch := w.challenge()
			w.remove()
			_, err := w.verify(ch, MethodTOTP, w.phone.at(w.now))
			return err
		}, ErrNotEnabled},
		{"removed since, backup code", func(w *world) error {
			ch := w.challenge()
			w.remove()
			_, err := w.verify(ch, MethodBackupCode, w.backup)
			return err
		}, ErrNotEnabled},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := enabledWorld(t, "standard")
			if err := test.try(w); !errors.Is(err, test.want) || w.stored {
				t.Errorf("got %v, stored %v; want %v and nothing stored", err, w.stored, test.want)
			}
			if w.account.Codes.Failures != 0 || w.account.Backups.Failures != 0 {
				t.Error("a refusal was counted")
			}
		})
	}
}

// TestChallengeIsForOne: a challenge opens nothing but what it was made for, until it ends.
func TestChallengeIsForOne(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(w *world, ch *Challenge)
	}{
		{"expired", func(w *world, ch *Challenge) { w.later(10 * time.Minute) }},
		{"another user", func(w *world, ch *Challenge) { ch.User = "bob" }},
		{"another purpose", func(w *world, ch *Challenge) { ch.Purpose = PurposeEnroll }},
		{"older epoch", func(w *world, ch *Challenge) { w.passwordChanged() }},
		{"older incarnation", func(w *world, ch *Challenge) { w.account.Incarnation++ }},
	}
	for _, test := range tests {
		for _, method := range []Method{MethodTOTP, MethodBackupCode} {
			t.Run(test.name+" "+string(method), func(t *testing.T) {
				t.Parallel()
				w := enabledWorld(t, "standard")
				ch := w.challenge()
				test.change(w, &ch)
				before := w.account
				code := w.phone.at(w.now)
				if method == MethodBackupCode {
					code = w.backup
				}
				if _, err := w.verify(ch, method, code); !errors.Is(err, ErrChallengeExpired) || w.account != before {
					t.Errorf("got %v, stored %v; want ErrChallengeExpired and nothing stored", err, w.stored)
				}
			})
		}
	}
}

// TestBackupSignIn: what a backup sign-in leads to is the policy's choice; the code is spent in the same write.
func TestBackupSignIn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		preset string
		state  State
		code   bool // a new one is shown
		grant  bool
		events []EventType
	}{
		{"standard", StateEnabled, true, true, []EventType{EventBackupCodeUsed, EventLogin, EventBackupCodeIssued}},
		{"miaxdx", StateEnabled, true, true, []EventType{EventBackupCodeUsed, EventLogin, EventBackupCodeIssued}},
		{"midphase", StateEnabled, false, true, []EventType{EventBackupCodeUsed, EventLogin}},
		{"mirox", StateDisabled, false, false, []EventType{EventBackupCodeUsed, EventLogin, EventDisabled}},
	}
	for _, test := range tests {
		t.Run(test.preset, func(t *testing.T) {
			t.Parallel()
			w := enabledWorld(t, test.preset)
			old := w.backup
			w.later(300 * time.Millisecond)
			got := w.backupSignIn()
			if got.State != test.state || (got.BackupCode != nil) != test.code || (got.Grant != nil) != test.grant {
				t.Errorf("got %+v; want %s, code %v, grant %v", got, test.state, test.code, test.grant)
			}
			if diff := cmp.Diff([]string{"pwd", "backup_code"}, got.Assertion.AMR); diff != "" {
				t.Errorf("amr (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.events, w.events()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if (w.account.BackupCode != nil) != test.code {
				t.Errorf("backup code on file: %v, want %v", w.account.BackupCode != nil, test.code)
			}
			if test.state == StateDisabled {
				w.mustBeOff()
				return
			}
			switch _, err := w.verify(w.challenge(), MethodBackupCode, old); {
			case test.code && !isErr[*WrongCode](err), !test.code && !errors.Is(err, ErrNoBackupCode):
				t.Errorf("former backup code: got %v", err)
			}
			w.must(w.signIn(w.nextCode())) // the phone still works
		})
	}
}

// TestBackupCodeIsForgiving: case, spaces, hyphens and O/0, I/L/1 do not matter.
func TestBackupCodeIsForgiving(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "midphase")
	typed := ""
	for _, r := range w.backup {
		switch {
		case r == '0':
			typed += "o "
		case r == '1':
			typed += "l"
		case 'A' <= r && r <= 'Z':
			typed += string(r + 'a' - 'A')
		default:
			typed += string(r)
		}
	}
	w.backup = typed
	w.backupSignIn()
}
