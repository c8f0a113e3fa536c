package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
)

// ceiling prints what the engine alone does on the same disk: an account's bytes and its record in the stream put into a
// file, so many in a transaction. A server of n clients can have n verifications in one, if all come at once.
func ceiling(out io.Writer, o options) error {
	fmt.Fprint(out, "\nThe engine alone, in this process: two times 1,000 bytes for each, so many in a transaction:\n\n| in one | each/s |\n|---:|---:|\n")
	for _, group := range o.clients {
		perSecond, err := putGroups(group, o.each)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "| %d | %.0f |\n", group, perSecond)
	}
	return nil
}

func putGroups(group int, long time.Duration) (perSecond float64, err error) {
	dir, err := os.MkdirTemp("", "nightlatch-bench-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	db, err := bolt.Open(filepath.Join(dir, "ceiling.db"), 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType, NoStatistics: true})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	item := make([]byte, 1000)
	n := 0
	put := func(many int) error {
		return db.Update(func(tx *bolt.Tx) error {
			accounts, err := tx.CreateBucketIfNotExists([]byte("accounts"))
			if err != nil {
				return err
			}
			stream, err := tx.CreateBucketIfNotExists([]byte("stream"))
			if err != nil {
				return err
			}
			stream.FillPercent = 1
			for range many {
				if err := stream.Put(binary.BigEndian.AppendUint64(nil, uint64(n)), item); err != nil {
					return err
				}
				if err := accounts.Put([]byte(user(n*7919%1000)), item); err != nil {
					return err
				}
				n++
			}
			return nil
		})
	}
	if err := put(1000); err != nil { // so that none is new
		return 0, err
	}
	begun, before := time.Now(), n
	for time.Since(begun) < long {
		if err := put(group); err != nil {
			return 0, err
		}
	}
	return float64(n-before) / time.Since(begun).Seconds(), nil
}
