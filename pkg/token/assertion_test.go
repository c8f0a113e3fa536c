package token_test

import (
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/tink-crypto/tink-go/v2/jwt"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/nightlatch/nightlatch/pkg/host"
	"github.com/nightlatch/nightlatch/pkg/token"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// tinkSigner is a signer on a Tink keyset, as the key ring's.
type tinkSigner struct{ jwt.Signer }

func (s tinkSigner) Sign(raw *jwt.RawJWT) (string, error) { return s.SignAndEncode(raw) }

// newSigner returns a signer and its public key as any verifier gets it.
func newSigner(t testing.TB) (tinkSigner, jose.JSONWebKey) {
	t.Helper()
	s, raw := newSigningKeys(t)
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(raw, &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("JWK set: %v, %d keys; want 1", err, len(set.Keys))
	}
	return s, set.Keys[0]
}

func newSigningKeys(t testing.TB) (tinkSigner, []byte) {
	t.Helper()
	h, err := keyset.NewHandle(jwt.ES256Template())
	if err != nil {
		t.Fatal(err)
	}
	s, err := jwt.NewSigner(h)
	if err != nil {
		t.Fatal(err)
	}
	public, err := h.Public()
	if err != nil {
		t.Fatal(err)
	}
	set, err := jwt.JWKSetFromPublicKeysetHandle(public)
	if err != nil {
		t.Fatal(err)
	}
	return tinkSigner{s}, set
}

func assertion() twofactor.Assertion {
	return twofactor.Assertion{
		ID: twofactor.NewDigest("jti").String(), Subject: `auth0|<Ada> "&" 素`, IssuedAt: now.Truncate(time.Second),
		ExpiresAt: now.Truncate(time.Second).Add(time.Minute), Nonce: "nOnCe-4f7s9d2k1j3h5g6a8q0w",
		Method: twofactor.MethodTOTP, State: twofactor.StateEnabled, AMR: []string{"pwd", "otp", "mfa"},
	}
}

// TestSignAssertion reads an assertion with another library and compares all there is in it.
func TestSignAssertion(t *testing.T) {
	t.Parallel()
	s, key := newSigner(t)
	tests := map[string]struct {
		edit func(*twofactor.Assertion)
		want map[string]any // what differs from the plain one
	}{
		"authenticator": {func(*twofactor.Assertion) {}, nil},
		"backup code, 2FA now off": {
			func(a *twofactor.Assertion) {
				a.Method, a.State, a.AMR = twofactor.MethodBackupCode, twofactor.StateDisabled, []string{"backup_code"}
			},
			map[string]any{"method": "backup_code", "state": "disabled", "amr": []any{"backup_code"}},
		},
		"no amr, no nonce": {
			func(a *twofactor.Assertion) { a.AMR, a.Nonce = nil, "" }, map[string]any{"amr": []any{}, "nonce": ""},
		},
		"time with a fraction": {
			func(a *twofactor.Assertion) { a.IssuedAt = now }, nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := assertion()
			test.edit(&a)
			signed, err := token.SignAssertion(s, "https://2fa.example.com", "https://shop.example.com", a)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := jose.ParseSignedCompact(signed, []jose.SignatureAlgorithm{jose.ES256})
			if err != nil {
				t.Fatal(err)
			}
			payload, err := parsed.Verify(key.Key.(*ecdsa.PublicKey))
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(payload, &got); err != nil {
				t.Fatal(err)
			}
			want := map[string]any{
				"iss": "https://2fa.example.com", "aud": "https://shop.example.com", "sub": `auth0|<Ada> "&" 素`,
				"iat": 1773500966., "exp": 1773501026., "auth_time": 1773500966., "jti": a.ID,
				"nonce": "nOnCe-4f7s9d2k1j3h5g6a8q0w", "method": "totp", "state": "enabled", "amr": []any{"pwd", "otp", "mfa"},
			}
			for name, value := range test.want {
				want[name] = value
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
			h := parsed.Signatures[0].Protected
			if h.Algorithm != "ES256" || h.KeyID != key.KeyID || h.ExtraHeaders[jose.HeaderType] != "nightlatch+jwt" || len(h.ExtraHeaders) != 1 {
				t.Errorf("header %+v; want ES256, kid %q, typ nightlatch+jwt, and no more", h, key.KeyID)
			}
		})
	}
}

// TestHost: what is signed here is what hosts take.
func TestHost(t *testing.T) {
	t.Parallel()
	s, set := newSigningKeys(t)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(set) }))
	defer service.Close()
	client, err := host.New(host.Config{
		URL: service.URL, Audience: "https://shop.example.com", Credentials: host.ServiceKey("k"),
		Redeemer: host.NewMemoryRedeemer(),
	})
	if err != nil {
		t.Fatal(err)
	}
	a := assertion()
	a.IssuedAt = time.Now().UTC().Truncate(time.Second)
	a.ExpiresAt = a.IssuedAt.Add(time.Minute)
	signed, err := token.SignAssertion(s, service.URL, "https://shop.example.com", a)
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.VerifyAssertion(t.Context(), signed, host.Expected{User: string(a.Subject), Nonce: a.Nonce})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(host.Claims{
		User: string(a.Subject), Method: "totp", State: "enabled", AMR: a.AMR, AuthTime: a.IssuedAt, IssuedAt: a.IssuedAt,
		ExpiresAt: a.ExpiresAt, ID: a.ID,
	}, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

// failingSigner is a signer that fails.
type failingSigner struct{}

func (failingSigner) Sign(*jwt.RawJWT) (string, error) { return "", errCause }

func TestSignAssertionRefuses(t *testing.T) {
	t.Parallel()
	s, _ := newSigner(t)
	for name, test := range map[string]struct {
		signer           token.Signer
		issuer, audience string
		edit             func(*twofactor.Assertion)
		want             error
	}{
		"no issuer":         {signer: s, audience: "a"},
		"no audience":       {signer: s, issuer: "i"},
		"subject not UTF-8": {signer: s, issuer: "i", audience: "a", edit: func(a *twofactor.Assertion) { a.Subject = "\xff" }},
		"nonce not UTF-8":   {signer: s, issuer: "i", audience: "a", edit: func(a *twofactor.Assertion) { a.Nonce = "\xff" }},
		"amr not UTF-8":     {signer: s, issuer: "i", audience: "a", edit: func(a *twofactor.Assertion) { a.AMR = []string{"\xff"} }},
		"no time":           {signer: s, issuer: "i", audience: "a", edit: func(a *twofactor.Assertion) { a.IssuedAt = time.Time{} }},
		"signer fails":      {signer: failingSigner{}, issuer: "i", audience: "a", want: twofactor.ErrUnavailable},
	} {
		a := assertion()
		if test.edit != nil {
			test.edit(&a)
		}
		signed, err := token.SignAssertion(test.signer, test.issuer, test.audience, a)
		if err == nil || signed != "" {
			t.Errorf("%s: %q, %v; want an error", name, signed, err)
		}
		if got := errors.Is(err, twofactor.ErrUnavailable); got != (test.want != nil) {
			t.Errorf("%s: %v; is ErrUnavailable: %t", name, err, got)
		}
		if test.want != nil && !errors.Is(err, errCause) {
			t.Errorf("%s: %v does not tell the cause", name, err)
		}
	}
}

func BenchmarkSignAssertion(b *testing.B) {
	s, _ := newSigner(b)
	a := assertion()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := token.SignAssertion(s, "https://2fa.example.com", "https://shop.example.com", a); err != nil {
			b.Fatal(err)
		}
	}
}
