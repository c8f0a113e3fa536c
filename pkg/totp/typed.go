package totp

import (
	"errors"
	"strings"
	"unicode"
)

// ErrMalformed is the error for what cannot be a code: the wrong number of digits, or something else than digits.
var ErrMalformed = errors.New("totp: not a code")

// Normalise reads a code as people type and paste it: spaces, dashes and invisible characters are dropped, decimal digits
// of any script become ASCII. ErrMalformed unless exactly p.Digits digits remain.
func (p Params) Normalise(typed string) (string, error) {
	code := strings.Map(fold, typed)
	if !isCode(code, p.Digits) {
		return "", ErrMalformed
	}
	return code, nil
}

// isCode reports whether code is that many ASCII digits, and at least one.
func isCode(code string, digits int) bool {
	return code != "" && len(code) == digits && strings.Trim(code, "0123456789") == ""
}

// fold maps what looks like an ASCII digit or letter to it, letters in upper case, and what only separates to -1.
func fold(r rune) rune {
	switch {
	case '0' <= r && r <= '9':
		return r
	case unicode.IsSpace(r), unicode.Is(unicode.Pd, r), r == '−': // U+2212, the minus sign, is no dash to Unicode
		return -1
	case unicode.Is(unicode.Cf, r): // zero width, text direction, soft hyphen: come along with pasted text
		return -1
	}
	if digit, ok := digitOf(r); ok {
		return '0' + digit
	}
	if '！' <= r && r <= '～' { // the full-width forms of printable ASCII
		r -= '！' - '!'
	}
	if 'a' <= r && r <= 'z' {
		r -= 'a' - 'A'
	}
	return r
}

// digitOf is the value of a decimal digit of any script. Unicode keeps the ten digits of a script in order and without gaps
// (stability policy for General_Category Nd), so each range of the table is one or several runs from zero to nine.
func digitOf(r rune) (rune, bool) {
	if !unicode.IsDigit(r) {
		return 0, false
	}
	for _, run := range unicode.Nd.R16 {
		if lo, hi := rune(run.Lo), rune(run.Hi); lo <= r && r <= hi {
			return (r - lo) % 10, true
		}
	}
	for _, run := range unicode.Nd.R32 {
		if lo, hi := rune(run.Lo), rune(run.Hi); lo <= r && r <= hi {
			return (r - lo) % 10, true
		}
	}
	return 0, false
}
