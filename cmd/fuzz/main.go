// Fuzz runs every fuzz target of the module in turn, and prints how many inputs each has been given.
//
//	make fuzz FUZZTIME=10000000x
//
// It has go test count the branches of our own packages and of those that decode, not of all that is linked: whoever counts
// the AWS SDK's as well spends nine tenths of the time on looking at counters. Ctrl-C ends it with the table so far.
package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == "toolexec" {
		os.Exit(tool(os.Args[2], os.Args[3:]))
	}
	each := flag.String("for", "20s", "how `long` each target is fuzzed, or how many inputs it is given: 1h, 10000000x")
	only := flag.String("run", "", "only the targets that match this `regexp`, as pkg/api:FuzzDecode")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	chosen, err := regexp.Compile(*only)
	if err == nil && flag.NArg() > 0 {
		err = fmt.Errorf("%q is no flag; -h lists them", flag.Arg(0))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(2)
	}
	if err := fuzz(ctx, os.Stdout, *each, chosen); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

// fuzz fuzzes the chosen targets of the module in the present directory.
func fuzz(ctx context.Context, out io.Writer, each string, chosen *regexp.Regexp) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	targets, err := find(chosen)
	if err != nil {
		return err
	}
	var table, broken []string
	for i, t := range targets {
		if ctx.Err() != nil {
			break
		}
		fmt.Fprintf(out, "[%d/%d] %s, %s\n", i+1, len(targets), t, each)
		begun := time.Now()
		inputs, kept, err := t.run(out, self, each)
		table = append(table, fmt.Sprintf("| %s | %s | %s | %s |", t, inputs, time.Since(begun).Round(time.Second), kept))
		if err != nil && ctx.Err() == nil {
			broken = append(broken, t.String())
		}
	}
	fmt.Fprintf(out, "\n| target | inputs | time | inputs kept |\n|---|---:|---:|---:|\n%s\n", strings.Join(table, "\n"))
	if len(broken) > 0 {
		return fmt.Errorf("broken, with the input in the package's testdata/fuzz: %s", strings.Join(broken, " "))
	}
	return ctx.Err()
}

// target is a fuzz test.
type target struct{ dir, name string }

func (t target) String() string { return t.dir + ":" + t.name }

var fuzzTest = regexp.MustCompile(`(?m)^func (Fuzz[A-Za-z0-9]+)\(`)

// find returns the module's targets, sorted.
func find(chosen *regexp.Regexp) (all []target, err error) {
	for _, root := range []string{"cmd", "functions", "pkg"} {
		err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, found := range fuzzTest.FindAllSubmatch(text, -1) {
				if t := (target{filepath.ToSlash(filepath.Dir(path)), string(found[1])}); chosen.MatchString(t.String()) {
					all = append(all, t)
				}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no target matches %q here", chosen)
	}
	slices.SortFunc(all, func(a, b target) int { return strings.Compare(a.String(), b.String()) })
	return all, nil
}

var counts = regexp.MustCompile(`execs: ([0-9]+) .*\(total: ([0-9]+)\)`)

// run fuzzes one target, and returns how many inputs it was given and how many of them are kept since they went where none
// had been.
func (t target) run(out io.Writer, self, each string) (inputs, kept string, err error) {
	inputs, kept = "0", "0"
	// An input that goes somewhere new is worth little effort to make it smaller, which takes a minute each by default.
	c := exec.Command("go", "test", "-toolexec", self+" toolexec", "-run", "^$", "-timeout", "0",
		"-fuzz", "^"+t.name+"$", "-fuzztime", each, "-fuzzminimizetime", "10x", "./"+t.dir)
	const memory = "/dev/shm"
	if s, err := os.Stat(memory); err == nil && s.IsDir() {
		c.Env = append(os.Environ(), "TMPDIR="+memory) // what the workers share would be written to the disk again and again
	}
	c.Stderr = os.Stderr
	pipe, err := c.StdoutPipe()
	if err != nil {
		return inputs, kept, err
	}
	if err := c.Start(); err != nil {
		return inputs, kept, err
	}
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		fmt.Fprintln(out, lines.Text())
		if found := counts.FindStringSubmatch(lines.Text()); found != nil {
			inputs, kept = found[1], found[2]
		}
	}
	return inputs, kept, c.Wait()
}

// tool runs a tool of the go command for it (go help build, -toolexec). The compiler is told to count branches only where
// counted says so, and has another version then: the go command keeps what was compiled under it.
func tool(path string, args []string) int {
	compiler := strings.TrimSuffix(filepath.Base(path), ".exe") == "compile"
	var version bytes.Buffer
	c := exec.Command(path, args...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	asked := compiler && slices.Contains(args, "-V=full")
	if asked {
		c.Stdout = &version
	}
	if p := slices.Index(args, "-p"); compiler && p >= 0 && p+1 < len(args) && !counted(args[p+1]) {
		c.Args = slices.DeleteFunc(c.Args, func(arg string) bool { return arg == "-d=libfuzzer" })
	}
	err := c.Run()
	if asked {
		fmt.Println(strings.TrimSpace(version.String()), "nightlatch-fuzz")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", path, err)
		return 1
	}
	return 0
}

// counted says whether where an input goes in a package tells it from others.
func counted(pkg string) bool {
	for _, prefix := range []string{
		"github.com/nightlatch/", "github.com/aws/aws-lambda-go/", "github.com/go-jose/", "github.com/pquerna/", "main", "encoding/", "mime", "net/mail",
		"net/textproto", "net/url", "strconv", "time", "unicode/",
	} {
		if strings.HasPrefix(pkg, prefix) {
			return true
		}
	}
	return false
}
