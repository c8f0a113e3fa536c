// Package token makes what leaves the service to come back or to be believed elsewhere: challenges and grants, sealed, so
// that they tell a browser nothing and cannot be made or changed by anyone else; and assertions, signed, for the host.
//
// It says whether a token is the service's own. Whether it is still good is for the rules of package twofactor.
package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// ErrInvalid is returned for what this service did not seal for this purpose with a key it holds: forged, altered, cut,
// foreign, of another kind, too long. It wraps the cause, so that a caller can tell a key that is only not loaded yet.
var ErrInvalid = errors.New("token: not one of ours")

// Keys are what tokens are sealed and signed with. A function that may not use one leaves it nil.
type Keys struct {
	Challenge twofactor.AEAD // challenges and grants
	Signer    Signer         // assertions
	IDs       DAEAD          // ids of resets
}

// maxLength is the longest token in characters. It leaves the rest of a body of 8 KB as much again, and holds a challenge
// whose host gave every text at the 256 bytes it may have.
const maxLength = 4096

// The associated data of each kind, so that one does not open as another. A change of what a kind means, rather than a
// member that may be missing, takes a new version.
const (
	challengeV1 = "nightlatch challenge v1"
	grantV1     = "nightlatch grant v1"
)

// SealChallenge returns the challenge as a token in base64url.
func SealChallenge(k twofactor.AEAD, c twofactor.Challenge) (string, error) {
	return seal(k, challengeV1, c.User, c)
}

// OpenChallenge opens what SealChallenge sealed, expired or not: a retry may come after the end. What it did not seal is
// [ErrInvalid].
func OpenChallenge(k twofactor.AEAD, token string) (twofactor.Challenge, error) {
	return open[twofactor.Challenge](k, challengeV1, token)
}

// SealGrant returns the grant as a token in base64url.
func SealGrant(k twofactor.AEAD, g twofactor.Grant) (string, error) {
	return seal(k, grantV1, g.User, g)
}

// OpenGrant opens what SealGrant sealed, expired or not. What it did not seal is [ErrInvalid].
func OpenGrant(k twofactor.AEAD, token string) (twofactor.Grant, error) {
	return open[twofactor.Grant](k, grantV1, token)
}

// spelling is base64url without padding, and without bits to spare in the last character.
var spelling = base64.RawURLEncoding.Strict()

func seal(k twofactor.AEAD, kind string, user twofactor.UserID, content any) (string, error) {
	if err := user.Validate(); err != nil { // JSON would quietly make another user of it
		return "", fmt.Errorf("sealing a %s: %w", kind, err)
	}
	var plaintext bytes.Buffer
	e := json.NewEncoder(&plaintext)
	e.SetEscapeHTML(false) // it goes into no page, and "<" would take six bytes
	if err := e.Encode(content); err != nil {
		return "", fmt.Errorf("sealing a %s: %w", kind, err)
	}
	box, err := k.Encrypt(plaintext.Bytes(), []byte(kind))
	if err != nil {
		return "", fmt.Errorf("%w: sealing a %s: %w", twofactor.ErrUnavailable, kind, err)
	}
	if n := spelling.EncodedLen(len(box)); n > maxLength {
		return "", fmt.Errorf("sealing a %s: %d characters are too many: nobody could present it", kind, n)
	}
	return spelling.EncodeToString(box), nil
}

func open[T any](k twofactor.AEAD, kind, token string) (content T, err error) {
	var none T
	if len(token) > maxLength {
		return none, fmt.Errorf("%w: longer than %d characters", ErrInvalid, maxLength)
	}
	if strings.ContainsAny(token, "\r\n") { // which the decoder skips
		return none, fmt.Errorf("%w: line break", ErrInvalid)
	}
	box, err := spelling.DecodeString(token)
	if err != nil {
		return none, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	plaintext, err := k.Decrypt(box, []byte(kind))
	if err != nil { // an AEAD works in memory: it has no other reason to fail
		return none, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := json.Unmarshal(plaintext, &content); err != nil {
		return none, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return content, nil
}
