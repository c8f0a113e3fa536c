//go:build unix

package main

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/nightlatch/nightlatch/pkg/boltstore"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// venue is a server in this process and users of it, each of whom has three codes at every position of the clock.
type venue struct {
	*remote
	server  *server
	secrets []string
}

// benchUsers are enough for a thousand verifications or more between two positions of the clock.
const benchUsers = 1000

func benchUser(i int) twofactor.UserID { return twofactor.UserID(fmt.Sprintf("auth0|%024d", i)) }

func newVenue(b *testing.B, connections int) *venue {
	b.Helper()
	s, err := start(options{addr: "127.0.0.1:0", data: dataDir(b), policy: "standard", quiet: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	v := &venue{newRemote(s.url, s.serviceKey, connections), s, make([]string, benchUsers)}
	b.Cleanup(func() {
		v.close()
		if err := s.stop(); err != nil {
			b.Error(err)
		}
	})
	service := &twofactor.Service{Store: s.store, Policy: s.functions.Load().policy, Keys: s.keys.Rules, Now: s.clock.now}
	together(benchUsers, 64, func(i int) { v.secrets[i], _ = enrolled(b, service, benchUser(i)) })
	return v
}

// prepare winds the clock, past all that an account keeps of its last sign-ins, and returns n right verifications for
// each client in turn. A user belongs to one client, and uses the codes in their order.
func (v *venue) prepare(b *testing.B, n, clients int) [][]request {
	b.Helper()
	now, _, err := v.wind(11 * time.Minute)
	if err != nil {
		b.Fatal(err)
	}
	all := make([][]request, clients)
	for i := range n {
		user, step := i%benchUsers, i/benchUsers-1
		code := appCode(v.secrets[user], now.Add(time.Duration(step)*30*time.Second))
		all[user%clients] = append(all[user%clients],
			verifyRequest(sealedChallenge(b, v.server, benchUser(user)), "totp", code, "Mozilla/5.0 (X11; Linux x86_64)"))
	}
	return all
}

// run sends all requests, each client one after the other, and returns how long each took.
func (v *venue) run(b *testing.B, all [][]request) (took []time.Duration) {
	var clients sync.WaitGroup
	each := make([][]time.Duration, len(all))
	for c, requests := range all {
		clients.Go(func() {
			for _, q := range requests {
				sent := time.Now()
				a, err := v.send(q)
				if err != nil || a.status != http.StatusOK {
					b.Errorf("%s, %v", a, err)
					return
				}
				each[c] = append(each[c], time.Since(sent))
			}
		})
	}
	clients.Wait()
	return slices.Concat(each...)
}

// settled waits until nothing is written any more: the history has followed.
func (v *venue) settled() boltstore.Counts {
	store := v.server.store.(embedded)
	for before := store.Counts(); ; {
		time.Sleep(20 * time.Millisecond)
		now := store.Counts()
		if now == before {
			return now
		}
		before = now
	}
}

// cpu is the time that this process has computed, in user mode and in the system.
func cpu(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkVerifyHTTP is right codes at POST /v1/verify of the local server, by clients over loopback that keep their
// connections, each answered when it is durable on disk. Beside it is the engine's own ceiling on the same disk: the bytes
// of an account and of its record in the stream put into a bbolt file, in transactions of one and in transactions as large
// as those that the server made, on average.
//
// The clients are in the same process: cpu and allocations are theirs as well. Writing the history goes on meanwhile and
// is in commits and cpu.
func BenchmarkVerifyHTTP(b *testing.B) {
	for _, clients := range []int{1, 16, 64} {
		v := newVenue(b, clients)
		group := 1
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			var took []time.Duration
			var used time.Duration
			b.ReportAllocs()
			before := v.settled()
			b.ResetTimer()
			b.StopTimer()
			for done := 0; done < b.N; {
				all := v.prepare(b, min(3*benchUsers, b.N-done), clients)
				usedBefore := cpu(b)
				b.StartTimer()
				batch := v.run(b, all)
				b.StopTimer()
				v.settled()
				used += cpu(b) - usedBefore
				took, done = append(took, batch...), done+max(1, len(batch))
			}
			after := v.settled()
			if b.Failed() {
				return
			}
			n := float64(b.N)
			slices.Sort(took)
			ms := func(quantile float64) float64 {
				return float64(took[int(quantile*float64(len(took)-1))].Microseconds()) / 1000
			}
			commits := float64(after.Commits - before.Commits)
			group = max(1, int(n/commits+0.5))
			b.ReportMetric(n/b.Elapsed().Seconds(), "verifications/s")
			b.ReportMetric(ms(0.50), "p50-ms")
			b.ReportMetric(ms(0.99), "p99-ms")
			b.ReportMetric(commits/n, "commits/op")
			b.ReportMetric(float64(after.Loads-before.Loads)/n, "reads/op")
			b.ReportMetric(float64(after.Replaces-before.Replaces)/n, "writes/op")
			b.ReportMetric(float64(used.Microseconds())/n, "cpu-µs/op")
		})
		item, err := v.server.store.Item(b.Context(), benchUser(0))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("clients=%d/bbolt-group=1", clients), func(b *testing.B) { rawBolt(b, item, 1) })
		b.Run(fmt.Sprintf("clients=%d/bbolt-group=seen", clients), func(b *testing.B) { rawBolt(b, item, group) })
	}
}

// rawBolt puts an account and a record of it into a bbolt file b.N times, with so many of them in a transaction.
func rawBolt(b *testing.B, item []byte, group int) {
	db, err := bolt.Open(filepath.Join(b.TempDir(), "raw.db"), 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType, NoStatistics: true})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	accounts, stream := []byte("accounts"), []byte("stream")
	put := func(tx *bolt.Tx, i int) error {
		log, err := tx.CreateBucketIfNotExists(stream)
		if err != nil {
			return err
		}
		log.FillPercent = 1
		users, err := tx.CreateBucketIfNotExists(accounts)
		if err != nil {
			return err
		}
		if err := log.Put(binary.BigEndian.AppendUint64(nil, uint64(i)), item); err != nil {
			return err
		}
		return users.Put([]byte(benchUser(i*7919%benchUsers)), item)
	}
	write := func(from, n int) {
		if err := db.Update(func(tx *bolt.Tx) error {
			for i := range n {
				if err := put(tx, from+i); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	write(0, benchUsers) // so that none is new
	b.ResetTimer()
	for i := 0; i < b.N; i += group {
		write(benchUsers+i, min(group, b.N-i))
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "verifications/s")
	b.ReportMetric(float64(group), "group")
	b.ReportMetric(float64(len(item)), "item-bytes")
}
