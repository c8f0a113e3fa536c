package twofactor

import (
	"time"
)

// Check asks whether a code is right, without using it.
type Check struct {
	Request
	Code string
}

// Checked is the answer to a dry run.
type Checked struct {
	Valid             bool
	Spent             bool          // right, but already used to sign in
	Skewed            bool          // of another time: the phone's clock is off
	Off               time.Duration // of the phone's clock, when Valid or Skewed; negative: behind
	AttemptsRemaining int           // when not Valid
}

// Check is the dry run. A right code changes nothing but the version: it can still be used, and counters stay. A wrong
// one counts like any other. Both are written before they are told, so that a check is no cheaper a guess than a
// sign-in.
func (r Rules) Check(a *Account, req Check, now time.Time) (Checked, error) {
	if !a.Enabled() {
		return Checked{}, refuse(ErrNotEnabled)
	}
	if err := a.Codes.refuses(now); err != nil {
		return Checked{}, err
	}
	c, err := r.compare(a, a.Authenticator, sealAuthenticator, req.IP, req.Code, now)
	if err != nil {
		return Checked{}, err
	}
	inWindow := c.off.Abs() <= time.Duration(r.Policy.Skew*a.Authenticator.Params.Period)*time.Second
	switch {
	case c.finding == right, c.finding == spent && inWindow:
		a.record(req.Request, now, Event{Type: EventCheck, Method: MethodTOTP})
		return Checked{Valid: true, Spent: c.finding == spent, Off: c.off}, nil
	case c.finding == spent: // told before, or used a while ago: nothing new is learnt, so nothing is counted
		a.record(req.Request, now, Event{Type: EventCheck, Outcome: Failed, Method: MethodTOTP, Reason: "clock_skew"})
		return Checked{Skewed: true, Off: c.off, AttemptsRemaining: a.Codes.remaining(r.Policy, now)}, nil
	}
	r.countFailure(a, req.Request, OpCheck, c.reason(), now)
	return Checked{
		Skewed: c.finding == drifted, Off: c.off, AttemptsRemaining: a.Codes.remaining(r.Policy, now),
	}, nil
}
