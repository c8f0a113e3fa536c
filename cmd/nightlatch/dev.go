package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/nightlatch/nightlatch/pkg/boltstore"
	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/notify"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

const aboutDev = `Usage: nightlatch dev [flags]

Runs every function of Nightlatch on this machine, with a demo application to sign in to: open the URL that it prints.
Everything is kept in one directory and survives a restart; to start afresh, stop it and remove the directory.

-policy is in force at every start; POST /dev/policy changes it until the server is started again.

A login back end of yours reaches it with the printed service key. Assertions are made for the audience
` + demoAudience + `, which is to be the Audience in its host.Config.

Flags:

`

// options are what the flags say.
type options struct {
	addr, data, policy string
	quiet              bool
}

// dev runs the local server until ctx ends.
func dev(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, helped, err := devOptions(args, stdout)
	if err != nil || helped {
		return err
	}
	s, err := start(o, slog.New(slog.NewTextHandler(stderr, nil)))
	if err != nil {
		return err
	}
	s.banner(stdout)
	select {
	case <-ctx.Done():
		fmt.Fprintln(stdout, "\nstopping")
		return s.stop()
	case err := <-s.failed:
		return errors.Join(err, s.stop())
	}
}

func devOptions(args []string, stdout io.Writer) (o options, helped bool, err error) {
	flags := flag.NewFlagSet("dev", flag.ContinueOnError)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:8787", "loopback `address` and port to listen on; port 0 takes any free one")
	flags.StringVar(&o.data, "data", ".nightlatch/", "`directory` in which everything is kept; it is made if it is missing")
	flags.StringVar(&o.policy, "policy", twofactor.Presets()[0],
		"`preset` ("+strings.Join(twofactor.Presets(), ", ")+"), or a JSON file of settings")
	engine := flags.String("store", "bolt", "`engine`: bolt, the embedded one; dynamodb is not in this build yet")
	endpoint := flags.String("dynamodb-endpoint", "", "`URL` of a DynamoDB on this machine; not in this build yet")
	flags.BoolVar(&o.quiet, "quiet", false, "do not log requests")
	if helped, err = parse(flags, args, aboutDev, stdout); err != nil || helped {
		return o, helped, err
	}
	switch {
	case *engine == "dynamodb":
		err = errors.New("-store dynamodb: this build has the embedded store only; DynamoDB comes next. Leave -store out")
	case *engine != "bolt":
		err = fmt.Errorf("-store %s: there is no such store; leave -store out for the embedded one", *engine)
	case *endpoint != "":
		err = errors.New("-dynamodb-endpoint: is for -store dynamodb, which this build does not have; leave it out")
	case o.data == "":
		err = errors.New("-data: name a directory")
	}
	if err != nil {
		return o, false, usageError{err}
	}
	return o, false, nil
}

// server is everything behind one port.
type server struct {
	log        *slog.Logger
	store      *boltstore.Store
	keys       *keyring.Ring
	clock      *serviceClock
	sessions   *identityProvider
	functions  atomic.Pointer[functions] // under the policy in force
	url        string
	policyName string // of -policy: a preset or a file
	serviceKey string
	webhookKey string
	data       string
	http       *http.Server
	failed     chan error // what ends the server before it is stopped
	stopStream context.CancelFunc
	streamed   chan struct{} // closed when the stream has ended
}

// start makes a server and has it serve. The order is that of the least to undo: what was typed, the port, the data.
func start(o options, log *slog.Logger) (*server, error) {
	policy, err := loadPolicy(o.policy)
	if err != nil {
		return nil, err
	}
	listener, err := listen(o.addr)
	if err != nil {
		return nil, err
	}
	s, err := open(o, log, "http://"+listener.Addr().String())
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s.functions.Store(s.wire(policy))
	routes, err := s.routes(o.quiet)
	if err != nil {
		return nil, errors.Join(err, s.store.Close(), listener.Close())
	}
	s.http = &http.Server{
		Handler:           routes,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      40 * time.Second, // a password step may wait for the service, three times
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	s.stream()
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.fail(err)
		}
	}()
	return s, nil
}

