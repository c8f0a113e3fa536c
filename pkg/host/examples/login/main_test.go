package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp/totp"

	"github.com/nightlatch/nightlatch/pkg/host"
)

const top = "../../../.." // of the repository

// local is the local server, as a program of its own.
type local struct {
	url, key string
	kill     func()
}

func startLocal(t *testing.T) local {
	t.Helper()
	// go test does not see what another process builds from, but for what the test looks at.
	for _, folder := range []string{"cmd", "pkg"} {
		err := filepath.WalkDir(filepath.Join(top, folder), func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(t.TempDir(), "nightlatch")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/nightlatch")
	build.Dir = top
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	process := exec.Command(program, "dev", "-addr", "127.0.0.1:0", "-data", t.TempDir(), "-quiet")
	process.Stderr = t.Output()
	out, err := process.StdoutPipe()
	if err == nil {
		err = process.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	kill := func() {
		process.Process.Kill() // an error means that it has ended
		process.Wait()
	}
	t.Cleanup(kill)
	l := local{kill: kill}
	for lines := bufio.NewScanner(out); l.key == "" && lines.Scan(); {
		if _, url, ok := strings.Cut(lines.Text(), "running:"); ok {
			l.url = strings.TrimSpace(url)
		}
		if key, ok := strings.CutPrefix(lines.Text(), "service key: "); ok {
			l.key = key
		}
	}
	if l.url == "" || l.key == "" {
		t.Fatal("the local server has not started")
	}
	go io.Copy(io.Discard, out)
	return l
}

// browser keeps cookies.
type browser struct {
	t      *testing.T
	app    string
	client http.Client
}

func newBrowser(t *testing.T, app string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, app, http.Client{Jar: jar}}
}

// ask sends a request and returns its answer, which may be none.
func (b *browser) ask(method, url, session string, body any) (status int, answer map[string]any) {
	b.t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, url, bytes.NewReader(encoded))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if session != "" {
		r.Header.Set("Authorization", "Bearer "+session)
	}
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if strings.Contains(response.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(text, &answer); err != nil {
			b.t.Fatal(err)
		}
	}
	return response.StatusCode, answer
}

// login returns the challenge, if one came.
func (b *browser) login(email, password string) (status int, challenge string) {
	b.t.Helper()
	status, answer := b.ask("POST", b.app+"/login", "", map[string]string{"email": email, "password": password})
	challenge, _ = answer["challenge"].(string)
	return status, challenge
}

func (b *browser) session(assertion string) (status int) {
	b.t.Helper()
	status, _ = b.ask("POST", b.app+"/session", "", map[string]string{"assertion": assertion})
	return status
}

// isIn holds what /me says against the amr of a session; none means that nobody is signed in.
func (b *browser) isIn(user string, amr ...any) {
	b.t.Helper()
	status, got := b.ask("GET", b.app+"/me", "", nil)
	if amr == nil {
		if status != http.StatusUnauthorized {
			b.t.Errorf("/me: %d %v; want 401", status, got)
		}
		return
	}
	if diff := cmp.Diff(map[string]any{"user": user, "amr": amr}, got); diff != "" {
		b.t.Errorf("/me: %d (-want +got):\n%s", status, diff)
	}
}

// phone is an authenticator app that never shows a code twice: when it must, it is a step ahead of the time.
type phone struct {
	t      *testing.T
	secret string
	last   int64 // time step
}

func (p *phone) code() string {
	p.t.Helper()
	p.last = max(p.last+1, time.Now().Unix()/30)
	code, err := totp.GenerateCode(p.secret, time.Unix(p.last*30, 0))
	if err != nil {
		p.t.Fatal(err)
	}
	return code
}

// enrol turns 2FA on, over the API: the session that it wants is of the identity provider, which the server's demo has.
func enrol(t *testing.T, service, user string) *phone {
	t.Helper()
	b := newBrowser(t, "")
	_, demo := b.ask("POST", service+"/demo/login", "", map[string]string{"email": user, "password": "correct horse"})
	session, _ := demo["session"].(string)
	_, begun := b.ask("POST", service+"/v1/enroll", session, struct{}{})
	secret, _ := begun["manual_secret"].(string)
	p := &phone{t: t, secret: secret}
	status, answer := b.ask("POST", service+"/v1/enroll/confirm", session, map[string]any{
		"enrollment_id": begun["enrollment_id"], "code": p.code(),
	})
	if status != http.StatusOK {
		t.Fatalf("enrol: %d %v", status, answer)
	}
	return p
}

// TestLogin is a sign-in from none to two factors, and what does not open a session on the way. As the Express example's.
func TestLogin(t *testing.T) {
	rounds = 1000
	server := startLocal(t)
	client, err := host.New(host.Config{
		URL: server.url, Audience: "nightlatch-demo-host", Credentials: host.ServiceKey(server.key), Redeemer: host.NewMemoryRedeemer(),
	})
	if err != nil {
		t.Fatal(err)
	}
	app := httptest.NewServer(newLogin(client))
	defer app.Close()
	want := func(what string, want, got int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d; want %d", what, got, want)
		}
	}

	mallory := newBrowser(t, app.URL)
	for _, wrong := range [][2]string{{"alice@example.com", "wrong"}, {"alice@example.com", ""}, {"mallory@example.com", "correct horse"}, {"", ""}} {
		status, _ := mallory.login(wrong[0], wrong[1])
		want("a wrong password", http.StatusUnauthorized, status)
	}
	want("an assertion without a sign-in", http.StatusUnauthorized, mallory.session("x"))
	status, _ := mallory.ask("POST", app.URL+"/login", "", "no object")
	want("a body that is no object", http.StatusBadRequest, status)
	form, err := http.Post(app.URL+"/login", "text/plain", strings.NewReader(`{"email":"alice@example.com","password":"correct horse"}`))
	if err != nil {
		t.Fatal(err)
	}
	form.Body.Close()
	want("a form of another site", http.StatusBadRequest, form.StatusCode)
	mallory.isIn("")

	alice := newBrowser(t, app.URL)
	status, _ = alice.login("alice@example.com", "correct horse")
	want("without a second factor", http.StatusNoContent, status)
	alice.isIn("alice@example.com", "pwd")
	status, _ = alice.ask("POST", app.URL+"/logout", "", nil)
	want("logout", http.StatusNoContent, status)
	alice.isIn("")

	phone := enrol(t, server.url, "alice@example.com")
	enrol(t, server.url, "bob@example.com")
	status, challenge := alice.login("alice@example.com", "correct horse")
	want("with one", http.StatusOK, status)
	want("no assertion", http.StatusUnauthorized, alice.session(""))
	want("the challenge for an assertion", http.StatusUnauthorized, alice.session(challenge))
	alice.isIn("")

	status, answer := alice.ask("POST", server.url+"/v1/verify", "", map[string]string{"challenge": challenge, "method": "totp", "code": phone.code()})
	want("verify", http.StatusOK, status)
	assertion, _ := answer["assertion"].(string)
	bob, again, stranger := newBrowser(t, app.URL), newBrowser(t, app.URL), newBrowser(t, app.URL)
	bob.login("bob@example.com", "correct horse")
	again.login("alice@example.com", "correct horse")
	want("another user", http.StatusUnauthorized, bob.session(assertion))
	want("another sign-in of the same user", http.StatusUnauthorized, again.session(assertion))
	want("no sign-in", http.StatusUnauthorized, stranger.session(assertion))
	for _, b := range []*browser{bob, again, stranger, alice} {
		b.isIn("")
	}

	both := make([]int, 2)
	var all sync.WaitGroup
	for i := range both {
		all.Go(func() { both[i] = alice.session(assertion) })
	}
	all.Wait()
	slices.Sort(both)
	if diff := cmp.Diff([]int{http.StatusNoContent, http.StatusUnauthorized}, both); diff != "" {
		t.Errorf("the same twice at once (-want +got):\n%s", diff)
	}
	alice.isIn("alice@example.com", "pwd", "otp", "mfa")
	want("replayed", http.StatusUnauthorized, alice.session(assertion))

	server.kill()
	status, _ = bob.login("bob@example.com", "correct horse")
	want("without the service", http.StatusServiceUnavailable, status)
	bob.isIn("")
	known, unknown := refused(t, app.URL, "bob@example.com"), refused(t, app.URL, "mallory@example.com")
	if diff := cmp.Diff(unknown, known); diff != "" {
		t.Errorf("without the service, a wrong password of a known address (-unknown +known):\n%s", diff)
	}
}

