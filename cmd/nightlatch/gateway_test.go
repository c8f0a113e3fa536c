package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/handler"
)

// bench is a gateway before functions that only note what they were given.
type bench struct {
	*gateway
	got events.APIGatewayV2HTTPRequest
}

const benchKey = "nlk_test"

var benchNow = time.Date(2026, 3, 4, 14, 5, 6, 0, time.UTC)

func newBench(t testing.TB, answer events.APIGatewayV2HTTPResponse, err error) *bench {
	t.Helper()
	sessions, openErr := openIdentityProvider(filepath.Join(dataDir(t), "session-key.pem"), func() time.Time { return benchNow })
	if openErr != nil {
		t.Fatal(openErr)
	}
	b := &bench{}
	f := &functions{byRoute: map[string]handler.Func{}}
	for _, r := range api.Routes() {
		f.byRoute[r.Key()] = func(_ context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
			b.got = e
			return answer, err
		}
	}
	b.gateway = newGateway(benchKey, sessions, func() time.Time { return benchNow }, func() *functions { return f }, slog.New(slog.DiscardHandler))
	return b
}

func (b *bench) send(r *http.Request) *httptest.ResponseRecorder {
	b.got = events.APIGatewayV2HTTPRequest{}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}

// TestEvent: a function is given what API Gateway would give it.
func TestEvent(t *testing.T) {
	t.Parallel()
	b := newBench(t, events.APIGatewayV2HTTPResponse{StatusCode: 200, Body: "{}", Headers: map[string]string{"cache-control": "no-store", "x-a": "b"}}, nil)
	session, err := b.sessions.session(signedIn{User: demoUsers[2], AuthTime: benchNow.Unix() - 60, AMR: []string{"pwd", "otp", "mfa"}})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/v1/history?limit=5&cursor=a%2Bb&limit=6", nil)
	r.Header = http.Header{
		"Authorization": {"bearer " + session}, "X-Twice": {"a", "b"}, "User-Agent": {"test/1"}, "X-Forwarded-For": {"198.51.100.1"},
		"Cookie": {"a=1; b=2"},
	}
	r.RemoteAddr = "127.0.0.1:4711"
	w := b.send(r)
	if w.Code != 200 || w.Body.String() != "{}" || w.Header().Get("x-a") != "b" || w.Header().Get("apigw-requestid") != b.got.RequestContext.RequestID {
		t.Errorf("answered %d %s %v", w.Code, w.Body, w.Header())
	}
	want := events.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: "GET /v1/history", RawPath: "/v1/history", RawQueryString: "limit=5&cursor=a%2Bb&limit=6",
		Cookies: []string{"a=1", "b=2"},
		Headers: map[string]string{
			"authorization": "bearer " + session, "x-twice": "a,b", "user-agent": "test/1", "x-forwarded-for": "198.51.100.1",
			"host": "example.com",
		},
		QueryStringParameters: map[string]string{"limit": "5,6", "cursor": "a+b"},
		RequestContext: events.APIGatewayV2HTTPRequestContext{
			RouteKey: "GET /v1/history", AccountID: "000000000000", Stage: "$default", APIID: "local", DomainName: "example.com",
			Time: "04/Mar/2026:14:05:06 +0000", TimeEpoch: benchNow.UnixMilli(),
			HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{
				Method: "GET", Path: "/v1/history", Protocol: "HTTP/1.1", SourceIP: "127.0.0.1", UserAgent: "test/1",
			},
			Authorizer: &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
				JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{Claims: map[string]string{
					"sub": "reviewer@example.com", "email": "reviewer@example.com", "amr": "[pwd otp mfa]", "groups": "[reviewers]",
					"iss": sessionIssuer, "aud": sessionAudience, "auth_time": "1772633046", "iat": "1772633106", "exp": "1772676306",
				}},
			},
		},
	}
	id := b.got.RequestContext.RequestID
	want.RequestContext.RequestID = id
	if diff := cmp.Diff(want, b.got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if b.send(r); len(id) < 16 || b.got.RequestContext.RequestID == id {
		t.Error("two requests have one id")
	}
}

