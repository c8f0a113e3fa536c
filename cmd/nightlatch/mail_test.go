package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/mail"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// TestInbox: a mail that was asked for twice is there once, the newest is first, and a restart loses none.
func TestInbox(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mail.json")
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	open := func() *inbox {
		b, err := openInbox(path, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	send := func(b *inbox, event int) {
		now = now.Add(time.Second)
		err := b.send(t.Context(), "a@example.com", mail.Message{Subject: fmt.Sprint("mail ", event), Text: "text", HTML: "html"},
			map[string]string{mail.TagEvent: fmt.Sprint(event), mail.TagTo: "user"})
		if err != nil {
			t.Fatal(err)
		}
	}
	b := open()
	for event := range keptMails + 5 {
		send(b, event)
		send(b, event)
	}
	if got := b.list(); len(got) != keptMails || got[0].Subject != fmt.Sprint("mail ", keptMails+4) || !got[0].At.After(got[1].At) {
		t.Errorf("%d mails, the newest %+v", len(got), got[0])
	}
	again := open()
	if diff := cmp.Diff(b.list(), again.list()); diff != "" {
		t.Errorf("after a restart (-before +after):\n%s", diff)
	}
	send(again, keptMails)
	if len(again.list()) != keptMails {
		t.Error("a mail of before the restart is there twice")
	}
	if err := os.WriteFile(path, []byte("no list"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openInbox(path, time.Now); err == nil || !strings.Contains(err.Error(), "remove it for an empty one") {
		t.Errorf("a damaged inbox: %v", err)
	}
}

// TestInboxAtOnce: what is sent at the same moment is in the file when each of them returns, and what could not be written is
// written when it is sent again.
func TestInboxAtOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	path := filepath.Join(dir, "mail.json")
	b, err := openInbox(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	send := func(n int) error {
		return b.send(t.Context(), "a@example.com", mail.Message{Subject: fmt.Sprint("mail ", n)}, nil)
	}
	if err := send(0); err == nil {
		t.Error("sent without a directory to write to")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	together(50, 50, func(n int) {
		err := send(n)
		again, failed := openInbox(path, time.Now)
		if err != nil || failed != nil || !slices.ContainsFunc(again.list(), func(l letter) bool { return l.Subject == fmt.Sprint("mail ", n) }) {
			t.Errorf("mail %d is not in the file: %v, %v", n, err, failed)
		}
	})
	if n := len(b.list()); n != 50 {
		t.Errorf("%d mails", n)
	}
}

// TestMails: what cannot be sent for good holds up nothing, and what can be sent later does come again.
func TestMails(t *testing.T) {
	t.Parallel()
	l := serve(t, dataDir(t), "standard")
	a, _ := l.login("alice@example.com")
	l.enroll(a.str("session"))
	l.eventually("the mail", func() bool { return len(l.inbox.list()) == 1 })
	job := twofactor.MailJob{User: "alice@example.com", Event: "v1", At: time.Now(), To: twofactor.MailToUser}

	job.Kind = "nonsense"
	if err := l.mails(t.Context(), []twofactor.MailJob{job}); err != nil || !strings.Contains(l.logged.String(), "mail not sent") {
		t.Errorf("a mail that nobody can write: %v, log %s", err, l.logged)
	}
	job.Kind = "disabled"
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.mails(ended, []twofactor.MailJob{job}); !errors.Is(err, context.Canceled) {
		t.Errorf("a mail that could not be sent now: %v, want that it comes again", err)
	}
	if err := l.mails(t.Context(), []twofactor.MailJob{job, job}); err != nil || len(l.inbox.list()) != 2 {
		t.Errorf("the mail again: %v, %d mails", err, len(l.inbox.list()))
	}
}
