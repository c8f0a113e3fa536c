package twofactor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// snapshot is an account as a backup has it.
func (w *world) snapshot() (restore func()) {
	image := w.marshal(w.account)
	return func() {
		w.Helper()
		var account Account
		w.must(json.Unmarshal(image, &account))
		w.account, w.lastEvent = &account, ""
		w.later(time.Second)
		w.rules.Fence = w.now
	}
}

// TestRestored: what was spent after a backup was made is spent also when the backup is restored, because of the fence alone.
func TestRestored(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		preset string
		before func(w *recovery)              // the backup is made
		use    func(w *recovery) func() error // and what returns uses it again
		want   error
	}{
		"an authenticator's code": {use: func(w *recovery) func() error {
			code := w.nextCode()
			w.must(w.signIn(code))
			return func() error { return w.signIn(code) }
		}},
		"the code of the next step": {use: func(w *recovery) func() error {
			code := w.phone.at(w.now.Add(period))
			w.must(w.signIn(code))
			return func() error { w.later(period); return w.signIn(code) }
		}},
		"the code of a process whose clock is ahead": {use: func(w *recovery) func() error {
			code := w.phone.at(w.now.Add(2 * period))
			w.later(period)
			w.must(w.signIn(code))
			w.later(-period)
			return func() error { w.later(period); return w.signIn(code) }
		}},
		"a code, for a check": {use: func(w *recovery) func() error {
			code := w.nextCode()
			w.must(w.signIn(code))
			return func() error {
				got, err := w.check(code)
				if err == nil && got.Valid && got.Spent {
					err = &CodeReused{}
				}
				return err
			}
		}},
		"the backup code": {want: ErrNoBackupCode, use: func(w *recovery) func() error {
			code := w.backup
			w.backupSignIn()
			return func() error { _, err := w.verify(w.challenge(), MethodBackupCode, code); return err }
		}},
		"a grant": {want: ErrGrantExpired, use: func(w *recovery) func() error {
			grant := w.backupSignIn().Grant
			backup := w.snapshot()
			_, err := w.rotate(RotateBackup{Request: w.request(), Grant: grant})
			w.must(err)
			backup()
			return func() error { _, err := w.rotate(RotateBackup{Request: w.request(), Grant: grant}); return err }
		}},
		"a set-up": {want: ErrEnrolmentExpired, use: func(w *recovery) func() error {
			setUp, err := w.replace(Replace{Request: w.request(), Code: w.nextCode()})
			w.must(err)
			backup := w.snapshot()
			w.must(w.act(func(a *Account) error { return w.rules.Discard(a) }))
			backup()
			return func() error {
				_, err := w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: phone{secret: setUp.Secret}.at(w.now)})
				return err
			}
		}},
		"a mailed link": {want: ErrLinkExpired, before: func(w *recovery) { w.upTo(ResetReady) }, use: func(w *recovery) func() error {
			link := w.link(LinkSignIn)
			w.must(w.act(func(a *Account) error { return w.rules.CancelReset(a, w.request(), w.now) }))
			return func() error { _, err := w.useLink(link); return err }
		}},
		"an approval": {want: ErrCaseChanged, before: func(w *recovery) { w.upTo(ResetInReview) }, use: func(w *recovery) func() error {
			w.must(w.decide(DecisionDeny, "carol"))
			return func() error { return w.decide(DecisionApprove, "carol") }
		}},
		"the last answer": {want: ErrChallengeExpired, use: func(w *recovery) func() error {
			req := NewVerify(w.request(), w.challenge(), MethodBackupCode, w.backup)
			sign := func() error {
				_, err := apply(w.world, func(a *Account) (SignIn, error) { return w.rules.Verify(a, req, w.now) })
				return err
			}
			w.must(sign())
			backup := w.snapshot()
			w.passwordChanged()
			backup()
			return sign
		}},
		"an old session": {use: func(w *recovery) func() error {
			w.must(w.disable(Disable{Request: w.request(), Code: w.nextCode()}))
			signedIn := w.now
			w.later(time.Second)
			backup := w.snapshot()
			w.passwordChanged()
			w.later(time.Second)
			backup()
			return func() error { _, err := w.tryEnroll(Enroll{Request: w.request(), AuthTime: signedIn}); return err }
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, fenced := range []bool{false, true} {
				w := recovering(t, "standard")
				if test.before != nil {
					test.before(w)
				}
				restore := w.snapshot()
				again := test.use(w)
				if w.rules.Fence.IsZero() { // or it was restored to a later moment
					restore()
				}
				if !fenced {
					w.rules.Fence = time.Time{}
				}
				err := again()
				refused := err != nil && (test.want == nil && (isErr[*CodeReused](err) || isErr[*Reauthenticate](err)) || errors.Is(err, test.want) && test.want != nil)
				if refused != fenced || !fenced && err != nil {
					t.Errorf("with a fence: %v; got %v", fenced, err)
				}
			}
		})
	}
}

