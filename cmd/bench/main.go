// Bench measures what the local server does, from outside and over HTTP: verifications per second, each durable on disk
// before it is answered, and how long they take; what the server computes for one; and what it keeps in memory.
//
//	make bench
//
// The load comes from the same machine and takes its share of it. It sends what was made before, so that this share is
// small, and what it does is the same for every product that it measures.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

type options struct {
	program  string
	clients  []int
	accounts []int
	each     time.Duration
	peer     string
	token    string
}

func main() {
	debug.SetGCPercent(400) // as the server's, of which the load should take little
	var o options
	flag.StringVar(&o.program, "program", "dist/nightlatch", "the `file` to measure; make build makes it")
	clients := flag.String("clients", "1,4,16,64,256", "how `many` send at the same time, in turn")
	accounts := flag.String("accounts", "1000,1000000", "how `many` accounts there are, in turn: a million take some minutes to load")
	flag.DurationVar(&o.each, "for", 5*time.Second, "how `long` each figure is measured")
	flag.StringVar(&o.peer, "totp-engine", "", "measure the TOTP secrets engine of an OpenBao or Vault at this `URL` instead")
	flag.StringVar(&o.token, "token", os.Getenv("BAO_TOKEN"), "its `token`; otherwise $BAO_TOKEN")
	flag.Parse()
	var err error
	if o.clients, err = numbers(*clients); err == nil {
		o.accounts, err = numbers(*accounts)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, func() { os.Exit(130) }) // the server has been told as well
	switch {
	case err != nil || flag.NArg() > 0:
		fmt.Fprintln(os.Stderr, "bench:", errors.Join(err, errors.New("-h lists the flags")))
		os.Exit(2)
	case o.peer != "":
		err = measurePeer(os.Stdout, o)
	default:
		err = measure(os.Stdout, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func numbers(text string) (all []int, err error) {
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is not a number of something", part)
		}
		all = append(all, n)
	}
	return all, nil
}

// progress is told beside the tables.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// figures of one kind of call.
type figures struct {
	perSecond float64
	spread    float64 // of perSecond: the middle half of the batches is as far apart
	p50, p99  time.Duration
}

// run has calls of each kind prepared and sent, in turn, until sending, which alone is measured, has taken long enough.
func run(long time.Duration, host string, kinds ...func() ([][]call, error)) ([]figures, error) {
	took := make([][]time.Duration, len(kinds))
	rates := make([][]float64, len(kinds))
	sum := make([]time.Duration, len(kinds))
	for sum[len(kinds)-1] < long {
		for k, prepare := range kinds {
			each, err := prepare()
			if err != nil {
				return nil, err
			}
			batch, lasted, err := together(host, each, nil)
			if err != nil {
				return nil, err
			}
			took[k] = append(took[k], batch...)
			rates[k] = append(rates[k], float64(len(batch))/lasted.Seconds())
			sum[k] += lasted
		}
	}
	all := make([]figures, len(kinds))
	for k, times := range took {
		slices.Sort(times)
		slices.Sort(rates[k])
		all[k] = figures{float64(len(times)) / sum[k].Seconds(), quantile(rates[k], 0.75) - quantile(rates[k], 0.25), quantile(times, 0.5), quantile(times, 0.99)}
	}
	return all, nil
}

func (f figures) cells() string {
	return fmt.Sprintf("%.0f ± %.0f | %s | %s", f.perSecond, f.spread/2, ms(f.p50), ms(f.p99))
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d.Microseconds())/1000) }

// measure is everything about the local server.
func measure(out io.Writer, o options) error {
	version, err := exec.Command(o.program, "version").Output()
	if err != nil {
		return fmt.Errorf("%s: %w: make build makes it", o.program, err)
	}
	fmt.Fprintf(out, "%son %s\n", version, machine())
	for _, accounts := range o.accounts {
		if err := measureWith(out, o, accounts); err != nil {
			return err
		}
	}
	return ceiling(out, o)
}

func measureWith(out io.Writer, o options, accounts int) (err error) {
	dir, err := os.MkdirTemp("", "nightlatch-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p, err := start(o.program, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	s := &service{process: p}
	if err := s.load(accounts); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nWith %d accounts. Codes, each durable before it is answered; the challenges are there already, and the history is\n"+
		"written in the pauses. Beside them, how long the disk took for a sync then:\n\n"+
		"| clients | right/s | p50 ms | p99 ms | wrong/s | p50 ms | p99 ms | sync ms |\n|---:|---:|---:|---:|---:|---:|---:|---:|\n", accounts)
	for _, clients := range o.clients {
		all, err := run(o.each, s.host,
			func() ([][]call, error) { return s.verifications(clients, true) },
			func() ([][]call, error) { return s.verifications(clients, false) })
		if err != nil {
			return err
		}
		sync, err := syncs(dir)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "| %d | %s | %s | %s |\n", clients, all[0].cells(), all[1].cells(), ms(quantile(sync, 0.5)))
	}
	fmt.Fprint(out, "\nWhole sign-ins without a pause, a challenge and its code, until the last one is in the history; CPU is all that the server\n"+
		"computes for one:\n\n| clients | sign-ins/s | p50 ms | p99 ms | CPU µs | history late by, s | memory MB | sync ms |\n|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, clients := range o.clients {
		f, err := s.signIns(clients, o.each)
		if err != nil {
			return err
		}
		sync, err := syncs(dir)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "| %d | %.0f | %s | %s | %d | %.1f | %d | %s |\n", clients, f.perSecond, ms(f.p50), ms(f.p99), f.cpu.Microseconds(), f.late.Seconds(),
			s.memory()>>20, ms(quantile(sync, 0.5)))
	}
	return nil
}
