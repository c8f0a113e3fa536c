// Package backupcode has the code with which a user gets in once without the authenticator: how it is made, read and recognised.
//
// A code is derived by a pseudo-random function from what is known of the request that asked for it, so that a retry gets
// the same code and nothing has to be kept that would reveal it. What is kept is its digest, by the same kind of function:
// without the key a stolen digest cannot be tried offline, which is why 40 bits are enough for the short code.
package backupcode

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode"
)

// alphabet is Crockford's base32: no I, L, O, which look like digits, and no U.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// Lengths of a code in characters of 5 bits.
const (
	MinLength      = 8  // 40 bits
	MaxLength      = 26 // 130 bits
	StandardLength = 13 // 65 bits
	ShortLength    = 8  // 40 bits
)

// Code is a backup code: 8 to 26 digits of the alphabet, without separators. It does not show itself: String, every fmt
// verb, slog and JSON give "[backup code]". Only Grouped reveals it. (fmt reads unexported fields past their methods, and JSON
// the keys of a map: keep a Code in neither.)
type Code string

// ErrMalformed is the error for what cannot be a backup code: another character than the alphabet's, or a length outside 8 to 26.
var ErrMalformed = errors.New("backupcode: not a backup code")

// Normalise reads a code as people type and paste it: in either case and width, with spaces, dashes and invisible characters
// anywhere, with O for 0 and I or L for 1. Its only error is ErrMalformed.
func Normalise(typed string) (Code, error) {
	c := Code(strings.Map(fold, typed))
	if err := c.validate(); err != nil {
		return "", err
	}
	return c, nil
}

// fold maps what looks like a character of the alphabet to it, and what only separates to -1.
func fold(r rune) rune {
	switch {
	case unicode.IsSpace(r), unicode.Is(unicode.Pd, r), r == '−': // U+2212, the minus sign, is no dash to Unicode
		return -1
	case unicode.Is(unicode.Cf, r): // zero width, text direction, soft hyphen: come along with pasted text
		return -1
	}
	if '！' <= r && r <= '～' { // the full-width forms of printable ASCII
		r -= '！' - '!'
	}
	if 'a' <= r && r <= 'z' {
		r -= 'a' - 'A'
	}
	switch r {
	case 'O':
		return '0'
	case 'I', 'L':
		return '1'
	}
	return r
}

func (c Code) validate() error {
	if len(c) < MinLength || len(c) > MaxLength || strings.Trim(string(c), alphabet) != "" {
		return ErrMalformed
	}
	return nil
}

// Grouped is the code for people: up to 8 characters undivided, "K7QF9XT4", longer ones in groups of five,
// "K7QF2-9XT4M-8WZ".
func (c Code) Grouped() string {
	if len(c) <= ShortLength {
		return string(c)
	}
	var b strings.Builder
	for i := 0; i < len(c); i += 5 {
		if i > 0 {
			b.WriteByte('-')
		}
		b.WriteString(string(c[i:min(i+5, len(c))]))
	}
	return b.String()
}

const redacted = "[backup code]"

// String returns "[backup code]".
func (Code) String() string { return redacted }

// GoString returns "[backup code]".
func (Code) GoString() string { return redacted }

// Format writes "[backup code]" whatever the verb.
func (Code) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue returns "[backup code]".
func (Code) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[backup code]".
func (Code) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "[backup code]": an answer to the user says Grouped.
func (Code) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
