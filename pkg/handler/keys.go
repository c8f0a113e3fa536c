package handler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"

	"github.com/aws/aws-lambda-go/cfn"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/metric"
)

// KeyDeps are what the function keys stands on. P is a purpose, S what a rotation has done to its keyset.
type KeyDeps[P, S ~string] struct {
	Exist func(context.Context) (bool, error) // whether there is any keyset
	// Deployed says whether the tables are a deployment's, and which keysets it has made. It fails if they do not belong together.
	Deployed func(context.Context) (begun bool, made []string, err error)
	Begin    func(context.Context) error               // makes them a deployment's
	Create   func(ctx context.Context, made []P) error // each keyset that is missing; it fails if one is that was made
	Join     func(context.Context) error               // lets the accounts be used, and keeps that each keyset was made

	Rotate  func(context.Context) (map[P]S, error)       // what is due
	Renew   func(context.Context, ...P) (map[P]S, error) // what is not due yet
	Answers *http.Client                                 // to CloudFormation
	Log     *slog.Logger
	Metrics *metric.Writer
	Used    metric.Usage
}

// Keys returns the function that a deployment runs as a custom resource of CloudFormation, with each stack that is created or
// updated, and that a schedule runs with an [api.KeysRequest]. Both can be done at any time and again.
func Keys[P, S ~string](d KeyDeps[P, S]) func(context.Context, json.RawMessage) (api.KeysResponse, error) {
	job := metric.Job(d.Metrics, "keys", d.Used, func(ctx context.Context, payload json.RawMessage) (api.KeysResponse, error) {
		var resource cfn.Event // has more members than are read here
		if err := json.Unmarshal(payload, &resource); err == nil && resource.ResponseURL != "" {
			return api.KeysResponse{}, deploy(ctx, resource, d.create, d.Answers, d.Log)
		}
		ctx, cancel := inTime(ctx)
		defer cancel()
		var in api.KeysRequest
		if err := api.Decode(payload, &in); err != nil {
			return api.KeysResponse{}, err
		}
		out, err := d.operate(ctx, in)
		if err != nil || len(out.Done) > 0 {
			d.Log.InfoContext(ctx, "keys", "operation", in.Operation, "operator", in.Operator, "reason", in.Reason, "done", out.Done, "cause", err)
		}
		if err == nil && in.Operator != "" {
			d.Metrics.Put(metric.Count(api.MetricOperatorActions))
		}
		return out, err
	})
	return func(ctx context.Context, payload json.RawMessage) (api.KeysResponse, error) {
		out, err := job(ctx, payload)
		if errors.Is(err, errTold) { // it counts as failed, and Lambda need not try it again
			err = nil
		}
		return out, err
	}
}

func (d KeyDeps[P, S]) operate(ctx context.Context, in api.KeysRequest) (api.KeysResponse, error) {
	var done map[P]S
	var err error
	switch in.Operation {
	case "create":
		return api.KeysResponse{}, d.create(ctx)
	case "rotate":
		done, err = d.Rotate(ctx)
	case "renew":
		if err := named(in.Operator, in.Reason); err != nil {
			return api.KeysResponse{}, err
		}
		if len(in.Purposes) == 0 {
			return api.KeysResponse{}, api.NewProblem(api.CodeInvalidRequest, "purposes: are missing: of which keysets there is to be another key")
		}
		purposes := make([]P, len(in.Purposes))
		for i, p := range in.Purposes {
			purposes[i] = P(p)
		}
		done, err = d.Renew(ctx, purposes...)
	default:
		return api.KeysResponse{}, api.NewProblem(api.CodeInvalidRequest, "operation: must be create, rotate or renew")
	}
	out := api.KeysResponse{Done: map[string]string{}}
	for _, p := range slices.Sorted(maps.Keys(done)) {
		out.Done[string(p)] = string(done[p])
	}
	return out, err
}

var errNoDeployment = errors.New("the config table holds keysets and names no deployment: part of it was lost. Restore it")

// create makes what is missing: the deployment's id, each keyset, what is published of one, and last of all the mark that lets
// the accounts be used. Each is there before the next is made. So what is missing although a later one is there was lost, or
// is in another table, and is not made again: another keyset would open nothing, and an empty table of accounts would be a
// world in which nobody has a second factor.
func (d KeyDeps[P, S]) create(ctx context.Context) error {
	exist, err := d.Exist(ctx) // first: of two at once, one may begin meanwhile
	if err != nil {
		return fmt.Errorf("whether there are keysets: %w", err)
	}
	begun, made, err := d.Deployed(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("whose the tables are: %w", err)
	case !begun && exist:
		return errNoDeployment
	case !begun:
		if err := d.Begin(ctx); err != nil {
			return fmt.Errorf("naming the deployment: %w", err)
		}
	}
	purposes := make([]P, len(made))
	for i, p := range made {
		purposes[i] = P(p)
	}
	if err := d.Create(ctx, purposes); err != nil {
		return err
	}
	if err := d.Join(ctx); err != nil {
		return fmt.Errorf("marking the accounts table: %w", err)
	}
	return nil
}
