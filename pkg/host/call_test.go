package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/host"
)

var request = api.ChallengeRequest{
	UserID: want.User, Nonce: want.Nonce, Email: "alice@example.com", AMR: []string{"pwd"}, IP: "203.0.113.7",
	Subject: &api.Subject{Name: "Alice <Adams>"},
}

// answer is a handler that always answers the same.
func answer(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

const due = `{"required":true,"methods":["totp"],"challenge":"c"}`

func TestChallenge(t *testing.T) {
	t.Parallel()
	var got api.ChallengeRequest
	client := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := json.NewDecoder(r.Body)
		d.DisallowUnknownFields()
		if err := d.Decode(&got); err != nil || r.Method != "POST" || r.RequestURI != "" || r.URL.String() != issuer+"/v1/challenges" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		for name, want := range map[string]string{
			"Content-Type": "application/json", "Authorization": "Bearer " + serviceKey,
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %q; want %q", name, got, want)
			}
		}
		io.WriteString(w, `{"required":true,"methods":["totp","backup_code"],"challenge":"c","expires_at":"2026-03-14T15:19:26Z",
			"locked_until":null,"suspended":false,"app":"Shop","account":"alice@example.com","email_hint":"a•••@example.com",
			"policy":{"skew":1},"recovery":"identity_review","support":"s","reset":null,"new_member":1}`)
	}), at(now))
	offer, err := client.Challenge(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(request, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	expires := time.Date(2026, 3, 14, 15, 19, 26, 0, time.UTC)
	if diff := cmp.Diff(api.ChallengeResponse{
		Required: true, Methods: []string{"totp", "backup_code"}, Challenge: "c", ExpiresAt: &expires, App: "Shop",
		Account: "alice@example.com", EmailHint: "a•••@example.com", Policy: map[string]any{"skew": 1.}, Recovery: "identity_review",
		Support: "s",
	}, offer); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
}

// TestChallengeAnswers: a user without a second factor gets in only where the service says so in as many words.
func TestChallengeAnswers(t *testing.T) {
	t.Parallel()
	const off = `{"required":false,"methods":[]}`
	const enroll = `{"required":true,"enrollment_required":true,"methods":["enroll"],"challenge":"c"}`
	tests := map[string]struct {
		status int
		body   string
		expect string
		good   bool
		want   bool // Required
	}{
		"2FA is due":                {body: due, good: true, want: true},
		"2FA is due, as expected":   {body: due, expect: "enabled", good: true, want: true},
		"2FA is off":                {body: off, good: true},
		"2FA is to be set up":       {body: enroll, good: true, want: true},
		"off, but expected":         {body: off, expect: "enabled"},
		"to be set up, unexpected":  {body: enroll, expect: "enabled"},
		"empty":                     {body: ""},
		"empty object":              {body: "{}"},
		"null":                      {body: "null"},
		"a list":                    {body: "[]"},
		"required is null":          {body: `{"required":null,"methods":[]}`},
		"required is text":          {body: `{"required":"false","methods":[]}`},
		"required is 0":             {body: `{"required":0,"methods":[]}`},
		"required only":             {body: `{"required":true}`},
		"no challenge":              {body: `{"required":true,"methods":["totp"]}`},
		"no methods":                {body: `{"required":true,"challenge":"c","methods":[]}`},
		"off, with a challenge":     {body: `{"required":false,"methods":[],"challenge":"c"}`},
		"off, with methods":         {body: `{"required":false,"methods":["totp"]}`},
		"off, but to be set up":     {body: `{"required":false,"enrollment_required":true,"methods":[]}`},
		"cut":                       {body: off[:len(off)-1]},
		"twice":                     {body: off + off},
		"a page":                    {body: "<!doctype html>"},
		"huge":                      {body: off + strings.Repeat(" ", 64<<10)},
		"201":                       {status: 201, body: off},
		"204":                       {status: 204},
		"302":                       {status: 302, body: off},
		"a problem's 200":           {body: `{"type":"about:blank","status":500}`},
		"message of a gateway":      {body: `{"message":"Internal Server Error"}`},
		"500 that looks like a yes": {status: 500, body: off},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.status == 0 {
				test.status = 200
			}
			in := request
			in.Expect = test.expect
			got, err := newClient(t, answer(test.status, test.body), at(now)).Challenge(t.Context(), in)
			if test.good {
				if err != nil || got.Required != test.want {
					t.Errorf("%+v, %v; want Required %t", got, err, test.want)
				}
				return
			}
			if err == nil || !cmp.Equal(got, api.ChallengeResponse{}) {
				t.Errorf("%+v, %v; want an error", got, err)
			}
			if unavailable := test.status == 200 || test.status == 500; errors.Is(err, host.ErrUnavailable) != unavailable {
				t.Errorf("%v: is ErrUnavailable: %t; want %t", err, !unavailable, unavailable)
			}
		})
	}
}