// TestFenceTells: what a user misses after a restore is in the history, once; and what was made after the fence stays.
func TestFenceTells(t *testing.T) {
	t.Parallel()
	w := recovering(t, "standard")
	w.upTo(ResetApproved)
	restore := w.snapshot()
	w.later(time.Hour)
	restore()
	if got := w.account.next("w", w.rules.Fence, w.now).Status(w.now); got.State != StateEnabled || !got.BackupIssuedAt.IsZero() || got.Reset.State != ResetCanceled {
		t.Errorf("status %+v", got)
	}
	offer, err := w.offer(NewChallenge{})
	if diff := cmp.Diff([]Method{MethodTOTP}, offer.Methods); diff != "" || err != nil || !w.stored {
		t.Errorf("%v, stored %v, methods (-want +got):\n%s", err, w.stored, diff)
	}
	for i, e := range w.account.Events {
		if want := []EventType{EventBackupCodeRevoked, EventResetCanceled}[i]; e.Type != want || e.Actor != ActorSystem || e.Reason != "restored" {
			t.Errorf("event %+v, want %s", e, want)
		}
	}
	if _, err := w.offer(NewChallenge{}); err != nil || w.stored {
		t.Errorf("a second time: %v, stored %v", err, w.stored)
	}
	// A minute and a half later everything works, and what is made from now on is good.
	w.later(3 * period)
	_, err = w.rotate(RotateBackup{Request: w.request(), Code: w.phone.at(w.now)})
	w.must(err)
	w.upTo(ResetReady)
	w.must(w.signIn(w.nextCode()))
	w.backupSignIn()

	// A later fence is another one.
	w.later(time.Hour)
	w.rules.Fence = w.now
	if offer, err := w.offer(NewChallenge{}); err != nil || len(offer.Methods) != 1 {
		t.Errorf("behind the next fence: %v, %v", offer.Methods, err)
	}
}

// configs are config items in memory.
type configs struct {
	value   []byte
	version int64
	loads   int
	err     error // of the next calls
	rivals  int   // writes that come first
}

func (c *configs) load(_ context.Context, name string) ([]byte, int64, error) {
	c.loads++
	if name != "fence" {
		return nil, 0, errors.New("item " + name)
	}
	return c.value, c.version, c.err
}

func (c *configs) replace(_ context.Context, name string, value []byte, version int64) error {
	if c.rivals > 0 {
		c.rivals--
		return &Conflict{}
	}
	if c.err != nil || name != "fence" {
		return c.err
	}
	if version != c.version+1 {
		return &Conflict{}
	}
	c.value, c.version = value, version
	return nil
}

