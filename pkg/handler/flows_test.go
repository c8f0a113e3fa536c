package handler_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
)

// assertion checks an assertion as a host would, with a library that is not ours, and returns its claims.
func (w *world) assertion(signed string) map[string]any {
	w.t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(w.want(anyone, "GET /.well-known/jwks.json", "", 200, "").Text), &set); err != nil {
		w.t.Fatal(err)
	}
	token, err := jwt.ParseSigned(signed, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		w.t.Fatalf("assertion %q: %v", signed, err)
	}
	if got := token.Headers[0].ExtraHeaders["typ"]; got != "nightlatch+jwt" {
		w.t.Errorf("typ = %v", got)
	}
	var standard jwt.Claims
	var all map[string]any
	if err := token.Claims(set, &standard, &all); err != nil {
		w.t.Fatal(err)
	}
	expected := jwt.Expected{Issuer: "https://2fa.example.com", AnyAudience: []string{"example"}, Time: w.clock()}
	if err := standard.ValidateWithLeeway(expected, 0); err != nil {
		w.t.Errorf("assertion: %v", err)
	}
	return all
}

func (w *world) wantAMR(claims map[string]any, want ...any) {
	w.t.Helper()
	if got := claims["amr"]; !cmp.Equal(got, any(want)) {
		w.t.Errorf("amr = %v, want %v", got, want)
	}
}

func TestTheMainJob(t *testing.T) { onEachEngine(t, "standard", theMainJob) }

