package host_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/host"
)

var failedPassword = api.HostEventRequest{Type: "password_failed", IP: "203.0.113.7", UserAgent: "u"}

// never is a failed that must not be called.
func never(t *testing.T) func(error) {
	return func(err error) { t.Errorf("failed: %v", err) }
}

// TestReportPasswordFailed: it waits for nothing, and Flush waits for it.
func TestReportPasswordFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got atomic.Value
		client := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			var in api.HostEventRequest
			if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.URL.Path != "/v1/users/alice/events" {
				t.Errorf("%s: %v", r.URL, err)
			}
			got.Store(in)
			w.WriteHeader(http.StatusNoContent)
		}), time.Now)
		begin := time.Now()
		if err := client.Flush(t.Context()); err != nil {
			t.Errorf("with nothing under way: %v", err)
		}
		client.ReportPasswordFailed("alice", failedPassword.IP, failedPassword.UserAgent, never(t))
		if took := time.Since(begin); took != 0 {
			t.Errorf("took %v; want 0", took)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := client.Flush(short); !errors.Is(err, context.DeadlineExceeded) || got.Load() != nil {
			t.Errorf("%v, %v was reported; want DeadlineExceeded and nothing yet", err, got.Load())
		}
		if err := client.Flush(t.Context()); err != nil || got.Load() != failedPassword || time.Since(begin) != time.Second {
			t.Errorf("%v, %v was reported after %v; want %v after 1s", err, got.Load(), time.Since(begin), failedPassword)
		}
	})
}

// TestReportPasswordFailedFails: each error is told once, and none but by the callback.
func TestReportPasswordFailedFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, answer(403, `{"message":"Forbidden"}`), time.Now)
		var told []error
		client.ReportPasswordFailed("alice", failedPassword.IP, failedPassword.UserAgent, func(err error) { told = append(told, err) })
		if err := client.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		var answered *host.Error
		if len(told) != 1 || !errors.As(told[0], &answered) || answered.Status != 403 {
			t.Errorf("failed with %v; want a 403, once", told)
		}
	})
	defer func() {
		if told, _ := recover().(string); !strings.Contains(told, "failed is required") {
			t.Errorf("without a callback: %q", told)
		}
	}()
	newClient(t, nil, time.Now).ReportPasswordFailed("alice", failedPassword.IP, failedPassword.UserAgent, nil)
}

// TestFailedPanics: what the callback does wrong ends neither the program nor the caller's request, and is logged.
func TestFailedPanics(t *testing.T) { // not parallel: it reads the log of the program
	var logged bytes.Buffer
	log.SetOutput(&logged)
	defer log.SetOutput(os.Stderr)
	synctest.Test(t, func(t *testing.T) {
		serve := make(chan struct{})
		client := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			<-serve
			w.WriteHeader(http.StatusForbidden)
		}), time.Now)
		var calls atomic.Int64
		for range 101 { // the last one is beyond the limit
			client.ReportPasswordFailed("alice", "", "", func(error) {
				calls.Add(1)
				panic("the log is full")
			})
		}
		if calls.Load() != 1 {
			t.Errorf("failed was called %d times at once; want 1", calls.Load())
		}
		close(serve)
		if err := client.Flush(t.Context()); err != nil || calls.Load() != 101 {
			t.Errorf("%v after %d calls of failed; want 101", err, calls.Load())
		}
	})
	if got := strings.Count(logged.String(), "panicked over"); got != 101 || !strings.Contains(logged.String(), "the log is full") {
		t.Errorf("%d panics in the log; want 101, and why", got)
	}
}

// TestReportPasswordFailedLimit: while the service hangs, what is under way does not grow; afterwards all of it goes on.
func TestReportPasswordFailedLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var arrived atomic.Int64
		serve := make(chan struct{})
		client := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			arrived.Add(1)
			<-serve
			w.WriteHeader(http.StatusNoContent)
		}), time.Now)
		for range 100 {
			client.ReportPasswordFailed("alice", failedPassword.IP, failedPassword.UserAgent, never(t))
		}
		var beyond []error
		for range 3 {
			client.ReportPasswordFailed("alice", failedPassword.IP, failedPassword.UserAgent, func(err error) { beyond = append(beyond, err) })
		}
		synctest.Wait()
		if len(beyond) != 3 || !errors.Is(beyond[0], host.ErrUnavailable) || arrived.Load() != 100 {
			t.Errorf("%d arrived, of the others %v; want 100, and ErrUnavailable three times", arrived.Load(), beyond)
		}
		close(serve)
		if err := client.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		client.ReportPasswordFailed("alice", failedPassword.IP, failedPassword.UserAgent, never(t))
		if err := client.Flush(t.Context()); err != nil || arrived.Load() != 101 {
			t.Errorf("%v, %d arrived; want 101", err, arrived.Load())
		}
	})
}
