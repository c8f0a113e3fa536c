package handler

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/metric"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Admin is what an operator can do, invoked directly: to somebody's account, or for what notify could not take. Its errors are
// problems. Each order leaves one line in the log, also one that is refused or changes nothing: who asks in vain is worth seeing.
func Admin(d Deps) func(context.Context, api.AdminRequest) (api.AdminResponse, error) {
	return metric.Job(d.Metrics, "admin", d.Used, func(ctx context.Context, in api.AdminRequest) (api.AdminResponse, error) {
		out, err := d.admin(ctx, in)
		if err == nil {
			d.Metrics.Put(metric.Count(api.MetricOperatorActions))
			d.noted(ctx, in, "done", out)
			return out, nil
		}
		p := problemOf(err)
		d.noted(ctx, in, string(p.Code), out)
		if p.Code == api.CodeInternal || p.Code == api.CodeUnavailable {
			d.Log.ErrorContext(ctx, "admin", slog.String("operation", in.Operation), slog.Any("cause", err), unopened(err))
		}
		return api.AdminResponse{}, p
	})
}

// noted is the line of an order. Of one that is none it has only what has the form of what it should be.
func (d Deps) noted(ctx context.Context, in api.AdminRequest, verdict string, out api.AdminResponse) {
	if _, known := ofUsers[in.Operation]; !known {
		in.Operation = "unknown"
	}
	if userID(twofactor.UserID(in.User), "") != nil {
		in.User = ""
	}
	if named(in.Operator, in.Reason) != nil {
		in.Operator, in.Reason = "", ""
	}
	line := []any{"operation", in.Operation, "user", in.User, "operator", in.Operator, "reason", in.Reason, "verdict", verdict}
	if out.Replay != nil {
		line = append(line, "dry_run", in.DryRun, "told", *out.Replay)
	}
	if out.Fence != nil {
		line = append(line, "at", out.Fence.At)
	}
	d.Log.InfoContext(ctx, "order", line...)
}

func (d Deps) admin(ctx context.Context, in api.AdminRequest) (api.AdminResponse, error) {
	if err := checkOrder(in); err != nil {
		return api.AdminResponse{}, err
	}
	user, req := twofactor.UserID(in.User), twofactor.Request{ID: twofactor.RandomDigest()}
	by := twofactor.Operator{Name: in.Operator, Reason: in.Reason}
	var err error
	switch in.Operation {
	case "unlock":
		err = d.Service.Unlock(ctx, user, req, by)
	case "remove_authenticator":
		err = d.Service.RemoveAuthenticator(ctx, user, req, by)
	case "erase":
		err = d.Service.Erase(ctx, user, req, twofactor.Event{Actor: twofactor.ActorOperator, By: in.Operator, Reason: in.Reason})
	case "import":
		err = d.importFor(ctx, user, req, by, *in.Import)
	case "export":
		return d.export(ctx, in)
	case "replay":
		return d.replay(ctx, in)
	case "fence":
		return d.raiseFence(ctx, by)
	}
	if err != nil {
		return api.AdminResponse{}, err
	}
	status, err := d.status(ctx, call{User: user}, nothing{})
	return api.AdminResponse{StatusResponse: &status}, err
}

// ofUsers says of each operation whether it is one user's.
var ofUsers = map[string]bool{
	"unlock": true, "remove_authenticator": true, "erase": true, "export": true, "import": true, "replay": false, "fence": false,
}

// checkOrder refuses what is no order, or half of one.
func checkOrder(in api.AdminRequest) error {
	ofUser, known := ofUsers[in.Operation]
	switch {
	case !known:
		return api.NewProblem(api.CodeInvalidRequest, "operation: must be unlock, remove_authenticator, export, erase, import, fence or replay")
	case !ofUser && in.User != "":
		return api.NewProblem(api.CodeInvalidRequest, "user: a "+in.Operation+" is for all users")
	case in.DryRun && in.Operation != "replay":
		return api.NewProblem(api.CodeInvalidRequest, "dry_run: is for a replay only")
	case in.Cursor != "" && in.Operation != "export" && in.Operation != "replay":
		return api.NewProblem(api.CodeInvalidRequest, "cursor: is for an export or a replay only")
	case in.Import != nil && in.Operation != "import":
		return api.NewProblem(api.CodeInvalidRequest, "import: is for an import only")
	case in.Import == nil && in.Operation == "import":
		return api.NewProblem(api.CodeInvalidRequest, "import: is missing: the authenticator to bring along")
	}
	if ofUser {
		if err := userID(twofactor.UserID(in.User), "user"); err != nil {
			return err
		}
	}
	return named(in.Operator, in.Reason)
}

// named refuses what nobody does, or for no reason.
func named(operator, reason string) error {
	for _, told := range [][2]string{{"operator", operator}, {"reason", reason}} {
		if told[1] == "" {
			return api.NewProblem(api.CodeInvalidRequest, told[0]+": is missing: it is recorded")
		}
		if err := short(told[0], told[1]); err != nil {
			return err
		}
	}
	return nil
}

// replay has notify take what it could not take before. It touches no account, so what remains of it is in the log, also when it
// broke off.
func (d Deps) replay(ctx context.Context, in api.AdminRequest) (api.AdminResponse, error) {
	if d.Replay == nil {
		return api.AdminResponse{}, api.NewProblem(api.CodeInvalidRequest, "operation: there is no failure bucket here, so there is nothing to replay")
	}
	told, err := d.Replay(ctx, in.DryRun, in.Cursor)
	if err != nil {
		err = fmt.Errorf("%w: %w", twofactor.ErrUnavailable, err)
	}
	return api.AdminResponse{Replay: &told}, err
}

// exportPage is how many events an export tells at once: Lambda's answers have 6 MB at most.
const exportPage = 2000

// export tells all that is kept about a user.
func (d Deps) export(ctx context.Context, in api.AdminRequest) (api.AdminResponse, error) {
	out, err := d.Service.Export(ctx, twofactor.UserID(in.User), twofactor.Page{Cursor: in.Cursor, Limit: exportPage})
	if err != nil {
		return api.AdminResponse{}, err
	}
	return api.AdminResponse{Export: out}, nil
}

// raiseFence has nothing count any more that is older than now and may have been restored.
func (d Deps) raiseFence(ctx context.Context, by twofactor.Operator) (api.AdminResponse, error) {
	at, err := d.RaiseFence(ctx, d.now(), by)
	if err != nil {
		return api.AdminResponse{}, err
	}
	d.Metrics.Put(metric.Count(api.MetricFences))
	return api.AdminResponse{Fence: &api.FenceResponse{At: at}}, nil
}
