package functions_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/identity"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// alsoNeed is what some functions need besides what all do, with values that will do.
var alsoNeed = map[string]map[string]string{
	"notify":        {"NIGHTLATCH_MAIL_QUEUE": "https://sqs.eu-central-1.amazonaws.com/111122223333/mails"},
	"mailer":        {"NIGHTLATCH_WEB": webURL, "NIGHTLATCH_MAIL_FROM": "no-reply@example.com"},
	"reset-request": {"NIGHTLATCH_WEB": webURL, "NIGHTLATCH_PERSONA_TEMPLATE": "itmpl_example", "NIGHTLATCH_PERSONA_SECRET": secretARN},
	"sweep":         {"NIGHTLATCH_WEB": webURL, "NIGHTLATCH_PERSONA_TEMPLATE": "itmpl_example", "NIGHTLATCH_PERSONA_SECRET": secretARN},
	"identity-webhook": {
		"NIGHTLATCH_WEB": webURL, "NIGHTLATCH_PERSONA_TEMPLATE": "itmpl_example", "NIGHTLATCH_PERSONA_SECRET": secretARN,
		"NIGHTLATCH_WEBHOOK_SECRET": secretARN,
	},
}

const secretARN = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:persona-a1b2c3"

// TestSettings: a function that is told too little, or what cannot be, ends before it has answered anyone, and says what
// is wrong in one line.
func TestSettings(t *testing.T) {
	t.Parallel()
	all := map[string]string{
		"AWS_REGION": region, "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
		"NIGHTLATCH_ACCOUNTS_TABLE": "accounts", "NIGHTLATCH_HISTORY_TABLE": "history", "NIGHTLATCH_CONFIG_TABLE": "config",
		"NIGHTLATCH_KMS_KEY": "arn:aws:kms:eu-central-1:111122223333:key/a", "NIGHTLATCH_POLICY": "standard",
		"NIGHTLATCH_APP": "Example", "NIGHTLATCH_ISSUER": issuer, "NIGHTLATCH_AUDIENCE": audience,
	}
	wrong := map[string]string{
		"NIGHTLATCH_ACCOUNTS_TABLE": "a table", "NIGHTLATCH_KMS_KEY": "alias/key", "NIGHTLATCH_POLICY": `{"skew":2}`,
		"NIGHTLATCH_WEB": "http://account.example.com", "NIGHTLATCH_MAIL_FROM": "Example", "NIGHTLATCH_PERSONA_SECRET": "persona",
		"NIGHTLATCH_ISSUER": "http://2fa.example.com", "NIGHTLATCH_ACCOUNT_TABLE": "accounts", "AWS_ENDPOINT_URL_KMS": "localhost",
	}
	for _, name := range names(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ends := func(variable string, settings map[string]string) {
				t.Helper()
				l := startLambda(t, name, program(t, name), settings)
				if l.starts() {
					t.Errorf("%s=%q: the function asks for events", variable, settings[variable])
					return
				}
				said := l.said.String()
				if code := l.process.ProcessState.ExitCode(); code != 1 || strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, variable+": ") {
					t.Errorf("%s=%q: exit status %d, want 1 and one line that names it\n%s", variable, settings[variable], code, said)
				}
			}
			whole := maps.Clone(all)
			maps.Copy(whole, alsoNeed[name])
			if l := startLambda(t, name, program(t, name), whole); !l.starts() {
				t.Fatalf("with all that it needs: %s", l.said)
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

// TestWithoutReviews: where nobody is let in by a review, a function needs nothing of what is for that.
func TestWithoutReviews(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "mirox")
	for variable := range w.settings {
		if slices.ContainsFunc([]string{"_WEB", "_MAIL_QUEUE", "_PERSONA_TEMPLATE", "_SECRET", "_REVIEWERS", "_INQUIRY_URL", "_EVENT_BUS"}, func(part string) bool {
			return strings.HasPrefix(variable, "NIGHTLATCH") && strings.HasSuffix(variable, part)
		}) {
			delete(w.settings, variable)
		}
	}
	w.startAll()
	delivered := w.stream(100)
	c := newClient(t, w.functions, timeout)
	p, _ := c.setUp("alice", c.want(session("alice"), "POST /v1/enroll", `{}`, 200, ""))
	challenge := c.challenge("alice").str("challenge")
	c.want(anyone, "POST /v1/reset-request", object("challenge", challenge), 403, "policy_forbids")
	c.want(anyone, "POST /v1/reset/identity", object("token", "none"), 410, "link_expired")
	c.want(reviewer("carol"), "GET /v1/reviews", "", 200, "")
	e := decode[events.APIGatewayV2HTTPRequest](t, "identity-webhook")
	e.Headers["persona-signature"] = identity.Sign("", []byte(e.Body), time.Now())
	if a := c.send(route(t, e), e); a.status != 503 {
		t.Errorf("a webhook where there is no secret: %d %s, want 503", a.status, a.text)
	}
	if err := w.functions["sweep"].call(struct{}{}, timeout, new(any)); err != nil {
		t.Errorf("sweep: %v", err)
	}
	c.signIn("alice", "totp", p.code())
	delivered("alice")
	if asked := w.functions["notify"].others.permissions(); len(asked) > 0 {
		t.Errorf("without a queue and a bus notify asks for %s", asked)
	}
}

// TestClaims: each function that a session calls reads the session's claims as it is told.
func TestClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	maps.Copy(w.settings, map[string]string{
		"NIGHTLATCH_CLAIM_TOKEN_USE": "id", "NIGHTLATCH_CLAIM_USER": "employee", "NIGHTLATCH_CLAIM_AUTH_TIME": "signed_in",
		"NIGHTLATCH_CLAIM_GROUPS": "roles", "NIGHTLATCH_CLAIM_AMR": "factors", "NIGHTLATCH_REVIEWER_GROUP": "support",
	})
	w.startAll()
	c := newClient(t, w.functions, timeout)
	for _, name := range served() {
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

	who = session("carol")
	claims = who.authorizer.JWT.Claims
	claims["token_use"], claims["employee"], claims["signed_in"] = "id", "carol", claims["auth_time"]
	claims["roles"], claims["factors"] = "[support]", "[mfa]"
	c.want(who, "GET /v1/reviews", "", 200, "")
	claims["roles"] = "[reviewers]"
	c.want(who, "GET /v1/reviews", "", 403, "forbidden")
	claims["roles"], claims["factors"], claims["amr"] = "[support]", "", "[mfa]"
	c.want(who, "GET /v1/reviews", "", 403, "forbidden")
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
