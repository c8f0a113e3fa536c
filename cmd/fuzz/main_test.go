package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const targets = `package p

import (
	"encoding/hex"
	"testing"
)

func FuzzGood(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		if raw, err := hex.DecodeString(text); err == nil && len(raw) != len(text)/2 {
			t.Error(text)
		}
	})
}

func FuzzBad(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1 && text[0] > 'Z' {
			t.Error(text)
		}
	})
}
`

// TestFuzz: what there is in a module is run, in its order, and the table tells how often; what breaks is named, and its
// input is where go test looks for it.
func TestFuzz(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "fuzz.exe")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, text := range map[string]string{
		"go.mod": "module github.com/nightlatch/p\n\ngo 1.26\n", "pkg/p/p_test.go": targets,
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
	run := func(wantFailure bool, args ...string) string {
		t.Helper()
		c := exec.Command(program, args...)
		c.Dir = dir
		out, err := c.CombinedOutput()
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
	if !regexp.MustCompile(`(?s)\[1/2\] pkg/p:FuzzBad, .*\[2/2\] pkg/p:FuzzGood, .*\n\| pkg/p:FuzzBad \| .*\n\| pkg/p:FuzzGood \| 1000000 \| .*broken, .*: pkg/p:FuzzBad\n$`).MatchString(out) {
		t.Error(out)
	}
	if kept, err := filepath.Glob(filepath.Join(dir, "pkg/p/testdata/fuzz/FuzzBad/*")); err != nil || len(kept) != 1 {
		t.Errorf("%v, %v", kept, err)
	}
	if out := run(true, "-run", "None"); !strings.Contains(out, `no target matches "None" here`) {
		t.Error(out)
	}
}

// TestCompiler: branches are counted where it says, and the go command is told that this is another compiler.
func TestCompiler(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program, compiler := filepath.Join(dir, "fuzz.exe"), filepath.Join(dir, "compile")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.WriteFile(compiler, []byte("#!/bin/sh\necho \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"-V=full":                            "-V=full nightlatch-fuzz",
		"-p encoding/json -d=libfuzzer x":    "-p encoding/json -d=libfuzzer x",
		"-p github.com/aws/x -d=libfuzzer x": "-p github.com/aws/x x",
	} {
		var out bytes.Buffer
		c := exec.Command(program, append([]string{"toolexec", compiler}, strings.Fields(args)...)...)
		c.Stdout = &out
		if err := c.Run(); err != nil || strings.TrimSpace(out.String()) != want {
			t.Errorf("%s: %q, %v", args, out.String(), err)
		}
	}
}
