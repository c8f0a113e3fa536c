package handler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
)

const (
	// keysetsID is the physical id of the custom resource. If it changed, CloudFormation would take the keysets for others, and
	// have the former deleted.
	keysetsID = "nightlatch-keysets"
	// toAnswer is what remains of a function's time to answer CloudFormation, which otherwise waits for an hour.
	toAnswer = 8 * time.Second
	// answerPause is before an answer is sent again.
	answerPause = 500 * time.Millisecond
	// maxReason is how much of an error CloudFormation is told, in bytes. It takes 4096 for the whole answer.
	maxReason = 1024
)

// deploy does what a deployment wants to be done, and tells CloudFormation what became of it: whatever that was, and before
// the function's time is over. With errTold that was not done, and the answer says so; with any other error the answer did not
// arrive, and Lambda has the function try again.
//
// Nothing is ever deleted: keysets are of use for as long as there is a backup of what they have sealed.
func deploy(ctx context.Context, e cfn.Event, create func(context.Context) error, answers *http.Client, log *slog.Logger) error {
	answer := cfn.NewResponse(&e)
	answer.Status, answer.PhysicalResourceID = cfn.StatusSuccess, keysetsID
	if e.PhysicalResourceID != "" {
		answer.PhysicalResourceID = e.PhysicalResourceID
	}
	err := fmt.Errorf("there is no request %q", e.RequestType)
	switch e.RequestType {
	case cfn.RequestCreate, cfn.RequestUpdate:
		err = within(ctx, create, log)
	case cfn.RequestDelete:
		err = nil
	}
	if err != nil {
		log.ErrorContext(ctx, "keysets not made", "request", e.RequestType, "cause", err)
		answer.Status, answer.Reason = cfn.StatusFailed, reason(err)
	}
	if err := send(ctx, answers, e.ResponseURL, answer); err != nil {
		log.ErrorContext(ctx, "CloudFormation not answered", "request", e.RequestType, "cause", err)
		return err
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errTold, err)
	}
	return nil
}

var errTold = errors.New("CloudFormation was told that it failed")

var errOutOfTime = errors.New("the function's time is over")

// within does the work while there is time to tell of it, and does not wait for work that does not stop.
func within(ctx context.Context, work func(context.Context) error, log *slog.Logger) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, deadline.Add(-toAnswer), errOutOfTime)
		defer cancel()
	}
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				log.ErrorContext(ctx, "panic", "panic", p, "stack", string(debug.Stack()))
				done <- errors.New("a fault of the function's own: its log tells")
			}
		}()
		done <- work(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// send puts the answer where CloudFormation looks for it, and tries until the time is over. Whoever knows the address can
// answer, so no error has it.
func send(ctx context.Context, client *http.Client, address string, answer *cfn.Response) error {
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	for {
		if err = put(ctx, client, address, body); err == nil {
			return nil
		}
		select {
		case <-time.After(answerPause):
		case <-ctx.Done():
			return err
		}
	}
}

func put(ctx context.Context, client *http.Client, address string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, address, bytes.NewReader(body))
	if err == nil {
		request.Header["Content-Type"] = nil // the address is signed for none
		var response *http.Response
		if response, err = client.Do(request); err == nil {
			defer response.Body.Close()
			if response.StatusCode/100 != 2 {
				err = fmt.Errorf("it answers %d", response.StatusCode)
			}
		}
	}
	var told *url.Error
	if errors.As(err, &told) {
		err = told.Err
	}
	if err != nil {
		return fmt.Errorf("the answer to CloudFormation: %w", err)
	}
	return nil
}

// reason is an error in one line that CloudFormation takes.
func reason(err error) string {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	return strings.ToValidUTF8(text[:min(len(text), maxReason)], "")
}
