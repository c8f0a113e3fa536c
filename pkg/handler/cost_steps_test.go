package handler_test

import (
	"encoding/json"
	"strings"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// fragile locks and suspends after one wrong code.
const fragile = `{"max_failures":1,"monthly_failures":1}`

const someKey = "0123456789abcdef0123456789abcdef"

func (s *scene) atVerify() request { return s.with("totp", s.phone.code()) }

func (s *scene) atWrongVerify() request { return s.with("totp", s.phone.wrong()) }

func (s *scene) atWrongBackup() request { return s.with("backup_code", "AAAAA-AAAAA-AAA") }

func (s *scene) atCheck() request {
	return request{s.session(), "POST /v1/check", body("code", s.phone.code())}
}

func (s *scene) atDisable() request {
	return request{s.session().key(someKey), "POST /v1/disable", body("code", s.phone.code())}
}

func backupSignInAgain(s *scene) request { return s.with("backup_code", s.backup) }

// with is at the sign-in with a code, for which the host has told nothing new.
func (s *scene) with(method, code string) request {
	s.challenge = s.tells().str("challenge")
	return request{anyone, "POST /v1/verify", body("challenge", s.challenge, "method", method, "code", code)}
}

// grantAgain is the grant of a sign-in with the backup code.
func (s *scene) grantAgain() string {
	r := backupSignInAgain(s)
	s.grant = s.do(r.who, r.route, r.body).str("grant")
	return s.grant
}

// insists has 2FA off, and a host that demands it.
func (s *scene) insists() {
	s.after(s.atDisable())
	s.deps.Service.Policy.Enforcement = "required"
	s.challenge = s.tells().str("challenge")
}

// atReset is at the loss of everything, atIdentity at the mailed link, atHint after the identity check, and atDecision in review.
func (s *scene) atReset() request {
	r := s.asks()
	r.body = strings.Replace(r.body, "{", `{"subject":`+body("birthdate", "1990-01-31", "name", s.name, "phone", s.name)+`,`, 1)
	return request{anyone, "POST /v1/reset-request", body("challenge", s.do(r.who, r.route, r.body).str("challenge"))}
}

func (s *scene) atIdentity() request {
	s.after(s.atReset())
	return s.atLink("POST /v1/reset/identity", twofactor.LinkIdentity)
}

func (s *scene) atHint() request {
	s.after(s.atIdentity())
	reset := s.recovery.reset(s.user)
	s.recovery.persona.decides(reset.Inquiry, twofactor.IdentityPassed)
	if len(s.name) == maxText {
		s.recovery.persona.inquiries[reset.Inquiry].person = twofactor.Person{Name: s.name, Birthdate: s.name, Phone: s.name, Address: s.name}
	}
	return request{anyone.signed("signed"), "POST /v1/webhooks/persona", hintOf(reset.Inquiry, reset.ID)}
}

func (s *scene) atDecision() request {
	s.after(s.atHint())
	return request{s.recovery.reviewer("carol").about(s.recovery.reset(s.user).ID), decide, s.recovery.decision(s.user, "approve", matches)}
}

func (s *scene) atLink(route string, purpose twofactor.LinkPurpose) request {
	return request{anyone, route, body("token", s.recovery.link(s.user, purpose))}
}

// order is an operator's, of whom route says so.
func (s *scene) order(operation string) request {
	return request{route: "admin", body: body("operation", operation, "user", s.user, "operator", "bob@example.com", "reason", "The phone is lost.")}
}

// take sends a request, or has an order carried out.
func (s *scene) take(r request) answer {
	s.t.Helper()
	if r.route != "admin" {
		return s.do(r.who, r.route, r.body)
	}
	var in api.AdminRequest
	if err := json.Unmarshal([]byte(r.body), &in); err != nil {
		s.t.Fatal(err)
	}
	if _, err := handler.Admin(s.deps)(s.t.Context(), in); err != nil {
		return answer{Status: 500, Text: err.Error()}
	}
	return answer{Status: 200}
}

// after sends a request, whatever it is answered, and returns it.
func (s *scene) after(r request) request {
	s.do(r.who, r.route, r.body)
	return r
}

// fail has codes fail.
func (s *scene) fail(times int) {
	for range times {
		s.after(request{s.session(), "POST /v1/check", body("code", s.phone.wrong())})
	}
}

// saw is at the report of a host.
func saw(what string, more ...string) func(*scene) request {
	return func(s *scene) request {
		event := append([]string{"type", what, "ip", here, "user_agent", longAgent}, more...)
		return request{host().to(s.user), "POST /v1/users/{user}/events", body(event...)}
	}
}