func theMainJob(t *testing.T, w *world) {
	if a := w.want(host(), "POST /v1/challenges", `{"user_id":"alice","nonce":"n"}`, 200, ""); a.Body["required"] != false {
		t.Fatalf("a user without 2FA: %s", a.Text)
	}
	p, backup := w.enrolled("alice")
	status := w.want(w.session("alice"), "GET /v1/status", "", 200, "")
	if status.str("state") != "enabled" || status.Body["policy"].(map[string]any)["reset_wait"] != "24h" {
		t.Fatalf("status: %s", status.Text)
	}

	// Sign in.
	c := w.challenge("alice")
	if got := fmt.Sprint(c.Body["methods"]); got != "[totp backup_code]" {
		t.Errorf("methods = %s", got)
	}
	if c.str("email_hint") != "a•••@example.com" || c.str("account") != "alice@example.com" || c.str("app") != "Example" {
		t.Errorf("challenge: %s", c.Text)
	}
	verify := body("challenge", c.str("challenge"), "method", "totp", "code", p.code())
	signedIn := w.want(anyone, "POST /v1/verify", verify, 200, "")
	claims := w.assertion(signedIn.str("assertion"))
	w.wantAMR(claims, "pwd", "otp", "mfa")
	for field, want := range map[string]any{"sub": "alice", "nonce": "n-alice", "method": "totp", "state": "enabled", "auth_time": claims["iat"]} {
		if claims[field] != want {
			t.Errorf("%s = %v, want %v", field, claims[field], want)
		}
	}
	// The same request again: the same answer. The same code on another challenge: refused.
	if again := w.assertion(w.want(anyone, "POST /v1/verify", verify, 200, "").str("assertion")); again["jti"] != claims["jti"] || again["iat"] != claims["iat"] || again["exp"] != claims["exp"] {
		t.Errorf("a retry got %v, want %v", again, claims)
	}
	other := w.challenge("alice")
	reused := w.want(anyone, "POST /v1/verify", body("challenge", other.str("challenge"), "method", "totp", "code", p.code()), 422, "code_reused")
	if got := reused.Body["retry_after"].(float64); got < 1 || got > 60 {
		t.Errorf("retry_after = %v", got)
	}

	// Dry run: used, then fresh, which stays usable.
	if a := w.want(w.session("alice"), "POST /v1/check", body("code", p.code()), 200, ""); a.Body["valid"] != true || a.Body["spent"] != true {
		t.Errorf("check of a spent code: %s", a.Text)
	}
	w.wind(30 * time.Second)
	if a := w.want(w.session("alice"), "POST /v1/check", body("code", p.code()), 200, ""); a.Body["valid"] != true || a.Body["spent"] != false {
		t.Errorf("check: %s", a.Text)
	}
	slow := p.codeAt(w.clock().Add(-4 * time.Minute))
	if a := w.want(w.session("alice"), "POST /v1/check", body("code", slow), 200, ""); a.Body["valid"] != false || a.str("reason") != "clock_skew" || a.Body["drift_seconds"] != -240.0 {
		t.Errorf("check on a slow phone: %s", a.Text)
	}

	// A new backup code kills the old one.
	rotated := w.want(w.session("alice"), "POST /v1/backup-code", body("code", p.code()), 200, "")
	if a := w.want(anyone, "POST /v1/verify", body("challenge", other.str("challenge"), "method", "backup_code", "code", backup), 422, "invalid_code"); a.Body["attempts_remaining"] != 4.0 {
		t.Errorf("the old backup code: %s", a.Text)
	}

	// Move to a new phone: the old one stays the one until the new one is confirmed.
	w.wind(30 * time.Second)
	moving := w.want(w.session("alice"), "POST /v1/enroll", body("code", p.code()), 200, "")
	if _, ok := moving.Body["backup_code"]; ok {
		t.Error("a replacement showed a backup code although there is one")
	}
	w.wind(30 * time.Second)
	w.want(anyone, "POST /v1/verify", body("challenge", w.challenge("alice").str("challenge"), "method", "totp", "code", p.code()), 200, "")
	fresh := phone{w, moving.str("manual_secret")}
	w.want(w.session("alice"), "POST /v1/enroll/confirm", body("enrollment_id", moving.str("enrollment_id"), "code", fresh.code()), 200, "")
	w.wind(30 * time.Second)
	w.want(anyone, "POST /v1/verify", body("challenge", w.challenge("alice").str("challenge"), "method", "totp", "code", p.code()), 422, "invalid_code")
	w.want(anyone, "POST /v1/verify", body("challenge", w.challenge("alice").str("challenge"), "method", "totp", "code", fresh.code()), 200, "")

	// The backup code lets in once, and brings the next one and a grant.
	c = w.challenge("alice")
	in := w.want(anyone, "POST /v1/verify", body("challenge", c.str("challenge"), "method", "backup_code", "code", strings.ToLower(rotated.str("backup_code"))), 200, "")
	w.wantAMR(w.assertion(in.str("assertion")), "pwd", "backup_code")
	if in.str("backup_code") == "" || in.str("backup_code") == rotated.str("backup_code") || in.str("grant") == "" {
		t.Fatalf("backup sign-in: %s", in.Text)
	}
	lost := w.want(w.session("alice"), "POST /v1/enroll", body("grant", in.str("grant")), 200, "")
	third := phone{w, lost.str("manual_secret")}
	w.want(w.session("alice"), "POST /v1/enroll/confirm", body("enrollment_id", lost.str("enrollment_id"), "code", third.code()), 200, "")
	w.want(w.session("alice"), "POST /v1/backup-code", body("grant", in.str("grant")), 410, "grant_expired")

	// Off.
	w.wind(30 * time.Second)
	w.want(w.session("alice"), "POST /v1/disable", body("code", third.code()), 200, "")
	if s := w.want(w.session("alice"), "GET /v1/status", "", 200, ""); s.str("state") != "disabled" || s.Body["backup_code"].(map[string]any)["present"] != false {
		t.Errorf("status: %s", s.Text)
	}
	w.want(w.session("alice"), "POST /v1/check", body("code", third.code()), 409, "not_enabled")
}

func TestEnrolInsideTheSignIn(t *testing.T) { onEachEngine(t, "miaxdx", enrolInsideTheSignIn) }

func enrolInsideTheSignIn(t *testing.T, w *world) {
	c := w.challenge("alice")
	if c.Body["required"] != true || c.Body["enrollment_required"] != true || fmt.Sprint(c.Body["methods"]) != "[enroll]" {
		t.Fatalf("challenge: %s", c.Text)
	}
	w.want(anyone, "POST /v1/verify", body("challenge", c.str("challenge"), "method", "totp", "code", "123456"), 401, "challenge_expired")
	begun := w.want(anyone, "POST /v1/verify/enroll", body("challenge", c.str("challenge")), 200, "")
	p := phone{w, begun.str("manual_secret")}
	confirm := body("challenge", c.str("challenge"), "enrollment_id", begun.str("enrollment_id"), "code", p.code())
	done := w.want(anyone, "POST /v1/verify/enroll/confirm", confirm, 200, "")
	claims := w.assertion(done.str("assertion"))
	w.wantAMR(claims, "pwd", "otp")
	if again := w.assertion(w.want(anyone, "POST /v1/verify/enroll/confirm", confirm, 200, "").str("assertion")); again["jti"] != claims["jti"] {
		t.Errorf("a retry made another assertion")
	}
	w.want(anyone, "POST /v1/verify/enroll", body("challenge", c.str("challenge")), 401, "challenge_expired")
	w.wind(30 * time.Second)
	if a := w.want(w.session("alice"), "POST /v1/disable", body("code", p.code()), 403, "policy_forbids"); a.str("setting") != "enforcement" {
		t.Errorf("disable: %s", a.Text)
	}
}

