//go:build unix

package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

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

// run sends all requests, each client one after the other.
func (v *venue) run(b *testing.B, all [][]request) {
	var clients sync.WaitGroup
	for _, requests := range all {
		clients.Go(func() {
			for _, q := range requests {
				if a, err := v.send(q); err != nil || a.status != http.StatusOK {
					b.Errorf("%s, %v", a, err)
					return
				}
			}
		})
	}
	clients.Wait()
}

// settled waits until nothing is written any more: the history has followed.
func (v *venue) settled() boltstore.Counts {
	store := v.server.store.(embedded)
	for before := store.Counts(); ; {
		time.Sleep(100 * time.Millisecond) // the stream gathers for less
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

// BenchmarkVerifyHTTP is right codes at POST /v1/verify of the local server, by 64 clients over loopback that keep their
// connections, each answered when it is durable on disk: what one takes of the store, and what is allocated for it. How
// many there are in a second, and how long each takes, cmd/bench measures from outside.
//
// The clients are in the same process: cpu and allocations are theirs as well. Writing the history goes on meanwhile and
// is in commits and cpu.
func BenchmarkVerifyHTTP(b *testing.B) {
	const clients = 64
	v := newVenue(b, clients)
	var used time.Duration
	b.ReportAllocs()
	before := v.settled()
	b.ResetTimer()
	b.StopTimer()
	for done := 0; done < b.N && !b.Failed(); {
		n := min(3*benchUsers, b.N-done)
		all := v.prepare(b, n, clients)
		usedBefore := cpu(b)
		b.StartTimer()
		v.run(b, all)
		b.StopTimer()
		v.settled()
		used, done = used+cpu(b)-usedBefore, done+n
	}
	after, n := v.settled(), float64(b.N)
	b.ReportMetric(float64(after.Commits-before.Commits)/n, "commits/op")
	b.ReportMetric(float64(after.Loads-before.Loads)/n, "reads/op")
	b.ReportMetric(float64(after.Replaces-before.Replaces)/n, "writes/op")
	b.ReportMetric(float64(used.Microseconds())/n, "cpu-µs/op")
}
