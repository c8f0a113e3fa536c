package handler

import (
	"context"
	"strconv"
	"time"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Status says how an account stands, and what has happened to it.
func Status(d Deps) Func {
	return serve(d, "status",
		on("GET /v1/status", d.status),
		on("GET /v1/history", d.history),
	)
}

func (d Deps) status(ctx context.Context, c call, _ nothing) (api.StatusResponse, error) {
	s, err := d.Service.Status(ctx, c.User)
	if err != nil {
		return api.StatusResponse{}, err
	}
	out := api.StatusResponse{
		State: string(s.State), ActivatedAt: given(s.ActivatedAt),
		BackupCode:  api.BackupCodeStatus{Present: !s.BackupIssuedAt.IsZero(), IssuedAt: given(s.BackupIssuedAt)},
		LockedUntil: given(s.LockedUntil), Suspended: s.Suspended, Reset: resetStatus(s.Reset), Policy: d.Service.Policy,
	}
	if p := s.Pending; p != nil {
		out.Pending = &api.PendingStatus{EnrollmentID: p.ID.String(), Replacement: p.Replacement, ExpiresAt: p.ExpiresAt}
	}
	return out, nil
}

func resetStatus(r *twofactor.ResetStatus) *api.ResetStatus {
	if r == nil {
		return nil
	}
	return &api.ResetStatus{
		ID: r.ID, Reference: r.Reference, State: string(r.State), RequestedAt: r.RequestedAt, EnteredAt: r.EnteredAt,
		EffectiveAt: given(r.EffectiveAt), TriesLeft: r.TriesLeft, ReasonCode: r.ReasonCode,
	}
}

// A page of history, unless the caller wants less or more.
const (
	defaultHistory = 50
	maxHistory     = 200
)

func (d Deps) history(ctx context.Context, c call, _ nothing) (api.HistoryResponse, error) {
	cursor, err := c.cursor()
	if err != nil {
		return api.HistoryResponse{}, err
	}
	page := twofactor.Page{Cursor: cursor, Limit: defaultHistory}
	if text, ok := c.Query["limit"]; ok {
		limit, err := strconv.Atoi(text)
		if err != nil || limit < 1 || limit > maxHistory {
			return api.HistoryResponse{}, api.NewProblem(api.CodeInvalidRequest, "limit: must be 1 to "+strconv.Itoa(maxHistory))
		}
		page.Limit = limit
	}
	list, err := d.Service.History(ctx, c.User, page)
	if err != nil {
		return api.HistoryResponse{}, err
	}
	out := api.HistoryResponse{Events: []api.HistoryEvent{}}
	for _, e := range list.Events {
		if e.Actor == twofactor.ActorReviewer { // where they sit is not the user's to know
			e.IP, e.UserAgent = "", ""
		}
		out.Events = append(out.Events, historyEvent(e))
	}
	if list.Next != "" {
		out.Next = &list.Next
	}
	return out, nil
}

func historyEvent(e twofactor.Event) api.HistoryEvent {
	return api.HistoryEvent{
		ID: e.ID, At: e.At, Type: string(e.Type), Outcome: string(e.Outcome),
		Method: or(string(e.Method), string(twofactor.MethodNone)), Actor: string(e.Actor), IP: e.IP,
		UserAgent: e.UserAgent, Operation: string(e.Operation), Reason: e.Reason,
	}
}

// given is a time, or nil for none.
func given(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
