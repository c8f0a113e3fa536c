package apitest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const (
	plain   = "application/json"
	problem = "application/problem+json"

	notEnabled = `{"type":"https://nightlatch.dev/problems/not-enabled","title":"t","status":409,"code":"not_enabled","detail":"d"}`
	notFound   = `{"type":"https://nightlatch.dev/problems/not-found","title":"t","status":404,"code":"not_found","detail":"d"}`
	locked     = `{"type":"https://nightlatch.dev/problems/locked","title":"t","status":429,"code":"locked","detail":"d",` +
		`"locked_until":"2026-05-01T08:04:00Z"}`
	keySet = `{"keys":[{"kty":"EC","crv":"P-256","x":"x","y":"y","alg":"ES256","use":"sig","kid":"k"}]}`
)

// exchange is one request with its answer; header has a name and a value in turn.
type exchange struct {
	request, body string
	status        int
	header        []string
	answer        string
}

func (e exchange) check() error {
	method, target, _ := strings.Cut(e.request, " ")
	header := http.Header{}
	for i := 0; i < len(e.header); i += 2 {
		header[e.header[i]] = []string{e.header[i+1]} // in lower case, as handlers write them
	}
	return check(httptest.NewRequest(method, target, nil), []byte(e.body), e.status, header, []byte(e.answer))
}

func answered(contentType string, more ...string) []string {
	return append([]string{"content-type", contentType, "cache-control", "no-store"}, more...)
}

