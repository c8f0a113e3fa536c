package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/host"
	"github.com/nightlatch/nightlatch/pkg/identity"
	"github.com/nightlatch/nightlatch/pkg/token"
)

// slot is where a request has a credential: which kinds are at home there, and the one that succeeds.
type slot struct {
	takes string // kinds, with commas
	holds *credential
}

func (s slot) takesKind(kind string) bool { return slices.Contains(strings.Split(s.takes, ","), kind) }

// door is a request that succeeds. Its slots are named as OpenAPI names what they are in; "authorization" is the header.
type door struct {
	route string
	user  string
	slots map[string]slot
	plain map[string]string // fields that prove nothing
	raw   string
}

// doors has each route with each proof that it takes. Where another route or field is added it has to be added here: the
// test fails without.
func (p *people) doors() []door {
	session := func(user string) slot { return slot{"session,reviewer's session", p.of("session", user)} }
	code := func(user string) slot { return slot{"authenticator code", p.of("authenticator code", user)} }
	carol := slot{"reviewer's session", p.of("reviewer's session", "carol")}
	service := slot{"service key", p.of("service key", "")}
	one := func(takes, owner string) slot {
		kind, _, _ := strings.Cut(takes, ",")
		return slot{takes, p.of(kind, owner)}
	}
	verify := func(user, method string, code slot) door {
		return door{"POST /v1/verify", user, map[string]slot{"challenge": one("challenge", user), "code": code}, map[string]string{"method": method}, ""}
	}
	vera := p.load("vera")
	return []door{
		{"POST /v1/enroll", "gina", map[string]slot{"authorization": session("gina"), "code": code("gina")}, nil, ""},
		{"POST /v1/enroll", "gina", map[string]slot{"authorization": session("gina"), "grant": one("grant", "gina")}, nil, ""},
		{"POST /v1/enroll", "erin", map[string]slot{"authorization": session("erin")}, nil, ""},
		{"POST /v1/enroll/confirm", "erin", map[string]slot{"authorization": session("erin"), "enrollment_id": one("enrolment", "erin"), "code": code("erin")}, nil, ""},
		{"DELETE /v1/enroll", "erin", map[string]slot{"authorization": session("erin")}, nil, ""},
		{"POST /v1/verify/enroll", "nora", map[string]slot{"challenge": one("challenge to enrol", "nora")}, nil, ""},
		{"POST /v1/verify/enroll/confirm", "nora", map[string]slot{
			"challenge": one("challenge to enrol", "nora"), "enrollment_id": one("enrolment", "nora"), "code": code("nora")}, nil, ""},
		verify("gina", "totp", code("gina")),
		verify("gina", "backup_code", one("backup code", "gina")),
		verify("alice", "reset_link", one("sign-in link", "alice")),
		{"POST /v1/check", "gina", map[string]slot{"authorization": session("gina"), "code": code("gina")}, nil, ""},
		{"POST /v1/backup-code", "rita", map[string]slot{"authorization": session("rita"), "code": code("rita")}, nil, ""},
		{"POST /v1/backup-code", "rita", map[string]slot{"authorization": session("rita"), "grant": one("grant for a backup code,grant", "rita")}, nil, ""},
		{"POST /v1/backup-code/revoke", "gina", map[string]slot{"authorization": session("gina"), "code": code("gina")}, nil, ""},
		{"POST /v1/disable", "gina", map[string]slot{"authorization": session("gina"), "code": code("gina")}, nil, ""},
		{"POST /v1/reset-request", "gina", map[string]slot{"challenge": one("challenge", "gina")}, nil, ""},
		{"POST /v1/reset/show", "alice", map[string]slot{"token": one("sign-in link,identity link,cancel link", "alice")}, nil, ""},
		{"POST /v1/reset/identity", "pete", map[string]slot{"token": one("identity link", "pete")}, nil, ""},
		{"POST /v1/reset/cancel", "pete", map[string]slot{"token": one("cancel link,identity link,sign-in link", "pete")}, nil, ""},
		{"DELETE /v1/reset", "pete", map[string]slot{"authorization": session("pete")}, nil, ""},
		{"GET /v1/status", "gina", map[string]slot{"authorization": session("gina")}, nil, ""},
		{"GET /v1/history", "gina", map[string]slot{"authorization": session("gina")}, map[string]string{"limit": "", "cursor": ""}, ""},
		{"POST /v1/challenges", "gina", map[string]slot{"authorization": service}, map[string]string{
			"user_id": "gina", "nonce": "n", "email": "", "label": "", "locale": "", "amr": "", "ip": "", "user_agent": "", "expect": "", "subject": ""}, ""},
		{"POST /v1/users/{user}/events", "gina", map[string]slot{"authorization": service}, map[string]string{
			"type": "login", "user": "gina", "email": "", "ip": "", "user_agent": ""}, ""},
		{"GET /v1/reviews", "carol", map[string]slot{"authorization": carol}, map[string]string{"state": "", "cursor": ""}, ""},
		{"GET /v1/reviews/{id}", "carol", map[string]slot{"authorization": carol, "id": one("reset id", "vera")}, nil, ""},
		{"POST /v1/reviews/{id}/decision", "carol", map[string]slot{"authorization": carol, "id": one("reset id", "vera")}, map[string]string{
			"decision": "", "case_version": "", "identity_matches": "", "reason_code": "", "note": ""}, decision(vera, "stop")},
		{"POST /v1/webhooks/persona", "vera", map[string]slot{"persona-signature": {"signature", &credential{value: identity.Sign(p.webhookKey, []byte(hint), p.clock.now())}}},
			map[string]string{"data": "", "links": ""}, hint},
		{"GET /.well-known/jwks.json", "", nil, nil, ""},
	}
}

