package boltstore

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/nightlatch/nightlatch/pkg/totp"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// typical is an enrolled account as a sign-in leaves it, of about 900 bytes.
func typical(user twofactor.UserID, version int64) *twofactor.Account {
	now := time.Unix(1_790_000_000, 0).UTC()
	sealed := twofactor.Sealed{Generation: 1, Box: make([]byte, 60)}
	a := &twofactor.Account{
		User: user, Schema: twofactor.Schema, Version: version,
		Authenticator: &twofactor.Authenticator{Secret: sealed, Params: totp.Default, ActivatedAt: now, LastStep: 59_666_666},
		BackupCode:    &twofactor.BackupCode{KeyID: 1 << 31, Generation: 2, IssuedAt: now},
		Contact:       &sealed,
		Challenges:    []twofactor.Spent{{Challenge: twofactor.RandomDigest(), Until: now}},
		SignIn:        &twofactor.Success{At: now, Method: twofactor.MethodTOTP},
		Events: []twofactor.Event{{
			ID: fmt.Sprintf("%012d-0", version), At: now, Type: twofactor.EventLogin, Outcome: twofactor.Succeeded,
			Method: twofactor.MethodTOTP, Actor: twofactor.ActorUser, IP: "203.0.113.7", UserAgent: "Mozilla/5.0 (X11; Linux x86_64)",
		}},
	}
	for range 8 {
		a.Writes = append(a.Writes, twofactor.NewWriteID())
	}
	return a
}

func BenchmarkLoad(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "store.db"))
	if err := s.Replace(b.Context(), typical("u", 1)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Load(b.Context(), "u"); err != nil {
			b.Fatal(err)
		}
	}
}

// inTurns has n goroutines share b.N operations.
func inTurns(b *testing.B, n int, run func(goroutine, i int) error) {
	var next atomic.Int64
	var all sync.WaitGroup
	b.ResetTimer()
	for g := range n {
		all.Go(func() {
			for i := int(next.Add(1)); i <= b.N; i = int(next.Add(1)) {
				if err := run(g, i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// BenchmarkReplace is durable writes by 1, 16 and 64 writers, each on a user of its own, beside what bbolt itself does in
// transactions of 1, 16 and 64 writes of the same bytes to two buckets.
func BenchmarkReplace(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := open(b, filepath.Join(b.TempDir(), "store.db"))
			accounts := make([]*twofactor.Account, writers)
			for g := range accounts {
				accounts[g] = typical(twofactor.UserID(fmt.Sprint("user ", g)), 0)
			}
			inTurns(b, writers, func(g, _ int) error {
				a := accounts[g]
				a.Version++
				a.Writes = append(a.Writes[1:], twofactor.NewWriteID())
				return s.Replace(context.Background(), a)
			})
			b.ReportMetric(float64(s.Counts().Commits)/float64(b.N), "commits/op")
		})
		b.Run(fmt.Sprintf("bbolt/batch=%d", writers), func(b *testing.B) {
			db := openNew(b, filepath.Join(b.TempDir(), "raw.db"))
			defer db.Close()
			image, err := json.Marshal(typical("user 1", 1))
			if err != nil {
				b.Fatal(err)
			}
			commits := 0
			b.ResetTimer()
			for i := 0; i < b.N; i += writers {
				err := db.Update(func(tx *bolt.Tx) error {
					for g := range min(writers, b.N-i) {
						if err := tx.Bucket(bucketAccounts).Put(fmt.Append(nil, "user ", g), image); err != nil {
							return err
						}
						if err := tx.Bucket(bucketStream).Put(sequence(uint64(i+g)), image); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
				commits++
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
			b.ReportMetric(float64(commits)/float64(b.N), "commits/op")
		})
	}
}

func openNew(b *testing.B, path string) *bolt.DB {
	b.Helper()
	if err := create(path); err != nil {
		b.Fatal(err)
	}
	db, _, err := openBolt(path, false)
	if err != nil {
		b.Fatal(err)
	}
	return db
}

// BenchmarkAccounts is a decision (Load and Replace) on any one of a thousand and of a million accounts, by 1 and by 64
// at a time.
func BenchmarkAccounts(b *testing.B) {
	for _, accounts := range []int{1000, 1_000_000} {
		if accounts > 1000 && testing.Short() {
			continue
		}
		path := filepath.Join(b.TempDir(), "store.db")
		fillStore(b, path, accounts)
		opening := time.Now()
		s := open(b, path)
		b.Logf("%d accounts opened in %s", accounts, time.Since(opening))
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%d/callers=%d", accounts, callers), func(b *testing.B) {
				ctx := context.Background()
				inTurns(b, callers, func(g, _ int) error {
					// Each caller has users of its own, so that what is measured are no conflicts.
					user := userNumber(rand.N(accounts/callers)*callers + g)
					a, err := s.Load(ctx, user)
					if err != nil {
						return err
					}
					a.Version++
					a.Writes = append(a.Writes[1:], twofactor.NewWriteID())
					return s.Replace(ctx, a)
				})
			})
		}
		s.Close()
	}
}

func userNumber(n int) twofactor.UserID { return twofactor.UserID(fmt.Sprintf("auth0|%024d", n)) }

// fillStore makes a store with n accounts in few transactions.
func fillStore(b *testing.B, path string, n int) {
	b.Helper()
	db := openNew(b, path)
	defer db.Close()
	const step = 50_000
	for from := 0; from < n; from += step {
		err := db.Update(func(tx *bolt.Tx) error {
			accounts := tx.Bucket(bucketAccounts)
			accounts.FillPercent = 0.7 // as users who come in any order leave the pages
			for i := from; i < min(n, from+step); i++ {
				user := userNumber(i)
				image, err := json.Marshal(typical(user, 1))
				if err != nil {
					return err
				}
				if err := accounts.Put([]byte(user), append(head{version: 1, schema: 1}.append(nil), image...)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
