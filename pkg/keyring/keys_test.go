package keyring_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/nightlatch/nightlatch/pkg/backupcode"
	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/tink-crypto/tink-go/v2/jwt"
)

var _ backupcode.Keys = (*keyring.PRF)(nil)

func compute(t testing.TB, p *keyring.PRF, keyID uint32, length int) []byte {
	t.Helper()
	out, err := p.Compute(keyID, []byte("input"), length)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPRF(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	p := mustKeys(t, keyring.New(created(t, kek, keyring.Codes), kek, time.Now, keyring.Codes)).Codes
	long := compute(t, p, p.PrimaryID(), 32)
	for _, length := range []int{1, 16, 17, 32} {
		if got := compute(t, p, p.PrimaryID(), length); !bytes.Equal(got, long[:length]) {
			t.Errorf("%d bytes: got %x, want the beginning of %x", length, got, long)
		}
	}
	for _, length := range []int{-1, 0, 33, 1 << 32} {
		if got, err := p.Compute(p.PrimaryID(), nil, length); err == nil || errors.Is(err, keyring.ErrUnknownKey) {
			t.Errorf("%d bytes: got %x, %v; want an error", length, got, err)
		}
	}
	if got, err := p.Compute(p.PrimaryID()+1, nil, 16); !errors.Is(err, keyring.ErrUnknownKey) {
		t.Errorf("unknown key: got %x, %v", got, err)
	}
	other, err := p.Compute(p.PrimaryID(), []byte("other"), 32)
	if err != nil || bytes.Equal(other, long) {
		t.Errorf("another input: got %x, %v", other, err)
	}
}

func sign(t testing.TB, s *keyring.Signer) string {
	t.Helper()
	typ, subject, expires := "nightlatch+jwt", "user", time.Now().Add(time.Hour)
	raw, err := jwt.NewRawJWT(&jwt.RawJWTOptions{TypeHeader: &typ, Subject: &subject, ExpiresAt: &expires})
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.Sign(raw)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// verify checks a JWT as a host does, by another library, and returns its key id.
func verify(t testing.TB, token string, jwks []byte) (kid string, err error) {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(jwks, &set); err != nil {
		t.Fatal(err)
	}
	parsed, err := josejwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	if got := parsed.Headers[0].ExtraHeaders["typ"]; got != "nightlatch+jwt" {
		t.Errorf("typ: got %v", got)
	}
	var claims josejwt.Claims
	err = parsed.Claims(set, &claims)
	if err == nil && claims.Subject != "user" {
		t.Errorf("sub: got %q", claims.Subject)
	}
	return parsed.Headers[0].KeyID, err
}

func TestSignerVerifiesByJWKS(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	store := created(t, kek, keyring.Signing)
	signer := mustKeys(t, keyring.New(store, kek, time.Now, keyring.Signing)).Signing
	token := sign(t, signer)
	jwks, err := signer.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	if kid, err := verify(t, token, jwks); err != nil || kid == "" {
		t.Errorf("kid %q: %v", kid, err)
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(jwks, &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("JWKS %s: %v", jwks, err)
	}
	for member, want := range map[string]any{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig"} {
		if set.Keys[0][member] != want {
			t.Errorf("%s: got %v, want %v", member, set.Keys[0][member], want)
		}
	}
	if _, ok := set.Keys[0]["d"]; ok {
		t.Error("the JWK set has a private key")
	}
	published, err := keyring.LoadJWKS(t.Context(), store)
	if err != nil || !bytes.Equal(published, jwks) {
		t.Errorf("published %s, %v; want %s", published, err, jwks)
	}
	other := created(t, kek, keyring.Signing)
	foreign, err := keyring.LoadJWKS(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verify(t, token, foreign); err == nil {
		t.Error("verifies by another's JWK set")
	}
	bad := token[:len(token)-4] + strings.Map(func(r rune) rune { return map[bool]rune{true: 'B', false: 'A'}[r == 'A'] }, token[len(token)-4:])
	if _, err := verify(t, bad, jwks); err == nil {
		t.Error("verifies with another signature")
	}
}

func TestLoadJWKSFails(t *testing.T) {
	t.Parallel()
	store := newStore()
	if got, err := keyring.LoadJWKS(t.Context(), store); got != nil || !errors.Is(err, keyring.ErrNoKeyset) || !errors.Is(err, keyring.ErrUnavailable) {
		t.Errorf("none: got %s, %v", got, err)
	}
	store.fault = func(string, string) fault { return failed }
	if got, err := keyring.LoadJWKS(t.Context(), store); got != nil || !errors.Is(err, errBroken) || !errors.Is(err, keyring.ErrUnavailable) {
		t.Errorf("failed: got %s, %v", got, err)
	}
}
