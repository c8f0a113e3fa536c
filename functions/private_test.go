package functions_test

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// private is what no log may have. A piece of it is enough: of a token or another secret any 12 characters, of a text that
// people read, or a body, any 24. In capitals or not is the same.
type private struct {
	pieces map[string]string // what each is of
	whole  map[string]string // what is shorter than a piece
	codes  map[string]string // of digits: not those that are part of a longer number
}

const (
	pieceOfSecret = 12
	pieceOfText   = 24
)

func newPrivate() *private {
	return &private{map[string]string{}, map[string]string{}, map[string]string{}}
}

// secret adds a secret as it is, without its hyphens, and as the bytes that it spells.
func (p *private) secret(what, text string) {
	p.cut(what, text, pieceOfSecret)
	p.cut(what, strings.ReplaceAll(text, "-", ""), pieceOfSecret)
	for part := range strings.SplitSeq(text, ".") {
		if spelled, err := base64.RawURLEncoding.DecodeString(part); err == nil && json.Valid(spelled) { // of an assertion
			p.body(string(spelled))
		} else if err == nil && len(spelled) >= pieceOfSecret {
			p.cut(what, string(spelled), pieceOfSecret)
		}
		if spelled, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(part); err == nil && len(spelled) >= pieceOfSecret {
			p.cut(what, string(spelled), pieceOfSecret)
		}
	}
}

// text adds what somebody reads, or a body.
func (p *private) text(what, text string) { p.cut(what, text, pieceOfText) }

func (p *private) cut(what, text string, size int) {
	text = lower(text)
	switch {
	case len(text) < 6: // it says nothing, or is everywhere
	case strings.Trim(text, "0123456789") == "":
		p.codes[text] = what
	case len(text) < size:
		p.whole[text] = what
	default:
		for i := range len(text) - size + 1 {
			p.pieces[text[i:i+size]] = what
		}
	}
}

func (p *private) address(what, text string) {
	p.secret(what, text)
	local, _, _ := strings.Cut(text, "@")
	p.secret(what, local)
}

// members are those of requests and answers that are nobody else's business.
var members = []string{
	"code", "challenge", "token", "grant", "email", "email_hint", "label", "name", "birthdate", "phone", "manual_secret", "otpauth_uri",
	"qr_svg", "qr_png", "backup_code", "assertion", "url", "on_file", "verified", "note", "nonce", "ip", "user_agent",
}

// body adds a body of JSON, and what it has.
func (p *private) body(text string) {
	var value any
	if json.Unmarshal([]byte(text), &value) == nil {
		p.walk("", value)
	}
	if len(text) > 40 { // shorter ones say nothing
		p.text("a body", text)
	}
}

func (p *private) walk(name string, value any) {
	switch v := value.(type) {
	case string:
		switch {
		case name == "email":
			p.address(name, v)
		case name == "url": // of which the host is no secret
			p.secret(name, v[strings.LastIndexByte(v, '/')+1:])
		case slices.Contains(members, name):
			p.secret(name, v)
		}
	case []any:
		for _, one := range v {
			p.walk(name, one)
		}
	case map[string]any:
		for name, one := range v {
			p.walk(name, one)
		}
	}
}

// in looks for what is private in a text and in what it spells, in any of the ways in which programs write bytes.
func (p *private) in(text string) (what, found string) {
	for _, reading := range readings(text, 2) {
		reading = lower(reading)
		for number := range numbers(reading) {
			if what, ok := p.codes[number]; ok {
				return what, number
			}
		}
		for short, what := range p.whole {
			if strings.Contains(reading, short) {
				return what, short
			}
		}
		for _, size := range []int{pieceOfSecret, pieceOfText} {
			for i := range max(0, len(reading)-size+1) {
				if what, ok := p.pieces[reading[i:i+size]]; ok {
					return what, reading[i : i+size]
				}
			}
		}
	}
	return "", ""
}

