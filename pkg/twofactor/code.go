package twofactor

import (
	"fmt"
	"slices"
	"time"

	"github.com/nightlatch/nightlatch/pkg/totp"
)

const (
	// maxBurned is how many steps can be told apart before they are only called wrong.
	maxBurned = 20
	// stillPossible is how many steps back one could be accepted by a process whose clock is behind: one for the skew,
	// one for the clock.
	stillPossible = 2
)

// finding is what a comparison of an authenticator code found.
type finding int

const (
	wrong   finding = iota
	right           // a code of the present steps that has not been spent
	spent           // a code that was accepted, or told apart, before
	drifted         // a code of another step within ten minutes: the phone's clock is off
)

// compared is a finding and the step that the code belongs to, unless it is wrong.
type compared struct {
	finding
	step totp.Step
	off  time.Duration // of the phone's clock; negative: behind
	from []byte        // where the request came from, as origin says it
}

// compare looks for the step that a code belongs to and says what that is worth. It decides nothing: the caller counts
// and records. Telling apart a step that could still be accepted, in the future or by a process whose clock is a little
// behind, burns it, so that the diagnosis is never an oracle.
func (r Rules) compare(a *Account, auth *Authenticator, purpose, ip, typed string, now time.Time) (compared, error) {
	if err := auth.Params.Validate(); err != nil { // a damaged item: nothing below is for such parameters
		return compared{}, refuse(fmt.Errorf("authenticator: %w", err))
	}
	code, err := auth.Params.Normalise(typed)
	if err != nil {
		return compared{}, refuse(ErrMalformedCode)
	}
	secret, err := a.open(r.Keys.Secrets, purpose, auth.Secret)
	if err != nil {
		return compared{}, err
	}
	from := origin(secret, ip)
	present := auth.Params.StepAt(now)
	step, found, err := auth.Params.Match(secret, code, present, r.Policy.Skew)
	if err != nil {
		return compared{}, refuse(err)
	}
	if found {
		c := compared{right, step, auth.Params.Offset(step, present), from}
		if auth.isSpent(step) {
			c.finding = spent
		}
		return c, nil
	}
	step, found, err = auth.Params.Drift(secret, code, present, r.Policy.Skew)
	switch {
	case err != nil:
		return compared{}, refuse(err)
	case !found:
		return compared{finding: wrong}, nil
	}
	c := compared{drifted, step, auth.Params.Offset(step, present), from}
	switch {
	case step == auth.LastStep || slices.Contains(auth.Burned, step):
		c.finding = spent
	case step >= present-stillPossible && !auth.burn(step, present):
		return compared{finding: wrong}, nil
	}
	return c, nil
}

// isSpent says whether a step of the present can no longer be accepted: steps only go forward (RFC 6238 §5.2).
func (a *Authenticator) isSpent(step totp.Step) bool {
	return step <= a.LastStep || slices.Contains(a.Burned, step)
}

// accept spends the step of a right code.
func (a *Authenticator) accept(c compared) {
	a.LastStep, a.LastFrom, a.Replays = c.step, c.from, 0
	a.Burned = slices.DeleteFunc(a.Burned, func(s totp.Step) bool { return s <= c.step })
}

// burn marks a step as told. It reports false, and burns nothing, when there is no room.
func (a *Authenticator) burn(step, present totp.Step) bool {
	a.Burned = slices.DeleteFunc(a.Burned, func(s totp.Step) bool { return s < present-stillPossible })
	if len(a.Burned) >= maxBurned {
		return false
	}
	a.Burned = append(a.Burned, step)
	return true
}

// untilNext is how long it takes until a code that can be accepted appears.
func (a *Authenticator) untilNext(now time.Time) time.Duration {
	next := max(a.Params.StepAt(now), a.LastStep) + 1
	for slices.Contains(a.Burned, next) {
		next++
	}
	return a.Params.StartOf(next).Sub(now)
}

// maxReplays is how many times a spent code tried again is recorded. After that it is refused without a write: it
// teaches nothing that its holder did not know.
const maxReplays = 4

// reused is the verdict on a spent code: recorded a few times, never counted.
func (a *Account) reused(auth *Authenticator, c compared, req Request, op Operation, now time.Time) error {
	verdict := &CodeReused{RetryAfter: auth.untilNext(now)}
	if auth.Replays >= maxReplays {
		return refuse(verdict)
	}
	auth.Replays++
	e := Event{Type: EventCodeReused, Outcome: Failed, Method: MethodTOTP, Operation: op}
	if auth.usedElsewhere(c) {
		e.Reason = a.elsewhere(now)
	}
	a.record(req, now, e)
	return verdict
}

// spend accepts a code of the authenticator in force, once, or says why not; failures are counted and recorded.
// Whoever calls has looked at the throttle first.
func (r Rules) spend(a *Account, req Request, op Operation, code string, now time.Time) error {
	c, err := r.compare(a, a.Authenticator, sealAuthenticator, req.IP, code, now)
	if err != nil {
		return err
	}
	switch c.finding {
	case right:
		a.Authenticator.accept(c)
		a.Codes.succeed()
		a.proofOfLife(req, now)
		return nil
	case spent:
		return a.reused(a.Authenticator, c, req, op, now)
	}
	return r.wrongCode(a, req, op, c, now)
}

// wrongCode counts a wrong code against the one budget, records it, and returns the verdict.
func (r Rules) wrongCode(a *Account, req Request, op Operation, c compared, now time.Time) error {
	r.countFailure(a, req, op, c.reason(), now)
	return c.verdict(a.Codes.remaining(r.Policy, now))
}

// countFailure counts one failure of an authenticator code and records it, with the lock or suspension it led to.
func (r Rules) countFailure(a *Account, req Request, op Operation, reason string, now time.Time) {
	e := Event{Type: EventCodeRefused, Outcome: Failed, Method: MethodTOTP, Operation: op, Reason: reason}
	switch op {
	case OpSignIn:
		e.Type, e.Operation = EventLogin, ""
	case OpCheck:
		e.Type, e.Operation = EventCheck, ""
	}
	a.record(req, now, e)
	locked, suspended := a.Codes.fail(r.Policy, now)
	if locked {
		a.record(req, now, Event{Type: EventLocked, Method: MethodTOTP, Operation: op})
	}
	if suspended {
		a.record(req, now, Event{Type: EventSuspended, Method: MethodTOTP, Operation: op})
	}
}

// verdict is what is told of a code that was not accepted.
func (c compared) verdict(remaining int) error {
	verdict := &WrongCode{AttemptsRemaining: remaining}
	if c.finding == drifted {
		verdict.Skew = &c.off
	}
	return verdict
}

func (c compared) reason() string {
	if c.finding == drifted {
		return "clock_skew"
	}
	return "wrong_code"
}
