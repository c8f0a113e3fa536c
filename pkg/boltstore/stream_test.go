package boltstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// receiver is the end of a stream: it notes what it gets.
type receiver struct {
	got   []twofactor.Version
	sizes []int
	times []time.Time
	fail  func() error
}

func (r *receiver) deliver(_ context.Context, batch []twofactor.Version) error {
	r.sizes = append(r.sizes, len(batch))
	r.times = append(r.times, time.Now())
	if r.fail != nil {
		if err := r.fail(); err != nil {
			return err
		}
	}
	r.got = append(r.got, batch...)
	return nil
}

// start runs a Stream in the bubble until the returned function ends it, which returns its error.
func start(t *testing.T, s *Store, r *receiver) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Stream(ctx, r.deliver) }()
	synctest.Wait()
	return func() error {
		cancel()
		return <-ended
	}
}

// putVersions stores versions of the user's account, each with an event, and returns them as the stream has them.
func putVersions(t *testing.T, s *Store, user twofactor.UserID, from, to int64) []twofactor.Version {
	t.Helper()
	var all []twofactor.Version
	for n := from; n <= to; n++ {
		a := version(user, n)
		a.Events = []twofactor.Event{{ID: fmt.Sprintf("%012d-0", n), At: time.Unix(n, 0).UTC(), Type: twofactor.EventLogin}}
		a.Past = &twofactor.Recorded{Version: n - 1, At: time.Unix(n-1, 0).UTC(), Events: 1}
		if err := s.Replace(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		all = append(all, twofactor.Version{User: user, Version: n, Events: a.Events, Past: a.Past})
	}
	return all
}

func wantDelivered(t *testing.T, r *receiver, want []twofactor.Version) {
	t.Helper()
	if diff := cmp.Diff(want, r.got); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
}

func TestStreamDeliversInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, storeIn(t))
		var want []twofactor.Version
		for n := range int64(35) {
			for _, user := range []twofactor.UserID{"b", "a", "ab"} {
				want = append(want, putVersions(t, s, user, n+1, n+1)...)
			}
		}
		r := &receiver{}
		stop := start(t, s, r)
		wantDelivered(t, r, want)
		if !slices.Equal(r.sizes, []int{100, 5}) {
			t.Errorf("batches of %v, want 100 and 5", r.sizes)
		}
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Stream: %v", err)
		}
	})
}

func TestStreamWakesForAWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, storeIn(t))
		r := &receiver{}
		stop := start(t, s, r)
		var want []twofactor.Version
		for n := range int64(3) {
			time.Sleep(gathering)
			begun := time.Now()
			want = append(want, putVersions(t, s, "u", n+1, n+1)...)
			synctest.Wait()
			wantDelivered(t, r, want)
			if waited := time.Since(begun); waited != 0 {
				t.Errorf("delivered after %s: something polls", waited)
			}
		}
		if got := s.Counts().Commits; got != 6 {
			t.Errorf("%d commits, want one for each write and one for each delivery", got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := s.Counts().Commits; got != 6 {
			t.Errorf("%d commits after an idle hour, want no more", got)
		}
		stop()
	})
}

// TestStreamGathers: what is written right after a delivery comes together in the next one, soon.
func TestStreamGathers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, storeIn(t))
		r := &receiver{}
		stop := start(t, s, r)
		want := putVersions(t, s, "u", 1, 1)
		synctest.Wait()
		want = append(want, putVersions(t, s, "u", 2, 120)...)
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		wantDelivered(t, r, want)
		if !slices.Equal(r.sizes, []int{1, 100, 19}) {
			t.Errorf("batches of %v", r.sizes)
		}
		if got := s.Counts().Commits; got != 123 {
			t.Errorf("%d commits, want one for each write and one for each delivery", got)
		}
		begun := time.Now()
		if err := stop(); !errors.Is(err, context.Canceled) || time.Since(begun) != 0 { // while it gathers
			t.Errorf("Stream: %v after %s", err, time.Since(begun))
		}
	})
}

