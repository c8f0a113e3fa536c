package handler_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/identity"
	"github.com/nightlatch/nightlatch/pkg/identity/standin"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// These tests have the real client, the real check of webhooks and the stand-in for the service, and what can be between
// them.

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// atPersona is a recovery with the stand-in for the identity service.
type atPersona struct {
	*recovery
	service *standin.Service
	hints   chan hint // that the service has sent

	mu    sync.Mutex
	fault http.HandlerFunc // answers in the place of the service; nil: the service does
}

const personaSecret = "wbhsec_secret"

func withPersona(r *recovery) *atPersona {
	p := &atPersona{recovery: r, hints: make(chan hint, 100)}
	const here, key = "http://127.0.0.1:9", "persona_key"
	var err error
	p.service, err = standin.New(standin.Config{
		URL: here, APIKey: key, WebhookURL: here + "/webhooks", WebhookSecret: personaSecret, Now: r.clock,
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			p.hints <- hint{r.Header.Get(identity.SignatureHeader), string(body)}
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, err
		}),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(p.service.Close)
	text := func(secret string) *identity.Secrets {
		return identity.NewSecrets(func(context.Context) ([]byte, error) { return []byte(secret), nil }, r.clock)
	}
	client, err := identity.New(identity.Config{URL: here, Template: "itmpl_x", APIKey: text(key), Transport: roundTrip(p.way)})
	if err != nil {
		r.t.Fatal(err)
	}
	r.deps.Identity, r.deps.Webhook = identity.Checks{Client: client}, identity.Webhooks(text(personaSecret))
	r.funcs = functions(r.deps)
	return p
}

// way is the way from the client to the service. A fault that answers with no status at all gives no answer.
func (p *atPersona) way(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	fault := p.fault
	p.mu.Unlock()
	answer := httptest.NewRecorder()
	if fault == nil {
		p.service.ServeHTTP(answer, r)
		return answer.Result(), nil
	}
	answer.Code = 0
	if fault(answer, r); answer.Code == 0 {
		return nil, context.DeadlineExceeded
	}
	return answer.Result(), nil
}

func (p *atPersona) breaks(fault http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = fault
}

// comesTo goes through the check that the user's mailed link leads to, and returns the hint that the service sends of it.
func (p *atPersona) comesTo(user, result string) hint {
	p.t.Helper()
	a := p.want(anyone, "POST /v1/reset/identity", body("token", p.link(user, twofactor.LinkIdentity)), 200, "")
	page, err := url.Parse(a.str("url"))
	if err != nil {
		p.t.Fatal(err)
	}
	r := httptest.NewRequest("POST", page.RequestURI(), strings.NewReader(body("result", result)))
	r.Header.Set("content-type", "application/json")
	w := httptest.NewRecorder()
	if p.service.ServeHTTP(w, r); w.Code != 200 {
		p.t.Fatalf("at the service: %d %s", w.Code, w.Body)
	}
	return <-p.hints
}

// comes hands a hint to its function.
func (p *atPersona) comes(h hint, status int) {
	p.t.Helper()
	if a := p.do(anyone.signed(h.signature), webhook, h.body); a.Status != status {
		p.t.Errorf("a hint signed %q: %d %s, want %d", h.signature, a.Status, a.Text, status)
	}
}

// signed is a hint signed a while ago.
func (p *atPersona) signed(body, secret string, age time.Duration) hint {
	return hint{identity.Sign(secret, []byte(body), p.clock().Add(-age)), body}
}

// TestAttackWebhooks is somebody who forges webhooks, replays them, and in the end has the secret. They want an identity
// check to pass that has not. Forged and stale ones are refused; those that come again, late or in another order change
// nothing; and what even a right one says is not believed.
func TestAttackWebhooks(t *testing.T) { recoverOnEachEngine(t, "standard", signedWebhooks) }