// TestErrors: what a host is told when it is told no.
func TestErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		handler     http.HandlerFunc
		want        host.Error
		unavailable bool
	}{
		"a problem": {
			answer(409, `{"type":"https://nightlatch.dev/problems/not-enabled","title":"t","status":409,"code":"not_enabled","detail":"d"}`),
			host.Error{Status: 409, Code: api.CodeNotEnabled, Detail: "d"}, false,
		},
		"internal": {
			answer(500, `{"status":500,"code":"internal","detail":"d","request_id":"r"}`),
			host.Error{Status: 500, Code: api.CodeInternal, Detail: "d", RequestID: "r"}, true,
		},
		"the gateway's no": {answer(403, `{"message":"Forbidden"}`), host.Error{Status: 403, Detail: "Forbidden"}, false},
		"the gateway's throttle": {
			answer(429, `{"message":"Too Many Requests"}`, "Retry-After", "60"),
			host.Error{Status: 429, Detail: "Too Many Requests", RetryAfter: time.Minute}, true,
		},
		"a page":           {answer(404, "<!doctype html>"), host.Error{Status: 404}, false},
		"nothing":          {answer(401, ""), host.Error{Status: 401}, false},
		"code is a number": {answer(400, `{"code":7,"detail":"d"}`), host.Error{Status: 400}, false},
		"retry at a date":  {answer(500, "", "Retry-After", "Sat, 14 Mar 2026 15:09:26 GMT"), host.Error{Status: 500}, true},
		"retry long ago":   {answer(500, "", "Retry-After", "-7"), host.Error{Status: 500}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, test.handler, at(now))
			_, err := client.Challenge(t.Context(), request)
			for _, err := range []error{err, client.Report(t.Context(), want.User, api.HostEventRequest{Type: "login"})} {
				var got *host.Error
				if !errors.As(err, &got) || *got != test.want {
					t.Errorf("%+v; want %+v", err, test.want)
				}
				if errors.Is(err, host.ErrUnavailable) != test.unavailable || errors.Is(err, host.ErrAssertion) {
					t.Errorf("%v: is ErrUnavailable: %t; want %t", err, !test.unavailable, test.unavailable)
				}
			}
		})
	}
	e := &host.Error{Status: 500, Code: "in\nternal", Detail: "d\"", RequestID: "r"}
	if got, want := e.Error(), `host: the service answered 500 "in\nternal": "d\"", request "r"`; got != want {
		t.Errorf("Error() = %s; want %s", got, want)
	}
}

