package api_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/api"
)

func TestRoutes(t *testing.T) {
	t.Parallel()
	want := []string{
		"enroll: POST /v1/enroll, session, idempotent",
		"enroll: POST /v1/enroll/confirm, session, idempotent",
		"enroll: DELETE /v1/enroll, session",
		"enroll: POST /v1/verify/enroll, challenge, idempotent",
		"enroll: POST /v1/verify/enroll/confirm, challenge, idempotent",
		"verify: POST /v1/verify, challenge",
		"check: POST /v1/check, session",
		"rotate-backup: POST /v1/backup-code, session, idempotent",
		"rotate-backup: POST /v1/backup-code/revoke, session, idempotent",
		"disable: POST /v1/disable, session, idempotent",
		"reset-request: POST /v1/reset-request, challenge",
		"reset-request: POST /v1/reset/show, link",
		"reset-request: POST /v1/reset/identity, link",
		"reset-request: POST /v1/reset/cancel, link",
		"reset-request: DELETE /v1/reset, session",
		"status: GET /v1/status, session",
		"status: GET /v1/history, session",
		"challenge: POST /v1/challenges, host",
		"challenge: POST /v1/users/{user}/events, host",
		"reset-review: GET /v1/reviews, reviewer",
		"reset-review: GET /v1/reviews/{id}, reviewer",
		"reset-review: POST /v1/reviews/{id}/decision, reviewer",
		"identity-webhook: POST /v1/webhooks/persona, webhook",
		"jwks: GET /.well-known/jwks.json, public",
	}
	var got []string
	for _, r := range api.Routes() {
		line := r.Function + ": " + r.Key() + ", " + string(r.Caller)
		if r.Idempotent {
			line += ", idempotent"
		}
		got = append(got, line)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRoutesBelongToTheCaller(t *testing.T) {
	t.Parallel()
	api.Routes()[0].Path = "/changed"
	if got := api.Routes()[0].Path; got != "/v1/enroll" {
		t.Errorf("a caller's change reached the table: %s", got)
	}
}
