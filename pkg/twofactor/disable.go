package twofactor

import (
	"time"
)

// Disable asks to turn 2FA off.
type Disable struct {
	Request
	Code string
}

// Disable turns 2FA off: secret, pending enrolment, backup code and grant are gone.
func (r Rules) Disable(a *Account, req Disable, now time.Time) error {
	if r.Policy.Enforcement == Required {
		return refuse(&Forbidden{Setting: "enforcement"})
	}
	if err := a.Codes.refuses(now); err != nil {
		return err
	}
	if again, err := r.answered(a, req.Request, OpDisable, now); err != nil || again && !a.Enabled() {
		return err
	}
	if !a.Enabled() {
		return refuse(ErrNotEnabled)
	}
	if err := r.spend(a, req.Request, OpDisable, req.Code, now); err != nil {
		return err
	}
	a.turnOff(now)
	a.record(req.Request, now, Event{Type: EventDisabled, Method: MethodTOTP})
	a.remember(req.Request, now)
	return nil
}
