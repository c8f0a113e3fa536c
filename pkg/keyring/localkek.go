//go:build unix

package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// LocalKEK returns the key-encryption key of a laptop: the one in the file at path, which is made if it is missing. The
// file is a Tink keyset in JSON with one AES256-GCM key, in the clear: whoever can read it and the store has every key.
// So it must be a regular file of the user who runs this, and nobody else's to read (mode 0600); anything else is
// refused, and never repaired: a key that others could read has to be thought about. Of those who start at the same time
// and make it, all get the same key.
func LocalKEK(path string) (tink.AEADWithContext, error) {
	h, err := readKeyFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKeyFile(path); err != nil {
			return nil, fmt.Errorf("keyring: making key file %s: %w", path, err)
		}
		h, err = readKeyFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("keyring: key file %s: %w", path, err)
	}
	a, err := aead.New(h)
	return inMemory{a}, err
}

// inMemory is a key-encryption key that asks nobody, and so needs no context.
type inMemory struct{ aead tink.AEAD }

func (k inMemory) EncryptWithContext(_ context.Context, plaintext, associatedData []byte) ([]byte, error) {
	return k.aead.Encrypt(plaintext, associatedData)
}

func (k inMemory) DecryptWithContext(_ context.Context, ciphertext, associatedData []byte) ([]byte, error) {
	plaintext, err := k.aead.Decrypt(ciphertext, associatedData)
	if err != nil {
		return nil, fmt.Errorf("sealed by another key-encryption key, or altered: %w", err)
	}
	return plaintext, nil
}

func readKeyFile(path string) (*keyset.Handle, error) {
	// What is opened is what is checked. Not to wait for the writer of a named pipe takes O_NONBLOCK.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.EMLINK) {
		return nil, errors.New("is a symbolic link; give the path of the file itself")
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	about, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := private(about, path, os.Geteuid()); err != nil {
		return nil, err
	}
	h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(f))
	if err != nil {
		return nil, fmt.Errorf("is not a key file (to start afresh, and lose what its key has sealed, remove it): %w", err)
	}
	for i := range h.Len() {
		entry, err := h.Entry(i)
		if err != nil {
			return nil, err
		}
		if key, ok := entry.Key().(*aesgcm.Key); !ok || key.Parameters().(*aesgcm.Parameters).KeySizeInBytes() != 32 {
			return nil, errors.New("is not a key file: it holds another kind of key than AES256-GCM")
		}
	}
	return h, nil
}

// private returns an error unless the file is the user's, and nobody else's to read.
func private(about fs.FileInfo, path string, uid int) error {
	if !about.Mode().IsRegular() {
		return fmt.Errorf("is not a regular file: %v", about.Mode())
	}
	if owner := about.Sys().(*syscall.Stat_t).Uid; int64(owner) != int64(uid) {
		return fmt.Errorf("belongs to user %d, not to user %d who runs this", owner, uid)
	}
	if mode := about.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky); mode&^0o600 != 0 {
		return fmt.Errorf("has mode %#o, others may have read the key; if you trust it nevertheless: chmod 600 %s", mode.Perm(), path)
	}
	return nil
}

// makeKeyFile makes a new key, unless there is a file by the time it is ready. The file is whole and on disk before it
// has its name, and a link, unlike a rename, replaces nothing.
func makeKeyFile(path string) error {
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return err
	}
	var content bytes.Buffer
	if err := insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&content)); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".key-*.tmp") // O_EXCL, mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content.Bytes())
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Whoever lost the race relies on the name as well.
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
