package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxPrivate is more than any file of ours is long, in bytes.
const maxPrivate = 64 << 10

// keep returns the content of a file that nobody but the user may read, and makes it on the first start. A file that
// others can read is refused, and never repaired: a secret that others could read has to be thought about. Whoever calls
// has the data directory's store open, so that no other process is doing the same.
func keep(path string, first func() ([]byte, error)) ([]byte, error) {
	content, err := readPrivate(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return content, err
	}
	if content, err = first(); err != nil {
		return nil, err
	}
	return content, replacePrivate(path, content)
}

// checkPrivate refuses what is not a regular file that nobody but the user may read.
func checkPrivate(path string) error {
	about, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case !about.Mode().IsRegular():
		return fmt.Errorf("%s: is not a regular file", path)
	case about.Mode().Perm()&^0o600 != 0:
		return fmt.Errorf("%s: has mode %#o, others may have read it; if you trust it nevertheless: chmod 600 %[1]s; for a new one, remove it",
			path, about.Mode().Perm())
	}
	return nil
}

func readPrivate(path string) ([]byte, error) {
	if err := checkPrivate(path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxPrivate))
	if err == nil && len(content) == 0 {
		err = fmt.Errorf("%s: is empty; for a new one, remove it", path)
	}
	return content, err
}

// keepText is keep for a random word with a prefix that says what it is.
func keepText(path, prefix string) (string, error) {
	content, err := keep(path, func() ([]byte, error) { return []byte(prefix + rand.Text() + "\n"), nil })
	word := strings.TrimSuffix(string(content), "\n")
	if err == nil && (!strings.HasPrefix(word, prefix) || strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r > '~' })) {
		err = fmt.Errorf("%s: does not hold what was written there; for a new one, remove it", path)
	}
	return word, err
}

// replacePrivate writes a file that nobody else may read. It is whole and durable before it has its name.
func replacePrivate(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".new-*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
