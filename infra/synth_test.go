package main

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"

	"github.com/nightlatch/nightlatch/pkg/needs"
)

// The configurations that tests deploy: the least, the most, and one that has no recovery by review.
const (
	least   = "example.json"
	most    = "full.json"
	without = "without"
)

func TestMain(m *testing.M) {
	code := m.Run()
	jsii.Close()
	os.RemoveAll(scratch())
	os.Exit(code)
}

var scratch = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "nightlatch-infra-")
	if err != nil {
		panic(err)
	}
	return dir
})

// standIns are files in the place of those that make builds: each function's zip, and pages.
var standIns = sync.OnceValue(func() Built {
	b := Built{Dist: filepath.Join(scratch(), "dist"), Pages: filepath.Join(scratch(), "pages")}
	write := func(path, text string) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			panic(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			panic(err)
		}
	}
	for _, f := range functions() {
		write(b.zip(f), zipped("bootstrap", f.Name, elf.EM_AARCH64))
	}
	write(b.index(), "<!doctype html>\n<head>\n    <meta charset=\"utf-8\" />\n</head>\n")
	write(filepath.Join(b.Pages, "assets", "index.js"), "export {}\n")
	return b
})

// zipped is a zip with a program in it, as far as its header says.
func zipped(name, program string, machine elf.Machine) string {
	header := make([]byte, 64)
	binary.LittleEndian.PutUint16(header[18:], uint16(machine))
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	f, err := w.Create(name)
	if err == nil {
		_, err = f.Write(append(header, program...))
	}
	if err := errors.Join(err, w.Close()); err != nil {
		panic(err)
	}
	return archive.String()
}

// configOf reads one of the configurations.
func configOf(tb testing.TB, name string) Config {
	tb.Helper()
	if name == without {
		return parsed(tb, `{"region":"eu-central-1","app":"Example","audience":"login","policy":"mirox",
			"session":{"issuer":"https://id.example.com","audiences":["app"]},"mail":{"from":"no-reply@example.com"}}`)
	}
	c, err := FromContext(name)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func parsed(tb testing.TB, text string) Config {
	tb.Helper()
	c, err := ParseConfig([]byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// templates are the stacks of a deployment as CloudFormation is handed them, by what they are: data, web, service, watch.
type templates struct {
	config Config
	dir    string // where the assets are
	stacks map[string]*template
}

type template struct {
	Resources map[string]resource
	Outputs   map[string]struct {
		Value  any
		Export struct{ Name string }
	}
	text string
}

type resource struct {
	Type                string
	Properties          object
	DependsOn           any
	DeletionPolicy      string
	UpdateReplacePolicy string
	UpdatePolicy        object
}

var (
	synthesised = map[string]*templates{}
	synthesises sync.Mutex
)

// deployed returns the stacks of a configuration. Each is synthesised once.
func deployed(tb testing.TB, name string) *templates {
	tb.Helper()
	needs.Program(tb, "node")
	synthesises.Lock()
	defer synthesises.Unlock()
	if synthesised[name] == nil {
		synthesised[name] = synth(tb, configOf(tb, name))
	}
	return synthesised[name]
}

func synth(tb testing.TB, c Config) *templates {
	tb.Helper()
	dir, err := os.MkdirTemp(scratch(), "cdk.out-")
	if err != nil {
		tb.Fatal(err)
	}
	app := newApp(&dir)
	d := NewDeployment(app, c, standIns())
	stacks := map[string]awscdk.Stack{"data": d.Data.Stack, "service": d.Service.Stack, "watch": d.Watch}
	if d.Web != nil {
		stacks["web"] = d.Web.Stack
	}
	all := &templates{config: c, dir: dir, stacks: map[string]*template{}}
	for part, stack := range stacks {
		raw, err := json.Marshal(assertions.Template_FromStack(stack, nil).ToJSON())
		if err != nil {
			tb.Fatal(err)
		}
		t := &template{text: string(raw)}
		if err := json.Unmarshal(raw, t); err != nil {
			tb.Fatal(err)
		}
		all.stacks[part] = t
	}
	return all
}

// of returns the resources of a type in all stacks, by stack and logical id, such as "data/Accounts".
func (ts *templates) of(kind string) map[string]resource {
	found := map[string]resource{}
	for part, t := range ts.stacks {
		for id, r := range t.Resources {
			if r.Type == kind {
				found[part+"/"+id] = r
			}
		}
	}
	return found
}

// one returns the only resource of a type in a stack.
func (ts *templates) one(tb testing.TB, part, kind string) resource {
	tb.Helper()
	var found []resource
	for id, r := range ts.of(kind) {
		if strings.HasPrefix(id, part+"/") {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		tb.Fatalf("there are %d of %s in %s, want one", len(found), kind, part)
	}
	return found[0]
}

// resolve writes a value as a string: what another resource is known by is its stack, its logical id and its attribute,
// such as "data/Accounts.Arn"; what AWS knows is in braces.
func (ts *templates) resolve(part string, value any) string {
	switch v := value.(type) {
	case string:
		return v
	case float64, bool:
		return fmt.Sprint(v)
	case map[string]any:
		for operator, operand := range v {
			switch operator {
			case "Ref":
				if name := operand.(string); strings.HasPrefix(name, "AWS::") {
					return "{" + name + "}"
				}
				return part + "/" + operand.(string)
			case "Fn::GetAtt":
				parts := operand.([]any)
				return part + "/" + parts[0].(string) + "." + parts[1].(string)
			case "Fn::Join":
				parts := operand.([]any)
				var pieces []string
				for _, piece := range parts[1].([]any) {
					pieces = append(pieces, ts.resolve(part, piece))
				}
				return strings.Join(pieces, parts[0].(string))
			case "Fn::Sub":
				return strings.NewReplacer("${AWS::AccountId}", "{AWS::AccountId}").Replace(operand.(string))
			case "Fn::ImportValue":
				for other, t := range ts.stacks {
					for _, output := range t.Outputs {
						if output.Export.Name == operand.(string) {
							return ts.resolve(other, output.Value)
						}
					}
				}
			}
		}
	}
	panic(fmt.Sprintf("cannot resolve %v of %s", value, part))
}

// asList is a value that CloudFormation writes as a list, or without one if it has one member.
func asList(value any) []any {
	switch v := value.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{value}
}

func (ts *templates) resolveAll(part string, value any) []string {
	var all []string
	for _, one := range asList(value) {
		all = append(all, ts.resolve(part, one))
	}
	return all
}

// at walks into properties: at(p, "Replicas", "0", "Region"). It is nil where there is nothing.
func at(value any, path ...string) any {
	for _, step := range path {
		switch v := value.(type) {
		case map[string]any:
			value = v[step]
		case []any:
			var i int
			if _, err := fmt.Sscan(step, &i); err != nil || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

func sorted[K ~string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
