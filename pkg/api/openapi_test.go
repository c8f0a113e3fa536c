package api_test

import (
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/nightlatch/nightlatch/pkg/api"
)

func TestOpenAPIValidates(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(api.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context(), openapi3.EnableMultiError()); err != nil {
		t.Error(err)
	}
}
