package twofactor

import (
	"time"
)

// RotateBackup asks for a new backup code, with a code of the authenticator or with a grant.
type RotateBackup struct {
	Request
	Code  string
	Grant *Grant
}

// RotateBackup issues a new backup code; the previous one is dead at once. Where the policy wants the old one revoked
// first, it only creates.
func (r Rules) RotateBackup(a *Account, req RotateBackup, now time.Time) (*RevealedBackup, error) {
	if !a.Enabled() {
		return nil, refuse(ErrNotEnabled)
	}
	if req.Grant == nil {
		if err := a.Codes.refuses(now); err != nil {
			return nil, err
		}
	}
	again, err := a.repeats(req.Request, now), error(nil)
	if req.Grant == nil { // a grant is too long to be searched for
		again, err = r.answered(a, req.Request, OpRotateBackup, now)
	}
	if err != nil {
		return nil, err
	}
	if again {
		if code, err := r.backupCodeMadeBy(a, req.Request); code != nil || err != nil {
			return code, err
		}
	}
	if req.Grant != nil {
		if err := a.admits(*req.Grant, GrantBackupCode, now); err != nil {
			return nil, err
		}
	}
	if a.BackupCode != nil && r.Policy.BackupRotate == RevokeThenCreate {
		return nil, refuse(&Forbidden{Setting: "backup_rotate"})
	}
	next, code, err := r.newBackupCode(a, req.Request, now) // before anything is compared, as in prepare
	if err != nil {
		return nil, err
	}
	if req.Grant != nil {
		a.dropGrant(now)
	} else if err := r.spend(a, req.Request, OpRotateBackup, req.Code, now); err != nil {
		return nil, err
	}
	a.activateBackupCode(next, req.Request, now)
	a.remember(req.Request, now)
	return code, nil
}
