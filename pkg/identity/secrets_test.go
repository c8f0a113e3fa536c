package identity_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nightlatch/nightlatch/pkg/identity"
)

// A vault is where secrets are kept. It counts how often they are fetched.
type vault struct {
	value   string
	err     error
	fetched int
}

func (v *vault) fetch(context.Context) ([]byte, error) {
	v.fetched++
	return []byte(v.value), v.err
}

// Secrets are fetched when they are needed, and believed for five minutes.
func TestSecretsAreCached(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := &vault{value: "one"}
		s := identity.NewSecrets(v.fetch, time.Now)
		steps := []struct {
			after   time.Duration // since the last step
			again   bool
			value   string // in the vault
			err     error
			want    []string
			fetched int // until now
		}{
			{0, false, "one", nil, []string{"one"}, 1},
			{5*time.Minute - 1, false, "two", nil, []string{"one"}, 1},
			{1, false, "two", nil, []string{"two"}, 2},
			{0, true, "three\n four ", nil, []string{"three", "four"}, 3}, // they did not do
			{time.Minute - 1, true, "five", nil, []string{"three", "four"}, 3},
			{0, false, "five", nil, []string{"three", "four"}, 3},
			{1, true, "five", nil, []string{"five"}, 4},
			{time.Minute, true, "six", errors.New("no answer"), nil, 5},
			{0, false, "six", nil, []string{"five"}, 5}, // a look ahead of time costs nothing
			{time.Second, true, "six", nil, []string{"five"}, 5},
			{4*time.Minute - 1, false, "six", errors.New("no answer"), nil, 6}, // five minutes are over
			{0, false, "six", errors.New("no answer"), nil, 7},                 // a failure is not kept
			{0, false, "six", nil, []string{"six"}, 8},
			{4 * time.Minute, true, "seven", nil, []string{"seven"}, 9},
			{4 * time.Minute, false, "eight", nil, []string{"seven"}, 9}, // five minutes from the last look
		}
		for i, step := range steps {
			time.Sleep(step.after)
			v.value, v.err = step.value, step.err
			get := s.Get
			if step.again {
				get = s.Again
			}
			got, err := get(t.Context())
			if !slices.Equal(got, step.want) || v.fetched != step.fetched {
				t.Errorf("step %d: got %q after %d times, want %q after %d", i, got, v.fetched, step.want, step.fetched)
			}
			if (err == nil) != (step.want != nil) || err != nil && (!errors.Is(err, identity.ErrUnavailable) || !errors.Is(err, step.err)) {
				t.Errorf("step %d: got %v", i, err)
			}
			if len(got) > 0 {
				got[0] = "changed" // by whoever asked; nobody else is to see it
			}
		}
	})
}

// A clock that has gone back makes secrets no younger.
func TestSecretsWhenTheClockGoesBack(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	v := &vault{value: "one"}
	s := identity.NewSecrets(v.fetch, func() time.Time { return now })
	for i, get := range []func(context.Context) ([]string, error){s.Get, s.Get, s.Again, s.Again} {
		now = now.Add(-time.Hour)
		if _, err := get(t.Context()); err != nil || v.fetched != i+1 {
			t.Errorf("%d: fetched %d times, %v", i, v.fetched, err)
		}
	}
}

