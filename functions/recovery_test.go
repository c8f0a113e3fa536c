package functions_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/identity/standin"
)

const (
	webURL        = "https://account.example.com"
	personaKey    = "persona_sandbox_0001"
	webhookSecret = "wbhsec_0001"
)

// outside is what a recovery needs besides requests.
type outside struct {
	// mails returns the texts of all mails that are due by now, the newest last.
	mails   func() []string
	sweep   func() error
	bounce  func(events.EventBridgeEvent) error // tells of a mail that bounced
	persona *persona
	operate func(api.AdminRequest) error // does what an operator wants to be done
}

// broughtSecret is that of an authenticator of another system.
const broughtSecret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

// brought is what an operator orders for somebody who comes from there.
func brought(user string) api.AdminRequest {
	return api.AdminRequest{Operation: "import", User: user, Operator: "oscar", Reason: "the move", Import: &api.ImportRequest{
		OTPAuthURI: "otpauth://totp/Old:ivan?secret=" + broughtSecret + "&algorithm=SHA256&digits=8&period=60", Email: "ivan@example.com", Label: "Ivan at Old",
	}}
}

// persona stands in for the identity service. Its webhooks go to the function at once, or get lost.
type persona struct {
	url     string
	webhook func(events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error)
	lost    bool
	heard   chan answer // what the function has answered to a webhook
}

func newPersona(tb testing.TB) *persona {
	tb.Helper()
	p := &persona{heard: make(chan answer, 10)}
	var service *standin.Service
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { service.ServeHTTP(w, r) }))
	tb.Cleanup(server.Close)
	p.url = server.URL
	var err error
	service, err = standin.New(standin.Config{
		URL: p.url, APIKey: personaKey, WebhookURL: "http://webhook.test", WebhookSecret: webhookSecret, Transport: p,
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(service.Close)
	return p
}

// RoundTrip delivers a webhook as API Gateway does.
func (p *persona) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	recorder := httptest.NewRecorder()
	if p.lost {
		return recorder.Result(), nil
	}
	e := event("POST /v1/webhooks/persona", string(body))
	for name := range r.Header {
		e.Headers[strings.ToLower(name)] = r.Header.Get(name)
	}
	response, err := p.webhook(e)
	if err != nil {
		p.heard <- answer{text: err.Error()}
		return nil, err
	}
	p.heard <- answer{status: response.StatusCode, text: response.Body}
	recorder.WriteHeader(response.StatusCode)
	return recorder.Result(), nil
}

