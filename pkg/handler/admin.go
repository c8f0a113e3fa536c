package handler

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Admin is what an operator can do, invoked directly: to somebody's account, or for what notify could not take. Its errors are
// problems.
func Admin(d Deps) func(context.Context, api.AdminRequest) (api.AdminResponse, error) {
	return func(ctx context.Context, in api.AdminRequest) (api.AdminResponse, error) {
		out, err := d.admin(ctx, in)
		if err == nil {
			return out, nil
		}
		p := problemOf(err)
		if p.Code == api.CodeInternal || p.Code == api.CodeUnavailable {
			d.Log.ErrorContext(ctx, "admin", slog.String("operation", in.Operation), slog.Any("cause", err))
		}
		return api.AdminResponse{}, p
	}
}

func (d Deps) admin(ctx context.Context, in api.AdminRequest) (api.AdminResponse, error) {
	user := twofactor.UserID(in.User)
	if in.Operation == "replay" && in.User != "" {
		return api.AdminResponse{}, api.NewProblem(api.CodeInvalidRequest, "user: a replay is for all users")
	}
	if in.Operation != "replay" {
		if err := userID(user, "user"); err != nil {
			return api.AdminResponse{}, err
		}
		if in.DryRun {
			return api.AdminResponse{}, api.NewProblem(api.CodeInvalidRequest, "dry_run: is for a replay only")
		}
	}
	if err := named(in.Operator, in.Reason); err != nil {
		return api.AdminResponse{}, err
	}
	req := twofactor.Request{ID: twofactor.RandomDigest()}
	by := twofactor.Operator{Name: in.Operator, Reason: in.Reason}
	var err error
	switch in.Operation {
	case "unlock":
		err = d.Service.Unlock(ctx, user, req, by)
	case "remove_authenticator":
		err = d.Service.RemoveAuthenticator(ctx, user, req, by)
	case "replay":
		return d.replay(ctx, in)
	default:
		err = api.NewProblem(api.CodeInvalidRequest, "operation: must be unlock, remove_authenticator or replay")
	}
	if err != nil {
		return api.AdminResponse{}, err
	}
	status, err := d.status(ctx, call{User: user}, nothing{})
	return api.AdminResponse{StatusResponse: &status}, err
}

// named refuses what nobody does, or for no reason.
func named(operator, reason string) error {
	for _, told := range [][2]string{{"operator", operator}, {"reason", reason}} {
		if told[1] == "" {
			return api.NewProblem(api.CodeInvalidRequest, told[0]+": is missing: it is recorded")
		}
		if err := short(told[0], told[1]); err != nil {
			return err
		}
	}
	return nil
}

// replay has notify take what it could not take before. It touches no account, so what remains of it is in the log: who, why,
// and what became of it, also when it broke off.
func (d Deps) replay(ctx context.Context, in api.AdminRequest) (api.AdminResponse, error) {
	if d.Replay == nil {
		return api.AdminResponse{}, api.NewProblem(api.CodeInvalidRequest, "operation: there is no failure bucket here, so there is nothing to replay")
	}
	told, err := d.Replay(ctx, in.DryRun)
	d.Log.InfoContext(ctx, "replay", "operator", in.Operator, "reason", in.Reason, "dry_run", in.DryRun, "told", told, "complete", err == nil)
	if err != nil {
		return api.AdminResponse{}, fmt.Errorf("%w: %w", twofactor.ErrUnavailable, err)
	}
	return api.AdminResponse{Replay: &told}, nil
}
