package main

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/identity"
	"github.com/nightlatch/nightlatch/pkg/token"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// credential is something that opens a door, or opened one: of which kind, and whose.
type credential struct {
	kind, owner string
	value       string
	secret      string // of an authenticator, whose code is the value of the moment
}

func (c *credential) now(p *people) string {
	if c.secret != "" {
		return appCode(c.secret, p.clock.now())
	}
	return c.value
}

// people are users of one service who are as far as one can be in everything, and all that they hold.
type people struct {
	*live
	session  func(user string, amr []string, groups ...string) string
	held     []*credential
	accounts map[string]*twofactor.Account // as they are to be before each attack
	entered  int                           // how many attacks were let in
}

// newPeople has everybody do what gets them their credentials. What takes days comes first: the rest lives for minutes.
func newPeople(t *testing.T) *people {
	t.Helper()
	data := dataDir(t)
	policy := filepath.Join(data, "policy.json")
	if err := os.WriteFile(policy, []byte(`{"backup_rotate":"revoke_then_create"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &people{live: serveWith(t, options{addr: "127.0.0.1:0", data: data, policy: policy, quiet: true})}
	provider, err := openIdentityProvider(filepath.Join(data, "session-key.pem"), p.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	p.session = func(user string, amr []string, groups ...string) string {
		session, err := provider.session(signedIn{
			User: demoUser{Email: user, Groups: groups}, AuthTime: p.clock.now().Unix(), AMR: amr,
		})
		if err != nil {
			t.Fatal(err)
		}
		return session
	}
	p.keep("service key", "", p.serviceKey)
	p.keep("signature", "", identity.Sign(p.webhookKey, []byte("{}"), p.clock.now()))
	for _, user := range []string{"alice", "pete", "vera"} {
		p.enrolled(user)
	}
	p.toReady("alice")
	p.toReview("vera")
	p.asked("pete")
	p.former()
	for _, user := range []string{"gina", "rita", "ida"} {
		p.enrolled(user)
	}
	p.wind(2 * time.Minute) // past the codes that were used
	p.grants()
	p.wind(2 * time.Minute)
	for _, user := range []string{"alice", "gina", "rita", "pete", "erin"} {
		p.keep("session", user, p.session(user, []string{"pwd", "otp", "mfa"}))
	}
	p.keep("session", "carl", p.session("carl", []string{"pwd"}, "reviewers")) // a reviewer without a second factor
	p.keep("reviewer's session", "carol", p.session("carol", []string{"pwd", "otp", "mfa"}, "reviewers"))
	for _, user := range []string{"alice", "gina", "rita", "pete"} {
		p.keep("challenge", user, p.challenge(user))
	}
	p.setUps()
	return p
}

func (p *people) keep(kind, owner, value string) {
	p.t.Helper()
	if value == "" {
		p.t.Fatalf("%s of %s: there is none", kind, owner)
	}
	p.held = append(p.held, &credential{kind: kind, owner: owner, value: value})
}

// of returns a credential: the newest of its kind and owner.
func (p *people) of(kind, owner string) *credential {
	p.t.Helper()
	for i := len(p.held) - 1; i >= 0; i-- {
		if c := p.held[i]; c.kind == kind && c.owner == owner {
			return c
		}
	}
	p.t.Fatalf("nobody has the %s of %q", kind, owner)
	return nil
}

func (p *people) wind(d time.Duration) { p.clock.offset.Add(int64(d / time.Second)) }

func (p *people) load(user string) *twofactor.Account {
	p.t.Helper()
	a, err := p.store.Load(p.t.Context(), twofactor.UserID(user))
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

// enrolled turns 2FA on for a user, who keeps the backup code.
func (p *people) enrolled(user string) {
	p.t.Helper()
	session := p.session(user, []string{"pwd"})
	set := p.want(200, p.post("/v1/enroll", session, "{}"))
	code := &credential{kind: "authenticator code", owner: user, secret: set.str("manual_secret")}
	p.want(200, p.post("/v1/enroll/confirm", session, jsonOf("enrollment_id", set.str("enrollment_id"), "code", code.now(p))))
	p.held = append(p.held, code)
	p.keep("backup code", user, set.str("backup_code"))
	p.keep("former enrolment", user, set.str("enrollment_id"))
}

func (p *people) challenge(user string) string {
	p.t.Helper()
	return p.want(200, p.post("/v1/challenges", p.serviceKey, jsonOf("user_id", user, "email", user+"@example.com", "nonce", "n-"+user))).str("challenge")
}

func (p *people) rules() twofactor.Rules {
	p.t.Helper()
	keys, err := p.keys.Rules(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return twofactor.Rules{Policy: p.functions.Load().policy, Keys: keys}
}

func (p *people) link(user string, purpose twofactor.LinkPurpose) string {
	p.t.Helper()
	link, err := p.rules().Link(p.load(user), purpose)
	if err != nil {
		p.t.Fatal(err)
	}
	return link
}

// asked has a user ask for a reset.
func (p *people) asked(user string) {
	p.t.Helper()
	reset := p.want(202, p.post("/v1/reset-request", "", jsonOf("challenge", p.challenge(user))))
	p.keep("reset id", user, reset.str("id"))
	p.keep("identity link", user, p.link(user, twofactor.LinkIdentity))
	p.keep("cancel link", user, p.link(user, twofactor.LinkCancel))
}

// toReview has the user pass the identity check as well.
func (p *people) toReview(user string) {
	p.t.Helper()
	p.asked(user)
	page := p.want(200, p.post("/v1/reset/identity", "", jsonOf("token", p.of("identity link", user).value))).str("url")
	path := strings.TrimPrefix(page, p.url)
	p.want(200, p.post(path, "", `{"result":"pass"}`))
	p.eventually("in review", func() bool { return p.load(user).Reset.State == twofactor.ResetInReview })
}

// toReady takes a reset to where the mailed link signs in.
func (p *people) toReady(user string) {
	p.t.Helper()
	p.toReview(user)
	for _, name := range []string{"carol", "carl"} { // two, since the host has told nothing to compare with
		reviewer := p.session(name, []string{"pwd", "otp", "mfa"}, "reviewers")
		p.want(200, p.post("/v1/reviews/"+p.of("reset id", user).value+"/decision", reviewer, decision(p.load(user), "approve")))
	}
	p.wind(25 * time.Hour)
	p.eventually("ready", func() bool { return p.load(user).Reset.State == twofactor.ResetReady })
	p.keep("sign-in link", user, p.link(user, twofactor.LinkSignIn))
}

func decision(a *twofactor.Account, decision string) string {
	text, err := json.Marshal(map[string]any{"decision": decision, "case_version": a.Reset.CaseVersion, "identity_matches": true})
	if err != nil {
		panic(err) // it is plain
	}
	return string(text)
}

// backupSignIn signs a user in with the backup code, which gives a grant, an assertion and another backup code.
func (p *people) backupSignIn(user string) answer {
	p.t.Helper()
	return p.want(200, p.post("/v1/verify", "", jsonOf("challenge", p.challenge(user), "method", "backup_code", "code", p.of("backup code", user).value)))
}

// former makes what somebody has from before a new password, and from before the account was erased.
func (p *people) former() {
	p.t.Helper()
	for user, event := range map[string]string{"olga": "password_changed", "dora": "deleted"} {
		p.enrolled(user)
		in := p.backupSignIn(user)
		for _, c := range p.held {
			if c.owner == user && c.kind == "backup code" {
				c.kind = "former backup code"
			}
		}
		p.keep("former grant", user, in.str("grant"))
		p.keep("former challenge", user, p.challenge(user))
		if event == "deleted" { // the one in force goes as well
			p.keep("former backup code", user, in.str("backup_code"))
		} else {
			p.keep("backup code", user, in.str("backup_code"))
		}
		p.want(204, p.post("/v1/users/"+user+"/events", p.serviceKey, jsonOf("type", event)))
	}
	for _, c := range p.held {
		if c.owner == "dora" && c.kind == "authenticator code" {
			c.kind = "former authenticator code"
		}
	}
	p.wind(time.Second) // what begins anew is later than the erasure
	p.enrolled("dora")
}

// grants gets each kind of grant.
func (p *people) grants() {
	p.t.Helper()
	in := p.backupSignIn("gina")
	p.of("backup code", "gina").kind = "former backup code"
	p.keep("grant", "gina", in.str("grant"))
	p.keep("assertion", "gina", in.str("assertion"))
	p.keep("backup code", "gina", in.str("backup_code"))
	rita := p.want(200, p.post("/v1/backup-code/revoke", p.session("rita", []string{"pwd"}), jsonOf("code", p.of("authenticator code", "rita").now(p))))
	p.of("backup code", "rita").kind = "former backup code"
	p.keep("grant for a backup code", "rita", rita.str("grant"))
}

// setUps begins two first set-ups: from a session, and from a challenge that demands one.
func (p *people) setUps() {
	p.t.Helper()
	keys, err := p.keys.Tokens(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	sealed, err := token.SealChallenge(keys.Challenge, twofactor.Challenge{
		ID: twofactor.RandomDigest(), Purpose: twofactor.PurposeEnroll, User: "nora", ExpiresAt: p.clock.now().Add(10 * time.Minute),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.keep("challenge to enrol", "nora", sealed)
	for user, set := range map[string]answer{
		"erin": p.want(200, p.post("/v1/enroll", p.of("session", "erin").value, "{}")),
		"nora": p.want(200, p.post("/v1/verify/enroll", "", jsonOf("challenge", sealed))),
	} {
		p.keep("enrolment", user, set.str("enrollment_id"))
		p.held = append(p.held, &credential{kind: "authenticator code", owner: user, secret: set.str("manual_secret")})
		p.keep("backup code", user, set.str("backup_code"))
	}
}

// remember notes how all accounts stand.
func (p *people) remember() {
	p.accounts = map[string]*twofactor.Account{}
	for _, c := range p.held {
		if c.owner != "" && p.accounts[c.owner] == nil {
			p.accounts[c.owner] = p.load(c.owner)
		}
	}
}

// undo puts accounts back to how they stood, and says whether one had changed.
func (p *people) undo(users ...string) (changed bool) {
	p.t.Helper()
	for _, user := range users {
		stood := p.accounts[user]
		if stood == nil {
			continue
		}
		for a := p.load(user); a.Version != stood.Version; a = p.load(user) {
			changed = true
			next := *stood
			next.Schema, next.Version, next.Past, next.Events = twofactor.Schema, a.Version+1, a.Past, nil
			next.Writes = append(a.Writes[max(0, len(a.Writes)-7):], twofactor.NewWriteID())
			if err := p.store.Replace(p.t.Context(), &next); err == nil {
				p.accounts[user] = &next
				break
			}
		}
	}
	return changed
}

// knock is a request as somebody would send it: all of it texts.
type knock struct {
	method, path string
	header, body map[string]string
	raw          string // instead of a body
}

func (p *people) send(q knock) (status int, told string) {
	p.t.Helper()
	text := q.raw
	if text == "" && q.body != nil {
		content, err := json.Marshal(q.body)
		if err != nil {
			p.t.Fatal(err)
		}
		text = string(content)
	}
	r := httptest.NewRequest(q.method, p.url+"/", strings.NewReader(text))
	r.URL.Path = q.path
	r.RemoteAddr = "127.0.0.1:4711"
	r.Header.Set("content-type", "application/json")
	for name, value := range q.header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	p.http.Handler.ServeHTTP(w, r)
	return w.Code, w.Header().Get("www-authenticate") + " " + w.Body.String()
}

// noise is a text of the same form that nobody has made: another of the same alphabet stands for each character.
func noise(text string) string {
	return strings.Map(func(r rune) rune {
		for _, alphabet := range []string{"0123456789", "abcdef", "ghjkmnpqrstvwxyz", "ABCDEFGHJKMNPQRSTVWXYZ"} { // hex and base32 stay what they are
			if i := strings.IndexRune(alphabet, r); i >= 0 {
				return rune(alphabet[(i+1)%len(alphabet)])
			}
		}
		return r
	}, text)
}
