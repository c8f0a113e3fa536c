package handler_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// TestOrders: what is no order, or half of one, does nothing.
func TestOrders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	w.enrolled("alice")
	before := w.item("alice")
	for detail, bad := range map[string]api.AdminRequest{
		"operation: ":                    {Operation: "promote", User: "alice", Operator: "oscar", Reason: "x"},
		"user: a fence is for all users": {Operation: "fence", User: "alice", Operator: "oscar", Reason: "x"},
		"user: ":                         {Operation: "erase", Operator: "oscar", Reason: "x"},
		"operator: is missing":           {Operation: "erase", User: "alice", Reason: "x"},
		"reason: is missing":             {Operation: "export", User: "alice", Operator: "oscar"},
		"dry_run: ":                      {Operation: "erase", User: "alice", Operator: "oscar", Reason: "x", DryRun: true},
		"cursor: is for":                 {Operation: "erase", User: "alice", Operator: "oscar", Reason: "x", Cursor: "x"},
		"cursor: is not one":             {Operation: "export", User: "alice", Operator: "oscar", Reason: "x", Cursor: "x"},
	} {
		var problem *api.Problem
		w.logs.Reset()
		if out, err := handler.Admin(w.deps)(t.Context(), bad); !errors.As(err, &problem) || problem.Code != api.CodeInvalidRequest || !strings.HasPrefix(problem.Detail, detail) {
			t.Errorf("%+v: %+v, %v; want %s", bad, out, err, detail)
		}
		if n := strings.Count(w.logs.String(), `"msg":"order"`); n != 1 || !strings.Contains(w.logs.String(), `"verdict":"invalid_request"`) || strings.Contains(w.logs.String(), "promote") {
			t.Errorf("%+v: logged %s", bad, w.logs)
		}
	}
	if after := w.item("alice"); after != before {
		t.Errorf("now %s\nbefore %s", after, before)
	}
}

// TestOrdersAreLogged: each order is one line, whatever becomes of it, and none has more of what was sent than is due.
func TestOrdersAreLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	p, _ := w.enrolled("alice")
	brought := api.ImportRequest{Secret: p.secret}
	long := strings.Repeat("x", 300)
	for _, test := range []struct {
		order api.AdminRequest
		want  string
	}{
		{api.AdminRequest{Operation: "unlock", User: "alice"}, `"operation":"unlock","user":"alice","operator":"oscar","reason":"x","verdict":"done"`},
		{api.AdminRequest{Operation: "import", User: "alice", Import: &brought}, `"operation":"import","user":"alice","operator":"oscar","reason":"x","verdict":"done"`},
		{api.AdminRequest{Operation: "remove_authenticator", User: "bob"}, `"operation":"remove_authenticator","user":"bob","operator":"oscar","reason":"x","verdict":"not_enabled"`},
		{api.AdminRequest{Operation: "export", User: "alice"}, `"operation":"export","user":"alice","operator":"oscar","reason":"x","verdict":"done"`},
		{api.AdminRequest{Operation: "fence"}, `"operation":"fence","user":"","operator":"oscar","reason":"x","verdict":"unavailable"`},
		{api.AdminRequest{Operation: "erase", User: "alice\n"}, `"operation":"erase","user":"","operator":"oscar","reason":"x","verdict":"invalid_request"`},
		{api.AdminRequest{Operation: "erase", User: "alice", Reason: long}, `"operation":"erase","user":"alice","operator":"","reason":"","verdict":"invalid_request"`},
		{api.AdminRequest{Operation: p.secret, User: "alice"}, `"operation":"unknown","user":"alice","operator":"oscar","reason":"x","verdict":"invalid_request"`},
	} {
		w.logs.Reset()
		w.deps.RaiseFence = func(context.Context, time.Time, twofactor.Operator) (time.Time, error) {
			return time.Time{}, twofactor.ErrUnavailable
		}
		test.order.Operator, test.order.Reason = "oscar", cmp.Or(test.order.Reason, "x")
		_, err := handler.Admin(w.deps)(t.Context(), test.order)
		if said := w.logs.String(); strings.Count(said, `"msg":"order"`) != 1 || !strings.Contains(said, `"msg":"order",`+test.want) ||
			strings.Contains(said, p.secret) || strings.Contains(said, long) {
			t.Errorf("%s: %v; logged %s", test.order.Operation, err, said)
		}
	}
}

// TestOfNobody: what is done to an account that there is not is refused, and makes none.
func TestOfNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	for _, operation := range []string{"unlock", "remove_authenticator"} {
		var problem *api.Problem
		order := api.AdminRequest{Operation: operation, User: "alcie", Operator: "oscar", Reason: "x"}
		if _, err := handler.Admin(w.deps)(t.Context(), order); !errors.As(err, &problem) || problem.Code != api.CodeNotEnabled {
			t.Errorf("%s: %v", operation, err)
		}
		if item := w.item("alcie"); item != "" {
			t.Errorf("%s has made an account: %s", operation, item)
		}
	}
}

