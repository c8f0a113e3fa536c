package handler_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/notify"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// versions are the first n versions of all accounts, as the stream has them.
func versions(t *testing.T, store engine, n int) (all []twofactor.Version) {
	t.Helper()
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	err := store.(interface {
		Stream(context.Context, func(context.Context, []twofactor.Version) error) error
	}).Stream(ctx, func(_ context.Context, batch []twofactor.Version) error {
		if all = append(all, batch...); len(all) >= n {
			enough()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || len(all) != n {
		t.Fatalf("%d versions, want %d: %v", len(all), n, err)
	}
	return all
}

// TestUserSeesTheGap: what the stream has lost of a user's history leaves an entry that the user sees, and nothing else
// does.
func TestUserSeesTheGap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	w.now = time.Now().UTC() // a gap is one as long as the events would still be kept
	p, _ := w.enrolled("alice")
	for range 3 {
		c := w.challenge("alice")
		w.want(anyone, "POST /v1/verify", body("challenge", c.str("challenge"), "method", "totp", "code", p.code()), 200, "")
		w.wind(30 * time.Second)
	}
	all := versions(t, w.store, 6) // enroll, confirm, contact, and three sign-ins
	isSignIn := func(v twofactor.Version) bool {
		return slices.ContainsFunc(v.Events, func(e twofactor.Event) bool { return e.Type == twofactor.EventLogin })
	}
	second := slices.IndexFunc(all, isSignIn) + 1
	if second < 1 || second >= len(all) || !isSignIn(all[second]) {
		t.Fatalf("no two sign-ins in %+v", all)
	}
	lost := all[second]
	deliver := notify.Versions(notify.Sinks{History: w.store}, slog.New(slog.DiscardHandler))
	show := func() (shown []string) {
		a := w.want(w.session("alice").asking(map[string]string{"limit": "200"}), "GET /v1/history", "", 200, "")
		for _, e := range a.Body["events"].([]any) {
			e := e.(map[string]any)
			if e["actor"] == "host" {
				continue // goes there without the stream
			}
			line := e["type"].(string)
			if line == "gap" {
				line += " " + e["reason"].(string) + " " + e["actor"].(string) + " " + e["at"].(string)
			}
			shown = append(shown, line)
		}
		return shown
	}
	want := []string{
		"login", "gap events_lost system " + lost.Events[0].At.Format(time.RFC3339Nano), "login", "backup_code_issued", "enabled", "enrollment_started",
	}
	for range 2 { // and again
		for _, v := range all {
			if v.Version == lost.Version {
				continue
			}
			if err := deliver(t.Context(), []twofactor.Version{v}); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, show()); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	}
}

// TestMailOfAReusedCode: a used code that is tried from another address is mailed, to the user, with that address; what
// follows within the hour is not.
func TestMailOfAReusedCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	p, _ := w.enrolled("alice")
	code := p.code()
	verify := func(from string, status int, problem string) {
		t.Helper()
		c := w.challenge("alice")
		w.want(anyone.from(from), "POST /v1/verify", body("challenge", c.str("challenge"), "method", "totp", "code", code), status, problem)
	}
	verify("203.0.113.7", 200, "")
	verify("203.0.113.7", 422, "code_reused")
	verify("198.51.100.8", 422, "code_reused")
	verify("192.0.2.9", 422, "code_reused")
	var got []twofactor.MailJob
	for _, v := range versions(t, w.store, 7) {
		for _, job := range notify.MailJobs(v) {
			if job.Kind == "code_reused" {
				job.Event, job.At = "", time.Time{}
				got = append(got, job)
			}
		}
	}
	want := []twofactor.MailJob{
		{Kind: "code_reused", To: twofactor.MailToPrevious, User: "alice", IP: "198.51.100.8"},
		{Kind: "code_reused", To: twofactor.MailToUser, User: "alice", IP: "198.51.100.8"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mails (-want +got):\n%s", diff)
	}
}
