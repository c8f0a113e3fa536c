package handler_test

import (
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/notify"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// ending is how a scene ended.
type ending struct {
	enabled bool     // 2FA was on when it began
	calls   []string // of the first attempt
	answer  answer
	state   string
}

// play runs the scene to its end.
func (s *scene) play(keyed bool) *ending {
	s.request = s.op.prepare(s)
	if keyed {
		s.request.who.idempotent = "key-" + s.user + strings.Repeat("x", 16)
	}
	s.wind(time.Second)
	s.begun = s.clock()

	end := &ending{enabled: s.enabled}
	for s.attempt = 1; ; s.attempt++ {
		s.calls = nil
		end.answer = s.send()
		if s.attempt == 1 {
			end.calls = s.calls
		}
		if !s.crashed() {
			break
		}
		if a := end.answer; a.Status != 503 || a.str("code") != "unavailable" || a.Headers["retry-after"] != "1" {
			s.t.Fatalf("attempt %d crashed, and was answered %d %s", s.attempt, a.Status, a.Text)
		}
		s.wind(time.Second) // as retry-after says
	}
	final := s.attempt
	s.attempt = 0
	s.fired(end.calls)
	s.judge(end, final, keyed)
	return end
}

// crashed says whether a call of this attempt has failed.
func (s *scene) crashed() bool {
	return slices.ContainsFunc(s.plan, func(c crash) bool {
		return c.attempt == s.attempt && c.call <= len(s.calls) && (c.accident == fails || c.accident == lost)
	})
}

// fired fails the test if what should have gone wrong first did not: then nothing would be tested.
func (s *scene) fired(calls []string) {
	if len(s.plan) > 0 && s.plan[0].call > len(calls) {
		s.t.Errorf("the first attempt made the calls %v", calls)
	}
}

// judge holds the end against the end of an undisturbed run.
func (s *scene) judge(end *ending, final int, keyed bool) {
	s.t.Helper()
	again := s.op.again
	if keyed && s.op.refused == "" {
		again = same
	}
	first, done := s.first()
	doneBefore := done && first < s.decided(final)
	want := s.op.refused
	switch {
	case s.password > 0 && s.password < s.decided(final) && !doneBefore:
		want = s.op.passwordBefore
	case doneBefore && first < s.password && s.password < s.decided(final):
		want = s.op.passwordAfter
	case doneBefore && again != anew && again != same:
		want = again
	}
	if got := end.answer.str("code"); got != want || (got == "") != (end.answer.Status/100 == 2) {
		s.t.Fatalf("answered %d %q, want %q\n%s", end.answer.Status, got, want, end.answer.Text)
	}
	s.wantStored(end.answer, final)

	// What the user was told, by this answer or by the twin's.
	given := end.answer
	if given.Status/100 != 2 && s.twin.Status/100 == 2 {
		given = s.twin
	}
	told := given.str("code") == s.op.refused
	end.state = s.state()
	if u := s.undisturbed; u != nil && s.password == 0 {
		if told {
			s.wantShape(given, u.answer)
		}
		if end.state != u.state {
			s.t.Errorf("the state is\n%s, undisturbed\n%s", end.state, u.state)
		}
	}
	if s.password == 0 {
		s.wantRemaining(end.answer, s.decided(final))
		if a := s.sendAgain(end, given, told, again); again == anew {
			given = a
		}
	}
	s.wantEvents(done, again, given)

	// What the user has from now on.
	if done {
		if s.op.moves {
			s.phone = s.next
		}
		if s.op.backup != kept {
			s.backup = s.nextBackup
		}
		if s.op.turnsOff {
			s.enabled = false
		}
		if code := given.str("backup_code"); code != "" && s.op.backup == shown {
			s.backup = code
		}
	}
	if told && s.password == 0 && s.op.done != nil {
		s.op.done(s, given)
	}
	s.goesOn()
}

// decided is the version that the given attempt's own write made: what came later, it did not know. Refused without a
// write, it knew all.
func (s *scene) decided(attempt int) int64 {
	decided := int64(math.MaxInt64)
	for _, l := range s.landings {
		if l.attempt == attempt && l.call == callReplace {
			decided = l.version
		}
	}
	return decided
}

// first is the version in which the request was carried out first, if ever.
func (s *scene) first() (version int64, done bool) {
	if len(s.landings) == 0 {
		return 0, false
	}
	return s.landings[0].version, true
}

// wantStored fails the test if the final attempt was told what was not stored.
func (s *scene) wantStored(a answer, final int) {
	s.t.Helper()
	if a.str("code") != s.op.refused || s.op.quiet {
		return
	}
	if !slices.ContainsFunc(s.landings, func(l landing) bool { return l.attempt == final }) {
		s.t.Errorf("answered, and nothing stored: %s", a.Text)
	}
}

// state is how the account stands, as its user sees it, but for the times and ids.
func (s *scene) state() string {
	a := s.want(s.session(), "GET /v1/status", "", 200, "")
	pending, _ := a.Body["pending"].(map[string]any)
	return fmt.Sprintf("%s, backup code %v, pending %v (replacement %v), locked until %v, suspended %v",
		a.str("state"), a.Body["backup_code"].(map[string]any)["present"], pending != nil, pending["replacement"],
		a.Body["locked_until"], a.Body["suspended"])
}

// wantShape fails the test unless an answer has the members of another.
func (s *scene) wantShape(got, want answer) {
	s.t.Helper()
	members := func(a answer) []string { return slices.Sorted(maps.Keys(a.Body)) }
	if diff := cmp.Diff(members(want), members(got)); got.Status != want.Status || diff != "" {
		s.t.Errorf("answered %d, undisturbed %d; members (-undisturbed +got):\n%s", got.Status, want.Status, diff)
	}
}

// wantRemaining fails the test unless every wrong code has been counted, once each time that it was compared.
func (s *scene) wantRemaining(a answer, decided int64) {
	s.t.Helper()
	if s.op.limit == 0 {
		return
	}
	want := s.op.limit
	for _, l := range s.landings {
		if l.version <= decided {
			want--
		}
	}
	for _, version := range s.failures {
		if s.op.sharesBudget && version < decided {
			want--
		}
	}
	if got := a.Body["attempts_remaining"]; got != float64(want) {
		s.t.Errorf("attempts_remaining = %v, want %v", got, want)
	}
}

// sendAgain sends the request once more, now that it has been answered.
func (s *scene) sendAgain(end *ending, given answer, told bool, again string) answer {
	s.t.Helper()
	s.wind(time.Second)
	s.attempt = unplanned
	a := s.send()
	s.attempt = 0
	want := again
	switch {
	case !told:
		want = end.answer.str("code")
	case again == anew || again == same:
		want = s.op.refused
	}
	if a.str("code") != want {
		s.t.Errorf("sent again: answered %d %s, want %q", a.Status, a.Text, want)
	}
	if told && again == same {
		if diff := cmp.Diff(s.content(given), s.content(a)); diff != "" {
			s.t.Errorf("sent again, the answer is another one:\n%s", diff)
		}
	}
	if state := s.state(); state != end.state {
		s.t.Errorf("sent again, the state is\n%s, before\n%s", state, end.state)
	}
	return a
}

// content is what an answer says: what is sealed or signed differs each time.
func (s *scene) content(a answer) map[string]any {
	content := maps.Clone(a.Body)
	if signed, ok := content["assertion"].(string); ok {
		content["assertion"] = s.assertion(signed)
	}
	if s.labels > 0 { // the account's name in the authenticator app is another one by now
		for _, name := range []string{"account", "otpauth_uri", "qr_svg", "qr_png"} {
			delete(content, name)
		}
	}
	for _, sealed := range []string{"grant", "challenge"} {
		if _, ok := content[sealed]; ok {
			content[sealed] = "sealed"
		}
	}
	return content
}

// wantEvents fails the test unless the history has what happened: once, or as often as it was carried out; and unless
// what the host was told is that same sign-in.
func (s *scene) wantEvents(done bool, again string, given answer) {
	s.t.Helper()
	if s.op.event == "" {
		return
	}
	events := s.history(s.op.event)
	want := 0
	for _, l := range s.landings {
		if l.call == s.op.call() {
			want++
		}
	}
	if again != anew && s.op.refused == "" && done {
		want = 1
	}
	if len(events) != want {
		s.t.Errorf("the history has %d %s, want %d", len(events), s.op.event, want)
	}
	if signed := given.str("assertion"); signed != "" && len(events) == 1 {
		at, err := time.Parse(time.RFC3339, events[0]["at"].(string))
		if got := s.assertion(signed)["iat"]; err != nil || got != float64(at.Unix()) {
			s.t.Errorf("the assertion is of %v, the login of %d", got, at.Unix())
		}
	}
}

// history is what the user's history has of a kind of event, such as "login success", since the request was first sent.
// The stream is played here: it delivers each version that was stored, in order.
func (s *scene) history(kind string) (found []map[string]any) {
	s.t.Helper()
	var news []twofactor.Version
	for _, v := range slices.Sorted(maps.Keys(s.versions)) {
		if v <= s.delivered {
			continue
		}
		if v != s.delivered+1 {
			s.t.Errorf("version %d follows version %d", v, s.delivered)
		}
		s.delivered = v
		news = append(news, twofactor.Version{User: twofactor.UserID(s.user), Version: v, Events: s.versions[v]})
	}
	if err := notify.Versions(notify.Sinks{History: s.store}, slog.New(slog.DiscardHandler))(s.t.Context(), news); err != nil {
		s.t.Fatal(err)
	}
	a := s.want(s.session().asking(map[string]string{"limit": "200"}), "GET /v1/history", "", 200, "")
	for _, e := range a.Body["events"].([]any) {
		e := e.(map[string]any)
		at, err := time.Parse(time.RFC3339, e["at"].(string))
		if err != nil {
			s.t.Fatal(err)
		}
		if fmt.Sprint(e["type"], " ", e["outcome"]) == kind && !at.Before(s.begun) && e["ip"] == here {
			found = append(found, e)
		}
	}
	return found
}
