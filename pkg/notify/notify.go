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
	"time"

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
	// Count counts an event that is in the history. Without it nobody counts.
	Count func(twofactor.Event)

	log *slog.Logger
}

// Versions returns a function that takes versions, as the stream delivers them, to the sinks. An erased
// event removes the history older than itself, so that all that remains of the user is that event.
//
// When it returns nil, everything is there. Otherwise some of it may be, and the whole batch has to come again; a user
// whose write failed holds up no other.
func Versions(to Sinks, log *slog.Logger) func(context.Context, []twofactor.Version) error {
	to.log = log
	return func(ctx context.Context, versions []twofactor.Version) error {
		var all error
		for _, err := range to.writeAll(ctx, batch{versions: versions, comesAgain: len(versions)}) {
			all = errors.Join(all, err)
		}
		return all
	}
}

// A batch is what is taken to the sinks at once.
type batch struct {
	versions   []twofactor.Version
	comesAgain int  // from this one on, the stream delivers them again whatever becomes of them
	replayed   bool // they were delivered before, and what follows from them may have been, too
}

// writeAll takes a batch to the sinks and returns what failed, by user. What is not in the history goes nowhere else. A bus
// that takes nothing holds up no mail about what is in the history, which tells which of them have been sent: it has half of
// the time.
//
// A mail that has no row is asked for last, and only if it does not follow what failed. Lambda delivers all of that again,
// for as long as it fails, and each time would be another mail.
func (to Sinks) writeAll(ctx context.Context, b batch) map[twofactor.UserID]error {
	versions := slices.Clone(b.versions)
	failed := each(versions, func(user twofactor.UserID, versions []twofactor.Version) error { return to.write(ctx, user, versions) })
	leave(versions, func(v twofactor.Version) bool { return failed[v.User] != nil })
	if b.replayed {
		to.forget(ctx, versions, failed)
	}
	if to.Bus != nil {
		for user, err := range to.tell(ctx, versions) {
			failed[user] = fmt.Errorf("notify: event bus: %w", err)
		}
	}
	mail := func(versions []twofactor.Version) {
		for user, err := range each(versions, func(_ twofactor.UserID, versions []twofactor.Version) error { return to.mail(ctx, versions) }) {
			failed[user] = errors.Join(failed[user], err)
		}
	}
	mail(only(versions, twofactor.EventType.InHistory))
	end := len(versions)
	if !b.replayed { // of a replay, only what has failed comes again
		end = b.comesAgain
		if first := slices.IndexFunc(versions, func(v twofactor.Version) bool { return failed[v.User] != nil }); first >= 0 {
			end = min(first, end)
		}
	}
	leave(versions, func(v twofactor.Version) bool { return failed[v.User] != nil })
	mail(only(versions[:end], isMailRequest))
	return failed
}

// leave takes their events away from the versions that nothing more is to follow from.
func leave(versions []twofactor.Version, gone func(twofactor.Version) bool) {
	for i, v := range versions {
		if gone(v) {
			versions[i].Events = nil
		}
	}
}

// tell tells the bus what there is to tell.
func (to Sinks) tell(ctx context.Context, versions []twofactor.Version) map[twofactor.UserID]error {
	versions = slices.DeleteFunc(slices.Clone(versions), func(v twofactor.Version) bool { return len(v.Events) == 0 })
	if len(versions) == 0 {
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	return to.Bus(ctx, versions)
}

// isMailRequest says whether events of a type ask for a mail, and are nothing that happened.
func isMailRequest(t twofactor.EventType) bool { return !t.InHistory() }

// only are the versions with those of their events whose type is meant.
func only(versions []twofactor.Version, meant func(twofactor.EventType) bool) []twofactor.Version {
	versions = slices.Clone(versions)
	for i, v := range versions {
		versions[i].Events = slices.DeleteFunc(slices.Clone(v.Events), func(e twofactor.Event) bool { return !meant(e.Type) })
	}
	return versions
}

// each calls write for each user of a batch and returns what failed. Users are written at the same time, each in the
// order of their versions, in one write: an engine which commits in groups needs one commit for a batch, not one for each
// version. So of a write that failed it is not known which versions it has stored.
func each(all []twofactor.Version, write func(twofactor.UserID, []twofactor.Version) error) map[twofactor.UserID]error {
	versions := map[twofactor.UserID][]twofactor.Version{}
	for _, v := range all {
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
	for _, v := range only(versions, twofactor.EventType.InHistory) {
		happened = append(happened, v.Events...)
	}
	if err := to.noteGaps(ctx, user, versions); err != nil {
		return fmt.Errorf("notify: gaps: %w", err)
	}
	if err := to.History.Append(ctx, user, happened); err != nil {
		return fmt.Errorf("notify: history: %w", err)
	}
	to.count(happened)
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

// mail asks for the mails about one user's versions.
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

// count counts events. Users are written at the same time, and so it is called.
func (to Sinks) count(events []twofactor.Event) {
	if to.Count == nil {
		return
	}
	for _, e := range events {
		to.Count(e)
	}
}
