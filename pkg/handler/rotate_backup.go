package handler

import (
	"context"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// RotateBackup gives a new backup code, or none.
func RotateBackup(d Deps) Func {
	return serve(d, "rotate-backup",
		on("POST /v1/backup-code", d.rotateBackup),
		on("POST /v1/backup-code/revoke", d.revokeBackup),
	)
}

func (d Deps) rotateBackup(ctx context.Context, c call, in api.BackupCodeRequest) (api.BackupCodeResponse, error) {
	grant, err := d.codeOrGrant(ctx, in.Code, in.Grant)
	if err != nil {
		return api.BackupCodeResponse{}, err
	}
	code, err := d.Service.RotateBackup(ctx, c.User, twofactor.RotateBackup{Request: c.Request, Code: in.Code, Grant: grant})
	if err != nil {
		return api.BackupCodeResponse{}, err
	}
	return api.BackupCodeResponse{BackupCode: code.Code.Grouped(), IssuedAt: code.IssuedAt}, nil
}

func (d Deps) revokeBackup(ctx context.Context, c call, in api.CodeRequest) (api.GrantResponse, error) {
	grant, err := d.Service.RevokeBackup(ctx, c.User, twofactor.RevokeBackup{Request: c.Request, Code: in.Code})
	if err != nil {
		return api.GrantResponse{}, err
	}
	sealed, err := d.sealGrant(ctx, grant)
	return api.GrantResponse{Grant: sealed}, err
}
