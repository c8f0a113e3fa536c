package api_test

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// FuzzParsePathUser: a segment of a path is one user id or a problem, and an id is the same after it was in a path.
func FuzzParsePathUser(f *testing.F) {
	for _, seed := range []string{"", "alice", "auth0|123", "=YS9i", "=YS9i\n", "=YR", "=YQ", "=", ".", "..", "a/b", "a%2Fb", "=LiU=", "ä", "\xff", strings.Repeat("a", 129)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, segment string) {
		user, err := api.ParsePathUser(segment)
		if err != nil {
			wantInvalid(t, err, "user", segment)
			if user != "" {
				t.Errorf("%q is refused, and %q", segment, user)
			}
		} else {
			wantSameUser(t, user)
			if user != segment && segment != "="+base64.RawURLEncoding.EncodeToString([]byte(user)) { // one spelling
				t.Errorf("%q becomes %q", segment, user)
			}
		}
		wantInPath(t, segment)
	})
}

// wantSameUser fails unless a user id comes out of a path as it went in.
func wantSameUser(t *testing.T, user string) {
	t.Helper()
	segment, err := url.PathUnescape(api.PathUser(user))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := api.ParsePathUser(segment); err != nil || got != user {
		t.Errorf("%q comes back as %q, %v", user, got, err)
	}
}

// wantInPath fails unless any text at all is one segment of a path, and not an empty one.
func wantInPath(t *testing.T, user string) {
	t.Helper()
	u, err := url.Parse("https://example.com/v1/users/" + api.PathUser(user) + "/events")
	if err != nil || strings.Count(u.Path, "/") != 4 || strings.Contains(u.Path, "//") || u.RawQuery != "" || u.Fragment != "" {
		t.Errorf("%q in a path is %v, %v", user, u, err)
	}
}

// FuzzCheckIdempotencyKey: what is taken for a key is short, and can stand in a header.
func FuzzCheckIdempotencyKey(f *testing.F) {
	for _, seed := range []string{"", "5d2c8f0a-7b1e-4c6d-9a43-1f0e2b7c8d9e", strings.Repeat("k", 15), strings.Repeat("k", 65), "0123456789abcde\n", "0123456789abcdé"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		err := api.CheckIdempotencyKey(key)
		good := len(key) >= 16 && len(key) <= 64 && strings.Trim(key, " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~") == ""
		if good != (err == nil) {
			t.Fatalf("%q: %v", key, err)
		}
		if err != nil {
			wantInvalid(t, err, "idempotency-key", key)
		}
	})
}

// wantInvalid fails unless an error is a problem that names what is wrong, and does not repeat it.
func wantInvalid(t *testing.T, err error, name, value string) {
	t.Helper()
	var problem *api.Problem
	if !errors.As(err, &problem) || problem.Code != api.CodeInvalidRequest {
		t.Fatalf("%v is no invalid_request", err)
	}
	if !strings.HasPrefix(problem.Detail, name+": ") || len(problem.Detail) > 200 || !utf8.ValidString(problem.Detail) {
		t.Errorf("the detail is %q", problem.Detail)
	}
	if len(value) >= 12 && strings.Contains(problem.Detail, value) {
		t.Errorf("the detail tells the value: %q", problem.Detail)
	}
}
