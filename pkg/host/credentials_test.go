package host_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/host"
)

const secretKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

var role = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: secretKey, SessionToken: "session/token=="}, nil
})

// TestSigV4 makes the signature of what arrives again, from the description of Signature Version 4 alone: once with the
// path as it was sent, and once with one that was decoded and encoded twice. A gateway may do either.
func TestSigV4(t *testing.T) {
	t.Parallel()
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		const scope = "20260314/eu-central-1/execute-api/aws4_request"
		const prefix = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/" + scope + ", SignedHeaders="
		rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), prefix)
		names, signature, split := strings.Cut(rest, ", Signature=")
		if !ok || !split || r.Header.Get("X-Amz-Date") != "20260314T150926Z" || r.Header.Get("X-Amz-Security-Token") != "session/token==" {
			t.Fatalf("headers %v; want a signature as of the clock, with the session's token", r.Header)
		}
		var headers strings.Builder
		for name := range strings.SplitSeq(names, ";") {
			value := r.Header.Get(name)
			if name == "host" {
				value = r.Host
			}
			headers.WriteString(name + ":" + value + "\n")
		}
		for _, name := range []string{"content-length", "content-type", "host", "x-amz-date", "x-amz-security-token"} {
			if !strings.Contains(";"+names+";", ";"+name+";") {
				t.Errorf("%s is not signed: %s", name, names)
			}
		}
		hash := sha256.Sum256(body)
		twice := make([]string, 0, 8)
		for segment := range strings.SplitSeq(r.URL.Path, "/") {
			twice = append(twice, unreserved(unreserved(segment)))
		}
		for _, path := range []string{strings.ReplaceAll(unreserved(r.RequestURI), "%2F", "/"), strings.Join(twice, "/")} {
			canonical := strings.Join([]string{"POST", path, "", headers.String(), names, hex.EncodeToString(hash[:])}, "\n")
			digest := sha256.Sum256([]byte(canonical))
			key := []byte("AWS4" + secretKey)
			for part := range strings.SplitSeq(scope, "/") {
				key = mac(key, part)
			}
			toSign := "AWS4-HMAC-SHA256\n20260314T150926Z\n" + scope + "\n" + hex.EncodeToString(digest[:])
			if want := hex.EncodeToString(mac(key, toSign)); signature != want {
				t.Errorf("%s: signature %s; want %s", path, signature, want)
			}
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	client := newClient(t, nil, at(now), func(c *host.Config) {
		c.URL, c.HTTP = server.URL, nil
		c.Credentials = host.SigV4{Provider: role, Region: "eu-central-1"}
	})
	users := []string{"alice", "alice@example.com", "auth0|123", "a b", "a+b=c&d$e:f", "(a)!*'", "é素", "a/b", "=a", "100%"}
	for _, user := range users {
		if err := client.Report(t.Context(), user, api.HostEventRequest{Type: "login"}); err != nil {
			t.Errorf("%s: %v", user, err)
		}
	}
	if requests != len(users) {
		t.Errorf("%d requests; want %d", requests, len(users))
	}
}

// unreserved encodes all but the unreserved characters of RFC 3986.
func unreserved(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func mac(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(s))
	return h.Sum(nil)
}

// TestNoCredentials: nothing is sent without them.
func TestNoCredentials(t *testing.T) {
	t.Parallel()
	cause := errors.New("no role")
	client := newClient(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("was sent") }), at(now),
		func(c *host.Config) {
			c.Credentials = host.SigV4{Region: "eu-central-1", Provider: aws.CredentialsProviderFunc(
				func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, cause },
			)}
		})
	if _, err := client.Challenge(t.Context(), request); !errors.Is(err, host.ErrUnavailable) || !errors.Is(err, cause) {
		t.Errorf("%v; want ErrUnavailable and the cause", err)
	}
}
