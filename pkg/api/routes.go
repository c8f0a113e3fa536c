// Package api is the contract with whoever calls Nightlatch: the routes and the functions behind them, the bodies of
// requests and responses, the problems, and the OpenAPI document that describes them all.
//
// It imports nothing of the service, so that a host's login back end, the CDK stack and the local server share it.
package api

import "slices"

// Caller is who may call a route, and so what proof the route demands.
type Caller string

// The callers.
const (
	CallerSession   Caller = "session"   // a signed-in user, by the JWT of the host's identity provider
	CallerReviewer  Caller = "reviewer"  // a session of the reviewer group, with mfa and not older than 15 minutes
	CallerChallenge Caller = "challenge" // whoever holds a challenge, which is in the body
	CallerLink      Caller = "link"      // whoever holds a mailed token, which is in the body
	CallerHost      Caller = "host"      // the application's login back end, by IAM
	CallerWebhook   Caller = "webhook"   // the identity service, by its signature
	CallerPublic    Caller = "public"    // anybody
)

// Route is one method on one path, and the function that serves it.
type Route struct {
	Function   string // its name in [Functions]
	Method     string
	Path       string // as API Gateway writes it: parameters in braces
	Caller     Caller
	Idempotent bool // honours the Idempotency-Key header
}

// Key is the routeKey by which API Gateway names the route, in the stack and in every event: "POST /v1/verify".
func (r Route) Key() string { return r.Method + " " + r.Path }

// routes is the one table of routes: the CDK stack, the local server and the OpenAPI document are held
// against it. It has the order of the design, and the routes of a function stand together.
var routes = []Route{
	{"enroll", "POST", "/v1/enroll", CallerSession, true},
	{"enroll", "POST", "/v1/enroll/confirm", CallerSession, true},
	{"enroll", "DELETE", "/v1/enroll", CallerSession, false},
	{"enroll", "POST", "/v1/verify/enroll", CallerChallenge, true},
	{"enroll", "POST", "/v1/verify/enroll/confirm", CallerChallenge, true},
	{"verify", "POST", "/v1/verify", CallerChallenge, false},
	{"check", "POST", "/v1/check", CallerSession, false},
	{"rotate-backup", "POST", "/v1/backup-code", CallerSession, true},
	{"rotate-backup", "POST", "/v1/backup-code/revoke", CallerSession, true},
	{"disable", "POST", "/v1/disable", CallerSession, true},
	{"reset-request", "POST", "/v1/reset-request", CallerChallenge, false},
	{"reset-request", "POST", "/v1/reset/show", CallerLink, false},
	{"reset-request", "POST", "/v1/reset/identity", CallerLink, false},
	{"reset-request", "POST", "/v1/reset/cancel", CallerLink, false},
	{"reset-request", "DELETE", "/v1/reset", CallerSession, false},
	{"status", "GET", "/v1/status", CallerSession, false},
	{"status", "GET", "/v1/history", CallerSession, false},
	{"challenge", "POST", "/v1/challenges", CallerHost, false},
	{"challenge", "POST", "/v1/users/{user}/events", CallerHost, false},
	{"reset-review", "GET", "/v1/reviews", CallerReviewer, false},
	{"reset-review", "GET", "/v1/reviews/{id}", CallerReviewer, false},
	{"reset-review", "POST", "/v1/reviews/{id}/decision", CallerReviewer, false},
	{"identity-webhook", "POST", "/v1/webhooks/persona", CallerWebhook, false},
	{"jwks", "GET", "/.well-known/jwks.json", CallerPublic, false},
}

// Routes returns the routes of all functions, in the order of the design. The slice is the caller's.
func Routes() []Route { return slices.Clone(routes) }
