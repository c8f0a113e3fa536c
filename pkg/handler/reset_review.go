package handler

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// ResetReview is what reviewers see and decide.
func ResetReview(d Deps) Func {
	return serve(d, "reset-review",
		on("GET /v1/reviews", d.reviews),
		on("GET /v1/reviews/{id}", d.review),
		on("POST /v1/reviews/{id}/decision", d.decide),
	)
}

// queueLimit is how many cases a page of the queue has.
const queueLimit = 25

var queues = []twofactor.ResetState{
	twofactor.ResetInReview, twofactor.ResetIdentityPending, twofactor.ResetApproved, twofactor.ResetReady,
}

// reviews lists cases by the state they are in. The list may lag behind: each is looked up before it is shown.
func (d Deps) reviews(ctx context.Context, c call, _ nothing) (api.ReviewsResponse, error) {
	state := twofactor.ResetInReview
	if asked, ok := c.Query["state"]; ok {
		state = twofactor.ResetState(asked)
	}
	if !slices.Contains(queues, state) {
		return api.ReviewsResponse{}, api.NewProblem(api.CodeInvalidRequest, "state: must be in_review, identity_pending, approved or ready")
	}
	cursor, err := c.cursor()
	if err != nil {
		return api.ReviewsResponse{}, err
	}
	due, err := d.Service.Due(ctx, twofactor.Waiting(state), twofactor.Page{Cursor: cursor, Limit: queueLimit})
	if err != nil {
		return api.ReviewsResponse{}, err
	}
	out := api.ReviewsResponse{Cases: []api.CaseSummary{}}
	for _, waiting := range due.Accounts {
		reset, err := d.Service.Reset(ctx, waiting.User)
		if err != nil {
			return api.ReviewsResponse{}, err
		}
		if reset == nil || reset.State != state {
			continue
		}
		summary := api.CaseSummary{
			ID: reset.ID, Reference: reset.Reference, State: string(reset.State), EnteredAt: reset.EnteredAt,
			DueAt: reset.ExpiresAt, Approvals: len(reset.Approvals), Bounced: reset.Bounced,
		}
		if reset.State == twofactor.ResetApproved {
			summary.DueAt = reset.EffectiveAt
		}
		out.Cases = append(out.Cases, summary)
	}
	if due.Next != "" {
		out.Next = &due.Next
	}
	return out, nil
}

// review shows a case, and notes in the history that it was looked at.
func (d Deps) review(ctx context.Context, c call, _ nothing) (api.CaseResponse, error) {
	id := c.Path["id"]
	user, err := d.userOfReset(ctx, id, errNoReview)
	if err != nil {
		return api.CaseResponse{}, err
	}
	found, err := d.Service.Case(ctx, user, id, c.Reviewer)
	if err != nil {
		return api.CaseResponse{}, err
	}
	history, more, err := d.recentHistory(ctx, user)
	if err != nil {
		return api.CaseResponse{}, err
	}
	if err := d.Service.CaseViewed(ctx, user, c.Request, c.Reviewer); err != nil {
		return api.CaseResponse{}, err
	}
	out := d.caseResponse(found, history)
	out.RecentChanges = recentChanges(found, history, more, d.now())
	return out, nil
}

// errNoReview is the verdict on an id that leads to no case.
var errNoReview = api.NewProblem(api.CodeNotFound, "There is no such case.")

// The history that a case is judged by: at most so many pages of so many events.
const (
	historyPages = 10
	historyPage  = 200
	shownHistory = 50
	recentDays   = 7 * 24 * time.Hour
)

// recentHistory returns the newest events, and whether there are more.
func (d Deps) recentHistory(ctx context.Context, user twofactor.UserID) (all []twofactor.Event, more bool, err error) {
	page := twofactor.Page{Limit: historyPage}
	for range historyPages {
		list, err := d.Service.History(ctx, user, page)
		if err != nil {
			return nil, false, err
		}
		all = append(all, list.Events...)
		if page.Cursor = list.Next; page.Cursor == "" {
			return all, false, nil
		}
	}
	return all, true, nil
}

