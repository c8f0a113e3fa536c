package main

import (
	"bytes"
	"encoding/json"
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

	"github.com/pquerna/otp/totp"

	"github.com/nightlatch/nightlatch/pkg/api/apitest"
)

// testSessionKey is made once: it takes a while, and nothing here depends on which it is.
var testSessionKey = sync.OnceValues(newSessionKey)

// dataDir is a new data directory with a session key in it.
func dataDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	giveSessionKey(t, dir)
	return dir
}

func giveSessionKey(t testing.TB, dir string) {
	t.Helper()
	key, err := testSessionKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "session-key.pem"), key, 0o600); err != nil {
		t.Fatal(err)
	}
}

// live is a server that is really there, on a free port.
type live struct {
	*server
	t      testing.TB
	client *http.Client
	logged *locked
}

// locked is a buffer that many write to.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serve starts a server on the data directory, and stops it when the test ends if it has not been stopped.
func serve(t testing.TB, data, policy string) *live {
	t.Helper()
	return serveWith(t, options{addr: "127.0.0.1:0", data: data, policy: policy})
}

func serveWith(t testing.TB, o options) *live {
	t.Helper()
	logged := &locked{}
	s, err := start(o, slog.New(slog.NewTextHandler(logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	l := &live{server: s, t: t, client: &http.Client{Transport: &http.Transport{}}, logged: logged}
	t.Cleanup(func() {
		l.client.CloseIdleConnections()
		s.stop()
		if t.Failed() {
			t.Log(logged.String())
		}
	})
	return l
}

// answer is what came back.
type answer struct {
	Status int
	Header http.Header
	Text   string
	Body   map[string]any // of a JSON object
}

func (a answer) str(name string) string { s, _ := a.Body[name].(string); return s }

// call is a request to be: change what is to differ.
type call struct {
	method, path, body string
	host               string
	header             map[string]string
}

func (l *live) do(c call) answer {
	l.t.Helper()
	r, err := http.NewRequestWithContext(l.t.Context(), c.method, l.url+c.path, strings.NewReader(c.body))
	if err != nil {
		l.t.Fatal(err)
	}
	if c.body != "" {
		r.Header.Set("content-type", "application/json")
	}
	for name, value := range c.header {
		r.Header.Set(name, value)
	}
	if c.host != "" {
		r.Host = c.host
	}
	response, err := l.client.Do(r)
	if err != nil {
		l.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	a := answer{Status: response.StatusCode, Header: response.Header, Text: string(text)}
	if strings.HasPrefix(response.Header.Get("content-type"), "application/") && json.Unmarshal(text, &a.Body) != nil {
		a.Body = nil // a list, say
	}
	// What a function answers is held against the API's description; what the gateway answers itself has no code.
	if _, ofFunction := response.Header["Apigw-Requestid"]; ofFunction {
		apitest.Check(l.t, r, []byte(c.body), a.Status, a.Header, text)
	}
	return a
}

// as adds a session or the service key.
func as(token string) map[string]string { return map[string]string{"authorization": "Bearer " + token} }

func (l *live) get(path, token string) answer {
	l.t.Helper()
	return l.do(call{method: "GET", path: path, header: as(token)})
}

func (l *live) post(path, token, body string) answer {
	l.t.Helper()
	return l.do(call{method: "POST", path: path, header: as(token), body: body})
}

// want fails the test unless the answer has the status.
func (l *live) want(status int, a answer) answer {
	l.t.Helper()
	if a.Status != status {
		l.t.Fatalf("answered %d %s, want %d", a.Status, a.Text, status)
	}
	return a
}

// login is the password step; it returns the answer and the cookie.
func (l *live) login(email string) (answer, string) {
	l.t.Helper()
	a := l.want(200, l.do(call{method: "POST", path: "/demo/login", body: jsonOf("email", email, "password", demoPassword)}))
	cookie, _, _ := strings.Cut(a.Header.Get("set-cookie"), ";")
	return a, cookie
}

// verify is the step at the service: it returns the assertion.
func (l *live) verify(challenge, code string) string {
	l.t.Helper()
	return l.want(200, l.post("/v1/verify", "", jsonOf("challenge", challenge, "method", "totp", "code", code))).str("assertion")
}

// finish is the step after it.
func (l *live) finish(cookie, assertion string) answer {
	l.t.Helper()
	return l.do(call{method: "POST", path: "/demo/session", body: jsonOf("assertion", assertion), header: map[string]string{"cookie": cookie}})
}

// enroll sets an authenticator up from a session and returns its secret.
func (l *live) enroll(session string) (secret string) {
	l.t.Helper()
	set := l.want(200, l.post("/v1/enroll", session, "{}"))
	secret = set.str("manual_secret")
	l.want(200, l.post("/v1/enroll/confirm", session, jsonOf("enrollment_id", set.str("enrollment_id"), "code", l.code(secret, 0))))
	return secret
}

// code is an authenticator's code, so many time steps from the service's now.
func (l *live) code(secret string, steps int) string {
	l.t.Helper()
	code, err := totp.GenerateCode(secret, l.clock.now().Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		l.t.Fatal(err)
	}
	return code
}

// eventually asks until the answer is as it should be: the history follows the account in its own time.
func (l *live) eventually(what string, ok func() bool) {
	l.t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(end) {
			l.t.Fatalf("it never came to it: %s", what)
		}
	}
}

// history lists the types of a session's events, newest first.
func (l *live) history(session string) []string {
	l.t.Helper()
	var types []string
	list, _ := l.want(200, l.get("/v1/history", session)).Body["events"].([]any)
	for _, e := range list {
		types = append(types, e.(map[string]any)["type"].(string))
	}
	return types
}

func jsonOf(pairs ...string) string {
	object := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		object[pairs[i]] = pairs[i+1]
	}
	text, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// port is the port of the server.
func (l *live) port() string {
	_, port, err := net.SplitHostPort(strings.TrimPrefix(l.url, "http://"))
	if err != nil {
		l.t.Fatal(err)
	}
	return port
}