func TestFences(t *testing.T) {
	t.Parallel()
	ctx, now := t.Context(), noon
	c := &configs{}
	f := NewFences(c.load, func() time.Time { return now }, quietly)
	at := func(when string, want time.Time, loads int) {
		t.Helper()
		before := c.loads
		got, err := f.At(ctx)
		if err != nil || !got.Equal(want) || c.loads-before != loads {
			t.Errorf("%s: %v, %v after %d loads; want %v, %d", when, got, err, c.loads-before, want, loads)
		}
	}
	c.err = errBroken
	if _, err := f.At(ctx); !errors.Is(err, errBroken) {
		t.Errorf("could not tell: %v", err)
	}
	c.err = nil
	at("a failure is not kept", time.Time{}, 1)
	at("at once again", time.Time{}, 0)

	other := NewFences(c.load, func() time.Time { return now }, quietly)
	fence := noon.Add(time.Minute + time.Microsecond)
	if got, err := other.Raise(ctx, c.replace, fence.Add(time.Second), Operator{"oscar", "x"}); !errors.Is(err, errAhead) || c.version != 0 {
		t.Errorf("a fence of the future: %v, %v", got, err)
	}
	fence = noon.Add(time.Minute)
	told, err := other.Raise(ctx, c.replace, fence, Operator{"oscar", "restored"})
	if err != nil || !told.Equal(fence) {
		t.Errorf("raised: %v, %v", told, err)
	}
	if got, err := other.At(ctx); err != nil || !got.Equal(told) {
		t.Errorf("who has raised it does not know it: %v, %v", got, err)
	}
	now = now.Add(15*time.Minute - 1)
	at("before it looks", time.Time{}, 0)
	now = now.Add(1)
	at("when it looks", told, 1)
	c.err = errBroken
	now = now.Add(15 * time.Minute)
	at("a look fails", told, 1)
	at("and again", told, 0)
	now = now.Add(time.Minute)
	at("a minute later", told, 1)
	now = now.Add(24 * time.Hour)
	if _, err := f.At(ctx); !errors.Is(err, errBroken) {
		t.Errorf("a day later: %v", err)
	}
	c.err = nil
	now = noon.Add(time.Second) // a clock put back
	at("a clock put back", told, 1)

	// What is known does not go back, and is not put into the future.
	value, version := c.value, c.version
	for when, stored := range map[string]configs{
		"the config table is restored": {}, "to an older fence": {value: []byte(`{"schema":1,"at":"2020-01-05T09:00:00Z"}`), version: 1},
		"a fence of the future": {value: []byte(`{"schema":1,"at":"2099-01-05T09:00:00Z"}`), version: 1},
	} {
		c.value, c.version = stored.value, stored.version
		now = now.Add(15 * time.Minute)
		at(when, told, 1)
	}
	c.value, c.version = []byte(`{"schema":1,"at":"2099-01-05T09:00:00Z"}`), 1
	late := NewFences(c.load, func() time.Time { return now }, quietly)
	if got, err := late.At(ctx); !errors.Is(err, errAhead) {
		t.Errorf("who knows a fence of the future alone: %v, %v", got, err)
	}
	if got, err := late.Raise(ctx, c.replace, now, Operator{"oscar", "x"}); err != nil || !got.Equal(now) || c.version != 2 {
		t.Errorf("raised over one of the future: %v, %v", got, err)
	}
	if got, err := late.At(ctx); err != nil || !got.Equal(now) {
		t.Errorf("and then: %v, %v", got, err)
	}
	c.value, c.version = value, version
	now = now.Add(2 * time.Hour)

	// It only goes forward.
	if got, err := f.Raise(ctx, c.replace, noon, Operator{"oscar", "x"}); err != nil || !got.Equal(told) || c.version != 1 {
		t.Errorf("back: %v, %v, version %d", got, err, c.version)
	}
	c.rivals = 3
	if got, err := f.Raise(ctx, c.replace, fence.Add(time.Hour), Operator{"oscar", "x"}); err != nil || !got.Equal(told.Add(time.Hour)) || c.version != 2 {
		t.Errorf("with rivals: %v, %v, version %d", got, err, c.version)
	}
	if !strings.Contains(string(c.value), `"by":"oscar","reason":"x"`) {
		t.Errorf("stored %s", c.value)
	}
	c.rivals = 100
	if _, err := f.Raise(ctx, c.replace, fence.Add(2*time.Hour), Operator{"oscar", "x"}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("with rivals for ever: %v", err)
	}
	c.rivals, c.err = 0, errBroken
	if _, err := f.Raise(ctx, c.replace, fence.Add(2*time.Hour), Operator{"oscar", "x"}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("with a broken store: %v", err)
	}
	c.err = nil
	for _, damaged := range []string{`{"schema":2,"at":"2026-01-05T09:00:00Z"}`, `{}`, `nothing`, `{"schema":1}`} {
		c.value = []byte(damaged)
		f := NewFences(c.load, func() time.Time { return now }, quietly)
		if got, err := f.At(ctx); err == nil {
			t.Errorf("%s: %v", damaged, got)
		}
		if _, err := f.Raise(ctx, c.replace, fence, Operator{"oscar", "x"}); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: raised: %v", damaged, err)
		}
	}
}

func quietly(context.Context, error) {}

