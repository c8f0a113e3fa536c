package twofactor

import (
	"fmt"
	"time"

	"github.com/nightlatch/nightlatch/pkg/backupcode"
)

// RevealedBackup is a backup code as its owner sees it, once.
type RevealedBackup struct {
	Code     backupcode.Code
	IssuedAt time.Time
}

// newBackupCode derives a backup code from this request. Nothing of it needs to be kept to show it again: the same
// request derives the same code.
func (r Rules) newBackupCode(a *Account, req Request, now time.Time) (*BackupCode, *RevealedBackup, error) {
	a.Generation++
	b := &BackupCode{
		KeyID: r.Keys.Codes.PrimaryID(), Generation: a.Generation, Length: r.Policy.BackupLength, IssuedAt: now,
	}
	code, err := r.derive(a, b, req.ID)
	if err != nil {
		return nil, nil, err
	}
	b.Digest, err = backupcode.MakeDigest(r.Keys.Codes, b.KeyID, string(a.User), a.Incarnation, b.Generation, code)
	if err != nil {
		return nil, nil, refuse(fmt.Errorf("%w: digesting a backup code: %w", ErrUnavailable, err))
	}
	return b, &RevealedBackup{Code: code, IssuedAt: now}, nil
}

// activateBackupCode puts a new backup code in the place of the old one, which is dead from then on.
func (a *Account) activateBackupCode(b *BackupCode, req Request, now time.Time) {
	a.BackupCode = b
	a.Backups = BackupThrottle{}
	if a.Pending != nil {
		a.Pending.BackupCode = nil // one at a time: a set-up under way no longer brings its own
	}
	a.record(req, now, Event{Type: EventBackupCodeIssued})
}

// backupCodeMadeBy shows the current backup code again to the request that made it; to any other request, nothing.
func (r Rules) backupCodeMadeBy(a *Account, req Request) (*RevealedBackup, error) {
	return r.reveal(a, a.BackupCode, req.ID)
}

// reveal derives b's code from a request, if that request made it.
func (r Rules) reveal(a *Account, b *BackupCode, request Digest) (*RevealedBackup, error) {
	if b == nil {
		return nil, nil
	}
	code, err := r.derive(a, b, request)
	if err != nil {
		return nil, err
	}
	same, err := r.matchesBackup(a, b, code)
	if err != nil || !same {
		return nil, err
	}
	return &RevealedBackup{Code: code, IssuedAt: b.IssuedAt}, nil
}

func (r Rules) derive(a *Account, b *BackupCode, request Digest) (backupcode.Code, error) {
	code, err := backupcode.Derive(r.Keys.Codes, b.KeyID, backupcode.Origin{
		User: string(a.User), Incarnation: a.Incarnation, Generation: b.Generation, Request: request,
	}, b.Length)
	if err != nil {
		return "", refuse(fmt.Errorf("%w: deriving a backup code: %w", ErrUnavailable, err))
	}
	return code, nil
}

func (r Rules) matchesBackup(a *Account, b *BackupCode, code backupcode.Code) (bool, error) {
	same, err := backupcode.Matches(r.Keys.Codes, b.KeyID, string(a.User), a.Incarnation, b.Generation, code, b.Digest)
	if err != nil {
		return false, refuse(fmt.Errorf("%w: comparing a backup code: %w", ErrUnavailable, err))
	}
	return same, nil
}
