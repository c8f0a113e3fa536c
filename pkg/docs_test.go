package pkg_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRulesAreWhereTheDocumentSays looks for every file and test that docs/rules.md names.
func TestRulesAreWhereTheDocumentSays(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, file := range glob(t, "*/*_test.go", "*/*/*_test.go", "*/storetest/*.go", "../functions/*_test.go", "../cmd/nightlatch/*_test.go") {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(source)
	}
	names := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(string(text), -1)
	if len(names) < 50 {
		t.Fatalf("docs/rules.md names %d things only", len(names))
	}
	for _, match := range names {
		name := match[1]
		switch {
		case strings.HasSuffix(name, ".go"):
			file := filepath.Join("twofactor", name)
			if rest, ok := strings.CutPrefix(name, "pkg/"); ok {
				file = rest
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case strings.HasSuffix(name, ".txtar"):
			if _, err := os.Stat(filepath.Join("..", name)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case strings.HasPrefix(name, "Test"):
			if !strings.Contains(tests.String(), "func "+name+"(t *testing.T)") {
				t.Errorf("there is no test %s", name)
			}
		}
	}
}

// TestCommandsOfTheProof: each go test of docs/proof.md names a folder that has a test or a benchmark of that name.
func TestCommandsOfTheProof(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/proof.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile("`go test [^`]*-(?:run|bench) '?([A-Z^][^' ]*)'? ([^`]*)`").FindAllStringSubmatch(string(text), -1)
	if len(commands) < 20 {
		t.Fatalf("docs/proof.md has %d commands only", len(commands))
	}
	for _, command := range commands {
		pattern, err := regexp.Compile(strings.ReplaceAll(command[1], `\|`, "|")) // as a table of Markdown has it
		if err != nil {
			t.Errorf("%s: %v", command[0], err)
			continue
		}
		for folder := range strings.FieldsSeq(command[2]) {
			if !strings.HasPrefix(folder, "./") {
				break // what the tests are given
			}
			var found bool
			for _, file := range glob(t, filepath.Join("..", folder, "*_test.go")) {
				source, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range regexp.MustCompile(`(?m)^func (?:Test|Benchmark|Fuzz)\w+`).FindAllString(string(source), -1) {
					name = strings.TrimPrefix(name, "func ")
					found = found || pattern.MatchString(name) || pattern.MatchString(strings.TrimPrefix(name, "Benchmark"))
				}
			}
			if !found {
				t.Errorf("%s: nothing in %s has that name", command[0], folder)
			}
		}
	}
}

func glob(t *testing.T, patterns ...string) (files []string) {
	t.Helper()
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	return files
}