func TestRevokeThenCreate(t *testing.T) { onEachEngine(t, "midphase", revokeThenCreate) }

func revokeThenCreate(t *testing.T, w *world) {
	p, backup := w.enrolled("alice")
	w.want(w.session("alice"), "POST /v1/backup-code", body("code", p.code()), 403, "policy_forbids")
	revoked := w.want(w.session("alice"), "POST /v1/backup-code/revoke", body("code", p.code()), 200, "")
	w.want(anyone, "POST /v1/verify", body("challenge", w.challenge("alice").str("challenge"), "method", "backup_code", "code", backup), 409, "no_backup_code")
	w.want(w.session("alice"), "POST /v1/enroll", body("grant", revoked.str("grant")), 410, "grant_expired") // only the create
	w.want(w.session("bob"), "POST /v1/backup-code", body("grant", revoked.str("grant")), 409, "not_enabled")
	created := w.want(w.session("alice"), "POST /v1/backup-code", body("grant", revoked.str("grant")), 200, "")
	w.want(w.session("alice"), "POST /v1/backup-code", body("grant", revoked.str("grant")), 410, "grant_expired")
	in := w.want(anyone, "POST /v1/verify", body("challenge", w.challenge("alice").str("challenge"), "method", "backup_code", "code", created.str("backup_code")), 200, "")
	if in.str("state") != "enabled" || in.str("backup_code") != "" || in.str("grant") == "" {
		t.Errorf("backup sign-in: %s", in.Text)
	}
	w.want(w.session("alice"), "POST /v1/backup-code", body("grant", in.str("grant")), 200, "")
}

func TestIdempotencyKey(t *testing.T) { onEachEngine(t, "standard", idempotencyKey) }

func idempotencyKey(t *testing.T, w *world) {
	key := strings.Repeat("k", 16)
	one := w.want(w.session("alice").key(key), "POST /v1/enroll", `{}`, 200, "")
	if two := w.want(w.session("alice").key(key), "POST /v1/enroll", `{}`, 200, ""); two.Text != one.Text {
		t.Errorf("a retried begin differs:\n%s\n%s", one.Text, two.Text)
	}
	if other := w.want(w.session("alice").key(key+"2"), "POST /v1/enroll", `{}`, 200, ""); other.str("manual_secret") == one.str("manual_secret") {
		t.Error("another key got the same secret")
	}
	one = w.want(w.session("alice").key(key), "POST /v1/enroll", `{}`, 200, "")
	p := phone{w, one.str("manual_secret")}
	confirm := body("enrollment_id", one.str("enrollment_id"), "code", p.code())
	first := w.want(w.session("alice").key(key), "POST /v1/enroll/confirm", confirm, 200, "")
	if again := w.want(w.session("alice").key(key), "POST /v1/enroll/confirm", confirm, 200, ""); again.Text != first.Text {
		t.Errorf("a retried confirm differs:\n%s\n%s", first.Text, again.Text)
	}
	w.want(w.session("alice"), "POST /v1/enroll/confirm", confirm, 409, "enrollment_expired")

	w.wind(30 * time.Second)
	rotate := body("code", p.code())
	made := w.want(w.session("alice").key(key), "POST /v1/backup-code", rotate, 200, "")
	if again := w.want(w.session("alice").key(key), "POST /v1/backup-code", rotate, 200, ""); again.Text != made.Text {
		t.Errorf("a retried rotation differs:\n%s\n%s", made.Text, again.Text)
	}
	w.want(w.session("alice").key(key+"x"), "POST /v1/backup-code", rotate, 422, "code_reused")
	w.want(w.session("alice").key(key), "POST /v1/disable", rotate, 422, "code_reused") // bound to the route
	w.want(w.session("bob").key(key), "POST /v1/backup-code", rotate, 409, "not_enabled")

	w.wind(30 * time.Second)
	disable := body("code", p.code())
	w.want(w.session("alice").key(key), "POST /v1/disable", disable, 200, "")
	w.want(w.session("alice").key(key), "POST /v1/disable", disable, 200, "")
	w.want(w.session("alice"), "POST /v1/disable", disable, 409, "not_enabled")
	for _, bad := range []string{"short", strings.Repeat("k", 65), strings.Repeat("é", 20)} {
		w.want(w.session("alice").key(bad), "POST /v1/enroll", `{}`, 400, "invalid_request")
	}
}

