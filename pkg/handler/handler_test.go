package handler_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/pquerna/otp"
	pqtotp "github.com/pquerna/otp/totp"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/api/apitest"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/token"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// engine is a store, and the keys that are kept in it.
type engine interface {
	twofactor.Store
	keyring.Store
	Item(context.Context, twofactor.UserID) (json.RawMessage, error)
}

// world is every function over one store, with a clock that can be wound.
type world struct {
	t     testing.TB
	store engine
	deps  handler.Deps
	logs  *bytes.Buffer
	funcs map[string]handler.Func

	mu      sync.Mutex
	now     time.Time
	agent   string          // of who calls; "" is the usual one
	unheld  bool            // exchanges are not checked against openapi.yaml, which takes longer than all else
	held    map[string]bool // the refusals that were, where the like of them are not checked again; nil: they are
	storeIs error           // what the store answers instead, if anything
	keysAre error
	signer  error
}

func newWorld(t testing.TB, preset string) *world {
	t.Helper()
	return newWorldOn(t, openBolt(t), `{"preset":"`+preset+`"}`)
}

// newWorldOn is a world over an engine that may have others over it, with a policy in JSON.
func newWorldOn(t testing.TB, store engine, settings string) *world {
	t.Helper()
	policy, err := twofactor.ParsePolicy([]byte(settings))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: store, logs: &bytes.Buffer{}, now: time.Date(2026, 3, 4, 14, 5, 0, 0, time.UTC)}
	ring := keyring.New(store, kek(t), w.clock, keyring.Purposes()...)
	w.deps = handler.Deps{
		Service: &twofactor.Service{
			Store: faulty{store, w}, Policy: policy, Now: w.clock,
			Keys: func(ctx context.Context) (twofactor.Keys, error) {
				if err := w.fault(&w.keysAre); err != nil {
					return twofactor.Keys{}, err
				}
				return ring.Rules(ctx)
			},
		},
		Keys: func(ctx context.Context) (token.Keys, error) {
			if err := w.fault(&w.signer); err != nil {
				return token.Keys{}, err
			}
			return ring.Tokens(ctx)
		},
		JWKS: func(ctx context.Context) ([]byte, error) {
			if err := w.fault(&w.keysAre); err != nil {
				return nil, err
			}
			return keyring.LoadJWKS(ctx, store)
		},
		Settings: handler.Settings{
			App: "Example", Support: "help@example.com", Issuer: "https://2fa.example.com", Audience: "example",
		},
		Log: slog.New(slog.NewJSONHandler(w.logs, nil)),
	}
	w.funcs = functions(w.deps)
	return w
}

func functions(d handler.Deps) map[string]handler.Func {
	return map[string]handler.Func{
		"enroll": handler.Enroll(d), "verify": handler.Verify(d), "check": handler.Check(d),
		"rotate-backup": handler.RotateBackup(d), "disable": handler.Disable(d),
		"status": handler.Status(d), "challenge": handler.Challenge(d), "jwks": handler.JWKS(d),
		"reset-request": handler.ResetRequest(d), "reset-review": handler.ResetReview(d), "identity-webhook": handler.IdentityWebhook(d),
	}
}

// kek is the key that seals the keys of every store here, as a laptop has it in a file.
func kek(t testing.TB) tink.AEADWithContext {
	t.Helper()
	kekOnce.Do(func() {
		var err error
		if theKEK, err = keyring.LocalKEK(filepath.Join(t.TempDir(), "kek")); err != nil {
			t.Fatal(err)
		}
	})
	return theKEK
}

var (
	kekOnce sync.Once
	theKEK  tink.AEADWithContext
)

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) wind(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) fault(which *error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return *which
}

func (w *world) set(which *error, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*which = err
}

// faulty is the store with a fault that can be switched on.
type faulty struct {
	engine
	w *world
}

func (f faulty) Load(ctx context.Context, u twofactor.UserID) (*twofactor.Account, error) {
	if err := f.w.fault(&f.w.storeIs); err != nil {
		return nil, err
	}
	return f.engine.Load(ctx, u)
}

func (f faulty) History(ctx context.Context, u twofactor.UserID, p twofactor.Page) (twofactor.HistoryPage, error) {
	if err := f.w.fault(&f.w.storeIs); err != nil {
		return twofactor.HistoryPage{}, err
	}
	return f.engine.History(ctx, u, p)
}

// caller is who makes a request, as the gateway has found.
type caller struct {
	authorizer *events.APIGatewayV2HTTPRequestContextAuthorizerDescription
	idempotent string
	signature  string // of a webhook
	path       map[string]string
	query      map[string]string
	base64     bool
	ip         string // "" is the usual one
}

func claims(c map[string]string) caller {
	return caller{authorizer: &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
		JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{Claims: c},
	}}
}

func (w *world) session(user string) caller {
	return claims(map[string]string{"sub": user, "auth_time": strconv.FormatInt(w.clock().Unix(), 10)})
}

func host() caller {
	return caller{authorizer: &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
		IAM: &events.APIGatewayV2HTTPRequestContextAuthorizerIAMDescription{UserARN: "arn:aws:sts::1:assumed-role/host/x"},
	}}
}

func (c caller) key(k string) caller                   { c.idempotent = k; return c }
func (c caller) to(user string) caller                 { c.path = map[string]string{"user": user}; return c }
func (c caller) asking(query map[string]string) caller { c.query = query; return c }
func (c caller) inBase64() caller                      { c.base64 = true; return c }
func (c caller) from(ip string) caller                 { c.ip = ip; return c }

var anyone = caller{}

// here is the address that requests come from.
const here = "203.0.113.7"

