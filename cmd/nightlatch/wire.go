package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/host"
	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/mail"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
	"github.com/nightlatch/nightlatch/web"
)

// constructors makes every function that serves routes, by its name in api.Routes.
var constructors = map[string]func(handler.Deps) handler.Func{
	"enroll":           handler.Enroll,
	"verify":           handler.Verify,
	"check":            handler.Check,
	"rotate-backup":    handler.RotateBackup,
	"disable":          handler.Disable,
	"reset-request":    handler.ResetRequest,
	"status":           handler.Status,
	"challenge":        handler.Challenge,
	"reset-review":     handler.ResetReview,
	"identity-webhook": handler.IdentityWebhook,
	"jwks":             handler.JWKS,
}

// functions are all functions under one policy. They never change: another policy has its own.
type functions struct {
	policy  twofactor.Policy
	byRoute map[string]handler.Func
	admin   func(context.Context, api.AdminRequest) (api.AdminResponse, error)
	sweep   func(context.Context) error
	mailer  *mail.Mailer
}

// What the demo deployment says about itself.
const (
	demoApp     = "Nightlatch Demo"
	demoSupport = "support@example.com"
)

// demoAudience is the name under which the service knows the demo host.
const demoAudience = "nightlatch-demo-host"

// wire makes the functions for a policy.
func (s *server) wire(policy twofactor.Policy) *functions {
	deps := handler.Deps{
		Service:  &twofactor.Service{Store: s.store, Policy: policy, Keys: s.keys.Rules, Fence: s.fences.At, Now: s.clock.now},
		Keys:     s.keys.Tokens,
		JWKS:     func(ctx context.Context) ([]byte, error) { return keyring.LoadJWKS(ctx, s.store) },
		Identity: s.check.client,
		Webhook:  s.check.webhooks,
		Settings: handler.Settings{
			App: demoApp, Support: demoSupport, Issuer: s.url, Audience: demoAudience,
			Claims: handler.Claims{Groups: "groups"}, InquiryURL: s.inquiries(),
		},
		Log: s.log,
		RaiseFence: func(ctx context.Context, at time.Time, by twofactor.Operator) (time.Time, error) {
			return s.fences.Raise(ctx, s.store.ReplaceConfig, at, by)
		},
	}
	made := map[string]handler.Func{}
	for name, construct := range constructors {
		made[name] = construct(deps)
	}
	f := &functions{policy: policy, byRoute: map[string]handler.Func{}, admin: handler.Admin(deps), sweep: handler.Sweep(deps)}
	f.mailer = &mail.Mailer{
		Load: s.store.Load,
		Rules: func(ctx context.Context) (twofactor.Rules, error) {
			keys, err := s.keys.Rules(ctx)
			return twofactor.Rules{Policy: policy, Keys: keys}, err
		},
		Send: s.sender(handler.MailFeedback(deps, mail.DecodeTag)), Now: s.clock.now,
		Mailed: s.store.Mailed, MarkMailed: s.store.MarkMailed,
		App: demoApp, Support: demoSupport, Web: s.url, Words: mail.WordsOf(nameOf(policy)), Reviewers: reviewersAddress,
	}
	for _, r := range api.Routes() {
		if made[r.Function] == nil {
			panic("no function " + r.Function + " for " + r.Key()) // a route was added, and its function not here
		}
		f.byRoute[r.Key()] = made[r.Function]
	}
	return f
}

// routes is everything that the port answers.
func (s *server) routes(quiet bool) (http.Handler, error) {
	client, err := host.New(host.Config{
		URL: s.url, Audience: demoAudience, Credentials: host.ServiceKey(s.serviceKey), Redeemer: host.NewMemoryRedeemer(),
		HTTP: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute}},
		Now:  s.clock.now,
	})
	if err != nil {
		return nil, err
	}
	s.demo = client
	demo := &demoHost{service: client, sessions: s.sessions, now: s.clock.now, log: s.log}
	gateway := newGateway(s.serviceKey, s.sessions, s.clock.now, s.functions.Load, s.log)

	built := web.Pages()
	lab, err := s.lab(built)
	if err != nil {
		return nil, err
	}

	own := http.NewServeMux()
	own.Handle("GET /{$}", lab)
	own.Handle("GET /assets/{name}", assets(built, s.log))
	own.Handle("POST /demo/login", endpoint(s.log, demo.login))
	own.Handle("POST /demo/session", endpoint(s.log, demo.session))
	own.Handle("GET /dev/mail", s.page("mail.html", func() any { return s.inbox.list() }))
	own.Handle("GET /dev/mail.json", endpoint(s.log, s.inbox.get))
	own.Handle(identityPath+"/", s.check.service)
	own.Handle("POST /dev/admin", endpoint(s.log, s.admin))
	own.Handle("GET /dev/clock", endpoint(s.log, s.clock.get))
	own.Handle("POST /dev/clock", endpoint(s.log, s.clock.set))
	own.Handle("GET /dev/policy", endpoint(s.log, s.getPolicy))
	own.HandleFunc("POST /dev/policy", s.setPolicy)
	own.Handle("GET /dev/account/{user}", endpoint(s.log, s.account))
	own.Handle("GET /dev/counters", endpoint(s.log, s.counters))
	own.HandleFunc("GET /dev/assets/page.css", pageStyle)
	own.Handle("/", gateway)

	u, err := url.Parse(s.url)
	if err != nil {
		return nil, err
	}
	guarded := guard(u.Port(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The API's paths are not for ServeMux, which would put // and .. in order: the gateway on AWS does not.
		if p := r.URL.Path; p == "/" || strings.HasPrefix(p, "/assets/") || strings.HasPrefix(p, "/demo/") || strings.HasPrefix(p, "/dev/") {
			own.ServeHTTP(w, r)
			return
		}
		gateway.ServeHTTP(w, r)
	}))
	if quiet {
		return guarded, nil
	}
	return accessLog(s.log, guarded), nil
}
