package twofactor

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/nightlatch/nightlatch/pkg/totp"
)

// noon is when every example begins: the first moment of a time step, a minute and an hour.
var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

const (
	period = 30 * time.Second
	alice  = UserID("alice@example.com")
)

// world is one account and the rules, as the Service drives them, but without a store.
type world struct {
	rapid.TB
	rules   Rules
	account *Account
	now     time.Time
	phone   phone
	backup  string // the backup code that was last shown
	stored  bool   // whether the last rule's change was stored
	ip      string // where requests come from

	lastEvent string
	saw       func(Event) // is told every event, if set
	stores    func()      // is told that a change is stored, before its events
}

// newWorld begins with a user never seen.
func newWorld(t rapid.TB, preset string) *world {
	t.Helper()
	policy, err := Preset(preset)
	if err != nil {
		t.Fatal(err)
	}
	return &world{TB: t, rules: Rules{Policy: policy, Keys: testKeys()}, account: &Account{User: alice}, now: noon, ip: "203.0.113.7"}
}

// enabledWorld begins with 2FA switched on two minutes ago.
func enabledWorld(t rapid.TB, preset string) *world {
	t.Helper()
	w := newWorld(t, preset)
	w.now = noon.Add(-2 * time.Minute)
	w.enable()
	w.now = noon
	return w
}

// apply decides as decide does, and sees that what has to hold for every decision does.
func apply[R any](w *world, rule func(*Account) (R, error)) (R, error) {
	w.Helper()
	before := w.account
	image := w.marshal(before)
	next := before.next(NewWriteID(), w.rules.Fence, w.now)
	at := w.now
	if next.Past != nil && next.Past.At.After(at) { // see TestClocksDiffer
		at = next.Past.At
	}
	answer, err := rule(next)
	if !bytes.Equal(image, w.marshal(before)) {
		w.Fatalf("the rule has reached through its copy:\n%s\n%s", image, w.marshal(before))
	}
	var nothingCompared *refusal
	if w.stored = !errors.As(err, &nothingCompared); !w.stored {
		return answer, nothingCompared.verdict
	}
	w.account = next
	if w.stores != nil {
		w.stores()
	}
	if next.Version != before.Version+1 || next.User != before.User || len(next.Writes) != min(keptWrites, len(before.Writes)+1) {
		w.Fatalf("version %d, writes %v after version %d, %v", next.Version, next.Writes, before.Version, before.Writes)
	}
	for _, e := range next.Events {
		if e.ID <= w.lastEvent || !e.At.Equal(at) || e.Outcome == "" || e.Actor == "" {
			w.Fatalf("event %+v after one with id %s", e, w.lastEvent)
		}
		w.lastEvent = e.ID
		if w.saw != nil {
			w.saw(e)
		}
	}
	var stored Account
	image = w.marshal(next)
	w.must(json.Unmarshal(image, &stored))
	if next.Version%8 == 0 || !bytes.Equal(image, w.marshal(&stored)) { // cmp is slow
		if diff := cmp.Diff(next, &stored, cmpopts.EquateEmpty()); diff != "" {
			w.Fatalf("stored and loaded (-before +after):\n%s", diff)
		}
	}
	return answer, err
}

func (w *world) marshal(a *Account) []byte {
	image, err := json.Marshal(a)
	w.must(err)
	return image
}

func (w *world) act(rule func(*Account) error) error {
	_, err := apply(w, func(a *Account) (struct{}, error) { return struct{}{}, rule(a) })
	return err
}

// request is a new request, unlike any other.
func (w *world) request() Request {
	return Request{ID: RandomDigest(), Key: RandomDigest(), IP: w.ip, UserAgent: "test"}
}

// later lets time pass.
func (w *world) later(d time.Duration) { w.now = w.now.Add(d) }

// nextCode waits for the next code and returns it.
func (w *world) nextCode() string {
	w.later(period)
	return w.phone.at(w.now)
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) enroll() SetUp {
	w.Helper()
	setUp, err := w.tryEnroll(Enroll{Request: w.request(), AuthTime: w.now})
	w.must(err)
	return setUp
}

func (w *world) tryEnroll(req Enroll) (SetUp, error) {
	req.Secret = mustSecret()
	setUp, err := apply(w, func(a *Account) (SetUp, error) { return w.rules.Enroll(a, req, w.now) })
	if err == nil && setUp.BackupCode != nil {
		w.backup = setUp.BackupCode.Code.Grouped()
	}
	return setUp, err
}

func (w *world) replace(req Replace) (SetUp, error) {
	req.Secret = mustSecret()
	return apply(w, func(a *Account) (SetUp, error) { return w.rules.Replace(a, req, w.now) })
}

func (w *world) confirm(req Confirm) (Confirmed, error) {
	confirmed, err := apply(w, func(a *Account) (Confirmed, error) { return w.rules.Confirm(a, req, w.now) })
	if err == nil && confirmed.BackupCode != nil {
		w.backup = confirmed.BackupCode.Code.Grouped()
	}
	return confirmed, err
}

