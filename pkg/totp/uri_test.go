package totp

import (
	"bytes"
	"net/url"
	"strings"
	"testing"

	"github.com/pquerna/otp"
	"pgregory.net/rapid"
)

func TestURI(t *testing.T) {
	t.Parallel()
	secret := Secret("Hello!\xde\xad\xbe\xef")
	const end = "&algorithm=SHA1&digits=6&period=30"
	tests := []struct {
		name, issuer, account string
		p                     Params
		want                  string
	}{
		{"plain", "Example", "alice", Default, "otpauth://totp/Example:alice?secret=JBSWY3DPEHPK3PXP&issuer=Example" + end},
		{"other parameters", "Example", "alice", Params{SHA512, 8, 60},
			"otpauth://totp/Example:alice?secret=JBSWY3DPEHPK3PXP&issuer=Example&algorithm=SHA512&digits=8&period=60"},
		{"mail address and spaces", "Big Corp", "a b+c@example.com", Default,
			"otpauth://totp/Big%20Corp:a%20b%2Bc%40example.com?secret=JBSWY3DPEHPK3PXP&issuer=Big%20Corp" + end},
		{"colons", "A:B", "c:d", Default, "otpauth://totp/A%3AB:c%3Ad?secret=JBSWY3DPEHPK3PXP&issuer=A%3AB" + end},
		{"what a URI gives meaning to", "a/b?c#d", "e&f=g%h;i", Default,
			"otpauth://totp/a%2Fb%3Fc%23d:e%26f%3Dg%25h%3Bi?secret=JBSWY3DPEHPK3PXP&issuer=a%2Fb%3Fc%23d" + end},
		{"not Latin", "Банк", "花子", Default,
			"otpauth://totp/%D0%91%D0%B0%D0%BD%D0%BA:%E8%8A%B1%E5%AD%90?secret=JBSWY3DPEHPK3PXP&issuer=%D0%91%D0%B0%D0%BD%D0%BA" + end},
		{"dots", "..", ".", Default, "otpauth://totp/..:.?secret=JBSWY3DPEHPK3PXP&issuer=.." + end},
		{"no issuer", "", "alice", Default, "otpauth://totp/alice?secret=JBSWY3DPEHPK3PXP" + end},
		{"broken UTF-8", "a\xffb", "c", Default, "otpauth://totp/a%EF%BF%BDb:c?secret=JBSWY3DPEHPK3PXP&issuer=a%EF%BF%BDb" + end},
		{"injection", "x", "y?secret=AAAA&issuer=z", Default,
			"otpauth://totp/x:y%3Fsecret%3DAAAA%26issuer%3Dz?secret=JBSWY3DPEHPK3PXP&issuer=x" + end},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := test.p.URI(secret, test.issuer, test.account); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// Whatever the names, net/url and the parser of pquerna/otp read back what went in.
func TestURIReadsBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, secret, _ := draw(t)
		names := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.SampledFrom([]rune(" +:/?#&=%;,@.é花\\\"'<")), 0, 8, -1))
		issuer, account := names.Draw(t, "issuer"), names.Draw(t, "account")
		uri := p.URI(secret, issuer, account)

		parsed, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		label, account2, both := strings.Cut(strings.TrimPrefix(parsed.EscapedPath(), "/"), ":")
		if !both {
			label, account2 = "", label
		}
		for _, name := range [...]struct{ escaped, want string }{{label, issuer}, {account2, account}} {
			if got, err := url.PathUnescape(name.escaped); err != nil || got != name.want {
				t.Fatalf("%s: label has %q, %v, want %q", uri, got, err, name.want)
			}
		}
		if query, err := url.ParseQuery(parsed.RawQuery); err != nil || query.Get("issuer") != issuer {
			t.Fatalf("%s: issuer %q, %v, want %q", uri, query.Get("issuer"), err, issuer)
		}
		if strings.Contains(uri, "+") {
			t.Fatalf("%s has a plus", uri)
		}

		key, err := otp.NewKeyFromURL(uri)
		if err != nil {
			t.Fatal(err)
		}
		if got := key.Issuer(); issuer != "" && got != issuer {
			t.Errorf("%s: issuer %q, want %q", uri, got, issuer)
		}
		if got := key.AccountName(); issuer != "" && !strings.Contains(issuer, ":") && got != account {
			t.Errorf("%s: account %q, want %q", uri, got, account)
		}
		if key.Type() != "totp" || key.Algorithm().String() != string(p.Algorithm) ||
			key.Digits().Length() != p.Digits || key.Period() != uint64(p.Period) {
			t.Errorf("%s: %s, %s, %d digits, %d s, want %+v", uri, key.Type(), key.Algorithm(), key.Digits(), key.Period(), p)
		}
		if got, err := ParseSecret(key.Secret()); err != nil || !bytes.Equal(got, secret) {
			t.Errorf("%s: another secret, %v", uri, err)
		}
	})
}
