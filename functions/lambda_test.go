package functions_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"
)

// lambda stands in for what runs a function on AWS, as far as the function can see: it starts the program with an
// environment and nothing else, hands it one event at a time, and takes an answer until the deadline
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html).
type lambda struct {
	name    string
	api     *httptest.Server
	process *exec.Cmd
	said    transcript // on the standard error: the log
	counted transcript // on the standard output: metrics
	begun   time.Time
	asked   time.Time     // when the function asked for its first event,
	ready   chan struct{} // which is closed then
	ended   chan struct{} // closed when the process has
	events  chan invocation

	once    sync.Once
	mu      sync.Mutex
	pending map[string]chan<- outcome // by request id
	alone   sync.Mutex                // held while the function has an event
	had     int                       // how many it has had
}

type invocation struct {
	id       string
	event    []byte
	deadline time.Time
}

// outcome is what a function made of an event: its answer, or its error; and when.
type outcome struct {
	answer []byte
	err    error
	at     time.Time
}

// transcript is all that a process has said. It is a file, and no pipe: what was said before an answer is there with it.
type transcript struct{ *os.File }

func newTranscript(tb testing.TB) transcript {
	tb.Helper()
	file, err := os.CreateTemp(tb.TempDir(), "")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { file.Close() })
	return transcript{file}
}

func (t transcript) String() string {
	text, err := os.ReadFile(t.Name())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// startLambda starts a function's program with an environment. It ends with the test.
func startLambda(tb testing.TB, name, program string, environment map[string]string) *lambda {
	tb.Helper()
	l := &lambda{
		name: name, said: newTranscript(tb), counted: newTranscript(tb), ready: make(chan struct{}), ended: make(chan struct{}),
		events: make(chan invocation), pending: map[string]chan<- outcome{},
	}
	const root = "/2018-06-01/runtime/"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+root+"invocation/next", l.next)
	mux.HandleFunc("POST "+root+"invocation/{id}/response", l.take(func(body []byte) outcome { return outcome{answer: body} }))
	mux.HandleFunc("POST "+root+"invocation/{id}/error", l.take(func(body []byte) outcome {
		return outcome{err: fmt.Errorf("the function failed: %s", body)}
	}))
	l.api = httptest.NewServer(mux)
	tb.Cleanup(l.api.Close)

	l.process = exec.Command(program)
	l.process.Env = []string{"AWS_LAMBDA_RUNTIME_API=" + l.api.Listener.Addr().String(), "AWS_LAMBDA_FUNCTION_NAME=" + name}
	for variable, value := range environment {
		l.process.Env = append(l.process.Env, variable+"="+value)
	}
	l.process.Stdout, l.process.Stderr = l.counted.File, l.said.File
	l.begun = time.Now()
	if err := l.process.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		_ = l.process.Wait() // what it ended with is in its ProcessState
		close(l.ended)
	}()
	tb.Cleanup(l.stop)
	return l
}

// starts waits for the function to ask for its first event, and reports false if it ends instead.
func (l *lambda) starts() bool {
	select {
	case <-l.ended:
		return false
	case <-l.ready:
		return true
	}
}

// stop ends the process, as Lambda does: without asking.
func (l *lambda) stop() {
	_ = l.process.Process.Kill() // or it has ended already
	<-l.ended
}

// next hands the function its next event, when there is one.
func (l *lambda) next(w http.ResponseWriter, r *http.Request) {
	l.once.Do(func() {
		l.asked = time.Now()
		close(l.ready)
	})
	select {
	case i := <-l.events:
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", i.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(i.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-central-1:111122223333:function:"+l.name)
		h.Set("Lambda-Runtime-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0")
		_, _ = w.Write(i.event)
	case <-r.Context().Done():
	}
}

// take takes what the function made of an event.
func (l *lambda) take(read func([]byte) outcome) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the function is gone
		}
		l.mu.Lock()
		waiting, ok := l.pending[r.PathValue("id")]
		delete(l.pending, r.PathValue("id"))
		l.mu.Unlock()
		if !ok {
			http.Error(w, "nobody waits for it", http.StatusBadRequest)
			return
		}
		o := read(body)
		o.at = time.Now()
		waiting <- o
		w.WriteHeader(http.StatusAccepted)
	}
}

// timeout is what the deployment gives a function for each event.
const timeout = 10 * time.Second

var (
	errNotReady = errors.New("the function did not ask for an event")
	errTimeout  = errors.New("the function did not answer before its deadline")
	errEnded    = errors.New("the function's process has ended")
)

// invoke hands an event to the function, which has so much time to answer it. A function that has not answered by then is
// killed.
func (l *lambda) invoke(event []byte, timeout time.Duration) outcome {
	l.alone.Lock()
	defer l.alone.Unlock()
	l.had++
	i := invocation{id: rand.Text(), event: event, deadline: time.Now().Add(timeout)}
	answered := make(chan outcome, 1)
	l.mu.Lock()
	l.pending[i.id] = answered
	l.mu.Unlock()
	ctx, cancel := context.WithDeadline(context.Background(), i.deadline)
	defer cancel()
	select {
	case l.events <- i:
	case <-l.ended:
		return outcome{err: errEnded}
	case <-ctx.Done():
		return outcome{err: errNotReady}
	}
	select {
	case o := <-answered:
		return o
	case <-l.ended:
		return outcome{err: errEnded}
	case <-ctx.Done():
		l.stop()
		return outcome{err: errTimeout}
	}
}

// call is invoke with the event and the answer as JSON.
func (l *lambda) call(event any, timeout time.Duration, answer any) error {
	payload, err := json.Marshal(event)
	if err != nil {
		return err
	}
	o := l.invoke(payload, timeout)
	if o.err != nil {
		return fmt.Errorf("%w\n%s", o.err, l.said)
	}
	return json.Unmarshal(o.answer, answer)
}
