package handler_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/token"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// TestCase holds a whole case against what was done.
func TestCase(t *testing.T) { recoverOnEachEngine(t, "standard", wholeCase) }

func wholeCase(t *testing.T, r *recovery) {
	r.enrolled("alice")
	begun := r.clock().Format(time.RFC3339Nano)
	id := r.toReview("alice")
	at := r.clock().Add(time.Hour)
	r.wind(time.Hour)
	carol := r.reviewer("carol").about(id).from("192.0.2.99")
	a := r.want(carol, "GET /v1/reviews/{id}", "", 200, "")
	history := a.Body["history"].([]any)
	delete(a.Body, "history")
	want := map[string]any{
		"id": id, "reference": r.reset("alice").Reference, "state": "in_review", "case_version": 2.0, "requested_at": begun,
		"request": map[string]any{"ip": here, "user_agent": "test/1", "network_seen_before": false},
		"identity": []any{
			map[string]any{"field": "name", "on_file": "Alice Example", "verified": "ALICE  Example", "result": "match"},
			map[string]any{"field": "birthdate", "on_file": "1990-01-31", "verified": "1990-01-31", "result": "match"},
			map[string]any{"field": "phone", "on_file": nil, "verified": nil, "result": "not_on_file"},
			map[string]any{"field": "address", "on_file": nil, "verified": "1 Main Street", "result": "not_on_file"},
		},
		"inquiry_url": "https://persona.example/inquiries/" + r.reset("alice").Inquiry,
		"effect": map[string]any{
			"enforcement": "optional",
			"what":        "A link is mailed. With it and the password the user signs in, and two-factor authentication is off until it is set up again.",
			"earliest_at": at.Add(24 * time.Hour).Format(time.RFC3339Nano),
		},
		"earlier_resets": []any{}, "approvals": []any{}, "approvals_needed": 1.0, "bounced": false,
	}
	changes := a.Body["recent_changes"].([]any)
	delete(a.Body, "recent_changes")
	if diff := cmp.Diff(want, a.Body); diff != "" {
		t.Errorf("the case (-want +got):\n%s", diff)
	}
	types := func(events []any) (all []string) {
		for _, e := range events {
			all = append(all, e.(map[string]any)["type"].(string))
		}
		return all
	}
	if diff := cmp.Diff([]string{"backup_code_issued", "enabled"}, types(changes)); diff != "" {
		t.Errorf("recent changes (-want +got):\n%s", diff)
	}
	wantHistory := []string{"identity_passed", "reset_requested", "challenge_issued", "backup_code_issued", "enabled", "enrollment_started"}
	if diff := cmp.Diff(wantHistory, types(history)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}

	// That it was looked at is noted, for the user without where from.
	r.deps.Settings.InquiryURL = ""
	r.funcs = functions(r.deps)
	again := r.want(carol, "GET /v1/reviews/{id}", "", 200, "")
	if url, ok := again.Body["inquiry_url"].(string); !ok || url != "" {
		t.Errorf("inquiry_url is %v where there is none", again.Body["inquiry_url"])
	}
	viewed := again.Body["history"].([]any)[0].(map[string]any)
	if viewed["type"] != "case_viewed" || viewed["actor"] != "reviewer" || viewed["ip"] != "192.0.2.99" {
		t.Errorf("noted: %v", viewed)
	}
	own := r.want(r.session("alice"), "GET /v1/history", "", 200, "")
	if seen := own.Body["events"].([]any)[0].(map[string]any); seen["type"] != "case_viewed" || seen["ip"] != "" || seen["user_agent"] != "" || strings.Contains(own.Text, "carol") {
		t.Errorf("the user's own history: %s", own.Text)
	}
	if again.Body["case_version"] != 2.0 {
		t.Errorf("a look has raised the version: %s", again.Text)
	}
}

