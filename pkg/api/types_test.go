package api_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// bodies are the types of types.go and types_recovery.go by the names of their schemas.
var bodies = named(
	api.EnrollRequest{}, api.SetUpResponse{}, api.ConfirmRequest{}, api.ConfirmResponse{}, api.VerifyEnrollRequest{},
	api.VerifyEnrollConfirmRequest{}, api.VerifyEnrollConfirmResponse{}, api.StatusResponse{}, api.BackupCodeStatus{},
	api.PendingStatus{}, api.ResetStatus{}, api.CodeRequest{}, api.CheckResponse{}, api.BackupCodeRequest{},
	api.BackupCodeResponse{}, api.GrantResponse{}, api.DisableResponse{}, api.HistoryResponse{}, api.HistoryEvent{},
	api.ChallengeRequest{}, api.Subject{}, api.ChallengeResponse{}, api.HostEventRequest{}, api.VerifyRequest{}, api.VerifyResponse{},
	api.ResetRequest{}, api.ResetResponse{}, api.LinkRequest{}, api.LinkResponse{}, api.IdentityResponse{}, api.ResetStateResponse{},
	api.ReviewsResponse{}, api.CaseSummary{}, api.CaseResponse{}, api.CaseOrigin{}, api.IdentityField{}, api.CaseEffect{},
	api.CaseApproval{}, api.DecisionRequest{}, api.DecisionResponse{},
)

// forms are the objects that a type is written as, where there is more than one.
var forms = map[string][]string{"VerifyResponse": {"VerifyResponse", "VerifyEnrollmentRequired"}}

// without are the objects that the document has and the types have not, and why.
var without = map[string]string{
	"Policy":                   "belongs to the rules; the handlers' tests hold its fields against the document",
	"VerifyEnrollmentRequired": "is a form of VerifyResponse",
	"KeySet":                   "is published as it is stored",
	"Key":                      "is published as it is stored",
	"GatewayMessage":           "is API Gateway's",
	"PersonaEvent":             "is Persona's",
	"Received":                 "has nothing in it",
}

func named(values ...any) map[string]reflect.Type {
	types := map[string]reflect.Type{}
	for _, v := range values {
		types[reflect.TypeOf(v).Name()] = reflect.TypeOf(v)
	}
	return types
}

// TestEveryTypeIsHeld: a new type must be held against the document too.
func TestEveryTypeIsHeld(t *testing.T) {
	t.Parallel()
	declared := map[string]bool{}
	for _, name := range []string{"types.go", "types_recovery.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				declared[spec.Name.Name] = true
			}
			return true
		})
	}
	for _, invoked := range []string{"AdminRequest", "AdminResponse", "ReplayResponse"} { // of a function that is invoked, not of a route
		delete(declared, invoked)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(declared)), slices.Sorted(maps.Keys(bodies))); diff != "" {
		t.Error(diff)
	}
}

// TestSchemasAreTheTypes holds every object of the document against its Go type: the names, what is required, the kinds.
func TestSchemasAreTheTypes(t *testing.T) {
	t.Parallel()
	doc := load(t)
	for name, typ := range bodies {
		documented, required := map[string]bool{}, names(typ)
		for _, form := range formsOf(name) {
			ref := doc.Components.Schemas[form]
			if ref == nil {
				t.Errorf("%s has no schema", form)
				continue
			}
			holdForm(t, form, ref.Value, typ)
			for property := range ref.Value.Properties {
				documented[property] = true
			}
			required = slices.DeleteFunc(required, func(f string) bool { return !slices.Contains(ref.Value.Required, f) })
		}
		if diff := cmp.Diff(names(typ), slices.Sorted(maps.Keys(documented))); diff != "" {
			t.Errorf("%s: type and schema differ:\n%s", name, diff)
		}
		always := slices.DeleteFunc(names(typ), func(f string) bool { return fieldOf(typ, f).optional })
		if diff := cmp.Diff(always, required); diff != "" {
			t.Errorf("%s: type and schema differ in what is required:\n%s", name, diff)
		}
	}
	for name, ref := range doc.Components.Schemas {
		if ref.Value.Type.Is("object") && !strings.HasSuffix(name, "Problem") && bodies[name] == nil && without[name] == "" {
			t.Errorf("the schema %s has no type", name)
		}
	}
}

func formsOf(name string) []string {
	if several := forms[name]; several != nil {
		return several
	}
	return []string{name}
}

// holdForm holds an object that a type is written as against the type.
func holdForm(t *testing.T, name string, schema *openapi3.Schema, typ reflect.Type) {
	t.Helper()
	if !schema.Type.Is("object") {
		t.Errorf("%s is no object", name)
	}
	isRequest := strings.HasSuffix(name, "Request") || name == "Subject"
	if closed := schema.AdditionalProperties.Has != nil && !*schema.AdditionalProperties.Has; closed != isRequest {
		t.Errorf("%s: requests are closed, answers may grow", name)
	}
	for property, p := range schema.Properties {
		f := fieldOf(typ, property)
		holdMember(t, name+"."+property, p, f)
		if isRequest && f != nil && !f.optional && f.typ.Kind() == reflect.String && p.Value.MinLength == 0 && p.Value.Enum == nil {
			t.Errorf("%s.%s is required, so it must not be empty: minLength is missing", name, property)
		}
	}
}

