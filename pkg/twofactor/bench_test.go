package twofactor

import (
	"context"
	"testing"
	"time"
)

// frozen is a store that always holds the same account and forgets what is written: what a benchmark over it measures is the
// verification alone.
type frozen struct {
	Store
	account *Account
}

func (f frozen) Load(context.Context, UserID) (*Account, error) { return f.account, nil }
func (f frozen) Replace(context.Context, *Account) error        { return nil }

// BenchmarkVerify is the CPU of a verification above the store. Budget: 100 microseconds.
func BenchmarkVerify(b *testing.B) {
	w := enabledWorld(b, "standard")
	locked := enabledWorld(b, "standard")
	locked.fail(5)
	for _, bench := range []struct {
		name   string
		world  *world
		method Method
		code   string
		in     bool
	}{
		{"right", w, MethodTOTP, w.phone.at(w.now), true},
		{"wrong", w, MethodTOTP, w.phone.wrong(w.now, 0), false},
		{"drifted", w, MethodTOTP, w.phone.at(w.now.Add(5 * period)), false},
		{"locked", locked, MethodTOTP, locked.phone.at(locked.now), false},
		{"backup code", w, MethodBackupCode, w.backup, true},
		{"wrong backup code", w, MethodBackupCode, "00000-00000-000", false},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := newService(frozen{account: bench.world.account}, bench.world.rules.Policy, func() time.Time { return bench.world.now })
			req := NewVerify(bench.world.request(), bench.world.challenge(), bench.method, bench.code)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Verify(b.Context(), req); (err == nil) != bench.in {
					b.Fatal(err)
				}
			}
		})
	}
}
