package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// head stands before the account's JSON. A Replace that wins needs nothing else of what it replaces, so that nothing is
// decoded inside a transaction.
type head struct {
	version int64
	schema  uint32
	due     []byte // the account's present key in the due index but for the user
}

func (h head) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(h.version))
	b = binary.BigEndian.AppendUint32(b, h.schema)
	return append(append(b, byte(len(h.due))), h.due...)
}

// splitHead reads what stands before the JSON. The head of nothing is the zero head. What it returns shares stored.
func splitHead(stored []byte) (h head, image []byte, err error) {
	const fixed = 8 + 4 + 1
	switch {
	case stored == nil:
		return head{}, nil, nil
	case len(stored) < fixed || len(stored) < fixed+int(stored[fixed-1]):
		return head{}, nil, fmt.Errorf("%w: an account of %d bytes", ErrDamaged, len(stored))
	}
	end := fixed + int(stored[fixed-1])
	h = head{
		version: int64(binary.BigEndian.Uint64(stored)),
		schema:  binary.BigEndian.Uint32(stored[8:]),
		due:     stored[fixed:end],
	}
	if h.version < 1 || h.schema < 1 {
		return head{}, nil, fmt.Errorf("%w: an account of version %d, schema %d", ErrDamaged, h.version, h.schema)
	}
	return h, stored[end:], nil
}

// decode returns the account that is stored; the zero account if nothing is.
func decode(user twofactor.UserID, stored []byte) (*twofactor.Account, error) {
	h, image, err := splitHead(stored)
	switch {
	case err != nil:
		return nil, err
	case stored == nil:
		return &twofactor.Account{User: user}, nil
	case h.schema > twofactor.Schema:
		return nil, twofactor.ErrNewerSchema
	}
	a := new(twofactor.Account)
	if err := json.Unmarshal(image, a); err != nil {
		return nil, fmt.Errorf("%w: account: %w", ErrDamaged, err)
	}
	if a.User != user || a.Version != h.version || a.Schema != int(h.schema) {
		return nil, fmt.Errorf("%w: an account is not the one that its key and its head name", ErrDamaged)
	}
	return a, nil
}

// stored copies what is stored for the user; nil if nothing is.
func (s *Store) stored(ctx context.Context, user twofactor.UserID) (stored []byte, err error) {
	if err := user.Validate(); err != nil {
		return nil, err
	}
	err = s.view(ctx, func(tx *bolt.Tx) error {
		stored = bytes.Clone(tx.Bucket(bucketAccounts).Get([]byte(user)))
		return nil
	})
	return stored, err
}

// Load returns the account; see [twofactor.Store].
func (s *Store) Load(ctx context.Context, user twofactor.UserID) (*twofactor.Account, error) {
	s.loads.Add(1)
	stored, err := s.stored(ctx, user)
	if err != nil {
		return nil, err
	}
	return decode(user, stored)
}

// Item returns the account as it is stored, for people to look at; nil if there is none. Secrets in it are sealed.
func (s *Store) Item(ctx context.Context, user twofactor.UserID) (json.RawMessage, error) {
	stored, err := s.stored(ctx, user)
	if err != nil {
		return nil, err
	}
	_, image, err := splitHead(stored)
	return image, err
}

// Replace stores the account's next version; see [twofactor.Store].
func (s *Store) Replace(ctx context.Context, next *twofactor.Account) error {
	s.replaces.Add(1)
	user := next.User
	if err := user.Validate(); err != nil {
		return err
	}
	image, err := json.Marshal(next)
	if err != nil {
		return err
	}
	version := next.Version
	h := head{version: version, schema: uint32(next.Schema), due: dueKey(next)}
	item := append(h.append(make([]byte, 0, len(image)+64)), image...)
	record := append(prefix(user), image...)

	var (
		verdict error  // of an item that may not be replaced
		lost    bool   // to another write
		current []byte // which left this
	)
	err = s.commit(ctx, func(tx *bolt.Tx) (bool, error) {
		accounts := tx.Bucket(bucketAccounts)
		stored := accounts.Get([]byte(user))
		old, _, err := splitHead(stored)
		switch {
		case err != nil:
			verdict = err
			return false, nil
		case old.schema > twofactor.Schema:
			verdict = twofactor.ErrNewerSchema
			return false, nil
		case old.version != version-1:
			lost, current = true, bytes.Clone(stored)
			return false, nil
		}
		if err := moveDue(tx, user, old.due, h.due); err != nil {
			return false, err
		}
		if err := accounts.Put([]byte(user), item); err != nil {
			return false, err
		}
		return true, appendVersion(tx, record)
	})
	switch {
	case err != nil:
		return err
	case verdict != nil:
		return verdict
	case lost:
		return s.lost(next, current)
	}
	return nil
}

// lost tells a write that lost the race from one that had landed before.
func (s *Store) lost(next *twofactor.Account, current []byte) error {
	account, err := decode(next.User, current)
	if err != nil {
		return err
	}
	if n := len(next.Writes); n > 0 && slices.Contains(account.Writes, next.Writes[n-1]) {
		return nil
	}
	s.conflicts.Add(1)
	return &twofactor.Conflict{Current: account}
}

// moveDue keeps the due index in step with the account.
func moveDue(tx *bolt.Tx, user twofactor.UserID, old, new []byte) error {
	if bytes.Equal(old, new) {
		return nil
	}
	due := tx.Bucket(bucketDue)
	if len(old) > 0 {
		if err := due.Delete(append(bytes.Clone(old), user...)); err != nil {
			return err
		}
	}
	if len(new) > 0 {
		return due.Put(append(bytes.Clone(new), user...), nil)
	}
	return nil
}

// Due lists accounts by what they wait for; see [twofactor.Store]. Here it does not lag.
func (s *Store) Due(ctx context.Context, waiting twofactor.Waiting, page twofactor.Page) (twofactor.DuePage, error) {
	if waiting == "" || len(waiting) > 255 {
		return twofactor.DuePage{}, ctx.Err() // nothing waits for it
	}
	list := prefix(waiting)
	after, limit := list, max(1, page.Limit)
	if page.Cursor != "" {
		var err error
		if after, err = parseCursor(page.Cursor, list); err != nil {
			return twofactor.DuePage{}, err
		}
	}
	var found twofactor.DuePage
	err := s.view(ctx, func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketDue).Cursor()
		k, _ := c.Seek(after)
		if bytes.Equal(k, after) {
			k, _ = c.Next()
		}
		var last []byte
		for ; bytes.HasPrefix(k, list); k, _ = c.Next() {
			if len(found.Accounts) == limit {
				found.Next = cursor(last)
				return nil
			}
			at, user, err := splitTime(k[len(list):])
			if err != nil {
				return fmt.Errorf("%w: due: %w", ErrDamaged, err)
			}
			found.Accounts = append(found.Accounts, twofactor.Due{User: twofactor.UserID(user), At: at})
			last = k
		}
		return nil
	})
	if err != nil {
		return twofactor.DuePage{}, err
	}
	return found, nil
}
