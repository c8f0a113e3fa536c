package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/host"
	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/metric"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

const aboutDev = `Usage: nightlatch dev [flags]

Runs every function of Nightlatch on this machine, with a demo application to sign in to: open the URL that it prints.
Everything is kept in one directory and survives a restart; to start afresh, stop it and remove the directory. With
-store dynamodb the accounts are in its tables: to start afresh take another -dynamodb-prefix, or restart a DynamoDB that
keeps them in memory.

-policy is in force at every start; POST /dev/policy changes it until the server is started again.

A login back end of yours reaches it with the printed service key. Assertions are made for the audience
` + demoAudience + `, which is to be the Audience in its host.Config.

Flags:

`

// options are what the flags say.
type options struct {
	addr, data, policy string
	endpoint, prefix   string // of DynamoDB, and of its tables' names; no endpoint means the embedded store
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
	engine := flags.String("store", "bolt", "`engine` that keeps the accounts: bolt, a file in the data directory, or dynamodb")
	flags.StringVar(&o.endpoint, "dynamodb-endpoint", "", "`URL` of a DynamoDB on this machine, for -store dynamodb, such as http://127.0.0.1:8000")
	flags.StringVar(&o.prefix, "dynamodb-prefix", defaultPrefix, "how the `names` of its tables begin; they are made if they are missing")
	flags.BoolVar(&o.quiet, "quiet", false, "do not log requests")
	if helped, err = parse(flags, args, aboutDev, stdout); err != nil || helped {
		return o, helped, err
	}
	switch {
	case *engine == "dynamodb":
		if o.endpoint, err = checkEndpoint(o.endpoint); err == nil {
			err = checkPrefix(o.prefix)
		}
	case *engine != "bolt":
		err = fmt.Errorf("-store %s: there is no such store; there are bolt, the embedded one, and dynamodb", *engine)
	case o.endpoint != "":
		err = errors.New("-dynamodb-endpoint: is for -store dynamodb; leave it out, or say -store dynamodb as well")
	case o.prefix != defaultPrefix:
		err = errors.New("-dynamodb-prefix: is for -store dynamodb; leave it out, or say -store dynamodb as well")
	}
	switch {
	case err != nil:
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
	store      engine
	keys       *keyring.Ring
	fences     *twofactor.Fences
	clock      *serviceClock
	sessions   *identityProvider
	inbox      *inbox
	check      check
	functions  atomic.Pointer[functions] // under the policy in force
	url        string
	policyName string // of -policy: a preset or a file
	serviceKey string
	webhookKey string
	keptIn     string       // for people
	demo       *host.Client // of the demo application
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
	store, err := openEngine(o, data)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s, err = nil, errors.Join(fmt.Errorf("-data %s: %w", o.data, err), store.Close())
		}
	}()
	s = &server{log: log, store: store, url: url, policyName: o.policy, keptIn: data, failed: make(chan error, 2)}
	if o.endpoint != "" {
		s.keptIn = fmt.Sprintf("%s (keys), tables %s* at %s", data, o.prefix, o.endpoint)
	}
	if s.keys, err = openKeys(store, filepath.Join(data, "key-encryption-key.json")); err != nil {
		return s, err
	}
	if s.clock, err = openClock(filepath.Join(data, "clock.json")); err != nil {
		return s, err
	}
	s.fences = twofactor.NewFences(store.LoadConfig, s.clock.now, metric.Failed("fence", api.MetricKeysetFailures)) // of the clock that a fence is raised by
	if s.sessions, err = openIdentityProvider(filepath.Join(data, "session-key.pem"), s.clock.now); err != nil {
		return s, err
	}
	if s.serviceKey, err = keepText(filepath.Join(data, "service-key"), "nlk_"); err != nil {
		return s, err
	}
	if s.webhookKey, err = keepText(filepath.Join(data, "webhook-secret"), "wbhsec_"); err != nil {
		return s, err
	}
	if s.inbox, err = openInbox(filepath.Join(data, "mail.json"), s.clock.now); err != nil {
		return s, err
	}
	s.check, err = s.openCheck(data)
	return s, err
}

// stream has the history and the mails written from what is stored, now and after a restart, and does what time has made
// due.
func (s *server) stream() {
	ctx, stop := context.WithCancel(context.Background())
	s.stopStream, s.streamed = stop, make(chan struct{})
	var both sync.WaitGroup
	both.Go(func() {
		if err := s.store.stream(ctx, s.log, s.mails); ctx.Err() == nil {
			s.fail(fmt.Errorf("the stream has ended: %w", err))
		}
	})
	both.Go(func() { s.sweep(ctx) })
	go func() { both.Wait(); close(s.streamed) }()
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
// start. What the demo application has yet to report comes first: it is reported through this very port.
func (s *server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopFor)
	defer cancel()
	if err := s.demo.Flush(ctx); err != nil {
		s.log.Error("demo host", "cause", err)
	}
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	s.check.service.Close()
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
	fmt.Fprintf(w, "kept in\t%s\n", s.keptIn)
	if offset := s.clock.offset.Load(); offset > 0 {
		fmt.Fprintf(w, "clock\t%s ahead\n", twofactor.Duration(time.Duration(offset)*time.Second))
	}
	w.Flush()
	fmt.Fprintf(out, "\nservice key: %s\nwebhook secret: %s\n\nCtrl-C stops it.\n\n", s.serviceKey, s.webhookKey)
}
