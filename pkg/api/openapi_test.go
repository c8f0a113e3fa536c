package api_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/api"
)

func load(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestDocumentIsValid validates the document, and its examples against its schemas.
func TestDocumentIsValid(t *testing.T) {
	t.Parallel()
	if err := load(t).Validate(t.Context(), openapi3.EnableMultiError()); err != nil {
		t.Error(err)
	}
}

func TestDocumentBelongsToTheCaller(t *testing.T) {
	t.Parallel()
	api.OpenAPI()[0] = 'x'
	if api.OpenAPI()[0] == 'x' {
		t.Error("a caller's change reached the document")
	}
}

// operations are the document's operations by their routeKey.
func operations(doc *openapi3.T) map[string]*openapi3.Operation {
	all := map[string]*openapi3.Operation{}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			all[method+" "+path] = operation
		}
	}
	return all
}

// TestDocumentHasTheRoutes holds the document against the table of routes: no more, no less, and the same of each.
func TestDocumentHasTheRoutes(t *testing.T) {
	t.Parallel()
	doc := load(t)
	documented := operations(doc)
	var tags []string
	for _, tag := range doc.Tags {
		tags = append(tags, tag.Name)
	}
	var served []string
	for _, f := range api.Functions() {
		if f.Trigger == api.TriggerHTTP {
			served = append(served, f.Name)
		}
	}
	if diff := cmp.Diff(served, tags); diff != "" {
		t.Errorf("functions and tags differ:\n%s", diff)
	}
	schemes := map[api.Caller][]string{
		api.CallerSession: {"session"}, api.CallerReviewer: {"reviewer"}, api.CallerHost: {"sigv4", "serviceKey"},
		api.CallerWebhook: {"personaSignature"}, api.CallerChallenge: nil, api.CallerLink: nil, api.CallerPublic: nil,
	}
	ids := map[string]bool{}
	for _, r := range api.Routes() {
		op := documented[r.Key()]
		if op == nil {
			t.Errorf("%s is not documented", r.Key())
			continue
		}
		delete(documented, r.Key())
		if !slices.Equal(op.Tags, []string{r.Function}) {
			t.Errorf("%s has the tags %v, want %s", r.Key(), op.Tags, r.Function)
		}
		if op.OperationID == "" || ids[op.OperationID] || op.Summary == "" || op.Description == "" {
			t.Errorf("%s has no operationId of its own, or no text", r.Key())
		}
		ids[op.OperationID] = true
		if got := op.Parameters.GetByInAndName("header", "idempotency-key") != nil; got != r.Idempotent {
			t.Errorf("%s: documented as idempotent: %t, is: %t", r.Key(), got, r.Idempotent)
		}
		if (op.RequestBody != nil) != (r.Method == "POST") {
			t.Errorf("%s: only a POST has a body", r.Key())
		}
		want, known := schemes[r.Caller]
		var got []string
		if op.Security == nil {
			t.Errorf("%s does not say who may call it", r.Key())
			continue
		}
		for _, alternative := range *op.Security {
			got = slices.AppendSeq(got, maps.Keys(alternative))
		}
		if !known || !slices.Equal(got, want) {
			t.Errorf("%s, called by %s, has the security %v, want %v", r.Key(), r.Caller, got, want)
		}
	}
	for key := range documented {
		t.Errorf("%s is documented and no route", key)
	}
}

// TestEveryRouteCanFail: the problems that do not depend on what a route does.
func TestEveryRouteCanFail(t *testing.T) {
	t.Parallel()
	operations := operations(load(t))
	for _, r := range api.Routes() {
		want := []api.Code{api.CodeInternal, api.CodeUnavailable}
		if r.Method == "POST" {
			want = append(want, api.CodeInvalidRequest, api.CodeTooLarge)
		}
		switch r.Caller {
		case api.CallerSession, api.CallerHost, api.CallerWebhook:
			want = append(want, api.CodeUnauthorized)
		case api.CallerReviewer:
			want = append(want, api.CodeUnauthorized, api.CodeReauthenticate, api.CodeForbidden)
		case api.CallerLink:
			want = append(want, api.CodeLinkExpired)
		case api.CallerChallenge:
			want = append(want, api.CodeChallengeExpired)
		}
		got := codes(t, operations[r.Key()].Responses.Map())
		for _, code := range want {
			if !slices.Contains(got, code) {
				t.Errorf("%s does not document %s", r.Key(), code)
			}
		}
	}
}

