package main

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/boltstore"
	"github.com/nightlatch/nightlatch/pkg/mail"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

func TestClock(t *testing.T) {
	t.Parallel()
	l := serve(t, dataDir(t), "standard")
	set := func(body string) answer { return l.do(call{method: "POST", path: "/dev/clock", body: body}) }
	offset := func(a answer) any { return a.Body["offset_seconds"] }
	ahead := func(a answer) time.Duration {
		now, err := time.Parse(time.RFC3339Nano, a.str("now"))
		if err != nil || now.Location() != time.UTC {
			t.Errorf("now is %q: %v", a.str("now"), err)
		}
		return time.Until(now).Round(time.Hour)
	}
	if a := l.want(200, l.get("/dev/clock", "")); offset(a) != 0. || ahead(a) != 0 {
		t.Errorf("at first: %s", a.Text)
	}
	session, _ := l.login("alice@example.com")
	if a := l.want(200, set(`{"offset_seconds":86400}`)); offset(a) != 86400. || ahead(a) != 24*time.Hour {
		t.Errorf("a day ahead: %s", a.Text)
	}
	for body, want := range map[string]struct {
		status int
		code   string
	}{
		`{"offset_seconds":86399}`:               {409, "conflict"},
		`{"offset_seconds":0}`:                   {409, "conflict"},
		`{"offset_seconds":-1}`:                  {409, "conflict"},
		`{"offset_seconds":315360001}`:           {400, "invalid_request"},
		`{"offset_seconds":9223372036854775807}`: {400, "invalid_request"},
		`{"offset_seconds":1.5}`:                 {400, "invalid_request"},
		`{"offset_seconds":"1"}`:                 {400, "invalid_request"},
		`{"offset":1}`:                           {400, "invalid_request"},
		`{}`:                                     {400, "invalid_request"},
		``:                                       {400, "invalid_request"},
		`{"offset_seconds":86400} `:              {200, ""}, // absolute: once more is nothing more
	} {
		if a := set(body); a.Status != want.status || a.str("code") != want.code {
			t.Errorf("%s: %d %s, want %d %s", body, a.Status, a.Text, want.status, want.code)
		}
	}
	if a := l.want(200, l.get("/dev/clock", "")); offset(a) != 86400. {
		t.Errorf("after what was refused: %s", a.Text)
	}
	// Everything follows it: yesterday's session is over, and a new one is of today.
	l.want(401, l.get("/v1/status", session.str("session")))
	session, _ = l.login("alice@example.com")
	secret := l.enroll(session.str("session"))
	if at, err := time.Parse(time.RFC3339, l.get("/v1/status", session.str("session")).str("activated_at")); err != nil || time.Until(at).Round(time.Hour) != 24*time.Hour {
		t.Errorf("activated %v, %v; want tomorrow", at, err)
	}
	a, cookie := l.login("alice@example.com")
	l.want(200, l.finish(cookie, l.verify(a.str("challenge"), l.code(secret, 1))))
	l.eventually("the history has the sign-in", func() bool { return l.history(session.str("session"))[0] == "login" })
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	data := dataDir(t)
	l := serve(t, data, "standard")
	set := func(body string) answer { return l.do(call{method: "POST", path: "/dev/policy", body: body}) }
	session, _ := l.login("alice@example.com")
	inForce := func() any { return l.want(200, l.get("/v1/status", session.str("session"))).Body["policy"] }

	a := l.want(200, l.get("/dev/policy", ""))
	if diff := cmp.Diff(inForce(), any(a.Body)); diff != "" || a.Body["reset_wait"] != "24h" {
		t.Errorf("policy %s is not the one of the status:\n%s", a.Text, diff)
	}
	a = l.want(200, set(`{"preset":"mirox"}`))
	if a.Body["backup_use"] != "disable_2fa" || !cmp.Equal(inForce(), any(a.Body)) {
		t.Errorf("after mirox: %s, in force %v", a.Text, inForce())
	}
	a = l.want(200, set(`{"preset":"midphase","reviewers":2}`))
	if a.Body["reviewers"] != 2. || !cmp.Equal(inForce(), any(a.Body)) {
		t.Errorf("after midphase with two reviewers: %s, in force %v", a.Text, inForce())
	}
	before := inForce()
	for body, names := range map[string]string{
		`{"preset":"nope"}`:                                     "nope",
		`{"preset":"standard","skew":7}`:                        "skew",
		`{"enforcement":"required","backup_use":"disable_2fa"}`: "backup_use",
		`{"skwe":1}`:              "skwe",
		`null`:                    "not a JSON object",
		``:                        "policy",
		`{"preset":"standard"} {`: "policy",
		`{"preset":"standard","reset_wait":"` + strings.Repeat("0", 9000) + `h"}`: "8 KB",
	} {
		a := set(body)
		if a.Status != 400 && a.Status != 413 || !strings.Contains(a.str("detail"), names) {
			t.Errorf("%.60s: %d %s, want a refusal that names %s", body, a.Status, a.Text, names)
		}
	}
	if !cmp.Equal(before, inForce()) {
		t.Errorf("what was refused is in force: %v", inForce())
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	if again := serve(t, data, "standard"); again.functions.Load().policy != twofactor.Standard() {
		t.Error("a restart keeps the policy that was posted; want the flag's")
	}
}

// TestPolicyFile: the flag takes a file as well.
func TestPolicyFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(file, []byte(`{"preset":"miaxdx","reviewers":2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := loadPolicy(file)
	if err != nil || p.Reviewers != 2 || p.Enforcement != twofactor.Required {
		t.Errorf("loadPolicy = %+v, %v", p, err)
	}
	for _, name := range twofactor.Presets() {
		want, _ := twofactor.Preset(name)
		if got, err := loadPolicy(name); err != nil || got != want {
			t.Errorf("loadPolicy(%s) = %+v, %v; want the preset", name, got, err)
		}
	}
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	l := serve(t, dataDir(t), "standard")
	session, _ := l.login("alice@example.com")
	l.enroll(session.str("session"))
	do := func(operation, user, operator string) answer {
		return l.post("/dev/admin", "", jsonOf("operation", operation, "user", user, "operator", operator, "reason", "lost phone"))
	}
	for name, a := range map[string]answer{
		"no such operation": do("promote", "alice@example.com", "you"),
		"no operator":       do("unlock", "alice@example.com", ""),
		"no user":           do("unlock", "", "you"),
		"a bad user":        do("unlock", "a\nb", "you"),
		"a replay":          do("replay", "", "you"), // nothing is parked on a laptop
		"no body":           l.post("/dev/admin", "", ""),
	} {
		if a.Status != 400 || a.str("code") != "invalid_request" {
			t.Errorf("%s: %d %s, want 400 invalid_request", name, a.Status, a.Text)
		}
	}
	removed := l.want(200, do("remove_authenticator", "alice@example.com", "you"))
	status := l.want(200, l.get("/v1/status", session.str("session")))
	if removed.str("state") != "disabled" || !cmp.Equal(removed.Body, status.Body) {
		t.Errorf("answered %s, want the status %s", removed.Text, status.Text)
	}
	l.eventually("the history has the removal", func() bool { return l.history(session.str("session"))[0] == "admin_removed" })
	order := func(secret string) answer {
		return l.post("/dev/admin", "", `{"operation":"import","user":"bob@example.com","operator":"you","reason":"the move","import":{"secret":"`+secret+`","digit":8}}`)
	}
	if a := order("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"); a.Status != 400 || !strings.Contains(a.str("detail"), "digit") {
		t.Errorf("a misspelt member: %d %s", a.Status, a.Text)
	}
	a := do("remove_authenticator", "bob@example.com", "you")
	if a.Status != 409 || a.str("code") != "not_enabled" || a.str("detail") != "This user has no second factor." {
		t.Errorf("without an authenticator: %d %s, want a problem for the operator", a.Status, a.Text)
	}
}

func TestAccountAndCounters(t *testing.T) {
	t.Parallel()
	l := serve(t, dataDir(t), "standard")
	a := l.want(200, l.get("/dev/account/nobody@example.com", ""))
	if strings.TrimSpace(a.Text) != `{"item":{},"versions":[]}` {
		t.Errorf("a user never seen: %s", a.Text)
	}
	a = l.do(call{method: "GET", path: "/dev/account/nobody@example.com", header: map[string]string{"accept": "text/html,*/*;q=0.8"}})
	if want := "{\n  \"item\": {},\n  \"versions\": []\n}"; a.Text != want || a.Header.Get("content-type") != "application/json" {
		t.Errorf("to a browser: %s, want %s", a.Text, want)
	}
	session, _ := l.login("alice@example.com")
	secret := l.enroll(session.str("session"))
	a = l.want(200, l.get("/dev/account/alice@example.com", ""))
	versions, _ := a.Body["versions"].([]any)
	item, _ := a.Body["item"].(map[string]any)
	if len(versions) < 2 || item["user"] != "alice@example.com" || !cmp.Equal(versions[0], any(item)) {
		t.Fatalf("account %s: want the item, and it as the first of its versions", a.Text)
	}
	last := item["version"].(float64)
	for i, v := range versions {
		if got := v.(map[string]any)["version"]; got != last-float64(i) {
			t.Errorf("version %d of the list is %v, want %v", i, got, last-float64(i))
		}
	}
	if strings.Contains(a.Text, secret) {
		t.Error("the secret stands in the account in the clear")
	}
	for path, status := range map[string]int{"/dev/account/": 404, "/dev/account/a%2Fb": 400, "/dev/account/=": 400, "/dev/account/=YS9i": 200} {
		if a := l.get(path, ""); a.Status != status {
			t.Errorf("%s: %d %s, want %d", path, a.Status, a.Text, status)
		}
	}

	// One verification is one read and one write, right or wrong.
	l.eventually("the mail about the set-up, which reads the account as well", func() bool { return len(l.inbox.list()) == 1 })
	challenge, _ := l.login("alice@example.com")
	before := l.want(200, l.get("/dev/counters", "")).Body
	l.want(422, l.post("/v1/verify", "", jsonOf("challenge", challenge.str("challenge"), "method", "totp", "code", wrong(l, secret))))
	l.verify(challenge.str("challenge"), l.code(secret, 1))
	after := l.want(200, l.get("/dev/counters", "")).Body
	if reads, writes := after["reads"].(float64)-before["reads"].(float64), after["writes"].(float64)-before["writes"].(float64); reads != 2 || writes != 2 || len(after) != 2 {
		t.Errorf("two verifications took %v reads and %v writes, want 2 and 2: %v", reads, writes, after)
	}
}

// wrong is a code that no step near now has.
func wrong(l *live, secret string) string {
	for code := range 1_000_000 {
		text := fmt.Sprintf("%06d", code)
		near := false
		for step := -25; step <= 25; step++ {
			near = near || l.code(secret, step) == text
		}
		if !near {
			return text
		}
	}
	panic("every code is near")
}

func TestMail(t *testing.T) {
	t.Parallel()
	l := serve(t, dataDir(t), "standard")
	if a := l.want(200, l.get("/dev/mail.json", "")); strings.TrimSpace(a.Text) != "[]" {
		t.Errorf("the inbox is %s", a.Text)
	}
	if a := l.want(200, l.get("/dev/mail", "")); !strings.Contains(a.Text, "No mail has been sent") {
		t.Errorf("the inbox's page is %s", a.Text)
	}
	if err := l.inbox.send(t.Context(), "alice@example.com", mail.Message{Subject: "<b>Hello", Text: "Not you? <script>"}, nil); err != nil {
		t.Fatal(err)
	}
	if a := l.want(200, l.get("/dev/mail", "")); !strings.Contains(a.Text, "&lt;b&gt;Hello") || !strings.Contains(a.Text, "Not you? &lt;script&gt;") || !strings.Contains(a.Text, "alice@example.com") {
		t.Errorf("the inbox's page is %s", a.Text)
	}
}

func TestNothingElse(t *testing.T) {
	t.Parallel()
	l := serve(t, dataDir(t), "standard")
	for _, c := range []call{
		{method: "GET", path: "/dev/"}, {method: "GET", path: "/dev"}, {method: "GET", path: "/dev/assets/"}, {method: "GET", path: "/dev/assets/mail.html"},
		{method: "GET", path: "/assets"}, {method: "GET", path: "/assets/"}, {method: "GET", path: "/assets/nothing.js"}, {method: "GET", path: "/assets/..%2Findex.html"},
		{method: "POST", path: "/assets/nothing.js"}, {method: "GET", path: "/index.html"},
		{method: "POST", path: "/dev/mail.json"}, {method: "DELETE", path: "/dev/clock"}, {method: "GET", path: "/demo/login"}, {method: "GET", path: "/demo"},
		{method: "POST", path: "/"}, {method: "GET", path: "/favicon.ico"}, {method: "GET", path: "//"}, {method: "GET", path: "/../v1/status"},
	} {
		if a := l.do(c); a.Status != 404 || strings.TrimSpace(a.Text) != `{"message":"Not Found"}` {
			t.Errorf("%s %s: %d %s, want 404 as API Gateway answers", c.method, c.path, a.Status, a.Text)
		}
	}
}

// TestRestart: what was there is there afterwards, on another port.
func TestRestart(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "not", "yet", "there")
	first := serve(t, data, "standard")
	a, _ := first.login("alice@example.com")
	session := a.str("session")
	secret := first.enroll(session)
	first.want(200, first.do(call{method: "POST", path: "/dev/clock", body: `{"offset_seconds":3600}`}))
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}

	second := serve(t, data, "standard")
	if second.serviceKey != first.serviceKey || second.webhookKey != first.webhookKey || len(first.serviceKey) < 26 || len(first.webhookKey) < 26 || first.serviceKey == first.webhookKey {
		t.Errorf("service key %q then %q, webhook secret %q then %q", first.serviceKey, second.serviceKey, first.webhookKey, second.webhookKey)
	}
	if got := second.clock.offset.Load(); got != 3600 {
		t.Errorf("clock offset %d, want 3600", got)
	}
	if got := second.want(200, second.get("/v1/status", session)).str("state"); got != "enabled" {
		t.Errorf("state %q, want enabled", got)
	}
	a, cookie := second.login("alice@example.com")
	second.want(200, second.finish(cookie, second.verify(a.str("challenge"), second.code(secret, 0))))

	files, err := filepath.Glob(filepath.Join(data, "*"))
	if err != nil || len(files) != 8 {
		t.Errorf("the data directory has %q, %v; want 8 files", files, err)
	}
	for _, name := range append(files, data) {
		about, err := os.Stat(name)
		if err != nil || about.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v, %v; want nobody else's", name, about.Mode(), err)
		}
	}
}

// TestHistoryAfterRestart: what was stored and had not got to the history before the end does after the next start.
func TestHistoryAfterRestart(t *testing.T) {
	t.Parallel()
	data := dataDir(t)
	store, err := boltstore.Open(filepath.Join(data, "nightlatch.db"))
	if err != nil {
		t.Fatal(err)
	}
	err = store.Replace(t.Context(), &twofactor.Account{
		User: "alice@example.com", Schema: twofactor.Schema, Version: 1, Writes: []twofactor.WriteID{twofactor.NewWriteID()},
		Events: []twofactor.Event{{ID: "000000000001-0", At: time.Now().Add(-time.Hour), Type: twofactor.EventDisabled, Outcome: twofactor.Succeeded, Actor: twofactor.ActorUser}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	l := serve(t, data, "standard")
	a, _ := l.login("alice@example.com")
	l.eventually("the history has the event from before", func() bool {
		return cmp.Equal(l.history(a.str("session")), []string{"login", "disabled"})
	})
}

// TestErase: of a user who is erased nothing remains in the history but that.
func TestErase(t *testing.T) {
	t.Parallel()
	l := serve(t, dataDir(t), "standard")
	a, _ := l.login("alice@example.com")
	l.enroll(a.str("session"))
	l.want(204, l.post("/v1/users/alice@example.com/events", l.serviceKey, jsonOf("type", "deleted")))
	l.eventually("only the erasure is left", func() bool { return cmp.Equal(l.history(a.str("session")), []string{"erased"}) })
}

// TestAccessLog: a line for each request, without what may be secret in it.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	l := serve(t, dataDir(t), "standard")
	l.get("/v1/history?cursor=SECRET", "SECRET")
	for _, path := range []string{"/", "/assets/nothing.js", "/dev/mail", "/dev/counters"} {
		l.get(path, "")
	}
	l.do(call{method: "POST", path: "/demo/login", body: jsonOf("email", "x", "password", "SECRET")})
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(l.logged.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "method=GET path=/v1/history status=401 ms=") || !strings.Contains(lines[1], "method=POST path=/demo/login status=401 ms=") || strings.Contains(l.logged.String(), "SECRET") {
		t.Errorf("log:\n%s", l.logged)
	}
}

// TestQuiet: requests are not logged, failures are.
func TestQuiet(t *testing.T) {
	t.Parallel()
	logged := &locked{}
	s, err := start(options{addr: "127.0.0.1:0", data: dataDir(t), policy: "standard", quiet: true}, slog.New(slog.NewTextHandler(logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	l := &live{server: s, t: t, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	l.get("/v1/status", "")
	if logged.String() != "" {
		t.Errorf("log:\n%s", logged)
	}
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	l.want(500, l.get("/dev/account/alice@example.com", ""))
	if !strings.Contains(logged.String(), "level=ERROR") {
		t.Errorf("log:\n%s", logged)
	}
}

// TestFailure: a server whose store fails ends, and says why.
func TestFailure(t *testing.T) {
	t.Parallel()
	l := serve(t, dataDir(t), "standard")
	if err := l.store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-l.failed; err == nil || !strings.Contains(err.Error(), "stream") {
		t.Errorf("failed with %v, want that the stream has ended", err)
	}
}

// TestStopAnswers: what is under way when the server is told to stop is answered.
func TestStopAnswers(t *testing.T) {
	t.Parallel()
	l := serve(t, dataDir(t), "standard")
	conn, err := net.Dial("tcp", strings.TrimPrefix(l.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const body = `{"challenge":"x","method":"totp","code":"123456"}`
	_, err = fmt.Fprintf(conn, "POST /v1/verify HTTP/1.1\r\nhost: %s\r\nexpect: 100-continue\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n",
		strings.TrimPrefix(l.url, "http://"), len(body))
	if err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(conn)
	if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") { // it is reading the body
		t.Fatalf("%q, %v; want to be told to go on", line, err)
	}
	answers.ReadString('\n')

	begun, stopped := make(chan struct{}), make(chan error)
	l.http.RegisterOnShutdown(sync.OnceFunc(func() { close(begun) })) // it is stopped once more at the end
	go func() { stopped <- l.stop() }()
	<-begun
	if _, err := io.WriteString(conn, body); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != 401 || !strings.Contains(string(text), "challenge_expired") {
		t.Errorf("answered %d %s, %v; want 401 challenge_expired", response.StatusCode, text, err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestDataGone: what could not be kept or read is no success, and the cause is for the log alone.
func TestDataGone(t *testing.T) {
	t.Parallel()
	data := filepath.Join(dataDir(t), "data")
	l := serve(t, data, "standard")
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	a := l.do(call{method: "POST", path: "/dev/clock", body: `{"offset_seconds":60}`})
	if a.Status != 500 || a.str("code") != "internal" || strings.Contains(a.Text, data) || l.clock.offset.Load() != 0 {
		t.Errorf("a clock that could not be kept: %d %s, offset %d", a.Status, a.Text, l.clock.offset.Load())
	}
	if err := l.store.Close(); err != nil {
		t.Fatal(err)
	}
	if a := l.get("/dev/account/alice@example.com", ""); a.Status != 500 || a.str("code") != "internal" {
		t.Errorf("an account that could not be read: %d %s", a.Status, a.Text)
	}
	if !strings.Contains(l.logged.String(), data) || !strings.Contains(l.logged.String(), "closed") {
		t.Errorf("log:\n%s", l.logged)
	}
}
