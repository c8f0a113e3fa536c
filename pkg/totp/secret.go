package totp

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Secret is the shared secret of an authenticator. It does not show itself: String, every fmt verb, slog and JSON give
// "[secret]". Only Base32 and Params.URI reveal it. (fmt reads unexported fields past their methods: keep a Secret in an
// exported field, or in none.)
type Secret []byte

// Sizes in bytes. RFC 4226 §4 R6 requires 128 bits and recommends 160. 80 bits, as older services issued them, are not taken
// from elsewhere either. 512 bits is the longest seed of RFC 6238 appendix B.
const (
	newSecretSize = 20
	minSecretSize = 16
	maxSecretSize = 64
)

// The errors for what is no secret. They never quote it.
var (
	ErrSecret     = errors.New("secret: is not base32: the letters A to Z and the digits 2 to 7")
	ErrSecretSize = errors.New("secret: must have 128 to 512 bits")
)

// NewSecret returns 160 bits from crypto/rand (RFC 4226 §4 R6).
func NewSecret() (Secret, error) {
	s := make(Secret, newSecretSize)
	_, err := rand.Read(s)
	return s, err
}

var unpadded = base32.StdEncoding.WithPadding(base32.NoPadding)

// ParseSecret reads a secret as people copy it: in either case, with spaces, hyphens and padding or without.
// Bits after the last whole byte are dropped, as apps do. Its errors are ErrSecret and ErrSecretSize.
func ParseSecret(typed string) (Secret, error) {
	text := strings.TrimRight(strings.Map(fold, typed), "=")
	size := len(text) * 5 / 8 // in bytes
	// Of a length that whole bytes cannot have, encoding/base32 silently drops up to four characters: fill the last group.
	text += strings.Repeat("A", -len(text)&7)
	s, err := unpadded.DecodeString(text)
	if err != nil {
		return nil, ErrSecret // and not err: it tells about the secret
	}
	if err := Secret(s[:size]).validate(); err != nil {
		return nil, err
	}
	return s[:size], nil
}

func (s Secret) validate() error {
	if len(s) < minSecretSize || len(s) > maxSecretSize {
		return ErrSecretSize
	}
	return nil
}

// Base32 is the secret in upper case and without padding, as the key URI and manual entry want it (RFC 4648 §6).
func (s Secret) Base32() string { return unpadded.EncodeToString(s) }

const redacted = "[secret]"

// String returns "[secret]".
func (Secret) String() string { return redacted }

// GoString returns "[secret]".
func (Secret) GoString() string { return redacted }

// Format writes "[secret]" whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue returns "[secret]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[secret]".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "[secret]", which does not parse back: a secret is stored sealed, never as JSON.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