// refused is all that the answer to a wrong password tells.
func refused(t *testing.T, app, email string) string {
	t.Helper()
	body := `{"email":"` + email + `","password":"wrong"}`
	response, err := http.Post(app+"/login", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	response.Header.Del("Date")
	all, err := httputil.DumpResponse(response, true)
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		t.Fatalf("a wrong password of %s: %s %v; want 401", email, response.Status, err)
	}
	return string(all)
}

// TestServe: a wrong password is answered before it is reported, and is reported before the program ends.
func TestServe(t *testing.T) {
	rounds = 1000
	var reported atomic.Int64
	ended := make(chan struct{})
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-ended // until no one can sign in any more
		reported.Add(1)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer service.Close()
	client, err := newClient(func(name string) string {
		return map[string]string{"NIGHTLATCH_URL": service.URL, "NIGHTLATCH_SERVICE_KEY": "key"}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, listener, client) }()
	app := "http://" + listener.Addr().String()
	if known, unknown := refused(t, app, "bob@example.com"), refused(t, app, "mallory@example.com"); known != unknown {
		t.Errorf("of a known address %s, of an unknown one %s", known, unknown)
	}
	stop()
	for {
		connection, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			break
		}
		connection.Close()
	}
	close(ended)
	if err := <-served; err != nil || reported.Load() != 1 {
		t.Errorf("%v, %d reports; want one", err, reported.Load())
	}
}

// TestSettings: what is not set, or wrongly, is told by its name.
func TestSettings(t *testing.T) {
	for wrong, env := range map[string]map[string]string{
		"a ServiceKey is": {},
		"URL: must be":    {"NIGHTLATCH_SERVICE_KEY": "key", "NIGHTLATCH_URL": "http:9000"},
	} {
		_, err := newClient(func(name string) string { return env[name] })
		if err == nil || !strings.Contains(err.Error(), "set NIGHTLATCH_SERVICE_KEY and NIGHTLATCH_URL to") || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%v: %v; want one that says %q", env, err, wrong)
		}
	}
}

// TestWrongKey: what only the service knows is told when it does.
func TestWrongKey(t *testing.T) {
	var out bytes.Buffer
	log.SetOutput(&out)
	defer log.SetOutput(os.Stderr)
	logged(fmt.Errorf("challenge: %w", &host.Error{Status: http.StatusForbidden}))
	if !strings.Contains(out.String(), "NIGHTLATCH_SERVICE_KEY") {
		t.Errorf("the log says %q; want what to set", &out)
	}
}
