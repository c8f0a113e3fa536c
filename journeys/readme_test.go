package journeys_test

import (
	"html"
	"io"
	"net/http"
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

// The README's commands do what the README says, and what the first page says can be done before and after them.
func TestREADMEInOneMinute(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"bash", "sh", "curl", "jq", "oathtool"} {
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
	if len(all["sh"]) != 1 || len(all[""]) < 2 {
		t.Fatalf("README.md has %d blocks of sh, want 1 and what it prints", len(all["sh"]))
	}
	page := firstPage(t, s.url)
	said := typed(t, "sh", "-euc", page)
	out := typed(t, "bash", "-euo", "pipefail", "-c", strings.ReplaceAll(all["sh"][0], "http://127.0.0.1:8787", s.url))
	said += typed(t, "sh", "-euc", page)
	if strings.Contains(said, "problems/") || strings.Count(said, `"state":"disabled"`) != 2 { // what it ends with
		t.Errorf("the first page's commands, before and after the README's:\n%s", said)
	}
	got, want := varies.ReplaceAllString(out, "~"), varies.ReplaceAllString(all[""][1], "~")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("README.md shows another output (-README +real):\n%s", diff)
	}
}

// firstPage is all commands of the first page's numbered sections.
func firstPage(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var commands strings.Builder
	for _, block := range regexp.MustCompile(`(?s)<pre><code>(.*?)</code></pre>`).FindAllStringSubmatch(string(page), -1) {
		commands.WriteString(html.UnescapeString(block[1]) + "\n")
	}
	return commands.String()
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