// answer is a response, decoded.
type answer struct {
	Status  int
	Headers map[string]string
	Text    string
	Body    map[string]any
}

func (a answer) str(field string) string { s, _ := a.Body[field].(string); return s }

// do sends one event to the function of the route, and holds the exchange against the API's description.
func (w *world) do(c caller, route, body string) answer {
	w.t.Helper()
	method, path, _ := strings.Cut(route, " ")
	e := events.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: route, RawPath: path, Headers: map[string]string{"content-type": "application/json"},
		PathParameters: c.path, QueryStringParameters: c.query, Body: body,
		RequestContext: events.APIGatewayV2HTTPRequestContext{
			RequestID: "req-1", RouteKey: route, Authorizer: c.authorizer,
			HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{
				Method: method, Path: path, SourceIP: cmp.Or(c.ip, here), UserAgent: cmp.Or(w.agent, "test/1"),
			},
		},
	}
	if c.idempotent != "" {
		e.Headers["idempotency-key"] = c.idempotent
	}
	if c.signature != "" {
		e.Headers["persona-signature"] = c.signature
	}
	if c.base64 {
		e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString([]byte(body)), true
	}
	function := "verify" // an unknown route reaches some function
	for _, r := range api.Routes() {
		if r.Key() == route {
			function = r.Function
		}
	}
	response, err := w.funcs[function](w.t.Context(), e)
	if err != nil {
		w.t.Fatalf("%s: a handler returned a Go error: %v", route, err)
	}
	a := answer{Status: response.StatusCode, Headers: response.Headers, Text: response.Body}
	if response.Body != "" {
		if err := json.Unmarshal([]byte(response.Body), &a.Body); err != nil {
			w.t.Fatalf("%s: %v in %s", route, err, response.Body)
		}
	}
	if !w.unheld && !w.wasHeld(route, a) {
		w.hold(c, method, path, body, a)
	}
	return a
}

// wasHeld tells whether the same refusal was checked before: of a request that is refused the check sees the route alone.
func (w *world) wasHeld(route string, a answer) bool {
	if w.held == nil || a.Status < 300 {
		return false
	}
	if len(w.held) == 1<<16 {
		clear(w.held)
	}
	same := fmt.Sprint(route, a.Status, a.Headers, a.Text)
	was := w.held[same]
	w.held[same] = true
	return was
}

// hold checks the exchange against openapi.yaml.
func (w *world) hold(c caller, method, path, body string, a answer) {
	w.t.Helper()
	for name, value := range c.path {
		path = strings.ReplaceAll(path, "{"+name+"}", api.PathUser(value))
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, "https://2fa.example.com"+path, io.NopCloser(strings.NewReader(body)))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("content-type", "application/json")
	r.Header.Set("authorization", "Bearer x")
	if c.idempotent != "" {
		r.Header.Set("idempotency-key", c.idempotent)
	}
	q := r.URL.Query()
	for name, value := range c.query {
		q.Set(name, value)
	}
	r.URL.RawQuery = q.Encode()
	h := http.Header{}
	for name, value := range a.Headers {
		h.Set(name, value)
	}
	apitest.Check(w.t, r, []byte(body), a.Status, h, []byte(a.Text))
}

// want is do with an expected status, and code for a problem.
func (w *world) want(c caller, route, body string, status int, code string) answer {
	w.t.Helper()
	a := w.do(c, route, body)
	if a.Status != status || a.str("code") != code {
		w.t.Fatalf("%s %s: got %d %q, want %d %q\n%s", route, body, a.Status, a.str("code"), status, code, a.Text)
	}
	return a
}

func body(fields ...string) string {
	m := map[string]string{}
	for i := 0; i < len(fields); i += 2 {
		m[fields[i]] = fields[i+1]
	}
	b, _ := json.Marshal(m)
	return string(b)
}

// phone makes codes with a library that is not ours.
type phone struct {
	w      *world
	secret string
}

func (p phone) code() string { return p.codeAt(p.w.clock()) }

func (p phone) codeAt(at time.Time) string {
	code, err := pqtotp.GenerateCodeCustom(p.secret, at, pqtotp.ValidateOpts{Period: 30, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		p.w.t.Fatal(err)
	}
	return code
}

// wrong is a code that no step within ten minutes has.
func (p phone) wrong() string {
	taken := map[string]bool{}
	for d := -11 * time.Minute; d <= 11*time.Minute; d += 30 * time.Second {
		taken[p.codeAt(p.w.clock().Add(d))] = true
	}
	for i := 0; ; i++ {
		if code := strconv.Itoa(100000 + i); !taken[code] {
			return code
		}
	}
}

// enrolled turns 2FA on for a user and moves the clock past the spent step.
func (w *world) enrolled(user string) (p phone, backup string) {
	w.t.Helper()
	begun := w.want(w.session(user), "POST /v1/enroll", `{}`, 200, "")
	p = phone{w, begun.str("manual_secret")}
	done := w.want(w.session(user), "POST /v1/enroll/confirm", body("enrollment_id", begun.str("enrollment_id"), "code", p.code()), 200, "")
	w.wind(30 * time.Second)
	return p, begun.str("backup_code") + done.str("backup_code")
}

// challenge is the host's first step.
func (w *world) challenge(user string) answer {
	w.t.Helper()
	return w.want(host(), "POST /v1/challenges",
		`{"user_id":"`+user+`","email":"`+user+`@example.com","nonce":"n-`+user+`","amr":["pwd"],"ip":"198.51.100.1"}`, 200, "")
}

func (w *world) item(user string) string {
	w.t.Helper()
	item, err := w.store.Item(w.t.Context(), twofactor.UserID(user))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(item)
}
