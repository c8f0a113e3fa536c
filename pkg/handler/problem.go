package handler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/metric"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// problemOf is the one place where a verdict becomes what a client is told. What is not known here is a bare 500.
func problemOf(err error) *api.Problem {
	var (
		problem *api.Problem
		wrong   *twofactor.WrongCode
		reused  *twofactor.CodeReused
		locked  *twofactor.Locked
		forbid  *twofactor.Forbidden
		stale   *twofactor.Reauthenticate
		limit   *twofactor.ResetLimit
	)
	switch {
	case errors.As(err, &problem):
		return problem
	case errors.As(err, &wrong):
		p := api.NewProblem(api.CodeInvalidCode, "")
		p.AttemptsRemaining = &wrong.AttemptsRemaining
		if wrong.Skew != nil {
			p.Reason = "clock_skew"
			p.DriftSeconds = seconds(*wrong.Skew)
		}
		return p
	case errors.As(err, &reused):
		p := api.NewProblem(api.CodeCodeReused, "")
		p.RetryAfter = max(1, ceil(reused.RetryAfter))
		return p
	case errors.As(err, &locked):
		p := api.NewProblem(api.CodeLocked, "")
		p.LockedUntil = locked.Until
		return p
	case errors.As(err, &forbid):
		p := api.NewProblem(api.CodePolicyForbids, "")
		p.Setting = forbid.Setting
		return p
	case errors.As(err, &stale):
		p := api.NewProblem(api.CodeReauthenticate, "")
		p.MaxAge = seconds(stale.MaxAge)
		return p
	case errors.As(err, &limit):
		p := api.NewProblem(api.CodeResetLimit, "")
		p.LockedUntil = limit.Until
		return p
	case errors.Is(err, twofactor.ErrNoReset):
		return api.NewProblem(api.CodeNotFound, "There is no such case.")
	case errors.Is(err, twofactor.ErrOwnCase):
		return api.NewProblem(api.CodeForbidden, "Nobody decides on their own account.")
	case errors.Is(err, twofactor.ErrCaseChanged):
		return api.NewProblem(api.CodeConflict, "The case has changed, or was decided. Look at it again.")
	case errors.Is(err, twofactor.ErrEnded):
		return api.NewProblem(api.CodeConflict, "This user's 2FA was turned off here, or the user was erased. Nothing is brought back from before that: "+
			"activated_at has to be later. The user can set up a new one.")
	case errors.Is(err, twofactor.ErrSuspended):
		return api.NewProblem(api.CodeSuspended, "")
	case errors.Is(err, twofactor.ErrNotEnabled):
		return api.NewProblem(api.CodeNotEnabled, "")
	case errors.Is(err, twofactor.ErrAlreadyEnabled):
		return api.NewProblem(api.CodeAlreadyEnabled, "")
	case errors.Is(err, twofactor.ErrEnrolmentExpired):
		return api.NewProblem(api.CodeEnrollmentExpired, "")
	case errors.Is(err, twofactor.ErrEnrolmentReplaced):
		return api.NewProblem(api.CodeEnrollmentReplaced, "")
	case errors.Is(err, twofactor.ErrNoBackupCode):
		return api.NewProblem(api.CodeNoBackupCode, "")
	case errors.Is(err, twofactor.ErrChallengeExpired):
		return api.NewProblem(api.CodeChallengeExpired, "")
	case errors.Is(err, twofactor.ErrGrantExpired):
		return api.NewProblem(api.CodeGrantExpired, "")
	case errors.Is(err, twofactor.ErrLinkExpired):
		return api.NewProblem(api.CodeLinkExpired, "")
	case errors.Is(err, twofactor.ErrMalformedCode):
		return api.NewProblem(api.CodeInvalidRequest, "code: does not have the form of a code of this kind")
	case errors.Is(err, twofactor.ErrKeyReused):
		return api.NewProblem(api.CodeConflict, "The Idempotency-Key was used for another request. Send each request under a key of its own.")
	case errors.Is(err, twofactor.ErrMethod):
		return api.NewProblem(api.CodeInvalidRequest, "method: must be totp, backup_code or reset_link")
	case errors.Is(err, twofactor.ErrCursor):
		return api.NewProblem(api.CodeInvalidRequest, "cursor: is not one that this list has given")
	case errors.Is(err, twofactor.ErrUnavailable):
		return api.NewProblem(api.CodeUnavailable, "")
	}
	return api.NewProblem(api.CodeInternal, "")
}

// problem answers with a problem and logs what was hidden.
func (d Deps) problem(ctx context.Context, e events.APIGatewayV2HTTPRequest, err error) events.APIGatewayV2HTTPResponse {
	now := d.now()
	p := *problemOf(err) // a copy: the request's id is its own
	h := headers(api.ProblemContentType)
	switch p.Code {
	case api.CodeUnauthorized:
		h["www-authenticate"] = "Bearer"
	case api.CodeReauthenticate: // RFC 9470 §3
		h["www-authenticate"] = fmt.Sprintf(`Bearer error="insufficient_user_authentication", max_age=%d`, p.MaxAge)
	case api.CodeLocked, api.CodeResetLimit:
		h["retry-after"] = strconv.Itoa(max(1, ceil(p.LockedUntil.Sub(now))))
	case api.CodeUnavailable:
		h["retry-after"] = "1"
		d.Log.ErrorContext(ctx, "unavailable", "route", e.RouteKey, "request_id", e.RequestContext.RequestID, "cause", err)
	case api.CodeInternal:
		p.RequestID = e.RequestContext.RequestID
		if errors.Is(err, twofactor.ErrSealed) { // moved, altered, or its key is gone: somebody has to look
			d.Log.ErrorContext(ctx, "sealed", "route", e.RouteKey, "request_id", e.RequestContext.RequestID, "cause", err, metric.Counted(api.MetricUnopened))
			break
		}
		d.Log.ErrorContext(ctx, "internal", "route", e.RouteKey, "request_id", e.RequestContext.RequestID, "cause", err)
	}
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // a problem is ours: it can be written
	}
	return events.APIGatewayV2HTTPResponse{StatusCode: p.Status, Headers: h, Body: string(body)}
}

// unopened is what a log's line has beside a cause: that it counts, if that is a secret which did not open.
func unopened(err error) slog.Attr {
	if errors.Is(err, twofactor.ErrSealed) {
		return metric.Counted(api.MetricUnopened)
	}
	return slog.Attr{} // which no log has
}

func (d Deps) now() time.Time {
	if d.Service == nil {
		return time.Now()
	}
	return d.Service.Now()
}

func ptr[T any](v T) *T { return &v }

func seconds(d time.Duration) int { return int(d / time.Second) }

func ceil(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
