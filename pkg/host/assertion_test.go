package host_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/host"
)

const issuer = "https://2fa.example.com"

var (
	now  = time.Date(2026, 3, 14, 15, 9, 26, 535e6, time.UTC)
	want = host.Expected{User: "auth0|alice", Nonce: "nOnCe-4f7s9d2k1j3h5g6a8q0w"}
)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

// inProcess lets a handler answer without a network, so that nothing but the clock passes time.
type inProcess struct{ http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// newClient returns a client of a handler, at a time.
func newClient(t testing.TB, h http.Handler, now func() time.Time, edit ...func(*host.Config)) *host.Client {
	t.Helper()
	c := host.Config{
		URL: issuer, Audience: audience, Credentials: host.ServiceKey(serviceKey), HTTP: &http.Client{Transport: inProcess{h}},
		Redeemer: host.NewMemoryRedeemerAt(now), Now: now,
	}
	for _, e := range edit {
		e(&c)
	}
	client, err := host.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestVerifyAssertion(t *testing.T) {
	t.Parallel()
	s := newStandIn(issuer, at(now))
	claims := s.claims(want.User, want.Nonce)
	got, err := newClient(t, s, at(now)).VerifyAssertion(t.Context(), s.sign(claims), want)
	if err != nil {
		t.Fatal(err)
	}
	second := now.Truncate(time.Second)
	if diff := cmp.Diff(host.Claims{
		User: want.User, Method: "totp", State: "enabled", AMR: []string{"pwd", "otp", "mfa"},
		AuthTime: second, IssuedAt: second, ExpiresAt: second.Add(time.Minute), ID: claims["jti"].(string),
	}, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

// recorder is a redeemer that counts.
type recorder struct {
	calls   atomic.Int64
	expires atomic.Value
}

func (r *recorder) Redeem(_ context.Context, _ string, expires time.Time) (bool, error) {
	r.calls.Add(1)
	r.expires.Store(expires)
	return true, nil
}

// TestClaims: an assertion is refused for each thing in it that is not as it must be, and not used up by that.
func TestClaims(t *testing.T) {
	t.Parallel()
	second := now.Unix()
	tests := map[string]struct {
		edit map[string]any // nil removes
		want host.Expected
		good bool
	}{
		"as it should be":          {good: true},
		"another issuer":           {edit: map[string]any{"iss": "https://2fa.example.org"}},
		"issuer with a slash":      {edit: map[string]any{"iss": issuer + "/"}},
		"no issuer":                {edit: map[string]any{"iss": nil}},
		"another audience":         {edit: map[string]any{"aud": "https://other.example.com"}},
		"no audience":              {edit: map[string]any{"aud": nil}},
		"a list of audiences":      {edit: map[string]any{"aud": []string{audience, "https://other.example.com"}}},
		"a list of one audience":   {edit: map[string]any{"aud": []string{audience}}},
		"another user":             {edit: map[string]any{"sub": "auth0|bob"}},
		"user in capitals":         {edit: map[string]any{"sub": "AUTH0|ALICE"}},
		"user and more":            {edit: map[string]any{"sub": want.User + " "}},
		"no user":                  {edit: map[string]any{"sub": nil}},
		"user is a number":         {edit: map[string]any{"sub": 7}},
		"another nonce":            {edit: map[string]any{"nonce": "nOnCe-4f7s9d2k1j3h5g6a8q0W"}},
		"empty nonce":              {edit: map[string]any{"nonce": ""}},
		"no nonce":                 {edit: map[string]any{"nonce": nil}},
		"part of the nonce":        {edit: map[string]any{"nonce": want.Nonce[:8]}},
		"no nonce on either side":  {edit: map[string]any{"nonce": ""}, want: host.Expected{User: want.User}},
		"no user on either side":   {edit: map[string]any{"sub": ""}, want: host.Expected{Nonce: want.Nonce}},
		"another is expected":      {want: host.Expected{User: "auth0|bob", Nonce: want.Nonce}},
		"no jti":                   {edit: map[string]any{"jti": nil}},
		"empty jti":                {edit: map[string]any{"jti": ""}},
		"no exp":                   {edit: map[string]any{"exp": nil}},
		"exp is text":              {edit: map[string]any{"exp": "1773501026"}},
		"exp is huge":              {edit: map[string]any{"exp": 1e300}},
		"expired 10 seconds ago":   {edit: map[string]any{"iat": second - 70, "exp": second - 10}},
		"expired 9 seconds ago":    {edit: map[string]any{"iat": second - 69, "exp": second - 9}, good: true},
		"expired a year ago":       {edit: map[string]any{"iat": second - 365*86400, "exp": second - 365*86400 + 60}},
		"no iat":                   {edit: map[string]any{"iat": nil}},
		"from before 1970":         {edit: map[string]any{"iat": -1}},
		"issued in 11 seconds":     {edit: map[string]any{"iat": second + 11, "exp": second + 71}},
		"issued in 10 seconds":     {edit: map[string]any{"iat": second + 10, "exp": second + 70}, good: true},
		"issued in a year":         {edit: map[string]any{"iat": second + 365*86400, "exp": second + 366*86400}},
		"with a claim more":        {edit: map[string]any{"acr": "x"}, good: true},
		"with amr that is no list": {edit: map[string]any{"amr": "otp"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStandIn(issuer, at(now))
			claims := s.claims(want.User, want.Nonce)
			for claim, value := range test.edit {
				if claims[claim] = value; value == nil {
					delete(claims, claim)
				}
			}
			if test.want == (host.Expected{}) {
				test.want = want
			}
			var redeemed recorder
			client := newClient(t, s, at(now), func(c *host.Config) { c.Redeemer = &redeemed })
			got, err := client.VerifyAssertion(t.Context(), s.sign(claims), test.want)
			if test.good {
				if err != nil || redeemed.calls.Load() != 1 {
					t.Errorf("%v, redeemed %d times; want nil, once", err, redeemed.calls.Load())
				}
				return
			}
			if !errors.Is(err, host.ErrAssertion) || !cmp.Equal(got, host.Claims{}) || redeemed.calls.Load() != 0 {
				t.Errorf("%+v, %v, redeemed %d times; want ErrAssertion, never", got, err, redeemed.calls.Load())
			}
		})
	}
}

// TestClocks: whoever has to set a clock right is told both.
func TestClocks(t *testing.T) {
	t.Parallel()
	for told, ahead := range map[string]time.Duration{
		"issued in the future: issued at 2026-03-15T15:09:26Z, it is 2026-03-14T15:09:26Z here": 24 * time.Hour,
		"expired: expired at 2026-03-13T15:10:26Z, it is 2026-03-14T15:09:26Z here":             -24 * time.Hour,
	} {
		s := newStandIn(issuer, at(now.Add(ahead)))
		_, err := newClient(t, s, at(now)).VerifyAssertion(t.Context(), s.sign(s.claims(want.User, want.Nonce)), want)
		if !errors.Is(err, host.ErrAssertion) || !strings.Contains(err.Error(), told) {
			t.Errorf("%v; want ErrAssertion that tells %q", err, told)
		}
	}
}

// TestIssuer: the issuer may be another than the URL.
func TestIssuer(t *testing.T) {
	t.Parallel()
	s := newStandIn("https://login.example.com", at(now))
	client := newClient(t, s, at(now), func(c *host.Config) { c.Issuer = "https://login.example.com" })
	if _, err := client.VerifyAssertion(t.Context(), s.sign(s.claims(want.User, want.Nonce)), want); err != nil {
		t.Error(err)
	}
}

// TestForgeries: only a signature by ES256, with a key of the service, over this type of token, is one.
func TestForgeries(t *testing.T) {
	t.Parallel()
	s := newStandIn(issuer, at(now))
	claims := s.claims(want.User, want.Nonce)
	good := s.sign(claims)
	encode := base64.RawURLEncoding.EncodeToString
	part := strings.Split(good, ".")
	key := *s.signing
	public := key.Key.(*ecdsa.PrivateKey).Public()

	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	publicJWK, err := json.Marshal(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	with := func(k any) jose.JSONWebKey { return jose.JSONWebKey{Key: k, KeyID: key.KeyID} }
	header := func(h string) string { return encode([]byte(h)) + "." + part[1] + "." }
	otherUser, err := json.Marshal(s.claims("auth0|bob", want.Nonce))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.ParseSignedCompact(good, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	longClaims := s.claims(want.User, want.Nonce)
	longClaims["acr"] = strings.Repeat("x", 6<<10) // in base64, 8 KB
	tests := map[string]string{
		"empty":                         "",
		"no JWT":                        "assertion",
		"huge":                          strings.Repeat("A", 64<<20),
		"longer than it may be":         s.sign(longClaims),
		"alg none":                      header(`{"alg":"none","typ":"nightlatch+jwt","kid":"key-1"}`),
		"alg none with a signature":     header(`{"alg":"none","typ":"nightlatch+jwt","kid":"key-1"}`) + part[2],
		"alg nOnE":                      header(`{"alg":"nOnE","typ":"nightlatch+jwt","kid":"key-1"}`),
		"no alg":                        header(`{"typ":"nightlatch+jwt","kid":"key-1"}`) + part[2],
		"no signature":                  part[0] + "." + part[1] + ".",
		"two parts":                     part[0] + "." + part[1],
		"signature of zeros":            part[0] + "." + part[1] + "." + encode(make([]byte, 64)),
		"signature cut":                 good[:len(good)-4],
		"other claims":                  part[0] + "." + encode(otherUser) + "." + part[2],
		"HS256 with the key in DER":     sign(jose.HS256, with(der), "nightlatch+jwt", claims),
		"HS256 with the key in PEM":     sign(jose.HS256, with(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), "nightlatch+jwt", claims),
		"HS256 with the key in JSON":    sign(jose.HS256, with(publicJWK), "nightlatch+jwt", claims),
		"RS256":                         sign(jose.RS256, with(rsaKey), "nightlatch+jwt", claims),
		"PS256":                         sign(jose.PS256, with(rsaKey), "nightlatch+jwt", claims),
		"ES384":                         sign(jose.ES384, with(p384), "nightlatch+jwt", claims),
		"key of someone else":           sign(jose.ES256, with(stranger), "nightlatch+jwt", claims),
		"key of someone else, in it":    signWith(jose.ES256, with(stranger), (&jose.SignerOptions{EmbedJWK: true}).WithType("nightlatch+jwt"), claims),
		"no kid":                        sign(jose.ES256, jose.JSONWebKey{Key: key.Key}, "nightlatch+jwt", claims),
		"kid of no key":                 sign(jose.ES256, jose.JSONWebKey{Key: key.Key, KeyID: "key-2"}, "nightlatch+jwt", claims),
		"no typ":                        sign(jose.ES256, key, "", claims),
		"typ JWT":                       sign(jose.ES256, key, "JWT", claims),
		"typ of a longer name":          sign(jose.ES256, key, "nightlatch+jwt+x", claims),
		"typ is no text":                signWith(jose.ES256, key, (&jose.SignerOptions{}).WithHeader("typ", []string{"nightlatch+jwt"}), claims),
		"an extension that is critical": signWith(jose.ES256, key, (&jose.SignerOptions{}).WithType("nightlatch+jwt").WithHeader("crit", []string{"x"}).WithHeader("x", 1), claims),
		"payload is no JSON":            signText(key, "auth0|alice"),
		"payload is null":               signText(key, "null"),
		"payload is a list":             signText(key, "[]"),
		"JSON serialisation":            parsed.FullSerialize(),
	}
	var redeemed recorder
	client := newClient(t, s, at(now), func(c *host.Config) { c.Redeemer = &redeemed })
	for name, assertion := range tests {
		got, err := client.VerifyAssertion(t.Context(), assertion, want)
		if !errors.Is(err, host.ErrAssertion) || errors.Is(err, host.ErrUnavailable) || !cmp.Equal(got, host.Claims{}) {
			t.Errorf("%s: %+v, %v; want ErrAssertion", name, got, err)
		}
	}
	if n := redeemed.calls.Load(); n != 0 {
		t.Errorf("forgeries redeemed %d assertions", n)
	}
	if _, err := client.VerifyAssertion(t.Context(), good, want); err != nil {
		t.Errorf("the assertion itself: %v", err)
	}
}

// signText signs what is no claims.
func signText(key jose.JSONWebKey, text string) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithType("nightlatch+jwt"))
	if err != nil {
		panic(err)
	}
	signed, err := signer.Sign([]byte(text))
	if err != nil {
		panic(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return compact
}

// TestOnce: of any number who present an assertion at the same time, one gets in.
func TestOnce(t *testing.T) {
	t.Parallel()
	s := newStandIn(issuer, at(now))
	client := newClient(t, s, at(now))
	assertion := s.sign(s.claims(want.User, want.Nonce))
	var in, refused atomic.Int64
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			switch _, err := client.VerifyAssertion(t.Context(), assertion, want); {
			case err == nil:
				in.Add(1)
			case errors.Is(err, host.ErrRedeemed):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if in.Load() != 1 || refused.Load() != 99 {
		t.Errorf("%d got in, %d were refused; want 1, 99", in.Load(), refused.Load())
	}
}

// failingRedeemer is a redeemer whose database does not answer.
type failingRedeemer struct{ first bool }

var errDatabase = errors.New("database down")

func (r failingRedeemer) Redeem(context.Context, string, time.Time) (bool, error) {
	return r.first, errDatabase
}

// TestRedeemer: nobody gets in on an error of the redeemer, and it is told how long to remember.
func TestRedeemer(t *testing.T) {
	t.Parallel()
	s := newStandIn(issuer, at(now))
	for _, first := range []bool{false, true} {
		client := newClient(t, s, at(now), func(c *host.Config) { c.Redeemer = failingRedeemer{first} })
		got, err := client.VerifyAssertion(t.Context(), s.sign(s.claims(want.User, want.Nonce)), want)
		if !errors.Is(err, host.ErrUnavailable) || !errors.Is(err, errDatabase) || !cmp.Equal(got, host.Claims{}) {
			t.Errorf("first %t with an error: %+v, %v; want ErrUnavailable and the cause", first, got, err)
		}
	}
	var redeemed recorder
	client := newClient(t, s, at(now), func(c *host.Config) { c.Redeemer = &redeemed })
	if _, err := client.VerifyAssertion(t.Context(), s.sign(s.claims(want.User, want.Nonce)), want); err != nil {
		t.Fatal(err)
	}
	if got, want := redeemed.expires.Load().(time.Time), now.Truncate(time.Second).Add(70*time.Second); !got.Equal(want) {
		t.Errorf("to be remembered until %v; want %v: as long as the assertion is taken", got, want)
	}
}
