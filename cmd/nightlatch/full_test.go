package main

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/needs"
)

var fullDisk = flag.String("full.disk", "", "a directory of a small file system, which TestFullDisk fills to its last byte; otherwise it limits how large a file can be")

// fill takes all the room that there is beside a file, and returns what gives it back.
func fill(t *testing.T, dir string) (empty func()) {
	t.Helper()
	ballast, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size > 0; {
		if _, err := ballast.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := errors.Join(ballast.Close(), os.Remove(ballast.Name())); err != nil {
			t.Fatal(err)
		}
	}
}

// fullAt is a command that runs another whose files can have so many bytes, which to a program looks like a full disk.
func fullAt(t *testing.T, size int64, command []string) []string {
	t.Helper()
	const blocks = 512 // bytes, in any POSIX shell
	return append([]string{needs.Program(t, "sh"), "-c", fmt.Sprintf(`ulimit -f %d && exec "$@"`, size/blocks), "sh"}, command...)
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	file, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return file.Size()
}

// TestFullDisk fills the disk while the program answers. From the first write that fails on, nobody is told anything but
// `unavailable`, and the program ends by itself and says why. With room again, all that was acknowledged is so, and what was
// not can be sent again, and happens once.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	const clients, before = 8, 5
	binary, data := buildProgram(t), dataDir(t)
	if *fullDisk != "" {
		small, err := os.MkdirTemp(*fullDisk, "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(small) })
		data = small
		giveSessionKey(t, data)
	}
	var customers [clients][]*customer
	visit := func(s *season, i int) bool {
		c := &customer{id: fmt.Sprintf("%d of client %d", len(customers[i]), i)}
		customers[i] = append(customers[i], c)
		return s.visit(c)
	}
	p := startProgram(t, binary, data, clients)
	s := begin(t, p, data, 0)
	s.enough = -1 // nobody is killed
	together(clients, clients, func(i int) {
		for range before {
			if !visit(s, i) {
				t.Error("a visit without an answer, with nothing wrong")
			}
		}
	})
	p.kill(t)

	command, empty := programArgs(binary, data), func() {}
	if *fullDisk == "" {
		command = fullAt(t, sizeOf(t, filepath.Join(data, "nightlatch.db")), command)
	}
	p = startCommand(t, clients, command...)
	if *fullDisk != "" {
		empty = fill(t, *fullDisk)
	}
	s.program, s.full = p, true
	together(clients, clients, func(i int) {
		for n := 0; visit(s, i); n++ {
			if n == 10_000 {
				t.Fatal("the disk is never full")
			}
		}
	})
	var refused, unavailable atomic.Int64
	together(64, clients, func(i int) {
		c := customers[i%clients][i%before]
		for _, q := range []request{
			challengeFor(s.serviceKey, c.id, "too late"), {method: "GET", path: "/v1/status", bearer: s.session(c.id)},
			{method: "POST", path: "/v1/check", bearer: s.session(c.id), body: jsonOf("code", "123456")},
		} {
			switch a, err := s.send(q); {
			case err != nil:
				refused.Add(1)
			case a.status == http.StatusServiceUnavailable && a.told().Code == api.CodeUnavailable:
				unavailable.Add(1)
			default:
				t.Errorf("with the disk full %s was answered %s", q.path, a)
			}
		}
	})
	var exit *exec.ExitError
	late := time.AfterFunc(time.Minute, func() { p.process.Process.Kill() })
	defer late.Stop()
	if err := p.process.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitFailed || !strings.Contains(p.stderr.String(), "an earlier write failed") {
		t.Errorf("the program ended with %v: %s", err, p.stderr.String())
	}
	p.close()

	empty()
	p = startProgram(t, binary, data, clients)
	s.program, s.full = p, false
	together(clients, clients, func(i int) {
		for _, c := range customers[i] {
			if err := s.holds(c); err != nil {
				t.Errorf("%s: %v", c.id, err)
			}
		}
	})
	p.kill(t)
	t.Logf("%d requests acknowledged; %d were not, when the disk was full; after that %d unavailable, %d refused", s.acked.Load(), s.lost.Load(), unavailable.Load(), refused.Load())
}

// TestFullMailFolder: when a mail cannot be kept, nobody who signs in notices; it is there once there is room, and once.
func TestFullMailFolder(t *testing.T) {
	t.Parallel()
	const user, mail = "alice@example.com", "alice.other@example.com"
	binary, data := buildProgram(t), dataDir(t)
	p := startProgram(t, binary, data, 1)
	p.kill(t)
	inbox := filepath.Join(data, "mail.json")
	large := fmt.Sprintf(`[{"id":"1","at":"2026-01-01T00:00:00Z","to":["x@example.com"],"subject":"large","text":%q}]`, strings.Repeat("x", 4<<20))
	if err := os.WriteFile(inbox, []byte(large), 0o600); err != nil {
		t.Fatal(err)
	}

	p = startCommand(t, 1, fullAt(t, 3<<20, programArgs(binary, data))...)
	session := sessionsOf(t, data, time.Now)(user)
	ok := func(q request) told {
		t.Helper()
		r, err := p.send(q)
		if err != nil || r.status >= http.StatusBadRequest {
			t.Fatalf("%s: %s, %v", q.path, r, err)
		}
		return r.told()
	}
	ok(request{method: "POST", path: "/v1/challenges", bearer: p.serviceKey, body: jsonOf("user_id", user, "nonce", "n", "email", mail)})
	setUp := ok(request{method: "POST", path: "/v1/enroll", bearer: session, body: "{}"})
	ok(request{method: "POST", path: "/v1/enroll/confirm", bearer: session,
		body: jsonOf("enrollment_id", setUp.EnrollmentID, "code", appCode(setUp.ManualSecret, time.Now()))})
	if err := p.eventuallyHistory(session, func(events []api.HistoryEvent) error {
		for _, e := range events {
			if e.Type == "enabled" {
				return nil
			}
		}
		return errors.New("2FA is on, and the history does not say so")
	}); err != nil {
		t.Error(err)
	}
	p.kill(t)
	if got := sizeOf(t, inbox); got != int64(len(large)) {
		t.Errorf("the inbox has %d bytes, want %d as before", got, len(large))
	}
	if left, _ := filepath.Glob(filepath.Join(data, ".mail.json.new-*")); len(left) > 1 { // one, if it was killed just then
		t.Errorf("left behind: %v", left)
	}

	p = startProgram(t, binary, data, 1)
	mails := func() (n int) {
		r, err := p.send(request{method: "GET", path: "/dev/mail.json"})
		if err != nil || r.status != http.StatusOK {
			t.Fatalf("%s, %v", r, err)
		}
		return strings.Count(string(r.body), `"to":["`+mail+`"]`)
	}
	for end := time.Now().Add(30 * time.Second); mails() == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("with room again, the mail does not come")
		}
	}
	if n := mails(); n != 1 {
		t.Errorf("%d mails, want 1", n)
	}
	p.kill(t)
}
