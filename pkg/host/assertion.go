package host

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	assertionType = "nightlatch+jwt"
	maxAssertion  = 8 << 10 // characters; one has about 600
	// leeway is how far the host's clock and the service's may be apart: an assertion is taken this long before its
	// iat and after its exp.
	leeway = 10 * time.Second
)

// Expected is what the host knows of the pending sign-in. Both are required.
type Expected struct {
	User  string // the user id whose password was right
	Nonce string // the one that was sent with the challenge
}

// Claims are what an assertion says.
type Claims struct {
	User      string
	Method    string    // totp, backup_code or reset_link
	State     string    // of 2FA after this sign-in: enabled or disabled
	AMR       []string  // the host's own values, and otp and mfa, or backup_code, or reset_link
	AuthTime  time.Time // of the second factor: the auth_time for the host's session
	IssuedAt  time.Time
	ExpiresAt time.Time
	ID        string // the jti
}

// VerifyAssertion says whether an assertion is the service's, for this host, this user and this sign-in, and redeems it.
// Only when it returns no error is the user in.
//
// The errors are ErrAssertion, ErrRedeemed when it is good but was used before, and ErrUnavailable when it could not be
// told. The host's clock may differ from the service's by 10 seconds. The service's keys are fetched once an hour; while
// that fails, those at hand are used for a day.
func (c *Client) VerifyAssertion(ctx context.Context, assertion string, want Expected) (Claims, error) {
	if want.User == "" || want.Nonce == "" {
		return Claims{}, fmt.Errorf("%w: what is expected has no user, or no nonce", ErrAssertion)
	}
	payload, err := c.verifySignature(ctx, assertion)
	if err != nil {
		return Claims{}, err
	}
	claims, expires, err := c.check(payload, want)
	if err != nil {
		return Claims{}, err
	}
	// Last, so that an assertion which is refused for anything else is not used up.
	switch first, err := c.config.Redeemer.Redeem(ctx, claims.ID, expires); {
	case err != nil:
		return Claims{}, fmt.Errorf("%w: redeeming: %w", ErrUnavailable, err)
	case !first:
		return Claims{}, ErrRedeemed
	}
	return claims, nil
}

// verifySignature returns what the service has signed as an assertion (RFC 7515 §5.2, RFC 8725 §3.1, §3.11). The key is
// one of the service's own, whatever the header says.
func (c *Client) verifySignature(ctx context.Context, assertion string) ([]byte, error) {
	if len(assertion) > maxAssertion {
		return nil, fmt.Errorf("%w: it is longer than %d characters", ErrAssertion, maxAssertion)
	}
	for part := range strings.SplitSeq(assertion, ".") { // go-jose takes other spellings of what was signed
		if raw, err := base64.RawURLEncoding.DecodeString(part); err != nil || base64.RawURLEncoding.EncodeToString(raw) != part {
			return nil, fmt.Errorf("%w: it is not base64url, or has something to spare", ErrAssertion)
		}
	}
	jws, err := jose.ParseSignedCompact(assertion, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAssertion, err)
	}
	header := jws.Signatures[0].Protected
	if typ, _ := header.ExtraHeaders[jose.HeaderType].(string); typ != assertionType {
		return nil, fmt.Errorf("%w: its typ is not %s", ErrAssertion, assertionType)
	}
	key, err := c.keys.key(ctx, header.KeyID)
	if err != nil {
		return nil, err
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAssertion, err)
	}
	return payload, nil
}

// check compares what was signed with what is expected. It also returns from when on no host would take the assertion.
func (c *Client) check(payload []byte, want Expected) (claims Claims, expires time.Time, err error) {
	var signed struct {
		Issuer   string   `json:"iss"`
		Subject  string   `json:"sub"`
		Audience string   `json:"aud"` // never a list: the service signs for one host
		IssuedAt int64    `json:"iat"` // whole seconds, as the service writes them
		Expires  int64    `json:"exp"`
		AuthTime int64    `json:"auth_time"`
		ID       string   `json:"jti"`
		Nonce    string   `json:"nonce"`
		Method   string   `json:"method"`
		State    string   `json:"state"`
		AMR      []string `json:"amr"`
	}
	if err := json.Unmarshal(payload, &signed); err != nil {
		return Claims{}, time.Time{}, fmt.Errorf("%w: %w", ErrAssertion, err)
	}
	now := c.config.Now()
	issued := time.Unix(signed.IssuedAt, 0)
	expires = time.Unix(signed.Expires, 0).Add(leeway)
	for _, rule := range []struct {
		holds     bool
		otherwise string
	}{
		{signed.Issuer == c.config.Issuer, "it is of another issuer"},
		{signed.Audience == c.config.Audience, "it is for another audience"},
		{signed.IssuedAt > 0, "it has no iat"},
		{!now.Before(issued.Add(-leeway)), "it was issued in the future: " + clocks("issued", issued, now)},
		{now.Before(expires), "it has expired: " + clocks("expired", time.Unix(signed.Expires, 0), now)},
		{signed.ID != "", "it has no jti"},
		{same(signed.Subject, want.User), "it is for another user"},
		{same(signed.Nonce, want.Nonce), "it is for another sign-in"},
	} {
		if !rule.holds {
			return Claims{}, time.Time{}, fmt.Errorf("%w: %s", ErrAssertion, rule.otherwise)
		}
	}
	return Claims{
		User: signed.Subject, Method: signed.Method, State: signed.State, AMR: signed.AMR,
		AuthTime: time.Unix(signed.AuthTime, 0).UTC(), IssuedAt: issued.UTC(), ExpiresAt: time.Unix(signed.Expires, 0).UTC(),
		ID: signed.ID,
	}, expires, nil
}

// clocks tells both, since the one who reads it may have to set one of them right.
func clocks(did string, at, now time.Time) string {
	return did + " at " + at.UTC().Format(time.RFC3339) + ", it is " + now.UTC().Format(time.RFC3339) + " here"
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
