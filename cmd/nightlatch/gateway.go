package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// gateway stands in for API Gateway's HTTP API: it finds the route, checks who calls, and makes of the request the event
// that the route's function is given on AWS (event.go). It holds no lock: requests meet only in the store.
type gateway struct {
	routes     map[string]api.Route // by key; the ones without parameters
	patterns   []pattern            // the others
	sessions   *identityProvider
	serviceKey [sha256.Size]byte // a digest, so that the comparison does not tell the key's length either
	now        func() time.Time
	functions  func() *functions // the ones of the moment
	log        *slog.Logger
}

// pattern is a route with parameters, split at its slashes.
type pattern struct {
	route    api.Route
	segments []string
}

func newGateway(serviceKey string, sessions *identityProvider, now func() time.Time, functions func() *functions, log *slog.Logger) *gateway {
	g := &gateway{
		routes: map[string]api.Route{}, sessions: sessions, serviceKey: sha256.Sum256([]byte(serviceKey)), now: now,
		functions: functions, log: log,
	}
	for _, r := range api.Routes() {
		if strings.Contains(r.Path, "{") {
			g.patterns = append(g.patterns, pattern{r, strings.Split(r.Path, "/")})
		} else {
			g.routes[r.Key()] = r
		}
	}
	return g
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route, parameters, ok := g.route(r.Method, r.URL.Path)
	if !ok {
		message(w, http.StatusNotFound, "Not Found")
		return
	}
	authorizer, ok := g.authorize(w, r, route.Caller)
	if !ok {
		return // and has been told
	}
	most := int64(api.MaxBody)
	if route.Caller == api.CallerWebhook {
		most = api.MaxWebhookBody
	}
	// One byte more than a function takes, so that it is the function that answers too_large.
	body, err := io.ReadAll(io.LimitReader(r.Body, most+1))
	if err != nil {
		message(w, http.StatusBadRequest, "Bad Request")
		return
	}
	e := event(r, route, parameters, body, g.now())
	e.RequestContext.Authorizer = authorizer
	response, err := g.functions().byRoute[e.RouteKey](r.Context(), e)
	if err != nil { // as if the function had died
		g.log.ErrorContext(r.Context(), "function", "route", e.RouteKey, "request_id", e.RequestContext.RequestID, "cause", err)
		message(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	h := w.Header()
	h.Set("apigw-requestid", e.RequestContext.RequestID)
	for name, value := range response.Headers {
		h.Set(name, value)
	}
	w.WriteHeader(response.StatusCode)
	io.WriteString(w, response.Body) // whoever has gone does not read it
}

// route finds the route of a method and a path that has been percent-decoded: HTTP APIs decode before they route. A
// parameter is one segment, and not an empty one.
func (g *gateway) route(method, path string) (route api.Route, parameters map[string]string, ok bool) {
	if r, ok := g.routes[method+" "+path]; ok {
		return r, nil, true
	}
	segments := strings.Split(path, "/")
	for _, p := range g.patterns {
		if p.route.Method != method {
			continue
		}
		if parameters, ok := p.match(segments); ok {
			return p.route, parameters, true
		}
	}
	return api.Route{}, nil, false
}

func (p pattern) match(segments []string) (map[string]string, bool) {
	if len(segments) != len(p.segments) {
		return nil, false
	}
	parameters := map[string]string{}
	for i, want := range p.segments {
		name, isParameter := strings.CutPrefix(want, "{")
		switch {
		case isParameter && segments[i] != "":
			parameters[strings.TrimSuffix(name, "}")] = segments[i]
		case segments[i] != want:
			return nil, false
		}
	}
	return parameters, true
}

// hostARN is who the demo host is, where on AWS its role would be.
const hostARN = "arn:aws:sts::000000000000:assumed-role/nightlatch-host/demo"

// authorize demands what the route's authorizer demands on AWS. It reports false when it has refused the request.
func (g *gateway) authorize(w http.ResponseWriter, r *http.Request, c api.Caller) (*events.APIGatewayV2HTTPRequestContextAuthorizerDescription, bool) {
	switch c {
	case api.CallerSession, api.CallerReviewer: // what a reviewer's claims must be, the function knows
		claims, err := g.sessions.check(bearer(r))
		if err != nil {
			w.Header().Set("www-authenticate", "Bearer")
			message(w, http.StatusUnauthorized, "Unauthorized")
			return nil, false
		}
		return &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
			JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{Claims: claims},
		}, true
	case api.CallerHost:
		given := sha256.Sum256([]byte(bearer(r)))
		if subtle.ConstantTimeCompare(given[:], g.serviceKey[:]) != 1 {
			message(w, http.StatusForbidden, "Forbidden")
			return nil, false
		}
		return &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
			IAM: &events.APIGatewayV2HTTPRequestContextAuthorizerIAMDescription{UserARN: hostARN},
		}, true
	case api.CallerChallenge, api.CallerLink, api.CallerWebhook, api.CallerPublic:
		return nil, true // what proves the caller is in the body or a header of its own
	}
	message(w, http.StatusForbidden, "Forbidden")
	return nil, false
}

// bearer is the token of an Authorization header (RFC 6750 §2.1), or nothing.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return token
}
