package host_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/host"
)

// TestVectors: what the Node helper says of the same assertions, web/host/test/vectors.test.ts holds it to.
func TestVectors(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/assertions.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Issuer, Audience, User, Nonce string

		IssuedAt int64           `json:"iat"` // seconds
		At       int64           // milliseconds after that
		Keys     json.RawMessage `json:"jwks"`
		Cases    []struct {
			Name, Verdict, Assertion string

			At          *int64
			User, Nonce *string
			Claims      struct {
				Method   string   `json:"method"`
				State    string   `json:"state"`
				AMR      []string `json:"amr"`
				AuthTime int64    `json:"auth_time"`
				IssuedAt int64    `json:"iat"`
				Expires  int64    `json:"exp"`
				ID       string   `json:"jti"`
			}
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	keys := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(file.Keys) })
	verdicts := map[string]int{}
	for _, test := range file.Cases {
		verdicts[test.Verdict]++
		t.Run(test.Name, func(t *testing.T) {
			t.Parallel()
			want := host.Expected{User: or(test.User, file.User), Nonce: or(test.Nonce, file.Nonce)}
			now := time.Unix(file.IssuedAt, 0).Add(time.Duration(or(test.At, file.At)) * time.Millisecond)
			client := newClient(t, keys, at(now), func(c *host.Config) { c.URL, c.Audience = file.Issuer, file.Audience })
			got, err := client.VerifyAssertion(t.Context(), test.Assertion, want)
			if test.Verdict == "refused" {
				if !errors.Is(err, host.ErrAssertion) || !cmp.Equal(got, host.Claims{}) {
					t.Errorf("%+v, %v; want ErrAssertion", got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c := test.Claims
			if diff := cmp.Diff(host.Claims{
				User: want.User, Method: c.Method, State: c.State, AMR: c.AMR, AuthTime: time.Unix(c.AuthTime, 0).UTC(),
				IssuedAt: time.Unix(c.IssuedAt, 0).UTC(), ExpiresAt: time.Unix(c.Expires, 0).UTC(), ID: c.ID,
			}, got); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
			if _, err := client.VerifyAssertion(t.Context(), test.Assertion, want); !errors.Is(err, host.ErrRedeemed) {
				t.Errorf("again: %v; want ErrRedeemed", err)
			}
		})
	}
	if verdicts["accepted"] < 5 || verdicts["refused"] < 50 || len(verdicts) != 2 {
		t.Errorf("verdicts %v; want a few accepted, many refused, and no others", verdicts)
	}
}

func or[T any](given *T, otherwise T) T {
	if given == nil {
		return otherwise
	}
	return *given
}
