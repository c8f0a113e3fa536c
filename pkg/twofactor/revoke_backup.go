package twofactor

import (
	"time"
)

// RevokeBackup asks to revoke the backup code, so that another can be created.
type RevokeBackup struct {
	Request
	Code string
}

// RevokeBackup makes the backup code worthless and returns a grant for the create that follows, which needs no second
// authenticator code.
func (r Rules) RevokeBackup(a *Account, req RevokeBackup, now time.Time) (*Grant, error) {
	if r.Policy.BackupRotate != RevokeThenCreate {
		return nil, refuse(&Forbidden{Setting: "backup_rotate"})
	}
	if !a.Enabled() {
		return nil, refuse(ErrNotEnabled)
	}
	if err := a.Codes.refuses(now); err != nil {
		return nil, err
	}
	if again, err := r.answered(a, req.Request, OpRevokeBackup, now); err != nil {
		return nil, err
	} else if again {
		if grant := a.grantOf(req.Request); grant != nil {
			return grant, nil
		}
	}
	if a.BackupCode == nil {
		return nil, refuse(ErrNoBackupCode)
	}
	if err := r.spend(a, req.Request, OpRevokeBackup, req.Code, now); err != nil {
		return nil, err
	}
	a.BackupCode = nil
	a.record(req.Request, now, Event{Type: EventBackupCodeRevoked})
	a.remember(req.Request, now)
	return a.grant(req.Request, GrantBackupCode, now), nil
}