// hint is a webhook that says nothing.
const hint = `{"data":{"type":"event","attributes":{"name":"inquiry.approved"}}}`

// with is the door's request, with another text in a slot; "" leaves that out.
func (d door) with(p *people, name, value string) knock {
	method, path, _ := strings.Cut(d.route, " ")
	q := knock{method: method, header: map[string]string{}, raw: d.raw}
	if method == http.MethodPost {
		q.body = map[string]string{}
	}
	put := func(name, value string) {
		switch {
		case value == "":
		case name == "authorization":
			q.header[name] = "Bearer " + value
		case name == "persona-signature":
			q.header[name] = value
		case strings.Contains(path, "{"+name+"}"):
			path = strings.ReplaceAll(path, "{"+name+"}", value)
		default:
			q.body[name] = value
		}
	}
	for field, value := range d.plain {
		put(field, value)
	}
	for field, s := range d.slots {
		if field != name {
			put(field, s.holds.now(p))
		}
	}
	put(name, value)
	q.path = path
	return q
}

// proof is the slot by which a route knows its caller.
func (d door) proof() string {
	for _, name := range []string{"authorization", "persona-signature", "challenge", "token"} {
		if _, ok := d.slots[name]; ok {
			return name
		}
	}
	return ""
}

// TestAttackConfusedTokens: somebody holds every kind of credential that there is, their own and other people's, good ones
// and former ones, and puts each into every place of every route where another is meant. They want any of them to pass for
// what it is not. They get what noise of the same form gets, to the letter; no account changes; and nothing of one user is
// good for another.
func TestAttackConfusedTokens(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	p.remember()
	everybody := slices.Sorted(maps.Keys(p.accounts))
	doors := p.doors()
	p.covers(doors)
	misplaced, strangers, elsewhere := 0, 0, 0
	for _, d := range doors {
		for name, s := range d.slots {
			for _, c := range p.held {
				value := c.now(p)
				home := s.takesKind(c.kind)
				if value == s.holds.now(p) || home && c.owner == d.user && !strings.HasSuffix(c.kind, "code") {
					continue // it is at home, and whose it should be
				}
				status, told := p.send(d.with(p, name, value))
				own := home && (len(d.slots) == 1 || c.kind == "reset id") // it opens what is its own; reviewers see every case
				if in(status, told) && !own {
					p.letIn("%s of %s: the %s of %s as its %s: %d %s", d.route, d.user, c.kind, c.owner, name, status, told)
				}
				changed := p.undo(d.user, c.owner)
				if home {
					strangers++
				} else {
					misplaced++
					if changed && name != "code" {
						t.Errorf("%s of %s: the %s of %s as its %s changes an account", d.route, d.user, c.kind, c.owner, name)
					}
				}
				noReviewer := c.kind == "session" && s.takes == "reviewer's session" && status == http.StatusForbidden
				if home && name != "code" || noReviewer {
					continue // it is known for what it is
				}
				as, answer := p.send(d.with(p, name, p.noiseLike(value, d.user)))
				p.undo(d.user)
				if as != status || answer != told {
					t.Errorf("%s of %s: the %s of %s as its %s is told from noise:\n%d %s\n%d %s", d.route, d.user, c.kind, c.owner, name, status, told, as, answer)
				}
			}
		}
		// In a header that the route does not read, none stands in for the proof that is missing.
		if proof := d.proof(); proof != "" {
			for _, c := range p.held {
				var answers [2]string
				for i, value := range []string{c.now(p), noise(c.now(p))} {
					q := d.with(p, proof, "")
					for _, header := range []string{"authorization", "persona-signature", "idempotency-key", "cookie", "x-amz-security-token"} {
						if header != proof {
							q.header[header] = strings.TrimSpace(map[string]string{"authorization": "Bearer "}[header] + value)
						}
					}
					status, told := p.send(q)
					if in(status, told) {
						p.letIn("%s without its %s, and the %s of %s in the headers: %d %s", d.route, proof, c.kind, c.owner, status, told)
					}
					answers[i] = told
				}
				if elsewhere++; answers[0] != answers[1] {
					t.Errorf("%s without its %s: the %s of %s in the headers is told from noise: %s; %s", d.route, proof, c.kind, c.owner, answers[0], answers[1])
				}
			}
		}
		if p.undo(everybody...) {
			t.Errorf("%s: what was refused has changed an account", d.route)
		}
		// And all of this was no use for want of the one thing that was replaced.
		if status, told := p.send(d.with(p, "", "")); !in(status, told) {
			t.Errorf("%s of %s, with all that it takes: %d %s", d.route, d.user, status, told)
		}
		p.undo(everybody...)
	}
	p.sealedApart()
	p.lesserGrant()
	p.foreignKey()
	p.atTheHost()
	t.Logf("%d credentials of %d kinds at %d routes: %d in places that routes read, %d of them of another kind, %d another user's or a former one; besides, %d in headers that nobody reads; %d let in",
		len(p.held), len(p.kinds()), len(api.Routes()), misplaced+strangers, misplaced, strangers, elsewhere, p.entered)
}

