package functions_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nightlatch/nightlatch/pkg/needs"
)

// maxZip is the budget for a function's zip: 6 MB.
const maxZip = 6_000_000

// scratch is a folder that all tests share.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "nightlatch-functions-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

// names lists the folders of functions/ that are deployed.
func names(tb testing.TB) []string {
	tb.Helper()
	mains, err := filepath.Glob("*/main.go")
	if err != nil || len(mains) == 0 {
		tb.Fatalf("there are no functions: %v", err)
	}
	for i, main := range mains {
		mains[i] = filepath.Dir(main)
	}
	return mains
}

var built = sync.OnceValue(func() error {
	mains, err := filepath.Glob("*/main.go")
	if err != nil {
		return err
	}
	for i, main := range mains {
		mains[i] = filepath.Join(scratch, filepath.Dir(main)+".zip")
	}
	return makeZips("..", scratch, mains...)
})

// makeZips makes the zips in a folder as they are deployed, but for this machine, from the module at root. Settings of
// make's may say otherwise.
func makeZips(root, dist string, zips ...string) error {
	arguments := []string{
		"--silent", "--directory=" + root, fmt.Sprintf("--jobs=%d", runtime.NumCPU()),
		"DIST=" + dist, "GOOS=" + runtime.GOOS, "GOARCH=" + runtime.GOARCH,
	}
	build := exec.Command("make", append(arguments, zips...)...)
	build.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS") })
	if said, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, said)
	}
	return nil
}

// program returns the path of a function's bootstrap, built as it is deployed, but for this machine.
func program(tb testing.TB, function string) string {
	tb.Helper()
	needs.Program(tb, "make")
	look(tb)
	if err := built(); err != nil {
		tb.Fatal(err)
	}
	return filepath.Join(scratch, function, "bootstrap")
}

// look looks at every file that a function, or cmd/sam, is made of: go test would not see otherwise that one has changed, since it is
// another process that builds them.
func look(tb testing.TB) {
	tb.Helper()
	for _, part := range []string{"../Makefile", "../go.mod", "../go.sum", "../pkg", "../cmd/sam", "."} {
		err := filepath.WalkDir(part, func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				_, err = os.Stat(path)
			}
			if errors.Is(err, fs.ErrNotExist) { // somebody else's temporary file
				err = nil
			}
			return err
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// TestZips: what is deployed is one program, which Lambda's user may read and run, and not too large to start quickly.
func TestZips(t *testing.T) {
	t.Parallel()
	for _, name := range names(t) {
		path := program(t, name)
		archive, err := zip.OpenReader(filepath.Dir(path) + ".zip")
		if err != nil {
			t.Fatal(err)
		}
		defer archive.Close()
		if len(archive.File) != 1 || archive.File[0].Name != "bootstrap" {
			t.Fatalf("%s.zip has %d files, want bootstrap alone", name, len(archive.File))
		}
		file := archive.File[0]
		if mode := file.Mode(); mode.Perm()&0o555 != 0o555 || !mode.IsRegular() {
			t.Errorf("%s.zip: bootstrap has mode %v", name, mode)
		}
		packed, err := file.Open()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(packed)
		if err != nil {
			t.Fatal(err)
		}
		if want := read(t, path); !bytes.Equal(got, want) {
			t.Errorf("%s.zip holds another program than was built", name)
		}
		if size := len(read(t, filepath.Dir(path)+".zip")); size > maxZip { // those for arm64 are smaller by a tenth than for amd64
			t.Errorf("%s.zip has %d bytes, more than %d", name, size, maxZip)
		}
	}
}

// TestReproducible builds a function a second time, later, from a copy in another folder, for whom nobody else may read
// what they make. The bytes are the same: whoever doubts what runs can build it.
func TestReproducible(t *testing.T) {
	t.Parallel()
	const function = "enroll"
	want := read(t, filepath.Dir(program(t, function))+".zip")

	root := filepath.Join(t.TempDir(), "elsewhere")
	for _, part := range []string{"pkg", "functions"} {
		if err := os.CopyFS(filepath.Join(root, part), os.DirFS(filepath.Join("..", part))); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"go.mod", "go.sum", "Makefile"} {
		if err := os.WriteFile(filepath.Join(root, file), read(t, "../"+file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dist := filepath.Join(root, "dist")
	zip := filepath.Join(dist, function+".zip")
	again := exec.CommandContext(t.Context(), "sh", "-c", `umask 077 && exec make --silent --directory="$1" DIST="$2" GOOS="$3" GOARCH="$4" "$5"`,
		"sh", root, dist, runtime.GOOS, runtime.GOARCH, zip)
	again.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=", "TZ=Asia/Tokyo")
	if said, err := again.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if got := read(t, zip); !bytes.Equal(got, want) {
		t.Errorf("%s.zip, built again elsewhere: other bytes (%d, before %d)", function, len(got), len(want))
	}
}

func read(tb testing.TB, path string) []byte {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}
