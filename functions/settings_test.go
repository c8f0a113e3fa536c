package functions_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// TestSettings: a function that is told too little, or what cannot be, ends before it has answered anyone, and says what
// is wrong in one line.
func TestSettings(t *testing.T) {
	t.Parallel()
	whole := map[string]string{
		"AWS_REGION": region, "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
		"NIGHTLATCH_ACCOUNTS_TABLE": "accounts", "NIGHTLATCH_HISTORY_TABLE": "history", "NIGHTLATCH_CONFIG_TABLE": "config",
		"NIGHTLATCH_KMS_KEY": "arn:aws:kms:eu-central-1:111122223333:key/a", "NIGHTLATCH_POLICY": "standard",
		"NIGHTLATCH_APP": "Example", "NIGHTLATCH_ISSUER": issuer, "NIGHTLATCH_AUDIENCE": audience,
	}
	wrong := map[string]string{
		"NIGHTLATCH_ACCOUNTS_TABLE": "a table", "NIGHTLATCH_KMS_KEY": "alias/key", "NIGHTLATCH_POLICY": `{"skew":2}`,
		"NIGHTLATCH_ISSUER": "http://2fa.example.com", "NIGHTLATCH_ACCOUNT_TABLE": "accounts", "AWS_ENDPOINT_URL_KMS": "localhost",
	}
	for _, name := range names(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ends := func(variable string, settings map[string]string) {
				t.Helper()
				l := startLambda(t, name, program(t, name), settings)
				select {
				case <-l.ended:
				case <-l.ready:
					t.Errorf("%s=%q: the function asks for events", variable, settings[variable])
					return
				}
				said := l.said.String()
				if code := l.process.ProcessState.ExitCode(); code != 1 || strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, variable+": ") {
					t.Errorf("%s=%q: exit status %d, want 1 and one line that names it\n%s", variable, settings[variable], code, said)
				}
			}
			for variable := range whole {
				settings := maps.Clone(whole)
				delete(settings, variable)
				ends(variable, settings)
			}
			for variable, value := range wrong {
				settings := maps.Clone(whole)
				settings[variable] = value
				ends(variable, settings)
			}
		})
	}
}

// TestClaims: each function that a session calls reads the session's claims as it is told.
func TestClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	maps.Copy(w.settings, map[string]string{
		"NIGHTLATCH_CLAIM_TOKEN_USE": "id", "NIGHTLATCH_CLAIM_USER": "employee", "NIGHTLATCH_CLAIM_AUTH_TIME": "signed_in",
	})
	w.startAll()
	c := newClient(t, w.functions, timeout)
	for _, name := range api.Functions() {
		e := decode[events.APIGatewayV2HTTPRequest](t, name)
		r := route(t, e)
		if r.Caller != api.CallerSession {
			continue
		}
		for _, test := range []struct {
			claims map[string]string
			passes bool
		}{
			{map[string]string{"token_use": "id", "employee": "alice"}, true},
			{map[string]string{"token_use": "id", "sub": "alice"}, false},
			{map[string]string{"token_use": "access", "employee": "alice"}, false},
		} {
			e.RequestContext.Authorizer.JWT.Claims = test.claims
			if a := c.send(r, e); test.passes == (a.str("code") == "unauthorized") {
				t.Errorf("%s: %v is answered %d %s", name, test.claims, a.status, a.text)
			}
		}
	}
	who := session("alice")
	claims := who.authorizer.JWT.Claims
	claims["token_use"], claims["employee"], claims["signed_in"] = "id", "alice", claims["auth_time"]
	delete(claims, "auth_time")
	c.want(who, "POST /v1/enroll", `{}`, 200, "")
}

// TestPolicy: each function decides under the policy that it is told, and says what else it is told.
func TestPolicy(t *testing.T) {
	t.Parallel()
	const policy = `{"max_failures":2,"reset_wait":"12h"}`
	told, err := twofactor.ParsePolicy([]byte(policy))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, policy)
	w.startAll()
	c := newClient(t, w.functions, timeout)

	requests := map[string]func(user, code string) answer{
		"enroll": func(user, code string) answer { return c.do(session(user), "POST /v1/enroll", object("code", code)) },
		"verify": func(user, code string) answer {
			return c.do(anyone, "POST /v1/verify", object("challenge", c.challenge(user).str("challenge"), "method", "totp", "code", code))
		},
		"check": func(user, code string) answer { return c.do(session(user), "POST /v1/check", object("code", code)) },
		"rotate-backup": func(user, code string) answer {
			return c.do(session(user), "POST /v1/backup-code", object("code", code))
		},
		"disable": func(user, code string) answer { return c.do(session(user), "POST /v1/disable", object("code", code)) },
	}
	for name, request := range requests {
		begun := c.want(session(name), "POST /v1/enroll", `{}`, 200, "")
		if uri := begun.str("otpauth_uri"); !strings.Contains(uri, "issuer=Example&") {
			t.Errorf("the app would not show the application's name: %s", uri)
		}
		p, _ := c.setUp(name, begun)
		if a := request(name, p.wrong()); a.body["attempts_remaining"] != 1.0 {
			t.Errorf("%s, with a wrong code: %d %s, want one more attempt", name, a.status, a.text)
		}
	}
	want, err := json.Marshal(told)
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]answer{
		"status": c.want(session("alice"), "GET /v1/status", "", 200, ""), "challenge": c.challenge("alice"),
	} {
		var got struct{ Policy json.RawMessage }
		if err := json.Unmarshal([]byte(a.text), &got); err != nil || string(got.Policy) != string(want) {
			t.Errorf("%s: %v, policy %s, want %s", name, err, got.Policy, want)
		}
	}
	if a := c.challenge("alice"); a.str("app") != "Example" || a.str("support") != "help@example.com" {
		t.Errorf("challenge: %s", a.text)
	}
}
