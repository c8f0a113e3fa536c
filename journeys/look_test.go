package journeys_test

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

// user says who acts from here on.
func (w *world) user(ts *testscript.TestScript, name string) {
	if w.who != nil {
		ts.Check(w.who.last.mustBeJudged())
	}
	if w.people[name] == nil {
		w.people[name] = &person{email: name + "@example.com", browser: http.DefaultClient, phones: map[string]*phone{}}
	}
	w.who = w.people[name]
}

// takePhone takes a phone in the hand, a new one where there is none of that name.
func (w *world) takePhone(name string) {
	if w.who.phones[name] == nil {
		w.who.phones[name] = &phone{}
	}
	w.who.phone = w.who.phones[name]
}

func (w *world) scan(ts *testscript.TestScript) {
	p := w.dialog(ts)
	ts.Check(p.phone.scan(w.tools, w.dir, p.setUp))
	p.secrets = append(p.secrets, p.phone.secret)
	account := "(" + p.email + ")"
	if !strings.HasSuffix(p.phone.entry, account) || p.phone.entry == account {
		ts.Fatalf("the app shows the entry as %q, want a name and %s", p.phone.entry, account)
	}
}

// typeKey is the way of those who read this page on the phone itself.
func (w *world) typeKey(ts *testscript.TestScript) {
	p := w.dialog(ts)
	ts.Check(p.phone.add("typed by hand", p.setUp.text("manual_secret")))
	p.secrets = append(p.secrets, p.phone.secret)
}

// dialog is a person with the set-up open, and a phone in the hand.
func (w *world) dialog(ts *testscript.TestScript) *person {
	if w.who.setUp == nil {
		ts.Fatalf("no QR code is shown: enroll comes first")
	}
	if w.who.phone == nil {
		w.takePhone("first")
	}
	return w.who
}

func (w *world) losePhone(ts *testscript.TestScript) {
	p := w.who
	if p.phone == nil {
		ts.Fatalf("there is no phone to lose")
	}
	maps.DeleteFunc(p.phones, func(_ string, lost *phone) bool { return lost == p.phone })
	p.phone = nil
}

func (w *world) phoneClock(ts *testscript.TestScript, setting string) {
	if w.who.phone == nil {
		ts.Fatalf("there is no phone in the hand")
	}
	var err error
	w.who.phone.wrongBy = 0
	if setting != "automatic" {
		w.who.phone.wrongBy, err = time.ParseDuration(setting)
	}
	ts.Check(err)
}

// writeDown copies the backup code that is being shown.
func (w *world) writeDown(ts *testscript.TestScript, characters string) {
	shown := w.judge(ts).text("backup_code")
	bare := strings.ReplaceAll(shown, "-", "")
	if shown == "" || strconv.Itoa(len(bare)) != characters {
		ts.Fatalf("the backup code that is shown is %q, want %s characters", shown, characters)
	}
	if slices.Contains(w.who.paper, shown) {
		ts.Fatalf("the backup code that is shown is not a new one")
	}
	w.who.paper = append(w.who.paper, shown)
}

// asked says what a sign-in asks for after the password.
func (w *world) asked(ts *testscript.TestScript, methods []string) {
	a := w.judge(ts)
	if got := a.text("methods"); a.text("required") != "true" || got != strings.Join(methods, ",") {
		ts.Fatalf("asked for %q (required: %s), want %s", got, a.text("required"), quote(methods))
	}
	w.mustBeSignedIn(ts, false)
}

func (w *world) mustBeSignedIn(ts *testscript.TestScript, want bool) {
	a, err := w.request("GET", "/v1/status", nil)
	ts.Check(err)
	if want && (!a.ok() || w.who.session == "") || !want && (a.status != http.StatusUnauthorized || w.who.session != "") {
		ts.Fatalf("signed in: %v (%d), want %v", w.who.session != "", a.status, want)
	}
}

// judge is the last answer, which must be good.
func (w *world) judge(ts *testscript.TestScript) *answer {
	a := w.who.last
	if a == nil {
		ts.Fatalf("nothing has been done yet")
	}
	ts.Check(a.mustBeJudged())
	return a
}

