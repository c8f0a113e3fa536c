package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/api/apitest"
	"github.com/nightlatch/nightlatch/pkg/identity"
	"github.com/nightlatch/nightlatch/pkg/needs"
)

// conformanceExamples is how many requests Schemathesis makes up for each operation, besides the ones that the document
// gives rise to by itself. make conformance has far more.
var conformanceExamples = flag.Int("conformance.examples", 10, "requests that are made up for each operation")

// TestConformance holds the running server against its own description with a program that is not ours: Schemathesis
// reads openapi.yaml and sends what it says, and what it does not. It does so for users in different states.
func TestConformance(t *testing.T) {
	t.Parallel()
	schemathesis := needs.Schemathesis(t)
	for name, test := range map[string]struct {
		policy  string
		prepare func(*conformance)
	}{
		"where it may be off": {"standard", func(c *conformance) {
			c.session, _ = c.signIn("alice@example.com")
			_, c.canceled, _ = c.lost("bob@example.com")
			var inquiry string
			c.cases, c.links, inquiry = c.lost("reviewer2@example.com")
			c.versions = c.passed(c.cases[0], inquiry)
		}},
		"where it is required": {"miaxdx", func(c *conformance) {
			session, secret := c.signIn("alice@example.com")
			c.session = session
			for step := range 4 { // one of them is the present one's
				c.codes = append(c.codes, c.code(secret, step))
			}
			c.challenges = []string{c.challenge("somebody"), c.challenge("alice@example.com")}
			c.cases, c.links, _ = c.lost("bob@example.com")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &conformance{live: serve(t, dataDir(t), test.policy), served: map[string]map[int]int{}}
			c.reviewer = c.reviewing()
			test.prepare(c)
			c.run(schemathesis)
		})
	}
}

// conformance is a server with all that a caller can have, and what it has answered.
type conformance struct {
	*live
	session, reviewer                         string
	challenges, codes, links, canceled, cases []string
	versions                                  []int

	mu     sync.Mutex
	served map[string]map[int]int // how often each route answered with each status
}

// signIn returns a session. Where a second factor is required it comes with one, and its secret.
func (c *conformance) signIn(email string) (session, secret string) {
	c.t.Helper()
	a, cookie := c.login(email)
	if session := a.str("session"); session != "" {
		return session, ""
	}
	challenge := a.str("challenge")
	set := c.want(200, c.post("/v1/verify/enroll", "", jsonOf("challenge", challenge)))
	secret = set.str("manual_secret")
	confirmed := c.want(200, c.post("/v1/verify/enroll/confirm", "",
		jsonOf("challenge", challenge, "enrollment_id", set.str("enrollment_id"), "code", c.code(secret, 0))))
	return c.want(200, c.finish(cookie, confirmed.str("assertion"))).str("session"), secret
}

func (c *conformance) challenge(user string) string {
	c.t.Helper()
	a := c.want(200, c.post("/v1/challenges", c.serviceKey, jsonOf("user_id", user, "email", "a@example.com", "nonce", "n")))
	return a.str("challenge")
}

// reviewing is the session of a reviewer who has just signed in with a second factor.
func (c *conformance) reviewing() string {
	c.t.Helper()
	const reviewer = "reviewer@example.com"
	session, secret := c.signIn(reviewer)
	if secret == "" {
		secret = c.enroll(session)
	}
	a, cookie := c.login(reviewer)
	return c.want(200, c.finish(cookie, c.verify(a.str("challenge"), c.code(secret, 1)))).str("session")
}

var identityLink = regexp.MustCompile(`#/reset/identity/([\w.-]+)`)

// lost has a user lose the authenticator and ask for a reset. It returns the case, the token of the mailed link, and
// where that leads.
func (c *conformance) lost(user string) (cases, links []string, inquiry string) {
	c.t.Helper()
	if session, secret := c.signIn(user); secret == "" {
		c.enroll(session)
	}
	a, _ := c.login(user)
	c.challenges = append(c.challenges, a.str("challenge"))
	reset := c.want(202, c.post("/v1/reset-request", "", jsonOf("challenge", a.str("challenge"))))
	var link string
	c.eventually("the link is mailed", func() bool {
		var inbox []letter
		if err := json.Unmarshal([]byte(c.get("/dev/mail.json", "").Text), &inbox); err != nil {
			c.t.Fatal(err)
		}
		for _, l := range inbox {
			if found := identityLink.FindStringSubmatch(l.Text); found != nil && l.To[0] == user {
				link = found[1]
			}
		}
		return link != ""
	})
	inquiry = c.want(200, c.post("/v1/reset/identity", "", jsonOf("token", link))).str("url")
	return []string{reset.str("id")}, []string{link}, inquiry
}

// passed has the identity check find that the user is the one on file. It returns the version of the case, which is in
// review then.
func (c *conformance) passed(id, inquiry string) (versions []int) {
	c.t.Helper()
	path, _, _ := strings.Cut(strings.TrimPrefix(inquiry, c.url), "?")
	c.want(200, c.do(call{method: "POST", path: path, body: `{"result":"pass"}`}))
	c.eventually("the case is in review", func() bool {
		a := c.want(200, c.get("/v1/reviews/"+id, c.reviewer))
		version, _ := a.Body["case_version"].(float64)
		versions = []int{int(version)}
		return a.str("state") == "in_review"
	})
	return versions
}

