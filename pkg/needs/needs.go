// Package needs finds the programs that some tests need besides Go, starts those that are servers, and sees to it that a
// test which could not run is never taken for one that passed: a skip names the program, `make test` repeats it at its
// end, and CI fails.
package needs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Program returns the path of a program that the test cannot do without. Where it is not installed the test is skipped,
// and with CI=true it fails.
func Program(tb testing.TB, name string) string {
	tb.Helper()
	return program(tb, name, name)
}

// program is Program where the lack has another name than the program.
func program(tb testing.TB, name, lack string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Skip(tb, lack)
	}
	return path
}

// Look returns the path of a program that only part of the test needs. Where it is not installed found is false and the
// lack is told, and with CI=true the test fails.
func Look(tb testing.TB, name string) (path string, found bool) {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		tb.Log(lacking(tb, name))
	}
	return path, err == nil
}

// Skip skips the test for lack of something that it cannot do without. With CI=true the test fails.
func Skip(tb testing.TB, lack string) {
	tb.Helper()
	tb.Skip(lacking(tb, lack))
}

// lacking says and tells what is missing. In CI that is a failure.
func lacking(tb testing.TB, lack string) string {
	tb.Helper()
	line := fmt.Sprintf("SKIPPED FOR LACK OF %s: %s", lack, tb.Name())
	if os.Getenv("CI") == "true" {
		tb.Fatal(line)
	}
	tell(tb, line)
	return line
}

// tell appends a line to the file that make test prints at its end: go test shows what a test said only if it failed.
func tell(tb testing.TB, line string) {
	tb.Helper()
	name := os.Getenv("SKIPPED_TESTS")
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(f, line)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		tb.Fatal(err)
	}
}
