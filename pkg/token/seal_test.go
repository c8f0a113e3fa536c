package token_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
	"pgregory.net/rapid"

	"github.com/nightlatch/nightlatch/pkg/token"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

var now = time.Date(2026, 3, 14, 15, 9, 26, 535e6, time.UTC)

func newKeyset(t testing.TB) *keyset.Handle {
	t.Helper()
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func aeadOf(t testing.TB, h *keyset.Handle) tink.AEAD {
	t.Helper()
	a, err := aead.New(h)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newAEAD(t testing.TB) tink.AEAD { return aeadOf(t, newKeyset(t)) }

func challenge() twofactor.Challenge {
	return twofactor.Challenge{
		ID: twofactor.NewDigest("test"), Purpose: twofactor.PurposeVerify, User: "auth0|123", Incarnation: 2, Epoch: 3,
		Nonce: "nOnCe-4f7s9d2k1j3h5g6a8q0w", AMR: []string{"pwd", "hwk"},
		Subject:   &twofactor.Subject{Name: "Ada <Lovelace> & \"Sons\"", Birthdate: "1815-12-10", Phone: "+44 20 7946 0000"},
		ExpiresAt: now.Add(10 * time.Minute),
	}
}

func grant() twofactor.Grant {
	return twofactor.Grant{
		ID: twofactor.NewDigest("test"), User: "auth0|123", Incarnation: 2, Epoch: 3, ExpiresAt: now.Add(15 * time.Minute),
	}
}

func sealed(t testing.TB, k twofactor.AEAD) string {
	t.Helper()
	s, err := token.SealChallenge(k, challenge())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRoundTrip: whatever goes in comes out, for any text that a host may send.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	k := newAEAD(t)
	user := rapid.StringOfN(rapid.RuneFrom(nil, unicode.L, unicode.N, unicode.P, unicode.S), 1, 128, 128)
	rapid.Check(t, func(t *rapid.T) {
		c := twofactor.Challenge{
			ID:          twofactor.NewDigest(rapid.String().Draw(t, "id")),
			Purpose:     rapid.SampledFrom([]twofactor.Purpose{twofactor.PurposeVerify, twofactor.PurposeEnroll}).Draw(t, "purpose"),
			User:        twofactor.UserID(user.Draw(t, "user")),
			Incarnation: rapid.Int64().Draw(t, "incarnation"),
			Epoch:       rapid.Int64().Draw(t, "epoch"),
			Nonce:       rapid.StringN(0, 64, 256).Draw(t, "nonce"),
			ExpiresAt:   now.Add(time.Duration(rapid.Int64Range(-1e15, 1e15).Draw(t, "expires"))),
		}
		if rapid.Bool().Draw(t, "subject?") {
			c.Subject = &twofactor.Subject{Name: rapid.StringN(0, 64, 256).Draw(t, "name")}
		}
		for range rapid.IntRange(0, 8).Draw(t, "methods") {
			c.AMR = append(c.AMR, rapid.StringN(1, 8, 32).Draw(t, "method"))
		}
		tok, err := token.SealChallenge(k, c)
		if err != nil {
			t.Fatal(err)
		}
		got, err := token.OpenChallenge(k, tok)
		if diff := cmp.Diff(c, got); err != nil || diff != "" {
			t.Fatalf("error %v, difference (-want +got):\n%s", err, diff)
		}
		g := twofactor.Grant{ID: c.ID, User: c.User, Incarnation: c.Incarnation, Epoch: c.Epoch, ExpiresAt: c.ExpiresAt}
		if tok, err = token.SealGrant(k, g); err != nil {
			t.Fatal(err)
		}
		if back, err := token.OpenGrant(k, tok); err != nil || back != g {
			t.Fatalf("OpenGrant = %+v, %v; want %+v", back, err, g)
		}
	})
}

// TestExpiredOpens: the end is for a rule to judge.
func TestExpiredOpens(t *testing.T) {
	t.Parallel()
	k := newAEAD(t)
	c, g := challenge(), grant()
	c.ExpiresAt, g.ExpiresAt = time.Unix(0, 0).UTC(), time.Unix(0, 0).UTC()
	tok, err := token.SealChallenge(k, c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := token.OpenChallenge(k, tok); err != nil {
		t.Errorf("an expired challenge: %v", err)
	}
	if tok, err = token.SealGrant(k, g); err != nil {
		t.Fatal(err)
	}
	if _, err := token.OpenGrant(k, tok); err != nil {
		t.Errorf("an expired grant: %v", err)
	}
}

// TestOneSpelling: the bits to spare in the last character, none, two or four of them, are zero or it is no token.
func TestOneSpelling(t *testing.T) {
	t.Parallel()
	k := newAEAD(t)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, nonce := range []string{"", "n", "nn"} {
		c := challenge()
		c.Nonce = "nonce" + nonce
		tok, err := token.SealChallenge(k, c)
		if err != nil {
			t.Fatal(err)
		}
		opened := 0
		for i := range len(alphabet) {
			if _, err := token.OpenChallenge(k, tok[:len(tok)-1]+alphabet[i:i+1]); err == nil {
				opened++
			} else if !errors.Is(err, token.ErrInvalid) {
				t.Errorf("last character %q: %v; want ErrInvalid", alphabet[i], err)
			}
		}
		if opened != 1 {
			t.Errorf("a token of %d characters opens in %d spellings of the last; want 1", len(tok), opened)
		}
	}
}

// TestEveryBit: no bit of a token can be changed, and no character.
func TestEveryBit(t *testing.T) {
	t.Parallel()
	k := newAEAD(t)
	tok := sealed(t, k)
	box, err := base64.RawURLEncoding.DecodeString(tok)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(box) * 8 {
		box[i/8] ^= 1 << (i % 8)
		got, err := token.OpenChallenge(k, base64.RawURLEncoding.EncodeToString(box))
		if !errors.Is(err, token.ErrInvalid) || !cmp.Equal(got, twofactor.Challenge{}) {
			t.Fatalf("bit %d flipped: %+v, %v; want ErrInvalid", i, got, err)
		}
		box[i/8] ^= 1 << (i % 8)
	}
	for i := range len(tok) {
		for c := range 256 {
			if other := tok[:i] + string([]byte{byte(c)}) + tok[i+1:]; other != tok {
				if _, err := token.OpenChallenge(k, other); !errors.Is(err, token.ErrInvalid) {
					t.Fatalf("character %d changed to %#x: %v; want ErrInvalid", i, c, err)
				}
			}
		}
	}
	if _, err := token.OpenChallenge(k, tok); err != nil {
		t.Fatalf("the token itself: %v", err)
	}
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	k, other := newAEAD(t), newAEAD(t)
	tok := sealed(t, k)
	granted, err := token.SealGrant(k, grant())
	if err != nil {
		t.Fatal(err)
	}
	box := func(plaintext, kind string) string {
		b, err := k.Encrypt([]byte(plaintext), []byte(kind))
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	tests := map[string]string{
		"empty":                 "",
		"a grant":               granted,
		"of another keyset":     sealed(t, other),
		"of another version":    box(`{"user":"u"}`, "nightlatch challenge v2"),
		"without a kind":        box(`{"user":"u"}`, ""),
		"not JSON":              box("user", "nightlatch challenge v1"),
		"with trailing content": box(`{"user":"u"} {}`, "nightlatch challenge v1"),
		"padded":                tok + strings.Repeat("=", (4-len(tok)%4)%4) + "=",
		"with a line break":     tok[:8] + "\n" + tok[8:],
		"with a return":         tok + "\r",
		"with a space before":   " " + tok,
		"with a space behind":   tok + " ",
		"with more behind":      tok + "AAAA",
		"twice":                 tok + tok,
		"in the other alphabet": strings.Repeat("+/", 40),
		"not ASCII":             strings.Repeat("é", 100),
		"huge":                  strings.Repeat("A", 64<<20),
		"a long line of breaks": tok + strings.Repeat("\n", 4000),
	}
	for i := range len(tok) {
		tests["cut to "+tok[:i]] = tok[:i]
	}
	for name, in := range tests {
		if got, err := token.OpenChallenge(k, in); !errors.Is(err, token.ErrInvalid) || !cmp.Equal(got, twofactor.Challenge{}) {
			t.Errorf("%.80s: %+v, %v; want ErrInvalid", name, got, err)
		}
	}
	if got, err := token.OpenGrant(k, tok); !errors.Is(err, token.ErrInvalid) || got != (twofactor.Grant{}) {
		t.Errorf("a challenge as a grant: %+v, %v; want ErrInvalid", got, err)
	}
}

// counting counts what reaches the AEAD.
type counting struct {
	tink.AEAD
	opened int
}

func (c *counting) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	c.opened++
	return c.AEAD.Decrypt(ciphertext, associatedData)
}

// TestHugeIsNotOpened: what is too long costs nothing.
func TestHugeIsNotOpened(t *testing.T) {
	t.Parallel()
	k := &counting{AEAD: newAEAD(t)}
	for n, want := range map[int]int{4096: 1, 4098: 0} { // 4097 characters are no base64
		k.opened = 0
		_, err := token.OpenGrant(k, strings.Repeat("A", n))
		if !errors.Is(err, token.ErrInvalid) || k.opened != want {
			t.Errorf("%d characters: %v, reached the AEAD %d times; want ErrInvalid, %d", n, err, k.opened, want)
		}
	}
}

// TestRotation: what was sealed with an earlier key opens; what was sealed with a key that is not here does not, and
// says so.
func TestRotation(t *testing.T) {
	t.Parallel()
	before := newKeyset(t)
	tok := sealed(t, aeadOf(t, before))

	m := keyset.NewManagerFromHandle(before)
	id, err := m.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SetPrimary(id); err != nil {
		t.Fatal(err)
	}
	after, err := m.Handle()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := token.OpenChallenge(aeadOf(t, after), tok); err != nil || !cmp.Equal(got, challenge()) {
		t.Errorf("after a rotation: %+v, %v", got, err)
	}
	if _, err := token.OpenChallenge(aeadOf(t, before), sealed(t, aeadOf(t, after))); !errors.Is(err, token.ErrInvalid) {
		t.Errorf("of a newer key: %v, want ErrInvalid", err)
	}
}

var errCause = errors.New("cause")

// failing is an AEAD that fails.
type failing struct{}

func (failing) Encrypt(_, _ []byte) ([]byte, error) { return nil, errCause }
func (failing) Decrypt(_, _ []byte) ([]byte, error) { return nil, errCause }

// TestCause: a key ring's reason can be told apart, and a failure to seal is nobody's verdict.
func TestCause(t *testing.T) {
	t.Parallel()
	_, err := token.OpenChallenge(failing{}, "AAAA")
	if !errors.Is(err, token.ErrInvalid) || !errors.Is(err, errCause) {
		t.Errorf("OpenChallenge: %v; want ErrInvalid and the cause", err)
	}
	_, err = token.SealChallenge(failing{}, challenge())
	if !errors.Is(err, twofactor.ErrUnavailable) || !errors.Is(err, errCause) {
		t.Errorf("SealChallenge: %v; want ErrUnavailable and the cause", err)
	}
	_, err = token.SealGrant(failing{}, grant())
	if !errors.Is(err, twofactor.ErrUnavailable) || !errors.Is(err, errCause) {
		t.Errorf("SealGrant: %v; want ErrUnavailable and the cause", err)
	}
}

func TestSealRefuses(t *testing.T) {
	t.Parallel()
	k := newAEAD(t)
	for _, user := range []twofactor.UserID{"", "a\xffb", "a\nb", twofactor.UserID(strings.Repeat("u", 129))} {
		c, g := challenge(), grant()
		c.User, g.User = user, user
		if tok, err := token.SealChallenge(k, c); !errors.Is(err, twofactor.ErrUserID) || tok != "" {
			t.Errorf("SealChallenge for %q = %q, %v; want ErrUserID", user, tok, err)
		}
		if tok, err := token.SealGrant(k, g); !errors.Is(err, twofactor.ErrUserID) || tok != "" {
			t.Errorf("SealGrant for %q = %q, %v; want ErrUserID", user, tok, err)
		}
	}
	c := challenge()
	c.Nonce = strings.Repeat("n", 4096)
	if tok, err := token.SealChallenge(k, c); err == nil || tok != "" {
		t.Errorf("a challenge that nobody could present: %d characters, %v; want an error", len(tok), err)
	}
	c = challenge()
	c.ExpiresAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) // JSON has no such time
	if tok, err := token.SealChallenge(k, c); err == nil || tok != "" {
		t.Errorf("a challenge of the year 10000 = %q, %v; want an error", tok, err)
	}
}

// TestSize states how long tokens are: they travel in every body of a sign-in.
func TestSize(t *testing.T) {
	t.Parallel()
	k := newAEAD(t)
	long := strings.Repeat("<", 256)
	typical := challenge()
	typical.User = twofactor.UserID(strings.Repeat("u", 128))
	longest := typical
	longest.User, longest.Nonce = twofactor.UserID(long[:128]), long
	longest.Subject = &twofactor.Subject{Name: long, Birthdate: long, Phone: long}
	longest.AMR = nil
	for range 8 {
		longest.AMR = append(longest.AMR, long[:32])
	}
	for _, test := range []struct {
		name      string
		challenge twofactor.Challenge
		want      int
	}{
		{"a user id of 128 bytes and a subject", typical, 610},
		{"every text as long as it may be", longest, 2200},
	} {
		tok, err := token.SealChallenge(k, test.challenge)
		if err != nil || len(tok) > test.want {
			t.Errorf("%s: %d characters, %v; want at most %d", test.name, len(tok), err, test.want)
		}
		t.Logf("%s: %d characters", test.name, len(tok))
	}
	tok, err := token.SealGrant(k, grant())
	if err != nil || len(tok) > 200 {
		t.Errorf("a grant: %d characters, %v; want at most 200", len(tok), err)
	}
	t.Logf("a grant: %d characters", len(tok))
}

func BenchmarkSealChallenge(b *testing.B) {
	k, c := newAEAD(b), challenge()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := token.SealChallenge(k, c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenChallenge(b *testing.B) {
	k := newAEAD(b)
	tok := sealed(b, k)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := token.OpenChallenge(k, tok); err != nil {
			b.Fatal(err)
		}
	}
}
