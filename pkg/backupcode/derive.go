package backupcode

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
)

// Keys are the pseudo-random functions that codes are derived and digested with.
type Keys interface {
	// PrimaryID is the key for new codes and digests. Its id is stored beside them.
	PrimaryID() uint32
	// Compute returns length bytes, at most 26, that are a PRF of input under the key with that id. A key that it does not have
	// is an error.
	Compute(keyID uint32, input []byte, length int) ([]byte, error)
}

// Origin says which code is meant: what it is derived from, so that a retry derives the same one and nothing has to be kept.
type Origin struct {
	User        string
	Incarnation int64
	Generation  int64
	Request     [16]byte // random id of the request that asked for the code
}

// The domains keep codes and digests apart, since both come from the same keys.
const (
	deriveDomain = "nightlatch backup code v1"
	digestDomain = "nightlatch backup code digest v1"
)

// Derive returns the code of that length for o: the same for the same arguments, and unrelated to it for any other. It fails
// for a length outside 8 to 26, and when the key cannot be used.
func Derive(k Keys, keyID uint32, o Origin, length int) (Code, error) {
	if length < MinLength || length > MaxLength {
		return "", fmt.Errorf("backupcode: length of %d characters: must be %d to %d", length, MinLength, MaxLength)
	}
	in := input(deriveDomain, o.User, o.Incarnation, o.Generation)
	in = append(in, o.Request[:]...)
	in = append(in, byte(length))
	out, err := compute(k, keyID, in, length)
	if err != nil {
		return "", err
	}
	c := make([]byte, length)
	for i, b := range out {
		c[i] = alphabet[b%32] // five bits of each byte: 256 is a multiple of 32, so no character is likelier
	}
	return Code(c), nil
}

// Digest is what is kept of a code to recognise it: 128 bits that tell nothing without the key.
type Digest [16]byte

// MakeDigest returns the digest of c as the code of that user, incarnation and generation. ErrMalformed if c is not a code
// that Derive or Normalise returned; other errors mean that the key could not be used.
func MakeDigest(k Keys, keyID uint32, user string, incarnation, generation int64, c Code) (Digest, error) {
	if err := c.validate(); err != nil {
		return Digest{}, err
	}
	in := append(input(digestDomain, user, incarnation, generation), c...)
	out, err := compute(k, keyID, in, len(Digest{}))
	if err != nil {
		return Digest{}, err
	}
	return Digest(out), nil
}

// Matches reports whether want is the digest of c, in constant time. An error, as of MakeDigest, is not a "no": whether the code is
// right could not be told.
func Matches(k Keys, keyID uint32, user string, incarnation, generation int64, c Code, want Digest) (bool, error) {
	got, err := MakeDigest(k, keyID, user, incarnation, generation, c)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1, nil
}

// input is the common beginning of what codes and digests are computed from. What varies in length is preceded by it, so that
// no two lists of fields give the same bytes.
func input(domain, user string, incarnation, generation int64) []byte {
	in := make([]byte, 0, 128)
	for _, field := range [...]string{domain, user} {
		in = binary.BigEndian.AppendUint64(in, uint64(len(field)))
		in = append(in, field...)
	}
	in = binary.BigEndian.AppendUint64(in, uint64(incarnation))
	return binary.BigEndian.AppendUint64(in, uint64(generation))
}

func compute(k Keys, keyID uint32, input []byte, length int) ([]byte, error) {
	out, err := k.Compute(keyID, input, length)
	if err != nil {
		return nil, fmt.Errorf("backupcode: key %d: %w", keyID, err)
	}
	if len(out) != length {
		return nil, fmt.Errorf("backupcode: key %d: %d bytes instead of %d", keyID, len(out), length)
	}
	return out, nil
}

var errDigest = errors.New("backupcode: not a digest: must be 22 characters of base64url")

// MarshalText encodes d in base64url without padding (RFC 4648 §5).
func (d Digest) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, d[:]), nil
}

// UnmarshalText accepts what MarshalText returns and nothing else; on an error d is unchanged.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) != base64.RawURLEncoding.EncodedLen(len(d)) { // also since the decoder skips line ends
		return errDigest
	}
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(string(text))
	if err != nil || len(decoded) != len(d) {
		return errDigest
	}
	*d = Digest(decoded)
	return nil
}
