package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nightlatch/nightlatch/pkg/needs"
)

// pretend puts programs in the place of all others. What they are called with is in the returned file.
func pretend(t *testing.T, programs map[string]string) (calls string) {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(needs.Program(t, "sh"), filepath.Join(bin, "sh")); err != nil {
		t.Fatal(err)
	}
	for name, script := range programs {
		text := "#!" + filepath.Join(bin, "sh") + "\necho \"" + name + " $*\" >>calls\n" + script + "\n"
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin)
	t.Chdir(dir)
	return "calls"
}

// What cannot be done is told with what to do, and leaves nothing behind. What is done where all is well: see TestMakeSam in
// functions/.
func TestFaults(t *testing.T) {
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"__type":"com.amazonaws.dynamodb.v20120810#ValidationException"}`, http.StatusBadRequest)
	}))
	defer refuses.Close()
	port := `[ "$1" != port ] || echo ` + strings.TrimPrefix(refuses.URL, "http://")
	const cleans = "docker rm --force nightlatch-sam-dynamodb nightlatch-sam-moto\ndocker network rm nightlatch-sam\n"
	for name, test := range map[string]struct {
		programs map[string]string
		want     []string
		cleans   bool
	}{
		"without Docker": {map[string]string{"sam": ""},
			[]string{"needs Docker", "not installed: https://docs.docker.com/get-docker/", "make dev"}, false},
		"Docker is not running": {map[string]string{"sam": "", "docker": "echo Cannot connect >&2; exit 1"},
			[]string{"needs Docker", "does not answer. Start it", "Cannot connect"}, false},
		"without sam": {map[string]string{"docker": ""},
			[]string{"needs AWS's program sam", "make tools"}, false},
		"what does not build": {map[string]string{"docker": "", "sam": "", "make": "exit 2"},
			[]string{"make --no-print-directory: exit status 2"}, false},
		"another run": {map[string]string{"make": "", "sam": "", "docker": `[ "$1" != network ] || { echo already exists >&2; exit 1; }`},
			[]string{"already exists", "Is another one running?", "docker rm --force nightlatch-sam-dynamodb nightlatch-sam-moto; docker network rm nightlatch-sam"}, false},
		"without an image": {map[string]string{"make": "", "sam": "", "docker": `[ "$1" != run ] || { echo no such image >&2; exit 125; }`},
			[]string{"docker run", "no such image"}, true},
		"without a port": {map[string]string{"make": "", "sam": "", "docker": `[ "$1" != port ] || { echo no such container >&2; exit 1; }`},
			[]string{"docker port", "no such container"}, true},
		"a port that is none": {map[string]string{"make": "", "sam": "", "docker": `[ "$1" != port ] || echo %`},
			[]string{`docker port says "%`}, true},
		"a database that refuses": {map[string]string{"make": "", "sam": "", "docker": port},
			[]string{"making the tables", "ValidationException"}, true},
		"what cannot be removed": {map[string]string{"make": "", "sam": "", "docker": `case "$1" in run) echo no such image >&2; exit 125;; rm) echo busy >&2; exit 1;; esac`},
			[]string{"no such image", "docker rm", "busy"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			calls := pretend(t, test.programs)
			var said bytes.Buffer
			err := run(t.Context(), nil, &said, &said)
			if err == nil {
				t.Fatal("it ends well")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want it to tell %q", err, want)
				}
			}
			text, err := os.ReadFile(calls)
			if err != nil && len(test.programs) > 1 {
				t.Fatal(err)
			}
			if got := strings.HasSuffix(string(text), cleans); got != test.cleans {
				t.Errorf("it cleans up: %v, want %v:\n%s", got, test.cleans, text)
			}
		})
	}
}

// Whoever interrupts it before the functions run is not told of another run.
func TestInterrupted(t *testing.T) {
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGUSR1)
	defer stop()
	pretend(t, map[string]string{"make": "", "sam": "", "docker": `[ "$1" != network ] || { kill -USR1 $PPID; while :; do :; done; }`})
	if err := run(ctx, nil, new(bytes.Buffer), new(bytes.Buffer)); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "another") {
		t.Errorf("error %v, want %v alone", err, context.Canceled)
	}
}
