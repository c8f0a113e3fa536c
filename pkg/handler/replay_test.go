package handler_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/handler"
)

// TestReplay: a replay is no one user's. Who had it done, why, and what became of it is in the log, whatever became of it.
func TestReplay(t *testing.T) {
	t.Parallel()
	good := api.AdminRequest{Operation: "replay", Operator: "oscar", Reason: "the table of mails was away"}
	told := api.ReplayResponse{Objects: 2, Records: 3, Taken: 3, Removed: 2, Next: "records/7"}
	of := func(change func(*api.AdminRequest)) api.AdminRequest {
		request := good
		change(&request)
		return request
	}
	for name, test := range map[string]struct {
		request api.AdminRequest
		nowhere bool
		err     error
		code    api.Code
		detail  string
	}{
		"it works":      {request: good},
		"a dry run":     {request: of(func(r *api.AdminRequest) { r.DryRun = true })},
		"the rest":      {request: of(func(r *api.AdminRequest) { r.Cursor = "records/7" })},
		"it breaks off": {request: good, err: errors.New("no bucket"), code: api.CodeUnavailable},
		"of a user":     {request: of(func(r *api.AdminRequest) { r.User = "alice" }), code: api.CodeInvalidRequest, detail: "user: "},
		"by nobody":     {request: of(func(r *api.AdminRequest) { r.Operator = "" }), code: api.CodeInvalidRequest, detail: "operator: "},
		"for no reason": {request: of(func(r *api.AdminRequest) { r.Reason = "" }), code: api.CodeInvalidRequest, detail: "reason: "},
		"of nothing":    {request: good, nowhere: true, code: api.CodeInvalidRequest, detail: "operation: there is no failure bucket"},
		"a dry run of something else": {
			request: api.AdminRequest{Operation: "unlock", User: "alice", Operator: "oscar", Reason: "x", DryRun: true},
			code:    api.CodeInvalidRequest, detail: "dry_run: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "standard")
			var logged bytes.Buffer
			w.deps.Log = slog.New(slog.NewJSONHandler(&logged, nil))
			var asked []string
			if !test.nowhere {
				w.deps.Replay = func(_ context.Context, dryRun bool, after string) (api.ReplayResponse, error) {
					asked = append(asked, fmt.Sprint(dryRun, after))
					return told, test.err
				}
			}
			got, err := handler.Admin(w.deps)(t.Context(), test.request)
			var problem *api.Problem
			if errors.As(err, &problem); test.code != "" && (problem == nil || problem.Code != test.code || !strings.HasPrefix(problem.Detail, test.detail)) || test.code == "" && err != nil {
				t.Fatalf("%+v, %v; want %s %s", got, err, test.code, test.detail)
			}
			if test.detail != "" {
				if len(asked) > 0 {
					t.Errorf("it was done nevertheless: %s", &logged)
				}
				return
			}
			if !cmp.Equal(asked, []string{fmt.Sprint(test.request.DryRun, test.request.Cursor)}) {
				t.Errorf("asked %v", asked)
			}
			for _, part := range []string{`"msg":"order"`, `"operation":"replay"`, `"operator":"oscar"`, `"reason":"the table of mails was away"`, `"records":3`} {
				if !strings.Contains(logged.String(), part) {
					t.Errorf("the log lacks %s: %s", part, &logged)
				}
			}
			if complete := strings.Contains(logged.String(), `"verdict":"done"`); complete != (test.err == nil) {
				t.Errorf("logged %s", &logged)
			}
			if test.err != nil {
				if got.Replay != nil || !strings.Contains(logged.String(), "no bucket") {
					t.Errorf("%+v, logged %s", got, &logged)
				}
				return
			}
			answer, err := json.Marshal(got)
			want := `{"replay":{"objects":2,"unreadable":0,"records":3,"undecodable":0,"taken":3,"removed":2,"next":"records/7"}}`
			if err != nil || string(answer) != want {
				t.Errorf("%s, %v; want %s", answer, err, want)
			}
		})
	}
}
