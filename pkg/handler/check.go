package handler

import (
	"context"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Check is the dry run.
func Check(d Deps) Func {
	return serve(d, "check", on("POST /v1/check", d.check))
}

func (d Deps) check(ctx context.Context, c call, in api.CodeRequest) (api.CheckResponse, error) {
	checked, err := d.Service.Check(ctx, c.User, twofactor.Check{Request: c.Request, Code: in.Code})
	if err != nil {
		return api.CheckResponse{}, err
	}
	if checked.Valid {
		return api.CheckResponse{Valid: true, Spent: &checked.Spent, DriftSeconds: ptr(seconds(checked.Off))}, nil
	}
	out := api.CheckResponse{Reason: "wrong_code", AttemptsRemaining: &checked.AttemptsRemaining}
	if checked.Skewed {
		out.Reason, out.DriftSeconds = "clock_skew", ptr(seconds(checked.Off))
	}
	return out, nil
}
