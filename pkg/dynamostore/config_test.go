package dynamostore

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func wantConfig(t *testing.T, s *Store, name, wantValue string, wantVersion int64) {
	t.Helper()
	value, version, err := s.LoadConfig(t.Context(), name)
	if err != nil || string(value) != wantValue || version != wantVersion {
		t.Errorf("LoadConfig(%q) = %q, %d, %v; want %q, %d", name, value, version, err, wantValue, wantVersion)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	s := open(t)
	replace := func(name, value string, version int64, lands bool) {
		t.Helper()
		err := s.ReplaceConfig(t.Context(), name, []byte(value), version)
		if current, conflict := isConflict(err); conflict == lands || current != nil || lands && err != nil {
			t.Errorf("ReplaceConfig(%q, %d): %v; should land: %v, and else be a conflict", name, version, err, lands)
		}
	}
	replace("large", strings.Repeat("x", 100_000), 1, true)
	wantConfig(t, s, "large", strings.Repeat("x", 100_000), 1)
	wantConfig(t, s, "keyset/totp", "", 0)
	for _, version := range []int64{-1, 0, 2} {
		replace("keyset/totp", "early", version, false)
	}
	wantConfig(t, s, "keyset/totp", "", 0)
	replace("keyset/totp", "one", 1, true)
	replace("keyset/totp", "again", 1, false)
	replace("keyset/totp", "gap", 3, false)
	wantConfig(t, s, "keyset/totp", "one", 1)
	replace("keyset/totp", "two", 2, true)
	replace("keyset/totp", "one", 1, false) // as it was before
	replace("keyset/totp", "two", 3, true)
	replace("keyset/totp", "two", 2, false)
	wantConfig(t, s, "keyset/totp", "two", 3)
	wantConfig(t, s, "keyset/tot", "", 0)
	replace("keyset/tot", "", 1, true)
	wantConfig(t, s, "keyset/tot", "", 1)

	for _, name := range []string{"", strings.Repeat("x", 256)} {
		if err := s.ReplaceConfig(t.Context(), name, nil, 1); err == nil {
			t.Errorf("ReplaceConfig with a name of %d bytes succeeded", len(name))
		}
		if _, _, err := s.LoadConfig(t.Context(), name); err == nil {
			t.Errorf("LoadConfig with a name of %d bytes succeeded", len(name))
		}
	}
}

func TestConfigHasOneWinner(t *testing.T) {
	t.Parallel()
	s := open(t)
	var won atomic.Int32
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			err := s.ReplaceConfig(t.Context(), "c", fmt.Appendf(nil, "value %d", i), 1)
			if _, conflict := isConflict(err); err == nil {
				won.Add(1)
			} else if !conflict {
				t.Errorf("ReplaceConfig: %v", err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d winners", won.Load())
	}
}

// TestConfigLostAnswer: a value that has landed is a success, although the answer was lost; unless another is there by now.
func TestConfigLostAnswer(t *testing.T) {
	t.Parallel()
	s := open(t)
	for name, loss := range losses {
		f, line := faulty(t, s)
		for version := range int64(2) {
			line.next("PutItem", loss)
			if err := f.ReplaceConfig(t.Context(), name, []byte("mine"), version+1); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			wantConfig(t, s, name, "mine", version+1)
		}
		line.next("PutItem", then(func() {
			if err := s.ReplaceConfig(t.Context(), name, []byte("theirs"), 4); err != nil {
				t.Error(err)
			}
		}, loss))
		err := f.ReplaceConfig(t.Context(), name, []byte("mine"), 3)
		if _, conflict := isConflict(err); !conflict {
			t.Errorf("%s: %v, want a conflict", name, err)
		}
		wantConfig(t, s, name, "theirs", 4)
	}
}