// sealedApart: what is sealed as one kind does not even open as the other. No answer shows it, since what is in a grant is
// no challenge either.
func (p *people) sealedApart() {
	p.t.Helper()
	keys, err := p.keys.Tokens(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	opened := map[string]int{}
	for _, c := range p.held {
		if _, err := token.OpenChallenge(keys.Challenge, c.value); err == nil {
			if opened["challenge"]++; !strings.Contains(c.kind, "challenge") {
				p.t.Errorf("the %s of %s opens as a challenge", c.kind, c.owner)
			}
		}
		if _, err := token.OpenGrant(keys.Challenge, c.value); err == nil {
			if opened["grant"]++; !strings.Contains(c.kind, "grant") {
				p.t.Errorf("the %s of %s opens as a grant", c.kind, c.owner)
			}
		}
	}
	if opened["challenge"] == 0 || opened["grant"] == 0 {
		p.t.Errorf("opened as what they are: %v", opened)
	}
}

// lesserGrant: a grant for a backup code moves 2FA to no other phone, for its own user either.
func (p *people) lesserGrant() {
	p.t.Helper()
	q := knock{method: "POST", path: "/v1/enroll", header: as(p.of("session", "rita").value), body: map[string]string{}}
	var answers [2]string
	grant := p.of("grant for a backup code", "rita").value
	for i, value := range []string{grant, noise(grant)} {
		q.body["grant"] = value
		if _, answers[i] = p.send(q); !strings.Contains(answers[i], string(api.CodeGrantExpired)) {
			p.t.Errorf("a grant for a backup code at another route: %s", answers[i])
		}
	}
	if answers[0] != answers[1] {
		p.t.Errorf("a grant for a backup code is told from noise: %s, %s", answers[0], answers[1])
	}
}

// foreignKey: the answer that is kept under an Idempotency-Key is for who was given it, at that route.
func (p *people) foreignKey() {
	p.t.Helper()
	const key = "an-idempotency-key-of-ida"
	q := knock{method: "POST", path: "/v1/backup-code/revoke", header: as(p.session("ida", []string{"pwd"})),
		body: map[string]string{"code": p.of("authenticator code", "ida").now(p)}}
	q.header["idempotency-key"] = key
	var answers [2]string
	for i := range answers {
		var status int
		if status, answers[i] = p.send(q); status != http.StatusOK {
			p.t.Fatalf("ida: %d %s", status, answers[i])
		}
	}
	if answers[0] == "" || len(answers[0]) != len(answers[1]) { // the grant is the same one, sealed anew
		p.t.Errorf("ida's retry: %s, %s", answers[0], answers[1])
	}
	q.path = "/v1/disable"
	if status, told := p.send(q); in(status, told) {
		p.letIn("ida's request at another route: %d %s", status, told)
	}
	q.path = "/v1/backup-code/revoke"
	for _, c := range p.held {
		if strings.HasSuffix(c.kind, "session") {
			q.header["authorization"] = "Bearer " + c.value
			if status, told := p.send(q); in(status, told) || strings.Contains(told, `"grant"`) {
				p.letIn("ida's request, sent by %s: %d %s", c.owner, status, told)
			}
		}
	}
}

// atTheHost: it takes nothing for an assertion but that of the sign-in which it waits for.
func (p *people) atTheHost() {
	p.t.Helper()
	status, told := p.send(knock{method: "POST", path: "/v1/verify", body: map[string]string{
		"challenge": p.of("challenge", "gina").value, "method": "totp", "code": p.of("authenticator code", "gina").now(p)}})
	var in struct{ Assertion string }
	if err := json.Unmarshal([]byte(strings.TrimSpace(told)), &in); err != nil || in.Assertion == "" {
		p.t.Fatalf("gina: %d %s, %v", status, told, err)
	}
	right := host.Expected{User: "gina", Nonce: "n-gina"}
	for _, c := range p.held {
		if claims, err := p.demo.VerifyAssertion(p.t.Context(), c.now(p), right); err == nil {
			p.letIn("the host takes the %s of %s: %+v", c.kind, c.owner, claims)
		}
		if c.owner != "gina" {
			if _, err := p.demo.VerifyAssertion(p.t.Context(), in.Assertion, host.Expected{User: c.owner, Nonce: "n-gina"}); err == nil {
				p.letIn("gina's assertion signs %q in", c.owner)
			}
		}
	}
	if _, err := p.demo.VerifyAssertion(p.t.Context(), in.Assertion, host.Expected{User: "gina", Nonce: "n-alice"}); err == nil {
		p.letIn("gina's assertion is good for another sign-in of hers")
	}
	if _, err := p.demo.VerifyAssertion(p.t.Context(), in.Assertion, right); err != nil {
		p.t.Errorf("gina: %v", err)
	}
}

// letIn says of what, and counts it.
func (p *people) letIn(format string, args ...any) {
	p.t.Helper()
	p.entered++
	p.t.Errorf(format, args...)
}

// in says whether an answer is what was wanted: a check's can be a wrong code's.
func in(status int, told string) bool {
	return status < 300 && !strings.Contains(told, `"valid":false`)
}

func (p *people) kinds() map[string]bool {
	kinds := map[string]bool{}
	for _, c := range p.held {
		kinds[c.kind] = true
	}
	return kinds
}

var sixDigits = regexp.MustCompile(`^[0-9]{6}$`)

// noiseLike is noise that is not by chance a code of the user's.
func (p *people) noiseLike(value, user string) string {
	for _, c := range p.held {
		if c.kind == "authenticator code" && c.owner == user && sixDigits.MatchString(value) {
			return wrongCodes(c.secret, p.clock.now(), 1)[0]
		}
	}
	return noise(value)
}

// covers fails the test unless the doors have every route and every member of its request.
func (p *people) covers(doors []door) {
	p.t.Helper()
	document, err := openapi3.NewLoader().LoadFromData(api.OpenAPI())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, r := range api.Routes() {
		known := map[string]bool{"idempotency-key": true} // which is put everywhere
		found := false
		for _, d := range doors {
			if d.route == r.Key() {
				found = true
				for name := range d.slots {
					known[name] = true
				}
				for name := range d.plain {
					known[name] = true
				}
			}
		}
		if !found {
			p.t.Errorf("%s is not attacked: add it to doors", r.Key())
			continue
		}
		for _, member := range members(document.Paths.Value(r.Path).GetOperation(r.Method)) {
			if !known[member] {
				p.t.Errorf("%s: %s is not attacked: add it to its door, as a slot where it proves something", r.Key(), member)
			}
		}
	}
}

// members are the parameters and the members of the body of an operation.
func members(o *openapi3.Operation) (names []string) {
	for _, parameter := range o.Parameters {
		names = append(names, strings.ToLower(parameter.Value.Name))
	}
	if o.RequestBody == nil {
		return names
	}
	var of func(s *openapi3.SchemaRef)
	of = func(s *openapi3.SchemaRef) {
		names = slices.AppendSeq(names, maps.Keys(s.Value.Properties))
		for _, parts := range []openapi3.SchemaRefs{s.Value.AllOf, s.Value.OneOf, s.Value.AnyOf} {
			for _, part := range parts {
				of(part)
			}
		}
	}
	for _, media := range o.RequestBody.Value.Content {
		of(media.Schema)
	}
	return names
}
