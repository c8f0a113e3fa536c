package handler_test

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/mail"
)

// FuzzEvent sends whatever there is to every route, as callers without the proof that it demands, and as others than whom
// it is about. Each is refused in the words of openapi.yaml, and the account of whom it is about stays as it is.
func FuzzEvent(f *testing.F) {
	r := fuzzed(f, "standard")
	p, backup := r.enrolled("alice")
	challenge := r.challenge("alice").str("challenge")
	before := r.item("alice")
	routes := api.Routes()
	for i := range routes {
		for who := range uint8(callers) {
			f.Add(uint8(i), who, `{"challenge":"x","code":"123456","grant":"x","token":"x"}`, "alice", "idempotency-key-1", "x")
			f.Add(uint8(i), who, body("challenge", challenge+"A", "method", "totp", "code", p.wrong()), "=YWxpY2U", "", "t=1,v1=00")
		}
	}
	f.Add(uint8(5), uint8(0), body("challenge", challenge[:len(challenge)-1], "method", "backup_code", "code", backup), "", "", "")
	f.Add(uint8(17), uint8(3), `{"user_id":"alice","nonce":"n","expect":"enabled"}`, "a", "k", "[reviewers]")
	f.Add(uint8(16), uint8(1), "", "200", "-1", "0")
	f.Fuzz(func(t *testing.T, which, who uint8, text, id, key, claim string) {
		r.t = t
		route := routes[int(which)%len(routes)]
		c := callerOf(r, who, claim)
		c.idempotent, c.signature = key, claim
		c.path = map[string]string{"user": id, "id": id}
		c.query = map[string]string{"limit": id, "cursor": key, "state": claim}
		c.base64 = who&16 != 0
		a := r.do(c, route.Key(), text)
		switch {
		case a.Status >= 500:
			t.Errorf("%s: %d %s", route.Key(), a.Status, a.Text)
		case a.Status < 300 && route.Caller != api.CallerPublic:
			t.Errorf("%s: %d without proof", route.Key(), a.Status)
		case a.Status >= 300 && (a.str("code") == "" || a.str("detail") == "" || len(a.Text) > 1000):
			t.Errorf("%s: %d %s", route.Key(), a.Status, a.Text)
		}
		for _, secret := range []string{challenge, backup, p.secret} {
			if strings.Contains(a.Text, secret) {
				t.Errorf("%s tells a secret: %s", route.Key(), a.Text)
			}
		}
		if after := r.item("alice"); after != before {
			t.Errorf("%s has changed the account:\n%s\n%s", route.Key(), before, after)
		}
	})
}

// fuzzed is a recovery that logs nothing, and checks once what is refused alike: there would be no end to it.
func fuzzed(f *testing.F, preset string) *recovery {
	f.Helper()
	r := newRecovery(f, preset)
	r.deps.Log = slog.New(slog.NewJSONHandler(io.Discard, nil))
	r.funcs = functions(r.deps)
	r.held = map[string]bool{}
	return r
}

// callers is how many there are of whom callerOf makes.
const callers = 4

// callerOf is somebody who lacks what any route demands: nobody, or who has a token of another use, or a host without its
// role. What the gateway has not put there is in no event.
func callerOf(r *recovery, who uint8, claim string) caller {
	switch who % callers {
	case 1:
		return claims(map[string]string{"sub": "", "username": "alice", "cognito:groups": claim, "amr": "[mfa]"})
	case 2:
		return claims(map[string]string{"sub": "\x00" + claim, "auth_time": "soon"})
	case 3:
		c := host()
		c.authorizer.IAM.UserARN = ""
		return c
	}
	return anyone
}

// FuzzStranger is the same for a session of somebody else, who may do what they like to their own account: each answer is one
// of openapi.yaml's.
func FuzzStranger(f *testing.F) {
	r := fuzzed(f, "standard")
	p, _ := r.enrolled("alice")
	grant := r.want(anyone, "POST /v1/verify", body("challenge", r.challenge("alice").str("challenge"), "method", "totp", "code", p.code()), 200, "")
	before := r.item("alice")
	routes := api.Routes()
	for i := range routes {
		f.Add(uint8(i), `{}`, "alice", "idempotency-key-1", "[reviewers]")
		f.Add(uint8(i), `{"code":"123456"}`, "50", "", "reviewers-not")
		f.Add(uint8(i), body("enrollment_id", "x", "code", "123456"), "", "x", "")
		f.Add(uint8(i), body("grant", grant.str("assertion")), "x", "x", "")
	}
	f.Fuzz(func(t *testing.T, which uint8, text, id, key, groups string) {
		r.t = t
		route := routes[int(which)%len(routes)]
		c := r.session("mallory")
		c.authorizer.JWT.Claims["cognito:groups"] = groups
		c.idempotent, c.path = key, map[string]string{"user": id, "id": id}
		c.query = map[string]string{"limit": id, "cursor": key}
		a := r.do(c, route.Key(), text)
		if a.Status >= 500 || a.Status < 300 && route.Caller != api.CallerSession && route.Caller != api.CallerPublic {
			t.Errorf("%s: %d %s", route.Key(), a.Status, a.Text)
		}
		if strings.Contains(a.Text, p.secret) {
			t.Errorf("%s tells a secret: %s", route.Key(), a.Text)
		}
		if after := r.item("alice"); after != before {
			t.Errorf("%s has changed the account of another:\n%s\n%s", route.Key(), before, after)
		}
	})
}

