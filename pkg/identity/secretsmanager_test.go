package identity_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/nightlatch/nightlatch/pkg/identity"
	"github.com/nightlatch/nightlatch/pkg/needs"
)

// awsConfig is for an imitation of Secrets Manager. That it wants more attempts than there is time for is not to count.
func awsConfig(endpoint string) aws.Config {
	return aws.Config{
		Region: "eu-central-1", BaseEndpoint: &endpoint, RetryMaxAttempts: 20,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	}
}

// The imitation of KMS is one of Secrets Manager as well.
func TestSecretsManager(t *testing.T) {
	t.Parallel()
	cfg := awsConfig(needs.KMS(t))
	admin := secretsmanager.NewFromConfig(cfg)
	name := "nightlatch/persona-webhook-" + rand.Text() // all tests of the process share it
	made, err := admin.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String(secret)})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	s := identity.NewSecrets(identity.SecretsManager(cfg, *made.ARN), func() time.Time { return now })
	if got, err := s.Get(t.Context()); err != nil || len(got) != 1 || got[0] != secret {
		t.Fatalf("got %q, %v", got, err)
	}
	put := &secretsmanager.PutSecretValueInput{SecretId: made.ARN, SecretString: aws.String(other + "\n" + secret + "\n")}
	if _, err := admin.PutSecretValue(t.Context(), put); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(t.Context(), identity.Sign(other, signed, now), signed); err != nil {
		t.Errorf("by the new secret: %v", err)
	}
	binary := &secretsmanager.PutSecretValueInput{SecretId: made.ARN, SecretBinary: []byte("in bytes")}
	if _, err := admin.PutSecretValue(t.Context(), binary); err != nil {
		t.Fatal(err)
	}
	now = now.Add(5 * time.Minute)
	if got, err := s.Get(t.Context()); err != nil || strings.Join(got, " ") != "in bytes" {
		t.Errorf("in bytes: got %q, %v", got, err)
	}
	if _, err := admin.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: made.ARN}); err != nil {
		t.Fatal(err)
	}
	now = now.Add(5 * time.Minute)
	if got, err := s.Get(t.Context()); !errors.Is(err, identity.ErrUnavailable) || got != nil {
		t.Errorf("deleted: got %q, %v", got, err)
	}
	none := identity.NewSecrets(identity.SecretsManager(cfg, *made.ARN+"x"), time.Now)
	if got, err := none.Get(t.Context()); !errors.Is(err, identity.ErrUnavailable) || got != nil {
		t.Errorf("none there: got %q, %v", got, err)
	}
}

// What goes wrong on the way is tried again for a few seconds, and is never a secret.
func TestSecretsManagerFaults(t *testing.T) {
	t.Parallel()
	const right = `{"Name":"persona","SecretString":"wbhsec_0001"}`
	respond := func(status int, body string) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			w.WriteHeader(status)
			io.WriteString(w, body)
			return w.Result(), nil
		}
	}
	for name, test := range map[string]struct {
		fault func(*http.Request) (*http.Response, error)
		asked int32
	}{
		"throttled":       {respond(400, `{"__type":"ThrottlingException","message":"Rate exceeded"}`), 3},
		"broken":          {respond(500, `{"__type":"InternalServiceError"}`), 3},
		"not let in":      {respond(400, `{"__type":"AccessDeniedException","message":"no"}`), 1},
		"not decrypted":   {respond(400, `{"__type":"DecryptionFailure","message":"no"}`), 1},
		"nothing in it":   {respond(200, `{"Name":"persona"}`), 1},
		"an empty string": {respond(200, `{"SecretString":""}`), 1},
		"no answer": {func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, 3},
	} {
		for times, want := range map[int32]error{1 << 30: identity.ErrUnavailable, 2: nil} {
			if test.asked == 1 && want == nil {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int32
				fetch := identity.SecretsManager(awsConfig("http://localhost"), "persona", func(o *secretsmanager.Options) {
					timeout := o.HTTPClient.(*http.Client).Timeout
					o.HTTPClient = &http.Client{Timeout: timeout, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
						if asked.Add(1) > times {
							return respond(200, right)(r)
						}
						return test.fault(r)
					})}
				})
				begun := time.Now()
				_, err := identity.NewSecrets(fetch, time.Now).Get(t.Context())
				if !errors.Is(err, want) || asked.Load() != test.asked || time.Since(begun) > 4*time.Second {
					t.Errorf("%s: got %v after %d attempts in %v, want %v after %d", name, err, asked.Load(), time.Since(begun), want, test.asked)
				}
			})
		}
	}
	fetch := identity.SecretsManager(awsConfig("http://localhost"), "", func(o *secretsmanager.Options) {
		o.HTTPClient = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			t.Error("somebody was asked")
			return nil, errors.New("no")
		})}
	})
	if _, err := fetch(t.Context()); err == nil {
		t.Error("no secret is configured: got no error")
	}
}

// TestSecretsManagerClient: it bears a freeze, and follows no redirect (package thaw).
func TestSecretsManagerClient(t *testing.T) {
	t.Parallel()
	identity.SecretsManager(awsConfig("http://localhost"), "persona", func(o *secretsmanager.Options) {
		if c, ok := o.HTTPClient.(*http.Client); !ok || c.CheckRedirect == nil || c.Timeout == 0 {
			t.Errorf("client %T", o.HTTPClient)
		}
	})
}
