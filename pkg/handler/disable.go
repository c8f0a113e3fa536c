package handler

import (
	"context"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Disable turns 2FA off.
func Disable(d Deps) Func {
	return serve(d, "disable", on("POST /v1/disable", d.disable))
}

func (d Deps) disable(ctx context.Context, c call, in api.CodeRequest) (api.DisableResponse, error) {
	err := d.Service.Disable(ctx, c.User, twofactor.Disable{Request: c.Request, Code: in.Code})
	return api.DisableResponse{State: string(twofactor.StateDisabled)}, err
}
