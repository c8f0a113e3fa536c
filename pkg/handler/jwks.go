package handler

import (
	"context"
	"fmt"
	"time"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// JWKS publishes the keys that assertions are verified with. A new one is here a day before it signs, so an hour in a
// cache is never too long.
func JWKS(d Deps) Func {
	return serve(d, "jwks", on("GET /.well-known/jwks.json", d.jwks))
}

func (d Deps) jwks(ctx context.Context, _ call, _ nothing) (raw, error) {
	set, err := d.JWKS(ctx)
	if err != nil {
		return raw{}, fmt.Errorf("%w: %w", twofactor.ErrUnavailable, err)
	}
	return raw{body: set, maxAge: time.Hour}, nil
}
