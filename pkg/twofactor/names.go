package twofactor

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"unicode"
	"unicode/utf8"
)

// UserID names a user as the host's identity provider does (the session's sub).
type UserID string

// maxUserID is the longest user id in bytes.
const maxUserID = 128

// Validate reports whether the id can name a user: 1 to 128 bytes of printable UTF-8. The error is [ErrUserID].
func (u UserID) Validate() error {
	if u == "" || len(u) > maxUserID || !utf8.ValidString(string(u)) {
		return ErrUserID
	}
	for _, r := range u {
		if !unicode.IsPrint(r) {
			return ErrUserID
		}
	}
	return nil
}

// Digest is 128 bits that name something: a request, a challenge, an enrolment, a grant. Some are random, most are
// digests of others, so that a retried request names the same thing again.
type Digest [16]byte

// NewDigest returns a digest of the parts, each preceded by its length, so that no two lists of parts run together.
func NewDigest(domain string, parts ...string) Digest {
	h := sha256.New()
	for _, part := range append([]string{domain}, parts...) {
		var length [4]byte
		binary.BigEndian.PutUint32(length[:], uint32(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return Digest(h.Sum(nil)[:len(Digest{})])
}

// Derive returns another digest that follows from this one.
func (d Digest) Derive(domain string) Digest { return NewDigest(domain, string(d[:])) }

// RandomDigest returns 128 random bits.
func RandomDigest() Digest {
	var d Digest
	rand.Read(d[:]) // never fails: crypto/rand ends the program instead
	return d
}

// String is the digest in base64url without padding, 22 characters.
func (d Digest) String() string { return base64.RawURLEncoding.EncodeToString(d[:]) }

// ParseDigest reads what String wrote. The error is [ErrDigest].
func ParseDigest(s string) (Digest, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(Digest{}) {
		return Digest{}, ErrDigest
	}
	return Digest(b), nil
}

// MarshalText writes the digest as String does.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Digest) UnmarshalText(text []byte) error {
	parsed, err := ParseDigest(string(text))
	*d = parsed
	return err
}

// WriteID names one attempt to store an account. It is 72 random bits in base64url, 12 characters.
type WriteID string

// NewWriteID returns a new write id.
func NewWriteID() WriteID {
	var b [9]byte
	rand.Read(b[:])
	return WriteID(base64.RawURLEncoding.EncodeToString(b[:]))
}

var (
	// ErrUserID is returned for a user id that cannot name a user.
	ErrUserID = errors.New("user id must be 1 to 128 bytes of printable UTF-8")
	// ErrDigest is returned for text that is not a digest.
	ErrDigest = errors.New("not 128 bits in base64url")
)
