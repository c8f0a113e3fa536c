package host

import (
	"context"
	"fmt"
	"sync"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// maxLater is how many reports may be under way beside the answers. While the service is down each takes up to callFor,
// and guesses of passwords must not fill the memory.
const maxLater = 100

// ReportLater is Report for what the answer to a user must not wait for: a wrong password. Only a known user has one to
// be reported, so an answer whose time or status depends on the report tells which addresses there are. It returns at
// once. An error of Report goes to failed, from another goroutine; it is to be logged, and is no reason to answer
// otherwise. No more than 100 are under way at once: one beyond that is not sent, and failed is called with ErrUnavailable.
//
// What must not get lost is for Report: a password_changed, address_changed or deleted, and a login.
//
// It is for programs that live on after an answer. In Lambda, which freezes them then, put the report in a queue of your
// own before the answer, and do so for unknown addresses, too; or answer each wrong password after the same time, whatever
// has become of a report that was begun when it came in.
func (c *Client) ReportLater(user string, event api.HostEventRequest, failed func(error)) {
	if failed == nil {
		panic("host: ReportLater: failed is required")
	}
	if !c.later.begin() {
		failed(fmt.Errorf("%w: %d reports are under way already", ErrUnavailable, maxLater))
		return
	}
	go func() {
		defer c.later.end()
		if err := c.Report(context.Background(), user, event); err != nil { // the user's request may have ended
			failed(err)
		}
	}()
}

// Flush waits until no ReportLater is under way, which takes 10 seconds at most once there are no new ones: call it where
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
