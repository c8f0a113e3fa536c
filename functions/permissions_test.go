package functions_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/boltstore"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// opens are the keysets that each function opens.
var opens = map[string][]keyring.Purpose{
	"enroll":        {keyring.TOTP, keyring.Codes, keyring.Contact, keyring.Challenge, keyring.Signing},
	"verify":        {keyring.TOTP, keyring.Codes, keyring.Challenge, keyring.Signing},
	"check":         {keyring.TOTP},
	"rotate-backup": {keyring.TOTP, keyring.Codes, keyring.Challenge},
	"disable":       {keyring.TOTP},
	"challenge":     {keyring.Contact, keyring.Challenge},
}

// permissions are what each function asks of DynamoDB and KMS, no more and no less: TestJobs holds the programs to it.
func permissions() map[string][]string {
	may := map[string][]string{
		"enroll":        {"accounts GetItem", "accounts PutItem"},
		"verify":        {"accounts GetItem", "accounts PutItem"},
		"check":         {"accounts GetItem", "accounts PutItem"},
		"rotate-backup": {"accounts GetItem", "accounts PutItem"},
		"disable":       {"accounts GetItem", "accounts PutItem"},
		"challenge":     {"accounts GetItem", "accounts PutItem", "history PutItem"},
		"status":        {"accounts GetItem", "history Query"},
		"jwks":          {"config GetItem jwks"},
		"notify":        {"history PutItem", "history Query", "history DeleteItem"},
	}
	for name, purposes := range opens {
		for _, p := range purposes {
			may[name] = append(may[name], "config GetItem keyset/"+string(p), "kms Decrypt "+string(p))
		}
	}
	return may
}

// TestEveryKeyIsNeeded takes one keyset from one function at a time: some job then fails, since the function stumbles
// over a key that is not there. So no program opens a keyset for nothing.
func TestEveryKeyIsNeeded(t *testing.T) {
	t.Parallel()
	if found := stumbles(t, "", ""); found != "" {
		t.Fatalf("with all keys %s fails", found)
	}
	for name, purposes := range opens {
		for _, p := range purposes {
			t.Run(fmt.Sprintf("%s without %s", name, p), func(t *testing.T) {
				t.Parallel()
				if stumbles(t, name, p) == "" {
					t.Error("no job fails")
				}
			})
		}
	}
}

// stumble is how a job ends at an answer that no client should get.
type stumble string

// stumbles does every job with the functions in this process, one of which lacks a keyset, and returns the first request
// that is answered with an internal error.
func stumbles(t *testing.T, function string, lacks keyring.Purpose) (found stumble) {
	t.Helper()
	for policy, job := range jobs {
		c := inProcess(t, policy, function, lacks)
		func() {
			defer func() {
				if r := recover(); r != nil {
					found = r.(stumble)
				}
			}()
			job.do(c)
		}()
		if found != "" {
			return found
		}
	}
	return ""
}

// inProcess returns a client of the functions in this process, on a store of their own.
func inProcess(t *testing.T, preset, function string, lacks keyring.Purpose) *client {
	t.Helper()
	policy, err := twofactor.Preset(preset)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	store, err := boltstore.Open(filepath.Join(dir, "nightlatch.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	kek, err := keyring.LocalKEK(filepath.Join(dir, "key.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := keyring.Create(t.Context(), store, kek, keyring.Purposes()...); err != nil {
		t.Fatal(err)
	}
	functions := map[string]handler.Func{}
	for name, construct := range map[string]func(handler.Deps) handler.Func{
		"enroll": handler.Enroll, "verify": handler.Verify, "check": handler.Check, "rotate-backup": handler.RotateBackup,
		"disable": handler.Disable, "status": handler.Status, "challenge": handler.Challenge, "jwks": handler.JWKS,
	} {
		purposes := slices.Clone(opens[name])
		if name == function {
			purposes = slices.DeleteFunc(purposes, func(p keyring.Purpose) bool { return p == lacks })
		}
		ring := keyring.New(store, kek, time.Now, purposes...)
		functions[name] = construct(handler.Deps{
			Service:  &twofactor.Service{Store: store, Policy: policy, Keys: ring.Rules, Now: time.Now},
			Keys:     ring.Tokens,
			JWKS:     func(ctx context.Context) ([]byte, error) { return keyring.LoadJWKS(ctx, store) },
			Settings: handler.Settings{App: "Example", Issuer: issuer, Audience: audience},
			Log:      slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
	}
	return &client{
		tb: t, served: map[string]bool{},
		invoke: func(name string, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
			return functions[name](t.Context(), e)
		},
		failed: func(a answer, format string, args ...any) {
			if a.status == 500 {
				panic(stumble(fmt.Sprintf(format, args...)))
			}
			t.Fatalf(format, args...)
		},
	}
}
