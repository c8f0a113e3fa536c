package needs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"
)

// launch becomes the server, after leaving behind a watcher that reads a pipe whose other end only this process holds.
// Nothing is ever written to it: it ends when this process closes it or is no more, even by kill -9. Then the server's
// working directory goes, with whatever it left lying about, and then the server.
const launch = `
exec 3<&0 </dev/null
( read -r _ <&3; rm -rf "$1"; kill -9 $$ ) >/dev/null 2>&1 &
shift
exec "$@"
`

// patience is far more than a server takes to start on a busy machine.
var patience = time.Minute

// A server is a program that tests talk to, and that does not outlive their process.
type server struct {
	endpoint string // URL, such as http://127.0.0.1:41234
	alive    io.Closer
	ended    <-chan struct{}
}

// start runs a server and waits until it says on which port it listens, which is the first submatch of listens. So no other
// server that happens to answer there is ever taken for it. The error tells what the server said instead.
func start(listens *regexp.Regexp, command ...string) (*server, error) {
	dir, err := os.MkdirTemp("", "nightlatch-"+filepath.Base(command[0])+"-")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("sh", slices.Concat([]string{"-c", launch, "sh", dir}, command)...)
	cmd.Dir = dir
	said := &output{listens: listens, port: make(chan string, 1)}
	cmd.Stdout, cmd.Stderr = said, said
	alive, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	var failure error
	ended := make(chan struct{})
	go func() { failure = cmd.Wait(); close(ended) }()

	select {
	case port := <-said.port:
		return &server{endpoint: "http://127.0.0.1:" + port, alive: alive, ended: ended}, nil
	case <-ended:
	case <-time.After(patience):
		alive.Close()
		<-ended
		failure = fmt.Errorf("waited %v", patience)
	}
	return nil, fmt.Errorf("%s does not listen: %w; it said:\n%s", filepath.Base(command[0]), failure, said.text.String())
}

// stop ends the server and returns once it has ended.
func (s *server) stop() {
	s.alive.Close()
	<-s.ended
}

// output keeps what a server says until it says that it listens. What it says of single requests is of no use.
type output struct {
	listens *regexp.Regexp
	port    chan string
	text    bytes.Buffer
	found   bool
}

func (o *output) Write(p []byte) (int, error) {
	if o.found {
		return len(p), nil
	}
	o.text.Write(p)
	if match := o.listens.FindSubmatch(o.text.Bytes()); match != nil {
		o.found = true
		o.port <- string(match[1])
	}
	return len(p), nil
}

// shared is a server that all tests of this process use. It is started once; a failure stays one.
type shared struct {
	once   sync.Once
	server *server
	err    error
}

func (s *shared) endpoint(tb testing.TB, start func() (*server, error)) string {
	tb.Helper()
	s.once.Do(func() { s.server, s.err = start() })
	if s.err != nil {
		tb.Fatal(s.err)
	}
	return s.server.endpoint
}

// fetched returns the folder in which `make tools` has put a tool. In another version than the pin asks for, a file in
// pkg/needs/tools of which each tool has a copy, it is not there.
func fetched(tb testing.TB, tool, pin, name string) (dir string) {
	tb.Helper()
	root := root(tb)
	want, err := os.ReadFile(filepath.Join(root, "pkg/needs/tools", pin))
	if err != nil {
		tb.Fatal(err)
	}
	dir = filepath.Join(root, ".tools", tool)
	got, err := os.ReadFile(filepath.Join(dir, pin))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		tb.Fatal(err)
	}
	if err != nil || !bytes.Equal(got, want) {
		Skip(tb, name+" (make tools)")
	}
	return dir
}

// root is the top of the repository. Tests run in the folder of their package.
func root(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		switch parent := filepath.Dir(dir); {
		case err == nil:
			return dir
		case !errors.Is(err, os.ErrNotExist) || parent == dir:
			tb.Fatal(err)
		default:
			dir = parent
		}
	}
}
