// Package notify takes what the stream of accounts delivers to where it is read: the history of each user.
//
// The stream delivers every version at least once, and in order for each user. So everything here can be done again: an
// event has the same id however often it comes, and what has been erased is erased once more after it has come back.
package notify

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// HistoryStore is the part of [twofactor.Store] that keeps the history; the comments there are the contract.
type HistoryStore interface {
	Append(ctx context.Context, user twofactor.UserID, events []twofactor.Event) error
	EraseHistory(ctx context.Context, user twofactor.UserID, before twofactor.Event) error
}

// History returns a function that writes the events of versions, as the stream delivers them, to the history. An erased
// event removes the history older than itself, so that all that remains of the user is that event.
//
// When it returns nil, everything is in the store. Otherwise some of it may be, and the whole batch has to come again;
// a user whose write failed holds up no other.
func History(store HistoryStore) func(context.Context, []twofactor.Version) error {
	return func(ctx context.Context, batch []twofactor.Version) error {
		var all error
		for _, err := range writeAll(ctx, store, batch) {
			all = errors.Join(all, err)
		}
		return all
	}
}

// writeAll writes the events of a batch and returns what failed, by user. Users are written at the same time, each in the
// order of their versions, in one write: an engine which commits in groups needs one commit for a batch, not one for each
// version. So of a write that failed it is not known which versions it has stored.
func writeAll(ctx context.Context, store HistoryStore, batch []twofactor.Version) map[twofactor.UserID]error {
	events := map[twofactor.UserID][]twofactor.Event{}
	for _, v := range batch {
		if len(v.Events) > 0 {
			events[v.User] = append(events[v.User], v.Events...)
		}
	}
	var (
		wait   sync.WaitGroup
		mu     sync.Mutex
		failed = map[twofactor.UserID]error{}
	)
	for user, happened := range events { // at most as many as the batch is long
		wait.Go(func() {
			if err := write(ctx, store, user, happened); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed[user] = err
			}
		})
	}
	wait.Wait()
	return failed
}

// write appends one user's events, then erases what an erased event among them ends. In this order, a batch that comes
// again brings back nothing for longer than itself.
func write(ctx context.Context, store HistoryStore, user twofactor.UserID, happened []twofactor.Event) error {
	if err := store.Append(ctx, user, happened); err != nil {
		return fmt.Errorf("notify: history: %w", err)
	}
	for _, e := range happened {
		if e.Type != twofactor.EventErased {
			continue
		}
		if err := store.EraseHistory(ctx, user, e); err != nil {
			return fmt.Errorf("notify: erasing history: %w", err)
		}
	}
	return nil
}
