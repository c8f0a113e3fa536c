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
	return opened(ctx, d, token.OpenChallenge, sealed, twofactor.ErrChallengeExpired)
}

// openGrant opens a grant from a body; none is nil.
func (d Deps) openGrant(ctx context.Context, sealed string) (*twofactor.Grant, error) {
	if sealed == "" {
		return nil, nil
	}
	g, err := opened(ctx, d, token.OpenGrant, sealed, twofactor.ErrGrantExpired)
	if err != nil {
		return nil, err
	}
	return &g, nil
}

// opened opens a token; the verdict is on what is not ours. It tries twice: a key that another process has just begun to
// seal with is not at hand yet, but having met it, the key ring looks for it before it gives out its keys again.
func opened[T any](ctx context.Context, d Deps, open func(twofactor.AEAD, string) (T, error), sealed string, verdict error) (T, error) {
	var none T
	var failed error
	for range 2 {
		keys, err := d.keys(ctx)
		if err != nil {
			return none, err
		}
		content, err := open(keys.Challenge, sealed)
		if !errors.Is(err, token.ErrInvalid) {
			return content, err
		}
		failed = err
	}
	return none, fmt.Errorf("%w: %w", verdict, failed)
}

// sealChallenge seals a challenge for a response.
func (d Deps) sealChallenge(ctx context.Context, c twofactor.Challenge) (string, error) {
	keys, err := d.keys(ctx)
	if err != nil {
		return "", err
	}
	return token.SealChallenge(keys.Challenge, c)
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
