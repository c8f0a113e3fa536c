// Package handler stands between API Gateway's events and the rules: one file for each function, and in this one what
// they share. Every endpoint goes through serve, so that none can forget a check.
package handler

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/metric"
	"github.com/nightlatch/nightlatch/pkg/token"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Deps are what the handlers stand on. A function that does not use one leaves it zero.
type Deps struct {
	Service  *twofactor.Service
	Keys     func(context.Context) (token.Keys, error) // of challenges, grants and assertions
	JWKS     func(context.Context) ([]byte, error)     // the public half of the signing keys
	Identity Identity                                  // checks who somebody is, in a recovery
	Webhook  Webhook                                   // opens what that service sends
	Settings Settings
	Log      *slog.Logger
	Metrics  *metric.Writer // nil: nothing is counted
	Used     metric.Usage   // of the store; nil: not known

	// Replay has notify take what it could not take before, or only says what there is, after the key that
	// the one before has stopped at; nil: nothing is kept for that.
	Replay func(ctx context.Context, dryRun bool, after string) (api.ReplayResponse, error)
	// RaiseFence sets the fence, and returns it.
	RaiseFence func(ctx context.Context, at time.Time, by twofactor.Operator) (time.Time, error)
}

// Settings are what a deployment says about itself.
type Settings struct {
	App      string // as authenticator apps and people see it
	Support  string // an address or URL for people; may be empty
	Issuer   string // iss of assertions: the API's URL
	Audience string // aud of assertions: the host
	Claims   Claims

	InquiryURL string // where reviewers see an inquiry, but for its id; empty: nowhere
}

// Claims are the names of the claims in the host's session tokens.
type Claims struct {
	User            string // default "sub"
	AuthTime        string // default "auth_time"
	AuthTimeFromIAT bool   // without an auth_time, iat stands in for it: only where a session is never renewed
	TokenUse        string // what the claim token_use must be, if anything
	Groups          string // default "cognito:groups"
	AMR             string // default "amr"
	Email           string // default "email"
	Reviewers       string // the group of those who review; default "reviewers"
}

// Func is a handler of an HTTP API's event, payload 2.0. It never returns an error to Lambda.
type Func func(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error)

// call is what an endpoint knows of its caller.
type call struct {
	User     twofactor.UserID // of the session; of the path for a host
	AuthTime time.Time        // of the session; zero if it does not say
	Request  twofactor.Request
	Query    map[string]string

	Reviewer  twofactor.Reviewer // on the reviewers' routes
	Path      map[string]string  // its parameters
	Headers   map[string]string  // names in lower case
	RequestID string             // of the gateway
}

// cursor is where a list goes on. Nothing is given for its beginning: an empty cursor is a mistake, by which whoever reads
// a list part by part would read its first part for ever.
func (c call) cursor() (string, error) {
	cursor, ok := c.Query["cursor"]
	if ok && cursor == "" {
		return "", twofactor.ErrCursor
	}
	return cursor, nil
}

// endpoint is one route's code, with its types taken away.
type endpoint struct {
	key string
	run func(context.Context, call, []byte) (any, error)
}

// on makes an endpoint of a function of decoded types. The body is decoded strictly, so that a misspelt field is an
// error and not a default.
func on[In, Out any](key string, do func(context.Context, call, In) (Out, error)) endpoint {
	return endpoint{key, func(ctx context.Context, c call, body []byte) (any, error) {
		var in In
		if err := api.Decode(body, &in); err != nil {
			return nil, err
		}
		return do(ctx, c, in)
	}}
}

// onRaw makes an endpoint of a function of the body as it came.
func onRaw[Out any](key string, do func(context.Context, call, []byte) (Out, error)) endpoint {
	return endpoint{key, func(ctx context.Context, c call, body []byte) (any, error) { return do(ctx, c, body) }}
}

// nothing is the body of a request or response that has none.
type nothing struct{}

// raw is a response that is JSON already and may be cached.
type raw struct {
	body   []byte
	maxAge time.Duration
}

// accepted is a response with the status 202.
type accepted[T any] struct{ body T }

func (a accepted[T]) content() any { return a.body }

