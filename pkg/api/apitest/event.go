package apitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// CheckEvent fails the test unless the detail of an event on the bus is as the schema of its type says, in events.schema.json.
// It is stricter than a host has to be: an event has no member that the schema does not have.
func CheckEvent(t testing.TB, detail []byte) {
	t.Helper()
	if err := checkEvent(detail); err != nil {
		t.Errorf("%s is not as events.schema.json says: %v", detail, err)
	}
}

func checkEvent(detail []byte) error {
	schemas, err := EventSchemas()
	if err != nil {
		return err
	}
	var event map[string]any
	if err := json.Unmarshal(detail, &event); err != nil {
		return err
	}
	schema := schemas[fmt.Sprint(event["type"])]
	if schema == nil {
		return errors.New("there is no such type")
	}
	return schema.VisitJSON(event, openapi3.EnableJSONSchema2020(), openapi3.EnableFormatValidation())
}

// EventSchemas are the schemas of the event types, by type, closed to members that they do not name.
var EventSchemas = sync.OnceValues(func() (map[string]*openapi3.Schema, error) {
	var document struct {
		OneOf []struct {
			Ref string `json:"$ref"`
		} `json:"oneOf"`
		Defs map[string]json.RawMessage `json:"$defs"`
	}
	if err := json.Unmarshal(api.EventSchemas(), &document); err != nil {
		return nil, err
	}
	// They are schemas of an OpenAPI document, but for where they are.
	wrapped, err := json.Marshal(map[string]any{
		"openapi": "3.1.0", "info": map[string]string{"title": "Events", "version": "1"}, "paths": struct{}{},
		"components": map[string]any{"schemas": document.Defs},
	})
	if err != nil {
		return nil, err
	}
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(bytes.ReplaceAll(wrapped, []byte("#/$defs/"), []byte("#/components/schemas/")))
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(loader.Context, openapi3.EnableMultiError()); err != nil {
		return nil, err
	}
	schemas := map[string]*openapi3.Schema{}
	for _, one := range document.OneOf {
		name := strings.TrimPrefix(one.Ref, "#/$defs/")
		def := doc.Components.Schemas[name]
		if def == nil || schemas[name] != nil {
			return nil, fmt.Errorf("%s is not defined, or named twice", name)
		}
		def.Value.AdditionalProperties.Has = new(bool)
		schemas[name] = def.Value
	}
	for name := range document.Defs {
		if schemas[name] == nil && !strings.HasPrefix(name, "_") {
			return nil, fmt.Errorf("%s is defined and not named", name)
		}
	}
	return schemas, nil
})
