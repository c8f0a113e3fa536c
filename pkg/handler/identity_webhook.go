package handler

import (
	"context"
	"errors"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/metric"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Webhook opens what the identity service sends: which inquiry of which reset may have moved; neither, if it is about
// something else. The error is a [twofactor.ErrUnavailable], or says that the signature is bad or stale.
type Webhook func(ctx context.Context, signature string, body []byte) (inquiry, resetID string, err error)

// IdentityWebhook takes the hint that an identity check has moved. The hint is never a verdict: the inquiry is fetched, and
// what it has come to decides. Late, repeated and disordered hints change nothing.
func IdentityWebhook(d Deps) Func {
	return serve(d, "identity-webhook", onRaw("POST /v1/webhooks/persona", d.identityHint))
}

func (d Deps) identityHint(ctx context.Context, c call, body []byte) (struct{}, error) {
	inquiry, id, err := d.Webhook(ctx, c.Headers["persona-signature"], body)
	switch {
	case errors.Is(err, twofactor.ErrUnavailable):
		return struct{}{}, err
	case err != nil:
		d.Log.WarnContext(ctx, "webhook refused", "request_id", c.RequestID, "cause", err, metric.Counted(api.MetricWebhooksRefused))
		return struct{}{}, api.NewProblem(api.CodeUnauthorized, "The signature is not right, or too old.")
	}
	user, err := d.userOfReset(ctx, id, errNoReview)
	if errors.Is(err, errNoReview) {
		return struct{}{}, nil // an inquiry that somebody has opened with a reference of their own
	}
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, d.LookAtInquiry(ctx, user, id, inquiry)
}

// LookAtInquiry asks the identity service what an inquiry has come to, and takes that over. Only the inquiry that the reset
// holds is asked for.
func (d Deps) LookAtInquiry(ctx context.Context, user twofactor.UserID, resetID, inquiry string) error {
	reset, err := d.Service.Reset(ctx, user)
	if err != nil {
		return err
	}
	if !reset.Open() || reset.ID != resetID || inquiry == "" || reset.Inquiry != inquiry {
		return nil
	}
	outcome, person, err := d.Identity.Result(ctx, inquiry)
	if err != nil {
		return err
	}
	return d.Service.IdentityResult(ctx, user, twofactor.IdentityResult{
		ResetID: resetID, Inquiry: inquiry, Outcome: outcome, Person: person,
	})
}
