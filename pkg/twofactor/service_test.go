package twofactor

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// served is a world whose account is in a store, under a Service.
type served struct {
	*world
	store   *memory
	service *Service
}

func serve(w *world) *served {
	s := &served{world: w, store: newMemory()}
	s.store.accounts[alice] = w.account
	s.service = newService(s.store, w.rules.Policy, func() time.Time { return w.now })
	return s
}

// operations are all that a Service decides, each in a form that succeeds; send may be called again, for a retry.
var operations = []struct {
	name   string
	preset string
	ready  func(s *served) (send func(context.Context) (any, error))
}{
	{"verify", "standard", func(s *served) func(context.Context) (any, error) {
		req := NewVerify(s.request(), s.challenge(), MethodTOTP, s.phone.at(s.now))
		return func(ctx context.Context) (any, error) { return s.service.Verify(ctx, req) }
	}},
	{"verify with the backup code", "standard", func(s *served) func(context.Context) (any, error) {
		req := NewVerify(s.request(), s.challenge(), MethodBackupCode, s.backup)
		return func(ctx context.Context) (any, error) { return s.service.Verify(ctx, req) }
	}},
	{"verify with the backup code, 2FA off", "mirox", func(s *served) func(context.Context) (any, error) {
		req := NewVerify(s.request(), s.challenge(), MethodBackupCode, s.backup)
		return func(ctx context.Context) (any, error) { return s.service.Verify(ctx, req) }
	}},
	{"replace", "standard", func(s *served) func(context.Context) (any, error) {
		req := Replace{Request: s.request(), Code: s.phone.at(s.now)}
		return func(ctx context.Context) (any, error) { return s.service.Replace(ctx, alice, req) }
	}},
	{"confirm", "standard", func(s *served) func(context.Context) (any, error) {
		setUp, err := s.replace(Replace{Request: s.request(), Code: s.phone.at(s.now)})
		s.must(err)
		req := Confirm{Request: s.request(), Enrolment: setUp.ID, Code: phone{secret: setUp.Secret}.at(s.now)}
		return func(ctx context.Context) (any, error) { return s.service.Confirm(ctx, alice, req) }
	}},
	{"enroll", "standard", func(s *served) func(context.Context) (any, error) {
		s.must(s.disable(Disable{Request: s.request(), Code: s.phone.at(s.now)}))
		req := Enroll{Request: s.request(), AuthTime: s.now}
		return func(ctx context.Context) (any, error) { return s.service.Enroll(ctx, alice, req) }
	}},
	{"rotate", "standard", func(s *served) func(context.Context) (any, error) {
		req := RotateBackup{Request: s.request(), Code: s.phone.at(s.now)}
		return func(ctx context.Context) (any, error) { return s.service.RotateBackup(ctx, alice, req) }
	}},
	{"revoke", "midphase", func(s *served) func(context.Context) (any, error) {
		req := RevokeBackup{Request: s.request(), Code: s.phone.at(s.now)}
		return func(ctx context.Context) (any, error) { return s.service.RevokeBackup(ctx, alice, req) }
	}},
	{"disable", "standard", func(s *served) func(context.Context) (any, error) {
		req := Disable{Request: s.request(), Code: s.phone.at(s.now)}
		return func(ctx context.Context) (any, error) { return nil, s.service.Disable(ctx, alice, req) }
	}},
	{"check", "standard", func(s *served) func(context.Context) (any, error) {
		req := Check{Request: s.request(), Code: s.phone.at(s.now)}
		return func(ctx context.Context) (any, error) { return s.service.Check(ctx, alice, req) }
	}},
}

// readied is an operation on a store that holds the account as the preparation left it.
func readied(t *testing.T, preset string, ready func(s *served) func(context.Context) (any, error)) (*served, func(context.Context) (any, error)) {
	s := serve(enabledWorld(t, preset))
	send := ready(s)
	s.store.accounts[alice] = s.account
	return s, send
}

// TestOneReadOneWrite is the budget of every decision.
func TestOneReadOneWrite(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		s, send := readied(t, op.preset, op.ready)
		_, err := send(t.Context())
		s.must(err)
		if len(s.store.writes) != 1 || s.store.loads != 1 {
			t.Errorf("%s: %d reads, %d writes; want 1 and 1", op.name, s.store.loads, len(s.store.writes))
		}
	}
	s := serve(enabledWorld(t, "standard"))
	s.fail(5)
	s.store.accounts[alice] = s.account
	for range 3 {
		_, err := s.service.Check(t.Context(), alice, Check{Request: s.request(), Code: s.phone.at(s.now)})
		if !isErr[*Locked](err) {
			t.Errorf("got %v, want locked", err)
		}
	}
	if len(s.store.writes) != 0 || s.store.loads != 3 {
		t.Errorf("three attempts while locked: %d reads, %d writes; want 3 and 0", s.store.loads, len(s.store.writes))
	}
}

