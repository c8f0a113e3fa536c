package handler

import (
	"context"
	"log/slog"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Admin is what an operator can do to somebody's account, invoked directly. Its errors are problems.
func Admin(d Deps) func(context.Context, api.AdminRequest) (api.StatusResponse, error) {
	return func(ctx context.Context, in api.AdminRequest) (api.StatusResponse, error) {
		out, err := d.admin(ctx, in)
		if err == nil {
			return out, nil
		}
		p := problemOf(err)
		if p.Code == api.CodeInternal || p.Code == api.CodeUnavailable {
			d.Log.ErrorContext(ctx, "admin", slog.String("operation", in.Operation), slog.Any("cause", err))
		}
		return api.StatusResponse{}, p
	}
}

func (d Deps) admin(ctx context.Context, in api.AdminRequest) (api.StatusResponse, error) {
	user := twofactor.UserID(in.User)
	if err := userID(user, "user"); err != nil {
		return api.StatusResponse{}, err
	}
	for field, text := range map[string]string{"operator": in.Operator, "reason": in.Reason} {
		if text == "" {
			return api.StatusResponse{}, api.NewProblem(api.CodeInvalidRequest, field+": is missing: it is kept in the history")
		}
		if err := short(field, text); err != nil {
			return api.StatusResponse{}, err
		}
	}
	req := twofactor.Request{ID: twofactor.RandomDigest()}
	by := twofactor.Operator{Name: in.Operator, Reason: in.Reason}
	var err error
	switch in.Operation {
	case "unlock":
		err = d.Service.Unlock(ctx, user, req, by)
	case "remove_authenticator":
		err = d.Service.RemoveAuthenticator(ctx, user, req, by)
	default:
		err = api.NewProblem(api.CodeInvalidRequest, "operation: must be unlock or remove_authenticator")
	}
	if err != nil {
		return api.StatusResponse{}, err
	}
	return d.status(ctx, call{User: user}, nothing{})
}
