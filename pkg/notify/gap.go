package notify

import (
	"context"
	"time"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// gapFound is logged, as an error, for each gap that is found. The alarm counts it.
const gapFound = "gap in a history"

// manyEvents is how many events are read at once by a search that goes on.
const manyEvents = 1000

// noteGaps writes into a user's history where the stream has lost events, as a version tells that comes after them. It
// is called before anything of these versions is written: that something of a version, or of a later one, is in the
// history means that nothing is left to be noted before it.
func (to Sinks) noteGaps(ctx context.Context, user twofactor.UserID, versions []twofactor.Version) error {
	var gaps []twofactor.Event
	settled := map[int64]bool{} // versions that are about to be written, or were looked for
	for _, v := range versions {
		if v.Past != nil && !settled[v.Past.Version] {
			lost, err := to.lost(ctx, user, v.Version, *v.Past)
			if err != nil {
				return err
			}
			if lost {
				gaps = append(gaps, v.Past.Gap())
			}
			settled[v.Past.Version] = true
		}
		settled[v.Version] = true
	}
	if len(gaps) == 0 {
		return nil
	}
	for _, gap := range gaps { // before they are there: then they are not found again
		to.log.ErrorContext(ctx, gapFound, "version", gap.Version(), "at", gap.At)
	}
	err := to.History.Append(ctx, user, gaps)
	if err == nil {
		to.count(gaps)
	}
	return err
}

// lost says whether the events before a version's are missing from the history, and nothing explains it: that the
// version was here before, and what has come since has erased them or is a gap already, or that they are as old as
// events get.
func (to Sinks) lost(ctx context.Context, user twofactor.UserID, version int64, past twofactor.Recorded) (bool, error) {
	found := 0
	after := past.Before()
	for limit := max(1, past.Events); ; limit = manyEvents {
		events, err := to.History.HistoryAfter(ctx, user, after, limit)
		if err != nil {
			return false, err
		}
		for _, e := range events {
			switch of := e.Version(); {
			case of >= version, of == past.Version && e.Type == twofactor.EventGap:
				return false, nil
			case of == past.Version:
				if found++; found == past.Events {
					return false, nil
				}
			}
		}
		if len(events) < limit {
			return time.Since(past.At) < twofactor.KeepHistory, nil // by the clock that the table's TTL goes by
		}
		after = events[len(events)-1]
	}
}