// lower is strings.ToLower for what need not be UTF-8.
func lower(text string) string {
	b := []byte(text)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func numbers(text string) func(yield func(string) bool) {
	return strings.FieldsFuncSeq(text, func(r rune) bool { return r < '0' || r > '9' })
}

var (
	escaped  = regexp.MustCompile(`\\u00[0-9a-fA-F]{2}|\\.`)
	percents = regexp.MustCompile(`%[0-9a-fA-F]{2}`)
	decimals = regexp.MustCompile(`[0-9]{1,3}(?:,? [0-9]{1,3}){5,}`)
	inBase64 = regexp.MustCompile(`[A-Za-z0-9+/_-]{8,}`)
	inBase32 = regexp.MustCompile(`[A-Z2-7]{10,}|[a-z2-7]{10,}`)
	inHex    = regexp.MustCompile(`[0-9a-f]{12,}|[0-9A-F]{12,}`)
)

// readings are a text, and what it says to those who undo one way of writing it after another, so many times. Where what was
// written begins is not known: each place is tried.
func readings(text string, times int) []string {
	all := []string{text}
	if times == 0 || len(text) < 6 {
		return all
	}
	undone := []string{
		escaped.ReplaceAllStringFunc(text, func(s string) string {
			c, err := strconv.ParseUint(strings.TrimPrefix(s, `\u`), 16, 8)
			if err != nil || len(s) < 6 {
				return s[1:]
			}
			return string(rune(c))
		}),
		percents.ReplaceAllStringFunc(strings.ReplaceAll(text, "+", " "), func(s string) string {
			c, _ := strconv.ParseUint(s[1:], 16, 8)
			return string([]byte{byte(c)})
		}),
	}
	undone = append(undone, offsets(decimals, text, 1, func(s string) (b []byte, _ error) {
		for number := range numbers(s) {
			c, _ := strconv.Atoi(number)
			b = append(b, byte(c))
		}
		return b, nil
	})...)
	undone = append(undone, offsets(inBase64, text, 4, func(s string) ([]byte, error) {
		return base64.RawStdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "/").Replace(s))
	})...)
	undone = append(undone, offsets(inBase32, text, 8, func(s string) ([]byte, error) {
		return base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(s))
	})...)
	undone = append(undone, offsets(inHex, text, 2, hex.DecodeString)...)
	for _, one := range undone {
		if one != text && one != "" {
			all = append(all, readings(one, times-1)...)
		}
	}
	return all
}

// offsets is what the runs of a form spell from each of their first places on.
func offsets(form *regexp.Regexp, text string, places int, decode func(string) ([]byte, error)) (all []string) {
	runs := form.FindAllString(text, -1)
	for place := range places {
		var said []byte
		for _, run := range runs {
			for end := len(run); end > len(run)-places; end-- { // what is no whole group at the end may be the next word's
				if b, err := decode(run[place:end]); err == nil {
					said = append(append(said, b...), '\n')
					break
				}
			}
		}
		all = append(all, string(said))
	}
	return all
}

// TestPrivate is a test of the search: each way to tell something is found, and what functions log is not taken for one.
func TestPrivate(t *testing.T) {
	t.Parallel()
	const (
		token  = "Zk3vQ9_xT1bW-4mLrY7uPq2sHd8cJf6nAe0oXg5iKtVh"
		secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
		backup = "7QH4-XK2M"
		code   = "493817"
		key    = "an-idempotency-key-0123"
		body   = `{"challenge":"` + token + `","method":"totp","code":"` + code + `"}`
	)
	p := newPrivate()
	p.body(body)
	p.secret("a key", key)
	p.secret("a secret", secret)
	p.secret("a backup code", backup)
	p.address("an address", "alice.smith@example.com")
	quoted, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	twice := base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(body))))
	raw, err := base32.StdEncoding.DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"a body": body, "its beginning": body[:30], "a body in JSON": string(quoted), "a body's bytes": fmt.Sprintf("%d", []byte(body)),
		"in Go": fmt.Sprintf("%#q", body), "in base64": base64.StdEncoding.EncodeToString([]byte(body)),
		"in base64, one byte later":  base64.StdEncoding.EncodeToString([]byte("x" + body)),
		"in base64, two bytes later": base64.URLEncoding.EncodeToString([]byte("xy" + body)),
		"in base64, after a word":    "was/" + base64.RawURLEncoding.EncodeToString([]byte(body)),
		"in base64, twice":           twice, "in base32": base32.StdEncoding.EncodeToString([]byte(body)),
		"in hex": hex.EncodeToString([]byte(body)), "in capital hex": fmt.Sprintf("%X", body), "in hex, after a letter": "a" + hex.EncodeToString([]byte(body)),
		"in a URL": "https://example.com/?body=" + url.QueryEscape(body), "a token, cut": "got " + token[:20] + "...", "the end of a token": token[len(token)-12:],
		"a token in capitals": strings.ToUpper(token), "a code": "code " + code, "a code in hex": hex.EncodeToString([]byte(code)),
		"a code in base64": base64.StdEncoding.EncodeToString([]byte(code)), "a code beside letters": "code" + code + "x", "a key": key, "a key in quotes": strconv.Quote(key),
		"a backup code": backup, "a backup code as it is typed": "7qh4xk2m", "a secret": strings.ToLower(secret), "a secret's bytes": hex.EncodeToString(raw),
		"an address": "to alice.smith@example.com", "an address's local part": "to alice.smith at home", "an address, escaped": "alice.smith%40example.com",
	} {
		if what, _ := p.in(text); what == "" {
			t.Errorf("%s is not found: %s", name, text)
		}
	}
	for _, text := range append([]string{
		"alice", "Smith", "https://example.com/", "1795350406739", "0.493817123", "4938170", "49381", "unavailable: https response error StatusCode: 500",
		rand.Text(), "accounts-" + rand.Text(), "12a18625-3cb3-fafc-b6e0-4f3bd5b9b7a4", `{"method":"totp"}`, "000000",
	}, broken...) {
		if what, found := p.in(text); what != "" {
			t.Errorf("%s is taken for %s, for %q", text, what, found)
		}
	}
}
