package boltstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// maxBatch is how many queued writes share one transaction at most, so that a crowd cannot make one of any length.
const maxBatch = 512

// write is one writer's part of a transaction.
type write struct {
	ctx context.Context
	// apply makes the changes, all or none, and reports whether it made any. What it decides against (a conflict) it
	// keeps for its own writer; an error is the engine's and fails the whole transaction.
	apply func(tx *bolt.Tx) (changed bool, err error)
	done  chan error
}

// commit queues apply and returns when it is durable. Writes queued earlier are seen by apply. After any error, that of
// an ended ctx included, it is not known whether apply has run: what it captures must not be touched.
func (s *Store) commit(ctx context.Context, apply func(tx *bolt.Tx) (changed bool, err error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &write{ctx: ctx, apply: apply, done: make(chan error, 1)}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.queue = append(s.queue, w)
	s.mu.Unlock()
	signal(s.wake)
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// commitQueued is the one goroutine that writes. It ends when the store is closed and the queue empty.
func (s *Store) commitQueued() {
	defer close(s.drained)
	for {
		// Those who were just answered come first: what they write next can share the transaction.
		runtime.Gosched()
		batch, last := s.take()
		if len(batch) > 0 {
			err := s.transact(batch)
			for _, w := range batch {
				w.done <- err
			}
			continue
		}
		if last {
			return
		}
		select {
		case <-s.wake:
		case <-s.closing:
		}
	}
}

// take takes what is queued and still wanted, at most maxBatch writes; none, when the queue is empty. It says whether no
// more will join.
func (s *Store) take() (batch []*write, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) > 0 && len(batch) < maxBatch {
		w := s.queue[0]
		s.queue[0] = nil
		s.queue = s.queue[1:]
		if w.ctx.Err() == nil {
			batch = append(batch, w)
		}
	}
	return batch, s.closed
}

// transact runs the batch in one transaction and makes it durable. Without a change there is nothing to make durable.
func (s *Store) transact(batch []*write) error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	var tx *bolt.Tx
	refused := false // by the engine, before anything was written to the file
	err := trap(func() (err error) {
		if tx, err = s.db.Begin(true); err != nil {
			return err
		}
		changed := false
		for _, w := range batch {
			c, err := w.apply(tx)
			if err != nil {
				given := tx.Rollback()
				refused = given == nil
				return errors.Join(err, given)
			}
			changed = changed || c
		}
		if !changed {
			return tx.Rollback()
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		s.commits.Add(1)
		return nil
	})
	if err == nil {
		signal(s.committed)
		return nil
	}
	if refused {
		return err
	}
	if tx != nil {
		given := trap(tx.Rollback) // after a panic; a commit that fails does it itself
		s.stuck = given != nil && !errors.Is(given, berrors.ErrTxClosed)
	}
	// The file may be in the state before or after: a failed sync cannot be tried again, since the system may have
	// dropped the pages. From now on nothing is answered; opening the file again tells.
	err = fmt.Errorf("%w: %w", ErrFailed, err)
	s.failed.Store(&err)
	signal(s.committed) // a Stream that waits ends: whoever runs it learns of this
	return err
}

// signal leaves a note that is waiting to be seen at most once.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
