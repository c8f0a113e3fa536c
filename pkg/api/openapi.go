package api

import (
	"bytes"
	_ "embed"
)

//go:embed openapi.yaml
var document []byte

// OpenAPI returns the OpenAPI 3.1 document of all routes, in YAML. The bytes are the caller's.
func OpenAPI() []byte { return bytes.Clone(document) }
