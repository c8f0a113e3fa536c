// Package notify takes what the stream of accounts delivers to where it is read: the history of each user, the event bus, and
// the queue of mails.
//
// The stream delivers every version at least once, and in order for each user. So everything here can be done again: an
// event has the same id however often it comes, a mail that was asked for twice is sent once or twice but never not at all,
// and what has been erased is erased once more after it has come back.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// HistoryStore is the part of [twofactor.Store] that keeps the history; the comments there are the contract.
type HistoryStore interface {
	Append(ctx context.Context, user twofactor.UserID, events []twofactor.Event) error
	HistoryAfter(ctx context.Context, user twofactor.UserID, after twofactor.Event, limit int) ([]twofactor.Event, error)
	EraseHistory(ctx context.Context, user twofactor.UserID, before twofactor.Event) error
}

// Sinks are where versions go.
type Sinks struct {
	History HistoryStore
	// Bus sends the events of versions to the event bus, and returns whose were not all taken. Without it there is no bus.
	Bus func(context.Context, []twofactor.Version) map[twofactor.UserID]error
	// Mails queues jobs, durably. Without it no mail is sent.
	Mails func(context.Context, []twofactor.MailJob) error
	// Park keeps a record that cannot be decoded, so that it holds up no other; replayed, it is decoded again. Without it
	// such a record comes again and again, and all that follows it waits. It is for [Records] only.
	Park func(context.Context, events.DynamoDBEventRecord) error

	log      *slog.Logger // nil: the default
	replayed bool         // this batch has come before, and what follows from it may have, too
}

// Versions returns a function that takes versions, as the stream delivers them, to the sinks. An erased
// event removes the history older than itself, so that all that remains of the user is that event.
//
// When it returns nil, everything is there. Otherwise some of it may be, and the whole batch has to come again; a user
// whose write failed holds up no other.
func Versions(to Sinks) func(context.Context, []twofactor.Version) error {
	return func(ctx context.Context, batch []twofactor.Version) error {
		var all error
		for _, err := range to.writeAll(ctx, batch) {
			all = errors.Join(all, err)
		}
		return all
	}
}

// writeAll takes a batch to the sinks and returns what failed, by user. What is not in the history goes nowhere else. A bus
// that takes nothing holds up no mail about what is in the history, which tells which of them have been sent.
func (to Sinks) writeAll(ctx context.Context, batch []twofactor.Version) map[twofactor.UserID]error {
	failed := each(batch, func(user twofactor.UserID, versions []twofactor.Version) error { return to.write(ctx, user, versions) })
	batch = slices.DeleteFunc(slices.Clone(batch), func(v twofactor.Version) bool { return failed[v.User] != nil })
	if to.replayed {
		batch = to.forget(ctx, batch, failed)
	}
	if to.Bus != nil && len(batch) > 0 {
		for user, err := range to.Bus(ctx, batch) {
			failed[user] = fmt.Errorf("notify: event bus: %w", err)
		}
	}
	for i, v := range batch {
		if failed[v.User] != nil { // all of it comes again, and a mail that has no row would be sent each time
			batch[i].Events = slices.DeleteFunc(slices.Clone(v.Events), isMailRequest)
		}
	}
	for user, err := range each(batch, func(_ twofactor.UserID, versions []twofactor.Version) error { return to.mail(ctx, versions) }) {
		failed[user] = errors.Join(failed[user], err)
	}
	return failed
}

// each calls write for each user of a batch and returns what failed. Users are written at the same time, each in the
// order of their versions, in one write: an engine which commits in groups needs one commit for a batch, not one for each
// version. So of a write that failed it is not known which versions it has stored.
func each(batch []twofactor.Version, write func(twofactor.UserID, []twofactor.Version) error) map[twofactor.UserID]error {
	versions := map[twofactor.UserID][]twofactor.Version{}
	for _, v := range batch {
		if len(v.Events) > 0 {
			versions[v.User] = append(versions[v.User], v)
		}
	}
	var (
		wait   sync.WaitGroup
		mu     sync.Mutex
		failed = map[twofactor.UserID]error{}
	)
	for user, list := range versions { // at most as many as the batch is long
		wait.Go(func() {
			if err := write(user, list); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed[user] = err
			}
		})
	}
	wait.Wait()
	return failed
}

// write appends one user's events and erases what an erased event among them ends. In this order, a batch that comes again
// brings back nothing for longer than itself.
func (to Sinks) write(ctx context.Context, user twofactor.UserID, versions []twofactor.Version) error {
	var happened []twofactor.Event
	for _, v := range versions {
		happened = append(happened, slices.DeleteFunc(slices.Clone(v.Events), isMailRequest)...)
	}
	if err := to.noteGaps(ctx, user, versions); err != nil {
		return fmt.Errorf("notify: gaps: %w", err)
	}
	if err := to.History.Append(ctx, user, happened); err != nil {
		return fmt.Errorf("notify: history: %w", err)
	}
	for _, e := range happened {
		if e.Type != twofactor.EventErased {
			continue
		}
		if err := to.History.EraseHistory(ctx, user, e); err != nil {
			return fmt.Errorf("notify: erasing history: %w", err)
		}
	}
	return nil
}

// isMailRequest says whether an event asks for a mail, and is nothing that happened.
func isMailRequest(e twofactor.Event) bool { return e.Type == twofactor.EventMailRequested }

// mail asks for the mails about one user's versions. Each finds its event in the history.
func (to Sinks) mail(ctx context.Context, versions []twofactor.Version) error {
	var mails []twofactor.MailJob
	for _, v := range versions {
		mails = append(mails, MailJobs(v)...)
	}
	if to.Mails == nil || len(mails) == 0 {
		return nil
	}
	if err := to.Mails(ctx, mails); err != nil {
		return fmt.Errorf("notify: mails: %w", err)
	}
	return nil
}