func TestHostEvents(t *testing.T) { onEachEngine(t, "standard", hostEvents) }

func hostEvents(t *testing.T, w *world) {
	p, _ := w.enrolled("auth0|1")
	event := func(text string, status int, code string) {
		t.Helper()
		w.want(host().to("auth0|1"), "POST /v1/users/{user}/events", text, status, code)
	}
	event(`{"type":"login","ip":"198.51.100.1"}`, 204, "")
	event(`{"type":"password_failed"}`, 204, "")
	event(`{"type":"address_changed","email":"new@example.com"}`, 204, "")
	event(`{"type":"address_changed"}`, 400, "invalid_request")
	event(`{"type":"promoted"}`, 400, "invalid_request")

	c := w.want(host(), "POST /v1/challenges", `{"user_id":"auth0|1","nonce":"n"}`, 200, "")
	if c.str("email_hint") != "n•••@example.com" {
		t.Errorf("hint = %q", c.str("email_hint"))
	}
	event(`{"type":"password_changed"}`, 204, "")
	w.want(anyone, "POST /v1/verify", body("challenge", c.str("challenge"), "method", "totp", "code", p.code()), 401, "challenge_expired")
	event(`{"type":"deleted"}`, 204, "")
	if s := w.want(w.session("auth0|1"), "GET /v1/status", "", 200, ""); s.str("state") != "disabled" {
		t.Errorf("after an erase: %s", s.Text)
	}
	if item := w.item("auth0|1"); strings.Contains(item, "auth\":{") || strings.Contains(item, "contact") {
		t.Errorf("a tombstone says too much: %s", item)
	}
	h := w.want(w.session("auth0|1"), "GET /v1/history", "", 200, "")
	if !strings.Contains(h.Text, `"password_failed","outcome":"failure"`) {
		t.Errorf("history: %s", h.Text)
	}
}

func TestHistoryPages(t *testing.T) { onEachEngine(t, "standard", historyPages) }

func historyPages(t *testing.T, w *world) {
	for range 7 {
		w.want(host().to("alice"), "POST /v1/users/{user}/events", `{"type":"login"}`, 204, "")
		w.wind(time.Second)
	}
	seen, cursor := map[string]bool{}, ""
	for page := 0; ; page++ {
		q := map[string]string{"limit": "3"}
		if cursor != "" {
			q["cursor"] = cursor
		}
		a := w.want(w.session("alice").asking(q), "GET /v1/history", "", 200, "")
		for _, e := range a.Body["events"].([]any) {
			seen[e.(map[string]any)["id"].(string)] = true
		}
		if a.Body["next"] == nil {
			break
		}
		cursor = a.str("next")
	}
	if len(seen) != 7 {
		t.Errorf("pages held %d events, want 7", len(seen))
	}
	for _, q := range []map[string]string{{"limit": "0"}, {"limit": "x"}, {"limit": "201"}, {"cursor": "garbage"}, {"cursor": "AAAA"}, {"cursor": ""}} {
		w.want(w.session("alice").asking(q), "GET /v1/history", "", 400, "invalid_request")
	}
}

func TestExpectEnabled(t *testing.T) { onEachEngine(t, "standard", expectEnabled) }

func expectEnabled(t *testing.T, w *world) {
	w.want(host(), "POST /v1/challenges", `{"user_id":"alice","nonce":"n","expect":"enabled"}`, 409, "not_enabled")
	w.enrolled("alice")
	w.want(host(), "POST /v1/challenges", `{"user_id":"alice","nonce":"n","expect":"enabled"}`, 200, "")
	w.want(host(), "POST /v1/challenges", `{"user_id":"alice","nonce":"n","expect":"disabled"}`, 400, "invalid_request")
}

func TestReservedAMRIsNotTheHostsToClaim(t *testing.T) {
	onEachEngine(t, "standard", reservedAMRIsNotTheHostsToClaim)
}

func reservedAMRIsNotTheHostsToClaim(t *testing.T, w *world) {
	_, backup := w.enrolled("alice")
	c := w.want(host(), "POST /v1/challenges", `{"user_id":"alice","nonce":"n","amr":["pwd","mfa","otp"]}`, 200, "")
	in := w.want(anyone, "POST /v1/verify", body("challenge", c.str("challenge"), "method", "backup_code", "code", backup), 200, "")
	w.wantAMR(w.assertion(in.str("assertion")), "pwd", "backup_code")
}
