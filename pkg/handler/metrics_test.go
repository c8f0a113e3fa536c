package handler_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/metric"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// TestCounted: each request is counted by how it ended, what needs somebody to look is counted, and nobody is named.
func TestCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	var out bytes.Buffer
	w.deps.Metrics = metric.New(&out, api.MetricNamespace, w.clock)
	w.deps.Log = slog.New(w.deps.Metrics.Log(slog.NewJSONHandler(w.logs, nil)))
	var units float64
	w.deps.Used = func() (float64, float64, int64) { units++; return units, units, int64(units) / 4 }
	w.funcs = functions(w.deps)
	counts := func(part string, want int) {
		t.Helper()
		if got := strings.Count(out.String(), part); got != want {
			t.Errorf("%s is there %d times, want %d:\n%s", part, got, want, &out)
		}
		out.Reset()
	}
	p, _ := w.enrolled("alice")
	counts(`"Requests":1,"Outcome":"success"}`, 2)
	w.want(w.session("alice"), "POST /v1/disable", body("code", p.wrong()), 422, "invalid_code")
	counts(`"Code":"invalid_code"`, 1)
	w.want(host(), "POST /v1/challenges", `{"user_id":"bob","nonce":"n","expect":"enabled"}`, 409, "not_enabled")
	counts(`"Unexpected":1`, 1)
	account, err := w.store.Load(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	account.Version++
	account.Authenticator.Secret.Box = []byte("damaged")
	if err := w.store.Replace(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	w.want(w.session("alice"), "POST /v1/check", body("code", p.code()), 500, "internal")
	counts(`"Unopened":1`, 1)
	logged := func(message string) {
		t.Helper()
		log := w.logs.String()
		if i := strings.LastIndex(log, `"msg":"`+message+`"`); i < 0 || !strings.Contains(log[i:], `of user \"alice\"`) {
			t.Errorf("the log does not name the user:\n%s", log)
		}
	}
	logged("sealed")
	old := *account
	old.Contact = &twofactor.Sealed{Generation: 1, Box: []byte("damaged")}
	old.Version++
	if err := w.store.Replace(t.Context(), &old); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if _, err := handler.Admin(w.deps)(t.Context(), api.AdminRequest{Operation: "export", User: "alice", Operator: "oscar", Reason: "x"}); err == nil {
		t.Fatal("it is exported")
	}
	counts(`"Unopened":1`, 1)
	logged("admin")
	if _, err := handler.Admin(w.deps)(t.Context(), api.AdminRequest{Operation: "unlock", User: "alice", Operator: "oscar", Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	counts(`"OperatorActions":1`, 1)
	if _, err := handler.Admin(w.deps)(t.Context(), api.AdminRequest{Operation: "unlock", User: "alice", Operator: "oscar"}); err == nil {
		t.Fatal("without a reason")
	}
	counts(`"Outcome":"failure"`, 1)
	w.deps.Service = nil
	w.funcs["status"] = handler.Status(w.deps)
	w.want(w.session("alice"), "GET /v1/status", "", 500, "internal")
	counts(`"Outcome":"internal"`, 1)
}

// TestWaitingIsCounted: a sweep tells how many resets wait, and for how long the oldest has waited for a reviewer.
func TestWaitingIsCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	var out bytes.Buffer
	w.deps.Metrics = metric.New(&out, api.MetricNamespace, w.clock)
	sweep := func(want ...string) {
		t.Helper()
		out.Reset()
		if err := handler.Sweep(w.deps)(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, part := range append(want, `"Function":"sweep"`) {
			if !strings.Contains(out.String(), part) {
				t.Errorf("lacks %s:\n%s", part, &out)
			}
		}
	}
	sweep(`"Waiting":0,"State":"in_review"`, `"Waiting":0,"State":"identity_pending"`, `"OldestReview":0`)
	w.enrolled("alice")
	account, err := w.store.Load(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	account.Version++
	account.Reset = &twofactor.Reset{ID: "r", State: twofactor.ResetInReview, RequestedAt: w.clock(), EnteredAt: w.clock(), ExpiresAt: w.clock().Add(14 * 24 * time.Hour)}
	if err := w.store.Replace(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	w.wind(90 * time.Minute)
	sweep(`"Waiting":1,"State":"in_review"`, `"Waiting":0,"State":"ready"`, `"OldestReview":5400`)
}
