package identity_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nightlatch/nightlatch/pkg/identity"
)

// What is asked, over TLS, and what is understood of the answers that the documentation shows.
func TestCalls(t *testing.T) {
	t.Parallel()
	p := &persona{steps: []http.HandlerFunc{
		answers(201, string(read(t, "create_an_inquiry.json"))),
		answers(200, string(read(t, "retrieve_an_inquiry.json"))),
		nil, // once it is known where the server is
	}}
	server := httptest.NewTLSServer(p)
	defer server.Close()
	link := strings.Replace(string(read(t, "generate_a_one_time_link.json")), "https://withpersona.com", server.URL, 1)
	p.steps[2] = answers(200, link)
	c := newClient(t, identity.Config{
		URL: server.URL + "/", ReturnTo: "https://app.example.com/#/reset/thanks", Transport: server.Client().Transport,
	})

	id, err := c.Create(t.Context(), reference, 2)
	if err != nil || id != inquiryID {
		t.Fatalf("Create: got %q, %v", id, err)
	}
	got, err := c.Fetch(t.Context(), inquiryID)
	if err != nil {
		t.Fatal(err)
	}
	want := identity.Inquiry{
		ID: inquiryID, Reference: reference, Status: identity.StatusApproved,
		Person: identity.Person{
			Name: "ALICE MARIE LIDDELL", Birthdate: "1990-01-31", Phone: "+15550100123", Address: "12 RABBIT HOLE RD, OAKLAND, CA, 94601",
		},
		CreatedAt:    time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC),
		CompletedAt:  time.Date(2026, 3, 2, 10, 9, 12, 0, time.UTC),
		DecisionedAt: time.Date(2026, 3, 2, 10, 9, 31, 0, time.UTC),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Fetch (-want +got):\n%s", diff)
	}
	link, err = c.OneTimeLink(t.Context(), inquiryID)
	if want := server.URL + "/verify?code=us1-5uHpLZQ1aXm"; err != nil || link != want {
		t.Errorf("OneTimeLink: got %q, %v; want %q", link, err, want)
	}

	type sent struct{ Method, Path, Query, Key, Type, Body string }
	wantSent := []sent{
		{"POST", "/api/v1/inquiries", "", reference + "-2", "application/json",
			`{"data":{"attributes":{"inquiry-template-id":"` + template + `","reference-id":"` + reference + `","redirect-uri":"https://app.example.com/#/reset/thanks"}}}`},
		{"GET", "/api/v1/inquiries/" + inquiryID,
			"fields[inquiry]=status,reference-id,created-at,completed-at,decisioned-at" +
				"&fields[verification/government-id]=status,completed-at,name-first,name-middle,name-last,birthdate," +
				"address-street-1,address-street-2,address-city,address-subdivision,address-postal-code,address-country-code" +
				"&include=verifications", "", "", ""},
		{"POST", "/api/v1/inquiries/" + inquiryID + "/generate-one-time-link", "", "", "", ""},
	}
	var gotSent []sent
	for _, a := range p.attempts() {
		query, err := url.QueryUnescape(a.query)
		if err != nil {
			t.Fatal(err)
		}
		gotSent = append(gotSent, sent{a.method, a.path, query, a.header.Get("Idempotency-Key"), a.header.Get("Content-Type"), a.body})
		for name, want := range map[string]string{
			"Authorization": "Bearer " + apiKey, "Persona-Version": "2023-01-05", "Key-Inflection": "kebab", "Accept": "application/json",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
	}
	if diff := cmp.Diff(wantSent, gotSent); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

// By itself a client believes in certificates, and nobody gets to see the key who has none.
func TestOwnTransportVerifies(t *testing.T) {
	t.Parallel()
	p := &persona{steps: []http.HandlerFunc{answers(201, string(read(t, "create_an_inquiry.json")))}}
	server := httptest.NewUnstartedServer(p)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	_, err := newClient(t, identity.Config{URL: server.URL}).Create(t.Context(), reference, 1)
	if !errors.Is(err, identity.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v", err)
	}
	if got := len(p.attempts()); got != 0 {
		t.Errorf("%d attempts arrived", got)
	}
}

// With its own transport, on the network of this machine: nobody listens, and then somebody does.
func TestOwnTransport(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + listener.Addr().String()
	listener.Close()
	if _, err := newClient(t, identity.Config{URL: nobody}).Fetch(t.Context(), inquiryID); !errors.Is(err, identity.ErrUnavailable) {
		t.Errorf("nobody listens: got %v", err)
	}
	server := httptest.NewServer(answers(200, string(read(t, "retrieve_an_inquiry.json"))))
	defer server.Close()
	got, err := newClient(t, identity.Config{URL: server.URL}).Fetch(t.Context(), inquiryID)
	if err != nil || got.Status != identity.StatusApproved {
		t.Errorf("got %q, %v", got.Status, err)
	}
}

// TestOwnTransportThaws: a function that was frozen has kept dead connections. One attempt meets one of them, and the next none.
func TestOwnTransportThaws(t *testing.T) {
	t.Parallel()
	const kept = 2
	type born struct{}
	var era, dead, requests atomic.Int32
	all := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(born{}) != era.Load() {
			dead.Add(1)
			panic(http.ErrAbortHandler)
		}
		if requests.Add(1) == kept {
			close(all)
		}
		<-all // so each has a connection of its own
		refuses(http.StatusNotFound)(w, r)
	}))
	server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, born{}, era.Load())
	}
	server.Start()
	t.Cleanup(server.Close)
	client := newClient(t, identity.Config{URL: server.URL})
	ask := func() {
		if _, err := client.OneTimeLink(t.Context(), inquiryID); errors.Is(err, identity.ErrUnavailable) {
			t.Error(err)
		}
	}
	var together sync.WaitGroup
	for range kept {
		together.Go(ask)
	}
	together.Wait()
	era.Add(1)
	if ask(); dead.Load() != 1 {
		t.Errorf("%d attempts met a dead connection, want 1", dead.Load())
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*identity.Config)
		names  string // in the error; empty where there is none
	}{
		"all there":         {func(*identity.Config) {}, ""},
		"Persona itself":    {func(c *identity.Config) { c.URL = "" }, ""},
		"a path":            {func(c *identity.Config) { c.URL = "http://127.0.0.1:8787/dev/identity" }, ""},
		"IPv6":              {func(c *identity.Config) { c.URL = "http://[::1]:8787" }, ""},
		"no way back":       {func(c *identity.Config) { c.ReturnTo = "" }, ""},
		"plain HTTP":        {func(c *identity.Config) { c.URL = "http://api.withpersona.com" }, "URL"},
		"another address":   {func(c *identity.Config) { c.URL = "http://192.0.2.1" }, "URL"},
		"no scheme":         {func(c *identity.Config) { c.URL = "api.withpersona.com" }, "URL"},
		"another scheme":    {func(c *identity.Config) { c.URL = "ftp://api.withpersona.com" }, "URL"},
		"no host":           {func(c *identity.Config) { c.URL = "https:///api" }, "URL"},
		"a user":            {func(c *identity.Config) { c.URL = "https://user:hunter2@api.withpersona.com" }, "URL"},
		"no URL":            {func(c *identity.Config) { c.URL = "https://user:hunter2@%" }, "URL"},
		"a query":           {func(c *identity.Config) { c.URL += "?a=b" }, "URL"},
		"a fragment":        {func(c *identity.Config) { c.URL += "#a" }, "URL"},
		"no template":       {func(c *identity.Config) { c.Template = "" }, "Template"},
		"half a template":   {func(c *identity.Config) { c.Template = "itmpl_1/2" }, "Template"},
		"a plain way back":  {func(c *identity.Config) { c.ReturnTo = "http://app.example.com/" }, "ReturnTo"},
		"a script for back": {func(c *identity.Config) { c.ReturnTo = "javascript:alert(1)" }, "ReturnTo"},
		"no key":            {func(c *identity.Config) { c.APIKey = nil }, "APIKey"},
	} {
		c := identity.Config{
			URL: "https://api.eu.withpersona.com", Template: template, ReturnTo: "https://app.example.com/#/reset/thanks", APIKey: fixed(apiKey),
		}
		test.change(&c)
		_, err := identity.New(c)
		switch {
		case test.names == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.names != "" && (err == nil || !strings.Contains(err.Error(), test.names)):
			t.Errorf("%s: got %v, want an error about %s", name, err, test.names)
		case err != nil && strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%s: the error tells the password: %v", name, err)
		}
	}
}

