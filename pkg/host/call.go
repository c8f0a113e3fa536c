package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nightlatch/nightlatch/pkg/api"
)

const (
	callFor    = 10 * time.Second       // a call with its retries, at most
	attempts   = 3                      // of a call
	firstPause = 100 * time.Millisecond // before the second one, doubled for the third, and up to half as much again
	maxAnswer  = 64 << 10               // bytes
)

// Error is an answer of the service, or of the gateway before it, that is not the one asked for. It is ErrUnavailable
// where the status says that asking again later may help: 429 and 5xx.
type Error struct {
	Status     int
	Code       api.Code      // empty when the gateway answered
	Detail     string        // for people; may be empty
	RetryAfter time.Duration // 0 when the answer does not say
	RequestID  string        // of a 500: names the line in the service's log
}

// Error tells status, code and detail.
func (e *Error) Error() string {
	s := "host: the service answered " + strconv.Itoa(e.Status)
	if e.Code != "" {
		s += " " + strconv.Quote(string(e.Code))
	}
	if e.Detail != "" {
		s += ": " + strconv.Quote(e.Detail)
	}
	if e.RequestID != "" {
		s += ", request " + strconv.Quote(e.RequestID)
	}
	return s
}

// Is reports whether target is ErrUnavailable and the answer means it.
func (e *Error) Is(target error) bool {
	return target == ErrUnavailable && (e.Status == http.StatusTooManyRequests || e.Status >= 500)
}

// errNoAnswer marks an attempt that got no answer. It may have had its effect.
var errNoAnswer = errors.New("no answer")

// post sends a body until it is answered with the wanted status, three times at most, and returns the answer's body. It
// tries again after no answer and after 503: both may have had their effect, so whatever is posted may have it twice. After
// the gateway's 429, which has had none, it does so unless the body yields: all of a host's requests share one throttle.
func (c *Client) post(ctx context.Context, path string, body any, want int, yields bool) ([]byte, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("host: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	for attempt := range attempts {
		var answer []byte
		answer, err = c.attempt(ctx, path, encoded, want)
		wait, again := retryAfter(err, yields)
		if !again {
			return answer, err
		}
		pause := firstPause << attempt
		if attempt == attempts-1 || !sleep(ctx, max(wait, pause+rand.N(pause/2))) {
			break
		}
	}
	return nil, err
}

// retryAfter says whether a failed attempt is worth another, and how long the service wants to be left alone. A 429 with a
// code is the service's own, about one user: it stays.
func retryAfter(err error, yields bool) (wait time.Duration, again bool) {
	var answered *Error
	if errors.As(err, &answered) {
		throttled := answered.Status == http.StatusTooManyRequests && answered.Code == ""
		return answered.RetryAfter, answered.Status == http.StatusServiceUnavailable || throttled && !yields
	}
	return 0, errors.Is(err, errNoAnswer)
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

func (c *Client) attempt(ctx context.Context, path string, body []byte, want int) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("host: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, "+api.ProblemContentType)
	if err := c.config.Credentials.authorize(ctx, r, body, c.config.Now()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	response, answer, err := do(c.config.HTTP, r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if response.StatusCode != want {
		return nil, problem(response, answer)
	}
	return answer, nil
}

// do sends a request and reads its answer, to the end and no longer than is sensible.
func do(client *http.Client, r *http.Request) (*http.Response, []byte, error) {
	response, err := client.Do(r)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	if len(answer) > maxAnswer {
		return nil, nil, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	return response, answer, nil
}

// problem reads an answer that was not wanted: a problem of the service (RFC 9457), {"message":…} of the gateway, or
// anything else, of which the status says enough.
func problem(response *http.Response, answer []byte) *Error {
	e := &Error{Status: response.StatusCode}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	var told struct {
		Code      api.Code `json:"code"`
		Detail    string   `json:"detail"`
		Message   string   `json:"message"`
		RequestID string   `json:"request_id"`
	}
	if json.Unmarshal(answer, &told) != nil {
		return e
	}
	e.Code, e.Detail, e.RequestID = told.Code, told.Detail, told.RequestID
	if e.Detail == "" {
		e.Detail = told.Message
	}
	return e
}

// Challenge asks, after the password was right, whether a second factor is due. If the answer's Required is false, the
// user is in. Otherwise the browser takes its Challenge to the service.
//
// Any error means that nobody is signed in: an *Error (with Expect "enabled", 409 not_enabled is an alarm), or
// ErrUnavailable. An answer that does not say whether a second factor is due, or says two things, is one.
//
// It is tried up to three times while the service cannot be reached, answers 503 or is throttled; each try that got through
// shows as a challenge_issued in the history, and only the last one's challenge is returned.
func (c *Client) Challenge(ctx context.Context, request api.ChallengeRequest) (api.ChallengeResponse, error) {
	var none api.ChallengeResponse
	if request.UserID == "" {
		return none, errors.New("host: UserID is required")
	}
	if request.Nonce == "" {
		return none, errors.New("host: Nonce is required: NewNonce makes one")
	}
	body, err := c.post(ctx, "/v1/challenges", request, http.StatusOK, false)
	if err != nil {
		return none, err
	}
	var answer struct {
		api.ChallengeResponse
		Required *bool `json:"required"` // hides the other, which cannot be told from one that is missing
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return none, fmt.Errorf("%w: the answer is not that of a challenge: %w", ErrUnavailable, err)
	}
	if answer.Required == nil {
		return none, fmt.Errorf("%w: the answer does not say whether a second factor is required", ErrUnavailable)
	}
	offer := answer.ChallengeResponse
	offer.Required = *answer.Required
	if offer.Required != (offer.Challenge != "") || offer.Required != (len(offer.Methods) > 0) ||
		offer.EnrollmentRequired && !offer.Required {
		return none, fmt.Errorf("%w: the answer contradicts itself", ErrUnavailable)
	}
	if request.Expect == "enabled" && (!offer.Required || offer.EnrollmentRequired) {
		return none, fmt.Errorf("%w: 2FA was expected to be on, and the answer is neither that nor an error", ErrUnavailable)
	}
	return offer, nil
}

// Report tells the service what happened at the login of a user: a sign-in without a second factor, a wrong password, a
// new password or address, an account that is deleted. Wait for it: a new password voids what was begun with the old one
// only once the service knows of it. A wrong password alone is for ReportPasswordFailed.
//
// It is tried up to three times while the service cannot be reached, answers 503 or is throttled, and one that got through
// without an answer happens twice. A login or password_failed makes two rows in the history then, rather than none. Of the others
// the second changes nothing more, but for what was begun in the seconds between: a challenge or a grant is void after a
// second password_changed, a set-up is gone after a second deleted. After an error, report again.
//
// A password_failed is not tried again when it is throttled: somebody who tries passwords makes many, and they must not
// stand in the way of the others, which share the throttle.
func (c *Client) Report(ctx context.Context, user string, event api.HostEventRequest) error {
	if user == "" {
		return errors.New("host: a user is required")
	}
	_, err := c.post(ctx, "/v1/users/"+inPath.Replace(api.PathUser(user))+"/events", event, http.StatusNoContent, event.Type == passwordFailed)
	return err
}

// inPath escapes what a path may have as it is, but need not (RFC 3986 §2.3): then it is all the same whether a signature
// is made over the path as it was sent or over one that was decoded and encoded again.
var inPath = strings.NewReplacer("$", "%24", "&", "%26", "+", "%2B", "=", "%3D", ":", "%3A", "@", "%40")
