package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// claimsOf reads what a JWT says, without looking at its signature.
func claimsOf(t testing.TB, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %q", token)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// TestMainJob is the whole of it: sign in with a password, set an authenticator up, sign in with both.
func TestMainJob(t *testing.T) {
	t.Parallel()
	l := serve(t, dataDir(t), "standard")

	before := l.clock.now().Unix()
	a, cookie := l.login("alice@example.com")
	session := a.str("session")
	if session == "" || cookie != "" || len(a.Body) != 1 {
		t.Fatalf("without 2FA the password step answers %s, cookie %q; want a session and nothing else", a.Text, cookie)
	}
	claims := claimsOf(t, session)
	if at, _ := claims["auth_time"].(float64); int64(at) < before || int64(at) > l.clock.now().Unix() {
		t.Errorf("auth_time %v, want now", claims["auth_time"])
	}
	for name, want := range map[string]any{
		"sub": "alice@example.com", "email": "alice@example.com", "amr": []any{"pwd"}, "iss": sessionIssuer,
		"aud": sessionAudience, "groups": nil,
	} {
		if !cmp.Equal(claims[name], want) {
			t.Errorf("claim %s is %v, want %v", name, claims[name], want)
		}
	}

	secret := l.enroll(session)
	a, cookie = l.login("alice@example.com")
	if a.str("session") != "" || a.Body["required"] != true || a.str("challenge") == "" || !strings.HasPrefix(cookie, signInCookie+"=") {
		t.Fatalf("with 2FA the password step answers %s, cookie %q", a.Text, cookie)
	}
	if full := a.Header.Get("set-cookie"); !strings.Contains(full, "HttpOnly") || !strings.Contains(full, "SameSite=Strict") || !strings.Contains(full, "Path=/demo") {
		t.Errorf("cookie %q", full)
	}
	if strings.Contains(a.Text, "nonce") {
		t.Errorf("the nonce left the host: %s", a.Text)
	}
	assertion := l.verify(a.str("challenge"), l.code(secret, 1))
	done := l.want(200, l.finish(cookie, assertion))
	if done.Header.Get("set-cookie") == "" || !strings.Contains(done.Header.Get("set-cookie"), "Max-Age=0") {
		t.Errorf("the cookie stays: %q", done.Header.Get("set-cookie"))
	}
	claims, asserted := claimsOf(t, done.str("session")), claimsOf(t, assertion)
	if !cmp.Equal(claims["amr"], []any{"pwd", "otp", "mfa"}) || claims["auth_time"] != asserted["auth_time"] {
		t.Errorf("amr %v, auth_time %v; want [pwd otp mfa] and the assertion's %v", claims["amr"], claims["auth_time"], asserted["auth_time"])
	}
	if again := l.want(401, l.finish(cookie, assertion)); !strings.Contains(again.str("detail"), "over") {
		t.Errorf("detail %q, want that the sign-in is over", again.str("detail"))
	}

	if got := l.want(200, l.get("/v1/status", done.str("session"))).str("state"); got != "enabled" {
		t.Errorf("state %q, want enabled", got)
	}
	want := []string{"login", "challenge_issued", "backup_code_issued", "enabled", "enrollment_started", "login"}
	slices.Sort(want)
	l.eventually("the history has it all", func() bool {
		got := l.history(session)
		slices.Sort(got)
		return cmp.Equal(got, want)
	})
}

// TestGroups: reviewers are the ones of the group, as API Gateway writes it.
func TestGroups(t *testing.T) {
	t.Parallel()
	l := serve(t, dataDir(t), "standard")
	for _, u := range demoUsers {
		a, _ := l.login(u.Email)
		sessions, err := openIdentityProvider(l.keptIn+"/session-key.pem", l.clock.now)
		if err != nil {
			t.Fatal(err)
		}
		claims, err := sessions.check(a.str("session"))
		want := map[bool]string{true: "[reviewers]"}[strings.HasPrefix(u.Email, "reviewer")]
		if err != nil || claims["groups"] != want || claims["amr"] != "[pwd]" || claims["sub"] != u.Email {
			t.Errorf("%s: claims %v, %v; want groups %q", u.Email, claims, err, want)
		}
	}
}

func TestLoginRefuses(t *testing.T) {
	t.Parallel()
	l := serve(t, dataDir(t), "standard")
	for name, test := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"wrong password":     {jsonOf("email", "alice@example.com", "password", "correct horsf"), 401, "unauthorized"},
		"nearly right":       {jsonOf("email", "alice@example.com", "password", "correct horse "), 401, "unauthorized"},
		"nobody":             {jsonOf("email", "mallory@example.com", "password", demoPassword), 401, "unauthorized"},
		"another case":       {jsonOf("email", "Alice@example.com", "password", demoPassword), 401, "unauthorized"},
		"no password":        {jsonOf("email", "alice@example.com"), 400, "invalid_request"},
		"empty password":     {jsonOf("email", "alice@example.com", "password", ""), 401, "unauthorized"},
		"unknown field":      {jsonOf("email", "alice@example.com", "password", demoPassword, "otp", "1"), 400, "invalid_request"},
		"not JSON":           {"email=alice", 400, "invalid_request"},
		"nothing":            {"", 400, "invalid_request"},
		"larger than 8 KB":   {jsonOf("email", "alice@example.com", "password", strings.Repeat("x", 9000)), 413, "too_large"},
		"a list":             {"[]", 400, "invalid_request"},
		"something trailing": {jsonOf("email", "alice@example.com", "password", demoPassword) + "{}", 400, "invalid_request"},
	} {
		a := l.do(call{method: "POST", path: "/demo/login", body: test.body})
		if a.Status != test.status || a.str("code") != test.code || a.Header.Get("content-type") != "application/problem+json" || a.Header.Get("set-cookie") != "" {
			t.Errorf("%s: %d %s %v, want %d %s", name, a.Status, a.Text, a.Header, test.status, test.code)
		}
	}
	if err := l.demo.Flush(t.Context()); err != nil { // these are reported beside the answers
		t.Fatal(err)
	}
	a, _ := l.login("alice@example.com")
	if got, want := l.history(a.str("session")), []string{"login", "password_failed", "password_failed", "password_failed"}; !cmp.Equal(got, want) {
		t.Errorf("history %v, want %v: of a known user, every wrong password, and nothing malformed", got, want)
	}
}

