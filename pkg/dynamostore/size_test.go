package dynamostore

import (
	"encoding/base32"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pquerna "github.com/pquerna/otp"
	otp "github.com/pquerna/otp/totp"

	"github.com/nightlatch/nightlatch/pkg/dynamostore/itemsize"
	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/totp"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// user is one person on the way through the service.
type user struct {
	testing.TB
	service *twofactor.Service
	id      twofactor.UserID
	now     time.Time
	secret  totp.Secret
	backup  string
	params  totp.Params
	from    twofactor.Request
}

// somebody is a user with a contact, sealed with a real key, who comes from a long address with a long user agent.
func somebody(t testing.TB, s *Store) *user {
	t.Helper()
	kek, err := keyring.LocalKEK(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	purposes := []keyring.Purpose{keyring.TOTP, keyring.Contact, keyring.Codes}
	if err := keyring.Create(t.Context(), s, kek, purposes...); err != nil {
		t.Fatal(err)
	}
	u := &user{
		TB: t, id: "0b3c8a52-7d14-4f7e-9d0c-5a6f1e2b7c48", now: time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC), params: totp.Default,
		from: twofactor.Request{IP: "2001:db8f:85a3:18d3:1319:8a2e:1370:7348", UserAgent: strings.Repeat("Mozilla/", 16)},
	}
	clock := func() time.Time { return u.now }
	u.service = &twofactor.Service{
		Store: s, Policy: twofactor.Standard(), Keys: keyring.New(s, kek, clock, purposes...).Rules, Now: clock,
	}
	u.challenge()
	return u
}

// enrolled is one with an authenticator and a backup code, some days old.
func enrolled(t testing.TB, s *Store) *user {
	t.Helper()
	u := somebody(t, s)
	u.enrol()
	return u
}

// enrol sets an authenticator up, some days ago.
func (u *user) enrol() {
	u.Helper()
	setUp, err := u.service.Enroll(u.Context(), u.id, twofactor.Enroll{Request: u.request(), AuthTime: u.now})
	if err != nil {
		u.Fatal(err)
	}
	u.secret, u.backup = setUp.Secret, string(setUp.BackupCode.Code)
	confirm := twofactor.Confirm{Request: u.request(), Enrolment: setUp.ID, Code: u.code()}
	if _, err := u.service.Confirm(u.Context(), u.id, confirm); err != nil {
		u.Fatal(err)
	}
	u.pass()
}

// imported is one whose authenticator came from another system, and who has made a backup code since.
func imported(t testing.TB, s *Store, params totp.Params, secret totp.Secret) *user {
	t.Helper()
	u := somebody(t, s)
	u.params, u.secret = params, secret
	if err := u.service.Import(t.Context(), u.id, twofactor.Import{Request: u.request(), Secret: secret, Params: params}); err != nil {
		t.Fatal(err)
	}
	u.now = u.now.Add(time.Hour)
	if _, err := u.service.RotateBackup(t.Context(), u.id, twofactor.RotateBackup{Request: u.request(), Code: u.code()}); err != nil {
		t.Fatal(err)
	}
	u.pass()
	return u
}

// pass lets days pass, on each of which all goes well.
func (u *user) pass() {
	u.Helper()
	for range 5 {
		u.now = u.now.Add(24*time.Hour + 17*time.Millisecond)
		if err := u.signIn(u.code()); err != nil {
			u.Fatal(err)
		}
	}
	u.now = u.now.Add(time.Hour)
}

func (u *user) request() twofactor.Request {
	r := u.from
	r.ID = twofactor.RandomDigest()
	return r
}

// code is what the authenticator shows.
func (u *user) code() string {
	code, err := otp.GenerateCodeCustom(base32.StdEncoding.EncodeToString(u.secret), u.now, otp.ValidateOpts{
		Period: uint(u.params.Period), Digits: pquerna.Digits(u.params.Digits),
		Algorithm: map[totp.Algorithm]pquerna.Algorithm{totp.SHA1: pquerna.AlgorithmSHA1, totp.SHA512: pquerna.AlgorithmSHA512}[u.params.Algorithm],
	})
	if err != nil {
		u.Fatal(err)
	}
	return code
}

// challenge is what the host gets after a right password; nil while 2FA is off.
func (u *user) challenge() *twofactor.Challenge {
	u.Helper()
	offer, err := u.service.Challenge(u.Context(), twofactor.NewChallenge{
		Request: u.request(), User: u.id, Nonce: "nonce", AMR: []string{"pwd"},
		Contact: twofactor.Contact{Email: "alexandra.longname@example.com", Label: "Example Bank", Locale: "en-GB"},
	})
	if err != nil {
		u.Fatal(err)
	}
	return offer.Challenge
}

func (u *user) verify(ch *twofactor.Challenge, code string) error {
	_, err := u.service.Verify(u.Context(), twofactor.NewVerify(u.request(), *ch, twofactor.MethodTOTP, code))
	return err
}

func (u *user) signIn(code string) error { return u.verify(u.challenge(), code) }

// fail gives wrong codes until the account is locked.
func (u *user) fail() {
	u.Helper()
	for n := range u.service.Policy.MaxFailures {
		u.now = u.now.Add(time.Second)
		var wrong *twofactor.WrongCode
		if err := u.signIn(fmt.Sprintf("%06d", n)); !errors.As(err, &wrong) {
			u.Fatalf("wrong code %d: %v", n, err)
		}
	}
}

// TestItemSize: a fully enrolled account fits in one write unit when it is at its largest in daily use: right after a
// sign-in whose code was tried again from another place, with a lock on top, and the events that tell of it. So does one whose
// authenticator came from another system, if it is of the usual kind, and one of
// a user who had turned 2FA off, and has set it up once more.
func TestItemSize(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(testing.TB, *Store) *user{
		"enrolled": enrolled,
		"imported": func(t testing.TB, s *Store) *user { return imported(t, s, totp.Default, make(totp.Secret, 20)) },
		"once more": func(t testing.TB, s *Store) *user {
			u := enrolled(t, s)
			if err := u.service.Disable(t.Context(), u.id, twofactor.Disable{Request: u.request(), Code: u.code()}); err != nil {
				t.Fatal(err)
			}
			u.enrol()
			return u
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			u := begin(t, s)
			if err := u.signIn(u.code()); err != nil {
				t.Fatal(err)
			}
			u.from.IP = "2001:db8f:85a3:18d4:1319:8a2e:1370:7348"
			var reused *twofactor.CodeReused
			if err := u.signIn(u.code()); !errors.As(err, &reused) {
				t.Fatal(err)
			}
			u.fail()
			a, err := s.Load(t.Context(), u.id)
			if err != nil {
				t.Fatal(err)
			}
			if a.Contact == nil || a.Authenticator == nil || a.BackupCode == nil || len(a.Writes) != 8 || len(a.Challenges) != 1 ||
				a.SignIn == nil || a.Answered != nil || a.Codes.LockedUntil.IsZero() || len(a.Codes.Days) != 1 || len(a.Events) != 2 ||
				len(a.Authenticator.LastFrom) == 0 || a.ReuseQuiet == 0 || a.Past == nil || (name == "once more") == a.Ended.IsZero() ||
				len(a.Events[1].UserAgent) != 128 || len(a.Events[1].IP) != 39 {
				t.Fatalf("not the account that is meant: %+v", a)
			}
			mustBeOneUnit(t, s, u.id)
		})
	}
}

