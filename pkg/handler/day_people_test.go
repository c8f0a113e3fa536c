package handler_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// The people of the day: users, and whoever attacks them, reviews their cases and helps them out.

// citizen is a user, and all that they have.
type citizen struct {
	*day
	name   string
	r      *rand.Rand
	moved  int    // how often the address has changed
	secret string // in the app; empty: none
	typed  string // the code that was used last
	backup string // on paper; empty: none
	lost   bool   // phone and paper both
	keys   int    // idempotency keys that were used
}

func (c *citizen) email() string   { return fmt.Sprintf("%s.%d@example.com", c.name, c.moved) }
func (c *citizen) session() caller { return c.day.session(c.name) }
func (c *citizen) phone() phone    { return phone{c.world, c.secret} }

// percent is true so often in a hundred times.
func (c *citizen) percent(p int) bool { return c.r.IntN(100) < p }

// send asks until there is an answer other than that there is none now.
func (c *citizen) send(who caller, route, body string, proven bool) answer {
	q := &asked{user: c.name, route: route, proven: proven}
	a := c.insist(q, who, route, body)
	c.note(q)
	return a
}

// insist sends a request until it is answered, under one idempotency key.
func (c *citizen) insist(q *asked, who caller, route, body string) (a answer) {
	key := ""
	if idempotent(route) {
		c.keys++
		key = fmt.Sprintf("key %s %012d", c.name, c.keys)
	}
	for range 8 {
		if a = c.ask(q, who, route, body, key); a.Status != http.StatusServiceUnavailable {
			break
		}
		c.count("a request is sent again")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if q.status != 200 { // of twins, one success is enough
		q.status, q.code, q.body = a.Status, a.str("code"), a.Body
	}
	return a
}

// challenge gives the password to the host, which asks for a challenge.
func (c *citizen) challenge() answer {
	subject := aliceOnFile
	if c.name[len(c.name)-1] == '7' {
		subject = "{}"
	}
	locale := []string{"en", "de", "fr", "es", "ja", "nl"}[len(c.name)%6]
	return c.send(host(), "POST /v1/challenges", fmt.Sprintf(`{"user_id":%q,"email":%q,"nonce":"n","amr":["pwd"],"locale":%q,"subject":%s,
		"ip":"203.0.113.7","user_agent":"THE AGENT"}`, c.name, c.email(), locale, subject), false)
}

func (c *citizen) tells(what string, more ...string) {
	fields := append([]string{"type", what, "ip", here, "user_agent", "THE AGENT"}, more...)
	c.send(host().to(c.name), "POST /v1/users/{user}/events", body(fields...), false)
}

func verifying(challenge, method, code string) string {
	return body("challenge", challenge, "method", method, "code", code)
}

// live is what a user does in a round.
func (c *citizen) live() {
	switch {
	case c.lost:
		if c.percent(60) {
			c.recover()
		}
	case !c.percent(12):
	case c.secret == "":
		c.begin()
	default:
		c.act()
	}
}

// begin is what somebody does without 2FA.
func (c *citizen) begin() {
	if c.percent(12) {
		a := c.challenge()
		switch {
		case a.Body["required"] == false:
			c.tells("login")
		case a.Body["enrollment_required"] == true:
			c.setUpInside(a.str("challenge"))
		}
		return
	}
	c.confirmed(c.plainSetUp(""))
}

// plainSetUp begins a set-up from a session: the first, or with a code another. Most people type the key into their phone: a
// thousand QR codes would take longer than all else.
func (c *citizen) plainSetUp(code string) answer {
	if c.percent(5) {
		with := `{}`
		if code != "" {
			with = body("code", code)
		}
		return c.send(c.session(), "POST /v1/enroll", with, false)
	}
	request := twofactor.Request{ID: twofactor.RandomDigest(), IP: here}
	for range 8 {
		var s twofactor.SetUp
		var err error
		if code == "" {
			s, err = c.deps.Service.Enroll(c.t.Context(), twofactor.UserID(c.name), twofactor.Enroll{Request: request, AuthTime: c.clock()})
		} else {
			s, err = c.deps.Service.Replace(c.t.Context(), twofactor.UserID(c.name), twofactor.Replace{Request: request, Code: code})
		}
		if errors.Is(err, twofactor.ErrUnavailable) {
			continue
		}
		if err != nil {
			break
		}
		begun := answer{Status: 200, Body: map[string]any{"enrollment_id": s.ID.String(), "manual_secret": s.Secret.Base32()}}
		if s.BackupCode != nil {
			begun.Body["backup_code"] = s.BackupCode.Code.Grouped()
		}
		return begun
	}
	return answer{}
}

// confirmed ends a set-up from a session. It may be abandoned.
func (c *citizen) confirmed(begun answer) {
	c.confirm(begun, func(id, code string) answer {
		return c.send(c.session(), "POST /v1/enroll/confirm", fmt.Sprintf(`{"enrollment_id":%q,"code":%q}`, id, code), false)
	})
}

// setUpInside sets up an app inside a sign-in.
func (c *citizen) setUpInside(challenge string) {
	c.confirm(c.send(anyone, "POST /v1/verify/enroll", body("challenge", challenge), false), func(id, code string) answer {
		return c.send(anyone, "POST /v1/verify/enroll/confirm", body("challenge", challenge, "enrollment_id", id, "code", code), true)
	})
}

func (c *citizen) confirm(begun answer, confirm func(id, code string) answer) {
	if begun.Status != 200 || c.percent(25) {
		return
	}
	fresh := phone{c.world, begun.str("manual_secret")}
	if c.percent(15) {
		confirm(begun.str("enrollment_id"), fresh.wrong())
	}
	done := confirm(begun.str("enrollment_id"), fresh.code())
	if done.Status != 200 {
		return
	}
	c.secret, c.typed, c.lost = fresh.secret, "", false
	if code := begun.str("backup_code") + done.str("backup_code"); code != "" {
		c.backup = code
	}
}

// act is what somebody does with 2FA on.
func (c *citizen) act() {
	p := c.phone()
	switch n := c.r.IntN(100); {
	case n < 30:
		c.signIn()
	case n < 38:
		c.guess("totp", p.wrong(), 1+c.r.IntN(3))
	case n < 41:
		c.guess("totp", p.wrong(), 8)
	case n < 43:
		c.guess("backup_code", "00000-00000-000", 7)
	case n < 49:
		if c.signIn() { // and somebody has looked on
			c.send(anyone.from("198.51.100.99"), "POST /v1/verify", verifying(c.challenge().str("challenge"), "totp", c.typed), false)
		}
	case n < 57 && c.backup != "":
		c.backupSignIn()
	case n < 62: // to another phone, which takes a while
		c.confirmed(c.plainSetUp(p.code()))
	case n < 65:
		c.send(c.session(), "POST /v1/check", body("code", p.code()), false)
	case n < 69:
		c.send(c.session(), "POST /v1/check", body("code", p.wrong()), false)
	case n < 75:
		if a := c.send(c.session(), "POST /v1/backup-code", body("code", p.code()), false); a.Status == 200 {
			c.backup = a.str("backup_code")
		}
	case n < 79:
		if a := c.send(c.session(), "POST /v1/disable", body("code", p.code()), false); a.Status == 200 {
			c.off()
		}
	case n < 83:
		c.tells("password_changed")
	case n < 86:
		c.move()
	case n < 88:
		c.tells("password_failed")
	case n < 90:
		if c.operator("remove_authenticator") {
			c.off()
		}
	case n < 91:
		c.operator("unlock")
	case n < 92:
		c.tells("deleted")
		c.off()
	default:
		c.lost = true
		c.recover()
	}
}

func (c *citizen) off() { c.secret, c.typed, c.backup, c.lost = "", "", "", false }

// signIn signs in with the app: sometimes twice at the same moment.
func (c *citizen) signIn() bool {
	challenge, code := c.challenge().str("challenge"), c.phone().code()
	if challenge == "" {
		return false
	}
	q := &asked{user: c.name, route: "POST /v1/verify", proven: true}
	var wait sync.WaitGroup
	for range 1 + c.r.IntN(5)/4 {
		wait.Go(func() { c.insist(q, anyone, q.route, verifying(challenge, "totp", code)) })
	}
	wait.Wait()
	c.note(q)
	if q.status == 200 {
		c.typed = code
	}
	return q.status == 200
}

// guess is what whoever knows the password tries.
func (c *citizen) guess(method, code string, times int) {
	for range times {
		c.send(anyone.from("198.51.100.99"), "POST /v1/verify", verifying(c.challenge().str("challenge"), method, code), false)
	}
}

// backupSignIn signs in with the paper, and perhaps moves to another phone with the grant.
func (c *citizen) backupSignIn() {
	used := c.backup
	a := c.send(anyone, "POST /v1/verify", verifying(c.challenge().str("challenge"), "backup_code", used), true)
	if a.Status != 200 {
		return
	}
	c.backup = a.str("backup_code")
	c.send(anyone, "POST /v1/verify", verifying(c.challenge().str("challenge"), "backup_code", used), false) // it was good once
	if grant := a.str("grant"); grant != "" && c.percent(20) {
		c.confirmed(c.send(c.session(), "POST /v1/enroll", body("grant", grant), false))
	}
}

func (c *citizen) move() {
	c.mu.Lock()
	c.moved++
	c.mu.Unlock()
	c.tells("address_changed", "email", c.email())
}

func (c *citizen) operator(operation string) bool {
	for range 8 {
		_, err := handler.Admin(c.deps)(c.t.Context(), api.AdminRequest{Operation: operation, User: c.name, Operator: "olga", Reason: "a call"})
		if err == nil {
			return true
		}
	}
	return false
}

// recover goes on with a recovery, wherever it stands.
func (c *citizen) recover() {
	reset, _ := c.send(c.session(), "GET /v1/status", "", false).Body["reset"].(map[string]any)
	state, _ := reset["state"].(string)
	switch state {
	case "identity_pending":
		switch {
		case c.percent(5):
			c.askAgain()
		case c.percent(90):
			c.prove()
		}
	case "in_review", "approved":
		switch n := c.r.IntN(100); {
		case n < 4:
			c.cancel(twofactor.LinkCancel)
		case n < 6:
			c.send(c.session(), "DELETE /v1/reset", "", false)
		case n < 9:
			c.move()
		case n < 12: // it was in the other coat
			c.lost = !c.signIn()
		case n < 15:
			c.askAgain()
		}
	case "ready":
		c.useLink()
	default:
		if c.percent(10) {
			if c.operator("remove_authenticator") {
				c.off()
			}
			return
		}
		c.askAgain()
	}
}

func (c *citizen) askAgain() {
	a := c.challenge()
	if a.Body["required"] == false || a.Body["enrollment_required"] == true {
		c.off()
		return
	}
	c.send(anyone, "POST /v1/reset-request", body("challenge", a.str("challenge")), false)
}

// prove goes through the identity check that the newest mail leads to.
func (c *citizen) prove() {
	link := c.post.link(c.email(), twofactor.LinkIdentity)
	if link == "" {
		return
	}
	c.send(anyone, "POST /v1/reset/show", body("token", link), false)
	a := c.send(anyone, "POST /v1/reset/identity", body("token", link), false)
	page, err := url.Parse(a.str("url"))
	if a.Status != 200 || err != nil {
		return
	}
	result := "pass"
	switch n := c.r.IntN(100); {
	case n < 15:
		result = "fail"
	case n < 30:
		result = "needs_review"
		c.mu.Lock()
		c.undecided = append(c.undecided, page.Path)
		c.mu.Unlock()
	case n < 33:
		result = "expired"
	case n < 36:
		return // the camera does not work
	}
	c.atPersona(page.RequestURI(), result)
}

// atPersona presses a button at the identity service.
func (d *day) atPersona(page, result string) {
	r := httptest.NewRequest("POST", page, strings.NewReader(body("result", result)))
	r.Header.Set("content-type", "application/json")
	d.standin.ServeHTTP(httptest.NewRecorder(), r)
}

// cancel presses the button in a mail.
func (c *citizen) cancel(purpose twofactor.LinkPurpose) {
	if link := c.post.link(c.email(), purpose); link != "" {
		c.send(anyone, "POST /v1/reset/cancel", body("token", link), false)
	}
}

// useLink is the sign-in that a recovery ends with. At the same moment its mails may be read by somebody who has not asked
// for it, and the schedule may fire.
func (c *citizen) useLink() {
	link := c.post.link(c.email(), twofactor.LinkSignIn)
	challenge := c.challenge().str("challenge")
	if link == "" || challenge == "" {
		return
	}
	if c.percent(10) { // with another's challenge it opens nothing
		c.send(anyone, "POST /v1/verify", verifying(challenge, "reset_link", altered(link)), false)
	}
	var wait sync.WaitGroup
	if c.percent(20) {
		wait.Go(func() { c.cancel(twofactor.LinkCancel) })
		wait.Go(func() { _ = c.deps.Service.Sweep(c.t.Context(), twofactor.UserID(c.name)) })
	}
	a := c.send(anyone, "POST /v1/verify", verifying(challenge, "reset_link", link), true)
	wait.Wait()
	switch {
	case a.Status != 200:
	case a.Body["enrollment_required"] == true:
		c.setUpInside(a.str("challenge"))
	default:
		c.off()
	}
}

// review is a reviewer's round.
func (d *day) review(name string, r *rand.Rand) {
	me := &citizen{day: d, name: name, r: r}
	queue := me.send(d.reviewer(name), "GET /v1/reviews", "", false)
	cases, _ := queue.Body["cases"].([]any)
	for _, one := range cases {
		id, _ := one.(map[string]any)["id"].(string)
		seen := me.send(d.reviewer(name).about(id), "GET /v1/reviews/{id}", "", false)
		if seen.Status != 200 {
			continue
		}
		decision := ""
		switch n := r.IntN(100); {
		case n < 70:
			decision = `"approve","identity_matches":true`
		case n < 78:
			decision = `"deny","reason_code":"identity_mismatch","note":"not the same"`
		case n < 83:
			decision = `"retry_identity","reason_code":"document_unreadable"`
		case n < 86:
			decision = `"stop","reason_code":"suspicious_request"`
		default:
			continue
		}
		me.send(d.reviewer(name).about(id), decide, fmt.Sprintf(`{"decision":%s,"case_version":%v}`, decision, seen.Body["case_version"]), false)
	}
}

func functionOf(route string) string {
	for _, r := range api.Routes() {
		if r.Key() == route {
			return r.Function
		}
	}
	return ""
}

func idempotent(route string) bool {
	for _, r := range api.Routes() {
		if r.Key() == route {
			return r.Idempotent
		}
	}
	return false
}
