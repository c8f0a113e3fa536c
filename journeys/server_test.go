package journeys_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/api/apitest"
)

// patience is how long the service may take to do what it does at once.
const patience = 30 * time.Second

// A server is the program under test, on a port of its own and a data directory of its own.
type server struct {
	program string // its path
	flags   []string
	data    string // a directory
	policy  string // a preset

	url     string
	process *exec.Cmd
	said    *transcript
}

// transcript is all that the program has said. It is read while it is being written.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

var listensOn = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// start runs the program and waits until it says where it listens.
func (s *server) start() error {
	if s.process != nil {
		return errors.New("the service is already running")
	}
	args := append([]string{"dev", "-addr", "127.0.0.1:0", "-data", s.data, "-policy", s.policy}, s.flags...)
	process := exec.Command(s.program, args...)
	s.said = &transcript{}
	process.Stderr = s.said
	out, err := process.StdoutPipe()
	if err != nil {
		return err
	}
	if err := process.Start(); err != nil {
		return err
	}
	found := make(chan string, 1)
	go func() {
		defer close(found)
		for lines := bufio.NewScanner(io.TeeReader(out, s.said)); lines.Scan(); {
			if url := listensOn.FindString(lines.Text()); url != "" && len(found) == 0 {
				found <- url
			}
		}
	}()
	select {
	case url, ok := <-found:
		if !ok {
			return fmt.Errorf("the service ended at once: %w\n%s", process.Wait(), s.said)
		}
		s.process, s.url = process, url
		return nil
	case <-time.After(patience):
		return errors.Join(fmt.Errorf("the service did not say where it listens:\n%s", s.said), process.Process.Kill(), process.Wait())
	}
}

// kill ends the program as a power cut does: what it has told must be on disk.
func (s *server) kill() error {
	if s.process == nil {
		return errors.New("the service is not running")
	}
	process := s.process
	s.process = nil
	if err := process.Process.Kill(); err != nil {
		return err
	}
	var exit *exec.ExitError
	if err := process.Wait(); !errors.As(err, &exit) {
		return fmt.Errorf("killed, the service ended with %w", err)
	}
	return nil
}

// stop ends the program politely.
func (s *server) stop() error {
	if s.process == nil {
		return nil
	}
	process := s.process
	s.process = nil
	if err := process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	giveUp := time.AfterFunc(patience, func() { process.Process.Signal(os.Kill) })
	defer giveUp.Stop()
	if err := process.Wait(); err != nil {
		return fmt.Errorf("told to end, the service ended with %w\n%s", err, s.said)
	}
	return nil
}

// An answer is what a request came back with.
type answer struct {
	to     string // the line of the script
	status int
	header http.Header
	body   map[string]any // numbers as json.Number
	list   []any          // where it is no object
	judged bool           // a line of the script has looked at it
}

// ask sends a request. A body that is nil is none.
func (s *server) ask(client *http.Client, session, method, path string, body any) (*answer, error) {
	if s.process == nil {
		return nil, errors.New("the service is not running: begin with server PRESET")
	}
	var sent []byte
	if body != nil {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequest(method, s.url+path, bytes.NewReader(sent))
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("content-type", "application/json")
	}
	if session != "" {
		request.Header.Set("authorization", "Bearer "+session)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, s.said)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	a := &answer{status: response.StatusCode, header: response.Header, body: map[string]any{}}
	if len(text) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		var content any
		if err := decoder.Decode(&content); err != nil {
			return nil, fmt.Errorf("%s %s answered %d with what is no JSON: %w\n%s", method, path, a.status, err, text)
		}
		a.body, _ = content.(map[string]any)
		a.list, _ = content.([]any)
	}
	byGateway := a.status == http.StatusUnauthorized && len(a.body) == 1 && a.text("message") != "" // as on AWS, before the functions
	if strings.HasPrefix(path, "/v1/") && !byGateway {
		err = contract(request, sent, a.status, a.header, text)
	}
	return a, err
}

// contract holds an exchange of the API against openapi.yaml.
func contract(request *http.Request, requestBody []byte, status int, header http.Header, body []byte) error {
	var v verdict
	apitest.Check(&v, request, requestBody, status, header, body)
	return errors.Join(v.wrong...)
}

// verdict is a test that only collects what is wrong, so that the script says at which line.
type verdict struct {
	testing.TB
	wrong []error
}

func (v *verdict) Helper()                   {}
func (v *verdict) Errorf(f string, a ...any) { v.wrong = append(v.wrong, fmt.Errorf(f, a...)) }

func (a *answer) ok() bool { return a.status < 300 }

// member is a member of the body, by its path: backup_code.present.
func (a *answer) member(path string) any {
	var v any = a.body
	for name := range strings.SplitSeq(path, ".") {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	return v
}

// text is a member as a script writes it: a list with commas, nothing for null.
func (a *answer) text(path string) string { return plain(a.member(path)) }

func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = plain(v[i])
		}
		return strings.Join(parts, ",")
	case map[string]any:
		text, _ := json.Marshal(v)
		return string(text)
	}
	return fmt.Sprint(v)
}