// TestLostAnswer: when the store fails after it has stored, the retried request gets the answer that was lost, and what it did
// has happened once.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			s, send := readied(t, op.preset, op.ready)
			s.store.failAfter = 1
			mustBeUnavailable(t, send)
			lost := s.store.accounts[alice]
			if len(s.store.writes) != 1 || len(lost.Events) == 0 {
				t.Fatalf("%d writes, %d events; want 1 and some", len(s.store.writes), len(lost.Events))
			}
			first, err := send(t.Context())
			s.must(err)
			again, err := send(t.Context())
			s.must(err)
			if diff := cmp.Diff(first, again); diff != "" {
				t.Errorf("another answer (-first +again):\n%s", diff)
			}
			if op.name == "check" { // happens as often as it is asked
				return
			}
			for _, a := range s.store.writes[1:] {
				if len(a.Events) != 0 {
					t.Errorf("a retry did something again: %v", a.Events)
				}
			}
			if now := s.store.accounts[alice]; !cmp.Equal(lost.BackupCode, now.BackupCode) || !cmp.Equal(lost.Grant, now.Grant) || !cmp.Equal(lost.Pending, now.Pending) {
				t.Error("a retry changed what the lost answer was about")
			}
		})
	}
}

// TestNothingReleased: when the store or the keys cannot answer, nobody is let in, told or changed; and the same request succeeds
// once they can.
func TestNothingReleased(t *testing.T) {
	t.Parallel()
	failures := map[string]func(s *served){
		"load":    func(s *served) { s.store.failLoad = 1 },
		"replace": func(s *served) { s.store.failBefore = 1 },
		"keys": func(s *served) {
			works := s.service.Keys
			s.service.Keys = func(context.Context) (Keys, error) {
				s.service.Keys = works
				return Keys{}, errBroken
			}
		},
	}
	for _, op := range operations {
		for name, fail := range failures {
			t.Run(op.name+", "+name, func(t *testing.T) {
				t.Parallel()
				s, send := readied(t, op.preset, op.ready)
				fail(s)
				mustBeUnavailable(t, send)
				if len(s.store.writes) != 0 {
					t.Fatalf("%d writes", len(s.store.writes))
				}
				_, err := send(t.Context())
				s.must(err)
			})
		}
	}
	s := serve(enabledWorld(t, "standard"))
	s.store.failLoad = 1
	if got, err := s.service.Status(t.Context(), alice); !errors.Is(err, ErrUnavailable) || !cmp.Equal(got, Status{}) {
		t.Errorf("status: got %+v, %v", got, err)
	}
}

// mustBeUnavailable sends once and wants no answer.
func mustBeUnavailable(t *testing.T, send func(context.Context) (any, error)) {
	t.Helper()
	got, err := send(t.Context())
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, errStore) && !errors.Is(err, errBroken) {
		t.Fatalf("got %v, want ErrUnavailable with its cause", err)
	}
	if v := reflect.ValueOf(got); v.IsValid() && !v.IsZero() {
		t.Fatalf("released with ErrUnavailable: %+v", got)
	}
}