// TestReport: events go to the user's own path, whatever is in the id.
func TestReport(t *testing.T) {
	t.Parallel()
	var path, segment string
	var got api.HostEventRequest
	mux := http.NewServeMux()
	mux.HandleFunc("POST /stage/v1/users/{user}/events", func(w http.ResponseWriter, r *http.Request) {
		path, segment = r.RequestURI, r.PathValue("user")
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	client := newClient(t, nil, at(now), func(c *host.Config) { c.URL, c.HTTP = server.URL+"/stage/", nil })
	event := api.HostEventRequest{Type: "address_changed", Email: "new@example.com", IP: "203.0.113.7", UserAgent: "u"}
	for user, wantPath := range map[string]string{
		"alice":                  "alice",
		"auth0|123":              "auth0%7C123",
		"alice@example.com":      "alice%40example.com",
		"a b+c&d=e$f:g,h;i!":     "a%20b%2Bc%26d%3De%24f%3Ag%2Ch%3Bi%21",
		"é素":                     "%C3%A9%E7%B4%A0",
		"a/../../v1/users/bob":   "%3DYS8uLi8uLi92MS91c2Vycy9ib2I",
		"..":                     "%3DLi4",
		"=YS8":                   "%3DPVlTOA",
		"%2e%2e":                 "%3DJTJlJTJl",
		strings.Repeat("u", 128): strings.Repeat("u", 128),
	} {
		path, segment, got = "", "", api.HostEventRequest{}
		if err := client.Report(t.Context(), user, event); err != nil {
			t.Errorf("%s: %v", user, err)
			continue
		}
		back, err := api.ParsePathUser(segment)
		if err != nil || back != user {
			t.Errorf("%s arrives as %s, %v", user, back, err)
		}
		if want := "/stage/v1/users/" + wantPath + "/events"; path != want {
			t.Errorf("%s: path %s; want %s", user, path, want)
		}
		if diff := cmp.Diff(event, got); diff != "" {
			t.Errorf("body (-want +got):\n%s", diff)
		}
	}
}

// TestNotSent: a request that cannot be right is not sent.
func TestNotSent(t *testing.T) {
	t.Parallel()
	client := newClient(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("was sent") }), at(now))
	if _, err := client.Challenge(t.Context(), api.ChallengeRequest{Nonce: "n"}); err == nil || !strings.Contains(err.Error(), "UserID") {
		t.Errorf("a challenge for nobody: %v; want an error that names UserID", err)
	}
	if _, err := client.Challenge(t.Context(), api.ChallengeRequest{UserID: "u"}); err == nil || !strings.Contains(err.Error(), "Nonce") {
		t.Errorf("a challenge without a nonce: %v; want an error that names Nonce", err)
	}
	if err := client.Report(t.Context(), "", api.HostEventRequest{Type: "deleted"}); err == nil {
		t.Error("a report on nobody: no error")
	}
}

// TestNoRedirect: credentials go nowhere else, and the caller's own HTTP client stays as it was.
func TestNoRedirect(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int64
	for _, status := range []int{301, 302, 303, 307, 308} {
		own := &http.Client{Transport: inProcess{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Host != "2fa.example.com" || r.URL.Path == "/elsewhere" {
				elsewhere.Add(1)
			}
			w.Header().Set("Location", map[bool]string{true: "/elsewhere", false: "https://attacker.example"}[status%2 == 0])
			w.WriteHeader(status)
		})}}
		client := newClient(t, nil, at(now), func(c *host.Config) { c.HTTP = own })
		_, err := client.Challenge(t.Context(), request)
		var got *host.Error
		if !errors.As(err, &got) || got.Status != status {
			t.Errorf("Challenge: %v; want an answer of %d", err, status)
		}
		if err := client.Report(t.Context(), "alice", api.HostEventRequest{Type: "login"}); !errors.As(err, &got) || got.Status != status {
			t.Errorf("Report: %v; want an answer of %d", err, status)
		}
		if elsewhere.Load() != 0 {
			t.Fatalf("%d was followed", status)
		}
		if own.CheckRedirect != nil {
			t.Error("the caller's HTTP client was changed")
		}
	}
}

// flaky answers as the numbered attempt says, and notes when each came.
type flaky struct {
	answers []http.HandlerFunc
	came    []time.Duration
	begin   time.Time
}

