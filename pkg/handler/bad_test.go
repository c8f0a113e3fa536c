package handler_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/handler"
)

// TestBadInput sends what no client should to every route, and looks whether the account is as it was.
func TestBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	p, _ := w.enrolled("alice")
	challenge := w.challenge("alice").str("challenge")
	good := map[string]string{
		"POST /v1/enroll":                body("code", p.wrong()),
		"POST /v1/enroll/confirm":        body("enrollment_id", "x", "code", "123456"),
		"POST /v1/verify/enroll":         body("challenge", challenge),
		"POST /v1/verify/enroll/confirm": body("challenge", challenge, "enrollment_id", "x", "code", "123456"),
		"POST /v1/verify":                body("challenge", challenge, "method", "totp", "code", "123456"),
		"POST /v1/check":                 body("code", "123456"),
		"POST /v1/backup-code":           body("code", "123456"),
		"POST /v1/backup-code/revoke":    body("code", "123456"),
		"POST /v1/disable":               body("code", "123456"),
		"POST /v1/challenges":            body("user_id", "alice", "nonce", "n"),
		"POST /v1/users/{user}/events":   body("type", "login"),
		"POST /v1/reset-request":         body("challenge", challenge),
		"POST /v1/reset/show":            body("token", "x"),
		"POST /v1/reset/identity":        body("token", "x"),
		"POST /v1/reset/cancel":          body("token", "x"),
		"POST /v1/reviews/{id}/decision": `{"decision":"stop","case_version":1}`,
	}
	before := w.item("alice")
	for _, r := range api.Routes() {
		if r.Method != "POST" || r.Caller == api.CallerWebhook { // whose body is whatever it is
			continue
		}
		who := anyone
		switch r.Caller {
		case api.CallerSession:
			who = w.session("alice")
		case api.CallerHost:
			who = host().to("alice")
		case api.CallerReviewer:
			who = w.reviewer("carol").about("x")
		}
		ok, known := good[r.Key()]
		if !known {
			t.Fatalf("no body for %s", r.Key())
		}
		object := strings.TrimSuffix(ok, "}")
		first, _, _ := strings.Cut(strings.TrimPrefix(ok, "{"), ":")
		for name, text := range map[string]string{
			"not JSON":       `{`,
			"an array":       `[]`,
			"a string":       `"code"`,
			"null":           `null`,
			"trailing":       ok + `{}`,
			"unknown field":  object + `,"admin":true}`,
			"repeated field": object + `,` + first + `:"x"}`,
			"wrong case":     strings.Replace(ok, first, strings.ToUpper(first), 1),
			"wrong type":     fmt.Sprintf(`{%s:7}`, first),
			"null field":     fmt.Sprintf(`{%s:null}`, first),
			"deep":           fmt.Sprintf(`{%s:%s1%s}`, first, strings.Repeat("[", 2000), strings.Repeat("]", 2000)),
			"invalid UTF-8":  fmt.Sprintf("{%s:\"\xff\"}", first),
			"too large":      object + strings.Repeat(" ", api.MaxBody) + `}`,
		} {
			status, code := 400, "invalid_request"
			if name == "too large" {
				status, code = 413, "too_large"
			}
			a := w.do(who, r.Key(), text)
			if a.Status != status || a.str("code") != code {
				t.Errorf("%s, %s: got %d %s, want %d %s", r.Key(), name, a.Status, a.Text, status, code)
			}
		}
		if a := w.do(who.inBase64(), r.Key(), `{"`); a.Status != 400 {
			t.Errorf("%s, base64: got %d", r.Key(), a.Status)
		}
	}
	for name, text := range map[string]string{
		"empty code": body("code", ""), "letters": body("code", "abcdef"), "short": body("code", "12345"), "long": body("code", "1234567"),
	} {
		if a := w.do(w.session("alice"), "POST /v1/check", text); a.Status != 400 {
			t.Errorf("check, %s: got %d %s", name, a.Status, a.Text)
		}
	}
	w.want(anyone, "POST /v1/verify", body("challenge", challenge, "method", "sms", "code", "123456"), 400, "invalid_request")
	w.want(anyone, "POST /v1/verify", body("challenge", challenge, "method", "reset_link", "code", "123456"), 410, "link_expired")
	w.want(w.session("alice"), "POST /v1/enroll", body("code", "123456", "grant", "x"), 400, "invalid_request")
	w.want(w.session("alice"), "POST /v1/backup-code", `{}`, 400, "invalid_request")
	w.want(anyone, "GET /v1/nowhere", "", 404, "not_found")
	w.want(anyone, "PUT /v1/verify", "{}", 404, "not_found")
	if after := w.item("alice"); after != before {
		t.Errorf("bad input changed the account:\n%s\n%s", before, after)
	}
}

func TestForgedAndForeignTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	pa, backupA := w.enrolled("alice")
	_, backupB := w.enrolled("bob")
	a, b := w.challenge("alice").str("challenge"), w.challenge("bob").str("challenge")
	before := w.item("alice")

	for _, forged := range []string{"", "x", a[:len(a)-1], a[:len(a)-2] + "AA", strings.Repeat("A", 5000), strings.ToUpper(a)} {
		got := w.do(anyone, "POST /v1/verify", body("challenge", forged, "method", "totp", "code", pa.code()))
		if got.Status != 401 && (forged != "" || got.Status != 400) {
			t.Errorf("challenge %.20q: got %d %s", forged, got.Status, got.Text)
		}
	}
	// A challenge decides whose code is asked for, whatever else is said.
	w.want(anyone, "POST /v1/verify", body("challenge", b, "method", "totp", "code", pa.code()), 422, "invalid_code")
	if after := w.item("alice"); after != before {
		t.Errorf("alice's account changed:\n%s\n%s", before, after)
	}

	grantA := w.want(anyone, "POST /v1/verify", body("challenge", a, "method", "backup_code", "code", backupA), 200, "").str("grant")
	grantB := w.want(anyone, "POST /v1/verify", body("challenge", b, "method", "backup_code", "code", backupB), 200, "").str("grant")
	before = w.item("alice")
	for name, grant := range map[string]string{"forged": "AAAA", "another user's": grantB, "a challenge": a, "cut": grantA[:20]} {
		for _, route := range []string{"POST /v1/enroll", "POST /v1/backup-code"} {
			if got := w.do(w.session("alice"), route, body("grant", grant)); got.Status != 410 || got.str("code") != "grant_expired" {
				t.Errorf("%s with a grant that is %s: got %d %s", route, name, got.Status, got.Text)
			}
		}
	}
	w.want(anyone, "POST /v1/verify", body("challenge", grantA, "method", "totp", "code", pa.code()), 401, "challenge_expired")

	// Another user's enrolment.
	bobs := w.want(w.session("bob"), "POST /v1/enroll", body("grant", grantB), 200, "")
	w.want(w.session("alice"), "POST /v1/enroll/confirm",
		body("enrollment_id", bobs.str("enrollment_id"), "code", phone{w, bobs.str("manual_secret")}.code()), 409, "enrollment_expired")
	if after := w.item("alice"); after != before {
		t.Errorf("alice's account changed:\n%s\n%s", before, after)
	}
	w.want(w.session("alice"), "POST /v1/enroll", body("grant", grantA), 200, "")
	w.want(w.session("alice"), "POST /v1/enroll/confirm",
		body("enrollment_id", bobs.str("enrollment_id"), "code", "123456"), 409, "enrollment_replaced")
}

func TestCallersAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	w.deps.Settings.Claims.TokenUse = "access"
	w.funcs["status"] = handler.Status(w.deps)
	for name, who := range map[string]caller{
		"nobody": anyone, "a host": host(), "no user": claims(map[string]string{"token_use": "access"}),
		"a bad user":    claims(map[string]string{"token_use": "access", "sub": "a\x00b"}),
		"an id token":   claims(map[string]string{"token_use": "id", "sub": "alice"}),
		"without a use": claims(map[string]string{"sub": "alice"}),
	} {
		a := w.do(who, "GET /v1/status", "")
		if a.Status != 401 || a.str("code") != "unauthorized" || a.Headers["www-authenticate"] == "" {
			t.Errorf("%s: got %d %s", name, a.Status, a.Text)
		}
	}
	w.want(claims(map[string]string{"token_use": "access", "sub": "alice"}), "GET /v1/status", "", 200, "")
	for _, who := range []caller{anyone, w.session("alice")} {
		w.want(who, "POST /v1/challenges", body("user_id", "alice", "nonce", "n"), 401, "unauthorized")
	}
}

func TestAFirstEnrolmentNeedsAFreshSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	old := w.session("alice")
	w.wind(15*time.Minute + time.Second)
	for name, who := range map[string]caller{"old": old, "does not say": claims(map[string]string{"sub": "alice"}), "nonsense": claims(map[string]string{"sub": "alice", "auth_time": "soon"})} {
		a := w.do(who, "POST /v1/enroll", `{}`)
		if a.Status != 401 || a.str("code") != "reauthenticate" || a.Body["max_age"] != 900.0 || !strings.Contains(a.Headers["www-authenticate"], "max_age=900") {
			t.Errorf("%s: got %d %s %v", name, a.Status, a.Text, a.Headers)
		}
	}
	iat := claims(map[string]string{"sub": "alice", "iat": fmt.Sprint(w.clock().Unix())})
	w.want(iat, "POST /v1/enroll", `{}`, 401, "reauthenticate")
	w.deps.Settings.Claims.AuthTimeFromIAT = true
	w.funcs["enroll"] = handler.Enroll(w.deps)
	w.want(iat, "POST /v1/enroll", `{}`, 200, "")
}

