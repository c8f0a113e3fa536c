package standin_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nightlatch/nightlatch/pkg/identity"
	"github.com/nightlatch/nightlatch/pkg/identity/standin"
)

const (
	apiKey    = "persona_local_0001"
	secret    = "wbhsec_0001"
	template  = "itmpl_local"
	reference = "r1.AYx3-Kd_9"
	back      = "https://app.example.com/#/reset/thanks"
)

var alice = standin.Person{
	First: "Alice", Middle: "Marie", Last: "Liddell", Birthdate: "1990-01-31", Phone: "+15550100123",
	Street: "12 Rabbit Hole Rd", City: "Oakland", Region: "CA", PostalCode: "94601", Country: "US",
}

var aliceRead = identity.Person{
	Name: "Alice Marie Liddell", Birthdate: "1990-01-31", Phone: "+15550100123", Address: "12 Rabbit Hole Rd, Oakland, CA, 94601, US",
}

func fixed(values string) *identity.Secrets {
	return identity.NewSecrets(func(context.Context) ([]byte, error) { return []byte(values), nil }, time.Now)
}

// A world is a stand-in at work, a client of it, and somebody who takes its webhooks, all on the network of this machine.
type world struct {
	*standin.Service
	client   *identity.Client
	url      string
	webhooks chan webhook
}

// webhook is one as it arrived.
type webhook struct {
	header string
	body   []byte
}

// newWorld makes one. A change makes it different.
func newWorld(t *testing.T, changes ...func(*standin.Config)) *world {
	t.Helper()
	w := &world{webhooks: make(chan webhook, 100)}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	w.url = server.URL + "/dev/identity"
	c := standin.Config{
		URL: w.url, APIKey: apiKey, WebhookURL: server.URL + "/v1/webhooks/persona", WebhookSecret: secret,
		Person: func(r string) standin.Person {
			if r != reference {
				t.Errorf("asked for the person of %q", r)
			}
			return alice
		},
	}
	for _, change := range changes {
		change(&c)
	}
	var err error
	if w.Service, err = standin.New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	mux.Handle("/dev/identity/", w)
	mux.HandleFunc("POST /v1/webhooks/persona", func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.webhooks <- webhook{r.Header.Get(identity.SignatureHeader), body}
	})
	w.client, err = identity.New(identity.Config{URL: w.url, Template: template, ReturnTo: back, APIKey: fixed(apiKey)})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// create makes an inquiry.
func (w *world) create(t *testing.T) (id string) {
	t.Helper()
	id, err := w.client.Create(t.Context(), reference, 1)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// send sends a request and returns its answer.
func send(t *testing.T, method, url, kind, body string, header ...string) (status int, answer string, h http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content), response.Header
}

const (
	form = "application/x-www-form-urlencoded"
	asJS = "application/json"
)

// result gives an inquiry one, as a program does.
func (w *world) result(t *testing.T, id, result string) (status int) {
	t.Helper()
	status, _, _ = send(t, http.MethodPost, w.url+"/"+id, asJS, `{"result":"`+result+`"}`)
	return status
}

// The whole way: an inquiry, a link, a page, a button, a webhook, and what is known in the end.
func TestWholeWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.create(t)
	got, err := w.client.Fetch(t.Context(), id)
	if err != nil || got.Status != identity.StatusCreated || got.Reference != reference || got.Person != (identity.Person{}) || got.CreatedAt.IsZero() {
		t.Fatalf("before: got %+v, %v", got, err)
	}
	link, err := w.client.OneTimeLink(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	status, page, _ := send(t, http.MethodGet, link, "", "")
	if status != 200 || !strings.Contains(page, `<button name="result" value="pass">`) || !strings.Contains(page, "Alice Marie Liddell") {
		t.Fatalf("the page: %d\n%s", status, page)
	}
	status, page, _ = send(t, http.MethodPost, link, form, "result=pass")
	if status != 200 || !strings.Contains(page, `<a href="`+back+`">`) {
		t.Fatalf("after the button: %d\n%s", status, page)
	}
	came := <-w.webhooks
	if err := fixed(secret).Verify(t.Context(), came.header, came.body); err != nil {
		t.Fatal(err)
	}
	hint, err := identity.ParseWebhook(came.body)
	if want := (identity.Hint{InquiryID: id, Reference: reference, Event: "inquiry.approved"}); err != nil || hint != want {
		t.Fatalf("got %+v, %v", hint, err)
	}
	got, err = w.client.Fetch(t.Context(), hint.InquiryID)
	if err != nil || got.Status.Outcome() != identity.Passed || got.CompletedAt.IsZero() || got.DecisionedAt.IsZero() {
		t.Errorf("after: got %+v, %v", got, err)
	}
	if diff := cmp.Diff(aliceRead, got.Person); diff != "" {
		t.Errorf("the person (-want +got):\n%s", diff)
	}
}