// A clock that has not been set is no reason to believe that there are secrets.
func TestSecretsWithoutAClock(t *testing.T) {
	t.Parallel()
	s := identity.NewSecrets((&vault{value: "one"}).fetch, func() time.Time { return time.Time{} })
	if got, err := s.Get(t.Context()); err != nil || !slices.Equal(got, []string{"one"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestSecretsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"", " \n", `{"api_key":"hunter2"}`, `"hunter2"`, "hunter2 hunter3 hunter4 hunter5 hunter6", "hunt\x00er2", "húnter2", strings.Repeat("hunter2", 40),
	} {
		_, err := identity.NewSecrets((&vault{value: value}).fetch, time.Now).Get(t.Context())
		if !errors.Is(err, identity.ErrUnavailable) || strings.Contains(err.Error(), "hunt") {
			t.Errorf("%.20q: got %v", value, err)
		}
	}
	got, err := identity.NewSecrets((&vault{value: "a b\tc\r\nd\n"}).fetch, time.Now).Get(t.Context())
	if err != nil || !slices.Equal(got, []string{"a", "b", "c", "d"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

// Many need them at once, and they are fetched once; nobody waits for longer than he wants to.
func TestSecretsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var fetched atomic.Int32
		s := identity.NewSecrets(func(context.Context) ([]byte, error) {
			time.Sleep(time.Second)
			return fmt.Appendf(nil, "secret_%d", fetched.Add(1)), nil
		}, time.Now)
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				get := s.Get
				if i%2 == 1 {
					get = s.Again
				}
				if _, err := get(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait() // one of them fetches, and the others wait
		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		for name, get := range map[string]func(context.Context) ([]string, error){"Get": s.Get, "Again": s.Again} {
			if _, err := get(impatient); !errors.Is(err, identity.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s, impatient: got %v", name, err)
			}
		}
		all.Wait()
		if got := fetched.Load(); got > 2 {
			t.Errorf("fetched %d times", got)
		}
	})
}

// What comes of webhooks while a secret is replaced, and of forged ones.
func TestVerifyFetchesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := &vault{value: secret}
		s := identity.NewSecrets(v.fetch, time.Now)
		check := func(name string, header string, want error, fetched int) {
			t.Helper()
			if err := s.Verify(t.Context(), header, signed); !errors.Is(err, want) || v.fetched != fetched {
				t.Errorf("%s: got %v after %d times, want %v after %d", name, err, v.fetched, want, fetched)
			}
		}
		by := func(secret string) string { return identity.Sign(secret, signed, time.Now()) }
		check("signed", by(secret), nil, 1)
		v.value = other
		check("while the old one is known", by(secret), nil, 1)
		check("by the new one", by(other), nil, 2)
		check("by the old one, which is over", by(secret), identity.ErrSignature, 2)
		for range 1000 {
			check("forged", by("somebody's own"), identity.ErrSignature, 2)
		}
		time.Sleep(time.Minute)
		v.value = other + "\n" + secret
		check("by the old one, which is back", by(secret), nil, 3)
		time.Sleep(time.Minute)
		for range 1000 {
			check("forged", by("somebody's own"), identity.ErrSignature, 4)
		}
		check("too old", identity.Sign(secret, signed, time.Now().Add(-time.Hour)), identity.ErrStale, 4)
		time.Sleep(time.Minute)
		check("too old, and no reason to look", identity.Sign(secret, signed, time.Now().Add(-time.Hour)), identity.ErrStale, 4)
		v.err = errors.New("no answer")
		check("forged, or by a newer one: who knows", by("somebody's own"), identity.ErrUnavailable, 5)
		check("by one that is known", by(other), nil, 5)
		time.Sleep(5 * time.Minute)
		check("by one that was known", by(other), identity.ErrUnavailable, 6)
	})
}

func TestSecretsDoNotShow(t *testing.T) {
	t.Parallel()
	s := fixed("hunter2")
	if _, err := s.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("a", "secrets", s, "config", identity.Config{APIKey: s})
	asJSON, err := json.Marshal(map[string]any{"secrets": s})
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(t, identity.Config{APIKey: s})
	for _, got := range []string{
		fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q %x %d", s, s, s, s, s, s, s), fmt.Sprintf("%+v", identity.Config{APIKey: s}),
		fmt.Sprintf("%+v %#v", client, client), logged.String(), string(asJSON),
	} {
		if strings.Contains(got, "hunter2") || strings.Contains(got, "68756e74657232") {
			t.Errorf("got %s", got)
		}
	}
	if want := "[secrets]"; fmt.Sprint(s) != want || fmt.Sprintf("%x", s) != want {
		t.Errorf("got %v and %x, want %s", s, s, want)
	}
}