// TestCompareIdentity: like is like, and nothing is like nothing.
func TestCompareIdentity(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		subject string
		person  twofactor.Person
		want    string // name, birthdate, phone, address
	}{
		"the same": {
			`{"name":"Alice Example","birthdate":"1990-01-31","phone":"+1 (202) 555-0100"}`,
			twofactor.Person{Name: "ALICE EXAMPLE", Birthdate: "1990-01-31", Phone: "+12025550100", Address: "1 Main Street"},
			"match match match not_on_file",
		},
		"other": {
			`{"name":"Alice Example","birthdate":"1990-01-31","phone":"+12025550100"}`,
			twofactor.Person{Name: "Alice Exampl", Birthdate: "1990-01-13", Phone: "+12025550101"},
			"differs differs differs not_on_file",
		},
		"nothing verified":          {`{"name":"Alice","birthdate":"1990-01-31","phone":"1"}`, twofactor.Person{}, "differs differs differs not_on_file"},
		"nothing on file":           {`{}`, twofactor.Person{Name: "Alice", Phone: "1"}, "not_on_file not_on_file not_on_file not_on_file"},
		"what comes to nothing":     {`{"name":"  ","phone":"none"}`, twofactor.Person{Name: " ", Phone: "n/a"}, "differs not_on_file differs not_on_file"},
		"comes to nothing, and not": {`{"name":" ","phone":"-"}`, twofactor.Person{}, "differs not_on_file differs not_on_file"},
		"a plus makes a difference": {`{"phone":"12025550100"}`, twofactor.Person{Phone: "+12025550100"}, "not_on_file not_on_file differs not_on_file"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRecovery(t, "standard")
			r.enrolled("alice")
			id := r.want(anyone, "POST /v1/reset-request", body("challenge", r.challengeAs("alice", test.subject)), 202, "").str("id")
			inquiry := r.clicked("alice")
			r.persona.decides(inquiry, twofactor.IdentityPassed)
			r.persona.inquiries[inquiry].person = test.person
			r.hint(inquiry, id)
			found := r.want(r.reviewer("carol").about(id), "GET /v1/reviews/{id}", "", 200, "")
			var got []string
			for _, f := range found.Body["identity"].([]any) {
				got = append(got, f.(map[string]any)["result"].(string))
			}
			if got := strings.Join(got, " "); got != test.want {
				t.Errorf("got %s, want %s\n%s", got, test.want, found.Text)
			}
		})
	}
}

// TestNetworkSeenBefore: by a sign-in that succeeded before the reset was asked for.
func TestNetworkSeenBefore(t *testing.T) {
	t.Parallel()
	login := func(ip string) twofactor.Event {
		return twofactor.Event{Type: twofactor.EventLogin, Outcome: twofactor.Succeeded, Actor: twofactor.ActorUser, IP: ip}
	}
	failed, other := login(here), login(here)
	failed.Outcome, other.Type = twofactor.Failed, twofactor.EventPasswordFailed
	tests := map[string]struct {
		asked string
		event twofactor.Event
		late  bool
		want  bool
	}{
		"the same address":          {here, login(here), false, true},
		"a neighbour":               {"203.0.113.200", login(here), false, true},
		"another network":           {"203.0.114.7", login(here), false, false},
		"a sign-in that failed":     {here, failed, false, false},
		"no sign-in":                {here, other, false, false},
		"a sign-in after it":        {here, login(here), true, false},
		"IPv6 of one site":          {"2001:db8:1:2::3", login("2001:db8:1:ffff::9"), false, true},
		"IPv6 of another":           {"2001:db8:1:2::3", login("2001:db8:2::3"), false, false},
		"IPv4 in IPv6":              {"::ffff:203.0.113.9", login(here), false, true},
		"IPv4 and IPv6":             {"2001:db8::1", login(here), false, false},
		"nobody knows from where":   {"somewhere", login("somewhere"), false, false},
		"a sign-in from no address": {here, login(""), false, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRecovery(t, "standard")
			r.enrolled("alice")
			note := func() {
				test.event.ID, test.event.At = "e", r.clock()
				if err := r.world.store.Append(t.Context(), "alice", []twofactor.Event{test.event}); err != nil {
					t.Fatal(err)
				}
				r.wind(time.Minute)
			}
			if !test.late {
				note()
			}
			id := r.want(anyone.from(test.asked), "POST /v1/reset-request", body("challenge", r.challengeAs("alice", aliceOnFile)), 202, "").str("id")
			r.wind(time.Minute)
			if test.late {
				note()
			}
			found := r.want(r.reviewer("carol").about(id), "GET /v1/reviews/{id}", "", 200, "")
			if got := found.Body["request"].(map[string]any)["network_seen_before"]; got != test.want {
				t.Errorf("seen before: %v, want %t", got, test.want)
			}
		})
	}
}

