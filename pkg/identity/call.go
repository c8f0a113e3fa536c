package identity

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	callFor    = 10 * time.Second       // a call with its attempts, at most
	attemptFor = 3 * time.Second        // one attempt
	attempts   = 3                      // of a call
	firstPause = 200 * time.Millisecond // before the second attempt, doubled before the third
	maxAnswer  = 1 << 20                // bytes
	maxRefusal = 8 << 10                // bytes, of an answer that says why not
	// apiVersion is the version whose shapes we know. Without it Persona takes what was set for the key at its console.
	apiVersion = "2023-01-05"
)

// request is one thing that is asked of Persona, however often it is sent.
type request struct {
	what         string // for people
	method, path string
	query        url.Values
	body         []byte
	key          string                    // Idempotency-Key; none if it is empty
	refusals     map[int]error             // what a status means; ErrRefused where nothing is said
	read         func(answer []byte) error // an error: this is not the answer
}

// failure is an attempt that came to nothing.
type failure struct {
	status int           // of Persona's answer; 0 where there is none, or it is not one of Persona's
	wait   time.Duration // for which Persona wants to be left alone
	cause  error
}

// temporary says whether another attempt may come to something.
func (f *failure) temporary() bool {
	return f.status == 0 || f.status == http.StatusRequestTimeout || f.status == http.StatusTooManyRequests || f.status >= 500
}

// kept says whether Persona goes on giving this answer under the same Idempotency-Key. The limits on requests come before
// that, and so does the check of the API key (docs.withpersona.com/errors).
func (f *failure) kept() bool { return f.status >= 400 && f.status != http.StatusTooManyRequests }

// send asks until there is an answer, or no time or attempt is left.
func (c *Client) send(ctx context.Context, r request) error {
	ctx, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	apiKeys, err := c.config.APIKey.Get(ctx)
	if err != nil {
		return fmt.Errorf("to %s: %w", r.what, err)
	}
	apiKey, key := apiKeys[0], r.key
	for attempt := 1; ; attempt++ {
		failed := c.attempt(ctx, r, apiKey, key)
		if failed == nil {
			return nil
		}
		again := failed.temporary()
		switch {
		case failed.status == http.StatusUnauthorized:
			if apiKeys, err = c.config.APIKey.Again(ctx); err != nil {
				return fmt.Errorf("to %s: %w", r.what, err)
			}
			again, apiKey = apiKeys[0] != apiKey, apiKeys[0]
		case r.key != "" && failed.kept():
			again = again || key == r.key // what is wrong may have been put right since
			key = r.key + "-" + rand.Text()
		}
		if !again {
			sentinel := r.refusals[failed.status]
			if sentinel == nil {
				sentinel = ErrRefused
			}
			return fmt.Errorf("%w: to %s: %w", sentinel, r.what, failed.cause)
		}
		if attempt == attempts || !sleep(ctx, max(failed.wait, firstPause<<(attempt-1))) {
			return fmt.Errorf("%w: to %s: %w", ErrUnavailable, r.what, failed.cause)
		}
	}
}

// attempt sends a request once. Whoever stands between us and Persona may answer as well, with a page or somewhere else to
// go; that is no answer, and above all it is not one that there is no such inquiry.
func (c *Client) attempt(ctx context.Context, r request, apiKey, key string) *failure {
	ctx, cancel := context.WithTimeout(ctx, attemptFor)
	defer cancel()
	sent, err := http.NewRequestWithContext(ctx, r.method, c.config.URL+r.path, bytes.NewReader(r.body))
	if err != nil {
		return &failure{cause: err}
	}
	sent.URL.RawQuery = r.query.Encode()
	sent.Header.Set("Authorization", "Bearer "+apiKey)
	sent.Header.Set("Accept", "application/json")
	sent.Header.Set("Persona-Version", apiVersion)
	sent.Header.Set("Key-Inflection", "kebab")
	if r.body != nil {
		sent.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		sent.Header.Set("Idempotency-Key", key)
	}
	response, err := c.http.Do(sent)
	if err != nil {
		return &failure{cause: err}
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusCreated {
		return readFailure(response)
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err == nil && len(answer) > maxAnswer {
		err = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	if err == nil {
		err = r.read(answer)
	}
	if err != nil {
		return &failure{cause: err}
	}
	return nil
}

// readFailure reads an answer that is not the one asked for.
func readFailure(response *http.Response) *failure {
	f := &failure{status: response.StatusCode, wait: retryAfter(response.Header)}
	why, known := readRefusal(response.Body)
	f.cause = fmt.Errorf("the status is %d: %s", f.status, why)
	if !known && !f.temporary() {
		f.status = 0
	}
	return f
}

// retryAfter reads for how long we are to wait (RFC 9110 §10.2.3).
func retryAfter(h http.Header) time.Duration {
	after := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(after, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(after); err == nil {
		return time.Until(at)
	}
	return 0
}

// readRefusal reads why Persona does not do what we ask, and whether it is Persona that says so.
func readRefusal(body io.Reader) (why string, known bool) {
	var told struct {
		Errors []struct {
			Title   string `json:"title"`
			Details string `json:"details"`
		} `json:"errors"`
	}
	answer, err := io.ReadAll(io.LimitReader(body, maxRefusal))
	if err == nil {
		err = json.Unmarshal(answer, &told)
	}
	if err == nil && len(told.Errors) == 0 {
		err = errors.New("no errors in it")
	}
	if err != nil {
		return "not in the form of Persona's errors", false
	}
	first := told.Errors[0]
	return strings.TrimSuffix(show(first.Title+": "+first.Details), ":"), true
}

// sleep reports whether there was time for it.
func sleep(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) < d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
