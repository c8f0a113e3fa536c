package functions_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp"
	pqtotp "github.com/pquerna/otp/totp"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/api/apitest"
)

const (
	issuer   = "https://2fa.example.com"
	audience = "example"
)

// client calls functions as API Gateway does, and holds every exchange against the API's description.
type client struct {
	tb     testing.TB
	invoke func(function string, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error)
	// failed is told of an answer that is not the one wanted, and does not return.
	failed func(a answer, format string, args ...any)

	outside outside

	mu     sync.Mutex
	served map[string]bool // the routes that have succeeded, by key
	sent   []exchange
}

// exchange is a request and what it was answered.
type exchange struct {
	function string
	event    events.APIGatewayV2HTTPRequest
	answer   answer
}

// newClient returns a client of functions that run, each of which has so much time to answer.
func newClient(tb testing.TB, functions map[string]*function, timeout time.Duration) *client {
	return &client{
		tb: tb, served: map[string]bool{},
		invoke: func(function string, e events.APIGatewayV2HTTPRequest) (response events.APIGatewayV2HTTPResponse, err error) {
			err = functions[function].call(e, timeout, &response)
			return response, err
		},
		failed: func(_ answer, format string, args ...any) { tb.Helper(); tb.Fatalf(format, args...) },
	}
}

// caller is who makes a request, as the route's authorizer has found.
type caller struct {
	authorizer     *events.APIGatewayV2HTTPRequestContextAuthorizerDescription
	user           string // in the path of a host's request
	id             string // in the path of a reviewer's
	idempotencyKey string
}

var anyone = caller{}

// address is a user's. No part of it is the user's id, which logs may have.
func address(user string) string { return user + ".smith@example.com" }

// session is a user who has signed in a moment ago, by a token such as Cognito's.
func session(user string) caller {
	at := strconv.FormatInt(time.Now().Unix(), 10)
	return caller{authorizer: &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
		JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{Claims: map[string]string{
			"sub": user, "username": user, "auth_time": at, "iat": at, "token_use": "access", "jti": rand.Text(),
			"iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example",
		}},
	}}
}

// reviewer is somebody of the reviewers' group who has signed in a moment ago, with 2FA.
func reviewer(name string) caller {
	who := session(name)
	maps.Copy(who.authorizer.JWT.Claims, map[string]string{"cognito:groups": "[reviewers]", "amr": "[pwd mfa]", "email": address(name)})
	return who
}

// host is the login back end, which says in the path whom it speaks of.
func host(user string) caller {
	return caller{user: user, authorizer: &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
		IAM: &events.APIGatewayV2HTTPRequestContextAuthorizerIAMDescription{
			AccountID: "111122223333", UserARN: "arn:aws:sts::111122223333:assumed-role/nightlatch-host/login",
		},
	}}
}

func (c caller) key(key string) caller { c.idempotencyKey = key; return c }

// answer is a function's response, decoded.
type answer struct {
	status int
	text   string
	body   map[string]any
}

func (a answer) str(member string) string { s, _ := a.body[member].(string); return s }

// object makes a JSON object of names and texts.
func object(members ...string) string {
	m := map[string]string{}
	for i := 0; i < len(members); i += 2 {
		m[members[i]] = members[i+1]
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // texts can be written
	}
	return string(text)
}

// event is what API Gateway makes of a request from nobody in particular.
func event(route, body string) events.APIGatewayV2HTTPRequest {
	method, path, _ := strings.Cut(route, " ")
	return events.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: route, RawPath: path, Headers: map[string]string{"content-type": "application/json"}, Body: body,
		RequestContext: events.APIGatewayV2HTTPRequestContext{
			RouteKey: route, Stage: "$default", RequestID: rand.Text(),
			HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{
				Method: method, Path: path, Protocol: "HTTP/1.1", SourceIP: "203.0.113.7", UserAgent: "test/1",
			},
		},
	}
}

// do sends one request to the function of its route.
func (c *client) do(who caller, route, body string) answer {
	c.tb.Helper()
	e := event(route, body)
	if e.RequestContext.Authorizer = who.authorizer; who.authorizer != nil { // which has taken it, and hands it on
		e.Headers["authorization"] = "Bearer " + rand.Text()
	}
	e.Cookies = []string{"session=" + rand.Text()}
	if strings.Contains(e.RawPath, "{id}") {
		e.PathParameters = map[string]string{"id": who.id}
		e.RawPath = strings.ReplaceAll(e.RawPath, "{id}", who.id)
	}
	if strings.Contains(e.RawPath, "{user}") {
		e.PathParameters = map[string]string{"user": who.user}
		e.RawPath = strings.ReplaceAll(e.RawPath, "{user}", api.PathUser(who.user))
	}
	if who.idempotencyKey != "" {
		e.Headers["idempotency-key"] = who.idempotencyKey
	}
	for _, r := range api.Routes() {
		if r.Key() == route {
			return c.send(r, e)
		}
	}
	c.tb.Fatalf("there is no route %s", route)
	return answer{}
}

// send sends an event to the function of its route.
func (c *client) send(r api.Route, e events.APIGatewayV2HTTPRequest) answer {
	c.tb.Helper()
	response, err := c.invoke(r.Function, e)
	if err != nil {
		c.tb.Fatalf("%s: %v", r.Key(), err)
	}
	a := answer{status: response.StatusCode, text: response.Body}
	if response.Body != "" {
		if err := json.Unmarshal([]byte(response.Body), &a.body); err != nil {
			c.tb.Fatalf("%s: %v in %s", r.Key(), err, response.Body)
		}
	}
	hold(c.tb, e, response)
	c.mu.Lock()
	c.sent = append(c.sent, exchange{r.Function, e, a})
	c.mu.Unlock()
	if a.status < 300 {
		c.mu.Lock()
		c.served[r.Key()] = true
		c.mu.Unlock()
	}
	return a
}