// TestSessionRefuses: an assertion opens the sign-in that it was made for, and no other.
func TestSessionRefuses(t *testing.T) {
	t.Parallel()
	l := serve(t, dataDir(t), "standard")
	a, _ := l.login("alice@example.com")
	secret := l.enroll(a.str("session"))
	first, cookie := l.login("alice@example.com")
	_, other := l.login("alice@example.com")
	assertion := l.verify(first.str("challenge"), l.code(secret, 1))

	for name, test := range map[string]struct{ cookie, assertion string }{
		"no cookie":                  {"", assertion},
		"a foreign cookie":           {signInCookie + "=AAAAAAAAAAAAAAAAAAAAAAAAAA", assertion},
		"another sign-in's nonce":    {other, assertion},
		"no JWT":                     {cookie, "assertion"},
		"a changed signature":        {cookie, assertion[:len(assertion)-8] + "AAAAAAAA"},
		"a session in its place":     {cookie, a.str("session")},
		"the challenge in its place": {cookie, first.str("challenge")},
	} {
		got := l.finish(test.cookie, test.assertion)
		if got.Status != 401 || got.str("code") != "unauthorized" || got.Header.Get("www-authenticate") == "" {
			t.Errorf("%s: %d %s, want 401 unauthorized", name, got.Status, got.Text)
		}
	}
	// None of them has used it up.
	l.want(200, l.finish(cookie, assertion))

	// The clock is everybody's: after a quarter of an hour the sign-in is over.
	first, cookie = l.login("alice@example.com")
	l.want(200, l.do(call{method: "POST", path: "/dev/clock", body: `{"offset_seconds":120}`}))
	assertion = l.verify(first.str("challenge"), l.code(secret, 0))
	l.want(200, l.do(call{method: "POST", path: "/dev/clock", body: `{"offset_seconds":1100}`}))
	if got := l.want(401, l.finish(cookie, assertion)); !strings.Contains(got.str("detail"), "over") {
		t.Errorf("detail %q, want that the sign-in is over", got.str("detail"))
	}
}

// TestEnrolInsideSignIn: under a policy that demands 2FA no session exists before there is one.
func TestEnrolInsideSignIn(t *testing.T) {
	t.Parallel()
	l := serve(t, dataDir(t), "miaxdx")
	a, cookie := l.login("bob@example.com")
	if a.Body["required"] != true || a.Body["enrollment_required"] != true || a.str("session") != "" {
		t.Fatalf("the password step answers %s", a.Text)
	}
	set := l.want(200, l.post("/v1/verify/enroll", "", jsonOf("challenge", a.str("challenge"))))
	confirmed := l.want(200, l.post("/v1/verify/enroll/confirm", "", jsonOf("challenge", a.str("challenge"),
		"enrollment_id", set.str("enrollment_id"), "code", l.code(set.str("manual_secret"), 0))))
	session := l.want(200, l.finish(cookie, confirmed.str("assertion"))).str("session")
	if amr := claimsOf(t, session)["amr"]; !cmp.Equal(amr, []any{"pwd", "otp"}) {
		t.Errorf("amr %v, want [pwd otp]", amr)
	}
}

