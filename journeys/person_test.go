package journeys_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The password of all the demo users.
const rightPassword, wrongPassword = "correct horse", "wrong horse"

// A person has an account, a browser, phones and a piece of paper.
type person struct {
	email string

	browser   *http.Client // with its cookies
	session   string       // empty: not signed in
	challenge string       // of the sign-in that waits for a second factor
	grant     string       // stands in for a code for 15 minutes after a backup sign-in
	setUp     *answer      // the dialog with the QR code that is open

	phones  map[string]*phone
	phone   *phone // the one in the hand
	secrets [][]byte
	paper   []string // backup codes that were written down, the newest last
	typed   string   // the last code from a phone

	last      *answer        // to what was done last
	assertion map[string]any // what the last sign-in told the host

	letter    letter      // the mail that was read last
	link      string      // the token of the mailed link that was followed last
	reviewing string      // the id of the case that is open
	shown     json.Number // and its version

	watch    string         // a session, not the browser's, by which the script looks at the account
	baseline map[string]any // the account's status when it was looked at last
}

// mustBeJudged fails when something was refused and no line of the script said so.
func (a *answer) mustBeJudged() error {
	if a == nil || a.ok() || a.judged {
		return nil
	}
	return fmt.Errorf("%q was refused: %d %s (%s %s)", a.to, a.status, a.text("code"), a.text("reason"), a.text("setting"))
}

// request sends what a line of the script does, as the browser of who acts.
func (w *world) request(method, path string, body any) (*answer, error) {
	return w.server.ask(w.who.browser, w.who.session, method, path, body)
}

// act sends a request whose answer the next lines judge. A refusal that they do not expect fails the script.
func (w *world) act(ts *testscript.TestScript, line, method, path string, body any) *answer {
	ts.Check(w.who.last.mustBeJudged())
	a, err := w.request(method, path, body)
	ts.Check(err)
	a.to = line
	w.who.last = a
	return a
}

// password opens a new browser and gives the demo host the password.
func (w *world) password(ts *testscript.TestScript, line, password string) {
	p := w.who
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	p.browser, p.session, p.challenge, p.setUp = &http.Client{Jar: jar, Timeout: patience}, "", "", nil
	a := w.act(ts, line, "POST", "/demo/login", map[string]string{"email": p.email, "password": password})
	p.challenge = a.text("challenge")
	if session := a.text("session"); session != "" {
		ts.Check(w.signedIn(session))
	}
}

// signedIn gives the browser its session, and looks at the account for the first time.
func (w *world) signedIn(session string) error {
	w.who.session, w.who.watch, w.who.challenge = session, session, ""
	if w.who.baseline != nil {
		return nil
	}
	var err error
	w.who.baseline, err = w.status()
	return err
}

// finish takes a sign-in's assertion to the demo host, which grants a session for it.
func (w *world) finish(ts *testscript.TestScript, a *answer) {
	assertion := a.text("assertion")
	if assertion == "" {
		return
	}
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		ts.Fatalf("the assertion is no JWT: %s", assertion)
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	ts.Check(err)
	w.who.assertion = nil
	ts.Check(json.Unmarshal(claims, &w.who.assertion))
	granted, err := w.request("POST", "/demo/session", map[string]string{"assertion": assertion})
	ts.Check(err)
	session := granted.text("session")
	if session == "" {
		ts.Fatalf("the host did not take the assertion: %d %s", granted.status, granted.text("detail"))
	}
	ts.Check(w.signedIn(session))
}

// enroll opens the set-up: inside a sign-in with its challenge, otherwise from the session.
func (w *world) enroll(ts *testscript.TestScript, args []string) {
	p, path, body := w.who, "/v1/enroll", map[string]string{}
	switch {
	case p.session == "":
		path, body["challenge"] = "/v1/verify/enroll", p.challenge
	case len(args) == 1:
		w.prove(ts, args[0], body)
	}
	if a := w.act(ts, line("enroll", args), "POST", path, body); a.ok() {
		p.setUp = a
	}
}

// confirm gives the set-up its first code.
func (w *world) confirm(ts *testscript.TestScript, args []string) {
	p := w.who
	if p.setUp == nil {
		ts.Fatalf("no set-up is open: enroll comes first")
	}
	path, body := "/v1/enroll/confirm", map[string]string{"enrollment_id": p.setUp.text("enrollment_id"), "code": w.fromPhone(ts, args[0])}
	if p.session == "" {
		path, body["challenge"] = "/v1/verify/enroll/confirm", p.challenge
	}
	if a := w.act(ts, line("confirm", args), "POST", path, body); a.ok() {
		w.finish(ts, a)
	}
}