// TestExportAndErase: an operator tells a user all that is kept, and then has it all gone. Both say who it was.
func TestExportAndErase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	w.enrolled("alice")
	w.challenge("alice")
	order := api.AdminRequest{Operation: "export", User: "alice", Operator: "oscar", Reason: "letter of 3 March"}
	out, err := handler.Admin(w.deps)(t.Context(), order)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	var told struct{ Export twofactor.Export }
	if err := json.Unmarshal(text, &told); err != nil {
		t.Fatal(err)
	}
	if a := told.Export.Account; a == nil || a.State != "enabled" || a.Contact.Email != "alice@example.com" || len(told.Export.History) == 0 {
		t.Errorf("exported %s", text)
	}
	for _, part := range []string{`"msg":"order"`, `"operation":"export"`, `"verdict":"done"`, `"operator":"oscar"`, `"reason":"letter of 3 March"`, `"user":"alice"`} {
		if !strings.Contains(w.logs.String(), part) {
			t.Errorf("the log lacks %s: %s", part, w.logs)
		}
	}
	if strings.Contains(w.logs.String(), "example.com") {
		t.Errorf("logged %s", w.logs)
	}

	order.Operation = "erase"
	if out, err := handler.Admin(w.deps)(t.Context(), order); err != nil || out.State != "disabled" {
		t.Errorf("erased: %+v, %v", out, err)
	}
	account, err := w.store.Load(t.Context(), "alice")
	if err != nil || account.Contact != nil || len(account.Events) != 1 {
		t.Fatalf("left: %+v, %v", account, err)
	}
	if e := account.Events[0]; e.Type != twofactor.EventErased || e.Actor != twofactor.ActorOperator || e.By != "oscar" || e.Reason != order.Reason {
		t.Errorf("event %+v", e)
	}
}

// TestFence: after a restore an operator has nothing count that is older; who did so, and why, is kept.
func TestFence(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	fences := twofactor.NewFences(w.store.LoadConfig, w.clock, func(context.Context, error) {})
	w.deps.Service.Fence = fences.At
	w.deps.RaiseFence = func(ctx context.Context, at time.Time, by twofactor.Operator) (time.Time, error) {
		return fences.Raise(ctx, w.store.ReplaceConfig, at, by)
	}
	w.funcs = functions(w.deps)
	p, backup := w.enrolled("alice")
	backedUp, err := w.store.Load(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	code := p.code()
	in := w.want(anyone, "POST /v1/verify", body("challenge", w.challenge("alice").str("challenge"), "method", "totp", "code", code), 200, "")
	w.want(anyone, "POST /v1/verify", body("challenge", w.challenge("alice").str("challenge"), "method", "backup_code", "code", backup), 200, "")
	if in.str("assertion") == "" {
		t.Fatal(in.Text)
	}
	// The table is restored: the account is as it was, but for a version that the engine takes.
	now, err := w.store.Load(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	backedUp.Version = now.Version + 1
	if err := w.store.Replace(t.Context(), backedUp); err != nil {
		t.Fatal(err)
	}
	if got := w.want(w.session("alice"), "GET /v1/status", "", 200, ""); !strings.Contains(got.Text, `"present":true`) {
		t.Errorf("restored: %s", got.Text)
	}
	order := api.AdminRequest{Operation: "fence", Operator: "oscar", Reason: "restored to 14:00"}
	out, err := handler.Admin(w.deps)(t.Context(), order)
	if err != nil || out.Fence == nil || !out.Fence.At.Equal(w.clock()) {
		t.Fatalf("%+v, %v", out, err)
	}
	if got := w.want(w.session("alice"), "GET /v1/status", "", 200, ""); !strings.Contains(got.Text, `"present":false`) {
		t.Errorf("behind the fence: %s", got.Text)
	}
	challenge := w.challenge("alice").str("challenge")
	w.want(anyone, "POST /v1/verify", body("challenge", challenge, "method", "totp", "code", code), 422, "code_reused")
	w.want(anyone, "POST /v1/verify", body("challenge", challenge, "method", "backup_code", "code", backup), 409, "no_backup_code")
	w.wind(90 * time.Second)
	w.want(anyone, "POST /v1/verify", body("challenge", challenge, "method", "totp", "code", p.code()), 200, "")
	if !strings.Contains(w.logs.String(), `"msg":"order","operation":"fence","user":"","operator":"oscar","reason":"restored to 14:00","verdict":"done","at":`) {
		t.Errorf("logged %s", w.logs)
	}
	w.deps.RaiseFence = func(context.Context, time.Time, twofactor.Operator) (time.Time, error) {
		return time.Time{}, twofactor.ErrUnavailable
	}
	var problem *api.Problem
	if _, err := handler.Admin(w.deps)(t.Context(), order); !errors.As(err, &problem) || problem.Code != api.CodeUnavailable {
		t.Errorf("when the store fails: %v", err)
	}
}
