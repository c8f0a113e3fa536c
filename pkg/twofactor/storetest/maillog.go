package storetest

import (
	"sync"
	"testing"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// mailLog is the store's; every engine keeps one.
func mailLog(t *testing.T, store twofactor.Store) twofactor.MailLog {
	t.Helper()
	log, ok := store.(twofactor.MailLog)
	if !ok {
		t.Fatalf("%T keeps no log of mails", store)
	}
	return log
}

// about is a job for a mail about an event.
func about(user twofactor.UserID, e twofactor.Event, kind string, to twofactor.MailTo) twofactor.MailJob {
	return twofactor.MailJob{User: user, Event: e.ID, At: e.At, Kind: kind, To: to}
}

func wantMailed(t *testing.T, log twofactor.MailLog, want bool, jobs ...twofactor.MailJob) {
	t.Helper()
	for _, job := range jobs {
		if got, err := log.Mailed(t.Context(), job); err != nil || got != want {
			t.Errorf("Mailed(%+v) = %v, %v; want %v", job, got, err, want)
		}
	}
}

func mark(t *testing.T, log twofactor.MailLog, jobs ...twofactor.MailJob) {
	t.Helper()
	for _, job := range jobs {
		if err := log.MarkMailed(t.Context(), job, at(99)); err != nil {
			t.Fatalf("MarkMailed(%+v): %v", job, err)
		}
	}
}

func mailsAreMarked(t *testing.T, store twofactor.Store) {
	log, e := mailLog(t, store), event(3, "v000000000007-00")
	e.Reason = "<&>\u2028"
	appendEvents(t, store, "u", e, event(3, "v000000000007-01"), event(4, "v000000000007-00"))
	appendEvents(t, store, "uu", e)
	sent := about("u", e, "disabled", twofactor.MailToUser)
	others := []twofactor.MailJob{
		about("u", e, "disabled", twofactor.MailToPrevious), about("u", e, "locked", twofactor.MailToUser),
		about("u", event(3, "v000000000007-01"), "disabled", twofactor.MailToUser),
		about("u", event(4, "v000000000007-00"), "disabled", twofactor.MailToUser),
		about("uu", e, "disabled", twofactor.MailToUser),
	}
	wantMailed(t, log, false, append(others, sent)...)
	mark(t, log, sent, sent)
	wantMailed(t, log, true, sent)
	wantMailed(t, log, false, others...)
	mark(t, log, others[0])
	wantMailed(t, log, true, sent, others[0])

	// The event is what it was, and what was marked stays so when the event comes again.
	wantHistory(t, store, "uu", e)
	appendEvents(t, store, "u", e)
	wantMailed(t, log, true, sent, others[0])
	wantHistory(t, store, "u", event(4, "v000000000007-00"), event(3, "v000000000007-01"), e)
}

func marksMakeNoEvents(t *testing.T, store twofactor.Store) {
	log, e := mailLog(t, store), event(3, "v000000000007-00")
	mark(t, log, about("u", e, "disabled", twofactor.MailToUser))
	wantMailed(t, log, false, about("u", e, "disabled", twofactor.MailToUser))
	wantHistory(t, store, "u")

	appendEvents(t, store, "u", e)
	mark(t, log, about("u", e, "disabled", twofactor.MailToUser))
	if err := store.EraseHistory(t.Context(), "u", event(4, "later")); err != nil {
		t.Fatal(err)
	}
	mark(t, log, about("u", e, "disabled", twofactor.MailToPrevious))
	wantHistory(t, store, "u")

	for _, user := range []twofactor.UserID{"", "\n"} {
		job := about(user, e, "disabled", twofactor.MailToUser)
		if got, err := log.Mailed(t.Context(), job); err == nil || got {
			t.Errorf("Mailed of nobody = %v, %v", got, err)
		}
		if err := log.MarkMailed(t.Context(), job, at(0)); err == nil {
			t.Error("MarkMailed of nobody: no error")
		}
	}
}

func racingMarks(t *testing.T, store twofactor.Store) {
	log, e := mailLog(t, store), event(3, "v000000000007-00")
	appendEvents(t, store, "u", e)
	kinds := []string{"disabled", "enabled", "locked", "replaced", "suspended"}
	var all sync.WaitGroup
	for _, kind := range kinds {
		for range 4 {
			all.Go(func() {
				if err := log.MarkMailed(t.Context(), about("u", e, kind, twofactor.MailToUser), at(99)); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	for _, kind := range kinds {
		wantMailed(t, log, true, about("u", e, kind, twofactor.MailToUser))
	}
}