// TestRecentChanges: those of seven days, and no flood of events hides them.
func TestRecentChanges(t *testing.T) { recoverOnEachEngine(t, "standard", recentChanges) }

func recentChanges(t *testing.T, r *recovery) {
	changesIn := func(id string) (all []string) {
		t.Helper()
		found := r.want(r.reviewer("carol").about(id), "GET /v1/reviews/{id}", "", 200, "")
		for _, e := range found.Body["recent_changes"].([]any) {
			all = append(all, e.(map[string]any)["type"].(string))
		}
		return all
	}
	wantChanges := func(id string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, changesIn(id)); diff != "" {
			t.Errorf("recent changes (-want +got):\n%s", diff)
		}
	}
	event := func(text string) {
		t.Helper()
		r.want(host().to("alice"), "POST /v1/users/{user}/events", text, 204, "")
	}
	r.enrolled("alice")
	r.wind(7 * 24 * time.Hour)
	event(`{"type":"password_changed"}`)
	r.wind(time.Hour)
	id := r.toReview("alice")
	event(`{"type":"password_failed"}`)
	wantChanges(id, "password_changed")
	event(`{"type":"address_changed","email":"new@example.com"}`)
	wantChanges(id, "address_changed", "password_changed")
	r.wind(7*24*time.Hour - time.Hour)
	wantChanges(id, "address_changed", "password_changed")
	r.wind(time.Millisecond)
	wantChanges(id, "address_changed")

	// An address that the account knows of and the history does not, yet.
	a := r.account("alice")
	if err := r.world.store.EraseHistory(t.Context(), "alice", twofactor.Event{At: r.clock(), ID: "z"}); err != nil {
		t.Fatal(err)
	}
	wantChanges(id, "address_changed")
	found := r.want(r.reviewer("carol").about(id), "GET /v1/reviews/{id}", "", 200, "")
	if at := found.Body["recent_changes"].([]any)[0].(map[string]any)["at"]; at != a.AddressChanged.Format(time.RFC3339Nano) {
		t.Errorf("the address was changed at %v, want %s", at, a.AddressChanged)
	}

	// It is put where it belongs among the others.
	r.wind(time.Millisecond)
	earlier := twofactor.Event{
		ID: "earlier", At: a.AddressChanged.Add(-time.Minute), Type: twofactor.EventAddressChanged, Outcome: twofactor.Succeeded, Actor: twofactor.ActorHost,
	}
	locked := earlier
	locked.ID, locked.At, locked.Type = "later", a.AddressChanged.Add(time.Minute), twofactor.EventLocked
	lost := locked
	lost.ID, lost.At, lost.Type = "lost", a.AddressChanged.Add(2*time.Minute), "gap" // which a stream that lost versions leaves
	if err := r.world.store.Append(t.Context(), "alice", []twofactor.Event{earlier, locked, lost}); err != nil {
		t.Fatal(err)
	}
	found = r.want(r.reviewer("carol").about(id), "GET /v1/reviews/{id}", "", 200, "")
	var ids []string
	for _, e := range found.Body["recent_changes"].([]any) {
		ids = append(ids, e.(map[string]any)["id"].(string))
	}
	if diff := cmp.Diff([]string{"lost", "later", "address", "earlier"}, ids); diff != "" {
		t.Errorf("recent changes (-want +got):\n%s", diff)
	}
	if err := r.world.store.EraseHistory(t.Context(), "alice", twofactor.Event{At: r.clock(), ID: "z"}); err != nil {
		t.Fatal(err)
	}

	// More events than are looked at: where they end there is a gap, unless they are old enough.
	r.unheld = true // a long answer
	flood := func(n int) {
		t.Helper()
		events := make([]twofactor.Event, 0, n)
		for i := range n {
			events = append(events, twofactor.Event{
				ID: fmt.Sprintf("%06d", i), At: r.clock(), Type: twofactor.EventChallengeIssued, Outcome: twofactor.Succeeded, Actor: twofactor.ActorHost,
			})
		}
		for len(events) > 0 {
			part := events[:min(25, len(events))]
			if err := r.world.store.Append(t.Context(), "alice", part); err != nil {
				t.Fatal(err)
			}
			events = events[len(part):]
		}
	}
	flood(2001)
	wantChanges(id, "address_changed", "gap")
	r.wind(7*24*time.Hour + time.Millisecond)
	wantChanges(id)
}

