package needs

import (
	"path/filepath"
	"testing"
)

// Schemathesis returns the command of a program that holds a server against its OpenAPI document, to be followed by its
// arguments. Without Python or the program itself the test is skipped, and with CI=true it fails.
func Schemathesis(tb testing.TB) (command []string) {
	tb.Helper()
	Program(tb, "python3") // its own is a link to it
	dir := fetched(tb, "schemathesis", "schemathesis.txt", "Schemathesis")
	return []string{filepath.Join(dir, "bin/python"), "-m", "schemathesis.cli"}
}
