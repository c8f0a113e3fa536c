package twofactor

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/nightlatch/nightlatch/pkg/backupcode"
)

// AEAD seals with associated data (RFC 5116). Tink's AEAD is one. Decrypt refuses what was sealed with other
// associated data.
type AEAD interface {
	Encrypt(plaintext, associatedData []byte) ([]byte, error)
	Decrypt(ciphertext, associatedData []byte) ([]byte, error)
}

// Keys are what the rules seal, open and derive with. A function that may not use one leaves it nil.
type Keys struct {
	Secrets  AEAD            // authenticator secrets
	Contacts AEAD            // addresses
	Codes    backupcode.Keys // derives and digests backup codes
	Links    backupcode.Keys // derives the tokens of mailed links
}

// Sealed is a ciphertext and the generation it belongs to.
type Sealed struct {
	Generation int64  `json:"gen"`
	Box        []byte `json:"box"`
}

// What a sealed part of the account is for. A ciphertext moved from one to another does not open.
const (
	sealAuthenticator = "authenticator"
	sealPending       = "pending"
	sealContact       = "contact"
	sealPrevious      = "previous contact"
	sealSubject       = "subject"
	sealIdentity      = "identity"
)

// seal seals plaintext for this account as a new generation.
func (a *Account) seal(k AEAD, purpose string, plaintext []byte) (Sealed, error) {
	a.Generation++
	box, err := k.Encrypt(plaintext, a.associated(purpose, a.Generation))
	if err != nil {
		return Sealed{}, refuse(fmt.Errorf("%w: sealing %s: %w", ErrUnavailable, purpose, err))
	}
	return Sealed{Generation: a.Generation, Box: box}, nil
}

// open opens what seal sealed for this account and purpose.
func (a *Account) open(k AEAD, purpose string, s Sealed) ([]byte, error) {
	plaintext, err := k.Decrypt(s.Box, a.associated(purpose, s.Generation))
	if err != nil {
		return nil, a.sealed(purpose, err)
	}
	return plaintext, nil
}

// sealed is the error of what does not open. It names the user: somebody has to look at the account.
func (a *Account) sealed(purpose string, err error) error {
	return refuse(fmt.Errorf("%w: %s of user %q: %w", ErrSealed, purpose, a.User, err))
}

// associated is what a ciphertext is bound to: user, incarnation, purpose, generation; each preceded by its length.
func (a *Account) associated(purpose string, generation int64) []byte {
	var b []byte
	for _, part := range []string{
		string(a.User), strconv.FormatInt(a.Incarnation, 10), purpose, strconv.FormatInt(generation, 10),
	} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return b
}
