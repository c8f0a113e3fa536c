package handler

import (
	"context"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Verify is the second factor of a sign-in.
func Verify(d Deps) Func {
	return serve(d, "verify", on("POST /v1/verify", d.verify))
}

func (d Deps) verify(ctx context.Context, c call, in api.VerifyRequest) (out api.VerifyResponse, err error) {
	challenge, err := d.openChallenge(ctx, in.Challenge)
	if err != nil {
		return out, err
	}
	signIn, err := d.Service.Verify(ctx, twofactor.NewVerify(c.Request, challenge, twofactor.Method(in.Method), in.Code))
	if err != nil {
		return out, err
	}
	// From here on the code is spent. Should signing fail, the same request gets the same answer once it works.
	out = api.VerifyResponse{State: string(signIn.State), BackupCode: grouped(signIn.BackupCode)}
	if signIn.Enroll != nil {
		out.EnrollmentRequired, out.ExpiresAt = true, &signIn.Enroll.ExpiresAt
		out.Challenge, err = d.sealChallenge(ctx, *signIn.Enroll)
		return out, err
	}
	if out.Grant, err = d.sealGrant(ctx, signIn.Grant); err != nil {
		return out, err
	}
	out.Assertion, out.ExpiresAt, err = d.assertion(ctx, signIn.Assertion)
	return out, err
}
