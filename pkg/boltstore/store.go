// Package boltstore is the embedded store: accounts, history, config and the stream of versions in one bbolt file, for
// one process. What is true of the other engines is true of it: a method that returns nil has made its write durable,
// and package storetest says the rest.
//
// Writers queue. One goroutine takes all that is queued, runs it in one bbolt transaction, syncs the file once and only
// then answers, so that many writers share the price of one and none waits for a timer (commit.go). Readers wait for
// nobody and see the newest state, perhaps while it is still being synced: what they decide on it is told only after a
// sync of their own.
//
// Every stored version of an account is appended to a log in the same transaction as the account itself; Stream delivers
// it, as DynamoDB Streams does on AWS (stream.go).
//
// The file is read from end to end before it is trusted (check.go). A file that is damaged, or not of this package, is
// refused and left as it is: an engine that falls back to an older state would revive spent codes.
package boltstore

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// What Open says of a file that it does not open, and what a Store says when it can no longer answer.
var (
	// ErrInUse is returned for a file that another process has open.
	ErrInUse = errors.New("in use by another process; only one at a time can have it open")
	// ErrNotStore is returned for a file that something else wrote, or whose first pages are gone.
	ErrNotStore = errors.New("not a Nightlatch store, or damaged at its beginning")
	// ErrDamaged is returned for a store whose contents contradict themselves. It is never repaired silently.
	ErrDamaged = errors.New("damaged; restore it from a backup")
	// ErrNewerFormat is returned for a file that a newer release wrote.
	ErrNewerFormat = errors.New("written by a newer release")
	// ErrClosed is returned by every method after Close.
	ErrClosed = errors.New("boltstore: closed")
	// ErrFailed is returned by every method after a commit has failed half-way: what the file says may differ from what
	// was acknowledged until it is opened again.
	ErrFailed = errors.New("boltstore: an earlier write failed; open the store again")
)

// Store is a twofactor.Store in one file. It is safe for concurrent use.
type Store struct {
	db *bolt.DB

	mu     sync.Mutex
	queue  []*write // in the order of arrival; nothing joins after closing
	closed bool

	wake      chan struct{} // something was queued
	closing   chan struct{}
	drained   chan struct{} // the committer has ended
	committed chan struct{} // something was committed, or has failed: Stream may have work
	streaming sync.Mutex    // held by the one Stream
	failed    atomic.Pointer[error]
	stuck     bool // a transaction could not even be given up; for those who have seen drained

	loads, replaces, conflicts, commits atomic.Int64
}

var _ twofactor.Store = (*Store)(nil)

// Counts is what a store has done since it was opened.
type Counts struct {
	Loads     int64 // calls of Load
	Replaces  int64 // calls of Replace
	Conflicts int64 // of those, the ones that lost to another write
	Commits   int64 // transactions made durable, of any kind
}

// Open opens the store at path, and creates it if there is no file: with mode 0600, in a directory that is created with
// mode 0700 if need be. It fails after a second if another process has it open. The error names the file; it is
// [ErrInUse], [ErrNotStore], [ErrDamaged], [ErrNewerFormat] or what the operating system says.
func Open(path string) (*Store, error) {
	db, err := openFile(path)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", path, err)
	}
	s := &Store{
		db:        db,
		wake:      make(chan struct{}, 1),
		closing:   make(chan struct{}),
		drained:   make(chan struct{}),
		committed: make(chan struct{}, 1),
	}
	go s.commitQueued()
	return s, nil
}

// Close commits what is queued and closes the file. Whatever is called afterwards, and a Stream that is still running,
// ends with [ErrClosed].
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		<-s.drained
		return nil
	}
	s.closed = true
	close(s.closing)
	s.mu.Unlock()
	<-s.drained
	var failed error
	if err := s.failed.Load(); err != nil {
		failed = *err
	}
	if s.stuck {
		return failed // bbolt would wait for its own locks for ever
	}
	return errors.Join(failed, s.db.Close())
}

// Counts returns what the store has done so far.
func (s *Store) Counts() Counts {
	return Counts{
		Loads:     s.loads.Load(),
		Replaces:  s.replaces.Load(),
		Conflicts: s.conflicts.Load(),
		Commits:   s.commits.Load(),
	}
}

// view reads the last committed state. What fn gets from tx is valid only until fn returns.
func (s *Store) view(ctx context.Context, fn func(tx *bolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.failed.Load(); err != nil {
		return *err
	}
	err := trap(func() error { return s.db.View(fn) })
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

// trap turns a panic into [ErrDamaged]. It is how bbolt meets a page that makes no sense, and how the operating system
// answers a read past the end of a mapped file.
func trap(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}()
	return fn()
}
