// Package samtest reads template.yaml for the tests that hold it against the table of functions and against the stacks.
package samtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/oasdiff/yaml"
)

// Template is template.yaml. A property that is not here is one that nothing holds, and fails.
type Template struct {
	AWSTemplateFormatVersion, Transform, Description string

	Parameters struct {
		Architecture struct {
			Description, Type, Default string
			AllowedValues              []string
		}
	}
	Globals struct {
		Function Properties
		HttpApi  struct {
			Auth struct {
				DefaultAuthorizer   string
				EnableIamAuthorizer bool
				Authorizers         map[string]Authorizer
			}
		}
	}
	Resources map[string]struct {
		Type       string
		Properties Properties
	}
}

// Properties are those of a function, or of all.
type Properties struct {
	CodeUri, Runtime, Handler string
	Architectures             []any
	MemorySize, Timeout       int
	Environment               struct{ Variables map[string]string }
	Events                    map[string]struct {
		Type       string
		Properties struct {
			Method, Path string
			Auth         struct{ Authorizer string }
		}
	}
}

// Authorizer knows sessions.
type Authorizer struct {
	IdentitySource   string
	JwtConfiguration struct {
		Issuer   string   `json:"issuer"`
		Audience []string `json:"audience"`
	}
}

// Read reads the file.
func Read(tb testing.TB, path string) Template {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	var t Template
	strictly := func(d *json.Decoder) *json.Decoder { d.DisallowUnknownFields(); return d }
	if _, err := yaml.Unmarshal(text, &t, yaml.DecodeOpts{}, strictly); err != nil { // which refuses a name that is there twice
		tb.Fatalf("%s: %v", path, err)
	}
	return t
}

// ID is what a function is called in the template: reset-review is ResetReview.
func ID(function string) string {
	var id strings.Builder
	for word := range strings.SplitSeq(function, "-") {
		id.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return id.String()
}

// Facts are what is said of functions, by "function, property".
type Facts map[string]string

// Say adds one.
func (f Facts) Say(function, property string, value any) {
	f[function+", "+property] = fmt.Sprint(value)
}

// Runs says how each function is run and called.
func (t Template) Runs() Facts {
	facts, all := Facts{}, t.Globals.Function
	for id, r := range t.Resources {
		p := r.Properties
		facts.Say(id, "Type", r.Type)
		facts.Say(id, "CodeUri", p.CodeUri)
		facts.Say(id, "Runtime", or(p.Runtime, all.Runtime))
		facts.Say(id, "Handler", or(p.Handler, all.Handler))
		facts.Say(id, "MemorySize", or(p.MemorySize, all.MemorySize))
		facts.Say(id, "Timeout", or(p.Timeout, all.Timeout))
		architectures := p.Architectures
		if architectures == nil {
			architectures = all.Architectures
		}
		facts.Say(id, "Architectures", strings.ReplaceAll(fmt.Sprint(architectures), "map[Ref:Architecture]", t.Parameters.Architecture.Default))
		for event, e := range p.Events {
			route := e.Properties.Method + " " + e.Properties.Path
			if _, twice := facts[id+", "+route]; twice || e.Type != "HttpApi" {
				route += " by " + event + " of " + e.Type
			}
			facts.Say(id, route, or(e.Properties.Auth.Authorizer, t.Globals.HttpApi.Auth.DefaultAuthorizer))
		}
	}
	return facts
}

// Environment says what each function is told.
func (t Template) Environment(function string) map[string]string {
	told := maps.Clone(t.Globals.Function.Environment.Variables)
	maps.Copy(told, t.Resources[ID(function)].Properties.Environment.Variables)
	return told
}

func or[T comparable](some, all T) T {
	var none T
	if some == none {
		return all
	}
	return some
}

// Differences returns a line for each fact in which the two differ.
func Differences(expected, found Facts) []string {
	both := maps.Clone(expected)
	maps.Copy(both, found)
	value := func(f Facts, name string) string {
		if v, ok := f[name]; ok {
			return fmt.Sprintf("%q", v)
		}
		return "nothing"
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(both)) {
		if e, f := value(expected, name), value(found, name); e != f {
			lines = append(lines, fmt.Sprintf("%s: expected %s, found %s", name, e, f))
		}
	}
	return lines
}
