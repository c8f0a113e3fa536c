package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

var kills = flag.Int("kills", 50, "how often TestKillNine kills the server")

// builtIn is where the program is built, once for all tests.
var builtIn string

func TestMain(m *testing.M) {
	code := 1
	dir, err := os.MkdirTemp("", "nightlatch-test-")
	if err == nil {
		builtIn = dir
		code = m.Run()
		err = os.RemoveAll(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

var built = sync.OnceValues(func() (binary string, err error) {
	binary = filepath.Join(builtIn, "nightlatch")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
})

// buildProgram builds the program as it is shipped: without the race detector, under which the 50 rounds would take
// minutes.
func buildProgram(t *testing.T) string {
	t.Helper()
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// program is the program in a process of its own.
type program struct {
	*remote
	process *exec.Cmd
	stderr  bytes.Buffer
}

func startProgram(t *testing.T, binary, data string, connections int, flags ...string) *program {
	t.Helper()
	return startCommand(t, connections, programArgs(binary, data, flags...)...)
}

func programArgs(binary, data string, flags ...string) []string {
	return append([]string{binary, "dev", "-addr", "127.0.0.1:0", "-data", data, "-quiet"}, flags...)
}

// startCommand starts the program by whatever command.
func startCommand(t *testing.T, connections int, args ...string) *program {
	t.Helper()
	p := &program{process: exec.Command(args[0], args[1:]...)}
	p.process.Stderr = &p.stderr
	out, err := p.process.StdoutPipe()
	if err == nil {
		err = p.process.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.process.Process.Kill() }) // if the test ends before it does
	var url string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, at, ok := strings.Cut(lines.Text(), "running:"); ok {
			url = strings.TrimSpace(at)
		}
		if key, ok := strings.CutPrefix(lines.Text(), "service key: "); ok {
			p.remote = newRemote(url, key, connections)
			go io.Copy(io.Discard, out)
			return p
		}
	}
	t.Fatalf("the program did not start: %v: %s", p.process.Wait(), p.stderr.String())
	return nil
}

// kill ends the program by SIGKILL: nothing is flushed, nothing is closed.
func (p *program) kill(t *testing.T) {
	t.Helper()
	if err := p.process.Process.Kill(); err != nil {
		t.Error(err)
	}
	var exit *exec.ExitError
	if err := p.process.Wait(); !errors.As(err, &exit) || exit.Exited() {
		t.Errorf("the program ended by itself: %v: %s", err, p.stderr.String())
	}
	p.close()
}

// holds says what is not so after a restart of what this customer was told.
func (s *season) holds(c *customer) error {
	if err := s.again(c); err != nil {
		return err
	}
	if c.secret != "" {
		if c.spent != "" {
			if err := s.refuses(c, "totp", c.spent, api.CodeCodeReused); err != nil {
				return fmt.Errorf("the spent code: %w", err)
			}
		}
		if c.former != "" {
			if err := s.refuses(c, "backup_code", c.former, api.CodeInvalidCode); err != nil {
				return fmt.Errorf("the former backup code: %w", err)
			}
			if !s.backupSignIn(c) {
				return errors.New("the backup code in force does not work")
			}
		}
	}
	return s.stands(c)
}

// stands says what of the status and the history is not as this customer was told.
func (s *season) stands(c *customer) error {
	want := twofactor.StateDisabled
	switch {
	case c.secret != "":
		want = twofactor.StateEnabled
	case c.pending.ExpiresAt.After(s.now):
		want = twofactor.StatePending
	}
	if c.season != s {
		c.season, c.session = s, s.session(c.id)
	}
	status, err := s.send(request{method: "GET", path: "/v1/status", bearer: c.session})
	if err != nil || status.told().State != string(want) {
		return fmt.Errorf("status %s, %v; want %s", status, err, want)
	}
	return s.eventuallyHistory(c.session, c.missing)
}

// again sends what had no answer again, twice: it gets in, and it gets in once.
func (s *season) again(c *customer) error {
	if c.inFlight == nil {
		return nil
	}
	d := *c.inFlight
	c.inFlight = nil
	before, err := s.send(request{method: "GET", path: "/v1/history?limit=10", bearer: c.session})
	if err != nil {
		return err
	}
	first, err := s.send(d.request)
	if err != nil {
		return err
	}
	second, err := s.send(d.request)
	if err != nil {
		return err
	}
	if first.status != http.StatusOK || second.status != http.StatusOK {
		return fmt.Errorf("%s sent again: %s, then %s", d.what, first, second)
	}
	one, two := first.told(), second.told()
	if first.jti() != second.jti() || (one.Assertion == "") != (d.path != "/v1/verify") || one.BackupCode != two.BackupCode ||
		one.EnrollmentID != two.EnrollmentID || one.ManualSecret != two.ManualSecret || !one.ActivatedAt.Equal(two.ActivatedAt) {
		return fmt.Errorf("%s sent again was done twice: %s, then %s", d.what, first, second)
	}
	c.acknowledge(d, one)
	c.repeated++
	for _, e := range before.told().Events {
		if e.UserAgent == d.agent {
			c.landed++
			break
		}
	}
	return nil
}

func (s *season) refuses(c *customer, method, code string, with api.Code) error {
	challenge := s.challenge(c)
	a, err := s.send(verifyRequest(challenge, method, code, s.agent()))
	if err == nil && a.told().Code != with {
		err = fmt.Errorf("answered %s, want %s", a, with)
	}
	return err
}

// missing says what of the acknowledged is not in the history, or is there more than once.
func (c *customer) missing(events []api.HistoryEvent) error {
	type mark struct{ agent, event string }
	seen, ids := map[mark]int{}, map[string]bool{}
	for _, e := range events {
		if ids[e.ID] {
			return fmt.Errorf("two events %s in the history of %s", e.ID, c.id)
		}
		ids[e.ID] = true
		if e.Outcome == string(twofactor.Succeeded) {
			seen[mark{e.UserAgent, e.Type}]++
		}
	}
	for _, agent := range c.challenged {
		if n := seen[mark{agent, string(twofactor.EventChallengeIssued)}]; n != 1 {
			return fmt.Errorf("challenge of %s is %d times in the history of %s", agent, n, c.id)
		}
	}
	for _, d := range c.acknowledged {
		for _, e := range d.events {
			if n := seen[mark{d.agent, string(e)}]; n != 1 {
				return fmt.Errorf("%s: %s of %s is %d times in the history of %s", d.agent, e, d.what, n, c.id)
			}
		}
	}
	return nil
}

// begin begins a season on a server that runs: all codes of the season before are past.
func begin(t *testing.T, p *program, data string, number int) *season {
	t.Helper()
	now, offset, err := p.wind(90 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return &season{
		program: p, t: t, number: number, now: now, enough: 1 + mathrand.Int64N(100), kill: make(chan struct{}),
		session: sessionsOf(t, data, func() time.Time { return time.Now().Add(offset) }),
	}
}

// TestKillNine kills the program again and again while it answers, by SIGKILL, and starts it on what is left. Whatever it
// has acknowledged is so: sign-ins stay spent, backup codes rotated, 2FA on or off, the history whole. What it has not
// acknowledged can be sent again, and happens once.
func TestKillNine(t *testing.T) {
	t.Parallel()
	const clients = 8
	rounds := *kills
	if testing.Short() {
		rounds = min(rounds, 5)
	}
	binary, data := buildProgram(t), dataDir(t)
	var customers [clients][]*customer
	var acked, lost int64
	p := startProgram(t, binary, data, clients)
	for round := 0; round < rounds && !t.Failed(); round++ {
		s := begin(t, p, data, round)
		var active [clients][]*customer
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				for old := customers[i]; ; { // each client knows its own, so that no customer is two people
					c := &customer{id: fmt.Sprintf("%d of client %d", len(customers[i]), i)}
					if len(old) > 0 && mathrand.N(8) > 0 {
						c, old = old[len(old)-1], old[:len(old)-1]
					} else {
						customers[i] = append(customers[i], c)
					}
					active[i] = append(active[i], c)
					if !s.visit(c) {
						return
					}
				}
			})
		}
		<-s.kill
		time.Sleep(mathrand.N(5 * time.Millisecond)) // not in step with an answer
		p.kill(t)
		all.Wait()
		acked, lost = acked+s.acked.Load(), lost+s.lost.Load()

		p = startProgram(t, binary, data, clients)
		s.program = p
		together(clients, clients, func(i int) {
			for _, c := range active[i] {
				if t.Failed() {
					return
				}
				if err := s.holds(c); err != nil {
					t.Errorf("round %d: %s: %v", round, c.id, err)
				}
			}
		})
	}

	s := begin(t, p, data, rounds)
	users, landed, repeated := 0, 0, 0
	for _, list := range customers {
		for _, c := range list {
			if t.Failed() {
				break
			}
			users, landed, repeated = users+1, landed+c.landed, repeated+c.repeated
			if err := s.stands(c); err != nil {
				t.Errorf("in the end: %s: %v", c.id, err)
			}
		}
	}
	p.kill(t)
	t.Logf("%d kills, %d users: %d requests acknowledged, %d without an answer; of these %d sent again, of which %d had been done already",
		rounds, users, acked, lost, repeated, landed)
}