func TestConsoleURL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ url, id, want string }{
		{"https://api.withpersona.com", inquiryID, "https://app.withpersona.com/dashboard/inquiries/" + inquiryID},
		{"https://api.withpersona.com", "", ""},
		{"https://api.withpersona.com", "../webhooks", ""},
		{"http://127.0.0.1:8787/dev/identity/", inquiryID, "http://127.0.0.1:8787/dev/identity/" + inquiryID},
		{"http://127.0.0.1:8787/dev/identity", "a?b", ""},
	} {
		if got := newClient(t, identity.Config{URL: test.url}).ConsoleURL(test.id); got != test.want {
			t.Errorf("%s, %q: got %s, want %s", test.url, test.id, got, test.want)
		}
	}
}

// A person is sent to the identity service, or nowhere.
func TestLinks(t *testing.T) {
	t.Parallel()
	const (
		real  = "https://api.withpersona.com"
		local = "http://127.0.0.1:8787/dev/identity"
		other = "https://persona.example.com"
	)
	for _, test := range []struct {
		url, link string
		want      bool
	}{
		{real, "https://withpersona.com/verify?code=us1-a", true},
		{real, "https://acme.withpersona.com/verify?code=us1-a", true},
		{real, "https://WithPersona.com/verify?code=us1-a", true},
		{"https://API.WithPersona.com", "https://withpersona.com/verify?code=us1-a", true},
		{"https://api.withpersona.com:8443", "https://withpersona.com/verify?code=us1-a", false},
		{real, "http://withpersona.com/verify?code=us1-a", false},
		{real, "https://withpersona.com:8443/verify?code=us1-a", false},
		{real, "https://withpersona.com.evil.example/verify?code=us1-a", false},
		{real, "https://evilwithpersona.com/verify?code=us1-a", false},
		{real, "https://perso.na/verify?code=a", false},
		{real, "https://withpersona.com@evil.example/verify?code=us1-a", false},
		{real, `https://evil.example\.withpersona.com/verify?code=us1-a`, false},
		{real, "https://evil.example/.withpersona.com?code=us1-a", false},
		{real, "https://evil.example#.withpersona.com?code=us1-a", false},
		{real, "https://evil.example?code=.withpersona.com", false},
		{real, "https://user@withpersona.com/verify?code=us1-a", false},
		{real, "https://withpersona.com/verify?code=us1-a#b", false},
		{real, "https:withpersona.com/verify?code=us1-a", false},
		{real, "//withpersona.com/verify?code=us1-a", false},
		{real, "/verify?code=us1-a", false},
		{real, "javascript:alert(1)//withpersona.com?code=us1-a", false},
		{real, " https://withpersona.com/verify?code=us1-a", false},
		{real, "https://withpersona.com/verify?code=us1-a\r\nSet-Cookie: a=b", false},
		{real, "https://withpersona.com/verify?code=" + strings.Repeat("a", 2048), false},
		{real, "https://127.0.0.1:8787/verify?code=us1-a", false},
		{real, "", false},
		{local, "http://127.0.0.1:8787/dev/identity/inq_1?code=a", true},
		{local, "https://127.0.0.1:8787/dev/identity/inq_1?code=a", false},
		{local, "http://127.0.0.1:8788/dev/identity/inq_1?code=a", false},
		{local, "http://localhost:8787/dev/identity/inq_1?code=a", false},
		{local, "https://withpersona.com/verify?code=us1-a", false},
		{other, "https://persona.example.com/verify?code=a", true},
		{other, "https://a.persona.example.com/verify?code=a", false},
		{other, "https://withpersona.com/verify?code=us1-a", false},
	} {
		answer, err := json.Marshal(map[string]any{
			"data": map[string]any{"type": "inquiry", "id": inquiryID}, "meta": map[string]any{"one-time-link": test.link},
		})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			c := newClient(t, identity.Config{URL: test.url, Transport: direct(answers(200, string(answer)))})
			got, err := c.OneTimeLink(t.Context(), inquiryID)
			switch {
			case test.want && (err != nil || got != test.link):
				t.Errorf("%s: got %q, %v", test.link, got, err)
			case !test.want && (!errors.Is(err, identity.ErrUnavailable) || got != ""):
				t.Errorf("%s: got %q, %v; want ErrUnavailable", test.link, got, err)
			case !test.want && strings.Contains(err.Error(), "code="):
				t.Errorf("the error tells the link: %v", err)
			}
		})
	}
}