// serve joins a function's endpoints. It panics at start unless they are exactly the function's routes.
func serve(d Deps, function string, endpoints ...endpoint) Func {
	type wired struct {
		api.Route
		endpoint
	}
	routes := map[string]wired{}
	for _, r := range api.Routes() {
		if r.Function == function {
			routes[r.Key()] = wired{Route: r}
		}
	}
	for _, e := range endpoints {
		r, ok := routes[e.key]
		if !ok || r.run != nil {
			panic(fmt.Sprintf("handler: %s is not a route of %s, or twice", e.key, function))
		}
		r.endpoint = e
		routes[e.key] = r
	}
	for key, r := range routes {
		if r.run == nil {
			panic(fmt.Sprintf("handler: %s has no endpoint for %s", function, key))
		}
	}
	return func(ctx context.Context, e events.APIGatewayV2HTTPRequest) (response events.APIGatewayV2HTTPResponse, _ error) {
		if d.Metrics != nil {
			since := d.Used.Since(function)
			defer func() { d.Metrics.Put(append(since(), ended(function, response)...)...) }()
		}
		defer func() {
			if p := recover(); p != nil {
				d.Log.ErrorContext(ctx, "panic", "route", e.RouteKey, "request_id", e.RequestContext.RequestID,
					"panic", p, "stack", string(debug.Stack()))
				response = d.problem(ctx, e, api.NewProblem(api.CodeInternal, ""))
			}
		}()
		r, ok := routes[e.RouteKey]
		if !ok {
			return d.problem(ctx, e, api.NewProblem(api.CodeNotFound, "There is no such route, or not with this method.")), nil
		}
		answer, err := d.answer(ctx, e, r.Route, r.endpoint)
		if err != nil {
			return d.problem(ctx, e, err), nil
		}
		return respond(answer)
	}
}

// ended are the points of a request that has ended. A problem's code is where only problems have one.
func ended(function string, response events.APIGatewayV2HTTPResponse) []metric.Point {
	if response.StatusCode < 400 {
		return []metric.Point{metric.Done(function, "success")}
	}
	var told struct{ Code string }
	if err := json.Unmarshal([]byte(response.Body), &told); err != nil {
		panic(err) // a problem is ours: it can be read
	}
	return []metric.Point{metric.Done(function, told.Code), metric.Count(api.MetricProblems, metric.Dimension{Name: api.DimensionCode, Value: told.Code})}
}

// spare is what remains of a function's time to say that what it waited for has not come. A function that runs out of
// time is killed, and its caller learns nothing.
const spare = 500 * time.Millisecond

func inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-spare))
	}
	return ctx, func() {} // not on Lambda
}

// answer checks what every route is checked for, then runs its endpoint.
func (d Deps) answer(ctx context.Context, e events.APIGatewayV2HTTPRequest, r api.Route, run endpoint) (any, error) {
	c := call{
		Request: twofactor.Request{
			ID: twofactor.RandomDigest(), IP: e.RequestContext.HTTP.SourceIP, UserAgent: e.RequestContext.HTTP.UserAgent,
		},
		Query: e.QueryStringParameters, Path: e.PathParameters, Headers: e.Headers, RequestID: e.RequestContext.RequestID,
	}
	if err := d.authorize(e, r, &c); err != nil {
		return nil, err
	}
	body := []byte(e.Body)
	if e.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return nil, api.NewProblem(api.CodeInvalidRequest, "The body is not the base64 it is said to be.")
		}
	}
	if most := maxBody(r); len(body) > most {
		return nil, api.NewProblem(api.CodeTooLarge, fmt.Sprintf("The body is larger than %d bytes.", most))
	}
	if key, ok := e.Headers["idempotency-key"]; ok && r.Idempotent {
		if err := api.CheckIdempotencyKey(key); err != nil {
			return nil, err
		}
		c.Request.Key = twofactor.NewDigest("idempotency-key", key, r.Key(), string(c.User))
		c.Request.ID = twofactor.NewDigest("idempotency", key, r.Key(), string(c.User), string(body))
	}
	if r.Method != http.MethodPost {
		body = nil // what a GET or DELETE carries means nothing
	}
	ctx, cancel := inTime(ctx)
	defer cancel()
	return run.run(ctx, c, body)
}

// maxBody is the largest body that a route takes, in bytes.
func maxBody(r api.Route) int {
	if r.Caller == api.CallerWebhook {
		return api.MaxWebhookBody
	}
	return api.MaxBody
}

// respond writes an answer as JSON.
func respond(answer any) (events.APIGatewayV2HTTPResponse, error) {
	switch a := answer.(type) {
	case nothing:
		return events.APIGatewayV2HTTPResponse{StatusCode: http.StatusNoContent, Headers: headers("")}, nil
	case raw:
		h := headers("application/json")
		h["cache-control"] = fmt.Sprintf("public, max-age=%d", int(a.maxAge.Seconds()))
		return events.APIGatewayV2HTTPResponse{StatusCode: http.StatusOK, Headers: h, Body: string(a.body)}, nil
	}
	status := http.StatusOK
	if a, ok := answer.(interface{ content() any }); ok {
		status, answer = http.StatusAccepted, a.content()
	}
	body, err := json.Marshal(answer)
	if err != nil {
		panic(err) // an answer is ours: it can be written
	}
	return events.APIGatewayV2HTTPResponse{StatusCode: status, Headers: headers("application/json"), Body: string(body)}, nil
}

// headers are those of every answer.
func headers(contentType string) map[string]string {
	h := map[string]string{"cache-control": "no-store", "x-content-type-options": "nosniff"}
	if contentType != "" {
		h["content-type"] = contentType
	}
	return h
}
