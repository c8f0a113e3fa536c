package needs

import (
	"path/filepath"
	"testing"
)

// SAM returns the path of AWS's own program sam, which needs neither an account nor a network for what tests ask of it.
// Without Python or sam the test is skipped, and with CI=true it fails.
func SAM(tb testing.TB) (path string) {
	tb.Helper()
	Program(tb, "python3") // sam's own is a link to it
	return filepath.Join(fetched(tb, "sam", "sam.txt", "sam"), "bin/sam")
}
