package twofactor

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/totp"
)

// brought is an import of a new phone, of the usual kind, that was activated elsewhere two years ago.
func (w *world) brought() Import {
	return Import{
		Request: Request{ID: RandomDigest()}, Secret: mustSecret(), Params: totp.Default, ActivatedAt: w.now.AddDate(-2, 0, 0),
		Contact: Contact{Email: "alice@example.com", Label: "alice", Locale: "de"}, By: Operator{"oscar", "the move"},
	}
}

func (w *world) imports(req Import) error {
	return w.act(func(a *Account) error { return w.rules.Import(a, req, w.now) })
}

// TestImport: an authenticator of another system counts here as if it had been set up here, but for what is not known of it.
func TestImport(t *testing.T) {
	t.Parallel()
	for _, preset := range Presets() {
		t.Run(preset, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, preset)
			req := w.brought()
			w.must(w.imports(req))
			a := w.account
			if diff := cmp.Diff(Status{State: StateEnabled, ActivatedAt: req.ActivatedAt}, a.Status(w.now)); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
			want := []Event{{
				ID: "v000000000001-00", At: w.now, Type: EventEnabled, Outcome: Succeeded, Method: MethodTOTP, Actor: ActorOperator,
				Operation: OpImport, By: "oscar", Reason: "the move",
			}}
			if diff := cmp.Diff(want, a.Events); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if contact, err := w.rules.contact(a); err != nil || contact != req.Contact {
				t.Errorf("contact %+v, %v", contact, err)
			}
			ch := w.challenge()
			if _, err := w.verify(ch, MethodBackupCode, "0000000000000"); !errors.Is(err, ErrNoBackupCode) {
				t.Errorf("with a backup code that there is none: %v", err)
			}
			// What was used in the other system a moment ago, there perhaps by a clock that is ahead, is used.
			w.phone = phone{secret: req.Secret}
			for ahead := -w.rules.Policy.Skew; ahead <= w.rules.Policy.Skew; ahead++ {
				if _, err := w.verify(ch, MethodTOTP, w.phone.step(int64(w.present())+int64(ahead))); !isErr[*CodeReused](err) {
					t.Errorf("a code of the step %+d: %v", ahead, err)
				}
			}
			w.later(2 * period)
			if _, err := w.verify(ch, MethodTOTP, w.phone.at(w.now)); !isErr[*CodeReused](err) {
				t.Errorf("a code that a clock far ahead has shown before: %v", err)
			}
			w.later(period)
			if _, err := w.verify(ch, MethodTOTP, w.phone.at(w.now)); err != nil {
				t.Errorf("the first code after it: %v", err)
			}
			code, err := w.rotate(RotateBackup{Request: w.request(), Code: w.nextCode()})
			if err != nil || code.Code == "" {
				t.Errorf("a backup code: %v", err)
			}
			w.backupSignIn()
		})
	}
}