// enable sets 2FA up from a session.
func (w *world) enable() {
	w.Helper()
	setUp := w.enroll()
	w.phone = phone{secret: setUp.Secret}
	_, err := w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: w.phone.at(w.now)})
	w.must(err)
}

func (w *world) offer(req NewChallenge) (Offer, error) {
	req.Request, req.User = w.request(), w.account.User
	return apply(w, func(a *Account) (Offer, error) { return w.rules.Challenge(a, req, w.now) })
}

// challenge is what the host gets after a right password.
func (w *world) challenge() Challenge {
	w.Helper()
	offer, err := w.offer(NewChallenge{Nonce: "nonce", AMR: []string{"pwd"}})
	w.must(err)
	if offer.Challenge == nil {
		w.Fatal("no challenge")
	}
	return *offer.Challenge
}

func (w *world) verify(ch Challenge, m Method, code string) (SignIn, error) {
	req := NewVerify(w.request(), ch, m, code)
	signIn, err := apply(w, func(a *Account) (SignIn, error) { return w.rules.Verify(a, req, w.now) })
	if err == nil && signIn.BackupCode != nil {
		w.backup = signIn.BackupCode.Code.Grouped()
	}
	return signIn, err
}

// signIn is a whole sign-in with an authenticator code.
func (w *world) signIn(code string) error {
	w.Helper()
	_, err := w.verify(w.challenge(), MethodTOTP, code)
	return err
}

// backupSignIn is a whole sign-in with the backup code.
func (w *world) backupSignIn() SignIn {
	w.Helper()
	signIn, err := w.verify(w.challenge(), MethodBackupCode, w.backup)
	w.must(err)
	return signIn
}

func (w *world) check(code string) (Checked, error) {
	return apply(w, func(a *Account) (Checked, error) {
		return w.rules.Check(a, Check{Request: w.request(), Code: code}, w.now)
	})
}

func (w *world) rotate(req RotateBackup) (*RevealedBackup, error) {
	code, err := apply(w, func(a *Account) (*RevealedBackup, error) { return w.rules.RotateBackup(a, req, w.now) })
	if err == nil {
		w.backup = code.Code.Grouped()
	}
	return code, err
}

func (w *world) revoke(req RevokeBackup) (*Grant, error) {
	return apply(w, func(a *Account) (*Grant, error) { return w.rules.RevokeBackup(a, req, w.now) })
}

func (w *world) disable(req Disable) error {
	return w.act(func(a *Account) error { return w.rules.Disable(a, req, w.now) })
}

func (w *world) passwordChanged() {
	w.Helper()
	w.must(w.act(func(a *Account) error { return w.rules.PasswordChanged(a, w.request(), w.now) }))
}

func (w *world) unlock() {
	w.Helper()
	w.must(w.act(func(a *Account) error {
		return w.rules.Unlock(a, w.request(), Operator{"op", "phoned"}, w.now)
	}))
}

// remove is what support does for a user who has lost everything.
func (w *world) remove() {
	w.Helper()
	w.must(w.act(func(a *Account) error {
		return w.rules.RemoveAuthenticator(a, w.request(), Operator{"op", "phoned"}, w.now)
	}))
}

// mustBeOff fails unless nothing of a second factor is left.
func (w *world) mustBeOff() {
	w.Helper()
	a := w.account
	if a.Authenticator != nil || a.Pending != nil || a.BackupCode != nil || a.Grant != nil {
		w.Errorf("left over: authenticator %v, pending %v, backup code %v, grant %v",
			a.Authenticator != nil, a.Pending != nil, a.BackupCode != nil, a.Grant != nil)
	}
	if diff := cmp.Diff(CodeThrottle{}, a.Codes, cmpopts.EquateEmpty()); diff != "" {
		w.Errorf("left over in the throttle:\n%s", diff)
	}
	if diff := cmp.Diff(BackupThrottle{}, a.Backups); diff != "" {
		w.Errorf("left over in the backup throttle:\n%s", diff)
	}
}

// present is the time step of now.
func (w *world) present() totp.Step { return totp.Default.StepAt(w.now) }

// fail gives n wrong codes, waiting out every lock.
func (w *world) fail(n int) {
	w.Helper()
	for i := range n {
		if w.now.Before(w.account.Codes.LockedUntil) {
			w.now = w.account.Codes.LockedUntil
		}
		var wrong *WrongCode
		if err := w.signIn(w.phone.wrong(w.now, i)); !errors.As(err, &wrong) {
			w.Fatalf("wrong code %d: got %v", i, err)
		}
	}
}

// events are the types of what the last stored change did.
func (w *world) events() []EventType {
	var types []EventType
	for _, e := range w.account.Events {
		types = append(types, e.Type)
	}
	return types
}

// isErr reports whether err is of type E; it tells a verdict with details from the others.
func isErr[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

func mustSecret() totp.Secret {
	secret, err := totp.NewSecret()
	if err != nil {
		panic(err)
	}
	return secret
}