// TestRoutesHaveTheirTypes: a route's bodies are named objects, so that clients get named types.
func TestRoutesHaveTheirTypes(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	use := func(key string, content openapi3.Content) {
		media := content["application/json"]
		if media == nil {
			t.Errorf("%s has a body that is not JSON", key)
			return
		}
		refs := openapi3.SchemaRefs{media.Schema}
		if media.Schema.Ref == "" {
			refs = media.Schema.Value.OneOf
		}
		for _, ref := range refs {
			name := schemaName(ref)
			if bodies[name] == nil && without[name] == "" {
				t.Errorf("%s has the body %q, which has no type", key, name)
			}
			used[name] = true
		}
	}
	for key, op := range operations(load(t)) {
		if op.RequestBody != nil {
			use(key, op.RequestBody.Value.Content)
		}
		for status, response := range op.Responses.Map() {
			if strings.HasPrefix(status, "2") && status != "204" {
				use(key, response.Value.Content)
			}
		}
	}
	for name := range bodies {
		if isBody := strings.HasSuffix(name, "Request") || strings.HasSuffix(name, "Response"); isBody && !used[name] {
			t.Errorf("no route has the body %s", name)
		}
	}
}

// holdMember holds a property against the field that it is written from or read into.
func holdMember(t *testing.T, name string, schema *openapi3.SchemaRef, f *goField) {
	t.Helper()
	if f == nil {
		t.Errorf("%s has no field", name)
		return
	}
	typ, null := f.typ, false
	if typ.Kind() == reflect.Pointer {
		typ, null = typ.Elem(), !f.optional
	}
	value := schema
	if parts := schema.Value.OneOf; len(parts) > 0 {
		if len(parts) != 2 || !parts[1].Value.Type.Is("null") || !null {
			t.Errorf("%s: oneOf is for what may be null, and the field may: %t", name, null)
			return
		}
		value = parts[0]
	} else if got := value.Value.Type.Includes("null"); got != null {
		t.Errorf("%s: the schema allows null: %t, the field: %t", name, got, null)
	}
	switch {
	case typ == reflect.TypeFor[time.Time]():
		if schemaName(value) != "Time" {
			t.Errorf("%s is a time, must be the schema Time", name)
		}
	case typ.Kind() == reflect.Struct:
		if schemaName(value) != typ.Name() {
			t.Errorf("%s is a %s, the schema says %s", name, typ.Name(), value.Ref)
		}
	case typ.Kind() == reflect.Interface:
		if without[schemaName(value)] == "" {
			t.Errorf("%s can be anything, must be a named schema that is held elsewhere", name)
		}
	default:
		kinds := map[reflect.Kind]string{
			reflect.String: "string", reflect.Bool: "boolean", reflect.Int: "integer", reflect.Int64: "integer",
			reflect.Slice: "array",
		}
		if want := kinds[typ.Kind()]; want == "" || !value.Value.Type.Includes(want) {
			t.Errorf("%s is a %s, the schema says %v", name, typ.Kind(), value.Value.Type)
		}
		if typ.Kind() == reflect.Slice {
			holdMember(t, name+"[]", value.Value.Items, &goField{typ: typ.Elem(), optional: true})
		}
	}
}

func schemaName(ref *openapi3.SchemaRef) string {
	return strings.TrimPrefix(ref.Ref, "#/components/schemas/")
}

// goField is a field as JSON sees it.
type goField struct {
	name     string
	typ      reflect.Type
	optional bool // can be absent
}

func fieldsOf(typ reflect.Type) []goField {
	var fields []goField
	for _, f := range reflect.VisibleFields(typ) {
		if f.Anonymous {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields = append(fields, goField{name, f.Type, options == "omitempty" || options == "omitzero"})
	}
	return fields
}

func fieldOf(typ reflect.Type, name string) *goField {
	for _, f := range fieldsOf(typ) {
		if f.name == name {
			return &f
		}
	}
	return nil
}

func names(typ reflect.Type) []string {
	var all []string
	for _, f := range fieldsOf(typ) {
		all = append(all, f.name)
	}
	slices.Sort(all)
	return all
}

// TestRequestExamplesDecode: what the document shows, the service reads.
func TestRequestExamplesDecode(t *testing.T) {
	t.Parallel()
	for key, op := range operations(load(t)) {
		if op.RequestBody == nil {
			continue
		}
		content := op.RequestBody.Value.Content["application/json"]
		if without[schemaName(content.Schema)] != "" {
			continue
		}
		for name, example := range content.Examples {
			text, err := json.Marshal(example.Value.Value)
			if err != nil {
				t.Fatal(err)
			}
			into := reflect.New(bodies[schemaName(content.Schema)]).Interface()
			if err := api.Decode(text, into); err != nil {
				t.Errorf("%s, example %s: %v", key, name, err)
			}
		}
		if op.RequestBody.Value.Required == (api.Decode(nil, reflect.New(bodies[schemaName(content.Schema)]).Interface()) == nil) &&
			key != "POST /v1/backup-code" { // where one of two fields is required
			t.Errorf("%s: a body is required, or it can be empty; not both", key)
		}
	}
}
