package standin_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/identity"
	"github.com/nightlatch/nightlatch/pkg/identity/standin"
)

// A link is good once. Looking at it, as scanners do, uses nothing up.
func TestLinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.create(t)
	link := func() string {
		t.Helper()
		link, err := w.client.OneTimeLink(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return link
	}
	first, second := link(), link()
	if first == second {
		t.Fatalf("twice the same link: %s", first)
	}
	for range 25 {
		for _, url := range []string{first, second} {
			if status, _, _ := send(t, http.MethodGet, url, "", ""); status != 200 {
				t.Fatalf("GET: %d", status)
			}
			if status, _, _ := send(t, http.MethodHead, url, "", ""); status != 200 {
				t.Fatalf("HEAD: %d", status)
			}
		}
	}
	if got, err := w.client.Fetch(t.Context(), id); err != nil || got.Status != identity.StatusCreated {
		t.Fatalf("after looking: got %+v, %v", got, err)
	}
	someoneElses := w.url + "/" + id + "?code=code_0"
	if status, _, _ := send(t, http.MethodPost, someoneElses, form, "result=pass"); status != http.StatusGone {
		t.Errorf("with a code that is none: %d", status)
	}
	if status, _, _ := send(t, http.MethodPost, first, form, "result=maybe"); status != http.StatusBadRequest {
		t.Errorf("a result that is none: %d", status)
	}
	if status, _, _ := send(t, http.MethodPost, first, form, "result=fail"); status != 200 {
		t.Errorf("the button: %d", status)
	}
	for _, url := range []string{first, second} {
		if status, page, _ := send(t, http.MethodGet, url, "", ""); status != http.StatusGone || !strings.Contains(page, "This link was used, or is too old.") {
			t.Errorf("used: %d\n%s", status, page)
		}
		if status, _, _ := send(t, http.MethodPost, url, form, "result=pass"); status != http.StatusGone {
			t.Errorf("used: %d", status)
		}
	}
	if status, page, _ := send(t, http.MethodGet, w.url+"/"+id, "", ""); status != 200 || !strings.Contains(page, "not passed") || strings.Contains(page, "<button") {
		t.Errorf("when it is over: %d\n%s", status, page)
	}
	if got, err := w.client.Fetch(t.Context(), id); err != nil || got.Status != identity.StatusFailed {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Links of long ago give way to new ones, and so do those of other inquiries.
func TestManyLinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.create(t)
	var links []string
	for range 9 {
		link, err := w.client.OneTimeLink(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		links = append(links, link)
	}
	for i, link := range links {
		want := 200
		if i == 0 {
			want = http.StatusGone
		}
		if status, _, _ := send(t, http.MethodGet, link, "", ""); status != want {
			t.Errorf("link %d: %d, want %d", i, status, want)
		}
	}
	another, err := w.client.Create(t.Context(), reference, 2)
	if err != nil {
		t.Fatal(err)
	}
	if status, _, _ := send(t, http.MethodGet, strings.Replace(links[8], id, another, 1), "", ""); status != http.StatusGone {
		t.Errorf("another inquiry's code: %d", status)
	}
}

// Nobody finishes an inquiry after a day.
func TestLapse(t *testing.T) {
	t.Parallel()
	now := time.Now()
	w := newWorld(t, func(c *standin.Config) { c.Now = func() time.Time { return now } })
	id := w.create(t)
	link, err := w.client.OneTimeLink(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(24*time.Hour - 1)
	if status, _, _ := send(t, http.MethodGet, link, "", ""); status != 200 {
		t.Errorf("in time: %d", status)
	}
	now = now.Add(1)
	if status, _, _ := send(t, http.MethodGet, link, "", ""); status != http.StatusGone {
		t.Errorf("the link, too late: %d", status)
	}
	if status, page, _ := send(t, http.MethodGet, w.url+"/"+id, "", ""); status != 200 || !strings.Contains(page, "Too late") {
		t.Errorf("the page, too late: %d\n%s", status, page)
	}
	if status := w.result(t, id, "pass"); status != http.StatusConflict {
		t.Errorf("a result, too late: %d", status)
	}
	if got, err := w.client.Fetch(t.Context(), id); err != nil || got.Status.Outcome() != identity.Lapsed {
		t.Errorf("got %+v, %v", got, err)
	}
}

// The pages run nothing and load nothing, and what others wrote stays text.
func TestPages(t *testing.T) {
	t.Parallel()
	evil := alice
	evil.First = `<script>alert(1)</script>`
	w := newWorld(t, func(c *standin.Config) { c.Person = func(string) standin.Person { return evil } })
	open := w.create(t)
	passed := newInquiry(t, w, back)
	w.result(t, passed, "pass")
	script := newInquiry(t, w, "javascript:alert(1)")
	w.result(t, script, "fail")
	review := newInquiry(t, w, "")
	w.result(t, review, "needs_review")
	for name, test := range map[string]struct {
		path   string
		status int
		has    []string
		hasNot []string
	}{
		"to decide": {open, 200, []string{
			`<html lang="en">`, "<title>Confirm your identity · identity check</title>", "<h1>Confirm your identity</h1>", `<form method="post">`,
			`<button name="result" value="pass">Pass the check</button>`, `<button name="result" value="fail">Fail the check</button>`,
			"&lt;script&gt;", "1990-01-31", open,
		}, []string{"<script", "Continue"}},
		"passed":           {passed, 200, []string{"The identity check was passed.", `<a href="` + back + `">Continue</a>`}, []string{"<form", "<script"}},
		"nowhere to go":    {script, 200, []string{"The identity check was not passed."}, []string{"javascript:", "Continue"}},
		"in review":        {review, 200, []string{"Somebody will look at it."}, []string{"Continue", "<form"}},
		"no such inquiry":  {"inq_none", 404, []string{"There is no such inquiry."}, []string{"<form"}},
		"a link of before": {open + "?code=code_0", 410, []string{"This link was used, or is too old."}, []string{"<form"}},
	} {
		status, page, h := send(t, http.MethodGet, w.url+"/"+test.path, "", "")
		if status != test.status {
			t.Errorf("%s: got %d, want %d", name, status, test.status)
		}
		for _, want := range test.has {
			if !strings.Contains(page, want) {
				t.Errorf("%s: no %s in\n%s", name, want, page)
			}
		}
		for _, want := range test.hasNot {
			if strings.Contains(page, want) {
				t.Errorf("%s: %s in\n%s", name, want, page)
			}
		}
		style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(page)
		if len(style) != 2 || len(style[1]) < 100 {
			t.Fatalf("%s: no style in\n%s", name, page)
		}
		sum := sha256.Sum256([]byte(style[1]))
		for header, want := range map[string]string{
			"Content-Type": "text/html; charset=utf-8",
			"Content-Security-Policy": "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
				"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
		} {
			if got := h.Get(header); got != want {
				t.Errorf("%s: %s: got %s, want %s", name, header, got, want)
			}
		}
	}
	for name, test := range map[string]struct {
		body string
		want int
		text string
	}{
		"a button":      {values("result", "fail"), 200, "The identity check was not passed."},
		"once more":     {values("result", "pass"), 409, "The inquiry is not in a state for that."},
		"another":       {values("result", "approved"), 400, "The result must be pass or fail."},
		"none":          {values("other", "pass"), 400, "The result must be pass or fail."},
		"not a form":    {"%", 400, "The result must be pass or fail."},
		"in the header": {"", 400, "The result must be pass or fail."},
	} {
		id := newInquiry(t, w, back)
		if test.want == 409 {
			w.result(t, id, "fail")
		}
		status, page, _ := send(t, http.MethodPost, w.url+"/"+id+"?result=pass", form, test.body)
		if status != test.want || !strings.Contains(page, test.text) {
			t.Errorf("%s: got %d, want %d\n%s", name, status, test.want, page)
		}
	}
}

// newInquiry makes an inquiry that leads back to somewhere, without a key that would make it another's.
func newInquiry(t *testing.T, w *world, returnTo string) (id string) {
	t.Helper()
	status, answer, h := send(t, http.MethodPost, w.url+"/api/v1/inquiries", asJS,
		`{"data":{"attributes":{"inquiry-template-id":"itmpl_local","reference-id":"`+reference+`","redirect-uri":"`+returnTo+`"}}}`,
		"Authorization", "Bearer "+apiKey)
	match := regexp.MustCompile(`"id":"(inq_\w+)"`).FindStringSubmatch(answer)
	if status != 201 || match == nil || h.Get("Content-Type") != asJS || h.Get("Cache-Control") != "no-store" {
		t.Fatalf("got %d: %s", status, answer)
	}
	return match[1]
}