// TestHostWithoutService: where the service cannot be reached, nobody is signed in and nothing is lost.
func TestHostWithoutService(t *testing.T) {
	t.Parallel()
	l := serve(t, dataDir(t), "standard")
	a, _ := l.login("alice@example.com")
	secret := l.enroll(a.str("session"))
	a, cookie := l.login("alice@example.com")
	assertion := l.verify(a.str("challenge"), l.code(secret, 1))
	if err := l.store.Close(); err != nil {
		t.Fatal(err)
	}
	if a := l.finish(cookie, assertion); a.Status != 503 || a.str("code") != "unavailable" { // there are no keys to check it with
		t.Errorf("with an assertion: %d %s, want 503 unavailable", a.Status, a.Text)
	}
	enter := func(email, password string) answer {
		a := l.do(call{method: "POST", path: "/demo/login", body: jsonOf("email", email, "password", password)})
		a.Header.Del("date")
		return a
	}
	if a := enter("alice@example.com", demoPassword); a.Status != 503 || a.str("code") != "unavailable" || a.Header.Get("retry-after") == "" {
		t.Errorf("with the right password: %d %s, want 503 unavailable", a.Status, a.Text)
	}
	// Nothing tells which addresses there are.
	known, unknown := enter("alice@example.com", "wrong"), enter("mallory@example.com", "wrong")
	if diff := cmp.Diff(unknown, known); diff != "" || known.Status != 401 {
		t.Errorf("a wrong password of a known address: %d, want 401, as of an unknown one (-unknown +known):\n%s", known.Status, diff)
	}
	if err := l.demo.Flush(t.Context()); err != nil || !strings.Contains(l.logged.String(), "missing in the history") {
		t.Errorf("%v; want what could not be reported in the log:\n%s", err, l.logged)
	}
}

// TestStopReports: what is yet to be reported when the server is stopped, is in the history after the next start.
func TestStopReports(t *testing.T) {
	t.Parallel()
	data := dataDir(t)
	l := serve(t, data, "standard")
	for range 20 {
		l.want(401, l.do(call{method: "POST", path: "/demo/login", body: jsonOf("email", "alice@example.com", "password", "wrong")}))
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	l = serve(t, data, "standard")
	a, _ := l.login("alice@example.com")
	l.eventually("every wrong password is in the history", func() bool { return len(l.history(a.str("session"))) == 21 })
}

func TestSignIns(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	var s signIns
	in := func(i int) signIn { return signIn{nonce: fmt.Sprint(i), ends: now.Add(time.Duration(i) * time.Second)} }
	var ids []string
	for i := range maxSignIns {
		ids = append(ids, s.begin(in(i+1), now))
	}
	if len(s.byID) != maxSignIns {
		t.Fatalf("%d are kept, want %d", len(s.byID), maxSignIns)
	}
	s.begin(in(5000), now) // the one that ends first makes room
	if _, ok := s.get(ids[0], now); ok || len(s.byID) != maxSignIns {
		t.Errorf("the one that ends first is kept: %t, of %d", ok, len(s.byID))
	}
	if got, ok := s.get(ids[1], now); !ok || got.nonce != "2" {
		t.Errorf("another had to go: %v, %t", got, ok)
	}
	later := now.Add(500 * time.Second)
	if _, ok := s.get(ids[499], later); ok {
		t.Error("one is there at its end")
	}
	s.begin(in(5001), later) // everything that has ended makes room
	if want := maxSignIns - 500 + 2; len(s.byID) != want {
		t.Errorf("%d are kept, want %d", len(s.byID), want)
	}
	s.end(ids[998])
	if _, ok := s.get(ids[998], later); ok {
		t.Error("one is there after its end was told")
	}
}

func TestUserAgent(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                  "",
		"Firefox":                           "Firefox",
		strings.Repeat("a", 300):            strings.Repeat("a", 256),
		strings.Repeat("a", 255) + "\u00e9": strings.Repeat("a", 255),
	} {
		r := &http.Request{Header: http.Header{"User-Agent": {in}}}
		if got := userAgent(r); got != want {
			t.Errorf("userAgent(%.20q…) has %d bytes, want %d", in, len(got), len(want))
		}
	}
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"": "en", "*": "en", "de": "de", "de-AT,de;q=0.9,en;q=0.8": "de-AT", " fr ;q=0.7": "fr", "<b>": "en", "ja_JP": "en",
		"a" + strings.Repeat("-b", 18): "en",
	} {
		r := httptest.NewRequest("POST", "/demo/login", nil)
		r.Header.Set("accept-language", header)
		if got := language(r); got != want {
			t.Errorf("language(%q) = %q, want %q", header, got, want)
		}
	}
}

// TestMailLanguage: mails are in the language in which the user last signed in.
func TestMailLanguage(t *testing.T) {
	t.Parallel()
	l := serve(t, dataDir(t), "standard")
	body := jsonOf("email", "alice@example.com", "password", demoPassword)
	a := l.want(200, l.do(call{method: "POST", path: "/demo/login", body: body, header: map[string]string{"accept-language": "de"}}))
	l.enroll(a.str("session"))
	l.eventually("the mail is in German", func() bool {
		mails := l.inbox.list()
		return len(mails) == 1 && strings.Contains(mails[0].Subject, "Zwei-Faktor")
	})
}
