package mail

import (
	"errors"
	netmail "net/mail"
	"strings"
)

// How long an address can be, in bytes (RFC 5321, sections 4.5.3.1.1 and 4.5.3.1.3, less the angle brackets).
const (
	maxLocal   = 64
	maxAddress = 254
)

// checkAddress returns nil for a bare address that SES takes: printable ASCII, since SES knows no SMTPUTF8 (RFC 6531). A
// domain that has other characters must come as its A-label, xn--… (RFC 5890). Quoted local parts, groups, names and
// comments are refused: nobody has them, and each has let a second recipient in somewhere.
func checkAddress(address string) error {
	for _, r := range address {
		if r <= ' ' || r > '~' || strings.ContainsRune(`"(),:;<>[\]`, r) {
			return errors.New("has a character that no address may have")
		}
	}
	a, err := netmail.ParseAddress(address)
	if err != nil || a.Address != address || len(address) > maxAddress || strings.IndexByte(address, '@') > maxLocal {
		return errors.New("is not an address")
	}
	return nil
}
