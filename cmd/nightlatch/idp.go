package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// What the demo identity provider says of itself in its sessions. It does not depend on the address, so that a session
// survives a restart on another port.
const (
	sessionIssuer   = "https://login.nightlatch.localhost"
	sessionAudience = "nightlatch-demo"
	sessionFor      = 12 * time.Hour
	sessionKeyBits  = 2048
)

// identityProvider stands in for the host's identity provider: it issues sessions, which are JWTs signed by RS256, as
// API Gateway demands, and checks them as API Gateway does.
type identityProvider struct {
	public *rsa.PublicKey
	signer jose.Signer
	now    func() time.Time
}

// signedIn is what a session says of the sign-in that opened it.
type signedIn struct {
	User     demoUser
	AuthTime int64 // Unix seconds: of the assertion, where there was one
	AMR      []string
}

func openIdentityProvider(path string, now func() time.Time) (*identityProvider, error) {
	content, err := keep(path, newSessionKey)
	if err != nil {
		return nil, err
	}
	key, err := parseSessionKey(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove it for a new one, which ends all sessions", path, err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, err
	}
	return &identityProvider{public: &key.PublicKey, signer: signer, now: now}, nil
}

// pemType is the type of a PKCS #8 private key in PEM (RFC 7468 §10).
const pemType = "PRIVATE KEY"

func newSessionKey() ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, sessionKeyBits)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

func parseSessionKey(content []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, errors.New("is not a private key in PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("is not an RSA key")
	}
	return key, nil
}

// session returns a new session's token.
func (p *identityProvider) session(s signedIn) (string, error) {
	now := p.now()
	claims := struct {
		jwt.Claims
		Email    string   `json:"email"`
		AuthTime int64    `json:"auth_time"`
		AMR      []string `json:"amr"`
		Groups   []string `json:"groups,omitempty"`
	}{
		Claims: jwt.Claims{
			Issuer: sessionIssuer, Audience: jwt.Audience{sessionAudience}, Subject: s.User.Email,
			IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(sessionFor)),
		},
		Email: s.User.Email, AuthTime: s.AuthTime, AMR: s.AMR, Groups: s.User.Groups,
	}
	return jwt.Signed(p.signer).Claims(claims).Serialize()
}

var errSession = errors.New("not a session")

// check returns the claims of a session as API Gateway hands them to a function: as strings. It checks the signature,
// iss, aud, exp, nbf and iat.
func (p *identityProvider) check(token string) (map[string]string, error) {
	signed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSession, err)
	}
	var registered jwt.Claims
	var all json.RawMessage
	if err := signed.Claims(p.public, &registered, &all); err != nil {
		return nil, fmt.Errorf("%w: %w", errSession, err)
	}
	now := p.now()
	expected := jwt.Expected{Issuer: sessionIssuer, AnyAudience: jwt.Audience{sessionAudience}, Time: now}
	if err := registered.ValidateWithLeeway(expected, 0); err != nil {
		return nil, fmt.Errorf("%w: %w", errSession, err)
	}
	if end := registered.Expiry; end == nil || !now.Before(end.Time()) { // RFC 7519 §4.1.4; without exp a session never ends
		return nil, fmt.Errorf("%w: over", errSession)
	}
	return claimStrings(all)
}

// claimStrings writes claims as API Gateway does: numbers as they stand, arrays as [a b].
func claimStrings(payload []byte) (map[string]string, error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var claims map[string]any
	if err := d.Decode(&claims); err != nil {
		return nil, fmt.Errorf("%w: %w", errSession, err)
	}
	texts := make(map[string]string, len(claims))
	for name, value := range claims {
		texts[name] = claimString(value)
	}
	return texts, nil
}

func claimString(value any) string {
	list, ok := value.([]any)
	if !ok {
		return fmt.Sprint(value)
	}
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = claimString(v)
	}
	return "[" + strings.Join(texts, " ") + "]"
}
