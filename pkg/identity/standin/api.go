package standin

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nightlatch/nightlatch/pkg/identity"
)

// object is one of JSON.
type object = map[string]any

const maxRequest = 64 << 10 // bytes

// api wraps what clients may ask: the key first, then what was already answered under an Idempotency-Key, and only then
// the answer, as at Persona (docs.withpersona.com/errors).
func (s *Service) api(do func(*http.Request, []byte) (int, object)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, want := r.Header.Get("Authorization"), "Bearer "+s.config.APIKey
		if subtle.ConstantTimeCompare([]byte(given), []byte(want)) != 1 {
			respond(w, refusal(http.StatusUnauthorized, "Must be authenticated to access this endpoint", ""))
			return
		}
		if inflection := r.Header.Get("Key-Inflection"); inflection != "" && inflection != "kebab" {
			respond(w, refusal(http.StatusBadRequest, "Bad Request", "this stand-in writes names in kebab-case only"))
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
		if err != nil {
			respond(w, refusal(http.StatusBadRequest, "Bad Request", "the body is too long, or not all there"))
			return
		}
		s.mu.Lock()
		a := s.once(r, body, do)
		s.mu.Unlock()
		respond(w, a)
	})
}

// once answers a request, or repeats what it was answered under the same key. s.mu is held.
func (s *Service) once(r *http.Request, body []byte, do func(*http.Request, []byte) (int, object)) answer {
	key := r.Header.Get("Idempotency-Key")
	if r.Method == http.MethodGet {
		key = ""
	}
	digest := sha256.Sum256([]byte(r.URL.Path + "\n" + string(body)))
	request := hex.EncodeToString(digest[:])
	now := s.config.Now()
	if kept, known := s.state.Answers[key]; known && now.Sub(kept.At) < keptFor {
		if kept.Request != request {
			return refusal(http.StatusConflict, "Conflict", "another request had this Idempotency-Key")
		}
		return kept
	}
	var a answer
	if status := s.broken(r); status != 0 {
		a = refusal(status, http.StatusText(status), "")
	} else {
		a = newAnswer(do(r, body))
	}
	if key != "" {
		a.Key, a.Request, a.At = key, request, now
		if err := s.put(inquiry{}, &a); err != nil {
			return refusal(http.StatusInternalServerError, "Internal Server Error", err.Error())
		}
	}
	return a
}

func (s *Service) broken(r *http.Request) int {
	if s.fault == nil {
		return 0
	}
	return s.fault(r)
}