// codes returns the codes that the responses can have, and holds each against its status and its example.
func codes(t *testing.T, responses map[string]*openapi3.ResponseRef) []api.Code {
	t.Helper()
	var all []api.Code
	for status, response := range responses {
		content := response.Value.Content[api.ProblemContentType]
		if content == nil {
			continue
		}
		schemas := content.Schema.Value.OneOf
		if content.Schema.Ref != "" {
			schemas = openapi3.SchemaRefs{content.Schema}
		}
		for _, schema := range schemas {
			code := constant(t, schema.Value, "code")
			if got := constant(t, schema.Value, "status"); got != status {
				t.Errorf("%s is documented with status %s", code, status)
			}
			if content.Examples[code] == nil {
				t.Errorf("%s with status %s has no example", code, status)
			}
			all = append(all, api.Code(code))
		}
	}
	return all
}

func constant(t *testing.T, schema *openapi3.Schema, property string) string {
	t.Helper()
	p := schema.Properties[property]
	if p == nil || p.Value.Const == nil {
		t.Fatalf("%s has no constant %s", schema.Description, property)
	}
	switch c := p.Value.Const.(type) {
	case string:
		return c
	case float64:
		return strconv.Itoa(int(c))
	}
	t.Fatalf("%s has the odd constant %v", property, p.Value.Const)
	return ""
}

// TestEveryCodeIsDocumented holds the problems' schemas, and the examples, against the problems themselves.
func TestEveryCodeIsDocumented(t *testing.T) {
	t.Parallel()
	doc := load(t)
	members := map[string]bool{}
	for _, code := range api.Codes() {
		p := api.NewProblem(code, "")
		name := camel(string(code)) + "Problem"
		ref := doc.Components.Schemas[name]
		if ref == nil {
			t.Errorf("%s has no schema %s", code, name)
			continue
		}
		for property, want := range map[string]string{"type": p.Type, "status": strconv.Itoa(p.Status), "code": string(code)} {
			if got := constant(t, ref.Value, property); got != want {
				t.Errorf("%s: %s is %s, want %s", name, property, got, want)
			}
		}
		for _, required := range []string{"type", "title", "status", "code", "detail"} {
			if !slices.Contains(ref.Value.Required, required) {
				t.Errorf("%s does not require %s", name, required)
			}
		}
		for member, schema := range ref.Value.Properties {
			members[member] = true
			holdMember(t, name+"."+member, schema, fieldOf(reflect.TypeFor[api.Problem](), member))
		}

		example := doc.Components.Examples[string(code)]
		if example == nil {
			t.Errorf("%s has no example", code)
			continue
		}
		if err := ref.Value.VisitJSON(example.Value.Value, openapi3.EnableJSONSchema2020()); err != nil {
			t.Errorf("the example of %s: %v", code, err)
		}
		text, err := json.Marshal(example.Value.Value)
		if err != nil {
			t.Fatal(err)
		}
		var got api.Problem
		if err := json.Unmarshal(text, &got); err != nil {
			t.Errorf("the example of %s: %v", code, err)
		}
		if got.Title != p.Title || (got.Detail != p.Detail && code != api.CodeInvalidRequest) {
			t.Errorf("the example of %s says %q, %q; want %q, %q", code, got.Title, got.Detail, p.Title, p.Detail)
		}
	}
	for name := range doc.Components.Schemas {
		isProblem := strings.HasSuffix(name, "Problem")
		if isProblem && !slices.ContainsFunc(api.Codes(), func(c api.Code) bool { return camel(string(c))+"Problem" == name }) {
			t.Errorf("%s is documented and no code", name)
		}
	}
	if got, want := slices.Sorted(maps.Keys(members)), names(reflect.TypeFor[api.Problem]()); !slices.Equal(got, want) {
		t.Errorf("the problems have the members %v, want %v", got, want)
	}
	given := map[api.Code]bool{}
	for _, op := range operations(doc) {
		for _, code := range codes(t, op.Responses.Map()) {
			given[code] = true
		}
	}
	for _, code := range api.Codes() {
		if !given[code] {
			t.Errorf("no route is documented to answer %s", code)
		}
	}
}

func camel(snake string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(snake, "_") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// TestEveryBodyHasExamples: the document's readers learn from them first.
func TestEveryBodyHasExamples(t *testing.T) {
	t.Parallel()
	for key, op := range operations(load(t)) {
		if op.RequestBody != nil {
			for media, content := range op.RequestBody.Value.Content {
				if len(content.Examples) == 0 {
					t.Errorf("%s: the request in %s has no example", key, media)
				}
			}
		}
		for status, response := range op.Responses.Map() {
			for media, content := range response.Value.Content {
				if len(content.Examples) == 0 {
					t.Errorf("%s: the response %s in %s has no example", key, status, media)
				}
			}
		}
		for _, p := range op.Parameters {
			if p.Value.Example == nil && len(p.Value.Examples) == 0 {
				t.Errorf("%s: the parameter %s has no example", key, p.Value.Name)
			}
		}
	}
}
