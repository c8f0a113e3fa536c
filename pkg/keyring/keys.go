package keyring

import (
	"encoding/binary"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/core/cryptofmt"
	"github.com/tink-crypto/tink-go/v2/daead"
	"github.com/tink-crypto/tink-go/v2/jwt"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Keys is a snapshot of a ring: it never changes, and is safe for concurrent use. A field is nil when its purpose is not
// among the ring's.
//
// What a key that was only promoted elsewhere has made does not open with an older snapshot: the error is ErrUnknownKey,
// and Ring.Keys, called again, looks for a newer keyset. Whatever else does not open is an error of Tink's.
type Keys struct {
	TOTP, Contact, Challenge tink.AEAD
	Codes, Links             *PRF
	IDs                      tink.DeterministicAEAD
	Signing                  *Signer
}

// known are the ids of a keyset's keys, which tell a key that is not loaded (yet) from a ciphertext that is bad.
type known struct {
	ids    map[uint32]bool
	missed func()
}

func knownTo(h *keyset.Handle, missed func()) (known, error) {
	ids := make(map[uint32]bool, h.Len())
	for i := range h.Len() {
		entry, err := h.Entry(i)
		if err != nil {
			return known{}, err
		}
		ids[entry.KeyID()] = true
	}
	return known{ids, missed}, nil
}

// explain returns ErrUnknownKey in place of err where the ciphertext begins with Tink's prefix, 0x01 and a key id in
// four bytes, and the id is none of the keyset's. A forger can choose the id: it costs a look at the store a minute.
func (k known) explain(ciphertext []byte, err error) error {
	if err == nil || len(ciphertext) < cryptofmt.TinkPrefixSize || ciphertext[0] != cryptofmt.TinkStartByte {
		return err
	}
	id := binary.BigEndian.Uint32(ciphertext[1:])
	if k.ids[id] {
		return err
	}
	k.missed()
	return fmt.Errorf("%w %d", ErrUnknownKey, id)
}

// knownAEAD is Tink's AEAD, with ErrUnknownKey.
type knownAEAD struct {
	tink.AEAD
	known
}

func newAEAD(h *keyset.Handle, missed func()) (tink.AEAD, error) {
	a, err := aead.New(h)
	if err != nil {
		return nil, err
	}
	k, err := knownTo(h, missed)
	return &knownAEAD{a, k}, err
}

func (a *knownAEAD) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	plaintext, err := a.AEAD.Decrypt(ciphertext, associatedData)
	return plaintext, a.explain(ciphertext, err)
}

// knownDAEAD is Tink's deterministic AEAD, with ErrUnknownKey.
type knownDAEAD struct {
	tink.DeterministicAEAD
	known
}

func newDAEAD(h *keyset.Handle, missed func()) (tink.DeterministicAEAD, error) {
	d, err := daead.New(h)
	if err != nil {
		return nil, err
	}
	k, err := knownTo(h, missed)
	return &knownDAEAD{d, k}, err
}

func (d *knownDAEAD) DecryptDeterministically(ciphertext, associatedData []byte) ([]byte, error) {
	plaintext, err := d.DeterministicAEAD.DecryptDeterministically(ciphertext, associatedData)
	return plaintext, d.explain(ciphertext, err)
}

// maxPRFLength is the output of HMAC-SHA256, in bytes.
const maxPRFLength = 32

// A PRF derives codes, digests and link tokens. Its output carries no key id: keep the id beside what was derived.
type PRF struct {
	set    *prf.Set
	missed func()
}

func newPRF(h *keyset.Handle, missed func()) (*PRF, error) {
	set, err := prf.NewPRFSet(h)
	return &PRF{set, missed}, err
}

// PrimaryID is the key to derive anything new with.
func (p *PRF) PrimaryID() uint32 { return p.set.PrimaryID }

// Compute returns the first length bytes, 1 to 32, of HMAC-SHA256 of the input under the given key; ErrUnknownKey if
// the keyset does not hold it. A shorter output is a prefix of a longer one: inputs, not lengths, keep uses apart.
func (p *PRF) Compute(keyID uint32, input []byte, length int) ([]byte, error) {
	if length < 1 || length > maxPRFLength {
		return nil, fmt.Errorf("keyring: %d bytes of PRF output: 1 to %d can be had", length, maxPRFLength)
	}
	key, ok := p.set.PRFs[keyID]
	if !ok {
		p.missed()
		return nil, fmt.Errorf("%w %d", ErrUnknownKey, keyID)
	}
	return key.ComputePRF(input, uint32(length))
}

// A Signer signs assertions with the primary key of the signing keyset, by ES256 (RFC 7518 §3.4).
type Signer struct {
	signer jwt.Signer
	handle *keyset.Handle
}

func newSigner(h *keyset.Handle, _ func()) (*Signer, error) {
	s, err := jwt.NewSigner(h)
	return &Signer{s, h}, err
}

// Sign returns the JWT in compact form, with the key's id as its "kid" header.
func (s *Signer) Sign(raw *jwt.RawJWT) (string, error) { return s.signer.SignAndEncode(raw) }

// JWKS is the public half of the signing keyset as a JWK set (RFC 7517), with keys that do not sign yet and keys that
// no longer do.
func (s *Signer) JWKS() ([]byte, error) { return publicJWKS(s.handle) }
