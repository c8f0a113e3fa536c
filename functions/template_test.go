package functions_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/api/samtest"
	"github.com/nightlatch/nightlatch/pkg/needs"
)

// TestTemplate: template.yaml has the functions of the table, each run and called as it says, and nothing else. What they are
// told is held against the stack, in infra.
func TestTemplate(t *testing.T) {
	t.Parallel()
	template := samtest.Read(t, "../template.yaml")
	table := samtest.Facts{}
	for _, f := range api.Functions() {
		id := samtest.ID(f.Name)
		table.Say(id, "Type", "AWS::Serverless::Function")
		table.Say(id, "CodeUri", "dist/"+f.Name+".zip")
		table.Say(id, "Runtime", "provided.al2023")
		table.Say(id, "Architectures", "[arm64]")
		table.Say(id, "Handler", "bootstrap")
		table.Say(id, "MemorySize", f.Memory)
		table.Say(id, "Timeout", f.Timeout.Seconds())
		for _, r := range f.Routes() {
			table.Say(id, r.Key(), map[api.Caller]string{
				api.CallerSession: "Sessions", api.CallerReviewer: "Sessions", api.CallerHost: "AWS_IAM",
				api.CallerChallenge: "NONE", api.CallerLink: "NONE", api.CallerWebhook: "NONE", api.CallerPublic: "NONE",
			}[r.Caller])
		}
	}
	for _, line := range samtest.Differences(table, template.Runs()) {
		t.Errorf("template.yaml is not as pkg/api says: %s", line)
	}
	for _, name := range names(t) {
		var got []string
		for variable := range template.Environment(name) {
			if strings.HasPrefix(variable, "AWS_") {
				got = append(got, variable)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(slices.Sorted(maps.Keys(endpoints("", "", "", ""))), got); diff != "" {
			t.Errorf("template.yaml does not tell %s where services are (-want +got):\n%s", name, diff)
		}
	}
}

// TestSAM: AWS's own program takes the template, and has nothing to build that make build has not built.
func TestSAM(t *testing.T) {
	t.Parallel()
	sam, dir := needs.SAM(t), t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("template.yaml", string(read(t, "../template.yaml")))
	// It asks for a newer version of itself once a week.
	write("home/.aws-sam/metadata.json", fmt.Sprintf(`{"lastVersionCheck": %d, "telemetryEnabled": false}`, time.Now().Unix()))
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), sam, append(args, "--region="+region)...)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(dir, "home"), "SAM_CLI_TELEMETRY=0", "LC_ALL=C.UTF-8"}
		said, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("sam %s: %v\n%s", args[0], err, said)
		}
		return string(said)
	}
	if said := run("validate", "--lint"); !strings.Contains(said, "is a valid SAM Template") {
		t.Errorf("sam validate --lint says:\n%s", said)
	}
	if said := run("build"); !strings.Contains(said, "Build Succeeded") {
		t.Errorf("sam build says:\n%s", said)
	}
	built := samtest.Read(t, filepath.Join(dir, ".aws-sam/build/template.yaml"))
	for _, f := range api.Functions() {
		if got, want := built.Resources[samtest.ID(f.Name)].Properties.CodeUri, "../../dist/"+f.Name+".zip"; got != want {
			t.Errorf("sam build takes %s from %s, want %s", f.Name, got, want)
		}
	}
}