func (w *world) refused(ts *testscript.TestScript, code string, args []string) {
	a := w.who.last
	if a == nil || a.ok() || a.judged || a.text("code") != code {
		ts.Fatalf("not refused with %s: %s", code, a.describe())
	}
	a.judged = true
	w.compare(ts, a.body, args)
}

func (a *answer) describe() string {
	if a == nil {
		return "nothing has been done yet"
	}
	return fmt.Sprintf("%q was answered with %d %s", a.to, a.status, plain(a.body))
}

func (w *world) says(ts *testscript.TestScript, args []string) { w.compare(ts, w.judge(ts).body, args) }

// toldHost looks into the assertion of the last sign-in.
func (w *world) toldHost(ts *testscript.TestScript, args []string) {
	w.compare(ts, w.who.assertion, args)
}

func (w *world) mustStand(ts *testscript.TestScript, args []string) {
	status, err := w.status()
	ts.Check(err)
	w.compare(ts, status, args)
}

// compare holds members of an object against what the script says: a value, now, some, or nothing at all.
func (w *world) compare(ts *testscript.TestScript, object map[string]any, args []string) {
	a := &answer{body: object}
	for name, want := range fields(ts, args) {
		got := a.text(name)
		switch want {
		case "some":
			if got == "" {
				ts.Fatalf("there is no %s in %s", name, plain(object))
			}
		case "now":
			at, err := time.Parse(time.RFC3339, got)
			if off := w.now(ts).Sub(at).Abs(); err != nil || off > time.Minute {
				ts.Fatalf("%s is %q, want about now", name, got)
			}
		default:
			if got != want {
				ts.Fatalf("%s is %q, want %q, in %s", name, got, want, plain(object))
			}
		}
	}
}

// changed names every member of the status that is not as it was at the last look, and looks anew.
func (w *world) changed(ts *testscript.TestScript, want []string) {
	ts.Check(w.who.last.mustBeJudged())
	now, err := w.status()
	ts.Check(err)
	before := w.who.baseline
	var got []string
	for _, name := range slices.Sorted(maps.Keys(union(before, now))) {
		if !cmp.Equal(before[name], now[name]) {
			got = append(got, name)
		}
	}
	if len(got) == 0 {
		got = []string{"nothing"}
	}
	if slices.Sort(want); !slices.Equal(got, want) {
		ts.Fatalf("%s changed, want %s:\n%s", quote(got), quote(want), cmp.Diff(before, now))
	}
	w.who.baseline = now
}

func union(a, b map[string]any) map[string]any {
	all := maps.Clone(b)
	maps.Copy(all, a)
	return all
}

// history reads the newest entries, newest first. They are written behind the decision, so they are waited for.
func (w *world) history(ts *testscript.TestScript, want []string) {
	deadline := time.Now().Add(patience)
	for {
		a, err := w.server.ask(http.DefaultClient, w.who.watch, "GET", "/v1/history?limit=50", nil)
		ts.Check(err)
		events, _ := a.member("events").([]any)
		var got []string
		for _, event := range events[:min(len(events), len(want))] {
			e := &answer{body: event.(map[string]any)}
			got = append(got, e.text("type")+" "+e.text("outcome")+" "+e.text("method"))
			if ip := net.ParseIP(e.text("ip")); e.text("actor") == "user" && (ip == nil || !ip.IsLoopback()) {
				ts.Fatalf("the history does not know from where: %s", plain(event))
			}
			if at, err := time.Parse(time.RFC3339, e.text("at")); err != nil || at.After(w.now(ts)) {
				ts.Fatalf("the history does not know when: %s", plain(event))
			}
		}
		if slices.Equal(got, want) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the history, newest first, is %s, want %s", quote(got), quote(want))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

var sixDigits = regexp.MustCompile(`\b\d{3} ?\d{3}\b`)

// noCodeWasMailed reads every mail that was sent to anybody.
func (w *world) noCodeWasMailed(ts *testscript.TestScript) {
	a, err := w.server.ask(http.DefaultClient, "", "GET", "/dev/mail.json", nil)
	ts.Check(err)
	for _, mail := range a.list {
		m := &answer{body: mail.(map[string]any)}
		if code := sixDigits.FindString(m.text("subject") + "\n" + m.text("text")); code != "" {
			ts.Fatalf("a mail has the code %q: %s", code, plain(mail))
		}
	}
}