// run has Schemathesis send what it likes, by way of a proxy that sees everything.
func (c *conformance) run(schemathesis []string) {
	c.t.Helper()
	proxy := c.watched()
	dir := c.t.TempDir()
	config, err := os.ReadFile("testdata/schemathesis.toml")
	if err != nil {
		c.t.Fatal(err)
	}
	dictionaries := map[string][]string{
		"challenges": c.challenges, "codes": c.codes, "links": c.links, "canceled": c.canceled, "cases": c.cases,
	}
	for name, values := range dictionaries {
		config = dictionary(config, name, values, "none")
	}
	config = dictionary(config, "versions", c.versions, 1)
	file := filepath.Join(dir, "schemathesis.toml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		c.t.Fatal(err)
	}
	document := filepath.Join(dir, "openapi.yaml")
	if err := os.WriteFile(document, api.OpenAPI(), 0o600); err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.CommandContext(c.t.Context(), schemathesis[0], append(schemathesis[1:],
		"--config-file", file, "run", document, "--url", proxy.URL,
		"--phases", "examples,coverage,fuzzing", "--seed", "1", "--max-examples", strconv.Itoa(*conformanceExamples),
		"--generation-database", "none", "--no-color", "--output-truncate", "false", "--warnings", "off")...)
	cmd.Dir = dir // where it leaves what it leaves
	cmd.Env = append(os.Environ(), "NIGHTLATCH_SESSION="+c.session, "NIGHTLATCH_REVIEWER="+c.reviewer, "NIGHTLATCH_SERVICE_KEY="+c.serviceKey)
	said, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Errorf("Schemathesis: %v\n%s", err, said)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range api.Routes() {
		c.t.Logf("%-36s %v", r.Key(), c.served[r.Key()])
	}
	c.t.Logf("%-36s %v", "no route", c.served["no route"])
	for _, key := range certain {
		answers := c.served[key]
		if answers[http.StatusOK]+answers[http.StatusNoContent] == 0 {
			c.t.Errorf("%s was never accepted: nothing was tried but its refusals", key)
		}
	}
	if c.served["no route"][http.StatusNotFound] == 0 {
		c.t.Error("no method was tried that a path does not have")
	}
}

// certain are routes of every kind of caller that a request in the right form gets something from, whatever it says.
var certain = []string{
	"DELETE /v1/enroll", "GET /v1/status", "GET /v1/history", "POST /v1/challenges", "POST /v1/users/{user}/events",
	"GET /v1/reviews", "POST /v1/webhooks/persona", "GET /.well-known/jwks.json",
}

// dictionary writes values into Schemathesis's configuration, or what is none of them.
func dictionary[T any](config []byte, name string, values []T, none T) []byte {
	quoted, err := json.Marshal(append(values, none)) // as TOML writes them, too
	if err != nil {
		panic(err) // texts and numbers can be written
	}
	return fmt.Appendf(config, "\n[dictionaries.%s]\nvalues = %s\n", name, quoted)
}

// body is what a request carries in its context: its body as it came.
type body struct{}

// watched is a proxy that signs webhooks, as the identity service would, and holds every answer against the document.
func (c *conformance) watched() *httptest.Server {
	target, err := url.Parse(c.url)
	if err != nil {
		c.t.Fatal(err)
	}
	p := &httputil.ReverseProxy{
		Transport: c.client.Transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			sent := r.In.Context().Value(body{}).([]byte)
			if r.In.Header.Get("persona-signature") == "sign this" {
				r.Out.Header.Set("persona-signature", identity.Sign(c.webhookKey, sent, c.clock.now()))
			}
		},
		ModifyResponse: func(r *http.Response) error {
			text, err := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(text))
			c.saw(r, r.Request.Context().Value(body{}).([]byte), text)
			return err
		},
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			c.t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(sent))
		p.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), body{}, sent)))
	}))
	c.t.Cleanup(s.Close)
	return s
}

// routes finds routes, and nothing else.
var routes = newGateway("", nil, nil, nil, nil)

// saw counts an answer, and holds it against the document.
func (c *conformance) saw(r *http.Response, sent, text []byte) {
	route, _, known := routes.route(r.Request.Method, r.Request.URL.Path)
	name := "no route"
	if known {
		name = route.Key()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.served[name] == nil {
		c.served[name] = map[int]int{}
	}
	c.served[name][r.StatusCode]++
	_, ofFunction := r.Header["Apigw-Requestid"]
	switch {
	case ofFunction:
		r.Request.Header.Del("content-type") // no function looks at it: a body is JSON
		apitest.Check(c.t, r.Request, sent, r.StatusCode, r.Header, text)
	case !known && r.StatusCode != http.StatusNotFound:
		c.t.Errorf("%s %s, which there is not, answered %d %s", r.Request.Method, r.Request.URL, r.StatusCode, text)
	}
}
