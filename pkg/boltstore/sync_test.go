package boltstore

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nightlatch/nightlatch/pkg/needs"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// withoutSync is a process for which a sync fails from some time on. It prints what each step comes to.
func withoutSync(call, path string) {
	ctx := context.Background()
	say := func(step string, err error) { fmt.Printf("%s: %v\n", step, err) }
	s, err := Open(path)
	if err != nil {
		say("Open", err)
		return
	}
	say("before", s.Replace(ctx, version("u", 1)))
	say("filter", failSync(call))
	if call == "fsync" { // of a new file, its name, and a file that has grown
		_, err := Open(path + ".new")
		say("new", err)
		say("name", syncDir(filepath.Dir(path)))
		for n, err := 0, error(nil); err == nil && n < 1000; n++ {
			err = s.ReplaceConfig(ctx, fmt.Sprint(n), make([]byte, 4096), 1)
		}
	}
	say("Replace", s.Replace(ctx, version("u", 2)))
	say("Append", s.Append(ctx, "u", []twofactor.Event{{ID: "1"}}))
	_, err = s.Load(ctx, "u")
	say("Load", err)
	say("Close", s.Close())
}

// TestSyncedBeforeAcknowledged: what a process has written stays with the system when the process is killed, so that killing
// one cannot tell a store that syncs from one that does not. Here every sync fails, as on a disk that is broken: nothing is
// acknowledged any more, and what is not on the disk is not told to readers either.
func TestSyncedBeforeAcknowledged(t *testing.T) {
	t.Parallel()
	if !canFailSync {
		needs.Skip(t, "Linux on amd64 or arm64: syncs that fail")
	}
	for call, want := range map[string]string{
		"fdatasync": "before Replace! Append! Load! Close!",
		"fsync":     "before new! name! Replace! Append! Load! Close!",
	} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			path := storeIn(t)
			var said, printed []string
			kill, ended := startChild(t, "without-"+call, path, func(line string) {
				printed = append(printed, line)
				step, err, _ := strings.Cut(line, ": ")
				switch {
				case step == "filter" && err != "<nil>":
					t.Errorf("the system lets no sync fail: %s", err)
				case step == "filter":
				case err == "<nil>":
					said = append(said, step)
				case !strings.Contains(err, syscall.EIO.Error()):
					t.Errorf("%s: %s, want what the system said", step, err)
				default:
					said = append(said, step+"!")
				}
			})
			<-ended
			kill()
			if got := strings.Join(said, " "); got != want {
				t.Errorf("acknowledged, or refused (!): %s; want %s; the child printed:\n%s", got, want, strings.Join(printed, "\n"))
			}
			s := open(t, path)
			if a, err := s.Load(t.Context(), "u"); err != nil || a.Version < 1 {
				t.Errorf("Load = %+v, %v; want what was acknowledged before", a, err)
			}
		})
	}
}