// TestKeysBreak: a key that fails on the way releases and stores nothing.
func TestKeysBreak(t *testing.T) {
	t.Parallel()
	known := func(s *served) { // an account with a contact
		s.must(s.act(func(a *Account) error { return s.rules.AddressChanged(a, s.request(), "a@example.com", s.now) }))
	}
	tests := []struct {
		name  string
		keys  Keys
		ready func(s *served) func(context.Context) (any, error)
		want  error
	}{
		{"secret does not open", Keys{broken{}, newBox("contacts"), prf{1}}, operations[0].ready, ErrSealed},
		{"secret cannot be sealed", Keys{onlyDecrypt{newBox("secrets")}, newBox("contacts"), prf{1}}, operations[3].ready, ErrUnavailable},
		{"secret cannot be sealed again", Keys{onlyDecrypt{newBox("secrets")}, newBox("contacts"), prf{1}}, operations[4].ready, ErrUnavailable},
		{"backup code cannot be compared", Keys{newBox("secrets"), newBox("contacts"), broken{}}, operations[1].ready, ErrUnavailable},
		{"backup code cannot be derived", Keys{newBox("secrets"), newBox("contacts"), broken{}}, operations[6].ready, ErrUnavailable},
		{"backup key is gone", Keys{newBox("secrets"), newBox("contacts"), prf{0}}, operations[1].ready, ErrUnavailable},
		{"contact cannot be sealed", Keys{newBox("secrets"), broken{}, prf{1}}, func(s *served) func(context.Context) (any, error) {
			return func(ctx context.Context) (any, error) {
				return s.service.Challenge(ctx, NewChallenge{User: alice, Contact: Contact{Email: "a@example.com"}})
			}
		}, ErrUnavailable},
		{"contact does not open", Keys{newBox("secrets"), broken{}, prf{1}}, func(s *served) func(context.Context) (any, error) {
			known(s)
			return func(ctx context.Context) (any, error) {
				return s.service.Challenge(ctx, NewChallenge{User: alice})
			}
		}, ErrSealed},
		{"contact does not open, new address", Keys{newBox("secrets"), broken{}, prf{1}}, func(s *served) func(context.Context) (any, error) {
			known(s)
			return func(ctx context.Context) (any, error) {
				return nil, s.service.AddressChanged(ctx, alice, s.request(), "b@example.com")
			}
		}, ErrSealed},
		{"contact does not open, set-up", Keys{newBox("secrets"), broken{}, prf{1}}, func(s *served) func(context.Context) (any, error) {
			known(s)
			return operations[3].ready(s)
		}, ErrSealed},
		{"contact is not one", testKeys(), func(s *served) func(context.Context) (any, error) {
			sealed, err := s.account.seal(s.rules.Keys.Contacts, sealContact, []byte("?"))
			s.must(err)
			s.account.Contact = &sealed
			return func(ctx context.Context) (any, error) { return s.service.Challenge(ctx, NewChallenge{User: alice}) }
		}, ErrSealed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, send := readied(t, "standard", test.ready)
			s.service.Keys = func(context.Context) (Keys, error) { return test.keys, nil }
			got, err := send(t.Context())
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if v := reflect.ValueOf(got); v.IsValid() && !v.IsZero() {
				t.Errorf("released: %+v", got)
			}
			if len(s.store.writes) != 0 || len(s.store.history) != 0 {
				t.Errorf("%d writes, %d events in the history", len(s.store.writes), len(s.store.history))
			}
		})
	}
}

// onlyDecrypt opens, and cannot seal.
type onlyDecrypt struct{ box }

func (onlyDecrypt) Encrypt(_, _ []byte) ([]byte, error) { return nil, errBroken }

// TestMovedCiphertext: a ciphertext moved to another user, another incarnation, another field or another generation does not open.
func TestMovedCiphertext(t *testing.T) {
	t.Parallel()
	one := newBox("one key for all purposes")
	for name, move := range map[string]func(from, to *world){
		"another user": func(from, to *world) {
			to.account.User = "bob"
			to.account.Authenticator.Secret = from.account.Authenticator.Secret
		},
		"a new life": func(_, to *world) { to.account.Incarnation++ },
		"another field": func(from, to *world) {
			_, err := to.replace(Replace{Request: to.request(), Code: to.phone.at(to.now)})
			to.must(err)
			to.account.Authenticator.Secret = to.account.Pending.Authenticator.Secret
		},
		"a contact": func(_, to *world) {
			to.must(to.act(func(a *Account) error { return to.rules.AddressChanged(a, to.request(), "a@example.com", to.now) }))
			to.account.Authenticator.Secret = *to.account.Contact
		},
		"another generation": func(_, to *world) { to.account.Authenticator.Secret.Generation++ },
		"altered":            func(_, to *world) { to.account.Authenticator.Secret.Box[20] ^= 1 },
		"cut off":            func(_, to *world) { to.account.Authenticator.Secret.Box = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var worlds [2]*world
			for i := range worlds {
				w := newWorld(t, "standard")
				w.rules.Keys.Secrets, w.rules.Keys.Contacts = one, one
				w.now = noon.Add(-2 * time.Minute)
				w.enable()
				w.now = noon
				worlds[i] = w
			}
			from, to := worlds[0], worlds[1]
			move(from, to)
			to.later(period)
			for _, code := range []string{from.phone.at(to.now), to.phone.at(to.now)} {
				if err := to.signIn(code); !errors.Is(err, ErrSealed) || to.stored {
					t.Errorf("got %v, stored %v; want ErrSealed, nothing stored", err, to.stored)
				}
			}
		})
	}
}

