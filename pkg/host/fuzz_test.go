package host_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/nightlatch/nightlatch/pkg/host"
)

// always redeems: only what was signed decides.
var always = func(c *host.Config) { c.Redeemer = &recorder{} }

// FuzzVerifyAssertion: whatever a browser hands on, nobody is in but by what the service has signed, for this user and this
// sign-in.
func FuzzVerifyAssertion(f *testing.F) {
	s := newStandIn(issuer, at(now))
	c := newClient(f, s, at(now), always)
	good := s.sign(s.claims(want.User, want.Nonce))
	others := s.sign(s.claims("auth0|mallory", want.Nonce))
	part := func(assertion string, n int) string { return strings.Split(assertion, ".")[n] }
	for _, seed := range []string{
		"", ".", "..", good, others, good + ".", good + "=", good + "\n", part(good, 0) + "." + part(others, 1) + "." + part(good, 2),
		part(good, 0) + "." + part(good, 1) + ".", "eyJhbGciOiJub25lIn0." + part(good, 1) + ".", part(good, 0) + ".e30." + part(good, 2),
		`{"payload":"` + part(good, 1) + `","protected":"` + part(good, 0) + `","signature":"` + part(good, 2) + `"}`,
	} {
		f.Add(seed, uint16(0), byte(0))
		f.Add(seed, uint16(50), byte(1))
		f.Add(seed, uint16(len(part(good, 0))-1), byte('Q'^'e')) // the same bytes
	}
	f.Fuzz(func(t *testing.T, text string, place uint16, flip byte) {
		altered := []byte(good)
		altered[int(place)%len(altered)] ^= flip
		for _, presented := range []string{text, string(altered), part(good, 0) + "." + part(good, 1) + "." + text, text + "." + part(good, 1) + "." + part(good, 2)} {
			claims, err := c.VerifyAssertion(t.Context(), presented, want)
			switch {
			case err == nil && (presented != good || claims.User != want.User):
				t.Errorf("%q lets %q in", presented, claims.User)
			case err != nil && (!errors.Is(err, host.ErrAssertion) || claims.User != "" || claims.ID != ""):
				t.Errorf("%q: %+v, %v", presented, claims, err)
			case presented == good && err != nil:
				t.Errorf("the service's own: %v", err)
			}
		}
	})
}

// FuzzKeySet: whatever is answered for the service's keys, nobody is in by a key that is not in it.
func FuzzKeySet(f *testing.F) {
	s, other := newStandIn(issuer, at(now)), newStandIn(issuer, at(now))
	forged := other.sign(other.claims(want.User, want.Nonce))
	for _, set := range []any{s.public, map[string]any{"keys": []any{}}, map[string]any{"keys": nil}, []any{}, nil, map[string]any{"keys": []any{nil, 1, "x"}}} {
		text, err := json.Marshal(set)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA","kid":"key-1","alg":"HS256"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"key-1"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-384","x":"AA","y":"AA","kid":"key-1"},{"kty":"OKP","crv":"Ed25519","x":"AA","kid":"key-1"}]}`))
	f.Fuzz(func(t *testing.T, set []byte) {
		c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(set) }), at(now), always)
		claims, err := c.VerifyAssertion(t.Context(), forged, want)
		if err == nil || claims.User != "" || !errors.Is(err, host.ErrAssertion) && !errors.Is(err, host.ErrUnavailable) {
			t.Errorf("by %s: %+v, %v", set, claims, err)
		}
	})
}
