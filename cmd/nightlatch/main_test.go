package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// command runs a command to its end.
func command(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(ctx, args, &out, &err)
	return code, out.String(), err.String()
}

func TestCommands(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args           string
		code           int
		stdout, stderr string // parts of them
	}{
		{"", 2, "", "nightlatch dev [flags]"},
		{"help", 0, "nightlatch dev [flags]", ""},
		{"-h", 0, "nightlatch dev [flags]", ""},
		{"help dev", 0, "-addr", ""},
		{"dev -h", 0, "-policy preset", ""},
		{"dev -h", 0, "nightlatch-demo-host", ""},
		{"dev -h", 0, "-dynamodb-endpoint URL", ""},
		{"dev --help", 0, "POST /dev/policy changes it until the server is started again", ""},
		{"help version", 0, "which version", ""},
		{"help nothing", 2, "", "help knows dev and version"},
		{"version", 0, "nightlatch ", ""},
		{"version -h", 0, "which version", ""},
		{"version --help", 0, "which version", ""},
		{"version -h x", 2, "", "version takes no arguments"},
		{"version -x", 2, "", "version takes no arguments"},
		{"serve", 2, "", `no command "serve"`},
		{"dev -x", 2, "", "-x; nightlatch help dev lists the flags"},
		{"dev now", 2, "", `"now" is not a flag`},
		{"dev -store dynamodb", 2, "", "say where it is with -dynamodb-endpoint, such as http://127.0.0.1:8000"},
		{"dev -store dynamodb -dynamodb-endpoint 127.0.0.1:8000", 2, "", "must be a URL with a scheme"},
		{"dev -store dynamodb -dynamodb-endpoint http://127.0.0.1:8000/x", 2, "", "must be a URL with a scheme and without a path"},
		{"dev -store dynamodb -dynamodb-endpoint https://dynamodb.eu-central-1.amazonaws.com", 2, "", "is not on this machine"},
		{"dev -store dynamodb -dynamodb-endpoint http://0.0.0.0:8000", 2, "", "is not on this machine"},
		{"dev -store dynamodb -dynamodb-endpoint http://127.0.0.1:8000 -dynamodb-prefix a/b", 2, "", "must be made of letters, digits"},
		{"dev -dynamodb-prefix a-", 2, "", "is for -store dynamodb"},
		{"dev -store etcd", 2, "", "no such store"},
		{"dev -dynamodb-endpoint http://127.0.0.1:8000", 2, "", "-store dynamodb"},
		{"dev -data=", 2, "", "name a directory"},
		{"dev -addr 8787", 2, "", "an address and a port"},
		{"dev -addr :0", 2, "", "not a loopback address"},
		{"dev -addr 0.0.0.0:0", 2, "", "not a loopback address"},
		{"dev -addr [::]:0", 2, "", "not a loopback address"},
		{"dev -addr 192.0.2.1:0", 2, "", "not a loopback address"},
		{"dev -addr example.com:0", 2, "", "not a loopback address"},
		{"dev -addr 127.0.0.1:port", 2, "", "-addr 127.0.0.1:port: the port must be a number from 0 to 65535"},
		{"dev -addr 127.0.0.1:80000", 2, "", "-addr 127.0.0.1:80000: the port must be a number from 0 to 65535"},
		{"dev -addr 127.0.0.1:", 2, "", "the port must be a number"},
		{"dev -policy nope", 1, "", "neither a preset (standard, mirox, miaxdx, midphase) nor a file"},
	} {
		code, stdout, stderr := command(t.Context(), strings.Fields(test.args)...)
		if code != test.code || !strings.Contains(stdout, test.stdout) || !strings.Contains(stderr, test.stderr) || (stderr != "") != (test.code != 0) || (stdout != "") != (test.code == 0) {
			t.Errorf("nightlatch %s: %d\nstdout: %s\nstderr: %s", test.args, code, stdout, stderr)
		}
	}
}

// TestDev: it says where it is and what it needs to be called with, and ends when it is told to.
func TestDev(t *testing.T) {
	t.Parallel()
	data := dataDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	ended := make(chan int)
	go func() {
		code := run(ctx, []string{"dev", "-addr", "localhost:0", "-data", data, "-policy", "mirox", "-quiet"}, w, io.Discard)
		w.Close()
		ended <- code
	}()
	var said strings.Builder
	buffer := make([]byte, 4096)
	for !strings.Contains(said.String(), "Ctrl-C") {
		n, err := r.Read(buffer)
		if err != nil {
			t.Fatalf("it ended: %v, having said:\n%s", err, &said)
		}
		said.Write(buffer[:n])
	}
	for _, line := range []string{
		`Nightlatch is running:  http://127\.0\.0\.1:\d+`, `audience +nightlatch-demo-host`, `policy +mirox`, `service key: nlk_[A-Z2-7]{26}`, `webhook secret: wbhsec_[A-Z2-7]{26}`,
		`sign in as +alice@example\.com, bob@example\.com, reviewer@example\.com, reviewer2@example\.com`, `password +correct horse`,
	} {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(said.String()) {
			t.Errorf("no line %s in:\n%s", line, &said)
		}
	}

	// A second one can have neither the data nor the port.
	code, _, stderr := command(t.Context(), "dev", "-addr", "127.0.0.1:0", "-data", data)
	if code != 1 || !strings.Contains(stderr, "in use by another process; stop that, or choose another directory with -data") {
		t.Errorf("a second one on the same data: %d, %s", code, stderr)
	}
	addr := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(said.String())
	other := t.TempDir()
	code, _, stderr = command(t.Context(), "dev", "-addr", addr, "-data", filepath.Join(other, "data"))
	if code != 1 || !strings.Contains(stderr, "choose another port with -addr") {
		t.Errorf("a second one on the same port: %d, %s", code, stderr)
	}
	if left, _ := os.ReadDir(other); len(left) != 0 {
		t.Errorf("one that could not have its port has made %v", left)
	}

	cancel()
	go io.Copy(io.Discard, r)
	if code := <-ended; code != 0 {
		t.Errorf("ended with %d, want 0", code)
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		conn.Close()
		t.Error("the port still answers")
	}
}