// code is the second factor of a sign-in.
func (w *world) code(ts *testscript.TestScript, args []string) {
	body := map[string]string{"challenge": w.who.challenge, "method": "totp"}
	if backup, ok := w.fromPaper(ts, args[0]); ok {
		body["method"], body["code"] = "backup_code", backup
	} else if args[0] == "link" {
		body["method"], body["code"] = "reset_link", w.who.link
	} else {
		body["code"] = w.fromPhone(ts, args[0])
	}
	if a := w.act(ts, line("code", args), "POST", "/v1/verify", body); a.ok() {
		if another := a.text("challenge"); another != "" { // the sign-in goes on
			w.who.challenge = another
		}
		w.keepGrant(a)
		w.finish(ts, a)
	}
}

// manage is what a signed-in user does with a code or a grant.
func (w *world) manage(ts *testscript.TestScript, name string, args []string, path string) {
	body := map[string]string{}
	if len(args) == 1 {
		w.prove(ts, args[0], body)
	}
	w.keepGrant(w.act(ts, line(name, args), "POST", path, body))
}

func (w *world) keepGrant(a *answer) {
	if grant := a.text("grant"); grant != "" {
		w.who.grant = grant
	}
}

// prove adds a code or the grant to a request.
func (w *world) prove(ts *testscript.TestScript, source string, body map[string]string) {
	if source == "grant" {
		body["grant"] = w.who.grant
		return
	}
	body["code"] = w.fromPhone(ts, source)
}

// fromPaper is the backup code that a source names, if it names one.
func (w *world) fromPaper(ts *testscript.TestScript, source string) (backup string, ok bool) {
	newest := len(w.who.paper)
	switch source {
	case "backup":
		newest--
	case "older-backup":
		newest -= 2
	case "wrong-backup":
		return strings.Repeat("0", 8), true
	default:
		return "", false
	}
	if newest < 0 {
		ts.Fatalf("there is no %s on the paper: write-down comes first", source)
	}
	return w.who.paper[newest], true
}

// fromPhone is the code that a source names. The current code of a phone is never typed twice: whoever has just typed it
// waits for the next one, which the script does by winding the service's clock.
func (w *world) fromPhone(ts *testscript.TestScript, source string) string {
	p := w.who
	now := w.now(ts)
	switch source {
	case "same":
		return p.typed
	case "wrong":
		return w.wrong(now)
	case "current":
	default:
		ts.Fatalf("%q is no code: current, same, wrong", source)
	}
	if p.phone == nil || p.phone.secret == nil {
		ts.Fatalf("%s has no phone with an entry in the hand", p.email)
	}
	const nearlyOver = 3 * time.Second // nobody begins to type a code that is about to change
	next := p.phone.step(now.Add(nearlyOver))
	for p.phone.typed[next] {
		next++
	}
	if next > p.phone.step(now) {
		start := time.Unix(next*int64(period/time.Second), 0).Add(-p.phone.wrongBy)
		w.wind(ts, start.Sub(now))
		now = w.now(ts)
	}
	step := p.phone.step(now)
	ts.Check(w.tools.compare(p.phone.secret, step))
	p.phone.typed[step] = true
	p.typed = code(p.phone.secret, step)
	return p.typed
}

// wrong is a code that none of the person's phones shows within an hour.
func (w *world) wrong(now time.Time) string {
	near := map[string]bool{}
	for _, secret := range w.who.secrets {
		for step := now.Unix()/30 - 120; step <= now.Unix()/30+120; step++ {
			near[code(secret, step)] = true
		}
	}
	for n := 0; ; n++ {
		if code := fmt.Sprintf("%06d", n); !near[code] {
			return code
		}
	}
}

// now is the service's time. Phones follow it, as all the world does.
func (w *world) now(ts *testscript.TestScript) time.Time {
	a, err := w.server.ask(http.DefaultClient, "", "GET", "/dev/clock", nil)
	ts.Check(err)
	now, err := time.Parse(time.RFC3339, a.text("now"))
	ts.Check(err)
	return now
}

// wind puts the service's clock forward, by whole seconds.
func (w *world) wind(ts *testscript.TestScript, by time.Duration) {
	a, err := w.server.ask(http.DefaultClient, "", "GET", "/dev/clock", nil)
	ts.Check(err)
	offset, err := a.member("offset_seconds").(json.Number).Int64()
	ts.Check(err)
	seconds := int64((by + time.Second - 1) / time.Second)
	a, err = w.server.ask(http.DefaultClient, "", "POST", "/dev/clock", map[string]int64{"offset_seconds": offset + seconds})
	ts.Check(err)
	if !a.ok() {
		ts.Fatalf("the clock does not go forward by %s: %d %s", by, a.status, a.text("detail"))
	}
}

// status is how the account stands, as its user sees it in another browser.
func (w *world) status() (map[string]any, error) {
	if w.who.watch == "" {
		return nil, errors.New("nobody has ever been signed in to this account: there is no status to look at")
	}
	a, err := w.server.ask(http.DefaultClient, w.who.watch, "GET", "/v1/status", nil)
	if err != nil {
		return nil, err
	}
	if !a.ok() {
		return nil, fmt.Errorf("the status is refused: %d %s", a.status, a.text("code"))
	}
	return a.body, nil
}

func line(name string, args []string) string {
	return strings.Join(append([]string{name}, args...), " ")
}