// Every result, where it leads from there, and what the client makes of it.
func TestResults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		results string // one after the other
		answer  int    // of the last
		want    identity.Status
		read    bool // whether there is a person
		event   string
	}{
		{"pass", 200, identity.StatusApproved, true, "inquiry.approved"},
		{"fail", 200, identity.StatusFailed, false, "inquiry.failed"},
		{"completed", 200, identity.StatusCompleted, true, "inquiry.completed"},
		{"needs_review", 200, identity.StatusNeedsReview, true, "inquiry.marked-for-review"},
		{"declined", 200, identity.StatusDeclined, false, "inquiry.declined"},
		{"expired", 200, identity.StatusExpired, false, "inquiry.expired"},
		{"completed pass", 200, identity.StatusApproved, true, "inquiry.approved"},
		{"needs_review pass", 200, identity.StatusApproved, true, "inquiry.approved"},
		{"needs_review declined", 200, identity.StatusDeclined, true, "inquiry.declined"},
		{"needs_review completed", 409, identity.StatusNeedsReview, true, ""},
		{"pass declined", 200, identity.StatusDeclined, true, "inquiry.declined"},
		{"pass pass", 409, identity.StatusApproved, true, ""},
		{"pass fail", 409, identity.StatusApproved, true, ""},
		{"fail pass", 409, identity.StatusFailed, false, ""},
		{"declined pass", 409, identity.StatusDeclined, false, ""},
		{"expired pass", 409, identity.StatusExpired, false, ""},
		{"approved", 400, identity.StatusCreated, false, ""},
		{"maybe", 400, identity.StatusCreated, false, ""},
	} {
		w := newWorld(t)
		id := w.create(t)
		all := strings.Fields(test.results)
		var answer int
		for i, result := range all {
			if answer = w.result(t, id, result); i < len(all)-1 {
				<-w.webhooks
			}
		}
		got, err := w.client.Fetch(t.Context(), id)
		if answer != test.answer || err != nil || got.Status != test.want || (got.Person == aliceRead) != test.read || !test.read && got.Person != (identity.Person{}) {
			t.Errorf("%s: got %d, %+v, %v", test.results, answer, got, err)
		}
		if test.event == "" {
			w.Close()
			if len(w.webhooks) > 0 {
				t.Errorf("%s: a webhook came: %s", test.results, (<-w.webhooks).body)
			}
			continue
		}
		if hint, err := identity.ParseWebhook((<-w.webhooks).body); err != nil || hint.Event != test.event {
			t.Errorf("%s: got %+v, %v", test.results, hint, err)
		}
		if _, err := w.client.OneTimeLink(t.Context(), id); !errors.Is(err, identity.ErrClosed) {
			t.Errorf("%s: a link to go on: %v", test.results, err)
		}
	}
}

// However webhooks come, it is what is fetched that counts: replayed, doubled, in another order, late, forged.
func TestWebhooksAreHints(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.create(t)
	var came []webhook
	for _, result := range []string{"needs_review", "pass", "declined"} {
		if status := w.result(t, id, result); status != 200 {
			t.Fatalf("%s: %d", result, status)
		}
		came = append(came, <-w.webhooks)
	}
	secrets := fixed(secret)
	// take is what the service does with a webhook.
	take := func(header string, body []byte) (identity.Status, error) {
		if err := secrets.Verify(t.Context(), header, body); err != nil {
			return "", err
		}
		hint, err := identity.ParseWebhook(body)
		if err != nil || hint.InquiryID == "" {
			return "", err
		}
		inquiry, err := w.client.Fetch(t.Context(), hint.InquiryID)
		return inquiry.Status, err
	}
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1}, {1, 1, 1}, {2, 0}, {}} {
		for _, n := range order {
			if got, err := take(came[n].header, came[n].body); err != nil || got != identity.StatusDeclined {
				t.Errorf("%v: %d: got %q, %v", order, n, got, err)
			}
		}
	}
	approved := came[1]
	if !strings.Contains(string(approved.body), `"status":"approved"`) {
		t.Fatalf("the second webhook: %s", approved.body)
	}
	forged := strings.ReplaceAll(string(came[2].body), "declined", "approved")
	for name, test := range map[string]struct {
		header, body string
		want         error
	}{
		"forged, with another's signature": {came[2].header, forged, identity.ErrSignature},
		"forged, with a secret of its own": {identity.Sign("wbhsec_0002", []byte(forged), time.Now()), forged, identity.ErrSignature},
		"not signed":                       {"", string(approved.body), identity.ErrSignature},
		"signed ten minutes ago":           {identity.Sign(secret, approved.body, time.Now().Add(-10*time.Minute)), string(approved.body), identity.ErrStale},
	} {
		if got, err := take(test.header, []byte(test.body)); !errors.Is(err, test.want) || got != "" {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

// A key makes one inquiry, however often and however many ask for it.
func TestCreateOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := make([]string, 20)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			var err error
			if ids[i], err = w.client.Create(t.Context(), reference, 1); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("got %q", ids)
		}
	}
	if id, err := w.client.Create(t.Context(), reference, 2); err != nil || id == ids[0] {
		t.Errorf("the next attempt: got %q, %v", id, err)
	}
}

