package handler

import (
	"context"
	"encoding/base64"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/totp"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Enroll sets an authenticator up: the first one, from a session or inside a sign-in, or another in its place.
func Enroll(d Deps) Func {
	return serve(d, "enroll",
		on("POST /v1/enroll", d.enroll),
		on("POST /v1/enroll/confirm", d.confirm),
		on("DELETE /v1/enroll", d.discard),
		on("POST /v1/verify/enroll", d.verifyEnroll),
		on("POST /v1/verify/enroll/confirm", d.verifyEnrollConfirm),
	)
}

func (d Deps) enroll(ctx context.Context, c call, in api.EnrollRequest) (api.SetUpResponse, error) {
	if in.Code == "" && in.Grant == "" {
		setUp, err := d.Service.Enroll(ctx, c.User, twofactor.Enroll{Request: c.Request, AuthTime: c.AuthTime})
		return d.setUp(setUp, err)
	}
	grant, err := d.codeOrGrant(ctx, in.Code, in.Grant)
	if err != nil {
		return api.SetUpResponse{}, err
	}
	setUp, err := d.Service.Replace(ctx, c.User, twofactor.Replace{Request: c.Request, Code: in.Code, Grant: grant})
	return d.setUp(setUp, err)
}

func (d Deps) confirm(ctx context.Context, c call, in api.ConfirmRequest) (api.ConfirmResponse, error) {
	confirmed, err := d.Service.Confirm(ctx, c.User, twofactor.Confirm{
		Request: c.Request, Enrolment: enrolmentID(in.EnrollmentID), Code: in.Code,
	})
	return confirmResponse(confirmed), err
}

func (d Deps) discard(ctx context.Context, c call, _ nothing) (nothing, error) {
	return nothing{}, d.Service.Discard(ctx, c.User)
}

func (d Deps) verifyEnroll(ctx context.Context, c call, in api.VerifyEnrollRequest) (api.SetUpResponse, error) {
	challenge, err := d.openChallenge(ctx, in.Challenge)
	if err != nil {
		return api.SetUpResponse{}, err
	}
	setUp, err := d.Service.Enroll(ctx, challenge.User, twofactor.Enroll{Request: c.Request, Challenge: &challenge})
	return d.setUp(setUp, err)
}

func (d Deps) verifyEnrollConfirm(ctx context.Context, c call, in api.VerifyEnrollConfirmRequest) (api.VerifyEnrollConfirmResponse, error) {
	var out api.VerifyEnrollConfirmResponse
	challenge, err := d.openChallenge(ctx, in.Challenge)
	if err != nil {
		return out, err
	}
	confirmed, err := d.Service.Confirm(ctx, challenge.User,
		twofactor.NewConfirm(c.Request, challenge, enrolmentID(in.EnrollmentID), in.Code))
	if err != nil {
		return out, err
	}
	out.ConfirmResponse = confirmResponse(confirmed)
	out.Assertion, out.ExpiresAt, err = d.assertion(ctx, confirmed.SignIn.Assertion)
	return out, err
}

// setUp is what an authenticator app needs, drawn and written.
func (d Deps) setUp(s twofactor.SetUp, err error) (api.SetUpResponse, error) {
	if err != nil {
		return api.SetUpResponse{}, err
	}
	uri := s.Params.URI(s.Secret, d.Settings.App, s.Account)
	code, err := totp.NewQR(uri)
	if err != nil {
		return api.SetUpResponse{}, err
	}
	png, err := code.PNG()
	if err != nil {
		return api.SetUpResponse{}, err
	}
	return api.SetUpResponse{
		EnrollmentID: s.ID.String(), ManualSecret: s.Secret.Base32(), OTPAuthURI: uri, QRSVG: code.SVG(),
		QRPNG:      "data:image/png;base64," + base64.StdEncoding.EncodeToString(png),
		BackupCode: grouped(s.BackupCode), ExpiresAt: s.ExpiresAt,
	}, nil
}

func confirmResponse(c twofactor.Confirmed) api.ConfirmResponse {
	return api.ConfirmResponse{
		State: string(twofactor.StateEnabled), ActivatedAt: c.ActivatedAt, BackupCode: grouped(c.BackupCode),
	}
}

// enrolmentID reads an enrolment's id. What is none is another's: the zero id, which nothing has.
func enrolmentID(text string) twofactor.Digest {
	id, err := twofactor.ParseDigest(text)
	if err != nil {
		return twofactor.Digest{}
	}
	return id
}

// grouped is a backup code for people, or nothing.
func grouped(b *twofactor.RevealedBackup) string {
	if b == nil {
		return ""
	}
	return b.Code.Grouped()
}

// codeOrGrant opens the grant that may stand in for a code: exactly one of the two is given.
func (d Deps) codeOrGrant(ctx context.Context, code, grant string) (*twofactor.Grant, error) {
	if (code == "") == (grant == "") {
		return nil, api.NewProblem(api.CodeInvalidRequest, "code: give either a code or a grant")
	}
	return d.openGrant(ctx, grant)
}
