package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

// ceiling prints what the disk, the engine and a server without rules do on the same machine.
func ceiling(out io.Writer, o options) (err error) {
	dir, err := os.MkdirTemp("", "nightlatch-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	syncs, err := syncs(dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nA sync of the disk takes %s ms (p99 %s); a commit has two, and writes less than 100 KB.\n", ms(quantile(syncs, 0.5)), ms(quantile(syncs, 0.99)))
	fmt.Fprint(out, "\nThe engine alone, so many verifications in a commit; and a bare HTTP server that only writes what one writes, all that\n"+
		"have come in one commit, and signs:\n\n| clients | engine/s | bare server/s | p50 ms | p99 ms |\n|---:|---:|---:|---:|---:|\n")
	b, err := openBare(filepath.Join(dir, "bare.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	for _, clients := range o.clients {
		alone, err := b.alone(clients, o.each)
		if err != nil {
			return err
		}
		f, err := run(o.each, b.host, func() ([][]call, error) { return b.calls(clients), nil })
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "| %d | %.0f | %s |\n", clients, alone, f[0].cells())
	}
	return nil
}

// syncs are how long it takes until 4 KB more are on the disk of a directory, sorted.
func syncs(dir string) (took []time.Duration, err error) {
	f, err := os.Create(filepath.Join(dir, "syncs"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	page := make([]byte, 4096)
	for range 500 {
		if _, err := f.Write(page); err != nil {
			return nil, err
		}
		begun := time.Now()
		if err := f.Sync(); err != nil {
			return nil, err
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	return took, nil
}

// bare is what no server with this engine is faster than: an account's bytes and its record in the stream, and a signature.
type bare struct {
	db     *bolt.DB
	key    *ecdsa.PrivateKey
	item   []byte
	n      int // written so far
	host   string
	server http.Server
	mu     sync.Mutex
	queue  []chan error
	wake   chan struct{}
}

func openBare(path string) (*bare, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType, NoFreelistSync: true, NoStatistics: true})
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &bare{db: db, key: key, item: make([]byte, 1000), host: listener.Addr().String(), wake: make(chan struct{}, 1)}
	b.server.Handler = b
	go func() { _ = b.server.Serve(listener) }() // until it is closed
	go b.commitAll()
	return b, b.put(1000) // so that none is new
}

func (b *bare) close() error {
	err := b.server.Close()
	close(b.wake)
	return errors.Join(err, b.db.Close())
}

func (b *bare) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	done := make(chan error, 1)
	b.mu.Lock()
	b.queue = append(b.queue, done)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
	sum := sha256.Sum256(b.item)
	signature, err := ecdsa.SignASN1(rand.Reader, b.key, sum[:])
	if err := errors.Join(<-done, err); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(signature)
}

// commitAll commits what has come since the commit before.
func (b *bare) commitAll() {
	for range b.wake {
		b.mu.Lock()
		queue := b.queue
		b.queue = nil
		b.mu.Unlock()
		if len(queue) == 0 {
			continue
		}
		err := b.put(len(queue))
		for _, done := range queue {
			done <- err
		}
	}
}

func (b *bare) put(many int) error {
	return b.db.Update(func(tx *bolt.Tx) error {
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
			if err := stream.Put(binary.BigEndian.AppendUint64(nil, uint64(b.n)), b.item); err != nil {
				return err
			}
			if err := accounts.Put([]byte(user(b.n*7919%1000)), b.item); err != nil {
				return err
			}
			b.n++
		}
		return nil
	})
}

// alone is the engine without a server: so many in a commit, if as many clients always came at once.
func (b *bare) alone(group int, long time.Duration) (perSecond float64, err error) {
	begun, before := time.Now(), b.n
	for time.Since(begun) < long {
		if err := b.put(group); err != nil {
			return 0, err
		}
	}
	return float64(b.n-before) / time.Since(begun).Seconds(), nil
}

func (b *bare) calls(clients int) [][]call {
	body := jsonOf(object{"challenge": string(make([]byte, 500)), "method": "totp", "code": "000000"})
	return deal(min(100*clients, 3000), clients, func(int) call { return post(b.host, "/", nil, body, 200) })
}
