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
	found := twofactor.HistoryPage{Events: make([]twofactor.Event, len(rows)), Next: next}
	for i, row := range rows {
		if err := json.Unmarshal(row, &found.Events[i]); err != nil {
			return twofactor.HistoryPage{}, fmt.Errorf("%w: event: %w", ErrDamaged, err)
		}
	}
	return found, nil
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
