package handler

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/token"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Identity is the service that checks who somebody is. Its errors are [twofactor.ErrUnavailable] when it could not tell;
// any other is our own fault.
type Identity interface {
	// Begin opens an inquiry for a reset, and returns its id. The same attempt again returns the same inquiry, or, should
	// that have failed, another one.
	Begin(ctx context.Context, resetID string, attempt int) (inquiry string, err error)
	// Link returns a link to an inquiry, good for one use. The error is [twofactor.ErrInquiryClosed] for an inquiry that
	// nobody can go on with: it was submitted, or is over.
	Link(ctx context.Context, inquiry string) (url string, err error)
	// Result asks what an inquiry has come to.
	Result(ctx context.Context, inquiry string) (twofactor.IdentityOutcome, twofactor.Person, error)
}

// ResetRequest starts, continues and cancels a recovery, for whoever has lost authenticator and backup code.
func ResetRequest(d Deps) Func {
	return serve(d, "reset-request",
		on("POST /v1/reset-request", d.requestReset),
		on("POST /v1/reset/show", d.showLink),
		on("POST /v1/reset/identity", d.identityLink),
		on("POST /v1/reset/cancel", d.cancelByLink),
		on("DELETE /v1/reset", d.cancelReset),
	)
}

func (d Deps) requestReset(ctx context.Context, c call, in api.ResetRequest) (accepted[api.ResetResponse], error) {
	var out accepted[api.ResetResponse]
	challenge, err := d.openChallenge(ctx, in.Challenge)
	if err != nil {
		return out, err
	}
	keys, err := d.keys(ctx)
	if err != nil {
		return out, err
	}
	req := twofactor.RequestReset{Request: c.Request, Challenge: challenge}
	if req.ID, req.Reference, err = token.NewResetID(keys.IDs, challenge.User); err != nil {
		return out, err
	}
	asked, err := d.Service.RequestReset(ctx, req)
	if err != nil {
		return out, err
	}
	out.body = api.ResetResponse{
		ID: asked.Reset.ID, Reference: asked.Reset.Reference, State: string(asked.Reset.State), EmailHint: asked.Contact.Hint(),
	}
	return out, nil
}

func (d Deps) showLink(ctx context.Context, _ call, in api.LinkRequest) (api.LinkResponse, error) {
	user, err := d.userOfLink(ctx, in.Token)
	if err != nil {
		return api.LinkResponse{}, err
	}
	shown, err := d.Service.ShowLink(ctx, user, in.Token)
	return api.LinkResponse{
		Purpose: string(shown.Purpose), Reference: shown.Reset.Reference, State: string(shown.Reset.State),
		RequestedAt: shown.Reset.RequestedAt, IP: shown.IP, TriesLeft: shown.Reset.TriesLeft,
	}, err
}

// maxTurns is how often identityLink looks at the account.
const maxTurns = 3

// identityLink sends the holder of a mailed link on to the identity check. The inquiry is begun with the first click, and
// is noted in the account before anybody is sent to it.
func (d Deps) identityLink(ctx context.Context, _ call, in api.LinkRequest) (api.IdentityResponse, error) {
	user, err := d.userOfLink(ctx, in.Token)
	if err != nil {
		return api.IdentityResponse{}, err
	}
	var closed string
	for range maxTurns {
		check, err := d.Service.IdentityCheck(ctx, user, in.Token)
		if err != nil {
			return api.IdentityResponse{}, err
		}
		if closed != "" && check.Inquiry == closed {
			return api.IdentityResponse{}, fmt.Errorf("%w: the check was submitted", twofactor.ErrLinkExpired)
		}
		if check.Inquiry == "" {
			if check.Inquiry, err = d.Identity.Begin(ctx, check.ResetID, check.Attempt); err != nil {
				return api.IdentityResponse{}, err
			}
			err := d.Service.InquiryBegun(ctx, user, check)
			if errors.Is(err, twofactor.ErrLinkExpired) {
				continue // another click came first, with an inquiry of its own; or this link is dead by now
			}
			if err != nil {
				return api.IdentityResponse{}, err
			}
		}
		url, err := d.Identity.Link(ctx, check.Inquiry)
		if err == nil {
			return api.IdentityResponse{URL: url}, nil
		}
		if !errors.Is(err, twofactor.ErrInquiryClosed) {
			return api.IdentityResponse{}, err
		}
		// Nobody has told us yet. Where it has failed or lapsed, the next turn begins another one.
		if err := d.LookAtInquiry(ctx, user, check.ResetID, check.Inquiry); err != nil {
			return api.IdentityResponse{}, err
		}
		closed = check.Inquiry
	}
	return api.IdentityResponse{}, fmt.Errorf("%w: the account has changed %d times meanwhile", twofactor.ErrUnavailable, maxTurns)
}

func (d Deps) cancelByLink(ctx context.Context, c call, in api.LinkRequest) (api.ResetStateResponse, error) {
	user, err := d.userOfLink(ctx, in.Token)
	if err != nil {
		return api.ResetStateResponse{}, err
	}
	err = d.Service.CancelByLink(ctx, user, c.Request, in.Token)
	return api.ResetStateResponse{State: string(twofactor.ResetCanceled)}, err
}

func (d Deps) cancelReset(ctx context.Context, c call, _ nothing) (api.ResetStateResponse, error) {
	err := d.Service.CancelReset(ctx, c.User, c.Request)
	if errors.Is(err, twofactor.ErrNoReset) {
		err = api.NewProblem(api.CodeConflict, "No reset is under way.")
	}
	return api.ResetStateResponse{State: string(twofactor.ResetCanceled)}, err
}

// userOfLink says whose reset a mailed link is of. Whether the link is good only the account tells.
func (d Deps) userOfLink(ctx context.Context, link string) (twofactor.UserID, error) {
	id, _, _ := strings.Cut(link, ".")
	return d.userOfReset(ctx, id, twofactor.ErrLinkExpired)
}

// userOfReset opens a reset's id; the verdict is on what is not ours. As opened, it tries twice.
func (d Deps) userOfReset(ctx context.Context, id string, verdict error) (twofactor.UserID, error) {
	var failed error
	for range 2 {
		keys, err := d.keys(ctx)
		if err != nil {
			return "", err
		}
		user, err := token.OpenResetID(keys.IDs, id)
		if err == nil {
			return user, nil
		}
		failed = err
	}
	return "", fmt.Errorf("%w: %w", verdict, failed)
}