// decide presses the button on the page that a link leads to.
func (c *client) decide(link, result string) {
	c.tb.Helper()
	request, err := http.NewRequestWithContext(c.tb.Context(), http.MethodPost, link, strings.NewReader(object("result", result)))
	if err != nil {
		c.tb.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.tb.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		c.tb.Fatalf("the page behind the link: %s", response.Status)
	}
	if c.outside.persona.lost {
		return
	}
	if a := <-c.outside.persona.heard; a.status >= 300 || a.status == 0 {
		c.failed(a, "webhook: %d %s", a.status, a.text)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.served["POST /v1/webhooks/persona"] = true
}

// mailed returns the token of the newest mailed link for a purpose.
func (c *client) mailed(purpose string) string {
	c.tb.Helper()
	link := regexp.MustCompile(regexp.QuoteMeta(webURL+"/#/reset/"+purpose+"/") + `([A-Za-z0-9_.-]+)`)
	for _, text := range slices.Backward(c.outside.mails()) {
		if found := link.FindStringSubmatch(text); found != nil {
			return found[1]
		}
	}
	c.tb.Fatalf("no mail has a link for %s", purpose)
	return ""
}

// ask asks for a recovery, from a sign-in in which the host has told who the user is.
func (c *client) ask(user string) answer {
	c.tb.Helper()
	challenge := c.want(host(""), "POST /v1/challenges", `{"user_id":"`+user+`","email":"`+address(user)+`","nonce":"n-`+user+
		`","amr":["pwd"],"ip":"198.51.100.1","subject":{"name":"Sam Sample","birthdate":"1990-01-31"}}`, 200, "")
	return c.want(anyone, "POST /v1/reset-request", object("challenge", challenge.str("challenge")), 202, "")
}

// wantReset compares the state of a user's reset.
func (c *client) wantReset(user, state string) {
	c.tb.Helper()
	s := c.want(session(user), "GET /v1/status", "", 200, "")
	if reset, _ := s.body["reset"].(map[string]any); reset["state"] != state {
		c.tb.Fatalf("the reset is %s, want it %s", s.text, state)
	}
}

// review decides a case, as a reviewer who has found it in the queue and looked at it.
func (c *client) review(who caller, id, decision string) answer {
	c.tb.Helper()
	who.id = id
	for range 100 { // the queue may lag behind
		if a := c.want(who, "GET /v1/reviews", "", 200, ""); strings.Contains(a.text, id) {
			shown := c.want(who, "GET /v1/reviews/{id}", "", 200, "")
			if !strings.Contains(shown.text, "SAM SAMPLE") && !strings.Contains(shown.text, "Sam Sample") {
				c.tb.Errorf("the case does not show who it is about: %s", shown.text)
			}
			return c.want(who, "POST /v1/reviews/{id}/decision",
				fmt.Sprintf(`{"decision":"%s","case_version":%v,"identity_matches":true}`, decision, shown.body["case_version"]), 200, "")
		}
	}
	c.tb.Fatalf("%s is not in the queue", id)
	return answer{}
}

// changeOfMind is a recovery that is asked for twice, and called off from the mail and from a session.
func (c *client) changeOfMind() {
	c.tb.Helper()
	c.ask("alice")
	cancel := object("token", c.mailed("cancel"))
	if a := c.want(anyone, "POST /v1/reset/show", cancel, 200, ""); a.str("purpose") != "cancel" {
		c.tb.Errorf("the link: %s", a.text)
	}
	c.want(anyone, "POST /v1/reset/cancel", cancel, 200, "")
	c.want(anyone, "POST /v1/reset/cancel", cancel, 410, "link_expired")
	c.ask("alice")
	c.want(session("alice"), "DELETE /v1/reset", "", 200, "")
	c.want(session("alice"), "DELETE /v1/reset", "", 409, "conflict")
}

// lostAll enrols inside the sign-in, loses all of it, and gets back in: through the identity check, which is asked for a
// second time and is heard of once by a webhook and once by the sweep; a reviewer, who decides again when a notice has
// bounced; the mailed link; and a new authenticator.
func (c *client) lostAll() {
	c.tb.Helper()
	c.enrolInside()
	id := c.ask("alice").str("id")
	click := object("token", c.mailed("identity"))
	c.decide(c.want(anyone, "POST /v1/reset/identity", click, 200, "").str("url"), "pass")
	c.wantReset("alice", "in_review")
	c.want(session("carol"), "GET /v1/reviews", "", 403, "forbidden")
	carol := reviewer("carol")
	c.review(carol, id, "retry_identity")

	c.outside.persona.lost = true
	c.decide(c.want(anyone, "POST /v1/reset/identity", click, 200, "").str("url"), "pass")
	c.wantReset("alice", "identity_pending")
	if err := c.outside.sweep(); err != nil {
		c.failed(answer{status: 500}, "sweep: %v", err)
	}
	c.wantReset("alice", "in_review")
	if a := c.review(carol, id, "approve"); a.str("state") != "ready" {
		c.tb.Errorf("approved: %s", a.text)
	}

	old := c.mailed("sign_in")
	bounced := fmt.Sprintf(`{"eventType":"Bounce","bounce":{"bounceType":"Permanent"},"mail":{"tags":{"reset":["%s"],"to":["user"]}}}`, id)
	if err := c.outside.bounce(events.EventBridgeEvent{Source: "aws.ses", Detail: []byte(bounced)}); err != nil {
		c.failed(answer{status: 500}, "mail-feedback: %v", err)
	}
	c.wantReset("alice", "in_review")
	c.review(carol, id, "approve")

	challenge := c.challenge("alice")
	if got := fmt.Sprint(challenge.body["methods"]); got != "[totp backup_code reset_link]" {
		c.tb.Errorf("methods = %s", got)
	}
	verify := func(code string) string {
		return object("challenge", challenge.str("challenge"), "method", "reset_link", "code", code)
	}
	link := c.mailed("sign_in")
	c.want(anyone, "POST /v1/verify", verify(c.mailed("cancel")), 410, "link_expired")
	c.want(anyone, "POST /v1/verify", verify(old), 410, "link_expired")
	on := c.want(anyone, "POST /v1/verify", verify(link), 200, "")
	if on.body["enrollment_required"] != true || on.str("assertion") != "" {
		c.failed(on, "the link alone: %s", on.text)
	}
	begun := c.want(anyone, "POST /v1/verify/enroll", object("challenge", on.str("challenge")), 200, "")
	p := &phone{tb: c.tb, secret: begun.str("manual_secret")}
	done := c.want(anyone, "POST /v1/verify/enroll/confirm",
		object("challenge", on.str("challenge"), "enrollment_id", begun.str("enrollment_id"), "code", p.code()), 200, "")
	c.wantAMR(c.assertion(done.str("assertion"), "alice"), "pwd", "reset_link", "otp")
	c.wantReset("alice", "completed")
	c.want(anyone, "POST /v1/verify", object("challenge", c.challenge("alice").str("challenge"), "method", "reset_link", "code", link), 410, "link_expired")
	c.signIn("alice", "totp", p.code())
}
