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
		{"secret does not open", Keys{Secrets: broken{}, Contacts: newBox("contacts"), Codes: prf{1}}, operations[0].ready, ErrSealed},
		{"secret cannot be sealed", Keys{Secrets: onlyDecrypt{newBox("secrets")}, Contacts: newBox("contacts"), Codes: prf{1}}, operations[3].ready, ErrUnavailable},
		{"secret cannot be sealed again", Keys{Secrets: onlyDecrypt{newBox("secrets")}, Contacts: newBox("contacts"), Codes: prf{1}}, operations[4].ready, ErrUnavailable},
		{"backup code cannot be compared", Keys{Secrets: newBox("secrets"), Contacts: newBox("contacts"), Codes: broken{}}, operations[1].ready, ErrUnavailable},
		{"backup code cannot be derived", Keys{Secrets: newBox("secrets"), Contacts: newBox("contacts"), Codes: broken{}}, operations[6].ready, ErrUnavailable},
		{"backup key is gone", Keys{Secrets: newBox("secrets"), Contacts: newBox("contacts"), Codes: prf{0}}, operations[1].ready, ErrUnavailable},
		{"contact cannot be sealed", Keys{Secrets: newBox("secrets"), Contacts: broken{}, Codes: prf{1}}, func(s *served) func(context.Context) (any, error) {
			return func(ctx context.Context) (any, error) {
				return s.service.Challenge(ctx, NewChallenge{User: alice, Contact: Contact{Email: "a@example.com"}})
			}
		}, ErrUnavailable},
		{"contact does not open", Keys{Secrets: newBox("secrets"), Contacts: broken{}, Codes: prf{1}}, func(s *served) func(context.Context) (any, error) {
			known(s)
			return func(ctx context.Context) (any, error) {
				return s.service.Challenge(ctx, NewChallenge{User: alice})
			}
		}, ErrSealed},
		{"contact does not open, new address", Keys{Secrets: newBox("secrets"), Contacts: broken{}, Codes: prf{1}}, func(s *served) func(context.Context) (any, error) {
			known(s)
			return func(ctx context.Context) (any, error) {
				return nil, s.service.AddressChanged(ctx, alice, s.request(), "b@example.com")
			}
		}, ErrSealed},
		{"contact does not open, set-up", Keys{Secrets: newBox("secrets"), Contacts: broken{}, Codes: prf{1}}, func(s *served) func(context.Context) (any, error) {
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

// TestNewerKeys: keys that do not do are asked for once more, since another process may have begun to use newer ones.
func TestNewerKeys(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		once, send := readied(t, op.preset, op.ready)
		_, err := send(t.Context())
		once.must(err)
		for name, c := range map[string]struct {
			then   func() (Keys, error)
			want   error
			writes int
		}{
			"newer ones":  {func() (Keys, error) { return testKeys(), nil }, nil, 1},
			"no others":   {func() (Keys, error) { return Keys{broken{}, broken{}, broken{}, broken{}}, nil }, errBroken, 0},
			"none at all": {func() (Keys, error) { return Keys{}, errStore }, ErrUnavailable, 0},
		} {
			s, send := readied(t, op.preset, op.ready)
			asked := 0
			s.service.Keys = func(context.Context) (Keys, error) {
				if asked++; asked == 1 {
					return Keys{broken{}, broken{}, broken{}, broken{}}, nil
				}
				return c.then()
			}
			got, err := send(t.Context())
			if !errors.Is(err, c.want) || asked != 2 || s.store.loads != 1 || len(s.store.writes) != c.writes {
				t.Errorf("%s, %s: %v, asked %d times, %d reads, %d writes; want %v, 2, 1, %d",
					op.name, name, err, asked, s.store.loads, len(s.store.writes), c.want, c.writes)
			}
			if v := reflect.ValueOf(got); err != nil && v.IsValid() && !v.IsZero() {
				t.Errorf("%s, %s: released: %+v", op.name, name, got)
			}
			// Of the attempt that failed nothing is left.
			for i, a := range s.store.writes {
				if want := once.store.writes[i]; a.Generation != want.Generation || len(a.Events) != len(want.Events) {
					t.Errorf("%s, %s: generation %d with %d events, want %d with %d", op.name, name,
						a.Generation, len(a.Events), want.Generation, len(want.Events))
				}
			}
		}
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

// TestSealedText: what pages treat as markup takes no more than its byte, and opens as well where it was sealed with six.
func TestSealedText(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	key, want := w.rules.Keys.Contacts, Contact{Email: "<>&@example.com"}
	now, err := w.account.sealJSON(key, sealContact, want)
	w.must(err)
	before, err := w.account.seal(key, sealContact, []byte(`{"email":"\u003c\u003e\u0026@example.com"}`))
	w.must(err)
	if got, err := w.account.open(key, sealContact, now); err != nil || string(got) != `{"email":"<>&@example.com"}` {
		t.Errorf("sealed is %s, %v", got, err)
	}
	for _, sealed := range []Sealed{now, before} {
		if got, err := w.rules.openContact(w.account, sealContact, sealed); err != nil || got != want {
			t.Errorf("a contact is %+v, %v; want %+v", got, err, want)
		}
		var got *Contact
		if err := openJSON(w.account, key, sealContact, &sealed, &got); err != nil || *got != want {
			t.Errorf("opened is %+v, %v; want %+v", got, err, want)
		}
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

// TestComparesNothingInVain: what fails besides the code fails for a right and a wrong one alike, and is not written: a
// failure that came after the comparison would tell a right code for nothing.
func TestComparesNothingInVain(t *testing.T) {
	t.Parallel()
	cannotSeal := func(w *world) { w.rules.Keys.Secrets = onlyDecrypt{newBox("secrets")} }
	cannotDerive := func(w *world) { w.rules.Keys.Codes = newKeyFails{prf{1}} }
	for name, test := range map[string]struct {
		preset  string
		breakIt func(w *world)
		try     func(w *world, right bool) error
	}{
		"replace": {"standard", cannotSeal, func(w *world, right bool) error {
			_, err := w.replace(Replace{Request: w.request(), Code: w.either(w.phone, right)})
			return err
		}},
		"replace, contact gone": {"standard", func(w *world) { w.account.Contact.Box[0] ^= 1 }, func(w *world, right bool) error {
			_, err := w.replace(Replace{Request: w.request(), Code: w.either(w.phone, right)})
			return err
		}},
		"confirm": {"standard", cannotSeal, func(w *world, right bool) error {
			newPhone := w.moving()
			_, err := w.confirm(Confirm{Request: w.request(), Enrolment: w.account.Pending.ID, Code: w.either(newPhone, right)})
			return err
		}},
		"rotate": {"standard", cannotDerive, func(w *world, right bool) error {
			_, err := w.rotate(RotateBackup{Request: w.request(), Code: w.either(w.phone, right)})
			return err
		}},
		"backup sign-in": {"standard", cannotDerive, func(w *world, right bool) error {
			code := w.backup
			if !right {
				code = "00000-00000-000"
			}
			_, err := w.verify(w.challenge(), MethodBackupCode, code)
			return err
		}},
	} {
		for _, right := range []bool{true, false} {
			w := enabledWorld(t, test.preset)
			w.tell(Contact{Email: "a@example.com"})
			if name == "confirm" {
				_, err := w.replace(Replace{Request: w.request(), Code: w.nextCode()})
				w.must(err)
				w.later(period)
			}
			test.breakIt(w)
			err := test.try(w, right)
			if !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrSealed) || w.stored {
				t.Errorf("%s, right %v: got %v, stored %v; want a failure, unwritten", name, right, err, w.stored)
			}
		}
	}
}

// newKeyFails has the key that is asked for first fail: the one for something new. Comparing works.
type newKeyFails struct{ prf }

func (newKeyFails) PrimaryID() uint32 { return 2 }

// either is a code of the phone's, or none.
func (w *world) either(p phone, right bool) string {
	if right {
		return p.at(w.now)
	}
	return p.wrong(w.now, 0)
}

// moving is the phone that a pending enrolment is for.
func (w *world) moving() phone {
	w.Helper()
	secret, err := w.account.open(newBox("secrets"), sealPending, w.account.Pending.Authenticator.Secret)
	w.must(err)
	return phone{secret: secret}
}
