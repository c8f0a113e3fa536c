package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// statuses is the API's table of errors.
var statuses = map[int][]api.Code{
	400: {"invalid_request"},
	401: {"unauthorized", "reauthenticate", "challenge_expired"},
	403: {"forbidden", "policy_forbids"},
	404: {"not_found"},
	409: {"not_enabled", "already_enabled", "enrollment_expired", "enrollment_replaced", "no_backup_code", "conflict"},
	410: {"link_expired", "grant_expired"},
	413: {"too_large"},
	422: {"invalid_code", "code_reused"},
	423: {"suspended"},
	429: {"locked", "reset_limit"},
	500: {"internal"},
	503: {"unavailable"},
}

func TestNewProblem(t *testing.T) {
	t.Parallel()
	total := 0
	for status, codes := range statuses {
		for _, code := range codes {
			total++
			p := api.NewProblem(code, "")
			if p.Status != status || p.Code != code {
				t.Errorf("%s: got %s with status %d, want %d", code, p.Code, p.Status, status)
			}
			if want := "https://nightlatch.dev/problems/" + strings.ReplaceAll(string(code), "_", "-"); p.Type != want {
				t.Errorf("%s: got type %s, want %s", code, p.Type, want)
			}
			if p.Title == "" || !strings.HasSuffix(p.Detail, ".") || strings.HasSuffix(p.Title, ".") {
				t.Errorf("%s: the title %q or the detail %q is not for people", code, p.Title, p.Detail)
			}
			if p := api.NewProblem(code, "code: is required"); p.Detail != "code: is required" || p.Status != status {
				t.Errorf("%s: got %+v, want the given detail", code, p)
			}
		}
	}
	if got := len(api.Codes()); got != total {
		t.Errorf("got %d codes, want %d", got, total)
	}
}

func TestUnknownCodeIsInternal(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(api.NewProblem(api.CodeInternal, ""), api.NewProblem("no_such_code", "secret")); diff != "" {
		t.Error(diff)
	}
}

// TestCodes: the constants and the table are the same codes, and each is there once.
func TestCodes(t *testing.T) {
	t.Parallel()
	var declared []api.Code
	file, err := parser.ParseFile(token.NewFileSet(), "problem.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		d, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range d.Specs {
			v, ok := spec.(*ast.ValueSpec)
			if !ok || v.Type == nil || v.Type.(*ast.Ident).Name != "Code" {
				continue
			}
			text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			declared = append(declared, api.Code(text))
		}
	}
	if diff := cmp.Diff(declared, api.Codes()); diff != "" {
		t.Errorf("constants and table differ:\n%s", diff)
	}
	seen := map[api.Code]bool{}
	for _, c := range declared {
		if seen[c] {
			t.Errorf("%s is there twice", c)
		}
		seen[c] = true
	}
}

func TestProblemJSON(t *testing.T) {
	t.Parallel()
	none := 0
	full := api.NewProblem(api.CodeInvalidCode, "d")
	full.Title = "t"
	full.AttemptsRemaining, full.Reason, full.DriftSeconds, full.RetryAfter = &none, "clock_skew", -240, 17
	full.LockedUntil, full.MaxAge = time.Date(2026, 5, 1, 8, 4, 0, 0, time.UTC), 900
	full.Setting, full.RequestID = "enforcement", "r"
	bare := api.NewProblem(api.CodeNotFound, "d")
	bare.Title = "t"
	for want, p := range map[string]*api.Problem{
		`{"type":"https://nightlatch.dev/problems/not-found","title":"t","status":404,"code":"not_found","detail":"d"}`: bare,
		`{"type":"https://nightlatch.dev/problems/invalid-code","title":"t","status":422,"code":"invalid_code","detail":"d",` +
			`"attempts_remaining":0,"reason":"clock_skew","drift_seconds":-240,"retry_after":17,` +
			`"locked_until":"2026-05-01T08:04:00Z","max_age":900,"setting":"enforcement","request_id":"r"}`: full,
	} {
		if got, err := json.Marshal(p); err != nil || string(got) != want {
			t.Errorf("got %s, %v\nwant %s", got, err, want)
		}
		var back api.Problem
		if err := json.Unmarshal([]byte(want), &back); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(*p, back); diff != "" {
			t.Error(diff)
		}
	}
}

func TestProblemIsAnError(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("sign-in: %w", api.NewProblem(api.CodeTooLarge, "too much"))
	var p *api.Problem
	if !errors.As(err, &p) || p.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("got %v", p)
	}
	if want := "sign-in: too_large: too much"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}
