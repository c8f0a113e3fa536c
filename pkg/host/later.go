package host

import (
	"context"
	"fmt"
	"log"
	"runtime/debug"
	"sync"

	"github.com/nightlatch/nightlatch/pkg/api"
)

const passwordFailed = "password_failed"

// maxLater is how many reports may be under way beside the answers. While the service is down each takes up to callFor,
// and guesses of passwords must not fill the memory.
const maxLater = 100

// ReportPasswordFailed reports a wrong password of a user, and the user's address and browser, which may be empty. It returns
// at once. Only a known user has a wrong password to be reported, so an answer whose time or status depends on the report
// tells which addresses there are. What must not get lost, and all the rest is that, is for Report, which is waited for.
//
// An error of Report goes to failed, mostly from another goroutine; it is to be logged, and is no reason to answer
// otherwise. A panic of failed is logged, and goes no further. No more than 100 reports are under way at once: one beyond
// that is not sent, and failed is called with ErrUnavailable.
//
// A report that is throttled is not tried again, unlike Report's others: while somebody tries passwords, the history misses
// some of them, and a password_changed gets through.
//
// It is for programs that live on after an answer. In Lambda, which freezes them then, put the report in a queue of your
// own before the answer, and do so for unknown addresses, too; or answer each wrong password after the same time, whatever
// has become of a report that was begun when it came in.
func (c *Client) ReportPasswordFailed(user, ip, userAgent string, failed func(error)) {
	if failed == nil {
		panic("host: ReportPasswordFailed: failed is required")
	}
	if !c.later.begin() {
		tell(failed, fmt.Errorf("%w: %d reports are under way already", ErrUnavailable, maxLater))
		return
	}
	go func() {
		defer c.later.end()
		event := api.HostEventRequest{Type: passwordFailed, IP: ip, UserAgent: userAgent}
		if err := c.Report(context.Background(), user, event); err != nil { // the user's request may have ended
			tell(failed, err)
		}
	}()
}

// tell outlives failed: a panic would end the program, as no server stands above the goroutine, or spoil an answer.
func tell(failed func(error), err error) {
	defer func() {
		if p := recover(); p != nil {
			log.Printf("host: the failed of ReportPasswordFailed panicked over %q: %v\n%s", err, p, debug.Stack())
		}
	}()
	failed(err)
}

// Flush waits until no ReportPasswordFailed is under way, which takes 10 seconds at most once there are no new ones: call it where
// a program shuts down, after http.Server.Shutdown. Its error is that of the context, and some may have got lost.
func (c *Client) Flush(ctx context.Context) error {
	select {
	case <-c.later.idle():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("host: reports are under way: %w", ctx.Err())
	}
}

// later counts what is under way.
type later struct {
	mu    sync.Mutex
	count int
	none  chan struct{} // closed when count is 0 again
}

func (l *later) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == maxLater {
		return false
	}
	if l.count == 0 {
		l.none = make(chan struct{})
	}
	l.count++
	return true
}

func (l *later) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count--; l.count == 0 {
		close(l.none)
	}
}

// idle is closed once nothing is under way.
func (l *later) idle() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == 0 {
		none := make(chan struct{})
		close(none)
		return none
	}
	return l.none
}
