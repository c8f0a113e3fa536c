package handler

import (
	"context"
	"errors"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// sweepPage is how many accounts are looked at between two looks at the list.
const sweepPage = 100

// Sweep returns the function that a schedule runs: it moves on what time has made due, and asks after identity checks whose
// webhook may have been lost. What fails for one account holds up no other, and is tried again the next time.
func Sweep(d Deps) func(context.Context) error {
	return func(ctx context.Context) error {
		var all error
		for _, waiting := range []twofactor.Waiting{
			twofactor.WaitingEffect, twofactor.WaitingUse, twofactor.WaitingIdentity, twofactor.WaitingReview, twofactor.WaitingReplacement,
		} {
			if err := d.sweep(ctx, waiting); err != nil {
				all = errors.Join(all, err)
			}
		}
		return all
	}
}

func (d Deps) sweep(ctx context.Context, waiting twofactor.Waiting) error {
	var all error
	for page := (twofactor.Page{Limit: sweepPage}); ; {
		due, err := d.Service.Due(ctx, waiting, page)
		if err != nil {
			return errors.Join(all, err)
		}
		for _, a := range due.Accounts {
			if d.later(waiting, a) {
				return all // and so is all that follows
			}
			if err := d.sweepOne(ctx, waiting, a.User); err != nil {
				d.Log.ErrorContext(ctx, "not swept; it is tried again", "waiting", waiting, "cause", err)
				all = errors.Join(all, err)
			}
		}
		if page.Cursor = due.Next; page.Cursor == "" || ctx.Err() != nil {
			return errors.Join(all, ctx.Err())
		}
	}
}

// later says whether nothing is due yet for an account in a list that is in the order of what is due. Cases in review are
// in the order in which they came, and identity checks are asked after at any time.
func (d Deps) later(waiting twofactor.Waiting, a twofactor.Due) bool {
	return waiting != twofactor.WaitingReview && waiting != twofactor.WaitingIdentity && d.now().Before(a.At)
}

func (d Deps) sweepOne(ctx context.Context, waiting twofactor.Waiting, user twofactor.UserID) error {
	err := d.Service.Sweep(ctx, user)
	if waiting != twofactor.WaitingIdentity || err != nil {
		return err
	}
	reset, err := d.Service.Reset(ctx, user)
	if err != nil || reset == nil {
		return err
	}
	return d.LookAtInquiry(ctx, user, reset.ID, reset.Inquiry)
}