func (d Deps) caseResponse(c twofactor.Case, history []twofactor.Event) api.CaseResponse {
	r := c.Reset
	out := api.CaseResponse{
		ID: r.ID, Reference: r.Reference, State: string(r.State), CaseVersion: r.CaseVersion, RequestedAt: r.RequestedAt,
		Request:  api.CaseOrigin{IP: r.IP, UserAgent: r.UserAgent, NetworkSeenBefore: seenBefore(history, r)},
		Identity: compareIdentity(c.Subject, c.Person),

		History: []api.HistoryEvent{}, EarlierResets: []api.HistoryEvent{}, Approvals: []api.CaseApproval{},
		ApprovalsNeeded: c.ApprovalsNeeded, Bounced: r.Bounced,
	}
	if r.Inquiry != "" && d.Settings.InquiryURL != "" {
		out.InquiryURL = d.Settings.InquiryURL + r.Inquiry
	}
	if r.Open() {
		out.Effect = &api.CaseEffect{What: effectOf(c.Enforcement), Enforcement: string(c.Enforcement), EarliestAt: c.EarliestAt}
	}
	for _, a := range r.Approvals {
		out.Approvals = append(out.Approvals, api.CaseApproval{By: a.By, At: a.At})
	}
	for i, e := range history {
		shown := historyEvent(e)
		if i < shownHistory {
			out.History = append(out.History, shown)
		}
		if e.At.Before(r.RequestedAt) && slices.Contains(endings, e.Type) {
			out.EarlierResets = append(out.EarlierResets, shown)
		}
	}
	return out
}

var (
	// changes are what a reviewer has to know of the last days: who may have been at the account before.
	changes = []twofactor.EventType{
		twofactor.EventPasswordChanged, twofactor.EventAddressChanged, twofactor.EventLocked, twofactor.EventSuspended,
		twofactor.EventUnlocked, twofactor.EventEnabled, twofactor.EventReplaced, twofactor.EventDisabled,
		twofactor.EventBackupCodeUsed, twofactor.EventBackupCodeIssued, twofactor.EventBackupCodeRevoked, twofactor.EventAdminRemoved,
		twofactor.EventGap,
	}
	endings = []twofactor.EventType{
		twofactor.EventResetCompleted, twofactor.EventResetDenied, twofactor.EventResetCanceled, twofactor.EventResetExpired,
	}
)

// recentChanges are the changes of the last days, newest first. The history comes late, by the stream, and whoever has the
// password can make it long: so a change of address is taken from the account, and what was not looked at leaves a gap.
func recentChanges(c twofactor.Case, history []twofactor.Event, more bool, now time.Time) []api.HistoryEvent {
	recent := func(at time.Time) bool { return now.Sub(at) <= recentDays }
	events := slices.DeleteFunc(slices.Clone(history), func(e twofactor.Event) bool {
		return !recent(e.At) || !slices.Contains(changes, e.Type)
	})
	address := twofactor.Event{
		ID: "address", At: c.AddressChanged, Type: twofactor.EventAddressChanged, Outcome: twofactor.Succeeded, Actor: twofactor.ActorHost,
	}
	known := func(e twofactor.Event) bool { return e.Type == address.Type && e.At.Equal(address.At) }
	if recent(address.At) && !slices.ContainsFunc(events, known) {
		events = append(events, address)
		slices.SortStableFunc(events, func(a, b twofactor.Event) int { return b.At.Compare(a.At) })
	}
	if oldest := len(history) - 1; more && recent(history[oldest].At) {
		events = append(events, twofactor.Event{
			ID: "gap", At: history[oldest].At, Type: twofactor.EventGap, Outcome: twofactor.Succeeded, Actor: twofactor.ActorSystem, Reason: "too_many_events",
		})
	}
	out := []api.HistoryEvent{}
	for _, e := range events {
		out = append(out, historyEvent(e))
	}
	return out
}

func effectOf(e twofactor.Enforcement) string {
	if e == twofactor.Required {
		return "A link is mailed. With it and the password the user sets up a new authenticator, which replaces the lost one."
	}
	return "A link is mailed. With it and the password the user signs in, and two-factor authentication is off until it is set up again."
}

