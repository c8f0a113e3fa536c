//go:build unix

package keyring

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/mac"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
)

func TestLocalKEK(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	made, err := LocalKEK(path)
	if err != nil {
		t.Fatal(err)
	}
	about, err := os.Lstat(path)
	if err != nil || about.Mode() != 0o600 {
		t.Errorf("made with mode %v, %v; want a regular file with 0600", about.Mode(), err)
	}
	sealed, err := made.EncryptWithContext(t.Context(), []byte("keyset"), []byte("totp"))
	if err != nil {
		t.Fatal(err)
	}
	read, err := LocalKEK(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := read.DecryptWithContext(t.Context(), sealed, []byte("totp")); err != nil || string(got) != "keyset" {
		t.Errorf("read again: got %q, %v", got, err)
	}
	if got, err := read.DecryptWithContext(t.Context(), sealed, []byte("contact")); got != nil || err == nil || !strings.Contains(err.Error(), "another key-encryption key") {
		t.Errorf("with other associated data: got %q, %v; want an error that says what it may be", got, err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := LocalKEK(path); err != nil {
		t.Errorf("mode 0400 is narrower than asked for: %v", err)
	}
}

func TestLocalKEKMadeOnceAmongRacers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	sealed := make([][]byte, 20)
	var wg sync.WaitGroup
	for i := range sealed {
		wg.Go(func() {
			kek, err := LocalKEK(path)
			if err != nil {
				t.Error(err)
				return
			}
			sealed[i], _ = kek.EncryptWithContext(t.Context(), nil, nil)
		})
	}
	wg.Wait()
	if _, err := LocalKEK(path); err != nil {
		t.Fatal(err)
	}
	// Whoever comes late with a key of its own leaves the one that is there.
	if err := makeKeyFile(path); err != nil {
		t.Errorf("late: %v", err)
	}
	kek, err := LocalKEK(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range sealed {
		if _, err := kek.DecryptWithContext(t.Context(), c, nil); err != nil {
			t.Errorf("starter %d had another key: %v", i, err)
		}
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestLocalKEKRefusesModes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if _, err := LocalKEK(path); err != nil {
		t.Fatal(err)
	}
	for mode, says := range map[fs.FileMode]string{0o644: "0644", 0o640: "0640", 0o602: "0602", 0o601: "0601", 0o700: "0700", 0o666: "0666"} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := LocalKEK(path)
		if err == nil || !strings.Contains(err.Error(), "mode "+says) || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %v: got %v, want one that says %s and the chmod to run", mode, err, says)
		}
		if about, _ := os.Stat(path); about.Mode() != mode {
			t.Errorf("mode changed from %v to %v", mode, about.Mode())
		}
	}
}

func TestLocalKEKRefusesWhatIsNoKeyFile(t *testing.T) {
	t.Parallel()
	keysetJSON := func(template *tinkpb.KeyTemplate) []byte {
		h, err := keyset.NewHandle(template)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&b)); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	sound := keysetJSON(aead.AES256GCMKeyTemplate())
	for name, content := range map[string][]byte{
		"empty":      nil,
		"garbage":    []byte("correct horse battery staple\n"),
		"cut":        sound[:len(sound)/2],
		"doubled":    append(bytes.Clone(sound), sound...),
		"no keys":    []byte("{}"),
		"other kind": keysetJSON(mac.HMACSHA256Tag256KeyTemplate()),
		"short key":  keysetJSON(aead.AES128GCMKeyTemplate()),
	} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LocalKEK(path); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "is not a key file") {
			t.Errorf("%s: got %v, want one that says it is not a key file", name, err)
		}
		if got, _ := os.ReadFile(path); !bytes.Equal(got, content) {
			t.Errorf("%s: was overwritten", name)
		}
	}
}

func TestLocalKEKRefusesWhatIsNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	if _, err := LocalKEK(target); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		make func(path string) error
		says string
	}{
		"link":          {func(p string) error { return os.Symlink(target, p) }, "symbolic link"},
		"dangling link": {func(p string) error { return os.Symlink(filepath.Join(dir, "nowhere"), p) }, "symbolic link"},
		"directory":     {func(p string) error { return os.Mkdir(p, 0o600) }, "not a regular file"},
		"pipe":          {func(p string) error { return syscall.Mkfifo(p, 0o600) }, "not a regular file"},
	} {
		path := filepath.Join(dir, name)
		if err := c.make(path); err != nil {
			t.Fatal(err)
		}
		if _, err := LocalKEK(path); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want one that says %q", name, err, c.says)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a key was made behind a dangling link")
	}
	if _, err := LocalKEK(filepath.Join(dir, "no such directory", "key")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: got %v", err)
	}
}

func TestLocalKEKRefusesAForeignOwner(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if _, err := LocalKEK(path); err != nil {
		t.Fatal(err)
	}
	about, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := private(about, path, os.Geteuid()); err != nil {
		t.Errorf("own file: %v", err)
	}
	if err := private(about, path, os.Geteuid()+1); err == nil || !strings.Contains(err.Error(), "belongs to user") {
		t.Errorf("foreign file: got %v", err)
	}
}