// FuzzRawEvent: whatever is handed to a function as a request, by whoever may invoke it, it answers a problem or what the
// route answers, in JSON, and is no error of Lambda's.
func FuzzRawEvent(f *testing.F) {
	r := fuzzed(f, "standard")
	for _, route := range api.Routes() {
		e, err := json.Marshal(events.APIGatewayV2HTTPRequest{RouteKey: route.Key(), Body: `{"code":"123456"}`})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(e)
	}
	f.Add([]byte(`{"routeKey":"GET /v1/status","requestContext":{"authorizer":{"jwt":{"claims":{"sub":"u","auth_time":"1e9"}}}}}`))
	f.Add([]byte(`{"routeKey":"POST /v1/challenges","isBase64Encoded":true,"body":"eyJ1c2VyX2lkIjoidSIsIm5vbmNlIjoibiJ9","requestContext":{"authorizer":{"iam":{"userArn":"x"}}}}`))
	f.Add([]byte(`{"routeKey":"POST /v1/users/{user}/events","body":"{\"type\":\"login\"}","requestContext":{"authorizer":{"iam":{"userArn":"x"}}}}`))
	f.Add([]byte(`{"routeKey":"POST /v1/users/{user}/events","pathParameters":{"user":"=dQ"},"body":"{\"type\":\"login\"}","requestContext":{"authorizer":{"iam":{"userArn":"x"}}}}`))
	f.Add([]byte(`{"routeKey":"GET /v1/reviews","requestContext":{"authorizer":{"jwt":{"claims":{"sub":"u","cognito:groups":"[reviewers]","amr":"[mfa]","auth_time":"1772633100"}}}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var e events.APIGatewayV2HTTPRequest
		if json.Unmarshal(raw, &e) != nil {
			return // Lambda delivers nothing like it
		}
		for name, function := range r.funcs {
			response, err := function(t.Context(), e)
			if err != nil || response.StatusCode < 200 || response.StatusCode >= 500 || response.Headers["cache-control"] == "" {
				t.Fatalf("%s: %+v, %v", name, response, err)
			}
			if response.StatusCode != 204 && !json.Valid([]byte(response.Body)) || response.StatusCode == 204 && response.Body != "" {
				t.Fatalf("%s: %+v", name, response)
			}
		}
	})
}

// FuzzMailFeedback: whatever SES is said to tell, nothing but the notice of a reset that was lost brings it back to the
// reviewers, and what cannot be understood comes again.
func FuzzMailFeedback(f *testing.F) {
	r := fuzzed(f, "miaxdx")
	r.enrolled("alice")
	r.approved("alice")
	before := r.item("alice")
	hear := handler.MailFeedback(r.deps, mail.DecodeTag)
	f.Add([]byte(`{"eventType":"Bounce","bounce":{"bounceType":"Permanent"},"mail":{"tags":{"reset":["AcYzEhxRn0TtQqJv3kXhEr1Yy2pW7mZb"],"to":["user"]}}}`))
	f.Add([]byte(`{"eventType":"Complaint","mail":{"tags":{"reset":["b64_"],"to":["user"]}}}`))
	f.Add([]byte(`{"eventType":"Reject","mail":{"tags":{"reset":[null],"to":["user","user"]}}}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, detail []byte) {
		r.t = t
		err := hear(t.Context(), events.EventBridgeEvent{ID: "1", Source: "aws.ses", Detail: detail})
		if err == nil && !json.Valid(detail) {
			t.Errorf("%q is taken", detail)
		}
		if after := r.item("alice"); after != before {
			t.Errorf("%s has changed the account:\n%s\n%s", detail, before, after)
		}
	})
}

// FuzzAdmin: whatever an operator's payload is, nothing is done that nobody has put their name and a reason to, and what is
// refused is refused with a problem.
func FuzzAdmin(f *testing.F) {
	r := fuzzed(f, "standard")
	r.enrolled("alice")
	before := r.item("alice")
	admin := handler.Admin(r.deps)
	f.Add([]byte(`{"operation":"unlock","user":"alice","operator":"","reason":"x"}`))
	f.Add([]byte(`{"operation":"remove_authenticator","user":"alice","operator":"o","reason":""}`))
	f.Add([]byte(`{"operation":"import","user":"alice","import":{"otpauth_uri":"otpauth://totp/x?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"}}`))
	f.Add([]byte(`{"operation":"export","user":"alice","cursor":"x","operator":"o"}`))
	f.Add([]byte(`{"operation":"replay","dry_run":true}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		r.t = t
		var in api.AdminRequest
		if json.Unmarshal(payload, &in) != nil {
			return // the runtime refuses it
		}
		if in.Operator != "" && in.Reason != "" {
			in.User = "" // who has given both may do anything
		}
		_, err := admin(t.Context(), in)
		var problem *api.Problem
		if err != nil && (!errors.As(err, &problem) || problem.Status >= 500) {
			t.Errorf("%s: %v", payload, err)
		}
		if err == nil && (in.Operator == "" || in.Reason == "") {
			t.Errorf("%s is done for nobody, or for no reason", payload)
		}
		if after := r.item("alice"); after != before {
			t.Errorf("%s has changed the account:\n%s\n%s", payload, before, after)
		}
	})
}