func TestCheckAccepts(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]exchange{
		"right":           {"POST /v1/check", `{"code":"123456"}`, 200, answered(plain), `{"valid":true,"spent":false,"drift_seconds":0}`},
		"wrong":           {"POST /v1/check", `{"code":"123456"}`, 200, answered(plain), `{"valid":false,"reason":"wrong_code","attempts_remaining":0}`},
		"charset":         {"POST /v1/disable", `{"code":"1"}`, 200, answered("application/json; charset=utf-8"), `{"state":"disabled"}`},
		"no body":         {"DELETE /v1/enroll", ``, 204, []string{"cache-control", "no-store"}, ``},
		"user in path":    {"POST /v1/users/auth0%7C123/events", `{"type":"login"}`, 204, []string{"cache-control", "no-store"}, ``},
		"query":           {"GET /v1/history?limit=2", ``, 200, answered(plain), `{"events":[],"next":null}`},
		"cached":          {"GET /.well-known/jwks.json", ``, 200, []string{"content-type", plain, "cache-control", "public, max-age=3600"}, keySet},
		"refused":         {"POST /v1/check", `not looked at`, 409, answered(problem), notEnabled},
		"locked":          {"POST /v1/check", `{}`, 429, answered(problem, "retry-after", "60"), locked},
		"no such path":    {"GET /v1/nothing", ``, 404, answered(problem), notFound},
		"no such method":  {"PUT /v1/check", ``, 404, answered(problem), notFound},
		"the other form":  {"POST /v1/verify", `{"challenge":"c","method":"reset_link","code":"x"}`, 200, answered(plain), `{"enrollment_required":true,"challenge":"c","expires_at":"2026-05-01T08:04:00Z","state":"enabled"}`},
		"late retry":      {"POST /v1/verify", `{"challenge":"c","method":"totp","code":"x"}`, 200, answered(plain), `{"state":"enabled","backup_code":"K7QF2"}`},
		"fractional time": {"POST /v1/backup-code", `{"code":"x"}`, 200, answered(plain), `{"backup_code":"K7QF2","issued_at":"2026-05-01T08:04:00.123456789Z"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := e.check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	right := `{"valid":true,"spent":false,"drift_seconds":0}`
	for name, tt := range map[string]struct {
		exchange
		want string // part of the error
	}{
		"unknown status":          {exchange{"POST /v1/check", `{"code":"1"}`, 418, answered(problem), notEnabled}, "does not have the status"},
		"redirect":                {exchange{"POST /v1/check", `{"code":"1"}`, 308, answered(plain), ``}, "does not have the status"},
		"unknown media type":      {exchange{"POST /v1/check", `{"code":"1"}`, 200, answered("text/html"), right}, "content-type"},
		"no media type":           {exchange{"POST /v1/check", `{"code":"1"}`, 200, []string{"cache-control", "no-store"}, right}, "content-type"},
		"problem as json":         {exchange{"POST /v1/check", `{"code":"1"}`, 409, answered(plain), notEnabled}, "content-type"},
		"gateway's message":       {exchange{"POST /v1/check", `{"code":"1"}`, 503, answered(plain, "retry-after", "1"), `{"message":"m"}`}, "content-type"},
		"cached":                  {exchange{"POST /v1/check", `{"code":"1"}`, 200, []string{"content-type", plain}, right}, "must be no-store"},
		"keys not cached":         {exchange{"GET /.well-known/jwks.json", ``, 200, answered(plain), keySet}, "Cache-Control"},
		"no retry-after":          {exchange{"POST /v1/check", `{"code":"1"}`, 429, answered(problem), locked}, "Retry-After is missing"},
		"undocumented member":     {exchange{"POST /v1/disable", `{"code":"1"}`, 200, answered(plain), `{"state":"disabled","secret":"x"}`}, "response body doesn't match"},
		"undocumented in problem": {exchange{"POST /v1/check", `{}`, 409, answered(problem), strings.Replace(notEnabled, `{`, `{"cause":"x",`, 1)}, "response body doesn't match"},
		"missing member":          {exchange{"POST /v1/disable", `{"code":"1"}`, 200, answered(plain), `{}`}, "response body doesn't match"},
		"impossible combination":  {exchange{"POST /v1/check", `{"code":"1"}`, 200, answered(plain), `{"valid":true,"spent":false,"drift_seconds":0,"attempts_remaining":3}`}, "response body doesn't match"},
		"local time":              {exchange{"POST /v1/backup-code", `{"code":"x"}`, 200, answered(plain), `{"backup_code":"K7QF2","issued_at":"2026-05-01T08:04:00+02:00"}`}, "response body doesn't match"},
		"code of another status":  {exchange{"POST /v1/check", `{"code":"1"}`, 423, answered(problem), notEnabled}, "response body doesn't match"},
		"code of another route":   {exchange{"POST /v1/check", `{"code":"1"}`, 409, answered(problem), strings.NewReplacer("not-enabled", "conflict", "not_enabled", "conflict").Replace(notEnabled)}, "response body doesn't match"},
		"something after":         {exchange{"POST /v1/disable", `{"code":"1"}`, 200, answered(plain), `{"state":"disabled"}{}`}, "not JSON"},
		"body without content":    {exchange{"DELETE /v1/enroll", ``, 204, []string{"cache-control", "no-store"}, `{}`}, "no body"},
		"unknown request member":  {exchange{"POST /v1/check", `{"code":"1","x":1}`, 200, answered(plain), right}, "request body"},
		"no request":              {exchange{"POST /v1/check", ``, 200, answered(plain), right}, "request body"},
		"bad parameter":           {exchange{"GET /v1/history?limit=0", ``, 200, answered(plain), `{"events":[],"next":null}`}, "limit"},
		"no such path, but 200":   {exchange{"GET /v1/nothing", ``, 200, answered(plain), `{}`}, "does not have the status"},
		"no such path, no code":   {exchange{"GET /v1/nothing", ``, 404, answered(problem), `{}`}, "response body doesn't match"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			switch err := tt.check(); {
			case err == nil:
				t.Error("got no error")
			case !strings.Contains(err.Error(), tt.want):
				t.Errorf("got %v\nwant it to say %q", err, tt.want)
			}
		})
	}
}

// recorder notes whether a test was failed.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }

func TestCheckFailsTheTest(t *testing.T) {
	t.Parallel()
	r := &recorder{TB: t}
	request := httptest.NewRequest("DELETE", "/v1/enroll", nil)
	if Check(r, request, nil, 204, http.Header{"Cache-Control": {"no-store"}}, nil); r.failed {
		t.Error("failed for an exchange that is as documented")
	}
	if Check(r, request, nil, 200, http.Header{"Cache-Control": {"no-store"}}, nil); !r.failed {
		t.Error("did not fail for an undocumented status")
	}
}