// A 500 is repeated under its key for a day, and the client gets past it.
func TestAnswersAreKept(t *testing.T) {
	t.Parallel()
	now := time.Now()
	w := newWorld(t, func(c *standin.Config) { c.Now = func() time.Time { return now } })
	const body = `{"data":{"attributes":{"inquiry-template-id":"itmpl_local","reference-id":"r1.AYx3-Kd_9"}}}`
	post := func(key, body string) (int, string) {
		t.Helper()
		status, answer, _ := send(t, http.MethodPost, w.url+"/api/v1/inquiries", asJS, body, "Authorization", "Bearer "+apiKey, "Idempotency-Key", key)
		return status, answer
	}
	w.Break(func(*http.Request) int { return 500 })
	if status, _ := post("a", body); status != 500 {
		t.Fatalf("broken: %d", status)
	}
	if _, err := w.client.Create(t.Context(), reference, 1); !errors.Is(err, identity.ErrUnavailable) {
		t.Fatalf("broken: %v", err)
	}
	w.Break(nil)
	if status, _ := post("a", body); status != 500 {
		t.Errorf("the same key: %d", status)
	}
	if status, _ := post("a", `{}`); status != 409 {
		t.Errorf("the same key, for something else: %d", status)
	}
	if _, err := w.client.Create(t.Context(), reference, 1); err != nil {
		t.Errorf("the client: %v", err)
	}
	if status, _ := post("wrong", `{"data":{}}`); status != 400 {
		t.Errorf("without a template: %d", status)
	}
	if status, first := post("b", body); status != 201 {
		t.Errorf("another key: %d", status)
	} else if status, again := post("b", body); status != 201 || again != first {
		t.Errorf("another key, again: %d\n%s\n%s", status, first, again)
	}
	now = now.Add(24 * time.Hour)
	if status, _ := post("a", body); status != 201 {
		t.Errorf("a day later: %d", status)
	}
	for _, kind := range []int{500, 429} {
		w.Break(func(r *http.Request) int {
			if r.Method == http.MethodGet {
				return kind
			}
			return 0
		})
		for range 2 {
			status, _, _ := send(t, http.MethodGet, w.url+"/api/v1/inquiries/inq_1", "", "", "Authorization", "Bearer "+apiKey, "Idempotency-Key", "c")
			if status != kind {
				t.Errorf("a key that has no meaning: %d, want %d", status, kind)
			}
		}
	}
}

