package boltstore

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// The buckets, and what their keys and values are.
var (
	bucketAccounts = []byte("accounts") // user -> head, account in JSON
	bucketDue      = []byte("due")      // length of waiting, waiting, time, user -> nothing
	bucketHistory  = []byte("history")  // length of user, user, time, event id -> event in JSON
	bucketConfig   = []byte("config")   // name -> version in 8 bytes, value
	bucketStream   = []byte("stream")   // sequence in 8 bytes -> length of user, user, account in JSON
	bucketMeta     = []byte("meta")     // format, delivered
)

var buckets = [][]byte{bucketAccounts, bucketDue, bucketHistory, bucketConfig, bucketStream, bucketMeta}

// prefix returns s with its length before it, so that no two of them, with whatever follows, run together. It is for
// text of at most 255 bytes.
func prefix[T ~string](s T) []byte {
	return append([]byte{byte(len(s))}, s...)
}

// timeLayout writes times so that they sort as text: fixed width, UTC, to the nanosecond.
const timeLayout = "2006-01-02T15:04:05.000000000Z"

func appendTime(key []byte, t time.Time) []byte { return t.UTC().AppendFormat(key, timeLayout) }

// splitTime reads the time that key begins with, and returns the rest.
func splitTime(key []byte) (t time.Time, rest []byte, err error) {
	if len(key) < len(timeLayout) {
		return time.Time{}, nil, fmt.Errorf("no time in a key of %d bytes", len(key))
	}
	t, err = time.Parse(timeLayout, string(key[:len(timeLayout)]))
	return t, key[len(timeLayout):], err
}

// dueKey is the account's key in the due index but for the user; nil if it waits for nothing.
func dueKey(a *twofactor.Account) []byte {
	waiting, at := a.WaitsFor()
	if waiting == "" {
		return nil
	}
	return appendTime(prefix(waiting), at)
}

// historyKey is where an event of the user's is kept.
func historyKey(user twofactor.UserID, e twofactor.Event) []byte {
	return append(appendTime(prefix(user), e.At), e.ID...)
}

// A cursor is the last key of the page before: a place in the list, whatever comes and goes meanwhile. It holds the
// list's prefix, so that it is of no use for another list.
func cursor(key []byte) string { return base64.RawURLEncoding.EncodeToString(key) }

// parseCursor returns the key of a cursor of the list that prefix begins. The error is [twofactor.ErrCursor].
func parseCursor(s string, prefix []byte) ([]byte, error) {
	key, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(key) < len(prefix) || string(key[:len(prefix)]) != string(prefix) {
		return nil, twofactor.ErrCursor
	}
	if _, _, err := splitTime(key[len(prefix):]); err != nil {
		return nil, twofactor.ErrCursor
	}
	return key, nil
}

func sequence(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
