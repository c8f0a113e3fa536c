package handler_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/token"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// hanging is a store that answers nothing before whoever asked has given up.
type hanging struct{ twofactor.Store }

func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func (hanging) Load(ctx context.Context, _ twofactor.UserID) (*twofactor.Account, error) {
	return nil, hang(ctx)
}

// prompt is a store that answers at once.
type prompt struct{ twofactor.Store }

func (prompt) Load(_ context.Context, user twofactor.UserID) (*twofactor.Account, error) {
	return &twofactor.Account{User: user}, nil
}

// TestAnswersInTime: whatever hangs, a function answers half a second before it would be killed, and says that it could
// not tell.
func TestAnswersInTime(t *testing.T) {
	t.Parallel()
	noRules := func(ctx context.Context) (twofactor.Keys, error) { return twofactor.Keys{}, hang(ctx) }
	tests := map[string]struct {
		deps        handler.Deps
		route, body string
		function    func(handler.Deps) handler.Func
	}{
		"the store": {
			handler.Deps{Service: &twofactor.Service{Store: hanging{}, Now: time.Now}}, "GET /v1/status", "", handler.Status,
		},
		"the rules' keys": {
			handler.Deps{Service: &twofactor.Service{Store: prompt{}, Keys: noRules, Now: time.Now}}, "POST /v1/check", body("code", "123456"), handler.Check,
		},
		"the tokens' keys": {
			handler.Deps{Keys: func(ctx context.Context) (token.Keys, error) { return token.Keys{}, hang(ctx) }},
			"POST /v1/verify", body("challenge", "x", "method", "totp", "code", "123456"), handler.Verify,
		},
		"the public keys": {
			handler.Deps{JWKS: func(ctx context.Context) ([]byte, error) { return nil, hang(ctx) }}, "GET /.well-known/jwks.json", "", handler.JWKS,
		},
	}
	for name, test := range tests {
		for _, left := range []time.Duration{10 * time.Second, 200 * time.Millisecond} {
			t.Run(fmt.Sprintf("%s, with %s left", name, left), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					deps := test.deps
					deps.Log = slog.New(slog.NewJSONHandler(io.Discard, nil))
					ctx, cancel := context.WithTimeout(t.Context(), left)
					defer cancel()
					begun := time.Now()
					got, err := test.function(deps)(ctx, events.APIGatewayV2HTTPRequest{
						RouteKey: test.route, Body: test.body,
						RequestContext: events.APIGatewayV2HTTPRequestContext{
							Authorizer: claims(map[string]string{"sub": "alice"}).authorizer,
						},
					})
					if err != nil || got.StatusCode != 503 {
						t.Errorf("got %d %s, %v; want 503", got.StatusCode, got.Body, err)
					}
					if took, want := time.Since(begun), max(0, left-500*time.Millisecond); took != want {
						t.Errorf("answered after %s, want %s", took, want)
					}
				})
			})
		}
	}
}
