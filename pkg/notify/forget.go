package notify

import (
	"context"
	"fmt"
	"sync"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// forget erases from the history once more what a replay has brought back after its user was erased, and leaves it at that:
// nobody is told of it, either. It is called when the batch is in the history. So an erased event that it
// does not find there comes later, and erases what is there then.
func (to Sinks) forget(ctx context.Context, versions []twofactor.Version, failed map[twofactor.UserID]error) {
	var mu sync.Mutex
	erased := map[twofactor.UserID]int64{} // the version that did
	for user, err := range each(versions, func(user twofactor.UserID, versions []twofactor.Version) error {
		e, err := to.erasedAfter(ctx, user, versions[0].Events[0])
		if err != nil || e.ID == "" {
			return err
		}
		mu.Lock()
		erased[user] = e.Version()
		mu.Unlock()
		return to.History.EraseHistory(ctx, user, e)
	}) {
		failed[user] = fmt.Errorf("notify: erasing history: %w", err)
	}
	leave(versions, func(v twofactor.Version) bool { return failed[v.User] != nil || v.Version < erased[v.User] })
}

// erasedAfter returns the last erased event in a user's history after the given one; the zero event if there is none.
func (to Sinks) erasedAfter(ctx context.Context, user twofactor.UserID, after twofactor.Event) (erased twofactor.Event, err error) {
	for {
		some, err := to.History.HistoryAfter(ctx, user, after, manyEvents)
		if err != nil {
			return twofactor.Event{}, err
		}
		for _, e := range some {
			if e.Type == twofactor.EventErased {
				erased = e
			}
		}
		if len(some) < manyEvents {
			return erased, nil
		}
		after = some[len(some)-1]
	}
}