// create makes an inquiry.
func (s *Service) create(_ *http.Request, body []byte) (int, object) {
	var told struct {
		Data struct {
			Attributes struct {
				Template  string `json:"inquiry-template-id"`
				Reference string `json:"reference-id"`
				ReturnTo  string `json:"redirect-uri"`
			} `json:"attributes"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &told); err != nil {
		return http.StatusBadRequest, whyNot("Bad Request", "the body is not JSON")
	}
	asked := told.Data.Attributes
	if !strings.HasPrefix(asked.Template, "itmpl_") {
		return http.StatusBadRequest, whyNot("Bad Request", "data.attributes.inquiry-template-id is missing")
	}
	i := inquiry{
		ID: newID("inq"), Template: asked.Template, Reference: asked.Reference, ReturnTo: asked.ReturnTo,
		Status: identity.StatusCreated, CreatedAt: s.config.Now().UTC(),
	}
	if err := s.put(i, nil); err != nil {
		return http.StatusInternalServerError, whyNot("Internal Server Error", err.Error())
	}
	return http.StatusCreated, object{"data": i.resource(nil), "included": []any{}, "meta": object{"session-token": nil}}
}

// retrieve tells where an inquiry stands.
func (s *Service) retrieve(r *http.Request, _ []byte) (int, object) {
	i, err := s.find(r.PathValue("inquiry"), "")
	if err != nil {
		return http.StatusNotFound, whyNot("Record not found", err.Error())
	}
	query := r.URL.Query()
	verifications := []any{}
	if include, given := query["include"]; !given || slices.Contains(strings.Split(include[0], ","), "verifications") {
		verifications = i.verifications(query)
	}
	return http.StatusOK, object{"data": i.resource(query), "included": verifications}
}

// oneTimeLink makes a link for the person.
func (s *Service) oneTimeLink(r *http.Request, _ []byte) (int, object) {
	i, err := s.find(r.PathValue("inquiry"), "")
	if err != nil {
		return http.StatusNotFound, whyNot("Record not found", err.Error())
	}
	if !i.Open() {
		return http.StatusConflict, whyNot("Conflict", "an inquiry that is "+string(i.Status)+" cannot be gone on with")
	}
	code := newID("code")
	i.Codes = append(slices.Clone(i.Codes), code)
	i.Codes = i.Codes[max(0, len(i.Codes)-maxCodes):]
	if err := s.put(i, nil); err != nil {
		return http.StatusInternalServerError, whyNot("Internal Server Error", err.Error())
	}
	link := s.config.URL + "/" + i.ID + "?code=" + code
	return http.StatusOK, object{"data": i.resource(nil), "included": []any{}, "meta": object{"one-time-link": link, "one-time-link-short": link}}
}

// resource is the inquiry as Persona writes it (docs.withpersona.com/api-reference/inquiries/retrieve-an-inquiry). What
// the person typed is the same as what the document shows.
func (i inquiry) resource(query url.Values) object {
	p := i.Person
	field := func(kind, value string) object { return object{"type": kind, "value": orNull(value)} }
	return sparse(query, object{"type": "inquiry", "id": i.ID, "attributes": object{
		"status": i.Status, "reference-id": orNull(i.Reference), "note": nil, "tags": []string{}, "creator": "API",
		"created-at": when(i.CreatedAt), "completed-at": when(i.CompletedAt), "decisioned-at": when(i.DecisionedAt),
		"fields": object{
			"name-first": field("string", p.First), "name-middle": field("string", p.Middle), "name-last": field("string", p.Last),
			"birthdate": field("date", p.Birthdate), "phone-number": field("string", p.Phone),
		},
	}})
}

// verifications are what came of the document and of the telephone number, where there is something.
func (i inquiry) verifications(query url.Values) []any {
	all, p := []any{}, i.Person
	if i.Document == "" {
		return all
	}
	all = append(all, sparse(query, object{"type": "verification/government-id", "id": "ver_" + i.ID, "attributes": object{
		"status": i.Document, "completed-at": when(i.CompletedAt), "id-class": "dl", "country-code": orNull(p.Country),
		"name-first": orNull(p.First), "name-middle": orNull(p.Middle), "name-last": orNull(p.Last), "birthdate": orNull(p.Birthdate),
		"address-street-1": orNull(p.Street), "address-street-2": nil, "address-city": orNull(p.City),
		"address-subdivision": orNull(p.Region), "address-postal-code": orNull(p.PostalCode), "address-country-code": orNull(p.Country),
		"identification-number": "Y0000000", "checks": []any{},
	}}))
	if p.Phone != "" {
		all = append(all, sparse(query, object{"type": "verification/phone-number", "id": "ver_phone_" + i.ID, "attributes": object{
			"status": i.Document, "completed-at": when(i.CompletedAt), "phone-number": p.Phone, "checks": []any{},
		}}))
	}
	return all
}

// sparse leaves of a resource what was asked for (docs.withpersona.com/response-body).
func sparse(query url.Values, resource object) object {
	wanted, given := query["fields["+resource["type"].(string)+"]"]
	if !given {
		return resource
	}
	attributes := object{}
	for name := range strings.SplitSeq(wanted[0], ",") {
		if value, known := resource["attributes"].(object)[name]; known {
			attributes[name] = value
		}
	}
	resource["attributes"] = attributes
	return resource
}

// when writes a time as Persona does, or null.
func when(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// whyNot is the body of an error (docs.withpersona.com/errors).
func whyNot(title, details string) object {
	return object{"errors": []object{{"title": title, "details": details}}}
}

func refusal(status int, title, details string) answer {
	return newAnswer(status, whyNot(title, details))
}

func newAnswer(status int, body object) answer {
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(err) // strings, lists and times
	}
	return answer{Status: status, Body: encoded}
}

func respond(w http.ResponseWriter, a answer) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(a.Status)
	w.Write(a.Body)
}