// TestFenceFailuresAreTold: somebody is told that the fence could not be looked at, or has gone back, each time.
func TestFenceFailuresAreTold(t *testing.T) {
	t.Parallel()
	var told []string
	now, c := noon, &configs{}
	f := NewFences(c.load, func() time.Time { return now }, func(_ context.Context, err error) { told = append(told, err.Error()) })
	if _, err := f.Raise(t.Context(), c.replace, now, Operator{"oscar", "x"}); err != nil || told != nil {
		t.Errorf("%v, %s", err, told)
	}
	for want, stored := range map[string]configs{
		errBroken.Error(): {err: errBroken}, "in the future": {value: []byte(`{"schema":1,"at":"2099-01-05T09:00:00Z"}`), version: 1}, "gone back": {},
	} {
		told, *c = nil, stored
		now = now.Add(15 * time.Minute)
		if got, err := f.At(t.Context()); err != nil || !got.Equal(noon) {
			t.Errorf("%s: %v, %v", want, got, err)
		}
		if len(told) != 1 || !strings.Contains(told[0], want) {
			t.Errorf("%s: told %s", want, told)
		}
	}
}

// TestServiceFence: a service decides behind the fence, and when that cannot be told not at all.
func TestServiceFence(t *testing.T) {
	t.Parallel()
	s := serve(enabledWorld(t, "standard"))
	var err error
	s.service.Fence = func(context.Context) (time.Time, error) { return s.now, err }
	if status, err := s.service.Status(t.Context(), alice); err != nil || !status.BackupIssuedAt.IsZero() {
		t.Errorf("status %+v, %v", status, err)
	}
	var reused *CodeReused
	if _, err := s.service.Verify(t.Context(), NewVerify(s.request(), s.challenge(), MethodTOTP, s.phone.at(s.now))); !errors.As(err, &reused) || reused.RetryAfter < 2*period {
		t.Errorf("a code of now: %v", err)
	}
	err = errBroken
	if _, err := s.service.Status(t.Context(), alice); !errors.Is(err, ErrUnavailable) {
		t.Errorf("could not tell: status: %v", err)
	}
	if _, err := s.service.Check(t.Context(), alice, Check{Request: s.request(), Code: "123456"}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("could not tell: %v", err)
	}
}

// TestReadsAtOnce: keys, fence and account are asked for at once, by whatever decides: none of them is told before all three
// were asked for, where that many are needed.
func TestReadsAtOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		reads int
		run   func(*testing.T, *served)
	}{
		"check": {3, func(t *testing.T, s *served) {
			if got, err := s.service.Check(t.Context(), alice, Check{Request: s.request(), Code: s.phone.at(s.now)}); !got.Valid || err != nil {
				t.Errorf("%+v, %v", got, err)
			}
		}},
		"status": {2, func(t *testing.T, s *served) {
			if got, err := s.service.Status(t.Context(), alice); got.State != StateEnabled || err != nil {
				t.Errorf("%+v, %v", got, err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // where one waits for another, nobody is left to end it, and that is told
				s := serve(enabledWorld(t, "standard"))
				var all sync.WaitGroup
				all.Add(test.reads)
				together := func() { all.Done(); all.Wait() }
				keys := s.service.Keys
				s.service.Keys = func(ctx context.Context) (Keys, error) { together(); return keys(ctx) }
				s.service.Fence = func(context.Context) (time.Time, error) { together(); return time.Time{}, nil }
				s.service.Store = loading{s.service.Store, together}
				test.run(t, s)
			})
		})
	}
}

// loading is a store that runs something before it loads an account.
type loading struct {
	Store
	before func()
}

func (l loading) Load(ctx context.Context, user UserID) (*Account, error) {
	l.before()
	return l.Store.Load(ctx, user)
}

// TestPanicBeside: what panics beside the caller panics in the caller, who can tell of it.
func TestPanicBeside(t *testing.T) {
	t.Parallel()
	s := serve(enabledWorld(t, "standard"))
	s.service.Fence = func(context.Context) (time.Time, error) { panic("on purpose") }
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, "on purpose") || !strings.Contains(got, "fence_test.go") {
			t.Errorf("panic: %s", got)
		}
	}()
	got, err := s.service.Status(t.Context(), alice)
	t.Errorf("no panic: %v, %v", got, err)
}
