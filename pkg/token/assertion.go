package token

import (
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/jwt"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// assertionType is the "typ" header of an assertion, so that no other JWT of the same key can pass for one (RFC 8725
// §3.11). Hosts compare it.
const assertionType = "nightlatch+jwt"

// Signer signs JWTs by ES256 and names its key in the "kid" header. It is safe for concurrent use.
type Signer interface {
	Sign(*jwt.RawJWT) (string, error)
}

// SignAssertion returns the assertion as a JWT in compact form (RFC 7519), with iss, sub, aud, iat, exp, jti, nonce,
// auth_time, method, state and amr. Times are whole seconds. When the signer fails, the error is
// [twofactor.ErrUnavailable].
func SignAssertion(s Signer, issuer, audience string, a twofactor.Assertion) (string, error) {
	if issuer == "" || audience == "" {
		return "", errors.New("signing an assertion: no issuer, or no audience, is configured")
	}
	amr := make([]any, len(a.AMR))
	for i, method := range a.AMR {
		amr[i] = method
	}
	typ, subject := assertionType, string(a.Subject)
	raw, err := jwt.NewRawJWT(&jwt.RawJWTOptions{
		TypeHeader: &typ,
		Issuer:     &issuer, Subject: &subject, Audience: &audience, JWTID: &a.ID,
		IssuedAt: &a.IssuedAt, ExpiresAt: &a.ExpiresAt,
		CustomClaims: map[string]any{
			"nonce": a.Nonce, "auth_time": a.IssuedAt.Unix(), "method": string(a.Method), "state": string(a.State), "amr": amr,
		},
	})
	if err != nil {
		return "", fmt.Errorf("signing an assertion: %w", err)
	}
	signed, err := s.Sign(raw)
	if err != nil {
		return "", fmt.Errorf("%w: signing an assertion: %w", twofactor.ErrUnavailable, err)
	}
	return signed, nil
}
