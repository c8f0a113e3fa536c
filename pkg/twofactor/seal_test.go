package twofactor

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"
)

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