// hold checks an exchange against openapi.yaml.
func hold(tb testing.TB, e events.APIGatewayV2HTTPRequest, response events.APIGatewayV2HTTPResponse) {
	tb.Helper()
	request := &http.Request{
		Method: e.RequestContext.HTTP.Method, Header: http.Header{},
		URL: &url.URL{Scheme: "https", Host: "2fa.example.com", Path: e.RawPath, RawQuery: e.RawQueryString},
	}
	if decoded, err := url.PathUnescape(e.RawPath); err == nil {
		request.URL.Path, request.URL.RawPath = decoded, e.RawPath
	}
	for name, value := range e.Headers {
		request.Header.Set(name, value)
	}
	header := http.Header{}
	for name, value := range response.Headers {
		header.Set(name, value)
	}
	apitest.Check(tb, request.WithContext(tb.Context()), []byte(e.Body), response.StatusCode, header, []byte(response.Body))
}

// want is do with the answer that has to come: a status, and for a problem its code.
func (c *client) want(who caller, route, body string, status int, code string) answer {
	c.tb.Helper()
	a := c.do(who, route, body)
	if a.status != status || a.str("code") != code {
		c.failed(a, "%s %s: got %d %s, want %d %q", route, body, a.status, a.text, status, code)
	}
	return a
}

// challenge is the host's first step, after the password.
func (c *client) challenge(user string) answer {
	c.tb.Helper()
	return c.want(host(""), "POST /v1/challenges",
		`{"user_id":"`+user+`","email":"`+address(user)+`","nonce":"n-`+user+`","amr":["pwd"],"ip":"198.51.100.1"}`, 200, "")
}

// signIn is a whole sign-in, as far as the assertion, whose claims it returns.
func (c *client) signIn(user, method, code string) (answer, map[string]any) {
	c.tb.Helper()
	body := object("challenge", c.challenge(user).str("challenge"), "method", method, "code", code)
	a := c.want(anyone, "POST /v1/verify", body, 200, "")
	return a, c.assertion(a.str("assertion"), user)
}

// assertion verifies an assertion as a host would, with a library that is not ours and the published keys, and returns
// its claims.
func (c *client) assertion(signed, user string) map[string]any {
	c.tb.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(c.want(anyone, "GET /.well-known/jwks.json", "", 200, "").text), &set); err != nil {
		c.tb.Fatal(err)
	}
	token, err := jwt.ParseSigned(signed, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		c.tb.Fatalf("assertion %q: %v", signed, err)
	}
	var standard jwt.Claims
	var all map[string]any
	if err := token.Claims(set, &standard, &all); err != nil {
		c.tb.Fatal(err)
	}
	expected := jwt.Expected{Issuer: issuer, AnyAudience: []string{audience}, Subject: user, Time: time.Now()}
	if err := standard.ValidateWithLeeway(expected, time.Second); err != nil {
		c.tb.Errorf("assertion: %v", err)
	}
	if all["nonce"] != "n-"+user {
		c.tb.Errorf("nonce = %v", all["nonce"])
	}
	return all
}

func (c *client) wantAMR(claims map[string]any, want ...any) {
	c.tb.Helper()
	if got := claims["amr"]; !cmp.Equal(got, any(want)) {
		c.tb.Errorf("amr = %v, want %v", got, want)
	}
}

// phone makes codes with a library that is not ours, by the real time: the functions know no other.
type phone struct {
	tb     testing.TB
	secret string
	step   int64 // of the last code it gave
}

const period = 30 // seconds

// code returns a code that is newer than the last one. The code of the time step before is good still, and that of the
// next is good already, so a phone has two to give, with ten seconds to use them.
func (p *phone) code() string {
	p.tb.Helper()
	now := time.Now().Unix()
	step := max(p.step+1, (now+10)/period-1)
	if step > now/period+1 {
		p.tb.Fatal("a third code of one phone: it would have to be waited for")
	}
	p.step = step
	return p.again()
}

// again returns the last code again.
func (p *phone) again() string { return p.of(p.step) }

// wrong returns a code that is wrong for ten minutes to come, and was in the last ten.
func (p *phone) wrong() string {
	p.tb.Helper()
	taken := map[string]bool{}
	for now, step := time.Now().Unix()/period, int64(-25); step <= 25; step++ {
		taken[p.of(now+step)] = true
	}
	for code := 0; ; code++ {
		if wrong := fmt.Sprintf("%06d", code); !taken[wrong] {
			return wrong
		}
	}
}

// of returns the code of a time step.
func (p *phone) of(step int64) string {
	p.tb.Helper()
	code, err := pqtotp.GenerateCodeCustom(p.secret, time.Unix(step*period, 0),
		pqtotp.ValidateOpts{Period: period, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		p.tb.Fatal(err)
	}
	return code
}

// setUp puts what an enrolment has answered on a new phone, and confirms it with the first code.
func (c *client) setUp(user string, begun answer) (*phone, answer) {
	c.tb.Helper()
	p := &phone{tb: c.tb, secret: begun.str("manual_secret")}
	return p, c.want(session(user), "POST /v1/enroll/confirm",
		object("enrollment_id", begun.str("enrollment_id"), "code", p.code()), 200, "")
}