// TestImportDecides: what an import meets, and what becomes of that.
func TestImportDecides(t *testing.T) {
	t.Parallel()
	disable := func(w *world) {
		w.must(w.disable(Disable{Request: w.request(), Code: w.nextCode()}))
	}
	imported := func(w *world, req Import) {
		w.must(w.imports(req))
		w.phone = phone{secret: req.Secret}
		w.later(3 * period)
	}
	moved := func(w *world) {
		setUp, err := w.replace(Replace{Request: w.request(), Code: w.nextCode()})
		w.must(err)
		w.phone = phone{secret: setUp.Secret}
		_, err = w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: w.phone.at(w.now)})
		w.must(err)
	}
	erase := func(w *world) {
		w.must(w.act(func(a *Account) error { return w.rules.Erase(a, w.request(), Event{Actor: ActorHost}, w.now) }))
		w.later(time.Hour)
	}
	for name, test := range map[string]struct {
		preset  string
		before  func(w *world, req *Import)
		want    error
		nothing bool // new
		then    func(w *world)
	}{
		"somebody never seen": {},
		"2FA is on":           {before: func(w *world, _ *Import) { w.enable() }, want: ErrAlreadyEnabled},
		"again":               {before: func(w *world, req *Import) { imported(w, *req) }, nothing: true},
		"again, after a sign-in and another address": {nothing: true, before: func(w *world, req *Import) {
			imported(w, *req)
			w.must(w.signIn(w.nextCode()))
			w.must(w.act(func(a *Account) error { return w.rules.AddressChanged(a, w.request(), "new@example.com", w.now) }))
		}, then: func(w *world) {
			if contact, err := w.rules.contact(w.account); err != nil || contact.Email != "new@example.com" {
				w.Errorf("contact %+v, %v", contact, err)
			}
		}},
		"again, while locked": {before: func(w *world, req *Import) { imported(w, *req); w.fail(5) }, nothing: true, then: func(w *world) {
			if w.account.Status(w.now).LockedUntil.IsZero() {
				w.Error("an import has unlocked the account")
			}
		}},
		"again, with another secret": {want: ErrAlreadyEnabled, before: func(w *world, req *Import) {
			imported(w, *req)
			req.Secret = mustSecret()
		}},
		"again, with other digits": {want: ErrAlreadyEnabled, before: func(w *world, req *Import) {
			imported(w, *req)
			req.Params.Digits = 8
		}},
		"again, after a move to a new phone": {want: ErrAlreadyEnabled, before: func(w *world, req *Import) { imported(w, *req); moved(w) }},

		"again, after it was turned off":      {want: ErrEnded, before: func(w *world, req *Import) { imported(w, *req); disable(w) }},
		"again, after a move and turned off":  {want: ErrEnded, before: func(w *world, req *Import) { imported(w, *req); moved(w); disable(w) }},
		"again, after support has removed it": {want: ErrEnded, before: func(w *world, req *Import) { imported(w, *req); w.remove() }},
		"with other digits, after support has removed it": {want: ErrEnded, before: func(w *world, req *Import) {
			imported(w, *req)
			w.remove()
			req.Params.Digits = 8
		}},
		"again, after another one has come and gone": {want: ErrEnded, before: func(w *world, req *Import) {
			imported(w, *req)
			w.remove()
			w.later(time.Hour)
			other := w.brought()
			other.ActivatedAt = w.now
			imported(w, other)
			w.remove()
		}},
		"another one, after support has removed one":       {want: ErrEnded, before: func(w *world, req *Import) { imported(w, w.brought()); w.remove() }},
		"2FA was set up here, and turned off":              {want: ErrEnded, before: func(w *world, _ *Import) { w.enable(); disable(w) }},
		"2FA was set up here, and lost to the backup code": {want: ErrEnded, preset: "mirox", before: func(w *world, _ *Import) { w.enable(); w.backupSignIn() }},
		"2FA was set up here, and recovered": {want: ErrEnded, before: func(w *world, _ *Import) {
			w.enable()
			lost := &recovery{world: w, subject: &Subject{Name: "Alice Doe", Birthdate: "1990-01-31"}}
			lost.upTo(ResetReady)
			_, err := lost.useLink(lost.link(LinkSignIn))
			w.must(err)
		}},
		"turned off at that very moment":        {want: ErrEnded, before: func(w *world, req *Import) { w.enable(); disable(w); req.ActivatedAt = w.now }},
		"turned off, and it is not known since": {want: ErrEnded, before: func(w *world, req *Import) { w.enable(); disable(w); req.ActivatedAt = time.Time{} }},
		"turned off, and it is newer": {before: func(w *world, req *Import) {
			w.enable()
			disable(w)
			w.later(time.Hour)
			req.ActivatedAt = w.now.Add(-time.Minute)
		}},
		"after support has removed a suspended one, and it is newer": {before: func(w *world, req *Import) {
			w.enable()
			w.fail(100)
			w.remove()
			w.later(time.Second)
			req.ActivatedAt = w.now
		}},
		"the password is new, and it is older": {before: func(w *world, _ *Import) {
			w.must(w.act(func(a *Account) error { return w.rules.PasswordChanged(a, w.request(), w.now) }))
		}},

		"erased, and it is older":           {before: func(w *world, _ *Import) { erase(w) }, want: ErrEnded},
		"erased, and it is not known since": {before: func(w *world, req *Import) { erase(w); req.ActivatedAt = time.Time{} }, want: ErrEnded},
		"erased, and it is newer":           {before: func(w *world, req *Import) { erase(w); req.ActivatedAt = w.now.Add(-time.Minute) }},
		"imported, and erased":              {before: func(w *world, req *Import) { imported(w, *req); erase(w) }, want: ErrEnded},

		"a set-up is under way": {before: func(w *world, _ *Import) {
			setUp := w.enroll()
			w.phone = phone{secret: setUp.Secret}
		}, then: func(w *world) {
			if _, err := w.confirm(Confirm{Request: w.request(), Code: w.phone.at(w.now)}); !errors.Is(err, ErrEnrolmentExpired) {
				w.Errorf("the set-up is confirmed: %v", err)
			}
		}},
		"a set-up is under way inside a sign-in": {preset: "miaxdx", before: func(w *world, _ *Import) {
			ch := w.challenge()
			setUp, err := w.tryEnroll(Enroll{Request: w.request(), Challenge: &ch})
			w.must(err)
			w.phone = phone{secret: setUp.Secret}
		}, then: func(w *world) {
			offer, err := w.offer(NewChallenge{})
			if err != nil || offer.EnrollmentRequired || !cmp.Equal(offer.Methods, []Method{MethodTOTP}) {
				w.Errorf("the next sign-in: %+v, %v", offer, err)
			}
		}},
		"there was a restore": {before: func(w *world, _ *Import) {
			w.challenge0()
			w.later(time.Minute)
			w.rules.Fence = w.now
		}},
		"parameters that there are not": {before: func(w *world, req *Import) { req.Params.Period = 300 }, want: errAny},
		"the keys are gone":             {before: func(w *world, _ *Import) { w.rules.Keys.Secrets = broken{} }, want: ErrUnavailable},
		"the contact's keys are gone":   {before: func(w *world, _ *Import) { w.rules.Keys.Contacts = broken{} }, want: ErrUnavailable},
		"the keys have gone since":      {before: func(w *world, req *Import) { imported(w, *req); w.rules.Keys.Secrets = broken{} }, want: ErrSealed},
		"the contact does not open": {want: ErrSealed, before: func(w *world, _ *Import) {
			w.challenge0()
			w.rules.Keys.Contacts = newBox("others")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.preset == "" {
				test.preset = "standard"
			}
			w := newWorld(t, test.preset)
			req := w.brought()
			if test.before != nil {
				test.before(w, &req)
			}
			before := w.account
			err := w.imports(req)
			if test.want == errAny && err == nil || test.want != errAny && !errors.Is(err, test.want) {
				t.Fatalf("%v, want %v", err, test.want)
			}
			if w.stored != (err == nil && !test.nothing) {
				t.Errorf("stored: %v", w.stored)
			}
			if err == nil && !test.nothing {
				a := w.account
				if a.Pending != nil || a.Grant != nil || a.BackupCode != nil || a.Codes.SuspendedAt != (time.Time{}) || a.Reset.Open() {
					t.Errorf("left over: %+v", a)
				}
				if secret, err := a.open(w.rules.Keys.Secrets, sealAuthenticator, a.Authenticator.Secret); err != nil || !cmp.Equal(secret, []byte(req.Secret)) {
					t.Errorf("another secret, %v", err)
				}
			} else if w.account != before {
				t.Error("what was not imported has changed something")
			}
			if test.then != nil {
				test.then(w)
			}
		})
	}
}

