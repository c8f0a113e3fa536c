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
	"crypto/sha256"
	"errors"
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt) // which go test has got as well
	defer stop()
	chosen, err := regexp.Compile(*only)
	if long, wrong := time.ParseDuration(*each); !inputs.MatchString(*each) && (wrong != nil || long <= 0) {
		err = errors.Join(err, fmt.Errorf("-for %s is neither how long, as 1h, nor how many inputs, as 10000000x", *each))
	}
	if flag.NArg() > 0 {
		err = errors.Join(err, fmt.Errorf("%q is no flag; -h lists them", flag.Arg(0)))
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

var inputs = regexp.MustCompile(`^[1-9][0-9]*x$`)

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
	var table, failed []string
	for i, t := range targets {
		if ctx.Err() != nil {
			break
		}
		fmt.Fprintf(out, "[%d/%d] %s, %s\n", i+1, len(targets), t, each)
		begun := time.Now()
		given, kept, err := t.run(out, self, each)
		table = append(table, fmt.Sprintf("| %s | %s | %s | %s |", t, given, time.Since(begun).Round(time.Second), kept))
		if (err != nil || given == "0") && ctx.Err() == nil {
			failed = append(failed, t.String())
		}
	}
	fmt.Fprintf(out, "\n| target | inputs | time | inputs kept |\n|---|---:|---:|---:|\n%s\n", strings.Join(table, "\n"))
	if len(failed) > 0 {
		return fmt.Errorf("failed, see above: %s", strings.Join(failed, " "))
	}
	if ctx.Err() != nil {
		return errors.New("stopped before the end")
	}
	return nil
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
func (t target) run(out io.Writer, self, each string) (given, kept string, err error) {
	given, kept = "0", "0"
	// An input that goes somewhere new is worth little effort to make it smaller, which takes a minute each by default.
	c := exec.Command("go", "test", "-toolexec", "'"+self+"' toolexec", "-vet", "off", "-run", "^$", "-timeout", "0",
		"-fuzz", "^"+t.name+"$", "-fuzztime", each, "-fuzzminimizetime", "10x", "./"+t.dir)
	c.Env, c.Stderr = inMemory(os.Environ()), os.Stderr
	pipe, err := c.StdoutPipe()
	if err != nil {
		return given, kept, err
	}
	if err := c.Start(); err != nil {
		return given, kept, err
	}
	for lines := bufio.NewReader(pipe); ; {
		line, err := lines.ReadString('\n')
		fmt.Fprint(out, line)
		if found := counts.FindStringSubmatch(line); found != nil {
			given, kept = found[1], found[2]
		}
		if err != nil {
			return given, kept, c.Wait()
		}
	}
}

// inMemory adds to an environment where what a target's processes share is kept: in memory, if there is such a place, since
// on a disk it is written back again and again. What is compiled stays where it was: the place may be small, and may not
// hold programs.
func inMemory(environment []string) []string {
	const memory = "/dev/shm"
	if s, err := os.Stat(memory); err != nil || !s.IsDir() || os.Getenv("TMPDIR") != "" {
		return environment
	}
	if os.Getenv("GOTMPDIR") == "" {
		environment = append(environment, "GOTMPDIR="+os.TempDir())
	}
	return append(environment, "TMPDIR="+memory)
}

// tool runs a tool of the go command for it (go help build, -toolexec). The compiler is told to count branches only where
// counted says so, and has another version then, under which the go command keeps what was compiled.
func tool(path string, args []string) int {
	compiler := strings.TrimSuffix(filepath.Base(path), ".exe") == "compile"
	c := exec.Command(path, args...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	var version bytes.Buffer
	asked := compiler && slices.Contains(args, "-V=full")
	if asked {
		c.Stdout = &version
	}
	if p := slices.Index(args, "-p"); compiler && p >= 0 && p+1 < len(args) && !counted(args[p+1]) {
		c.Args = slices.DeleteFunc(c.Args, func(arg string) bool { return arg == "-d=libfuzzer" })
	}
	err := c.Run()
	if asked {
		fmt.Printf("%s-%x\n", bytes.TrimSpace(version.Bytes()), sha256.Sum256([]byte(strings.Join(decoders, " "))))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", path, err)
		return 1
	}
	return 0
}

// decoders begin the names of the packages in which an input's way tells it from others.
var decoders = []string{
	"github.com/nightlatch/", "github.com/aws/aws-lambda-go/", "github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue", "github.com/go-jose/",
	"github.com/pquerna/", "main", "encoding/", "internal/strconv", "mime", "net/mail", "net/textproto", "net/url", "strconv", "unicode/",
}

func counted(pkg string) bool {
	return slices.ContainsFunc(decoders, func(prefix string) bool { return strings.HasPrefix(pkg, prefix) })
}
