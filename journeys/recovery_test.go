package journeys_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// A letter is a mail as the inbox shows it.
type letter struct {
	ID, Subject, Text string
	To                []string
}

// mails are all mails to an address, newest first.
func (w *world) mails(ts *testscript.TestScript, to string) (all []letter) {
	a, err := w.server.ask(http.DefaultClient, "", "GET", "/dev/mail.json", nil)
	ts.Check(err)
	text, err := json.Marshal(a.list)
	ts.Check(err)
	ts.Check(json.Unmarshal(text, &all))
	return slices.DeleteFunc(all, func(l letter) bool { return !slices.Contains(l.To, to) })
}

// mail waits for a mail that has not been read yet, and reads it. Older unread ones are read with it.
func (w *world) mail(ts *testscript.TestScript, to, subject string) {
	ts.Check(w.who.last.mustBeJudged())
	if w.read == nil {
		w.read = map[string]bool{}
	}
	var unread []string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		unread = nil
		all := w.mails(ts, to)
		for i, l := range all {
			if w.read[l.ID] {
				continue
			}
			if strings.Contains(l.Subject, subject) {
				for _, old := range all[i:] {
					w.read[old.ID] = true
				}
				w.who.letter = l
				return
			}
			unread = append(unread, l.Subject)
		}
	}
	ts.Fatalf("no new mail to %s about %q; unread are %q", to, subject, unread)
}

// noMail reads what has come to an address, and nothing of it may be about this.
func (w *world) noMail(ts *testscript.TestScript, to, subject string) {
	for _, l := range w.mails(ts, to) {
		if !w.read[l.ID] && strings.Contains(l.Subject, subject) {
			ts.Fatalf("there is a mail to %s: %q", to, l.Subject)
		}
	}
}

var links = regexp.MustCompile(`#/reset/(identity|cancel|sign_in)/(\S+)`)

// link follows a link of the mail that was read last. Following it shows a page, and changes nothing.
func (w *world) link(ts *testscript.TestScript, purpose string) {
	for _, found := range links.FindAllStringSubmatch(w.who.letter.Text, -1) {
		if found[1] == strings.ReplaceAll(purpose, "-", "_") {
			w.who.link = found[2]
			w.follow(ts, "link "+purpose)
			return
		}
	}
	ts.Fatalf("the mail %q has no %s link", w.who.letter.Subject, purpose)
}

func (w *world) follow(ts *testscript.TestScript, line string) {
	w.act(ts, line, "POST", "/v1/reset/show", map[string]string{"token": w.who.link})
}

// identity goes through the identity check that the link leads to.
func (w *world) identity(ts *testscript.TestScript, result string) {
	a := w.act(ts, "identity "+result, "POST", "/v1/reset/identity", map[string]string{"token": w.who.link})
	if !a.ok() {
		return
	}
	page, err := url.Parse(a.text("url"))
	ts.Check(err)
	done, err := w.server.ask(http.DefaultClient, "", "POST", page.RequestURI(), map[string]string{"result": result})
	ts.Check(err)
	if !done.ok() {
		ts.Fatalf("the identity service does not take %s: %d", result, done.status)
	}
}

// caseOf picks the case that waits, as soon as there is just one.
func (w *world) review(ts *testscript.TestScript) {
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		a := w.act(ts, "review", "GET", "/v1/reviews", nil)
		if !a.ok() {
			return
		}
		cases, _ := a.member("cases").([]any)
		if len(cases) == 1 {
			first, _ := cases[0].(map[string]any)
			w.who.reviewing = plain(first["id"])
			w.look(ts)
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%d cases wait for review, want 1", len(cases))
		}
	}
}

// look opens the case, and keeps the version that was shown.
func (w *world) look(ts *testscript.TestScript) {
	if a := w.act(ts, "look", "GET", "/v1/reviews/"+w.who.reviewing, nil); a.ok() {
		w.who.shown, _ = a.member("case_version").(json.Number)
	}
}

// decide decides on the case as it was shown.
func (w *world) decide(ts *testscript.TestScript, args []string) {
	body := map[string]any{"decision": args[0], "case_version": w.who.shown}
	if args[0] == "approve" {
		body["identity_matches"] = true
	}
	if len(args) > 1 {
		body["reason_code"] = args[1]
	}
	w.act(ts, line("decide", args), "POST", "/v1/reviews/"+w.who.reviewing+"/decision", body)
}

// newAddress has the application tell that the person's address has changed.
func (w *world) newAddress(ts *testscript.TestScript, address string) {
	key, err := w.server.serviceKey()
	ts.Check(err)
	a, err := w.server.ask(http.DefaultClient, key, "POST", "/v1/users/"+w.who.email+"/events", map[string]string{"type": "address_changed", "email": address})
	ts.Check(err)
	if !a.ok() {
		ts.Fatalf("the new address is refused: %d %s", a.status, a.text("detail"))
	}
}

var keyLine = regexp.MustCompile(`service key: (\S+)`)

// serviceKey is the key that the server has printed.
func (s *server) serviceKey() (string, error) {
	found := keyLine.FindStringSubmatch(s.said.String())
	if found == nil {
		return "", errors.New("the service has not said its key")
	}
	return found[1], nil
}