// TestDataErrors: what is wrong with the data is told, with the file's name and what to do; and no port stays taken.
func TestDataErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		edit func(dir string) error
		want []string
	}{
		"service key open to all": {func(dir string) error { return os.Chmod(filepath.Join(dir, "service-key"), 0o644) }, []string{"service-key", "0644", "chmod 600"}},
		"key file open to all":    {func(dir string) error { return os.Chmod(filepath.Join(dir, "key-encryption-key.json"), 0o640) }, []string{"key-encryption-key.json", "chmod 600"}},
		"session key open to all": {func(dir string) error { return os.Chmod(filepath.Join(dir, "session-key.pem"), 0o604) }, []string{"session-key.pem", "chmod 600"}},
		"session key of a curve":  {func(dir string) error { return os.WriteFile(filepath.Join(dir, "session-key.pem"), ecKey(t), 0o600) }, []string{"session-key.pem", "not an RSA key", "remove it"}},
		"session key cut": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "session-key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}), 0o600)
		}, []string{"session-key.pem", "remove it"}},
		"session key is none": {func(dir string) error { return os.WriteFile(filepath.Join(dir, "session-key.pem"), []byte("x"), 0o600) }, []string{"session-key.pem", "not a private key", "remove it"}},
		"service key empty":   {func(dir string) error { return os.WriteFile(filepath.Join(dir, "service-key"), nil, 0o600) }, []string{"service-key", "empty"}},
		"service key with a gap": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "service-key"), []byte("nlk_a b"), 0o600)
		}, []string{"service-key", "remove it"}},
		"another kind of key": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "webhook-secret"), []byte("nlk_ab"), 0o600)
		}, []string{"webhook-secret", "remove it"}},
		"a directory": {func(dir string) error { return os.Mkdir(filepath.Join(dir, "clock.json"), 0o700) }, []string{"clock.json", "not a regular file"}},
		"no clock":    {func(dir string) error { return os.WriteFile(filepath.Join(dir, "clock.json"), []byte("{"), 0o600) }, []string{"clock.json", "remove it"}},
		"a clock gone back": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "clock.json"), []byte(`{"offset_seconds":-1}`), 0o600)
		}, []string{"clock.json", "remove it"}},
		"no store":          {func(dir string) error { return os.WriteFile(filepath.Join(dir, "nightlatch.db"), []byte("x"), 0o600) }, []string{"nightlatch.db"}},
		"store open to all": {func(dir string) error { return os.Chmod(filepath.Join(dir, "nightlatch.db"), 0o640) }, []string{"nightlatch.db", "0640", "chmod 600"}},
		"no key file":       {func(dir string) error { return os.Remove(filepath.Join(dir, "key-encryption-key.json")) }, []string{"key-encryption-key.json is missing, and the store holds what it has sealed: put it back"}},
		"another key file": {func(dir string) error {
			path := filepath.Join(dir, "key-encryption-key.json")
			_, err := keyring.LocalKEK(path + ".other")
			return errors.Join(err, os.Rename(path+".other", path))
		}, []string{"do not open", "key-encryption-key.json"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := dataDir(t)
			first := serve(t, data, "standard")
			if err := first.stop(); err != nil {
				t.Fatal(err)
			}
			if err := test.edit(data); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the data is free again after the first
				code, stdout, stderr := command(t.Context(), "dev", "-addr", "127.0.0.1:0", "-data", data)
				if code != 1 || stdout != "" {
					t.Errorf("started: %d %s", code, stdout)
				}
				for _, want := range append(test.want, "-data "+data+": ") {
					if !strings.Contains(stderr, want) {
						t.Errorf("said %q, want %q in it", stderr, want)
					}
				}
			}
		})
	}
}

// ecKey is a private key that no session can be signed with.
func ecKey(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// TestNameOf: mails speak the words of the policy in force.
func TestNameOf(t *testing.T) {
	t.Parallel()
	for _, name := range twofactor.Presets() {
		policy, err := twofactor.Preset(name)
		if got := nameOf(policy); err != nil || got != name {
			t.Errorf("nameOf(%s) = %q, %v", name, got, err)
		}
		policy.Reviewers = 3 - policy.Reviewers
		if got := nameOf(policy); got != "" {
			t.Errorf("nameOf(%s, changed) = %q, want none", name, got)
		}
	}
}
