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
	moto := moto(tb)
	return sharedKMS.endpoint(tb, func() (*server, error) { return start(motoListens, moto...) })
}

// NewKMS is KMS with an instance that belongs to this test alone and ends with it.
func NewKMS(tb testing.TB) (endpoint string) {
	tb.Helper()
	s, err := start(motoListens, moto(tb)...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.stop)
	return s.endpoint
}

// moto is the command that starts it.
func moto(tb testing.TB) []string {
	tb.Helper()
	Program(tb, "python3") // moto's own is a link to it
	dir := fetched(tb, "moto", "requirements.txt", "moto")
	return []string{filepath.Join(dir, "bin/python"), "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"}
}
