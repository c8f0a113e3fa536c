package notify_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/api/apitest"
	"github.com/nightlatch/nightlatch/pkg/notify"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// neverOnTheBus are the types that no version of an account has.
var neverOnTheBus = []string{"case_viewed", "challenge_issued", "gap", "password_failed"}

// TestEverySchema: each type that can be on the bus has a schema and a line in docs/events.md, and no other has.
func TestEverySchema(t *testing.T) {
	t.Parallel()
	want := slices.DeleteFunc(eventTypes(t), func(name string) bool { return slices.Contains(neverOnTheBus, name) })
	schemas, err := apitest.EventSchemas()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for name, schema := range schemas {
		got = append(got, name)
		if schema.Description == "" {
			t.Errorf("%s is not explained", name)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("schemas (-types +schemas):\n%s", diff)
	}
	text, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllSubmatch(text, -1) {
		told = append(told, string(row[1]))
	}
	slices.Sort(told)
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("docs/events.md (-types +rows):\n%s", diff)
	}
}

// eventTypes are the values of package twofactor's constants of the type EventType.
func eventTypes(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../twofactor/event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == "EventType" {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			types = append(types, value)
		}
		return true
	})
	if len(types) < 30 {
		t.Fatalf("there are %d types only", len(types))
	}
	slices.Sort(types)
	return types
}

// TestDetailsAreAsTheSchemas: whatever an event holds, its detail is as its schema says, but for an operation or a reason of
// types that have none: those the rules do not give (functions/ holds what they do give to the schemas).
func TestDetailsAreAsTheSchemas(t *testing.T) {
	t.Parallel()
	schemas, err := apitest.EventSchemas()
	if err != nil {
		t.Fatal(err)
	}
	for name, schema := range schemas {
		for _, actor := range []twofactor.Actor{
			twofactor.ActorUser, twofactor.ActorHost, twofactor.ActorReviewer, twofactor.ActorOperator, twofactor.ActorSystem,
		} {
			e := twofactor.Event{
				ID: "v000000000007-00", At: time.Now(), Type: twofactor.EventType(name), Outcome: twofactor.Succeeded, Actor: actor,
				IP: "2001:db8::1", UserAgent: "agent", By: "carol", Note: "a note",
			}
			if schema.Properties["outcome"].Ref == "#/components/schemas/_failure" {
				e.Outcome = twofactor.Failed
			}
			if schema.Properties["operation"] != nil {
				e.Operation = twofactor.OpRevokeBackup
			}
			if schema.Properties["reason"] != nil {
				e.Reason = "clock_skew"
			}
			detail, err := json.Marshal(notify.Detail("alice", e))
			if err != nil {
				t.Fatal(err)
			}
			apitest.CheckEvent(t, detail)
		}
	}
}
