package boltstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

var _ twofactor.MailLog = (*Store)(nil)

// memberMailed is what a row has besides its event: when each mail about it was sent.
const memberMailed = "mailed_at"

// Mailed says whether the job's mail is marked as sent; see [twofactor.MailLog].
func (s *Store) Mailed(ctx context.Context, job twofactor.MailJob) (bool, error) {
	if err := job.User.Validate(); err != nil {
		return false, err
	}
	var marked bool
	err := s.view(ctx, func(tx *bolt.Tx) error {
		value := tx.Bucket(bucketHistory).Get(rowOf(job))
		if value == nil {
			return nil
		}
		_, mailed, err := splitRow(value)
		if err != nil {
			return err
		}
		_, marked = mailed[job.Mail()]
		return nil
	})
	return marked, err
}

// MarkMailed marks the job's mail as sent; see [twofactor.MailLog].
func (s *Store) MarkMailed(ctx context.Context, job twofactor.MailJob, at time.Time) error {
	if err := job.User.Validate(); err != nil {
		return err
	}
	var damage error // the others of the transaction have nothing to do with it
	err := s.commit(ctx, func(tx *bolt.Tx) (changed bool, err error) {
		damage = nil
		history, key := tx.Bucket(bucketHistory), rowOf(job)
		value := history.Get(key)
		if value == nil {
			return false, nil
		}
		row, mailed, err := splitRow(value)
		if err != nil {
			damage = err
			return false, nil
		}
		if _, marked := mailed[job.Mail()]; marked {
			return false, nil
		}
		mailed[job.Mail()] = at.UTC()
		if row[memberMailed], err = json.Marshal(mailed); err != nil {
			return false, err
		}
		if value, err = json.Marshal(row); err != nil {
			return false, err
		}
		return true, history.Put(key, value)
	})
	if err != nil {
		return err
	}
	return damage
}

// rowOf is where the event of a job is kept.
func rowOf(job twofactor.MailJob) []byte {
	return historyKey(job.User, twofactor.Event{ID: job.Event, At: job.At})
}

// splitRow takes a row of the history apart: its members, and the mails that were sent about it.
func splitRow(value []byte) (row map[string]json.RawMessage, mailed map[string]time.Time, err error) {
	if err := json.Unmarshal(value, &row); err != nil {
		return nil, nil, fmt.Errorf("%w: event: %w", ErrDamaged, err)
	}
	mailed = map[string]time.Time{}
	if sent, ok := row[memberMailed]; ok {
		if err := json.Unmarshal(sent, &mailed); err != nil {
			return nil, nil, fmt.Errorf("%w: mails: %w", ErrDamaged, err)
		}
	}
	return row, mailed, nil
}
