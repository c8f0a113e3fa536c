package needs

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

var listens = regexp.MustCompile(`listening on (\d+)\n`)

func TestStart(t *testing.T) {
	t.Parallel()
	s, err := start(listens, "sh", "-c", `printf 'listening on 41'; printf '234\nGET /\n'; exec sleep 600`)
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	if want := "http://127.0.0.1:41234"; s.endpoint != want {
		t.Errorf("endpoint %q, want %q", s.endpoint, want)
	}
}

func TestServerThatDoesNotStart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		command []string
		want    []string // what the error tells
	}{
		{"it says why", []string{"sh", "-c", "echo no port; echo at all >&2; exit 7"},
			[]string{"sh does not listen", "exit status 7", "no port\nat all\n"}},
		{"it does not exist", []string{"/no/such-server"},
			[]string{"such-server does not listen", "exit status 127", "/no/such-server"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			startFails(t, test.want, test.command...)
		})
	}
}

func TestServerThatTakesTooLong(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	defer func(before time.Duration) { patience = before }(patience)
	patience = 500 * time.Millisecond
	startFails(t, []string{"sh does not listen", "waited 500ms", "one moment\n"}, "sh", "-c", "echo one moment; exec sleep 600")
	empty(t, tmp) // so it has been stopped
}

func startFails(t *testing.T, wants []string, command ...string) {
	t.Helper()
	s, err := start(listens, command...)
	if err == nil {
		s.stop()
		t.Fatal("it has started")
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q, want it to tell %q", err, want)
		}
	}
}

func TestServerWithoutDirectory(t *testing.T) {
	t.Setenv("TMPDIR", "/no/such-directory")
	if _, err := start(listens, "sh"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want %v", err, os.ErrNotExist)
	}
}

func TestServerWithoutShell(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	t.Setenv("PATH", "")
	if _, err := start(listens, "/bin/sh"); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("error %v, want %v", err, exec.ErrNotFound)
	}
	empty(t, tmp)
}

func TestStopLeavesNothing(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	s, err := start(listens, "sh", "-c", `touch here; echo listening on 1; exec sleep 600`)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(tmp, "*", "here")); err != nil || len(left) != 1 {
		t.Errorf("the server has written %v, %v: not into a directory of its own", left, err)
	}
	s.stop()
	empty(t, tmp)
}

func empty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A failure is told to every test, and tried once.
func TestSharedFailure(t *testing.T) {
	t.Parallel()
	var s shared
	starts := 0
	for range 2 {
		r := &recorder{TB: t}
		run(r, func(tb testing.TB) {
			s.endpoint(tb, func() (*server, error) { starts++; return nil, errors.New("no memory") })
		})
		if r.ended != "failed" || r.said != "no memory" {
			t.Errorf("ended %q saying %q", r.ended, r.said)
		}
	}
	if starts != 1 {
		t.Errorf("started %d times, want once", starts)
	}
}

// Whatever becomes of the process of the tests, its servers end.
func TestServersEndWithProcess(t *testing.T) {
	if os.Getenv("NEEDS_CHILD") == "true" {
		_, err := os.Stdout.WriteString("endpoints " + DynamoDBLocal(t) + " " + KMS(t) + "\n")
		if err == nil {
			_, err = io.Copy(io.Discard, os.Stdin) // until it is killed
		}
		t.Fatal(err)
	}
	DynamoDBLocal(t) // where they are missing this is where it is said
	KMS(t)

	for name, end := range map[string]func(*os.Process) error{
		"killed":      (*os.Process).Kill,
		"interrupted": func(p *os.Process) error { return p.Signal(os.Interrupt) },
	} {
		t.Run(name, func(t *testing.T) {
			tmp := t.TempDir()
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestServersEndWithProcess$")
			child.Env = append(os.Environ(), "NEEDS_CHILD=true", "TMPDIR="+tmp)
			child.Stderr = t.Output()
			stdin, err := child.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer stdin.Close()
			stdout, err := child.StdoutPipe()
			if err == nil {
				err = child.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(stdout).ReadString('\n')
			endpoints := strings.Fields(line)
			if err != nil || len(endpoints) != 3 {
				t.Fatalf("the child says %q, %v", line, err)
			}

			if err := end(child.Process); err != nil {
				t.Fatal(err)
			}
			for _, endpoint := range endpoints[1:] {
				refused(t, strings.TrimPrefix(endpoint, "http://"))
			}
			empty(t, tmp)
			if err := child.Wait(); err == nil {
				t.Error("the child ended well")
			}
		})
	}
}

// refused waits until nothing listens there any more: a server that lives says nothing unasked; when it ends, the kernel
// hangs up.
func refused(t *testing.T, address string) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); time.Now().Before(limit); {
		call, err := net.Dial("tcp", address)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		if err == nil {
			err = call.SetReadDeadline(limit)
		}
		if err == nil {
			_, _ = call.Read(make([]byte, 1))
			call.Close()
		}
	}
	t.Errorf("%s lives on", address)
}
