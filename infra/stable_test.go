package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/needs"
)

// TestStable: the same configuration and the same zips make the same templates, so that a deployment changes what was changed.
func TestStable(t *testing.T) {
	t.Parallel()
	first := deployed(t, most)
	synthesises.Lock()
	defer synthesises.Unlock()
	again := synth(t, configOf(t, most))
	for part, stack := range first.stacks {
		if diff := cmp.Diff(stack.text, again.stacks[part].text); diff != "" {
			t.Errorf("%s, synthesised again:\n%s", part, diff)
		}
	}
}

// TestChanges: another zip is another version of its function, and of no other.
func TestChanges(t *testing.T) {
	t.Parallel()
	first := deployed(t, most)
	synthesises.Lock()
	defer synthesises.Unlock()
	zip := standIns().zip(functions()[0])
	before, err := os.ReadFile(zip)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(zip, []byte("another"), 0o644); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.WriteFile(zip, before, 0o644); err != nil {
			t.Error(err)
		}
	}()
	again := synth(t, configOf(t, most))
	var changed []string
	for id := range again.of("AWS::Lambda::Version") {
		if _, known := first.of("AWS::Lambda::Version")[id]; !known {
			changed = append(changed, strings.Split(id, "CurrentVersion")[0])
		}
	}
	if diff := cmp.Diff([]string{"service/" + idOf(functions()[0])}, changed); diff != "" {
		t.Errorf("new versions (-want +got):\n%s", diff)
	}
}

// TestImports: of the service the stacks need its tables of functions and its policy, and nothing else.
func TestImports(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), needs.Program(t, "go"), "list", "-f", `{{join .Imports "\n"}}`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	var ours []string
	for _, path := range strings.Fields(string(out)) {
		if after, ok := strings.CutPrefix(path, "github.com/nightlatch/nightlatch/"); ok {
			ours = append(ours, after)
		}
	}
	slices.Sort(ours)
	if diff := cmp.Diff([]string{"pkg/api", "pkg/twofactor"}, ours); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
