package handler

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/metric"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// sweepPage is how many accounts are looked at between two looks at a list.
const sweepPage = 100

// round is what is done to a list of accounts that wait.
type round struct {
	waiting twofactor.Waiting
	// inOrder says that nothing is to be done yet for an account that is not due, nor for any after it. Cases in review are
	// due from the beginning; identity checks are asked after at any time.
	inOrder bool
	do      func(Deps, context.Context, twofactor.UserID) error
}

// rounds are those of a sweep, in their order: first what needs nobody else.
var rounds = []round{
	{twofactor.WaitingEffect, true, Deps.moveOn},
	{twofactor.WaitingUse, true, Deps.moveOn},
	{twofactor.WaitingIdentity, true, Deps.moveOn},
	{twofactor.WaitingReplacement, true, Deps.moveOn},
	{twofactor.WaitingReview, true, Deps.moveOn},
	{twofactor.WaitingIdentity, false, Deps.askAfter},
}

// Sweep returns the function that a schedule runs: it moves on what time has made due, and asks after identity checks whose
// webhook may have been lost. What fails for one account holds up no other, and is tried again the next time.
func Sweep(d Deps) func(context.Context) error {
	sweep := metric.Task(d.Metrics, "sweep", d.Used, func(ctx context.Context, _ struct{}) error {
		ctx, cancel := inTime(ctx)
		defer cancel()
		var all error
		for _, r := range rounds {
			all = errors.Join(all, d.sweep(ctx, r))
		}
		return errors.Join(all, d.count(ctx))
	})
	return func(ctx context.Context) error { return sweep(ctx, struct{}{}) }
}

// count tells how many resets wait for what, and for how long the oldest has waited for a reviewer.
func (d Deps) count(ctx context.Context) error {
	if d.Metrics == nil {
		return nil
	}
	var points []metric.Point
	var oldest time.Duration
	for _, waiting := range []twofactor.Waiting{twofactor.WaitingIdentity, twofactor.WaitingReview, twofactor.WaitingEffect, twofactor.WaitingUse} {
		number := 0
		for page := (twofactor.Page{Limit: sweepPage}); ; {
			due, err := d.Service.Due(ctx, waiting, page)
			if err != nil {
				return err
			}
			if waiting == twofactor.WaitingReview && number == 0 && len(due.Accounts) > 0 { // due since it waits
				oldest = max(0, d.now().Sub(due.Accounts[0].At))
			}
			number += len(due.Accounts)
			if page.Cursor = due.Next; page.Cursor == "" {
				break
			}
		}
		points = append(points, metric.Point{Name: api.MetricWaiting, Value: float64(number), By: []metric.Dimension{{Name: api.DimensionState, Value: string(waiting)}}})
	}
	for _, p := range points { // in a line each: a line has but one state
		d.Metrics.Put(p)
	}
	d.Metrics.Put(metric.Point{Name: api.MetricOldestReview, Value: math.Floor(oldest.Seconds())})
	return nil
}

func (d Deps) sweep(ctx context.Context, r round) error {
	var all error
	for page := (twofactor.Page{Limit: sweepPage}); ; {
		due, err := d.Service.Due(ctx, r.waiting, page)
		if err != nil {
			return errors.Join(all, err)
		}
		for _, a := range due.Accounts {
			if r.inOrder && d.now().Before(a.At) {
				return all
			}
			if err := r.do(d, ctx, a.User); err != nil {
				d.Log.ErrorContext(ctx, "not swept; it is tried again", "waiting", r.waiting, "user", a.User, "cause", err)
				if errors.Is(err, twofactor.ErrSealed) {
					d.Metrics.Put(metric.Count(api.MetricUnopened))
				}
				all = errors.Join(all, err)
			}
			if ctx.Err() != nil {
				return errors.Join(all, ctx.Err())
			}
		}
		if page.Cursor = due.Next; page.Cursor == "" {
			return all
		}
	}
}

func (d Deps) moveOn(ctx context.Context, user twofactor.UserID) error {
	return d.Service.Sweep(ctx, user)
}

func (d Deps) askAfter(ctx context.Context, user twofactor.UserID) error {
	reset, err := d.Service.Reset(ctx, user)
	if err != nil || reset == nil {
		return err
	}
	return d.LookAtInquiry(ctx, user, reset.ID, reset.Inquiry)
}