func (f *flaky) RoundTrip(r *http.Request) (*http.Response, error) {
	f.came = append(f.came, time.Since(f.begin))
	if _, err := io.ReadAll(r.Body); err != nil {
		return nil, err
	}
	h := f.answers[min(len(f.came), len(f.answers))-1]
	if h == nil {
		return nil, errors.New("connection refused")
	}
	w := httptest.NewRecorder()
	h(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// TestRetries: no answer, 503 and the gateway's throttle are tried again, with pauses; nothing else is.
func TestRetries(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	busy := answer(503, `{"code":"unavailable"}`, "Retry-After", "1")
	never := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	ok := answer(200, due)
	for name, test := range map[string]struct {
		answers      []http.HandlerFunc
		patience     time.Duration // of the caller
		wantErr      error
		wantAttempts int
		from, to     time.Duration // when the last attempt came
		end          time.Duration // when the call ended at the latest
	}{
		"at once":                 {[]http.HandlerFunc{ok}, 0, nil, 1, 0, 0, 0},
		"the second time":         {[]http.HandlerFunc{nil, ok}, 0, nil, 2, 100 * ms, 150 * ms, 150 * ms},
		"the third time":          {[]http.HandlerFunc{nil, nil, ok}, 0, nil, 3, 300 * ms, 450 * ms, 450 * ms},
		"never":                   {[]http.HandlerFunc{nil}, 0, host.ErrUnavailable, 3, 300 * ms, 450 * ms, 450 * ms},
		"busy without a time":     {[]http.HandlerFunc{answer(503, ""), ok}, 0, nil, 2, 100 * ms, 150 * ms, 150 * ms},
		"busy for a second":       {[]http.HandlerFunc{busy, ok}, 0, nil, 2, 1000 * ms, 1000 * ms, 1000 * ms},
		"busy for longer":         {[]http.HandlerFunc{busy}, 0, host.ErrUnavailable, 3, 2000 * ms, 2000 * ms, 2000 * ms},
		"busy for a minute":       {[]http.HandlerFunc{answer(503, "", "Retry-After", "60")}, 0, host.ErrUnavailable, 1, 0, 0, 0},
		"no answer":               {[]http.HandlerFunc{never}, 0, host.ErrUnavailable, 1, 0, 0, 10 * time.Second},
		"no patience for more":    {[]http.HandlerFunc{busy}, 500 * ms, host.ErrUnavailable, 1, 0, 0, 0},
		"no patience at all":      {[]http.HandlerFunc{never}, 500 * ms, context.DeadlineExceeded, 1, 0, 0, 500 * ms},
		"500":                     {[]http.HandlerFunc{answer(500, "")}, 0, host.ErrUnavailable, 1, 0, 0, 0},
		"throttled":               {[]http.HandlerFunc{answer(429, `{"message":"Too Many Requests"}`), ok}, 0, nil, 2, 100 * ms, 150 * ms, 150 * ms},
		"throttled for a second":  {[]http.HandlerFunc{answer(429, "", "Retry-After", "1")}, 0, host.ErrUnavailable, 3, 2000 * ms, 2000 * ms, 2000 * ms},
		"throttled for longer":    {[]http.HandlerFunc{answer(429, "", "Retry-After", "1")}, 500 * ms, host.ErrUnavailable, 1, 0, 0, 0},
		"429 of the service":      {[]http.HandlerFunc{answer(429, `{"code":"locked"}`, "Retry-After", "1")}, 0, host.ErrUnavailable, 1, 0, 0, 0},
		"an answer without sense": {[]http.HandlerFunc{answer(200, "{}")}, 0, host.ErrUnavailable, 1, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &flaky{answers: test.answers, begin: time.Now()}
				client := newClient(t, nil, time.Now, func(c *host.Config) { c.HTTP = &http.Client{Transport: f} })
				ctx := t.Context()
				if test.patience > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.patience)
					defer cancel()
				}
				_, err := client.Challenge(ctx, request)
				if !errors.Is(err, test.wantErr) || err != nil && !errors.Is(err, host.ErrUnavailable) {
					t.Errorf("%v; want %v", err, test.wantErr)
				}
				if last := f.came[len(f.came)-1]; len(f.came) != test.wantAttempts || last < test.from || last > test.to {
					t.Errorf("attempts at %v; want %d, the last between %v and %v", f.came, test.wantAttempts, test.from, test.to)
				}
				if took := time.Since(f.begin); took > test.end {
					t.Errorf("took %v; want %v at most", took, test.end)
				}
			})
		})
	}
}

