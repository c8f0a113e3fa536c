package token

import (
	"crypto/rand"
	"fmt"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// DAEAD encrypts deterministically with associated data (RFC 5297). Tink's deterministic AEAD is one.
type DAEAD interface {
	EncryptDeterministically(plaintext, associatedData []byte) ([]byte, error)
	DecryptDeterministically(ciphertext, associatedData []byte) ([]byte, error)
}

const (
	resetV1 = "nightlatch reset v1"
	// resetRandom is what tells the resets of a user apart, in bytes.
	resetRandom = 8
	// crockford are the digits of references: none that people take for another.
	crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)

// NewResetID returns a new id for a reset of the user's, in base64url, and the short reference by which people speak of
// it. The id leads to the account, and tells nobody else whose it is. It is encrypted once and kept; ids never repeat.
func NewResetID(k DAEAD, user twofactor.UserID) (id, reference string, err error) {
	if err := user.Validate(); err != nil {
		return "", "", fmt.Errorf("making a reset id: %w", err)
	}
	random := make([]byte, resetRandom, resetRandom+len(user))
	rand.Read(random) // never fails: crypto/rand ends the program instead
	sealed, err := k.EncryptDeterministically(append(random, user...), []byte(resetV1))
	if err != nil {
		return "", "", fmt.Errorf("%w: making a reset id: %w", twofactor.ErrUnavailable, err)
	}
	id = spelling.EncodeToString(sealed)
	name := twofactor.NewDigest("reset reference", id)
	reference = "R-"
	for _, b := range name[:4] {
		reference += string(crockford[b%32])
	}
	return id, reference, nil
}

// OpenResetID returns whose reset an id is of. What NewResetID did not make is [ErrInvalid]. Whether there is such a reset
// only the account tells.
func OpenResetID(k DAEAD, id string) (twofactor.UserID, error) {
	if len(id) > maxLength {
		return "", fmt.Errorf("%w: longer than %d characters", ErrInvalid, maxLength)
	}
	sealed, err := spelling.DecodeString(id)
	if err != nil || spelling.EncodeToString(sealed) != id { // the decoder skips line breaks
		return "", fmt.Errorf("%w: not base64url", ErrInvalid)
	}
	plaintext, err := k.DecryptDeterministically(sealed, []byte(resetV1))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(plaintext) <= resetRandom {
		return "", fmt.Errorf("%w: no user in it", ErrInvalid)
	}
	user := twofactor.UserID(plaintext[resetRandom:])
	return user, user.Validate()
}
