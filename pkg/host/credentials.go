package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Credentials are a ServiceKey or SigV4.
type Credentials interface {
	validate() error
	authorize(ctx context.Context, r *http.Request, body []byte, now time.Time) error
}

// ServiceKey is the key that the local server prints when it starts. It is sent as a bearer token (RFC 6750 §2.1), and
// does not show when it is printed.
type ServiceKey string

func (k ServiceKey) validate() error {
	if k == "" || strings.ContainsFunc(string(k), func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("a ServiceKey is visible ASCII characters")
	}
	return nil
}

func (k ServiceKey) authorize(_ context.Context, r *http.Request, _ []byte, _ time.Time) error {
	r.Header.Set("Authorization", "Bearer "+string(k))
	return nil
}

const redacted = "[service key]"

// String does not tell the key.
func (ServiceKey) String() string { return redacted }

// GoString does not tell the key.
func (ServiceKey) GoString() string { return redacted }

// MarshalText does not tell the key.
func (ServiceKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// SigV4 signs requests as a role that may call the service's host routes, for API Gateway.
type SigV4 struct {
	// Provider gives the role's credentials, as aws.Config has it. Required. It is asked for each request, so it should
	// cache; those of the SDK's config package do.
	Provider aws.CredentialsProvider
	// Region is where the service is deployed. Required.
	Region string
}

func (s SigV4) validate() error {
	if s.Provider == nil {
		return errors.New("SigV4.Provider is required")
	}
	if s.Region == "" {
		return errors.New("SigV4.Region is required")
	}
	return nil
}

func (s SigV4) authorize(ctx context.Context, r *http.Request, body []byte, now time.Time) error {
	credentials, err := s.Provider.Retrieve(ctx)
	if err != nil {
		return fmt.Errorf("AWS credentials: %w", err)
	}
	hash := sha256.Sum256(body)
	return v4.NewSigner().SignHTTP(ctx, credentials, r, hex.EncodeToString(hash[:]), "execute-api", s.Region, now)
}
