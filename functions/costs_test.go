package functions_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// asksFor is the host's first step, with all that a host knows.
func (s *till) asksFor() {
	s.w.tb.Helper()
	s.text = s.want(host(""), "POST /v1/challenges", `{"user_id":"`+string(s.user)+`","email":"alice.liddell@example.com","label":"alice.liddell@example.com","locale":"en-GB",`+
		`"nonce":"0123456789abcdef0123456789abcdef","amr":["pwd"],"ip":"203.0.113.107","user_agent":"`+browser+`",`+
		`"subject":{"name":"Sam Sample","birthdate":"1990-01-31"}}`, 200, "").str("challenge")
}

func (s *till) enrols() {
	s.w.tb.Helper()
	begun := s.want(session(string(s.user)), "POST /v1/enroll", `{}`, 200, "")
	s.phone, _ = s.setUp(string(s.user), begun)
	s.backup = begun.str("backup_code")
}

func (s *till) verifies(method, code string, status int, problem string) answer {
	s.w.tb.Helper()
	return s.want(anyone, "POST /v1/verify", object("challenge", s.text, "method", method, "code", code), status, problem)
}

func (s *till) hasEnrolled() {
	s.asksFor()
	s.enrols()
	s.asksFor()
}

func (s *till) failsTo(times int) {
	for range times {
		s.verifies("totp", s.phone.wrong(), 422, "invalid_code")
	}
}

// journeys are what people do: what it takes beforehand, and what is counted.
var journeys = []struct {
	name    string
	prepare func(*till)
	do      func(*till)
}{
	{name: "a sign-in with a code", prepare: (*till).hasEnrolled, do: func(s *till) { s.asksFor(); s.verifies("totp", s.phone.code(), 200, "") }},
	{name: "a wrong code", prepare: (*till).hasEnrolled, do: func(s *till) { s.failsTo(1) }},
	{name: "the wrong code that locks", prepare: func(s *till) { s.hasEnrolled(); s.failsTo(4) }, do: func(s *till) { s.failsTo(1) }},
	{name: "a code while locked", prepare: func(s *till) { s.hasEnrolled(); s.failsTo(5) }, do: func(s *till) { s.verifies("totp", s.phone.code(), 429, "locked") }},
	{name: "a sign-in with the backup code", prepare: (*till).hasEnrolled, do: func(s *till) { s.asksFor(); s.verifies("backup_code", s.backup, 200, "") }},
	{name: "an enrolment", prepare: (*till).asksFor, do: (*till).enrols},
	{name: "a check of a code (dry run)", prepare: (*till).hasEnrolled, do: func(s *till) {
		s.want(session(string(s.user)), "POST /v1/check", object("code", s.phone.code()), 200, "")
	}},
	{name: "a look at status and history", prepare: (*till).hasEnrolled, do: func(s *till) {
		s.want(session(string(s.user)), "GET /v1/status", "", 200, "")
		s.want(session(string(s.user)), "GET /v1/history", "", 200, "")
	}},
	{name: "a host's look at the keys, once an hour", prepare: (*till).hasEnrolled, do: func(s *till) { s.want(anyone, "GET /.well-known/jwks.json", "", 200, "") }},
	{name: "a run of the sweep, every five minutes", prepare: (*till).hasEnrolled, do: func(s *till) {
		if err := s.w.functions["sweep"].call(struct{}{}, timeout, new(any)); err != nil {
			s.w.tb.Error(err)
		}
	}},
	{name: "a recovery, with its review", prepare: (*till).hasEnrolled, do: (*till).recovers},
}

// recovers loses the phone and gets back in: asks, is checked, reviewed and approved, and enrols another phone in a sign-in.
func (s *till) recovers() {
	s.w.tb.Helper()
	s.asksFor()
	id := s.want(anyone, "POST /v1/reset-request", object("challenge", s.text), 202, "").str("id")
	click := object("token", s.mailed("identity"))
	s.decide(s.want(anyone, "POST /v1/reset/identity", click, 200, "").str("url"), "pass")
	s.settle()
	if a := s.review(reviewer("carol"), id, "approve"); a.str("state") != "ready" {
		s.w.tb.Errorf("approved: %s", a.text)
	}
	s.asksFor()
	on := s.verifies("reset_link", s.mailed("sign_in"), 200, "")
	begun := s.want(anyone, "POST /v1/verify/enroll", object("challenge", on.str("challenge")), 200, "")
	s.phone = &phone{tb: s.w.tb, secret: begun.str("manual_secret")}
	s.want(anyone, "POST /v1/verify/enroll/confirm",
		object("challenge", on.str("challenge"), "enrollment_id", begun.str("enrollment_id"), "code", s.phone.code()), 200, "")
}

// TestCosts counts what each journey takes of what AWS asks a price for, through the deployed programs, and holds the tables of
// docs/operations.md to it. make costs prints them.
func TestCosts(t *testing.T) {
	t.Parallel()
	s := newTill(t)
	took := map[string]usage{}
	for round := range 2 { // in the first one the functions are cold
		for i, j := range journeys {
			s.user = twofactor.UserID(fmt.Sprintf("3f29c1d4-8a6b-4e07-b5d2-%06d%06d", round, i))
			j.prepare(s)
			s.settle()
			before := s.spent()
			j.do(s)
			s.settle()
			took[j.name] = s.spent().minus(before)
		}
	}
	for i := range 2 { // a new process, then the same one again
		s.user = twofactor.UserID(fmt.Sprintf("3f29c1d4-8a6b-4e07-b5d2-cold%08d", i))
		s.hasEnrolled()
		s.settle()
		if i == 0 {
			s.w.functions["verify"].stop()
			s.w.functions["verify"] = s.w.start(t, "verify", nil)
		}
		before := s.spent()
		s.verifies("totp", s.phone.code(), 200, "")
		s.settle()
		if i == 0 {
			took[coldStart] = s.spent().minus(before)
		} else {
			took[coldStart] = took[coldStart].minus(s.spent().minus(before))
		}
	}
	delete(took[coldStart], unitLog) // some digits of the seconds that the sign-ins lie apart
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, table := range map[string]string{
		"sign-in": lineTable(took[journeys[0].name]), "journeys": journeyTable(took), "month": s.monthTable(string(text)), "prices": priceTable(),
	} {
		t.Logf("%s:\n%s", name, table)
		begin, end := "<!-- costs: "+name+" -->\n", "<!-- end -->"
		_, rest, found := strings.Cut(string(text), begin)
		told, _, whole := strings.Cut(rest, end)
		if !found || !whole || !alike(told, table) {
			t.Errorf("docs/operations.md has, after %s, another table than is counted:\n%s\nput this in its place:\n%s", strings.TrimSpace(begin), told, table)
		}
	}
}

func (u usage) minus(before usage) usage {
	d := usage{}
	for of, n := range u {
		if n != before[of] {
			d[of] = n - before[of]
		}
	}
	return d
}