// listen takes the port. Anything but a loopback address is refused before it is tried: what is served here, the inbox
// and the service key among it, is for this machine.
func listen(addr string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, usageError{fmt.Errorf("-addr %s: must be an address and a port, such as 127.0.0.1:8787", addr)}
	}
	if !isLoopback(host) {
		return nil, usageError{fmt.Errorf("-addr %s: is not a loopback address; the local server is for this machine only, such as 127.0.0.1:8787", addr)}
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return nil, usageError{fmt.Errorf("-addr %s: the port must be a number from 0 to 65535, such as 127.0.0.1:8787", addr)}
	}
	if strings.EqualFold(host, "localhost") {
		host = "127.0.0.1" // whatever a name server says
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, port))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("-addr %s: the port is in use, perhaps by another nightlatch; stop that, or choose another port with -addr", addr)
	case err != nil:
		return nil, fmt.Errorf("-addr %s: %w", addr, err)
	}
	return listener, nil
}

// open opens what is in the data directory, and makes it on the first start.
func open(o options, log *slog.Logger, url string) (s *server, err error) {
	data, err := filepath.Abs(o.data)
	if err != nil {
		return nil, fmt.Errorf("-data %s: %w", o.data, err)
	}
	database := filepath.Join(data, "nightlatch.db")
	if err := checkPrivate(database); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("-data %s: %w", o.data, err)
	}
	store, err := boltstore.Open(database)
	switch {
	case errors.Is(err, boltstore.ErrInUse):
		return nil, fmt.Errorf("-data %s: the directory is in use by another process; stop that, or choose another directory with -data", o.data)
	case err != nil:
		return nil, fmt.Errorf("-data %s: %w", o.data, err)
	}
	defer func() {
		if err != nil {
			s, err = nil, errors.Join(fmt.Errorf("-data %s: %w", o.data, err), store.Close())
		}
	}()
	s = &server{log: log, store: store, url: url, policyName: o.policy, data: data, failed: make(chan error, 2)}
	if s.keys, err = openKeys(store, filepath.Join(data, "key-encryption-key.json")); err != nil {
		return s, err
	}
	if s.clock, err = openClock(filepath.Join(data, "clock.json")); err != nil {
		return s, err
	}
	if s.sessions, err = openIdentityProvider(filepath.Join(data, "session-key.pem"), s.clock.now); err != nil {
		return s, err
	}
	if s.serviceKey, err = keepText(filepath.Join(data, "service-key"), "nlk_"); err != nil {
		return s, err
	}
	s.webhookKey, err = keepText(filepath.Join(data, "webhook-secret"), "wbhsec_")
	return s, err
}

// stream has the history written from what is stored, now and after a restart.
func (s *server) stream() {
	ctx, stop := context.WithCancel(context.Background())
	s.stopStream, s.streamed = stop, make(chan struct{})
	history := notify.History(s.store)
	go func() {
		defer close(s.streamed)
		err := s.store.Stream(ctx, func(ctx context.Context, batch []twofactor.Version) error {
			err := history(ctx, batch)
			if err != nil && ctx.Err() == nil {
				s.log.ErrorContext(ctx, "history not written; it is tried again", "cause", err)
			}
			return err
		})
		if ctx.Err() == nil {
			s.fail(fmt.Errorf("the stream has ended: %w", err))
		}
	}()
}

func (s *server) fail(err error) {
	select {
	case s.failed <- err:
	default: // it has failed already
	}
}

// stopFor is how long requests under way may take to end.
const stopFor = 5 * time.Second

// stop answers what is under way, then closes everything. What has not got to the history by then does after the next
// start.
func (s *server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopFor)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	s.stopStream()
	<-s.streamed
	return errors.Join(err, s.store.Close())
}

// banner says what there is. The lines of the key and the secret are read by programs as well.
func (s *server) banner(out io.Writer) {
	var names []string
	for _, u := range demoUsers {
		names = append(names, u.Email)
	}
	fmt.Fprintf(out, "\nNightlatch is running:  %s\n\n", s.url)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "audience\t%s\n", demoAudience)
	fmt.Fprintf(w, "policy\t%s\n", s.policyName)
	fmt.Fprintf(w, "sign in as\t%s\n", strings.Join(names, ", "))
	fmt.Fprintf(w, "password\t%s\n", demoPassword)
	fmt.Fprintf(w, "kept in\t%s\n", s.data)
	if offset := s.clock.offset.Load(); offset > 0 {
		fmt.Fprintf(w, "clock\t%s ahead\n", twofactor.Duration(time.Duration(offset)*time.Second))
	}
	w.Flush()
	fmt.Fprintf(out, "\nservice key: %s\nwebhook secret: %s\n\nCtrl-C stops it.\n\n", s.serviceKey, s.webhookKey)
}