func TestStreamResumes(t *testing.T) {
	t.Parallel()
	path := storeIn(t)
	var want []twofactor.Version
	synctest.Test(t, func(t *testing.T) {
		s := open(t, path)
		want = putVersions(t, s, "u", 1, 103)
		ctx, cancel := context.WithCancel(t.Context())
		r := &receiver{fail: func() error {
			cancel() // in the midst of a delivery that succeeds
			return nil
		}}
		if err := s.Stream(ctx, r.deliver); !errors.Is(err, context.Canceled) {
			t.Errorf("Stream: %v", err)
		}
		wantDelivered(t, r, want[:100])
	})
	synctest.Test(t, func(t *testing.T) {
		s := open(t, path)
		r := &receiver{}
		stop := start(t, s, r)
		wantDelivered(t, r, want[100:])
		stop()
	})
}

func TestStreamDeliversAgainAfterACrash(t *testing.T) {
	t.Parallel()
	path := storeIn(t)
	var want []twofactor.Version
	synctest.Test(t, func(t *testing.T) {
		s := open(t, path)
		want = putVersions(t, s, "u", 1, 3)
		func() {
			defer func() { recover() }()
			r := &receiver{}
			s.Stream(t.Context(), func(ctx context.Context, batch []twofactor.Version) error {
				r.deliver(ctx, batch)
				wantDelivered(t, r, want)
				panic("delivered, and then the process ends")
			})
		}()
	})
	synctest.Test(t, func(t *testing.T) {
		s := open(t, path)
		r := &receiver{}
		stop := start(t, s, r)
		wantDelivered(t, r, want)
		stop()
	})
}

func TestStreamRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, storeIn(t))
		want := putVersions(t, s, "u", 1, 2)
		failures := 9
		r := &receiver{fail: func() error {
			if failures--; failures >= 0 {
				return errors.New("not now")
			}
			return nil
		}}
		stop := start(t, s, r)
		want = append(want, putVersions(t, s, "u", 3, 3)...) // joins the batch that is being tried again
		time.Sleep(time.Minute)
		synctest.Wait()
		wantDelivered(t, r, want)
		var pauses []time.Duration
		for i := range r.times[1:] {
			pauses = append(pauses, r.times[i+1].Sub(r.times[i]))
		}
		ms := time.Millisecond
		wantPauses := []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 10_000 * ms, 10_000 * ms}
		if !slices.Equal(pauses, wantPauses) {
			t.Errorf("pauses of %v, want %v", pauses, wantPauses)
		}
		if !slices.Equal(r.sizes, []int{2, 3, 3, 3, 3, 3, 3, 3, 3, 3}) {
			t.Errorf("batches of %v", r.sizes)
		}

		r.times, failures = nil, 1
		putVersions(t, s, "u", 4, 4)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(r.times) != 2 || r.times[1].Sub(r.times[0]) != firstRetry {
			t.Errorf("after a success deliveries at %v, want the first pause again", r.times)
		}
		stop()
	})
}

func TestStreamEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, storeIn(t))
		idle := &receiver{}
		stop := start(t, s, idle)
		if err := s.Stream(t.Context(), idle.deliver); !errors.Is(err, ErrStreaming) {
			t.Errorf("a second Stream: %v, want ErrStreaming", err)
		}
		stop()

		failing := &receiver{fail: func() error { return errors.New("not now") }}
		stop = start(t, s, failing)
		putVersions(t, s, "u", 1, 1)
		synctest.Wait()
		if err := stop(); !errors.Is(err, context.Canceled) { // while it waits to try again
			t.Errorf("Stream: %v, want the context's error", err)
		}

		ended := make(chan error)
		go func() { ended <- s.Stream(t.Context(), (&receiver{}).deliver) }()
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Errorf("Stream after Close: %v, want ErrClosed", err)
		}
	})
}

// TestStreamEndsWithTheStore: a Stream that waits for work ends when a commit fails half-way. It is how a program that only
// answers "cannot decide" from then on is ended, and not left so.
func TestStreamEndsWithTheStore(t *testing.T) {
	t.Parallel()
	path := storeIn(t)
	synctest.Test(t, func(t *testing.T) {
		s := open(t, path)
		putVersions(t, s, "u", 1, 1)
		ended := make(chan error, 1)
		go func() { ended <- s.Stream(t.Context(), (&receiver{}).deliver) }()
		synctest.Wait() // and it has delivered
		s.db.MaxSize = 1
		if err := s.ReplaceConfig(t.Context(), "large", make([]byte, 1<<20), 1); !errors.Is(err, ErrFailed) {
			t.Fatalf("ReplaceConfig: %v, want ErrFailed", err)
		}
		time.Sleep(gathering)
		synctest.Wait()
		select {
		case err := <-ended:
			if !errors.Is(err, ErrFailed) {
				t.Errorf("Stream: %v, want ErrFailed", err)
			}
		default:
			t.Error("the Stream still waits")
		}
		if err := s.Close(); !errors.Is(err, ErrFailed) {
			t.Errorf("Close: %v, want ErrFailed", err)
		}
	})
}

func TestStreamStopsAtWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		record []byte
		want   error
	}{
		"a newer release's": {append(prefix("u"), `{"user":"u","schema":2,"version":1}`...), twofactor.ErrNewerSchema},
		"no JSON":           {append(prefix("u"), `{"user":`...), ErrDamaged},
		"cut":               {prefix("user")[:3], ErrDamaged},
		"nothing":           {nil, ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, storeIn(t))
			if err := s.db.Update(func(tx *bolt.Tx) error { return appendVersion(tx, test.record) }); err != nil {
				t.Fatal(err)
			}
			r := &receiver{}
			if err := s.Stream(t.Context(), r.deliver); !errors.Is(err, test.want) || len(r.sizes) > 0 {
				t.Errorf("Stream: %v after %v, want %v", err, r.sizes, test.want)
			}
		})
	}
}

func TestStreamKeepsTheLastThousand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, storeIn(t))
		const all = 2345
		err := s.commit(t.Context(), func(tx *bolt.Tx) (bool, error) {
			for n := range all {
				record := fmt.Appendf(prefix("u"), `{"user":"u","schema":1,"version":%d}`, n+1)
				if err := appendVersion(tx, record); err != nil {
					return false, err
				}
			}
			return true, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		kept := func() (first, count int) {
			t.Helper()
			images, err := s.Versions(t.Context(), "u", all+1)
			if err != nil || len(images) == 0 {
				t.Fatalf("Versions: %d, %v", len(images), err)
			}
			var oldest twofactor.Account
			if err := json.Unmarshal(images[len(images)-1], &oldest); err != nil {
				t.Fatal(err)
			}
			return int(oldest.Version), len(images)
		}
		for n := streamBatch; n < all+streamBatch; n += streamBatch { // batch by batch
			ctx, cancel := context.WithCancel(t.Context())
			r := &receiver{fail: func() error { cancel(); return nil }}
			s.Stream(ctx, r.deliver)
			delivered := min(n, all)
			wantFirst := max(1, delivered-keptVersions+1)
			if first, count := kept(); first != wantFirst || count != all-wantFirst+1 {
				t.Fatalf("%d delivered: %d kept from %d on, want all from %d on", delivered, count, first, wantFirst)
			}
		}
		putVersions(t, s, "v", 1, 1) // goes on counting
		r := &receiver{}
		stop := start(t, s, r)
		if len(r.got) != 1 || r.got[0].User != "v" {
			t.Errorf("delivered %v, want the new version only", r.got)
		}
		stop()
	})
}

func TestVersionsAndItem(t *testing.T) {
	t.Parallel()
	s := open(t, storeIn(t))
	if item, err := s.Item(t.Context(), "u"); item != nil || err != nil {
		t.Errorf("Item of nobody = %s, %v; want nil", item, err)
	}
	if _, err := s.Item(t.Context(), ""); !errors.Is(err, twofactor.ErrUserID) {
		t.Errorf("Item of no user: %v", err)
	}
	putVersions(t, s, "u", 1, 3)
	putVersions(t, s, "uu", 1, 50) // so that bbolt hands out its mapped memory
	putVersions(t, s, "u", 4, 4)
	versionOf := func(image json.RawMessage) int64 {
		var a twofactor.Account
		if err := json.Unmarshal(image, &a); err != nil || a.User != "u" {
			t.Errorf("%s: %v", image, err)
		}
		return a.Version
	}
	for n, want := range map[int][]int64{0: nil, 1: {4}, 3: {4, 3, 2}, 100: {4, 3, 2, 1}} {
		images, err := s.Versions(t.Context(), "u", n)
		var got []int64
		for _, image := range images {
			got = append(got, versionOf(image))
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("Versions(%d) = %v, %v; want %v", n, got, err, want)
		}
	}
	for range 2 {
		item, err := s.Item(t.Context(), "u")
		if err != nil || versionOf(item) != 4 {
			t.Errorf("Item = %s, %v; want version 4", item, err)
		}
		images, _ := s.Versions(t.Context(), "u", 1)
		clear(item) // they are copies
		clear(images[0])
	}
}