// TestMovedBackupDigest: the digest of a backup code is bound in the same way; it is compared, not opened, so it is a wrong code.
func TestMovedBackupDigest(t *testing.T) {
	t.Parallel()
	for name, move := range map[string]func(a *Account){
		"another user":       func(a *Account) { a.User = "bob" },
		"a new life":         func(a *Account) { a.Incarnation++ },
		"another generation": func(a *Account) { a.BackupCode.Generation++ },
	} {
		w := enabledWorld(t, "standard")
		move(w.account)
		if _, err := w.verify(w.challenge(), MethodBackupCode, w.backup); !isErr[*WrongCode](err) {
			t.Errorf("%s: got %v, want a wrong code", name, err)
		}
	}
}

// contended lets another write come first before each of the next n writes.
func (s *served) contended(n int, current bool) (tries *int) {
	tries = new(int)
	s.store.replacing = func() {
		*tries++
		if *tries > n {
			return
		}
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		s.store.accounts[alice] = s.store.accounts[alice].next(NewWriteID(), s.now)
	}
	if !current {
		s.service.Store = sayNothing{s.store}
	}
	return tries
}

// sayNothing is a store whose conflicts do not say what is stored.
type sayNothing struct{ *memory }

func (s sayNothing) Replace(ctx context.Context, next *Account) error {
	err := s.memory.Replace(ctx, next)
	var c *Conflict
	if errors.As(err, &c) {
		return fmt.Errorf("wrapped: %w", &Conflict{})
	}
	return err
}

// TestLostRaces: whoever loses a race decides again, at most eight times, then answers unavailable. The first time that takes no
// second read.
func TestLostRaces(t *testing.T) {
	t.Parallel()
	tests := []struct {
		lost    int
		current bool // the conflict says what is stored
		loads   int
		in      bool
	}{
		{0, true, 1, true}, {1, true, 1, true}, {2, true, 2, true}, {7, true, 7, true}, {8, true, 0, false},
		{1, false, 2, true}, {7, false, 8, true}, {8, false, 0, false},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%d, %v", test.lost, test.current), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, send := readied(t, "standard", operations[0].ready)
				tries := s.contended(test.lost, test.current)
				got, err := send(t.Context())
				if !test.in {
					if !errors.Is(err, ErrUnavailable) || !cmp.Equal(got, any(SignIn{})) || *tries != 8 || len(s.store.writes) != 0 {
						t.Errorf("got %+v, %v after %d tries and %d writes; want ErrUnavailable after 8 and none",
							got, err, *tries, len(s.store.writes))
					}
					return
				}
				s.must(err)
				if *tries != test.lost+1 || s.store.loads != test.loads {
					t.Errorf("%d tries, %d reads; want %d and %d", *tries, s.store.loads, test.lost+1, test.loads)
				}
			})
		})
	}
}

// TestLoserSeesWinner: whoever loses a race decides on the winner's account, with the winner's counters.
func TestLoserSeesWinner(t *testing.T) {
	t.Parallel()
	s, send := readied(t, "standard", operations[0].ready)
	s.store.replacing = func() {
		s.store.replacing = nil
		s.fail(5)
		s.store.accounts[alice] = s.account
	}
	if got, err := send(t.Context()); !isErr[*Locked](err) {
		t.Errorf("got %+v, %v; want locked", got, err)
	}
}

// TestCanceled: a caller that has gone away is not decided for.
func TestCanceled(t *testing.T) {
	t.Parallel()
	s, send := readied(t, "standard", operations[0].ready)
	ctx, cancel := context.WithCancel(t.Context())
	tries := s.contended(8, true)
	contend := s.store.replacing
	s.store.replacing = func() {
		if *tries == 1 { // the second loss is followed by a pause
			cancel()
		}
		contend()
	}
	got, err := send(ctx)
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) || !cmp.Equal(got, any(SignIn{})) || *tries == 8 {
		t.Errorf("got %+v, %v after %d tries", got, err, *tries)
	}
}