var errAny = errors.New("any")

// challenge0 has the host tell of a user who has no 2FA.
func (w *world) challenge0() {
	w.Helper()
	_, err := w.offer(NewChallenge{Contact: Contact{Email: "host@example.com"}})
	w.must(err)
}

// TestImportContact: what the host has told counts; what it has not is filled in.
func TestImportContact(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ known, brought, want Contact }{
		"nothing":          {},
		"known alone":      {Contact{"a@example.com", "a", "en"}, Contact{}, Contact{"a@example.com", "a", "en"}},
		"brought alone":    {Contact{}, Contact{"b@example.com", "b", "de"}, Contact{"b@example.com", "b", "de"}},
		"both":             {Contact{"a@example.com", "a", "en"}, Contact{"b@example.com", "b", "de"}, Contact{"a@example.com", "a", "en"}},
		"a part of either": {Contact{Email: "a@example.com"}, Contact{"b@example.com", "b", "de"}, Contact{"a@example.com", "b", "de"}},
	} {
		w := newWorld(t, "standard")
		if _, err := w.offer(NewChallenge{Contact: test.known}); err != nil {
			t.Fatal(err)
		}
		req := w.brought()
		req.Contact = test.brought
		w.must(w.imports(req))
		if got, err := w.rules.contact(w.account); err != nil || got != test.want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, test.want)
		}
		if w.account.Previous != nil || !w.account.AddressChanged.IsZero() || len(w.account.Events) != 1 {
			t.Errorf("%s: an address has changed: %v", name, w.events())
		}
	}
}

// TestImportSince: the time of activation is kept to the precision that is stored, and is never in the future.
func TestImportSince(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ given, want time.Time }{
		"not known":       {time.Time{}, noon},
		"known":           {noon.Add(-time.Hour + 1234567), noon.Add(-time.Hour + 1000000)},
		"in another zone": {noon.Add(-time.Hour).In(time.FixedZone("", 3600)), noon.Add(-time.Hour)},
		"ahead":           {noon.Add(time.Second), noon},
	} {
		w := newWorld(t, "standard")
		req := w.brought()
		req.ActivatedAt = test.given
		w.must(w.imports(req))
		if got := w.account.Authenticator.ActivatedAt; got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