// TestItemSizeOfABackupSignIn: so does one right after a sign-in with the backup code, which has three events and leaves a grant.
func TestItemSizeOfABackupSignIn(t *testing.T) {
	t.Parallel()
	s := open(t)
	u := enrolled(t, s)
	if _, err := u.service.Verify(t.Context(), twofactor.NewVerify(u.request(), *u.challenge(), twofactor.MethodBackupCode, u.backup)); err != nil {
		t.Fatal(err)
	}
	if a, err := s.Load(t.Context(), u.id); err != nil || len(a.Events) != 3 || a.Grant == nil || a.SignIn == nil {
		t.Fatalf("not the account that is meant: %+v, %v", a, err)
	}
	mustBeOneUnit(t, s, u.id)
}

// TestItemSizeOfTheLargestImport: an authenticator with the longest secret and no usual parameter fits as well after a sign-in.
// Only with a lock on top it takes a second write unit.
func TestItemSizeOfTheLargestImport(t *testing.T) {
	t.Parallel()
	s := open(t)
	u := imported(t, s, totp.Params{Algorithm: totp.SHA512, Digits: 8, Period: 120}, make(totp.Secret, 64))
	if err := u.signIn(u.code()); err != nil {
		t.Fatal(err)
	}
	mustBeOneUnit(t, s, u.id)
}

// spare is how many bytes of a write unit are to be left: other Regions have longer names, and a release may add a field.
const spare = 30

func mustBeOneUnit(t *testing.T, s *Store, id twofactor.UserID) {
	t.Helper()
	stored, err := s.get(t.Context(), s.tables.Accounts, keyUser, string(id))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(stored)) {
		t.Logf("%4d %s", itemsize.Of(item{name: stored[name]}), name)
	}
	n := itemsize.Of(stored)
	t.Logf("%4d bytes", n)
	if n > 1024-spare {
		t.Errorf("more than %d", 1024-spare)
	}
}