// TestYields: of what shares the throttle, wrong passwords alone are not tried again, so that they do not crowd out the rest.
func TestYields(t *testing.T) {
	t.Parallel()
	throttled := answer(429, `{"message":"Too Many Requests"}`)
	done := answer(204, "")
	for kind, wantAttempts := range map[string]map[string]int{
		"password_failed":  {"throttled": 1, "busy": 2},
		"password_changed": {"throttled": 2, "busy": 2},
		"address_changed":  {"throttled": 2, "busy": 2},
		"deleted":          {"throttled": 2, "busy": 2},
		"login":            {"throttled": 2, "busy": 2},
	} {
		for first, h := range map[string]http.HandlerFunc{"throttled": throttled, "busy": answer(503, "")} {
			synctest.Test(t, func(t *testing.T) {
				f := &flaky{answers: []http.HandlerFunc{h, done}, begin: time.Now()}
				client := newClient(t, nil, time.Now, func(c *host.Config) { c.HTTP = &http.Client{Transport: f} })
				err := client.Report(t.Context(), "alice", api.HostEventRequest{Type: kind})
				want := wantAttempts[first]
				if len(f.came) != want || (err == nil) != (want == 2) {
					t.Errorf("%s, %s at first: %v after %d attempts; want %d", kind, first, err, len(f.came), want)
				}
			})
		}
	}
}

// TestGivenUp: a caller who goes away ends the pause between attempts.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{answers: []http.HandlerFunc{answer(503, "", "Retry-After", "5")}, begin: time.Now()}
		client := newClient(t, nil, time.Now, func(c *host.Config) { c.HTTP = &http.Client{Transport: f} })
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		err := client.Report(ctx, "alice", api.HostEventRequest{Type: "login"})
		if took := time.Since(f.begin); !errors.Is(err, host.ErrUnavailable) || took != time.Second || len(f.came) != 1 {
			t.Errorf("%v after %v and %d attempts; want ErrUnavailable after 1s and one", err, took, len(f.came))
		}
	})
}

// TestNobodyListens: over a real network, too.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(nil)
	server.Close()
	client := newClient(t, nil, at(now), func(c *host.Config) { c.URL, c.HTTP = server.URL, nil })
	if _, err := client.Challenge(t.Context(), request); !errors.Is(err, host.ErrUnavailable) {
		t.Errorf("Challenge: %v; want ErrUnavailable", err)
	}
	if _, err := client.VerifyAssertion(t.Context(), newStandIn(server.URL, at(now)).sign(nil), want); !errors.Is(err, host.ErrUnavailable) {
		t.Errorf("VerifyAssertion: %v; want ErrUnavailable", err)
	}
}

func TestNewNonce(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		n := host.NewNonce()
		if len(n) < 26 || seen[n] || strings.Trim(n, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
			t.Fatalf("nonce %q is short, or not new, or not letters and digits", n)
		}
		seen[n] = true
	}
}

func TestServiceKeyDoesNotShow(t *testing.T) {
	t.Parallel()
	key := host.ServiceKey(serviceKey)
	config := host.Config{Credentials: key}
	encoded, err := json.Marshal(config.Credentials)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		fmt.Sprint(key), fmt.Sprintf("%v %+v %#v %s %q", config, config, config, key, key), string(encoded),
	} {
		if strings.Contains(s, serviceKey) {
			t.Errorf("the key shows in %s", s)
		}
	}
}
