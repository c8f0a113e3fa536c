// Package keyring keeps the service's keys: one Tink keyset per purpose, sealed by a key-encryption key (KEK) that never
// leaves its home, KMS on AWS and a key file on a laptop.
//
// A keyset is the config item "keyset/<purpose>": a small JSON envelope around the ciphertext that the KEK made with the
// purpose as associated data. On KMS that is the encryption context, so a function's role decides which purposes it can
// open; and a keyset put in another's place opens nowhere. The public half of the signing keyset is the config item
// "jwks", so that whoever serves it needs no KEK.
//
// A Ring is the reading side, for every function. Create, Rotate, Renew, Add, Promote and List are the writing side, for one
// function alone. A key is never removed: some ciphertext, or a backup of one, may need it.
package keyring

import (
	"context"
	"errors"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/daead"
	"github.com/tink-crypto/tink-go/v2/jwt"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// A Purpose is what a keyset is for. Its text is the associated data under which the keyset is sealed, and part of the
// permissions of a deployment: it never changes.
type Purpose string

const (
	TOTP      Purpose = "totp"      // seals authenticators' secrets
	Contact   Purpose = "contact"   // seals addresses, labels and what a reset knows about a person
	Codes     Purpose = "codes"     // derives backup codes and their digests
	Links     Purpose = "links"     // derives the tokens of mailed links
	IDs       Purpose = "ids"       // encrypts reset ids, deterministically
	Challenge Purpose = "challenge" // seals challenges and grants
	Signing   Purpose = "signing"   // signs assertions
)

// Purposes returns all seven.
func Purposes() []Purpose {
	return []Purpose{TOTP, Contact, Codes, Links, IDs, Challenge, Signing}
}

var (
	// ErrUnavailable: a keyset could not be read or opened. It says nothing about any user.
	ErrUnavailable = errors.New("keyring: unavailable")
	// ErrNoKeyset: the store holds no such item; Create has not run, or this is the wrong store.
	ErrNoKeyset = errors.New("keyring: not created yet")
	// ErrLost: the store held a keyset, and does not hold it any more.
	ErrLost = errors.New("keyring: the store has lost what another one would not replace, as it would open nothing: restore the config table")
	// ErrUnknownKey: a ciphertext, digest or request names a key that the keyset does not hold, or not yet.
	ErrUnknownKey = errors.New("keyring: unknown key")
	// ErrTooYoung: a signing key was published less than a day ago and may not sign yet.
	ErrTooYoung = errors.New("keyring: key published less than 24 hours ago")
)

// Store is where sealed keysets are kept: the config table on AWS, a bucket on a laptop.
//
// Items are versioned from 1 and replaced by compare-and-swap: of any number of racing ReplaceConfig calls with one
// version, exactly one returns nil. A value is durable, and seen by every LoadConfig that begins, once ReplaceConfig has
// returned nil (strong consistency). An error other than a *twofactor.Conflict says nothing: the value may have been
// stored. Both methods are safe for concurrent use, return when ctx ends, and neither keep nor change the value they are
// given.
type Store interface {
	// LoadConfig returns the item's value and version; version 0 and a nil error when there is none. An error never
	// stands for "none".
	LoadConfig(ctx context.Context, name string) (value []byte, version int64, err error)
	// ReplaceConfig stores value as the item's given version iff the stored version is version-1 (none being 0);
	// otherwise it stores nothing and returns a *twofactor.Conflict.
	ReplaceConfig(ctx context.Context, name string, value []byte, version int64) error
}

// ReadOnly returns a store that can be read, which is all that a [Ring] does with it. A program which looks methods up by name,
// as the mailer's templates do, is linked with every method of what it passes as an interface: this has two.
func ReadOnly(load func(ctx context.Context, name string) (value []byte, version int64, err error)) Store {
	return readOnly(load)
}

type readOnly func(ctx context.Context, name string) ([]byte, int64, error)

func (r readOnly) LoadConfig(ctx context.Context, name string) ([]byte, int64, error) {
	return r(ctx, name)
}

func (readOnly) ReplaceConfig(context.Context, string, []byte, int64) error { return errReadOnly }

var errReadOnly = errors.New("this store can be read only")

// lostRace reports whether another write came first.
func lostRace(err error) bool {
	var conflict *twofactor.Conflict
	return errors.As(err, &conflict)
}

// item is the name of the config item that holds the purpose's keyset.
func (p Purpose) item() string { return "keyset/" + string(p) }

// A use is how the keyset of one purpose is made and what becomes of it when it is opened.
type use struct {
	template func() *tinkpb.KeyTemplate
	lifetime time.Duration // of a key as the one that new things are made with
	// open makes the purpose's primitive, and returns what sets it in a Keys. The primitive calls missed when it meets a
	// key that the keyset does not hold.
	open func(h *keyset.Handle, missed func()) (fit func(*Keys), err error)
}

// uses holds the seven purposes. All but the PRFs mark what they make with the key's id: a prefix of five bytes, or "kid".
//
// The PRF is HMAC-SHA256 rather than HKDF: 32 bytes in one HMAC are enough for all that is derived (a backup code takes 26
// at most, the tag of a link or a digest 16), at half the cost; HKDF is for longer output.
//
// Lifetimes: see Rotate.
var uses = map[Purpose]use{
	TOTP:      {aead.AES256GCMKeyTemplate, year, into(newAEAD, func(k *Keys) *tink.AEAD { return &k.TOTP })},
	Contact:   {aead.AES256GCMKeyTemplate, year, into(newAEAD, func(k *Keys) *tink.AEAD { return &k.Contact })},
	Codes:     {prf.HMACSHA256PRFKeyTemplate, year, into(newPRF, func(k *Keys) **PRF { return &k.Codes })},
	Links:     {prf.HMACSHA256PRFKeyTemplate, halfYear, into(newPRF, func(k *Keys) **PRF { return &k.Links })},
	IDs:       {daead.AESSIVKeyTemplate, year, into(newDAEAD, func(k *Keys) *tink.DeterministicAEAD { return &k.IDs })},
	Challenge: {aead.AES256GCMKeyTemplate, halfYear, into(newAEAD, func(k *Keys) *tink.AEAD { return &k.Challenge })},
	Signing:   {jwt.ES256Template, halfYear, into(newSigner, func(k *Keys) **Signer { return &k.Signing })},
}

// into joins what makes a primitive with the field of Keys that takes it.
func into[P any](primitive func(*keyset.Handle, func()) (P, error), field func(*Keys) *P) func(*keyset.Handle, func()) (func(*Keys), error) {
	return func(h *keyset.Handle, missed func()) (func(*Keys), error) {
		p, err := primitive(h, missed)
		return func(k *Keys) { *field(k) = p }, err
	}
}
