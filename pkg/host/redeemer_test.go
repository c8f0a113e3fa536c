package host_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/host"
)

func TestMemoryRedeemer(t *testing.T) {
	t.Parallel()
	clock := now
	r := host.NewMemoryRedeemerAt(func() time.Time { return clock })
	redeem := func(jti string, expires time.Time, want bool) {
		t.Helper()
		if got, err := r.Redeem(t.Context(), jti, expires); err != nil || got != want {
			t.Errorf("Redeem(%s) = %t, %v; want %t", jti, got, err, want)
		}
	}
	end := now.Add(70 * time.Second)
	redeem("a", end, true)
	redeem("a", end, false)
	redeem("b", end, true)
	clock = end.Add(-1)
	redeem("a", end, false)
	clock = end
	if first, err := r.Redeem(t.Context(), "a", end); err == nil || first {
		t.Errorf("what has expired: %t, %v; want an error", first, err)
	}
	if first, err := r.Redeem(t.Context(), "never seen", end); err == nil || first {
		t.Errorf("what has expired, unseen: %t, %v; want an error", first, err)
	}
}

// TestMemoryRedeemerBound: it is never larger than it may be, forgets nothing that is still good to make room, and works
// on when time has made some.
func TestMemoryRedeemerBound(t *testing.T) {
	t.Parallel()
	clock := now
	r := host.NewMemoryRedeemerAt(func() time.Time { return clock })
	redeem := func(i int, expires time.Time) (bool, error) { return r.Redeem(t.Context(), strconv.Itoa(i), expires) }
	end := now.Add(70 * time.Second)
	for i := range host.MaxRemembered {
		expires := end
		if i < 2 {
			expires = now.Add(10 * time.Second)
		}
		if first, err := redeem(i, expires); err != nil || !first {
			t.Fatalf("assertion %d: %t, %v", i, first, err)
		}
	}
	if first, err := redeem(-1, end); err == nil || first {
		t.Errorf("one too many: %t, %v; want an error", first, err)
	}
	if first, err := redeem(5, end); err != nil || first {
		t.Errorf("a used one, when full: %t, %v; want false", first, err)
	}
	clock = now.Add(10 * time.Second)
	for i := range 2 {
		if first, err := redeem(-2-i, end); err != nil || !first {
			t.Errorf("when two have expired: %t, %v; want true", first, err)
		}
	}
	if first, err := redeem(-4, end); err == nil || first {
		t.Errorf("one too many again: %t, %v; want an error", first, err)
	}
	clock = end
	if first, err := redeem(-4, end.Add(70*time.Second)); err != nil || !first {
		t.Errorf("when all have expired: %t, %v; want true", first, err)
	}
}
