package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

const (
	// streamBatch is how many versions are delivered at once; the function on AWS is given as many.
	streamBatch = 100
	// gathering is how long a Stream that has caught up waits before it delivers more: what is written meanwhile shares the
	// commits of a delivery and of what it is delivered for, which otherwise come before those that somebody waits for.
	gathering = 20 * time.Millisecond
	// keptVersions is how many versions are kept after they were delivered, for Versions.
	keptVersions = 1000
	// firstRetry is the pause after a failed delivery; each further failure doubles it, up to lastRetry.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// keyDelivered is the sequence of the last version delivered, in the meta bucket.
var keyDelivered = []byte("delivered")

// ErrStreaming is returned by a second Stream: two would deliver out of order.
var ErrStreaming = errors.New("boltstore: the stream is being delivered already")

// Stream delivers every stored version of every account, in the order of the writes, until ctx ends. deliver gets at most
// 100 at a time, and after fewer nothing for 20 ms; after an error it gets them again, later and perhaps with more. What
// was delivered is remembered across restarts; a version is delivered again only if deliver failed, or the process ended
// between deliver and the note of it.
//
// It returns ctx's error, or the store's when that can no longer be read. One Stream can run at a time.
func (s *Store) Stream(ctx context.Context, deliver func(ctx context.Context, batch []twofactor.Version) error) error {
	if !s.streaming.TryLock() {
		return ErrStreaming
	}
	defer s.streaming.Unlock()
	pause := firstRetry
	for {
		batch, last, err := s.undelivered(ctx)
		switch {
		case err != nil:
			return err
		case len(batch) == 0:
			if err := wait(ctx, s, s.committed); err != nil {
				return err
			}
			continue
		}
		if err := deliver(ctx, batch); err != nil {
			if err := wait(ctx, s, time.After(pause)); err != nil {
				return err
			}
			pause = min(2*pause, lastRetry)
			continue
		}
		pause = firstRetry
		// Also when ctx has ended meanwhile: what was delivered should not be delivered again.
		if err := s.delivered(context.WithoutCancel(ctx), last); err != nil {
			return err
		}
		if len(batch) < streamBatch {
			if err := wait(ctx, s, time.After(gathering)); err != nil {
				return err
			}
		}
	}
}

// wait waits for a note on c. The error says that there is nothing to wait for any more.
func wait[T any](ctx context.Context, s *Store, c <-chan T) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return ErrClosed
	}
}

// undelivered returns the next versions to deliver, and the sequence of the last of them.
func (s *Store) undelivered(ctx context.Context) (batch []twofactor.Version, last []byte, err error) {
	var images [][]byte
	err = s.view(ctx, func(tx *bolt.Tx) error {
		done := tx.Bucket(bucketMeta).Get(keyDelivered)
		c := tx.Bucket(bucketStream).Cursor()
		k, v := c.Seek(done)
		if bytes.Equal(k, done) {
			k, v = c.Next()
		}
		for ; k != nil && len(images) < streamBatch; k, v = c.Next() {
			_, image, err := splitRecord(v)
			if err != nil {
				return err
			}
			images, last = append(images, bytes.Clone(image)), bytes.Clone(k)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	for _, image := range images {
		v, err := decodeVersion(image)
		if err != nil {
			return nil, nil, err
		}
		batch = append(batch, v)
	}
	return batch, last, nil
}

// decodeVersion reads of an account what the stream is for.
func decodeVersion(image []byte) (twofactor.Version, error) {
	var a struct {
		User    twofactor.UserID    `json:"user"`
		Schema  int                 `json:"schema"`
		Version int64               `json:"version"`
		Events  []twofactor.Event   `json:"events"`
		Past    *twofactor.Recorded `json:"past"`
	}
	switch err := json.Unmarshal(image, &a); {
	case err != nil:
		return twofactor.Version{}, fmt.Errorf("%w: stream: %w", ErrDamaged, err)
	case a.Schema > twofactor.Schema:
		return twofactor.Version{}, twofactor.ErrNewerSchema
	}
	return twofactor.Version{User: a.User, Version: a.Version, Events: a.Events, Past: a.Past}, nil
}

// delivered notes that everything up to last was delivered, and drops what is older than the newest keptVersions of it.
func (s *Store) delivered(ctx context.Context, last []byte) error {
	return s.commit(ctx, func(tx *bolt.Tx) (bool, error) {
		if err := tx.Bucket(bucketMeta).Put(keyDelivered, last); err != nil {
			return false, err
		}
		n := binary.BigEndian.Uint64(last)
		if n <= keptVersions {
			return true, nil
		}
		oldest := sequence(n - keptVersions + 1)
		stream := tx.Bucket(bucketStream)
		var keys [][]byte
		c := stream.Cursor()
		for k, _ := c.First(); k != nil && bytes.Compare(k, oldest) < 0; k, _ = c.Next() {
			keys = append(keys, bytes.Clone(k))
		}
		for _, k := range keys {
			if err := stream.Delete(k); err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

// Versions returns the last n versions of the user's account that are still kept, newest first, as they were stored, for
// people to look at. Kept are those not delivered yet and the 1,000 delivered last, of all users together.
func (s *Store) Versions(ctx context.Context, user twofactor.UserID, n int) ([]json.RawMessage, error) {
	var images []json.RawMessage
	err := s.view(ctx, func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketStream).Cursor()
		for k, v := c.Last(); k != nil && len(images) < n; k, v = c.Prev() {
			owner, image, err := splitRecord(v)
			if err != nil {
				return err
			}
			if string(owner) == string(user) {
				images = append(images, bytes.Clone(image))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return images, nil
}

// appendVersion puts a record at the end of the stream.
func appendVersion(tx *bolt.Tx, record []byte) error {
	stream := tx.Bucket(bucketStream)
	n, err := stream.NextSequence()
	if err != nil {
		return err
	}
	stream.FillPercent = 1 // it only ever grows at its end
	return stream.Put(sequence(n), record)
}

// splitRecord reads a record of the stream. What it returns shares record.
func splitRecord(record []byte) (user, image []byte, err error) {
	if len(record) < 1 || len(record) < 1+int(record[0]) {
		return nil, nil, fmt.Errorf("%w: a version of %d bytes", ErrDamaged, len(record))
	}
	end := 1 + int(record[0])
	return record[1:end], record[end:], nil
}