// TestBodies: a body reaches a function as text or in base64, by its type, and one byte longer than a function takes.
func TestBodies(t *testing.T) {
	t.Parallel()
	b := newBench(t, events.APIGatewayV2HTTPResponse{StatusCode: 200}, nil)
	for _, test := range []struct {
		contentType, body, want string
		base64                  bool
	}{
		{"application/json", `{"a":"é"}`, `{"a":"é"}`, false},
		{"application/json; charset=utf-8", "{}", "{}", false},
		{"text/plain", "{}", "{}", false},
		{"application/x-www-form-urlencoded", "{}", "e30=", true},
		{"application/octet-stream", "\xff\x00", "/wA=", true},
		{"", "{}", "e30=", true},
		{"application/json; =", "{}", "e30=", true},
		{"application/json", "", "", false},
		{"", "", "", false},
	} {
		r := httptest.NewRequest("POST", "/v1/verify", strings.NewReader(test.body))
		r.Header.Set("content-type", test.contentType)
		if w := b.send(r); w.Code != 200 || b.got.Body != test.want || b.got.IsBase64Encoded != test.base64 {
			t.Errorf("%q of type %q: %d, body %q, base64 %t; want %q, %t", test.body, test.contentType, w.Code, b.got.Body, b.got.IsBase64Encoded, test.want, test.base64)
		}
	}
	for _, length := range []int{api.MaxBody, api.MaxBody + 1, 1 << 20} {
		r := httptest.NewRequest("POST", "/v1/verify", strings.NewReader(strings.Repeat("x", length)))
		r.Header.Set("content-type", "application/json")
		if b.send(r); len(b.got.Body) != min(length, api.MaxBody+1) {
			t.Errorf("of %d bytes %d reach the function, want %d", length, len(b.got.Body), min(length, api.MaxBody+1))
		}
	}
	r := httptest.NewRequest("POST", "/v1/verify", &broken{})
	if w := b.send(r); w.Code != 400 || b.got.Version != "" {
		t.Errorf("a body that breaks off: %d, event %+v; want 400 and none", w.Code, b.got)
	}
}

type broken struct{}

func (*broken) Read([]byte) (int, error) { return 0, errors.New("broken off") }

func TestRouting(t *testing.T) {
	t.Parallel()
	b := newBench(t, events.APIGatewayV2HTTPResponse{StatusCode: 200}, nil)
	for _, test := range []struct {
		method, path string
		key, user    string // empty: not found
	}{
		{"POST", "/v1/users/alice@example.com/events", "POST /v1/users/{user}/events", "alice@example.com"},
		{"POST", "/v1/users/auth0%7C123/events", "POST /v1/users/{user}/events", "auth0|123"},
		{"POST", "/v1/users/=YS9i/events", "POST /v1/users/{user}/events", "=YS9i"},
		{"POST", "/v1/users/a%20b/events", "POST /v1/users/{user}/events", "a b"},
		{"POST", "/v1/users/../events", "POST /v1/users/{user}/events", ".."},
		{"POST", "/v1/challenges", "POST /v1/challenges", ""},
		{"POST", "/v1%2Fchallenges", "POST /v1/challenges", ""}, // HTTP APIs decode before they route
		{"POST", "/v1/users/a%2Fb/events", "", ""},
		{"POST", "/v1/users//events", "", ""},
		{"POST", "/v1/users/{user}/events", "POST /v1/users/{user}/events", "{user}"},
		{"POST", "/v1/users/alice/events/", "", ""},
		{"POST", "/v1/users/alice", "", ""},
		{"GET", "/v1/users/alice/events", "", ""},
		{"GET", "/v1/challenges", "", ""},
		{"OPTIONS", "/v1/challenges", "", ""},
		{"HEAD", "/.well-known/jwks.json", "", ""},
		{"POST", "/v1/challenges/", "", ""},
		{"POST", "//v1/challenges", "", ""},
		{"POST", "/V1/challenges", "", ""},
		{"GET", "/v1", "", ""},
	} {
		r := httptest.NewRequest(test.method, test.path, nil)
		r.Header.Set("authorization", "Bearer "+benchKey)
		w := b.send(r)
		if test.key == "" {
			if w.Code != 404 || strings.TrimSpace(w.Body.String()) != `{"message":"Not Found"}` || b.got.Version != "" {
				t.Errorf("%s %s: %d %s, event for %q; want 404 as API Gateway answers", test.method, test.path, w.Code, w.Body, b.got.RouteKey)
			}
			continue
		}
		want := map[string]string{"user": test.user}
		if test.user == "" {
			want = nil
		}
		if w.Code != 200 || b.got.RouteKey != test.key || !cmp.Equal(b.got.PathParameters, want) {
			t.Errorf("%s %s: %d, route %q, parameters %v; want %q, %v", test.method, test.path, w.Code, b.got.RouteKey, b.got.PathParameters, test.key, want)
		}
	}
}

