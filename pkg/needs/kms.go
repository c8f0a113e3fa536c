package needs

import (
	"path/filepath"
	"regexp"
	"testing"
)

var (
	motoListens = regexp.MustCompile(`Running on http://127\.0\.0\.1:(\d+)\s`)
	sharedKMS   shared
)

// KMS returns the URL of an imitation of AWS KMS (moto), such as http://127.0.0.1:41234. All tests of the process share it,
// so each creates its own key. It is started on first use, keeps everything in memory, and ends with the process, even if
// that is killed. Without Python or moto the test is skipped, and with CI=true it fails.
func KMS(tb testing.TB) (endpoint string) {
	tb.Helper()
	Program(tb, "python3") // moto's own is a link to it
	dir := fetched(tb, "moto", "requirements.txt", "moto")
	return sharedKMS.endpoint(tb, func() (*server, error) {
		return start(motoListens, filepath.Join(dir, "bin/python"), "-m", "moto.server", "-H", "127.0.0.1", "-p", "0")
	})
}
