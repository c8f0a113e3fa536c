package standin

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html/template"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/nightlatch/nightlatch/pkg/identity"
)

var (
	//go:embed page.html
	pageText string
	//go:embed page.css
	pageStyle string

	page = template.Must(template.New("page").Parse(pageText))
	// A page runs no script, loads nothing and sends its form only to where it came from.
	pagePolicy = "default-src 'none'; style-src '" + hash(pageStyle) + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

// hash names a style that is in the page itself (CSP Level 3 §2.3.1).
func hash(style string) string {
	sum := sha256.Sum256([]byte(style))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// pageData is what the page tells.
type pageData struct {
	Style    template.CSS
	Title    string
	Text     string
	Person   *Person // who passes; nil where there is nothing to decide
	Inquiry  string
	ReturnTo string
}

// outcomes are what the page says of an inquiry that is closed.
var outcomes = map[identity.Outcome]pageData{
	identity.Waiting: {Title: "Thank you", Text: "Somebody will look at it."},
	identity.Passed:  {Title: "Thank you", Text: "The identity check was passed."},
	identity.Failed:  {Title: "That did not work", Text: "The identity check was not passed."},
	identity.Lapsed:  {Title: "Too late", Text: "The identity check was not finished in time."},
}

// visit shows a person the inquiry. Looking at it changes nothing.
func (s *Service) visit(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	i, err := s.find(r.PathValue("inquiry"), r.URL.Query().Get("code"))
	s.mu.Unlock()
	if err != nil {
		show(w, statusOf(err), pageData{Title: "This link does not work", Text: sentence(err)})
		return
	}
	if !i.Open() {
		s.showClosed(w, i)
		return
	}
	who := s.config.Person(i.Reference)
	show(w, http.StatusOK, pageData{Title: "Confirm your identity", Inquiry: i.ID, Person: &who})
}

// decide takes the result of a check: from the page's form, or in JSON from a program.
func (s *Service) decide(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
	var told struct {
		Result string `json:"result"`
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	program := kind == "application/json"
	var err error
	if program {
		err = json.NewDecoder(r.Body).Decode(&told)
	} else if err = r.ParseForm(); err == nil {
		told.Result = r.PostForm.Get("result")
	}
	var i inquiry
	if err != nil {
		err = errResult
	} else {
		i, err = s.finish(r.PathValue("inquiry"), r.URL.Query().Get("code"), told.Result)
	}
	switch {
	case err != nil && program:
		respond(w, refusal(statusOf(err), http.StatusText(statusOf(err)), err.Error()))
	case err != nil:
		show(w, statusOf(err), pageData{Title: "That did not work", Text: sentence(err)})
	case program:
		respond(w, newAnswer(http.StatusOK, object{"inquiry": i.ID, "status": i.Status}))
	default:
		s.showClosed(w, i)
	}
}

// showClosed says what came of an inquiry, and leads back to where the person came from. Persona would add to the address
// which inquiry it was and what was typed; we want none of it in anybody's log.
func (s *Service) showClosed(w http.ResponseWriter, i inquiry) {
	d := outcomes[i.Status.Outcome()]
	if u, err := url.Parse(i.ReturnTo); err == nil && (u.Scheme == "https" || u.Scheme == "http") {
		d.ReturnTo = u.String()
	}
	show(w, http.StatusOK, d)
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, errResult):
		return http.StatusBadRequest
	case errors.Is(err, errUnknown):
		return http.StatusNotFound
	case errors.Is(err, errClosed):
		return http.StatusConflict
	case errors.Is(err, errSpent):
		return http.StatusGone
	}
	return http.StatusInternalServerError
}

// sentence makes one of an error.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

func show(w http.ResponseWriter, status int, d pageData) {
	d.Style = template.CSS(pageStyle)
	var body bytes.Buffer
	if err := page.Execute(&body, d); err != nil {
		panic(err) // into a buffer, with nothing in it that could fail
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer") // the address has a code in it
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(body.Bytes())
}
