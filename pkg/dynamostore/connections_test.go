package dynamostore

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// TestConnections: connections are kept for all of 64 parallel clients. With the SDK's own ten, most requests would begin
// with a new one.
func TestConnections(t *testing.T) {
	t.Parallel()
	const clients, rounds = 64, 20
	s := open(t)
	cfg := local(t)
	target, err := url.Parse(*cfg.BaseEndpoint)
	if err != nil {
		t.Fatal(err)
	}
	var opened atomic.Int32
	between := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: carrier,
	})
	between.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	between.Start()
	t.Cleanup(between.Close)
	cfg.BaseEndpoint = aws.String(between.URL)
	s = New(cfg, s.tables, Patient)
	for range rounds {
		var all sync.WaitGroup
		for range clients {
			all.Go(func() {
				if _, err := s.Load(t.Context(), "u"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	// A request that waits for its connection takes one that has become free meanwhile: both are kept.
	if n := opened.Load(); n > 3*clients {
		t.Errorf("%d connections for %d clients", n, clients)
	}
	t.Logf("%d connections for %d requests", opened.Load(), clients*rounds)
}
