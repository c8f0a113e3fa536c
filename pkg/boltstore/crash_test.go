package boltstore

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nightlatch/nightlatch/pkg/needs"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// The test binary runs itself as another process: with this set to what to do, and the path of a store.
const childEnv = "BOLTSTORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if do, path, ok := strings.Cut(os.Getenv(childEnv), " "); ok {
		child(do, path)
		return
	}
	os.Exit(m.Run())
}

func child(do, path string) {
	switch call, unsynced := strings.CutPrefix(do, "without-"); {
	case unsynced:
		withoutSync(call, path)
		return
	case do == "limited":
		limitFileSize(1 << 20)
	}
	s, err := Open(path)
	if err != nil {
		fmt.Println("error", err)
		return
	}
	var printing sync.Mutex
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			if err := writeOn(s, i, func(n int64) {
				printing.Lock()
				defer printing.Unlock()
				fmt.Println(i, n) // one write to a pipe: what is acknowledged is known to the parent
			}); err != nil {
				printing.Lock()
				defer printing.Unlock()
				fmt.Println("error", err)
			}
		})
	}
	all.Wait()
	_, err = s.Load(context.Background(), "writer 0")
	fmt.Println("error", err)
}

const writers = 8

func writer(i int) twofactor.UserID { return twofactor.UserID(fmt.Sprint("writer ", i)) }

// writeOn writes version after version, each in three places, until it fails, and acknowledges each.
func writeOn(s *Store, i int, acknowledge func(n int64)) error {
	ctx, user := context.Background(), writer(i)
	a, err := s.Load(ctx, user)
	if err != nil {
		return err
	}
	_, config, err := s.LoadConfig(ctx, string(user))
	if err != nil {
		return err
	}
	for n := max(a.Version, config) + 1; ; n++ {
		if a.Version < n { // else it was killed between the account and the rest
			next := version(user, n)
			next.Events = []twofactor.Event{{ID: fmt.Sprint(n), UserAgent: strings.Repeat("x", 100)}}
			if err := s.Replace(ctx, next); err != nil {
				return err
			}
		}
		for config < n {
			config++
			if err := s.ReplaceConfig(ctx, string(user), nil, config); err != nil {
				return err
			}
		}
		if err := s.Append(ctx, user, []twofactor.Event{{ID: fmt.Sprintf("%012d", n)}}); err != nil {
			return err
		}
		acknowledge(n)
	}
}

// startChild starts the child. What it prints goes to said, line by line, until there is no more: then it has ended. What it
// says as it dies is logged.
func startChild(t *testing.T, do, path string, said func(line string)) (kill func(), ended <-chan struct{}) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+do+" "+path)
	var dying bytes.Buffer
	cmd.Stderr = &dying
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := make(chan struct{})
	go func() {
		defer close(end)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			said(lines.Text())
		}
	}()
	return func() {
		cmd.Process.Kill() // SIGKILL: nothing is flushed, nothing is closed
		<-end
		cmd.Wait()
		if dying.Len() > 0 {
			t.Logf("the child says, dying:\n%s", &dying)
		}
	}, end
}

func TestAcknowledgedSurvivesKill(t *testing.T) {
	t.Parallel()
	path := storeIn(t)
	var acknowledged [writers]int64
	for round := range 5 {
		enough := make(chan struct{})
		lines := 0
		kill, ended := startChild(t, "write", path, func(line string) {
			var i int
			var n int64
			if _, err := fmt.Sscan(line, &i, &n); err != nil {
				t.Errorf("the child says %q", line)
			} else {
				acknowledged[i] = n
			}
			if lines++; lines == 60+13*round {
				close(enough)
			}
		})
		select {
		case <-enough:
		case <-ended:
			kill()
			t.Fatalf("round %d: the child has ended after %d lines", round, lines)
		}
		if round == 0 {
			s, err := Open(path)
			if !errors.Is(err, ErrInUse) || !strings.Contains(fmt.Sprint(err), path) {
				t.Errorf("Open beside another process = %v, %v; want ErrInUse and the path", s, err)
			}
		}
		kill()

		s := open(t, path)
		total := 0
		for i, want := range acknowledged {
			a, err := s.Load(t.Context(), writer(i))
			if err != nil || a.Version < want {
				t.Errorf("round %d: Load(%s) = %+v, %v; want version %d or later", round, writer(i), a, err, want)
			}
			if _, n, err := s.LoadConfig(t.Context(), string(writer(i))); err != nil || n < want {
				t.Errorf("round %d: LoadConfig(%s) is version %d, %v; want %d or later", round, writer(i), n, err, want)
			}
			h, err := s.History(t.Context(), writer(i), twofactor.Page{Limit: 1})
			if err != nil || len(h.Events) != 1 || h.Events[0].ID < fmt.Sprintf("%012d", want) {
				t.Errorf("round %d: History(%s) = %+v, %v; want event %d or later", round, writer(i), h, err, want)
			}
			total += int(a.Version)
		}
		streamed := 0
		for i := range writers {
			images, err := s.Versions(t.Context(), writer(i), total)
			if err != nil {
				t.Error(err)
			}
			streamed += len(images)
		}
		if streamed != total {
			t.Errorf("round %d: %d versions in the stream of accounts that had %d: they must not part", round, streamed, total)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A disk that is full looks the same as a file that may not grow.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	if !canLimitFileSize {
		needs.Skip(t, "a limit on the size of files")
	}
	path := storeIn(t)
	var acknowledged [writers]int64
	var failures []string
	kill, ended := startChild(t, "limited", path, func(line string) {
		var i int
		var n int64
		if _, err := fmt.Sscan(line, &i, &n); err == nil {
			acknowledged[i] = n
			return
		}
		failures = append(failures, line)
	})
	<-ended
	kill()
	if len(failures) != writers+1 {
		t.Errorf("the child says %q, want one failure of each writer and one of a reader", failures)
	}
	for _, line := range failures {
		if !strings.Contains(line, ErrFailed.Error()) {
			t.Errorf("the child says %q, want that the store has failed, to writers and to readers", line)
		}
	}
	s := open(t, path)
	for i, want := range acknowledged {
		if a, err := s.Load(t.Context(), writer(i)); err != nil || a.Version < want || want == 0 {
			t.Errorf("Load(%s) = %+v, %v; want version %d or later", writer(i), a, err, want)
		}
	}
	if err := s.Replace(t.Context(), version("u", 1)); err != nil {
		t.Errorf("Replace with room again: %v", err)
	}
}

func TestOpenTwice(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	s := open(t, path)
	if second, err := Open(path); !errors.Is(err, ErrInUse) {
		t.Errorf("a second Open = %v, %v; want ErrInUse", second, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}
