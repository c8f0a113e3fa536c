package keyring_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/nightlatch/nightlatch/pkg/keyring"
)

// TestKMSAfterAThaw: a function that was frozen has kept more dead connections than a request has attempts. Its first
// request succeeds nevertheless.
func TestKMSAfterAThaw(t *testing.T) {
	t.Parallel()
	const kept = 8
	type born struct{}
	var era, requests atomic.Int32
	all := make(chan struct{})
	// A KMS with one plaintext. It resets what is sent on a connection from before the freeze, as whatever lies between
	// does that has forgotten it.
	imitation := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
		io.WriteString(w, `{"Plaintext":"a2V5c2V0"}`)
	}))
	imitation.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, born{}, era.Load())
	}
	imitation.Start()
	t.Cleanup(imitation.Close)
	kek := keyring.KMS(kmsConfig(imitation.URL), "arn:aws:kms:eu-central-1:111122223333:key/a", func(o *kms.Options) {
		o.HTTPClient.(*http.Client).Timeout = time.Minute // on a busy machine
	})
	open := func() {
		t.Helper()
		if got, err := kek.DecryptWithContext(t.Context(), []byte("sealed"), []byte("totp")); err != nil || string(got) != "keyset" {
			t.Errorf("DecryptWithContext = %q, %v", got, err)
		}
	}
	var together sync.WaitGroup
	for range kept {
		together.Go(open)
	}
	together.Wait()
	era.Add(1)
	open()
}

// TestKMSRedirect: what is meant for KMS is sent nowhere else, whoever says so.
func TestKMSRedirect(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("a redirect was followed")
		io.WriteString(w, `{"Plaintext":"a2V5c2V0"}`)
	}))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect} {
		between := httptest.NewServer(http.RedirectHandler(elsewhere.URL, status))
		t.Cleanup(between.Close)
		kek := keyring.KMS(kmsConfig(between.URL), "arn:aws:kms:eu-central-1:111122223333:key/a")
		if got, err := kek.DecryptWithContext(t.Context(), []byte("sealed"), []byte("totp")); err == nil {
			t.Errorf("DecryptWithContext = %q, want an error", got)
		}
	}
}
