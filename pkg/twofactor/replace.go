package twofactor

import (
	"time"

	"github.com/nightlatch/nightlatch/pkg/totp"
)

// Replace asks for a new authenticator in the place of the one in force, with a code of that one, or with the grant of
// a backup sign-in.
type Replace struct {
	Request
	Secret totp.Secret // a new one
	Code   string
	Grant  *Grant
}

// Replace begins a replacement. The old authenticator stays in force until the new one is confirmed, and the backup
// code stays as it is. The code is spent now, the grant only by the confirmation, so that a lapsed set-up can be begun
// again.
func (r Rules) Replace(a *Account, req Replace, now time.Time) (SetUp, error) {
	if !a.Enabled() {
		return SetUp{}, refuse(ErrNotEnabled)
	}
	if req.Grant == nil {
		if err := a.Codes.refuses(now); err != nil {
			return SetUp{}, err
		}
	}
	if a.begunBy(req.Request, now) {
		return r.show(a, a.Pending, req.Request, nil)
	}
	var grant Digest
	if req.Grant != nil {
		grant = req.Grant.ID
	}
	pending, setUp, err := r.prepare(a, req.Request, req.Secret, grant, nil, now)
	if err != nil {
		return SetUp{}, err
	}
	if req.Grant == nil {
		err = r.spend(a, req.Request, OpReplace, req.Code, now)
	} else {
		err = a.admits(*req.Grant, GrantAny, now)
	}
	if err != nil {
		return SetUp{}, err
	}
	a.proofOfLife(req.Request, now)
	a.begin(pending, req.Request, OpReplace, now)
	return setUp, nil
}
