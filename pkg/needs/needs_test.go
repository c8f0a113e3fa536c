package needs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recorder is a test under test: it remembers how it ended.
type recorder struct {
	testing.TB
	ended, said string
}

func (r *recorder) Name() string { return "TestSomething" }
func (r *recorder) Helper()      {}
func (r *recorder) Log(args ...any) {
	r.said = args[0].(string)
}
func (r *recorder) Skip(args ...any) {
	r.ended, r.said = "skipped", args[0].(string)
	panic(r)
}
func (r *recorder) Fatal(args ...any) {
	r.ended, r.said = "failed", fmt.Sprint(args...)
	panic(r)
}

func run(r *recorder, f func(testing.TB)) {
	defer func() {
		if p := recover(); p != nil && p != any(r) {
			panic(p)
		}
	}()
	f(r)
}

func TestMissingProgram(t *testing.T) {
	const missing, line = "no-such-program", "SKIPPED FOR LACK OF no-such-program: TestSomething"
	program := func(tb testing.TB) { Program(tb, missing) }
	look := func(tb testing.TB) { Look(tb, missing) }
	skip := func(tb testing.TB) { Skip(tb, missing) }

	tests := []struct {
		name, ci string
		f        func(testing.TB)
		ended    string
		told     bool
	}{
		{"on a laptop a test that needs it is skipped and told", "", program, "skipped", true},
		{"on a laptop a test that can do without goes on, and tells", "", look, "", true},
		{"on a laptop a test that lacks something else is skipped and told", "", skip, "skipped", true},
		{"in CI a test that needs it fails", "true", program, "failed", false},
		{"in CI a test that can do without fails", "true", look, "failed", false},
		{"in CI a test that lacks something else fails", "true", skip, "failed", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			told := filepath.Join(t.TempDir(), "told")
			t.Setenv("CI", test.ci)
			t.Setenv("SKIPPED_TESTS", told)
			r := &recorder{TB: t}
			run(r, test.f)
			if r.ended != test.ended || r.said != line {
				t.Errorf("ended %q saying %q, want %q saying %q", r.ended, r.said, test.ended, line)
			}
			text, err := os.ReadFile(told)
			if test.told != (err == nil) {
				t.Fatalf("the file of skipped tests: %v, want it written: %v", err, test.told)
			}
			if test.told && strings.TrimSpace(string(text)) != line {
				t.Errorf("told %q, want %q", text, line)
			}
		})
	}
}

func TestPresentProgram(t *testing.T) {
	t.Setenv("CI", "true")
	path, found := Look(t, "go")
	if !found || path == "" || Program(t, "go") != path {
		t.Errorf("Look = %q, %v; Program = %q", path, found, Program(t, "go"))
	}
}