// TestFaults takes the store, the key ring and the signer away: nobody gets in, and nothing is lost.
func TestFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	p, _ := w.enrolled("alice")
	c := w.challenge("alice").str("challenge")
	verify := body("challenge", c, "method", "totp", "code", p.code())
	broken := errors.New("broken, secret detail")
	before := w.item("alice")

	for name, fault := range map[string]*error{"store": &w.storeIs, "keys": &w.keysAre, "tokens": &w.signer} {
		w.set(fault, broken)
		a := w.do(anyone, "POST /v1/verify", verify)
		if a.Status != 503 || a.str("code") != "unavailable" || a.Headers["retry-after"] == "" || strings.Contains(a.Text, "secret detail") {
			t.Errorf("without %s: got %d %s %v", name, a.Status, a.Text, a.Headers)
		}
		w.set(fault, nil)
	}
	w.set(&w.storeIs, broken)
	w.want(host(), "POST /v1/challenges", body("user_id", "alice", "nonce", "n"), 503, "unavailable")
	w.want(w.session("alice"), "GET /v1/status", "", 503, "unavailable")
	w.want(w.session("alice"), "GET /v1/history", "", 503, "unavailable")
	w.set(&w.storeIs, nil)
	w.set(&w.keysAre, broken)
	w.want(anyone, "GET /.well-known/jwks.json", "", 503, "unavailable")
	w.set(&w.keysAre, nil)
	if after := w.item("alice"); after != before {
		t.Errorf("a fault changed the account:\n%s\n%s", before, after)
	}
	w.want(anyone, "POST /v1/verify", verify, 200, "") // the same challenge and code, once it works again
	if !strings.Contains(w.logs.String(), "secret detail") {
		t.Error("the cause was not logged")
	}
	if strings.Contains(w.logs.String(), c) || strings.Contains(w.logs.String(), p.code()) {
		t.Error("a challenge or a code was logged")
	}
}

func TestAPanicIsABare500(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	w.deps.Service = nil
	w.funcs["status"] = handler.Status(w.deps)
	a := w.want(w.session("alice"), "GET /v1/status", "", 500, "internal")
	if a.str("request_id") != "req-1" || !strings.Contains(w.logs.String(), "panic") {
		t.Errorf("got %s, logged %s", a.Text, w.logs)
	}
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	p, _ := w.enrolled("alice")
	for range 5 {
		w.want(w.session("alice"), "POST /v1/check", body("code", p.wrong()), 200, "")
	}
	locked := w.want(w.session("alice"), "POST /v1/check", body("code", p.code()), 429, "locked")
	if locked.Headers["retry-after"] != "60" || locked.str("locked_until") == "" {
		t.Errorf("locked: %s %v", locked.Text, locked.Headers)
	}
	admin := handler.Admin(w.deps)
	request := api.AdminRequest{Operation: "unlock", User: "alice", Operator: "eve", Reason: "called in"}
	status, err := admin(t.Context(), request)
	if err != nil || status.LockedUntil != nil || status.State != "enabled" {
		t.Fatalf("unlock: %+v, %v", status, err)
	}
	w.want(w.session("alice"), "POST /v1/check", body("code", p.code()), 200, "")
	request.Operation = "remove_authenticator"
	if status, err = admin(t.Context(), request); err != nil || status.State != "disabled" {
		t.Fatalf("remove: %+v, %v", status, err)
	}
	for name, bad := range map[string]api.AdminRequest{
		"again": request, "unknown": {Operation: "promote", User: "alice", Operator: "eve", Reason: "x"},
		"nobody":      {Operation: "unlock", Operator: "eve", Reason: "x"},
		"no operator": {Operation: "unlock", User: "alice", Reason: "x"}, "no reason": {Operation: "unlock", User: "alice", Operator: "eve"},
	} {
		var problem *api.Problem
		if _, err := admin(t.Context(), bad); !errors.As(err, &problem) || problem.Status >= 500 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnotherBodyUnderAnAnsweredKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "midphase")
	p, _ := w.enrolled("alice")
	key := strings.Repeat("k", 16)
	w.want(w.session("alice").key(key), "POST /v1/backup-code/revoke", body("code", p.code()), 200, "")
	for range 5 {
		w.want(w.session("alice").key(key), "POST /v1/backup-code/revoke", body("code", p.wrong()), 409, "conflict")
	}
	w.want(w.session("alice").key(key), "POST /v1/backup-code/revoke", body("code", p.code()), 429, "locked")
}

// TestLongestChallenge: what a host may tell at most still fits a challenge, and what it may not is its own mistake.
func TestLongestChallenge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "miaxdx")
	user, text := strings.Repeat(`"`, 128), strings.Repeat(`"`, 256)
	request := map[string]any{
		"user_id": user, "email": text, "label": text, "locale": text, "nonce": text, "ip": text,
		"amr":     slices.Repeat([]string{strings.Repeat(`"`, 32)}, 8),
		"subject": map[string]string{"name": text, "birthdate": "1990-01-31", "phone": text},
	}
	send := func() string {
		b, err := json.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	c := w.want(host(), "POST /v1/challenges", send(), 200, "")
	w.want(anyone, "POST /v1/verify/enroll", body("challenge", c.str("challenge")), 200, "")
	for _, name := range []string{"x\u0001", "x\u2028", "x\n"} {
		request["label"] = name
		w.want(host(), "POST /v1/challenges", send(), 400, "invalid_request")
	}
	request["label"], request["subject"] = "x", map[string]string{"birthdate": "31.1.1990"}
	w.want(host(), "POST /v1/challenges", send(), 400, "invalid_request")
}