// TestQueue: each list in pages, each with a cursor of its own.
func TestQueue(t *testing.T) { recoverOnEachEngine(t, "miaxdx", queue) }

func queue(t *testing.T, r *recovery) {
	r.unheld = true // a page is held at the end
	const cases = 60
	want := map[string]bool{}
	for i := range cases {
		user := fmt.Sprintf("user%02d", i)
		id := fmt.Sprintf("id%02d", i)
		want[id] = true
		a := &twofactor.Account{User: twofactor.UserID(user), Schema: twofactor.Schema, Version: 1, Writes: []twofactor.WriteID{twofactor.NewWriteID()}}
		a.Reset = &twofactor.Reset{
			ID: id, Reference: "R-" + id, State: twofactor.ResetInReview, RequestedAt: r.clock(), EnteredAt: r.clock(), ExpiresAt: r.clock().Add(14 * 24 * time.Hour),
			CaseVersion: 2,
		}
		if err := r.world.store.Replace(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		r.wind(time.Second)
	}
	read := func(state string) (ids []string, pages int) {
		t.Helper()
		query := map[string]string{"state": state}
		for pages = 1; ; pages++ {
			a := r.want(r.reviewer("carol").asking(query), "GET /v1/reviews", "", 200, "")
			list := a.Body["cases"].([]any)
			if len(list) > 25 {
				t.Fatalf("a page of %d", len(list))
			}
			for _, c := range list {
				ids = append(ids, c.(map[string]any)["id"].(string))
			}
			if a.Body["next"] == nil {
				return ids, pages
			}
			query["cursor"] = a.str("next")
		}
	}
	until(t, func() bool { ids, _ := read("in_review"); return len(ids) == cases })
	ids, pages := read("in_review")
	if pages != 3 || ids[0] != "id00" || ids[cases-1] != "id59" {
		t.Errorf("%d pages, from %s to %s: want 3, the longest waiting first", pages, ids[0], ids[cases-1])
	}
	for _, id := range ids {
		delete(want, id)
	}
	if len(want) != 0 {
		t.Errorf("not listed: %v", want)
	}
	for _, state := range []string{"identity_pending", "approved", "ready"} {
		if ids, pages := read(state); len(ids) != 0 || pages != 1 {
			t.Errorf("%s: %v in %d pages", state, ids, pages)
		}
	}

	// One that has left the state since it was listed is not shown; the page goes on.
	r.unheld = false
	r.store.onList = func(page twofactor.DuePage) twofactor.DuePage {
		page.Accounts = append(page.Accounts, twofactor.Due{User: "nobody", At: r.clock()})
		return page
	}
	first := r.want(r.reviewer("carol"), "GET /v1/reviews", "", 200, "")
	if got := len(first.Body["cases"].([]any)); got != 25 {
		t.Errorf("%d cases, want 25", got)
	}
	r.store.onList = nil

	next := first.str("next")
	for _, query := range []map[string]string{
		{"state": "approved", "cursor": next}, {"cursor": "garbage"}, {"cursor": ""}, {"cursor": altered(next) + "x"}, {"state": "completed"}, {"state": ""}, {"state": "IN_REVIEW"},
		{"state": "replacement"},
	} {
		a := r.want(r.reviewer("carol").asking(query), "GET /v1/reviews", "", 400, "invalid_request")
		if field := a.str("detail"); !strings.HasPrefix(field, "state: ") && !strings.HasPrefix(field, "cursor: ") {
			t.Errorf("%v: %s", query, a.Text)
		}
	}
	for _, what := range []string{"Due", "Load user07"} {
		r.store.fail(what, errBroken)
		r.wantUnavailable(r.reviewer("carol"), "GET /v1/reviews", "")
		r.store.fail(what, nil)
	}
}

// TestQueueByState: the same case in each of its states, with what is due when.
func TestQueueByState(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	r.enrolled("alice")
	at := func(state twofactor.ResetState, due time.Duration, approvals float64) {
		t.Helper()
		r.wantState("alice", state)
		reset := r.reset("alice")
		want := []any{map[string]any{
			"id": reset.ID, "reference": reset.Reference, "state": string(state), "entered_at": r.clock().Format(time.RFC3339Nano),
			"due_at": r.clock().Add(due).Format(time.RFC3339Nano), "approvals": approvals, "bounced": false,
		}}
		a := r.want(r.reviewer("carol").asking(map[string]string{"state": string(state)}), "GET /v1/reviews", "", 200, "")
		if diff := cmp.Diff(want, a.Body["cases"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", state, diff)
		}
	}
	r.asked("alice")
	at(twofactor.ResetIdentityPending, 24*time.Hour, 0)
	id := r.toReview("alice")
	at(twofactor.ResetInReview, 14*24*time.Hour, 0)
	r.want(r.reviewer("carol").about(id), decide, r.decision("alice", "approve", matches), 200, "")
	at(twofactor.ResetApproved, 24*time.Hour, 1)
	r.wind(24 * time.Hour)
	r.wantSwept()
	at(twofactor.ResetReady, 14*24*time.Hour, 1)

	// A list that lags behind shows nothing in a state that it has left.
	r.store.onList = func(twofactor.DuePage) twofactor.DuePage {
		return twofactor.DuePage{Accounts: []twofactor.Due{{User: "alice", At: r.clock()}}}
	}
	if a := r.want(r.reviewer("carol"), "GET /v1/reviews", "", 200, ""); a.Text != `{"cases":[],"next":null}` {
		t.Errorf("the queue: %s", a.Text)
	}
}

// TestUnknownCases: what leads nowhere, and what was never given out, is not found.
func TestUnknownCases(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	r.enrolled("alice")
	id := r.toReview("alice")
	held := r.unchanged("alice")
	keys, err := r.deps.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	another, _, err := token.NewResetID(keys.IDs, "alice")
	if err != nil {
		t.Fatal(err)
	}
	nobody, _, err := token.NewResetID(keys.IDs, "nobody")
	if err != nil {
		t.Fatal(err)
	}
	for name, unknown := range map[string]string{
		"altered": altered(id), "cut": id[:len(id)-1], "another": another, "nobody's": nobody, "nonsense": "x", "a link": r.link("alice", twofactor.LinkCancel),
		"long": strings.Repeat("A", 5000), "the user": "alice", "the reference": r.reset("alice").Reference,
	} {
		for route, text := range map[string]string{"GET /v1/reviews/{id}": "", decide: r.decision("alice", "stop")} {
			if a := r.do(r.reviewer("carol").about(unknown), route, text); a.Status != 404 || a.str("code") != "not_found" {
				t.Errorf("%s, %s: %d %s", route, name, a.Status, a.Text)
			}
		}
	}
	held()
}

// TestDecisions says what is refused, and that it changes nothing.
func TestDecisions(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	r.enrolled("alice")
	id := r.toReview("alice")
	carol := r.reviewer("carol").about(id)
	held := r.unchanged("alice")
	for name, test := range map[string]struct {
		body   string
		status int
		code   string
		names  string // the field that is wrong
	}{
		"nothing":                 {``, 400, "invalid_request", "decision"},
		"no version":              {`{"decision":"stop"}`, 400, "invalid_request", "case_version"},
		"no decision":             {`{"case_version":2}`, 400, "invalid_request", "decision"},
		"another decision":        {`{"decision":"promote","case_version":2}`, 400, "invalid_request", "decision"},
		"a decision in capitals":  {`{"decision":"Approve","case_version":2,"identity_matches":true}`, 400, "invalid_request", "decision"},
		"not sure":                {`{"decision":"approve","case_version":2}`, 400, "invalid_request", "identity_matches"},
		"not the person":          {`{"decision":"approve","case_version":2,"identity_matches":false}`, 400, "invalid_request", "identity_matches"},
		"not said as such":        {`{"decision":"approve","case_version":2,"identity_matches":"true"}`, 400, "invalid_request", "identity_matches"},
		"no reason":               {`{"decision":"deny","case_version":2}`, 400, "invalid_request", "reason_code"},
		"a reason of one's own":   {`{"decision":"deny","case_version":2,"reason_code":"I do not like it"}`, 400, "invalid_request", "reason_code"},
		"a version in words":      {`{"decision":"stop","case_version":"2"}`, 400, "invalid_request", "case_version"},
		"half a version":          {`{"decision":"stop","case_version":2.5}`, 400, "invalid_request", "case_version"},
		"a long note":             {`{"decision":"stop","case_version":2,"note":"` + strings.Repeat("n", 257) + `"}`, 400, "invalid_request", "note"},
		"an unprintable note":     {`{"decision":"stop","case_version":2,"note":"\u0007"}`, 400, "invalid_request", "note"},
		"another field":           {`{"decision":"stop","case_version":2,"force":true}`, 400, "invalid_request", "force"},
		"as it was":               {`{"decision":"approve","case_version":1,"identity_matches":true}`, 409, "conflict", ""},
		"as it may become":        {`{"decision":"approve","case_version":3,"identity_matches":true}`, 409, "conflict", ""},
		"as it never was":         {`{"decision":"stop","case_version":-2}`, 409, "conflict", ""},
		"a denial of what it was": {`{"decision":"deny","case_version":1,"reason_code":"other"}`, 409, "conflict", ""},
	} {
		a := r.do(carol, decide, test.body)
		if a.Status != test.status || a.str("code") != test.code || !strings.HasPrefix(a.str("detail"), test.names) {
			t.Errorf("%s: %d %s, want %d %s that names %q", name, a.Status, a.Text, test.status, test.code, test.names)
		}
	}
	held()

	// What fits no longer.
	r.want(carol, decide, r.decision("alice", "approve", matches), 200, "")
	held = r.unchanged("alice")
	for _, decision := range []string{
		r.decision("alice", "approve", matches), r.decision("alice", "deny", `,"reason_code":"other"`), r.decision("alice", "retry_identity"),
	} {
		r.want(carol, decide, decision, 409, "conflict")
	}
	held()
}

// TestStaleCase: what a decision depends on has changed since the case was looked at.
func TestStaleCase(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	p, _ := r.enrolled("alice")
	id := r.toReview("alice")
	carol := r.reviewer("carol").about(id)
	seen := r.decision("alice", "approve", matches)
	version := r.account("alice").Version
	r.want(r.session("alice"), "POST /v1/check", body("code", p.wrong()), 200, "") // a change of the account that is none of the case
	if r.account("alice").Version == version {
		t.Fatal("the check has not changed the account")
	}
	r.want(host().to("alice"), "POST /v1/users/{user}/events", `{"type":"address_changed","email":"new@example.com"}`, 204, "")
	if r.reset("alice").CaseVersion == 2 {
		t.Fatal("a change of address has not changed the case")
	}
	r.want(carol, decide, seen, 409, "conflict")
	found := r.want(carol, "GET /v1/reviews/{id}", "", 200, "")
	if effect := found.Body["effect"].(map[string]any); effect["earliest_at"] != r.clock().Add(7*24*time.Hour).Format(time.RFC3339Nano) {
		t.Errorf("after a change of address: %v", effect)
	}
	a := r.want(carol, decide, fmt.Sprintf(`{"decision":"approve","case_version":%v,"identity_matches":true}`, found.Body["case_version"]), 200, "")
	if a.str("state") != "approved" {
		t.Errorf("approved: %s", a.Text)
	}
}

// TestDecidedMeanwhile: of two who decide at once one is told that the case has changed.
func TestDecidedMeanwhile(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	r.enrolled("alice")
	id := r.toReview("alice")
	approve, deny := r.decision("alice", "approve", matches), r.decision("alice", "deny", `,"reason_code":"other"`)
	r.store.onReplace = func() { r.want(r.reviewer("dave").about(id), decide, deny, 200, "") }
	r.want(r.reviewer("carol").about(id), decide, approve, 409, "conflict")
	r.wantState("alice", twofactor.ResetDenied)
}

// TestDecisionCodes: what the description has, the service knows, and the other way round.
func TestDecisionCodes(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"identity_mismatch", "document_unreadable", "suspicious_request", "not_account_holder", "other"} {
		r := newRecovery(t, "standard")
		r.enrolled("alice")
		id := r.toReview("alice")
		r.want(r.reviewer("carol").about(id), decide, r.decision("alice", "deny", `,"reason_code":"`+code+`"`), 200, "")
	}
	if got := strings.Count(string(api.OpenAPI()), "[identity_mismatch, document_unreadable, suspicious_request, not_account_holder, other]"); got != 1 {
		t.Errorf("the description has the codes %d times", got)
	}
}
