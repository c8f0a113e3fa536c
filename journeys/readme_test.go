package journeys_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/needs"
)

// blocks are the code blocks of ../README.md, by what stands behind their ticks.
func blocks(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, block := range regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		found[block[1]] = append(found[block[1]], block[2])
	}
	return found
}

// What changes from run to run.
var varies = regexp.MustCompile(`"\d{4}-\d\d-\d\dT[^"]*Z"|"retry_after":\d+`)

// The README's commands do what the README says.
func TestREADMEInOneMinute(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"bash", "curl", "jq", "oathtool"} {
		needs.Program(t, name)
	}
	s := &server{program: program, policy: "standard", data: filepath.Join(t.TempDir(), "data")}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	}()
	all := blocks(t)
	if len(all["bash"]) != 1 || len(all[""]) < 2 {
		t.Fatalf("README.md has %d blocks of bash, want 1 and what it prints", len(all["bash"]))
	}
	elsewhere, found := strings.CutPrefix(all["bash"][0], "url=http://127.0.0.1:8787 ")
	if !found || strings.Contains(elsewhere, "8787") {
		t.Fatal("README.md does not say once, and first, where the server is: whoever has it on another port cannot follow")
	}
	out := typed(t, "bash", "-euo", "pipefail", "-c", "url="+s.url+" "+elsewhere)
	got, want := varies.ReplaceAllString(out, "~"), varies.ReplaceAllString(all[""][1], "~")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("README.md shows another output (-README +real):\n%s", diff)
	}
}

// typed is what a shell prints, in a directory of its own.
func typed(t *testing.T, shell string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), shell, args...)
	command.Dir, command.Stderr = t.TempDir(), t.Output()
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v, after\n%s", err, out)
	}
	return string(out)
}

// The README's lines of Go are the example's, which runs as a test.
func TestREADMEShowsTheExample(t *testing.T) {
	t.Parallel()
	example, err := os.ReadFile("../pkg/host/example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	rest := string(example)
	for line := range strings.Lines(strings.Join(blocks(t)["go"], "")) {
		if line == "\n" {
			continue
		}
		_, after, found := strings.Cut(rest, "\n\t"+line)
		if !found {
			t.Fatalf("pkg/host's example does not have, after the lines before it,\n%s", line)
		}
		rest = "\n" + after
	}
	if rest == string(example) {
		t.Error("README.md has no block of Go")
	}
}
