package dynamostore

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// A tunnel carries connections to DynamoDB, and forgets them when it is told to: what is then sent on one is answered
// with a reset, as whatever lies between a function and DynamoDB does after the function was frozen.
type tunnel struct {
	to     string
	all    chan struct{} // closed when as many connections are open as are wanted; before, none carries anything
	era    atomic.Int32  // a connection of an earlier one is forgotten
	opened atomic.Int32
}

// through is a second store in the tables of s, at the end of a tunnel of that many connections. It knows the sentinel.
func through(t *testing.T, s *Store, connections int32) (*Store, *tunnel) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	cfg := local(t)
	x := &tunnel{to: strings.TrimPrefix(*cfg.BaseEndpoint, "http://"), all: make(chan struct{})}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			if x.opened.Add(1) == connections {
				close(x.all)
			}
			go x.carry(near.(*net.TCPConn), x.era.Load())
		}
	}()
	cfg.BaseEndpoint = aws.String("http://" + l.Addr().String())
	s = New(cfg, s.tables, Patient)
	s.proven.Store(true)
	return s, x
}

func (x *tunnel) carry(near *net.TCPConn, era int32) {
	defer near.Close()
	<-x.all
	far, err := net.Dial("tcp", x.to)
	if err != nil {
		return
	}
	defer far.Close()
	go io.Copy(near, far)
	sent := make([]byte, 64<<10)
	for {
		n, err := near.Read(sent)
		if x.era.Load() != era {
			near.SetLinger(0) // closes by a reset
			return
		}
		if _, sending := far.Write(sent[:n]); err != nil || sending != nil {
			return
		}
	}
}

// TestThaw: a function that was frozen has kept more dead connections than a request has attempts. Its first request
// succeeds nevertheless.
func TestThaw(t *testing.T) {
	t.Parallel()
	const kept = 8
	s := open(t)
	for name, request := range map[twofactor.UserID]func(*Store, *twofactor.Account) error{
		"read":  func(s *Store, a *twofactor.Account) error { _, err := s.Load(t.Context(), a.User); return err },
		"write": func(s *Store, a *twofactor.Account) error { return s.Replace(t.Context(), next(a)) },
	} {
		there := put(t, s, &twofactor.Account{User: name}, 1)
		s, x := through(t, s, kept)
		var all sync.WaitGroup
		for range kept {
			all.Go(func() { wantStored(t, s, there) })
		}
		all.Wait()
		x.era.Add(1)
		if err := request(s, there); err != nil {
			t.Errorf("the first %s after a thaw: %v", name, err)
		}
		if n := x.opened.Load(); n != kept+1 {
			t.Errorf("%s: %d connections, want %d and a new one", name, n, kept)
		}
	}
}

// TestOnlyAfterFailures: connections outlive an answer that says no.
func TestOnlyAfterFailures(t *testing.T) {
	t.Parallel()
	s := open(t)
	one := put(t, s, &twofactor.Account{User: "u"}, 1)
	s, x := through(t, s, 1)
	for range 3 {
		if _, conflict := isConflict(s.Replace(t.Context(), first("u"))); !conflict {
			t.Error("no conflict")
		}
		wantStored(t, s, one)
	}
	if n := x.opened.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// TestRedirect: what is meant for DynamoDB is sent nowhere else, whoever says so.
func TestRedirect(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a redirect was followed")
	}))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect} {
		between := httptest.NewServer(http.RedirectHandler(elsewhere.URL, status))
		t.Cleanup(between.Close)
		cfg := local(t)
		cfg.BaseEndpoint = aws.String(between.URL)
		if a, err := New(cfg, Tables{"accounts", "history", "config"}).Load(t.Context(), "u"); err == nil || a != nil {
			t.Errorf("Load = %v, %v; want an error", a, err)
		}
	}
}
