package totp

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// key32 is what key URIs of these tests carry.
const key32 = "JBSWY3DPEHPK3PXPO5XXE3DEEE"

func TestParseURI(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]struct {
		Params
		account string
	}{
		"otpauth://totp/Example:alice?secret=" + key32: {Default, "alice"},
		"otpauth://totp/Big%20Corp:%20a%2Bb@example.com?secret=jbsw%20y3dp-ehpk+3pxp%20o5xxe3deee%3D%3D%3D&issuer=Big+Corp": {Default, "a+b@example.com"},
		"otpauth://totp/Example%3Aalice?secret=" + key32 + "&algorithm=SHA1&digits=6&period=30":                             {Default, "alice"},
		"otpauth://totp/alice?SECRET=" + key32 + "&Algorithm=sha256&Digits=8&Period=60":                                     {Params{SHA256, 8, 60}, "alice"},
		"OTPAUTH://TOTP/alice?secret=" + key32 + "&algorithm=SHA-512&period=15":                                             {Params{SHA512, 6, 15}, "alice"},
		" otpauth://totp/?algorithm=HmacSHA256&period=120&secret=" + key32 + "&image=https%3A%2F%2Fexample.com&counter=1\n": {Params{SHA256, 6, 120}, ""},
		"otpauth://totp?secret=" + key32: {Default, ""},
	} {
		got, err := ParseURI(uri)
		if err != nil || got.Secret.Base32() != key32 || got.Params != want.Params || got.Account != want.account {
			t.Errorf("ParseURI(%q) = %+v, %v; want %+v", uri, got, err, want)
		}
	}
}

// TestParseURIRefuses: what is wrong is named, and nothing of it is quoted.
func TestParseURIRefuses(t *testing.T) {
	t.Parallel()
	const start = "otpauth://totp/Example:alice?secret=" + key32
	for uri, want := range map[string]string{
		"":                                      "must begin with otpauth://totp/",
		key32:                                   "must begin with otpauth://totp/",
		"https://example.com/" + key32:          "must begin with otpauth://totp/",
		"otpauth://steam/alice?secret=" + key32: "must begin with otpauth://totp/",
		"otpauth:totp/alice?secret=" + key32:    "must begin with otpauth://totp/",
		"otpauth-migration://offline?data=" + key32:      "must begin with otpauth://totp/",
		"otpauth://totp/%" + key32:                       "must begin with otpauth://totp/",
		"otpauth://totp:" + key32 + "/alice":             "must begin with otpauth://totp/",
		"otpauth://hotp/alice?counter=1&secret=" + key32: "is of a key whose codes count (HOTP)",
		start + "&digits=%" + key32:                      "its parameters cannot be read",
		start + ";digits=8":                              "its parameters cannot be read",
		start + "&secret=" + key32:                       "secret: is given twice",
		start + "&Secret=" + key32:                       "secret: is given twice",
		start + "&digits=6&digits=8":                     "digits: is given twice",
		start + "&encoder=steam":                         "encoder: ",
		"otpauth://totp/Example:alice":                   "secret: must have 128 to 512 bits",
		"otpauth://totp/alice?secret=":                   "secret: must have 128 to 512 bits",
		"otpauth://totp/alice?secret=" + key32[:16]:      "secret: must have 128 to 512 bits",
		"otpauth://totp/alice?secret=1" + key32:          "secret: is not base32",
		start + "&algorithm=MD5":                         "algorithm: must be SHA1",
		start + "&algorithm=" + key32:                    "algorithm: must be SHA1",
		start + "&algorithm=":                            "algorithm: must be SHA1",
		start + "&digits=7":                              "digits: must be 6 or 8",
		start + "&digits=" + key32:                       "digits: must be 6 or 8",
		start + "&digits=":                               "digits: must be 6 or 8",
		start + "&period=14":                             "period: must be 15 to 120 seconds",
		start + "&period=121":                            "period: must be 15 to 120 seconds",
		start + "&period=0":                              "period: must be 15 to 120 seconds",
		start + "&period=30.5":                           "period: must be 15 to 120 seconds",
		start + "&period=99999999999999999999999999":     "period: must be 15 to 120 seconds",
	} {
		got, err := ParseURI(uri)
		if err == nil || !strings.HasPrefix(err.Error(), want) || got.Secret != nil {
			t.Errorf("ParseURI(%q) = %+v, %v; want %s", uri, got, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), key32[:16]) || errors.Unwrap(err) != nil) {
			t.Errorf("ParseURI(%q) quotes it: %v", uri, err)
		}
	}
}

// TestParseURIReadsBack: what URI writes is read as it was.
func TestParseURIReadsBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, secret, _ := draw(t)
		account := rapid.StringMatching(`[^:]{0,20}`).Draw(t, "account")
		got, err := ParseURI(p.URI(secret, rapid.StringMatching(`[^:]{0,20}`).Draw(t, "issuer"), account))
		if err != nil || !bytes.Equal(got.Secret, secret) || got.Params != p || got.Account != strings.TrimSpace(account) {
			t.Fatalf("read %+v, %v; want %+v of %q", got, err, p, account)
		}
	})
}

func FuzzParseURI(f *testing.F) {
	f.Add("otpauth://totp/Example:alice?secret=" + key32 + "&algorithm=SHA256&digits=8&period=60")
	f.Add("otpauth://hotp/%zz?secret=%")
	f.Fuzz(func(t *testing.T, uri string) {
		got, err := ParseURI(uri)
		if err != nil {
			return
		}
		if _, err := got.Params.Code(got.Secret, 1); err != nil {
			t.Errorf("ParseURI(%q) is read, and has no codes: %v", uri, err)
		}
	})
}
