package twofactor

import (
	"context"
	"errors"
	"reflect"
	"testing"
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
	{"reset-request", "standard", func(s *served) func(context.Context) (any, error) {
		ch := s.challenge()
		ch.Subject = &Subject{Name: "Alice Doe"}
		req := RequestReset{Request: s.request(), Challenge: ch, ID: "reset", Reference: "R-7K4Q"}
		return func(ctx context.Context) (any, error) { return s.service.RequestReset(ctx, req) }
	}},
	{"identity result", "standard", func(s *served) func(context.Context) (any, error) {
		w := &recovery{world: s.world}
		w.upTo(ResetIdentityPending)
		s.must(w.click("inq"))
		result := IdentityResult{ResetID: "reset1", Inquiry: "inq", Outcome: IdentityPassed, Person: Person{Name: "Alice Doe"}}
		return func(ctx context.Context) (any, error) { return nil, s.service.IdentityResult(ctx, alice, result) }
	}},
	{"import", "standard", func(s *served) func(context.Context) (any, error) {
		s.remove()
		s.later(time.Second)
		req := s.brought()
		req.ActivatedAt = s.now
		return func(ctx context.Context) (any, error) { return nil, s.service.Import(ctx, alice, req) }
	}},
	{"verify with a mailed link", "standard", func(s *served) func(context.Context) (any, error) {
		w := &recovery{world: s.world, subject: &Subject{Name: "Alice Doe"}}
		w.upTo(ResetReady)
		req := NewVerify(s.request(), s.challenge(), MethodResetLink, w.link(LinkSignIn))
		return func(ctx context.Context) (any, error) { return s.service.Verify(ctx, req) }
	}},
	{"confirm with a mailed link", "miaxdx", func(s *served) func(context.Context) (any, error) {
		s.rules.Policy.BackupIssue = AfterActivation
		s.service.Policy = s.rules.Policy
		w := &recovery{world: s.world, subject: &Subject{Name: "Alice Doe"}}
		w.upTo(ResetReady)
		answer, err := w.useLink(w.link(LinkSignIn))
		s.must(err)
		setUp, err := s.tryEnroll(Enroll{Request: s.request(), Challenge: answer.Enroll})
		s.must(err)
		req := NewConfirm(s.request(), *answer.Enroll, setUp.ID, phone{secret: setUp.Secret}.at(s.now))
		return func(ctx context.Context) (any, error) { return s.service.Confirm(ctx, alice, req) }
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
		{func() error { return s.service.Erase(ctx, alice, s.request(), Event{Actor: ActorOperator}) }, EventErased},
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
