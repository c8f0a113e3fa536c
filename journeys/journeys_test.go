// Package journeys_test runs the help pages that the product must be able to honour, as scripts. README.md explains the
// words that they are written in.
package journeys_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/nightlatch/nightlatch/pkg/needs"
)

// engines are what the service can keep its accounts in, and the flags that choose it, for each script anew. Every script
// runs on each.
var engines = map[string]func(t testing.TB) func() []string{
	"bolt": func(testing.TB) func() []string {
		return func() []string { return []string{"-store", "bolt"} }
	},
	"dynamodb": func(t testing.TB) func() []string {
		endpoint := needs.DynamoDBLocal(t)
		return func() []string {
			return []string{"-store", "dynamodb", "-dynamodb-endpoint", endpoint, "-dynamodb-prefix", rand.Text() + "-"}
		}
	},
}

// program is what the scripts run, built as a user would.
var program string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "nightlatch")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "nightlatch")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/nightlatch").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// lookAtSources looks at every file that the program is made of. It is built by another process, so that go test would
// otherwise take an old result for one of the program as it is: it remembers what a test has looked at.
func lookAtSources(t *testing.T) {
	t.Helper()
	for _, folder := range []string{"../cmd", "../pkg"} {
		err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestJourneys(t *testing.T) {
	t.Parallel()
	lookAtSources(t)
	var tools tools
	tools.oathtool, _ = needs.Look(t, "oathtool")
	tools.zbarimg, _ = needs.Look(t, "zbarimg")
	for engine, choose := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			flags := choose(t)
			testscript.Run(t, testscript.Params{
				Dir:  ".",
				Cmds: commands(),
				Setup: func(env *testscript.Env) error {
					w := &world{
						people: map[string]*person{}, tools: tools, dir: env.WorkDir,
						server: &server{program: program, flags: flags(), data: filepath.Join(env.WorkDir, "data")},
					}
					env.Values[worldKey{}] = w
					env.Defer(func() {
						if err := w.end(); err != nil && !t.Failed() {
							env.T().Fatal(err)
						}
					})
					return nil
				},
			})
		})
	}
}

// A world is what one script plays in: a service of its own, people, and the one of them who acts.
type world struct {
	server *server
	people map[string]*person
	who    *person
	tools  tools
	dir    string          // for files of this script
	read   map[string]bool // mails, by id
}

type worldKey struct{}

func (w *world) end() error {
	var unjudged error
	if w.who != nil {
		unjudged = w.who.last.mustBeJudged()
	}
	return errors.Join(unjudged, w.server.stop())
}

// A word is one command of the scripts.
type word struct {
	usage string // the word and its arguments, as README.md has it
	least int    // arguments
	most  int    // -1: any number
	do    func(*world, *testscript.TestScript, []string)
}

// commands makes testscript's commands of the words.
func commands() map[string]func(*testscript.TestScript, bool, []string) {
	all := map[string]func(*testscript.TestScript, bool, []string){}
	for _, word := range words() {
		name, _, _ := strings.Cut(word.usage, " ")
		all[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			if neg || len(args) < word.least || word.most >= 0 && len(args) > word.most {
				ts.Fatalf("usage: %s", word.usage)
			}
			word.do(ts.Value(worldKey{}).(*world), ts, args)
		}
	}
	return all
}

// Whoever reads a script looks the words up in README.md.
func TestREADMEHasEveryWord(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "| `"); ok {
			usage, _, _ := strings.Cut(rest, "`")
			got = append(got, strings.ReplaceAll(usage, `\|`, "|"))
		}
	}
	for _, word := range words() {
		want = append(want, word.usage)
	}
	if !slices.Equal(got, want) {
		t.Errorf("README.md has the words\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// fields splits arguments of the form name=value.
func fields(ts *testscript.TestScript, args []string) map[string]string {
	all := map[string]string{}
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok {
			ts.Fatalf("%q is not of the form name=value", arg)
		}
		all[name] = value
	}
	return all
}

func quote(args []string) string { return fmt.Sprintf("%q", args) }