// What clients may not do, and what they may not ask.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.create(t)
	stranger, err := identity.New(identity.Config{URL: w.url, Template: template, APIKey: fixed("persona_local_0002")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Fetch(t.Context(), id); !errors.Is(err, identity.ErrRefused) {
		t.Errorf("with another key: %v", err)
	}
	other, err := identity.New(identity.Config{URL: w.url, Template: "tmpl_old", APIKey: fixed(apiKey)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Create(t.Context(), reference, 1); !errors.Is(err, identity.ErrRefused) {
		t.Errorf("with another template: %v", err)
	}
	if _, err := w.client.Fetch(t.Context(), "inq_none"); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("another inquiry: %v", err)
	}
	if _, err := w.client.OneTimeLink(t.Context(), "inq_none"); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("a link to another inquiry: %v", err)
	}
	for name, test := range map[string]struct {
		method, path, body string
		header             []string
		want               int
	}{
		"no key":               {"GET", "/api/v1/inquiries/" + id, "", nil, 401},
		"half a key":           {"GET", "/api/v1/inquiries/" + id, "", []string{"Authorization", "Bearer " + apiKey[:5]}, 401},
		"other names":          {"GET", "/api/v1/inquiries/" + id, "", []string{"Authorization", "Bearer " + apiKey, "Key-Inflection", "camel"}, 400},
		"no JSON":              {"POST", "/api/v1/inquiries", "<html>", []string{"Authorization", "Bearer " + apiKey}, 400},
		"too much":             {"POST", "/api/v1/inquiries", strings.Repeat(" ", 1<<16+1), []string{"Authorization", "Bearer " + apiKey}, 400},
		"another method":       {"DELETE", "/api/v1/inquiries/" + id, "", []string{"Authorization", "Bearer " + apiKey}, 405},
		"another path":         {"GET", "/api/v1/accounts/" + id, "", []string{"Authorization", "Bearer " + apiKey}, 404},
		"a result for another": {"POST", "/inq_none", `{"result":"pass"}`, []string{"Content-Type", asJS}, 404},
		"a result that is none": {
			"POST", "/" + id, `{"result":["pass"]}`, []string{"Content-Type", asJS}, 400,
		},
	} {
		if status, answer, _ := send(t, test.method, w.url+test.path, "", test.body, test.header...); status != test.want {
			t.Errorf("%s: got %d, want %d: %s", name, status, test.want, answer)
		}
	}
	if got, err := w.client.Fetch(t.Context(), id); err != nil || got.Status != identity.StatusCreated {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Only what was asked for is told.
func TestOnlyWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.create(t)
	w.result(t, id, "pass")
	get := func(query string) string {
		t.Helper()
		status, answer, _ := send(t, http.MethodGet, w.url+"/api/v1/inquiries/"+id+"?"+query, "", "", "Authorization", "Bearer "+apiKey)
		if status != 200 {
			t.Fatalf("%s: %d", query, status)
		}
		return answer
	}
	for query, want := range map[string][]bool{ // whether there are: the status, fields, a document, its number, a telephone number
		"":                                      {true, true, true, true, true},
		"include=":                              {true, true, false, false, true},
		"include=account":                       {true, true, false, false, true},
		"include=verifications":                 {true, true, true, true, true},
		"fields[inquiry]=status,none":           {true, false, true, true, true},
		"include=&fields[inquiry]=reference-id": {false, false, false, false, false},
		"fields[inquiry]=status&fields[verification/government-id]=status":  {true, false, true, false, true},
		"include=account,verifications&fields[verification/phone-number]=a": {true, true, true, true, true},
	} {
		answer := get(strings.NewReplacer("[", "%5B", "]", "%5D").Replace(query))
		for i, part := range []string{`"status":"approved"`, `"fields":`, `"type":"verification/government-id"`, `"Y0000000"`, "+15550100123"} {
			if got := strings.Contains(answer, part); got != want[i] {
				t.Errorf("%q: %s: got %v in\n%s", query, part, got, answer)
			}
		}
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	good := standin.Config{URL: "http://127.0.0.1:8787/dev/identity", APIKey: apiKey}
	for name, change := range map[string]func(*standin.Config){
		"URL":           func(c *standin.Config) { c.URL = "" },
		"URL ":          func(c *standin.Config) { c.URL = "http://%" },
		"APIKey":        func(c *standin.Config) { c.APIKey = "" },
		"WebhookSecret": func(c *standin.Config) { c.WebhookURL = "http://127.0.0.1/" },
		"Load and Save": func(c *standin.Config) { c.Load = func() ([]byte, error) { return nil, nil } },
		"not inquiries": func(c *standin.Config) {
			c.Load, c.Save = func() ([]byte, error) { return []byte("<html>"), nil }, func([]byte) error { return nil }
		},
		"not inquiries ": func(c *standin.Config) {
			c.Load, c.Save = func() ([]byte, error) { return []byte(`{"answers":null,"inquiries":null}`), nil }, func([]byte) error { return nil }
		},
		"no such disk": func(c *standin.Config) {
			c.Load, c.Save = func() ([]byte, error) { return nil, errors.New("no such disk") }, func([]byte) error { return nil }
		},
	} {
		c := good
		change(&c)
		if _, err := standin.New(c); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(name)) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if s, err := standin.New(good); err != nil {
		t.Error(err)
	} else {
		s.Close()
	}
}

// Whoever passes without anybody knowing who it is is somebody, too.
func TestNobodyKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *standin.Config) { c.Person, c.WebhookURL = nil, "" })
	id := w.create(t)
	w.result(t, id, "pass")
	got, err := w.client.Fetch(t.Context(), id)
	if err != nil || got.Person.Name != "SAM SAMPLE" {
		t.Errorf("got %+v, %v", got, err)
	}
	w.Close()
	if len(w.webhooks) > 0 {
		t.Error("a webhook came")
	}
}

// values are what a form sends.
func values(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

// indented is JSON to be read.
func indented(t *testing.T, content []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(content, &v); err != nil {
		t.Fatalf("%v: %s", err, content)
	}
	out, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