// seenBefore says whether the user has signed in from the network of the request before it was made.
func seenBefore(history []twofactor.Event, r twofactor.Reset) bool {
	asked, ok := network(r.IP)
	return ok && slices.ContainsFunc(history, func(e twofactor.Event) bool {
		from, ok := network(e.IP)
		return ok && from == asked && e.Type == twofactor.EventLogin && e.Outcome == twofactor.Succeeded && e.At.Before(r.RequestedAt)
	})
}

// network is what an address has in common with its neighbours: 24 bits of IPv4, 48 of IPv6.
func network(address string) (netip.Prefix, bool) {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}, false
	}
	bits := 48
	if ip = ip.Unmap(); ip.Is4() {
		bits = 24
	}
	p, err := ip.Prefix(bits)
	return p, err == nil
}

// compareIdentity puts what is on file beside what was read from the ID.
func compareIdentity(subject *twofactor.Subject, person *twofactor.Person) []api.IdentityField {
	s, p := twofactor.Subject{}, twofactor.Person{}
	if subject != nil {
		s = *subject
	}
	if person != nil {
		p = *person
	}
	field := func(name, onFile, verified string, plain func(string) string) api.IdentityField {
		f := api.IdentityField{Field: name, OnFile: some(onFile), Verified: some(verified), Result: "not_on_file"}
		switch same := plain(onFile); {
		case onFile == "":
		case same != "" && same == plain(verified): // what comes to nothing is like nothing
			f.Result = "match"
		default:
			f.Result = "differs"
		}
		return f
	}
	return []api.IdentityField{
		field("name", s.Name, p.Name, plainName), field("birthdate", s.Birthdate, p.Birthdate, strings.TrimSpace),
		field("phone", s.Phone, p.Phone, plainPhone), field("address", "", p.Address, strings.TrimSpace),
	}
}

// plainName is a name without what papers write in different ways: case and spaces. The reviewer sees both as they are.
func plainName(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

func plainPhone(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '+' {
			return r
		}
		return -1
	}, s)
}

func some(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

var reasonCodes = []string{"identity_mismatch", "document_unreadable", "suspicious_request", "not_account_holder", "other"}

// decide takes a reviewer's decision.
func (d Deps) decide(ctx context.Context, c call, in api.DecisionRequest) (api.DecisionResponse, error) {
	decision := twofactor.Decision(in.Decision)
	switch {
	case !slices.Contains([]twofactor.Decision{
		twofactor.DecisionApprove, twofactor.DecisionDeny, twofactor.DecisionStop, twofactor.DecisionRetryIdentity,
	}, decision):
		return api.DecisionResponse{}, api.NewProblem(api.CodeInvalidRequest, "decision: must be approve, deny, stop or retry_identity")
	case in.ReasonCode != "" && !slices.Contains(reasonCodes, in.ReasonCode):
		return api.DecisionResponse{}, api.NewProblem(api.CodeInvalidRequest, "reason_code: must be one of "+strings.Join(reasonCodes, ", "))
	case decision == twofactor.DecisionDeny && in.ReasonCode == "":
		return api.DecisionResponse{}, api.NewProblem(api.CodeInvalidRequest, "reason_code: is missing: the user is told why")
	case decision == twofactor.DecisionApprove && !in.IdentityMatches:
		return api.DecisionResponse{}, api.NewProblem(api.CodeInvalidRequest, "identity_matches: must be true to approve")
	}
	if err := short("note", strings.ReplaceAll(in.Note, "\n", " ")); err != nil { // it may have lines
		return api.DecisionResponse{}, err
	}
	id := c.Path["id"]
	user, err := d.userOfReset(ctx, id, errNoReview)
	if err != nil {
		return api.DecisionResponse{}, err
	}
	done, err := d.Service.Review(ctx, user, twofactor.Review{
		Request: c.Request, ResetID: id, Reviewer: c.Reviewer, Decision: decision, CaseVersion: in.CaseVersion,
		IdentityMatches: in.IdentityMatches, ReasonCode: in.ReasonCode, Note: in.Note,
	})
	return api.DecisionResponse{State: string(done.State), Approvals: done.Approvals}, err
}
