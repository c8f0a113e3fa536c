package identity_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/identity"
)

const (
	inquiryID = "inq_Tn5cD2wq8RkVb3mZy7LxJh4G"
	reference = "r1.AYx3-Kd_9"
	template  = "itmpl_Zz9yX8wV7uT6sR5qP4oN3mL2"
	apiKey    = "persona_sandbox_0001"
)

// read returns what Persona's documentation shows.
func read(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// fixed are secrets that are always the same.
func fixed(values string) *identity.Secrets {
	return identity.NewSecrets(func(context.Context) ([]byte, error) { return []byte(values), nil }, time.Now)
}

// A persona answers as a test tells it to: each attempt by the next step, and further ones by the last.
type persona struct {
	mu    sync.Mutex
	steps []http.HandlerFunc
	asked []asked
}

// asked is one attempt, as it arrived.
type asked struct {
	method, path, query string
	header              http.Header
	body                string
}

func (p *persona) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // whoever asked has gone
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	p.mu.Lock()
	p.asked = append(p.asked, asked{r.Method, r.URL.Path, r.URL.RawQuery, r.Header, string(body)})
	step := p.steps[min(len(p.asked), len(p.steps))-1]
	p.mu.Unlock()
	step(w, r)
}

// attempts returns what arrived.
func (p *persona) attempts() []asked {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// answers is a step: that answer.
func answers(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// refuses is a step: an error as Persona writes them.
func refuses(status int, header ...string) http.HandlerFunc {
	return answers(status, `{"errors":[{"title":"Title","details":"details"}]}`, header...)
}

// hangs is a step: no answer for as long as anybody waits.
func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// cuts is a step: the connection ends after the beginning of an answer.
func cuts(beginning string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		buffered.WriteString(beginning)
		buffered.Flush()
	}
}

// A network has one server, which everybody who dials gets to. It is inside the test's bubble, so that time stands still
// while there is something to do: real HTTP, without a moment of waiting.
type network struct {
	conns chan net.Conn
	gone  chan struct{}
	once  sync.Once
}

func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.gone:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error   { n.once.Do(func() { close(n.gone) }); return nil }
func (n *network) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (n *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case n.conns <- far:
		return near, nil
	case <-n.gone:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serve puts a handler on a network of its own, until the test ends.
func serve(t *testing.T, h http.Handler) http.RoundTripper {
	t.Helper()
	n := &network{conns: make(chan net.Conn), gone: make(chan struct{})}
	server := &http.Server{Handler: h}
	ended := make(chan struct{})
	go func() { defer close(ended); server.Serve(n) }()
	transport := &http.Transport{DialContext: n.dial}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
		<-ended
	})
	return transport
}

// newClient returns a client of a server on the loopback interface.
func newClient(t testing.TB, c identity.Config) *identity.Client {
	t.Helper()
	if c.URL == "" {
		c.URL = "http://localhost"
	}
	if c.Template == "" {
		c.Template = template
	}
	if c.APIKey == nil {
		c.APIKey = fixed(apiKey)
	}
	client, err := identity.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// roundTrip is a transport without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// direct is a transport to a handler, without a network between.
func direct(h http.HandlerFunc) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		h(w, r)
		return w.Result(), nil
	})
}
