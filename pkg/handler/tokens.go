package handler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nightlatch/nightlatch/pkg/token"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// openChallenge opens a challenge from a body. One that was forged is told like one that is over.
func (d Deps) openChallenge(ctx context.Context, sealed string) (twofactor.Challenge, error) {
	keys, err := d.keys(ctx)
	if err != nil {
		return twofactor.Challenge{}, err
	}
	c, err := token.OpenChallenge(keys.Challenge, sealed)
	if errors.Is(err, token.ErrInvalid) {
		return c, fmt.Errorf("%w: %w", twofactor.ErrChallengeExpired, err)
	}
	return c, err
}

// openGrant opens a grant from a body; none is nil.
func (d Deps) openGrant(ctx context.Context, sealed string) (*twofactor.Grant, error) {
	if sealed == "" {
		return nil, nil
	}
	keys, err := d.keys(ctx)
	if err != nil {
		return nil, err
	}
	g, err := token.OpenGrant(keys.Challenge, sealed)
	if errors.Is(err, token.ErrInvalid) {
		return nil, fmt.Errorf("%w: %w", twofactor.ErrGrantExpired, err)
	}
	return &g, err
}

// sealGrant seals a grant for a response; none is empty.
func (d Deps) sealGrant(ctx context.Context, g *twofactor.Grant) (string, error) {
	if g == nil {
		return "", nil
	}
	keys, err := d.keys(ctx)
	if err != nil {
		return "", err
	}
	return token.SealGrant(keys.Challenge, *g)
}

// assertion signs what the host is told; none is empty.
func (d Deps) assertion(ctx context.Context, a *twofactor.Assertion) (signed string, expires *time.Time, err error) {
	if a == nil {
		return "", nil, nil
	}
	keys, err := d.keys(ctx)
	if err != nil {
		return "", nil, err
	}
	signed, err = token.SignAssertion(keys.Signer, d.Settings.Issuer, d.Settings.Audience, *a)
	return signed, &a.ExpiresAt, err
}

func (d Deps) keys(ctx context.Context) (token.Keys, error) {
	keys, err := d.Keys(ctx)
	if err != nil {
		return token.Keys{}, fmt.Errorf("%w: %w", twofactor.ErrUnavailable, err)
	}
	return keys, nil
}
