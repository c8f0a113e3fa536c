package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/nightlatch/nightlatch/pkg/mail"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// keptMails is how many mails the inbox keeps.
const keptMails = 200

// letter is a mail that was sent, as the inbox shows it.
type letter struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	To      []string  `json:"to"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	HTML    string    `json:"html"`
}

// inbox is everybody's mailbox. It is kept in the data directory, since the mails of before are needed after a restart.
type inbox struct {
	path string
	now  func() time.Time

	mu   sync.Mutex
	all  []letter // newest first
	sent int      // since the start

	writing sync.Mutex
	written int // of those sent
}

func openInbox(path string, now func() time.Time) (*inbox, error) {
	b := &inbox{path: path, now: now}
	content, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(content, &b.all); err != nil {
		return nil, fmt.Errorf("%s: does not hold the inbox; remove it for an empty one: %w", path, err)
	}
	return b, nil
}

// send puts a mail into the inbox. A mail that was asked for twice is there once.
func (b *inbox) send(_ context.Context, to string, m mail.Message, tags map[string]string) error {
	id := twofactor.NewDigest("letter", to, m.Subject, tags[mail.TagEvent], tags[mail.TagTo]).String()
	b.mu.Lock()
	if !slices.ContainsFunc(b.all, func(l letter) bool { return l.ID == id }) {
		l := letter{ID: id, At: b.now().UTC().Truncate(time.Millisecond), To: []string{to}, Subject: m.Subject, Text: m.Text, HTML: m.HTML}
		b.all = append([]letter{l}, b.all[:min(len(b.all), keptMails-1)]...)
		b.sent++
	}
	sent := b.sent
	b.mu.Unlock()
	return b.write(sent)
}

// write returns when so many of those sent are in the file. What many send at the same moment is written at once.
func (b *inbox) write(sent int) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	if b.written >= sent {
		return nil
	}
	b.mu.Lock()
	all, sent := b.all, b.sent
	b.mu.Unlock()
	content, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if err := replacePrivate(b.path, content); err != nil {
		return err
	}
	b.written = sent
	return nil
}

func (b *inbox) list() []letter {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]letter{}, b.all...)
}

// get lists the mails, newest first.
func (b *inbox) get(http.ResponseWriter, *http.Request, nothing) ([]letter, error) {
	return b.list(), nil
}

// mails sends what the stream asks for. What cannot be sent for good is told, and holds up nothing.
func (s *server) mails(ctx context.Context, jobs []twofactor.MailJob) error {
	mailer := s.functions.Load().mailer
	for _, job := range jobs {
		err := mailer.Do(ctx, job)
		if mail.ForGood(err) {
			s.log.ErrorContext(ctx, "mail not sent", "kind", job.Kind, "to", job.To, "cause", err)
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
