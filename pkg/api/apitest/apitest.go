// Package apitest holds live exchanges against the OpenAPI document of package api. It is for tests.
package apitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// Check fails the test unless the exchange is as the OpenAPI document says: the answer always, the request when it was
// accepted. It is stricter than a client has to be:
//
//   - an answer has no member that the document does not have;
//   - its status, and its media type for that status, are in the document, and so is every header named there;
//   - what is refused is refused with a problem: the answers of API Gateway itself do not come from here;
//   - it is not cached, unless the document says so.
//
// A path or a method that the document does not have must be answered with the problem not_found. The header's keys may
// be in any case. The request's own body is neither read nor changed.
func Check(t testing.TB, request *http.Request, requestBody []byte, status int, header http.Header, body []byte) {
	t.Helper()
	if err := check(request, requestBody, status, header, body); err != nil {
		t.Errorf("%s %s, answered %d, is not as openapi.yaml says: %v", request.Method, request.URL.Path, status, err)
	}
}

func check(request *http.Request, requestBody []byte, status int, header http.Header, body []byte) error {
	c, err := load()
	if err != nil {
		return err
	}
	request = request.Clone(request.Context())
	request.Body, request.GetBody, request.ContentLength = io.NopCloser(bytes.NewReader(requestBody)), nil, int64(len(requestBody))
	if request.Header == nil {
		request.Header = http.Header{}
	}
	if request.Header.Get("Content-Type") == "" {
		request.Header.Set("Content-Type", "application/json") // the service reads nothing else into a body
	}
	route, pathParams, err := c.route(request)
	if err != nil {
		return err
	}
	exchange := &openapi3filter.RequestValidationInput{
		Request: request, PathParams: pathParams, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc:  openapi3filter.NoopAuthenticationFunc,
			SkipSettingDefaults: true,
		},
	}
	if err := checkAnswer(exchange, status, canonical(header), body); err != nil {
		return err
	}
	if status/100 != 2 {
		return nil
	}
	return openapi3filter.ValidateRequest(request.Context(), exchange)
}

func checkAnswer(exchange *openapi3filter.RequestValidationInput, status int, header http.Header, body []byte) error {
	documented := exchange.Route.Operation.Responses.Status(status)
	if documented == nil {
		return errors.New("the document does not have the status")
	}
	for name := range documented.Value.Headers {
		if header.Get(name) == "" {
			return fmt.Errorf("the header %s is missing", name)
		}
	}
	if _, ok := documented.Value.Headers["Cache-Control"]; !ok && header.Get("Cache-Control") != "no-store" {
		return fmt.Errorf("cache-control is %q, must be no-store", header.Get("Cache-Control"))
	}
	if len(documented.Value.Content) == 0 {
		if len(body) > 0 || header.Get("Content-Type") != "" {
			return errors.New("there must be no body")
		}
		return nil
	}
	want := "application/json"
	if status >= 400 {
		want = api.ProblemContentType
	}
	if got, _, err := mime.ParseMediaType(header.Get("Content-Type")); err != nil || got != want {
		return fmt.Errorf("content-type is %q, must be %s", header.Get("Content-Type"), want)
	}
	if !json.Valid(body) { // one value, and nothing after it
		return errors.New("the body is not JSON")
	}
	answer := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: exchange, Status: status, Header: header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	return openapi3filter.ValidateResponse(exchange.Request.Context(), answer.SetBodyBytes(body))
}

func canonical(header http.Header) http.Header {
	h := http.Header{}
	for name, values := range header {
		for _, v := range values {
			h.Add(name, v)
		}
	}
	return h
}

// contract is the document, closed to members it does not name.
type contract struct {
	routers.Router
	unknown *routers.Route // stands for every path and method that the document does not have
}

// route finds what the document says of a request.
func (c *contract) route(request *http.Request) (*routers.Route, map[string]string, error) {
	route, pathParams, err := c.FindRoute(request)
	if errors.Is(err, routers.ErrPathNotFound) || errors.Is(err, routers.ErrMethodNotAllowed) {
		return c.unknown, nil, nil
	}
	return route, pathParams, err
}

var load = sync.OnceValues(func() (*contract, error) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(api.OpenAPI())
	if err != nil {
		return nil, err
	}
	doc.Servers = nil // wherever it is served
	for _, schema := range doc.Components.Schemas {
		if s := schema.Value; s.Type.Is("object") && s.AdditionalProperties.Has == nil {
			s.AdditionalProperties.Has = new(bool)
		}
	}
	if err := doc.Validate(loader.Context); err != nil { // its examples too
		return nil, err
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, err
	}
	notFound := openapi3.NewResponses(openapi3.WithStatus(http.StatusNotFound, doc.Components.Responses["NotFound"]))
	return &contract{router, &routers.Route{
		Spec: doc, PathItem: &openapi3.PathItem{}, Operation: &openapi3.Operation{Responses: notFound},
	}}, nil
})
