package totp

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestConstantTime holds the search to its form, since no clock sees all: loops do nothing but try each step, try compares by
// crypto/subtle and branches on nothing, and only result asks what was found. How long it takes TestAttackTiming in
// cmd/nightlatch measures.
func TestConstantTime(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("totp.go")
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "totp.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	text := func(n ast.Node) string { return string(source[n.Pos()-1 : n.End()-1]) }
	loops, tries := 0, 0
	for _, declaration := range file.Decls {
		f, ok := declaration.(*ast.FuncDecl)
		if !ok {
			continue
		}
		name := f.Name.Name
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if name != "try" && name != "result" && slices.Contains([]string{"typed", "found", "offset"}, n.Sel.Name) {
					t.Errorf("%s looks at %s", name, text(n))
				}
			case *ast.RangeStmt:
				t.Errorf("%s has another loop:\n%s", name, text(n))
			case *ast.ForStmt:
				loops++
				if n.Cond == nil || strings.Contains(text(n.Cond), "search") {
					t.Errorf("%s ends its loop otherwise than by its steps:\n%s", name, text(n))
				}
				for _, statement := range n.Body.List {
					if !strings.HasPrefix(text(statement), "search.try(") {
						t.Errorf("%s does more than try:\n%s", name, text(statement))
					}
				}
			}
			return true
		})
		if name != "try" {
			continue
		}
		tries++
		ast.Inspect(f.Body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if !slices.Contains([]string{"subtle.ConstantTimeCompare", "subtle.ConstantTimeSelect", "s.codes.at", "Step"}, text(n.Fun)) {
					t.Errorf("try calls %s", text(n.Fun))
				}
			case nil, *ast.BlockStmt, *ast.AssignStmt, *ast.SelectorExpr, *ast.Ident:
			case *ast.BinaryExpr:
				if n.Op != token.ADD {
					t.Errorf("try compares: %s", text(n))
				}
			default:
				t.Errorf("try does more than compare and select:\n%s", text(n))
			}
			return true
		})
	}
	if loops != 2 || tries != 1 {
		t.Errorf("found %d loops and %d try, want those of Match and Drift, and one", loops, tries)
	}
}
