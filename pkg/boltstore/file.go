package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// lockTimeout is how long Open waits for a process that is just ending.
const lockTimeout = time.Second

// The format stands in the meta bucket, so that another program's bbolt file is not taken for a store.
const (
	formatName = "nightlatch "
	format     = 1
)

var keyFormat = []byte("format")

// openFile opens the file at path, or a new one, once it has proved to be whole and a store.
func openFile(path string) (*bolt.DB, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, err
		}
		info, err = os.Stat(path)
	}
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%w: it is not a regular file", ErrNotStore)
	case info.Size() == 0:
		return nil, fmt.Errorf("%w: it is empty, which a store never is", ErrNotStore) // bbolt would make one of it
	}
	if err := inspect(path); err != nil {
		return nil, err
	}
	db, _, err := openBolt(path, false)
	return db, err
}

// openBolt opens a bbolt file and takes its lock, shared if readOnly. It creates none.
func openBolt(path string, readOnly bool) (db *bolt.DB, file *os.File, err error) {
	err = trap(func() (err error) {
		db, err = bolt.Open(path, 0o600, &bolt.Options{
			Timeout:      lockTimeout,
			ReadOnly:     readOnly,
			FreelistType: bolt.FreelistMapType, // the other is slow in large files
			// Else each commit sorts and writes all of it, long after a large backlog. Open reads every page anyway.
			NoFreelistSync: true,
			NoStatistics:   true, // they take a lock for every read
			OpenFile: func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
				file, err = os.OpenFile(name, flag&^os.O_CREATE, mode)
				return file, err
			},
		})
		return err
	})
	switch {
	case err == nil:
		return db, file, nil
	case errors.Is(err, berrors.ErrTimeout):
		return nil, nil, ErrInUse
	}
	if file != nil {
		file.Close() // so that a panic does not keep the lock
	}
	return nil, nil, err
}

// inspect reads the whole file without changing it.
func inspect(path string) error {
	db, file, err := openBolt(path, true) // reads the first two pages only, and keeps writers out
	var system *fs.PathError
	switch {
	case errors.Is(err, ErrInUse), errors.As(err, &system):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNotStore, err)
	}
	defer db.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := checkFile(file, info.Size()); err != nil {
		return err
	}
	return trap(func() error { return db.View(checkFormat) })
}

// checkFormat says whether the file is a store of a format that this release knows.
func checkFormat(tx *bolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return fmt.Errorf("%w: another program's bbolt file", ErrNotStore)
	}
	name := string(meta.Get(keyFormat))
	number, ok := strings.CutPrefix(name, formatName)
	n, err := strconv.Atoi(number)
	switch {
	case !ok || err != nil || n < 1:
		return fmt.Errorf("%w: another program's bbolt file", ErrNotStore)
	case n > format:
		return fmt.Errorf("%w: %s", ErrNewerFormat, name)
	}
	for _, b := range buckets {
		if tx.Bucket(b) == nil {
			return fmt.Errorf("%w: there are no %s", ErrDamaged, b)
		}
	}
	return nil
}

// create makes an empty store at path. It is complete before it gets its name, so that there never is half a store to be
// found; if another process was faster, its store stands.
func create(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, "."+filepath.Base(path)+".new-*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if err := file.Close(); err != nil {
		return err
	}
	db, _, err := openBolt(file.Name(), false)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, b := range buckets {
			if _, err := tx.CreateBucket(b); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketMeta).Put(keyFormat, fmt.Appendf(nil, "%s%d", formatName, format))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Link(file.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a new name in the directory durable. Windows has no way to, and no need.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
