package thaw_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/thaw"
)

// TestClient: a function that was frozen has kept several dead connections. The first request that it makes afterwards meets
// one of them; the second meets none.
func TestClient(t *testing.T) {
	t.Parallel()
	const kept = 8
	type born struct{}
	var era, requests atomic.Int32
	all := make(chan struct{})
	// It resets what is sent on a connection from before the freeze, as whatever lies between does that has forgotten it.
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(born{}) != era.Load() {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
			return
		}
		if requests.Add(1) == kept {
			close(all)
		}
		<-all // so each has a connection of its own
		io.WriteString(w, "well")
	}))
	service.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, born{}, era.Load())
	}
	service.Start()
	t.Cleanup(service.Close)
	client := thaw.Client(time.Minute)
	post := func() error { // no other request is sent again by net/http itself
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, service.URL, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		_, err = io.ReadAll(response.Body)
		return err
	}
	var together sync.WaitGroup
	for range kept {
		together.Go(func() {
			if err := post(); err != nil {
				t.Error(err)
			}
		})
	}
	together.Wait()
	era.Add(1)
	if err := post(); err == nil {
		t.Error("no connection was dead: this test shows nothing")
	}
	if err := post(); err != nil {
		t.Errorf("after a failure it has taken a dead connection again: %v", err)
	}
}

// TestClientSilence: the connection that was kept is not reset, but forgotten in silence, by a service that would speak
// HTTP/2. One attempt waits in vain; the second has a connection of its own.
func TestClientSilence(t *testing.T) {
	t.Parallel()
	var silent atomic.Bool
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "well")
	}))
	service.EnableHTTP2 = true
	service.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		silent.Store(false)
		return ctx
	}
	service.Listener = forgetful{service.Listener, &silent}
	service.StartTLS()
	t.Cleanup(service.Close)
	client := thaw.Client(time.Minute)
	roots := x509.NewCertPool()
	roots.AddCert(service.Certificate())
	thaw.Trust(client, roots)
	get := func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, service.URL, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		_, err = io.ReadAll(response.Body)
		return err
	}
	if err := get(t.Context()); err != nil {
		t.Fatal(err)
	}
	silent.Store(true)
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := get(short); err == nil {
		t.Fatal("the connection was not forgotten: this test shows nothing")
	}
	long, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := get(long); err != nil {
		t.Errorf("after a failure it has taken the dead connection again: %v", err)
	}
}

// forgetful connections say nothing while they are silent.
type forgetful struct {
	net.Listener
	silent *atomic.Bool
}

func (l forgetful) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return mute{c, l.silent}, err
}

type mute struct {
	net.Conn
	silent *atomic.Bool
}

func (c mute) Write(b []byte) (int, error) {
	if c.silent.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// TestClientRedirect: what is meant for a service is sent nowhere else, whoever says so.
func TestClientRedirect(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect} {
		between := httptest.NewServer(http.RedirectHandler(elsewhere.URL, status))
		t.Cleanup(between.Close)
		response, err := thaw.Client(time.Minute).Get(between.URL)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != status {
			t.Errorf("status %d, want the redirect's own %d", response.StatusCode, status)
		}
	}
}

// TestClientTimeout: nobody waits for a service that does not answer, nor for one that does not come to the end of it.
func TestClientTimeout(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]string{"no answer": "", "half of one": "{"} {
		service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if begin != "" {
				io.WriteString(w, begin)
				w.(http.Flusher).Flush()
			}
			<-r.Context().Done()
		}))
		t.Cleanup(service.Close)
		response, err := thaw.Client(time.Millisecond).Get(service.URL)
		if err == nil {
			_, err = io.ReadAll(response.Body)
			response.Body.Close()
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want that it took too long", name, err)
		}
	}
}
