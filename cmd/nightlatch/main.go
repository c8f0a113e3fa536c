// Nightlatch runs the whole of Nightlatch on a laptop: every function behind one port, on an embedded database, with a
// demo application to sign in to.
//
//	nightlatch dev
//
// The functions are the ones that are deployed to AWS. What stands around them there stands around them here: a gateway
// that routes and checks who calls (gateway.go), an identity provider (idp.go), a host's login back end (demo.go), the
// stream that feeds the history (dev.go).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"
)

const usage = `Nightlatch: a second factor for applications on AWS. This is the one for a laptop.

Usage:

	nightlatch dev [flags]    run everything here, with a demo application
	nightlatch version        say which version this is
	nightlatch help [command] say more

`

// What a command ends with.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // as package flag does
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // some 45 MB more of memory, a tenth less of work for a sign-in
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run runs one command until it is done or ctx ends, and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	var err error
	switch args[0] {
	case "dev":
		err = dev(ctx, args[1:], stdout, stderr)
	case "version", "-version", "--version":
		err = sayVersion(ctx, args, stdout, stderr)
	case "help", "-h", "-help", "--help":
		err = help(ctx, args[1:], stdout, stderr)
	default:
		err = usageError{fmt.Errorf("there is no command %q: there are dev, version and help", args[0])}
	}
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usageError{}):
		fmt.Fprintln(stderr, "nightlatch:", err)
		return exitUsage
	}
	fmt.Fprintln(stderr, "nightlatch:", err)
	return exitFailed
}

// usageError is an error of whoever typed the command.
type usageError struct{ error }

func sayVersion(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	switch {
	case len(args) == 1:
		fmt.Fprintln(stdout, "nightlatch", version())
		return nil
	case len(args) == 2 && slices.Contains([]string{"-h", "-help", "--help"}, args[1]):
		return help(ctx, []string{"version"}, stdout, stderr)
	}
	return usageError{fmt.Errorf("%s takes no arguments, but was given %q", args[0], args[1])}
}

func help(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	switch {
	case len(args) == 0:
		fmt.Fprint(stdout, usage)
		return nil
	case len(args) == 1 && args[0] == "dev":
		return dev(ctx, []string{"-h"}, stdout, stderr)
	case len(args) == 1 && args[0] == "version":
		fmt.Fprintln(stdout, "nightlatch version says which version this is, and takes no flags.")
		return nil
	}
	return usageError{fmt.Errorf("help knows dev and version, but was asked for %q", args)}
}

// version is the module's version as the build knows it, and Go's.
func version() string {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	return build.Main.Version + " " + build.GoVersion
}

// parse reads a command's flags. It reports true when help was asked for, and written to stdout.
func parse(flags *flag.FlagSet, args []string, about string, stdout io.Writer) (helped bool, err error) {
	flags.SetOutput(io.Discard) // what it would say is in the error
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, about)
		flags.SetOutput(stdout)
		flags.PrintDefaults()
		return true, nil
	case err != nil:
		return false, usageError{fmt.Errorf("%s: %w; nightlatch help %s lists the flags", flags.Name(), err, flags.Name())}
	case flags.NArg() > 0:
		return false, usageError{fmt.Errorf("%s: %q is not a flag; nightlatch help %s lists them", flags.Name(), flags.Arg(0), flags.Name())}
	}
	return false, nil
}