// TestServiceChallenge: an issued challenge is noted in the history, without a write to the account. An offer whose record cannot
// be written does not leave.
func TestServiceChallenge(t *testing.T) {
	t.Parallel()
	s := serve(enabledWorld(t, "standard"))
	ask := NewChallenge{Request: Request{IP: "203.0.113.9", UserAgent: "host"}, User: alice, Nonce: "n", AMR: []string{"pwd"}}
	one, err := s.service.Challenge(t.Context(), ask)
	s.must(err)
	two, err := s.service.Challenge(t.Context(), ask)
	s.must(err)
	if one.Challenge == nil || two.Challenge == nil || one.Challenge.ID == two.Challenge.ID {
		t.Errorf("challenges %+v, %+v; want two different ones", one.Challenge, two.Challenge)
	}
	if len(s.store.writes) != 0 || len(s.store.history) != 2 {
		t.Fatalf("%d writes, %d events; want 0 and 2", len(s.store.writes), len(s.store.history))
	}
	e := s.store.history[0]
	want := Event{
		ID: e.ID, At: s.now, Type: EventChallengeIssued, Outcome: Succeeded, Actor: ActorHost, IP: "203.0.113.9", UserAgent: "host",
	}
	if diff := cmp.Diff(want, e); diff != "" || e.ID == s.store.history[1].ID {
		t.Errorf("event (-want +got), ids %q and %q:\n%s", e.ID, s.store.history[1].ID, diff)
	}
	s.store.appendErr = errStore
	if got, err := s.service.Challenge(t.Context(), ask); !errors.Is(err, ErrUnavailable) || !cmp.Equal(got, Offer{}) {
		t.Errorf("no record: got %+v, %v", got, err)
	}
	other, err := s.service.Challenge(t.Context(), NewChallenge{User: "new"})
	if err != nil || other.Required || other.Challenge != nil || len(s.store.history) != 3 {
		t.Errorf("2FA off: got %+v, %v, %d events", other, err, len(s.store.history))
	}
}

// TestHostSaw: what changes no account goes straight to the history.
func TestHostSaw(t *testing.T) {
	t.Parallel()
	for what, outcome := range map[EventType]Outcome{EventLogin: Succeeded, EventPasswordFailed: Failed} {
		s := serve(enabledWorld(t, "standard"))
		s.must(s.service.HostSaw(t.Context(), alice, s.request(), what))
		if e := s.store.history[0]; e.Type != what || e.Outcome != outcome || e.Actor != ActorHost || len(s.store.writes) != 0 {
			t.Errorf("event %+v, %d writes", e, len(s.store.writes))
		}
		s.store.appendErr = errStore
		if err := s.service.HostSaw(t.Context(), alice, s.request(), what); !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	}
}

// pages is a store with a history that fails as told.
type pages struct {
	Store
	err error
}

func (p pages) History(context.Context, UserID, Page) (HistoryPage, error) {
	return HistoryPage{Next: "n"}, p.err
}

func TestServiceHistory(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ err, want error }{{nil, nil}, {ErrCursor, ErrCursor}, {errStore, ErrUnavailable}} {
		s := newService(pages{err: test.err}, Standard(), time.Now)
		got, err := s.History(t.Context(), alice, Page{Limit: 1})
		if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) || err == nil && got.Next != "n" {
			t.Errorf("%v: got %+v, %v", test.err, got, err)
		}
	}
}

// TestServiceActs: what host and operator ask for reaches the account, in stored precision.
func TestServiceActs(t *testing.T) {
	t.Parallel()
	s := serve(enabledWorld(t, "standard"))
	s.now = noon.Add(1234567 * time.Nanosecond).In(time.FixedZone("", 3600))
	ctx, by := t.Context(), Operator{"op", "phoned"}
	for _, test := range []struct {
		do   func() error
		want EventType
	}{
		{func() error { return s.service.PasswordChanged(ctx, alice, s.request()) }, EventPasswordChanged},
		{func() error { return s.service.AddressChanged(ctx, alice, s.request(), "b@example.com") }, EventAddressChanged},
		{func() error { return s.service.Unlock(ctx, alice, s.request(), by) }, EventUnlocked},
		{func() error { return s.service.RemoveAuthenticator(ctx, alice, s.request(), by) }, EventAdminRemoved},
		{func() error { return s.service.Erase(ctx, alice, s.request(), ActorOperator) }, EventErased},
	} {
		s.must(test.do())
		a := s.store.accounts[alice]
		if len(a.Events) != 1 || a.Events[0].Type != test.want {
			t.Fatalf("events %+v, want %s", a.Events, test.want)
		}
		if at, want := a.Events[0].At, noon.Add(time.Millisecond); at != want {
			t.Errorf("%s at %v, want %v in UTC and whole milliseconds", test.want, at, want)
		}
	}
	if err := s.service.Discard(ctx, alice); err != nil || len(s.store.writes) != 5 {
		t.Errorf("nothing to discard: %v, %d writes", err, len(s.store.writes))
	}
	if got, err := s.service.Status(ctx, alice); err != nil || got.State != StateDisabled {
		t.Errorf("status %+v, %v", got, err)
	}
}