func signedWebhooks(t *testing.T, r *recovery) {
	p := withPersona(r)
	p.enrolled("alice")
	p.asked("alice")
	first := p.comesTo("alice", "fail")

	held := p.unchanged("alice")
	another := strings.ReplaceAll(first.body, "inquiry.failed", "inquiry.approved")
	for name, h := range map[string]hint{
		"not signed":             {"", first.body},
		"with another body":      {first.signature, another},
		"with another signature": {altered(first.signature), first.body},
		"by another secret":      p.signed(first.body, "wbhsec_other", 0),
		"six minutes ago":        p.signed(first.body, personaSecret, 6*time.Minute),
		"in six minutes":         p.signed(first.body, personaSecret, -6*time.Minute),
	} {
		if p.comes(h, 401); t.Failed() {
			t.Fatalf("a webhook signed %s", name)
		}
	}
	held()
	p.comes(first, 200)
	if got := p.reset("alice").TriesLeft; got != 2 {
		t.Errorf("%d tries left, want 2", got)
	}
	again := func(hints ...hint) {
		t.Helper()
		held := p.unchanged("alice")
		for _, h := range hints {
			p.comes(h, 200)
			p.comes(p.signed(h.body, personaSecret, time.Minute), 200)
		}
		held()
	}
	again(first, first)

	// Whoever has the secret can say what they like: the inquiry says that nothing has been decided.
	p.want(anyone, "POST /v1/reset/identity", body("token", p.link("alice", twofactor.LinkIdentity)), 200, "")
	old := strings.Split(first.body, `"inq_`)[1]
	old = "inq_" + old[:strings.IndexByte(old, '"')]
	again(p.signed(strings.ReplaceAll(another, old, p.reset("alice").Inquiry), personaSecret, 0))

	second := p.comesTo("alice", "needs_review")
	third := p.atTheirDesk(p.reset("alice").Inquiry, "pass")
	p.comes(third, 200) // before the second
	p.wantState("alice", twofactor.ResetInReview)
	again(second, first, third, second)
	p.wind(10 * time.Minute)
	held = p.unchanged("alice")
	p.comes(third, 401) // kept by somebody, and sent again later
	held()
}

// atTheirDesk has Persona's own people decide.
func (p *atPersona) atTheirDesk(inquiry, result string) hint {
	p.t.Helper()
	r := httptest.NewRequest("POST", "/"+inquiry, strings.NewReader(body("result", result)))
	r.Header.Set("content-type", "application/json")
	w := httptest.NewRecorder()
	if p.service.ServeHTTP(w, r); w.Code != 200 {
		p.t.Fatalf("at their desk: %d %s", w.Code, w.Body)
	}
	return <-p.hints
}

// TestPersonaIsDead: while it is, nobody is told anything, and nothing of a reset is lost; when it is back, what was asked for
// works, and has happened once.
func TestPersonaIsDead(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]http.HandlerFunc{
		"no answer": func(http.ResponseWriter, *http.Request) {},
		"500":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"503":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		"429":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) },
		"nonsense": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(200)
			io.WriteString(w, "<html>Welcome to the hotel's Wi-Fi")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := withPersona(newRecovery(t, "miaxdx"))
			p.enrolled("alice")
			p.asked("alice")
			link := body("token", p.link("alice", twofactor.LinkIdentity))
			held := p.unchanged("alice")
			p.breaks(fault)
			p.want(anyone, "POST /v1/reset/identity", link, 503, "unavailable")
			held()

			p.breaks(nil)
			passed := p.comesTo("alice", "pass")
			held = p.unchanged("alice")
			p.breaks(fault)
			p.comes(passed, 503)
			if err := p.sweep(); err == nil {
				t.Error("the sweep has nothing to say")
			}
			if a := p.do(anyone, "POST /v1/reset/identity", link); a.Status != 503 {
				t.Errorf("one more click: %d %s", a.Status, a.Text)
			}
			held()
			// Everything else goes on, and nobody gets in by it.
			if got := p.challenge("alice").Body["methods"].([]any); len(got) != 2 {
				t.Errorf("methods: %v", got)
			}

			p.breaks(nil)
			p.wantSwept() // no other webhook comes
			p.wantState("alice", twofactor.ResetInReview)
			p.comes(p.signed(passed.body, personaSecret, 0), 200)
			n := 0
			for _, e := range p.happened("alice") {
				if e.Type == twofactor.EventIdentityPassed {
					n++
				}
			}
			if n != 1 {
				t.Errorf("passed %d times", n)
			}
		})
	}
}
