package boltstore

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Append adds events to the user's history; see [twofactor.Store].
func (s *Store) Append(ctx context.Context, user twofactor.UserID, events []twofactor.Event) error {
	if err := user.Validate(); err != nil {
		return err
	}
	type row struct{ key, value []byte }
	var rows []row
	for _, e := range events {
		value, err := json.Marshal(e)
		if err != nil {
			return err
		}
		key := historyKey(user, e)
		if len(key) > bolt.MaxKeySize {
			return fmt.Errorf("an event id of %d bytes is too long", len(e.ID))
		}
		rows = append(rows, row{key, value})
	}
	return s.commit(ctx, func(tx *bolt.Tx) (changed bool, err error) {
		history := tx.Bucket(bucketHistory)
		for _, r := range rows {
			if history.Get(r.key) != nil {
				continue
			}
			if err := history.Put(r.key, r.value); err != nil {
				return false, err
			}
			changed = true
		}
		return changed, nil
	})
}

// History lists the user's events, newest first; see [twofactor.Store].
func (s *Store) History(ctx context.Context, user twofactor.UserID, page twofactor.Page) (twofactor.HistoryPage, error) {
	if err := user.Validate(); err != nil {
		return twofactor.HistoryPage{}, err
	}
	list := prefix(user)
	before := append(prefix(user), 0xff) // after every time
	if page.Cursor != "" {
		var err error
		if before, err = parseCursor(page.Cursor, list); err != nil {
			return twofactor.HistoryPage{}, err
		}
	}
	limit := max(1, page.Limit)
	var rows [][]byte
	var next string
	err := s.view(ctx, func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketHistory).Cursor()
		var v []byte
		k, _ := c.Seek(before)
		if k == nil {
			k, v = c.Last()
		} else {
			k, v = c.Prev()
		}
		var last []byte
		for ; bytes.HasPrefix(k, list); k, v = c.Prev() {
			if len(rows) == limit {
				next = cursor(last)
				return nil
			}
			rows, last = append(rows, bytes.Clone(v)), k
		}
		return nil
	})
	if err != nil {
		return twofactor.HistoryPage{}, err
	}
	events, err := decodeEvents(rows)
	if err != nil {
		return twofactor.HistoryPage{}, err
	}
	return twofactor.HistoryPage{Events: events, Next: next}, nil
}

// HistoryAfter lists the user's events newer than the given one, oldest first; see [twofactor.Store].
func (s *Store) HistoryAfter(ctx context.Context, user twofactor.UserID, after twofactor.Event, limit int) ([]twofactor.Event, error) {
	if err := user.Validate(); err != nil {
		return nil, err
	}
	list, start := prefix(user), historyKey(user, after)
	var rows [][]byte
	err := s.view(ctx, func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketHistory).Cursor()
		k, v := c.Seek(start)
		if bytes.Equal(k, start) {
			k, v = c.Next()
		}
		for ; bytes.HasPrefix(k, list) && len(rows) < limit; k, v = c.Next() {
			rows = append(rows, bytes.Clone(v))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return decodeEvents(rows)
}

func decodeEvents(rows [][]byte) ([]twofactor.Event, error) {
	events := make([]twofactor.Event, len(rows))
	for i, row := range rows {
		if err := json.Unmarshal(row, &events[i]); err != nil {
			return nil, fmt.Errorf("%w: event: %w", ErrDamaged, err)
		}
	}
	return events, nil
}

// maxErase is how many events one transaction removes, so that a long history does not hold up the others.
const maxErase = 1000

// EraseHistory removes the user's events older than the given one; see [twofactor.Store].
func (s *Store) EraseHistory(ctx context.Context, user twofactor.UserID, before twofactor.Event) error {
	if err := user.Validate(); err != nil {
		return err
	}
	list, end := prefix(user), historyKey(user, before)
	for {
		var erased int
		err := s.commit(ctx, func(tx *bolt.Tx) (bool, error) {
			history := tx.Bucket(bucketHistory)
			var keys [][]byte
			c := history.Cursor()
			for k, _ := c.Seek(list); k != nil && bytes.Compare(k, end) < 0 && len(keys) < maxErase; k, _ = c.Next() {
				keys = append(keys, bytes.Clone(k))
			}
			for _, k := range keys {
				if err := history.Delete(k); err != nil {
					return false, err
				}
			}
			erased = len(keys)
			return erased > 0, nil
		})
		if err != nil || erased < maxErase {
			return err
		}
	}
}
