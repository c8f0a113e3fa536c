package functions_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/boltstore"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/identity"
	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/mail"
	"github.com/nightlatch/nightlatch/pkg/notify"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// opens returns the keysets that a function opens.
func opens(function string) []keyring.Purpose {
	var purposes []keyring.Purpose
	for _, f := range api.Functions() {
		if f.Name == function {
			for _, purpose := range f.Opens() {
				purposes = append(purposes, keyring.Purpose(purpose))
			}
		}
	}
	return purposes
}

// TestEveryKeyIsNeeded takes one keyset from one function at a time: some job then fails, since the function stumbles
// over a key that is not there. So no program opens a keyset for nothing.
func TestEveryKeyIsNeeded(t *testing.T) {
	t.Parallel()
	if found := stumbles(t, "", ""); found != "" {
		t.Fatalf("with all keys %s fails", found)
	}
	for _, f := range api.Functions() {
		for _, p := range opens(f.Name) {
			t.Run(fmt.Sprintf("%s without %s", f.Name, p), func(t *testing.T) {
				t.Parallel()
				if stumbles(t, f.Name, p) == "" {
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
				switch r := recover().(type) {
				case nil:
				case stumble:
					found = r
				case runtime.Error: // of a function that serves no route: over a key that is nil
					found = stumble(r.Error())
				default:
					panic(r)
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
	recorded := &recorder{Store: store}
	ringOf := func(name string) *keyring.Ring {
		purposes := opens(name)
		if name == function {
			purposes = slices.DeleteFunc(purposes, func(p keyring.Purpose) bool { return p == lacks })
		}
		return keyring.New(store, kek, time.Now, purposes...)
	}
	c := &client{tb: t, served: map[string]bool{}, outside: outside{persona: newPersona(t)}}
	text := func(secret string) *identity.Secrets {
		return identity.NewSecrets(func(context.Context) ([]byte, error) { return []byte(secret), nil }, time.Now)
	}
	persona, err := identity.New(identity.Config{URL: c.outside.persona.url, Template: "itmpl_example", APIKey: text(personaKey)})
	if err != nil {
		t.Fatal(err)
	}
	depsOf := func(name string) handler.Deps {
		ring := ringOf(name)
		return handler.Deps{
			Service:  &twofactor.Service{Store: recorded, Policy: policy, Keys: ring.Rules, Now: time.Now},
			Keys:     ring.Tokens,
			JWKS:     func(ctx context.Context) ([]byte, error) { return keyring.LoadJWKS(ctx, store) },
			Identity: identity.Checks{Client: persona},
			Webhook:  identity.Webhooks(text(webhookSecret)),
			Settings: handler.Settings{App: "Example", Issuer: issuer, Audience: audience},
			Log:      slog.New(slog.DiscardHandler),
		}
	}
	functions := map[string]handler.Func{}
	for name, construct := range map[string]func(handler.Deps) handler.Func{
		"enroll": handler.Enroll, "verify": handler.Verify, "check": handler.Check, "rotate-backup": handler.RotateBackup,
		"disable": handler.Disable, "status": handler.Status, "challenge": handler.Challenge, "jwks": handler.JWKS,
		"reset-request": handler.ResetRequest, "reset-review": handler.ResetReview, "identity-webhook": handler.IdentityWebhook,
	} {
		functions[name] = construct(depsOf(name))
	}
	c.invoke = func(name string, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		return functions[name](t.Context(), e)
	}
	c.failed = func(a answer, format string, args ...any) {
		if a.status == 500 {
			panic(stumble(fmt.Sprintf(format, args...)))
		}
		t.Fatalf(format, args...)
	}
	c.outside.persona.webhook = func(e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		return functions["identity-webhook"](t.Context(), e)
	}
	sweep := handler.Sweep(depsOf("sweep"))
	c.outside.sweep = func() error { return sweep(t.Context()) }

	hear := handler.MailFeedback(depsOf("mail-feedback"), mail.DecodeTag)
	c.outside.bounce = func(e events.EventBridgeEvent) error { return hear(t.Context(), e) }

	operate := handler.Admin(depsOf("admin"))
	c.outside.operate = func(order api.AdminRequest) error { _, err := operate(t.Context(), order); return err }

	var mails []string
	ring := ringOf("mailer")
	mailer := &mail.Mailer{
		Load: store.Load,
		Rules: func(ctx context.Context) (twofactor.Rules, error) {
			keys, err := ring.Rules(ctx)
			return twofactor.Rules{Policy: policy, Keys: keys}, err
		},
		Send: func(_ context.Context, _ string, m mail.Message, _ map[string]string) error {
			mails = append(mails, m.Text)
			return nil
		},
		Now: time.Now, Mailed: store.Mailed, MarkMailed: store.MarkMailed, App: "Example", Web: webURL, Words: mail.Standard, Reviewers: "reviewers@example.com",
	}
	c.outside.mails = func() []string {
		for _, v := range recorded.take() {
			for _, job := range notify.MailJobs(v) {
				if err := mailer.Do(t.Context(), job); err != nil {
					c.failed(answer{status: 500}, "mailer: %v", err)
				}
			}
		}
		return mails
	}
	return c
}

// recorder is a store that keeps the versions which its stream would deliver.
type recorder struct {
	twofactor.Store
	mu       sync.Mutex
	versions []twofactor.Version
}

func (r *recorder) Replace(ctx context.Context, next *twofactor.Account) error {
	err := r.Store.Replace(ctx, next)
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.versions = append(r.versions, twofactor.Version{User: next.User, Version: next.Version, Events: slices.Clone(next.Events)})
	}
	return err
}

// take returns the versions since the last time.
func (r *recorder) take() []twofactor.Version {
	r.mu.Lock()
	defer r.mu.Unlock()
	some := r.versions
	r.versions = nil
	return some
}
