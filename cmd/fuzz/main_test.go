package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestMain lets the test be the program that it tests.
func TestMain(m *testing.M) {
	if os.Getenv("FUZZ_AS_PROGRAM") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func program(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, args...)
	c.Dir, c.Env = dir, append(os.Environ(), "FUZZ_AS_PROGRAM=1")
	return c
}

// writeModule makes a module with a target that holds and one that does not.
func writeModule(t *testing.T, dir string) {
	t.Helper()
	targets, err := os.ReadFile("testdata/targets.txt")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"go.mod": "module github.com/nightlatch/p\n\ngo 1.26\n", "pkg/p/p_test.go": string(targets),
		"cmd/.keep": "", "functions/.keep": "",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFuzz: what there is in a module is run, in its order, and the table tells how often; what breaks is named, and its
// input is where go test looks for it.
func TestFuzz(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeModule(t, dir)
	run := func(wantFailure bool, args ...string) string {
		t.Helper()
		out, err := program(t, dir, args...).CombinedOutput()
		if (err != nil) != wantFailure {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	out := run(false, "-for", "1000x", "-run", "Good")
	if !strings.Contains(out, "[1/1] pkg/p:FuzzGood, 1000x\n") || !strings.Contains(out, "\n| pkg/p:FuzzGood | 1000 | ") {
		t.Error(out)
	}
	out = run(true, "-for", "1000000x")
	if !regexp.MustCompile(`(?s)\[1/2\] pkg/p:FuzzBad, .*\[2/2\] pkg/p:FuzzGood, .*\n\| pkg/p:FuzzBad \| .*\n\| pkg/p:FuzzGood \| 1000000 \| .*failed, see above: pkg/p:FuzzBad\n$`).MatchString(out) {
		t.Error(out)
	}
	if kept, err := filepath.Glob(filepath.Join(dir, "pkg/p/testdata/fuzz/FuzzBad/*")); err != nil || len(kept) != 1 {
		t.Errorf("%v, %v", kept, err)
	}
	for want, args := range map[string][]string{
		`no target matches "None" here`:     {"-run", "None"},
		"-for soon is neither how long":     {"-for", "soon"},
		"-for 0x is neither how long":       {"-for", "0x"},
		`"FuzzGood" is no flag`:             {"FuzzGood"},
		"error parsing regexp: missing ":    {"-run", "("},
		"flag provided but not defined: -x": {"-x"},
	} {
		if out := run(true, args...); !strings.Contains(out, want) || strings.Contains(out, "[1/") {
			t.Errorf("%v: %s", args, out)
		}
	}
}

// TestCompiler: branches are counted where it says, and the go command is told that this is another compiler.
func TestCompiler(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	compiler := filepath.Join(dir, "compile")
	if err := os.WriteFile(compiler, []byte("#!/bin/sh\necho \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"-V=full":                            "-V=full-[0-9a-f]{64}",
		"-p encoding/json -d=libfuzzer x":    "-p encoding/json -d=libfuzzer x",
		"-p github.com/aws/x -d=libfuzzer x": "-p github.com/aws/x x",
	} {
		out, err := program(t, "", append([]string{"toolexec", compiler}, strings.Fields(args)...)...).Output()
		if err != nil || !regexp.MustCompile("^"+want+"\n$").Match(out) {
			t.Errorf("%s: %q, %v", args, out, err)
		}
	}
}
