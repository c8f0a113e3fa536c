package api_test

import (
	"encoding/base64"
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"github.com/nightlatch/nightlatch/pkg/api"
)

func TestPathUser(t *testing.T) {
	t.Parallel()
	for user, want := range map[string]string{
		"auth0|123":         "auth0%7C123",
		"alice@example.com": "alice@example.com",
		"a b":               "a%20b",
		"é":                 "%C3%A9",
		"a=":                "a=",
		"...":               "...",
		"a/b":               "=YS9i",
		"a?b":               "=YT9i",
		"a#b":               "=YSNi",
		"50%":               "=NTAl",
		`a\b`:               "=YVxi",
		".":                 "=Lg",
		"..":                "=Li4",
		"=YS9i":             "=PVlTOWk",
		"":                  "=",
	} {
		if got := api.PathUser(user); got != want {
			t.Errorf("PathUser(%q) = %q, want %q", user, got, want)
		}
	}
}

func TestParsePathUser(t *testing.T) {
	t.Parallel()
	encoded := func(user string) string { return "=" + base64.RawURLEncoding.EncodeToString([]byte(user)) }
	for segment, want := range map[string]string{
		"auth0|123":                       "auth0|123",
		"a b":                             "a b",
		"a=":                              "a=",
		"=YS9i":                           "a/b",
		encoded("alice"):                  "alice", // more than is needed, and no harm
		encoded("=YS9i"):                  "=YS9i", // decoded once
		strings.Repeat("é", 64):           strings.Repeat("é", 64),
		encoded(strings.Repeat("/", 128)): strings.Repeat("/", 128),
	} {
		if got, err := api.ParsePathUser(segment); err != nil || got != want {
			t.Errorf("ParsePathUser(%q) = %q, %v, want %q", segment, got, err, want)
		}
	}
}

func TestParsePathUserRefuses(t *testing.T) {
	t.Parallel()
	const (
		form  = "user: must be 1 to 128 bytes of printable UTF-8"
		plain = `user: an id with / ? # % or \ in it must be sent as = and its base64url`
		text  = "user: after = must come base64url without padding"
	)
	for segment, want := range map[string]string{
		"":                               form,
		"=":                              form,
		strings.Repeat("a", 129):         form,
		strings.Repeat("é", 65):          form,
		"a\x00":                          form,
		"a\n":                            form,
		"a\u00a0b":                       form, // a space that is not ASCII's does not print
		"a\u200b":                        form,
		"\xff":                           form,
		"=" + "_w":                       form, // the byte FF
		"=" + strings.Repeat("YWFh", 43): form,
		"a/b":                            plain,
		"a%2Fb":                          plain,
		"a?":                             plain,
		"#":                              plain,
		`a\b`:                            plain,
		".":                              plain,
		"..":                             plain,
		"=YS9i=":                         text,
		"=YWI=":                          text, // padded
		"=YS9":                           text, // bits left over
		"=YS9i\n":                        text,
		"=YS\r9i":                        text,
		"=YS9i+/":                        text,
		"=é":                             text,
	} {
		got, err := api.ParsePathUser(segment)
		if problem := (*api.Problem)(nil); !errors.As(err, &problem) || problem.Code != api.CodeInvalidRequest || problem.Detail != want {
			t.Errorf("ParsePathUser(%q) = %q, %v, want %q", segment, got, err, want)
		}
	}
}

// TestPathUserRoundTrip: every id arrives as it was sent, through a real URL, and no two ids share a path.
func TestPathUserRoundTrip(t *testing.T) {
	t.Parallel()
	printable := rapid.RuneFrom([]rune(`abAB09/?#%\.=|+@:;,&$~- é日😀`), unicode.L, unicode.N, unicode.P, unicode.S)
	ids := rapid.StringOfN(printable, 1, -1, 128)
	rapid.Check(t, func(t *rapid.T) {
		user := ids.Draw(t, "user")
		target := "/v1/users/" + api.PathUser(user) + "/events"
		path := httptest.NewRequest("POST", target, nil).URL.Path // decoded, as API Gateway routes by it
		segments := strings.Split(path, "/")
		if len(segments) != 5 {
			t.Fatalf("%q became the path %q", user, path)
		}
		got, err := api.ParsePathUser(segments[3])
		if err != nil || got != user {
			t.Fatalf("got %q, %v, want %q, sent as %s", got, err, user, target)
		}
		if again, err := url.PathUnescape(segments[3]); err != nil || again != segments[3] {
			t.Fatalf("%q would change if it were decoded twice: %q, %v", segments[3], again, err)
		}
	})
}

func TestCheckIdempotencyKey(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		"5d2c8f0a-7b1e-4c6d-9a43-1f0e2b7c8d9e", strings.Repeat("k", 16), strings.Repeat("k", 64), " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
	} {
		if err := api.CheckIdempotencyKey(key); err != nil {
			t.Errorf("%q: %v", key, err)
		}
	}
	const want = "idempotency-key: must be 16 to 64 printable ASCII characters"
	for _, key := range []string{
		"", strings.Repeat("k", 15), strings.Repeat("k", 65), strings.Repeat("k", 15) + "\n", strings.Repeat("k", 15) + "\x7f",
		strings.Repeat("é", 16), strings.Repeat("k", 16) + "\xff", strings.Repeat("k", 15) + "\x00",
	} {
		err := api.CheckIdempotencyKey(key)
		if problem := (*api.Problem)(nil); !errors.As(err, &problem) || problem.Code != api.CodeInvalidRequest || problem.Detail != want {
			t.Errorf("%q: got %v, want %q", key, err, want)
		}
	}
}