// TestEveryRoute: each is there, and lets in whom it should and nobody else.
func TestEveryRoute(t *testing.T) {
	t.Parallel()
	b := newBench(t, events.APIGatewayV2HTTPResponse{StatusCode: 200}, nil)
	session, err := b.sessions.session(signedIn{User: demoUsers[0], AuthTime: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, route := range api.Routes() {
		for name, token := range map[string]string{"session": session, "host": benchKey, "none": "", "wrong": "nlk_tesu"} {
			r := httptest.NewRequest(route.Method, strings.ReplaceAll(route.Path, "{user}", "alice"), nil)
			if token != "" {
				r.Header.Set("authorization", "Bearer "+token)
			}
			w := b.send(r)
			want, message := 200, ""
			ofSession := route.Caller == api.CallerSession || route.Caller == api.CallerReviewer
			switch {
			case ofSession && name != "session":
				want, message = 401, `{"message":"Unauthorized"}`
			case route.Caller == api.CallerHost && name != "host":
				want, message = 403, `{"message":"Forbidden"}`
			}
			if w.Code != want || strings.TrimSpace(w.Body.String()) != message {
				t.Errorf("%s with %s: %d %s, want %d %s", route.Key(), name, w.Code, w.Body, want, message)
			}
			if (b.got.Version == "2.0") != (want == 200) {
				t.Errorf("%s with %s: reached the function: %t", route.Key(), name, b.got.Version != "")
			}
			a := b.got.RequestContext.Authorizer
			if want == 200 && ((a != nil && a.JWT != nil) != ofSession || (a != nil && a.IAM != nil) != (route.Caller == api.CallerHost)) {
				t.Errorf("%s with %s: authorizer %+v", route.Key(), name, a)
			}
		}
	}
}

// TestUnknownCaller: a kind of caller that nobody has thought of gets nowhere.
func TestUnknownCaller(t *testing.T) {
	t.Parallel()
	b := newBench(t, events.APIGatewayV2HTTPResponse{StatusCode: 200}, nil)
	w := httptest.NewRecorder()
	if _, ok := b.authorize(w, httptest.NewRequest("GET", "/", nil), "somebody"); ok || w.Code != 403 {
		t.Errorf("let in: %t, %d; want 403", ok, w.Code)
	}
}

func TestFunctionError(t *testing.T) {
	t.Parallel()
	b := newBench(t, events.APIGatewayV2HTTPResponse{StatusCode: 200, Body: "secret"}, errors.New("cause"))
	w := b.send(httptest.NewRequest("POST", "/v1/verify", nil))
	if w.Code != 500 || strings.TrimSpace(w.Body.String()) != `{"message":"Internal Server Error"}` {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
}

func TestBearer(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"Bearer abc": "abc", "bearer abc": "abc", "abc": "", "Basic abc": "", "Bearer": "", "Bearer ": "", "": "", "Bearer  abc": " abc",
	} {
		r := &http.Request{Header: http.Header{"Authorization": {header}}}
		if got := bearer(r); got != want {
			t.Errorf("bearer(%q) = %q, want %q", header, got, want)
		}
	}
}

// TestSession: what API Gateway's JWT authorizer refuses is refused.
func TestSession(t *testing.T) {
	t.Parallel()
	now := benchNow
	sessions, err := openIdentityProvider(filepath.Join(dataDir(t), "session-key.pem"), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(alg jose.SignatureAlgorithm, key any, edit func(map[string]any)) string {
		claims := map[string]any{
			"iss": sessionIssuer, "aud": sessionAudience, "sub": "alice@example.com", "iat": now.Unix(), "exp": now.Unix() + 60,
		}
		if edit != nil {
			edit(claims)
		}
		payload, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		signer := sessions.signer
		if key != nil {
			if signer, err = jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil); err != nil {
				t.Fatal(err)
			}
		}
		signed, err := signer.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		token, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	set := func(name string, value any) func(map[string]any) {
		return func(c map[string]any) {
			if c[name] = value; value == nil {
				delete(c, name)
			}
		}
	}
	good := sign("", nil, nil)
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
	for name, test := range map[string]struct {
		token string
		ok    bool
	}{
		"good":                {good, true},
		"ends in a second":    {sign("", nil, set("exp", now.Unix()+1)), true},
		"several audiences":   {sign("", nil, set("aud", []string{"other", sessionAudience})), true},
		"empty":               {"", false},
		"not a JWT":           {"a.b.c", false},
		"unsigned":            {none, false},
		"signature cut":       {parts[0] + "." + parts[1] + ".", false},
		"HMAC of the modulus": {sign(jose.HS256, sessions.public.N.Bytes(), nil), false},
		"another key":         {sign(jose.RS256, foreign, nil), false},
		"another algorithm":   {sign(jose.PS256, foreign, nil), false},
		"another issuer":      {sign("", nil, set("iss", "https://evil.example")), false},
		"no issuer":           {sign("", nil, set("iss", nil)), false},
		"another audience":    {sign("", nil, set("aud", "other")), false},
		"no audience":         {sign("", nil, set("aud", nil)), false},
		"ends now":            {sign("", nil, set("exp", now.Unix())), false},
		"over":                {sign("", nil, set("exp", now.Unix()-1)), false},
		"never ends":          {sign("", nil, set("exp", nil)), false},
		"not yet":             {sign("", nil, set("nbf", now.Unix()+5)), false},
		"of the future":       {sign("", nil, set("iat", now.Unix()+5)), false},
	} {
		claims, err := sessions.check(test.token)
		if (err == nil) != test.ok || (err != nil) != errors.Is(err, errSession) || (len(claims) > 0) != test.ok {
			t.Errorf("%s: %v, %v; want ok %t", name, claims, err, test.ok)
		}
	}
}

func TestClaimStrings(t *testing.T) {
	t.Parallel()
	got, err := claimStrings([]byte(`{"s":"a b","n":1772633106,"big":12345678901234567890,"yes":true,"list":["a","b c",3],"empty":[],"nested":[["a"]]}`))
	want := map[string]string{
		"s": "a b", "n": "1772633106", "big": "12345678901234567890", "yes": "true", "list": "[a b c 3]", "empty": "[]", "nested": "[[a]]",
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Errorf("%v, claims (-want +got):\n%s", err, diff)
	}
	if _, err := claimStrings([]byte(`[]`)); !errors.Is(err, errSession) {
		t.Errorf("a list: %v, want errSession", err)
	}
}
