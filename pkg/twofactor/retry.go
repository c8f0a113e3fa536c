package twofactor

import "time"

const (
	// retryFor is how long a request is answered again as it was, and how long a challenge can be used.
	retryFor = 10 * time.Minute
	// assertionFor is how long an assertion is good: long enough for the browser to hand it to the host.
	assertionFor = time.Minute
)

// Spent is a challenge that succeeded. It is kept for as long as it could be presented again.
type Spent struct {
	Challenge Digest    `json:"id"`
	Until     time.Time `json:"until"`
}

// clockSlack is how far the clocks of two processes may be apart.
const clockSlack = time.Minute

// Success is the newest sign-in: what is needed to answer its retry.
type Success struct {
	Request   Digest    `json:"req"`
	Challenge Digest    `json:"ch"`
	At        time.Time `json:"at"`
	Method    Method    `json:"method"`
	Enrolled  bool      `json:"enrolled,omitempty"` // the sign-in set the factor up: its amr has no mfa
	Reset     bool      `json:"reset,omitempty"`    // and a mailed link was before that
	State     State     `json:"state"`
}

// Answered is the newest request under an Idempotency-Key that succeeded.
type Answered struct {
	Request Digest    `json:"req"`
	Key     Digest    `json:"key"`
	At      time.Time `json:"at"`
}

// SignIn is the answer to a second factor that was accepted.
type SignIn struct {
	State      State
	Assertion  *Assertion      // nil only in a retry that came after the assertion's end
	BackupCode *RevealedBackup // when one was made
	Grant      *Grant          // after a backup sign-in that left 2FA on
	Enroll     *Challenge      // in the place of all others but State: the sign-in goes on into an enrolment
}

// Assertion is what the host is told. Package token signs it.
type Assertion struct {
	ID        string // the jti: the same in every retry, since a challenge succeeds once
	Subject   UserID
	IssuedAt  time.Time // whole seconds; the auth_time as well
	ExpiresAt time.Time
	Nonce     string
	Method    Method
	State     State
	AMR       []string // RFC 8176, and backup_code, reset_link
}

// signedIn spends the challenge and remembers the success. What it returns is what its retry gets.
func (a *Account) signedIn(req Request, ch Challenge, method Method, enrolled bool, now time.Time) SignIn {
	state := StateDisabled
	if a.Enabled() {
		state = StateEnabled
	}
	a.SignIn = &Success{
		Request: req.ID, Challenge: ch.ID, At: now, Method: method, Enrolled: enrolled, State: state,
	}
	until := now.Add(retryFor)
	if ch.ExpiresAt.After(until) {
		until = ch.ExpiresAt
	}
	a.Challenges = append(a.Challenges, Spent{Challenge: ch.ID, Until: until.Add(clockSlack)})
	return a.SignIn.answer(ch)
}

func (s *Success) answer(ch Challenge) SignIn {
	amr := append([]string(nil), ch.AMR...)
	switch {
	case s.Method != MethodTOTP:
		amr = append(amr, string(s.Method))
	case s.Reset: // the factor is new, and a mailed link stood before it
		amr = append(amr, string(MethodResetLink), "otp")
	case s.Enrolled: // the factor is new, and only a password stood before it
		amr = append(amr, "otp")
	default:
		amr = append(amr, "otp", "mfa")
	}
	issued := s.At.Truncate(time.Second)
	return SignIn{State: s.State, Assertion: &Assertion{
		ID: s.Request.Derive("jti").String(), Subject: ch.User, IssuedAt: issued, ExpiresAt: issued.Add(assertionFor),
		Nonce: ch.Nonce, Method: s.Method, State: s.State, AMR: amr,
	}}
}

// repeated answers the newest sign-in again, when this is the same request: the same assertion until its end, the same
// backup code while it is the current one.
//
// The answer is written like any other, although nothing changes: told for nothing, the one among a thousand parallel
// guesses that repeats it would be found before the others were counted.
func (r Rules) repeated(a *Account, req Request, ch Challenge, now time.Time) (answer SignIn, repeated bool, err error) {
	s := a.SignIn
	if s == nil || s.Request != req.ID || s.Challenge != ch.ID || !now.Before(s.At.Add(retryFor)) {
		return SignIn{}, false, nil
	}
	answer = s.answer(ch)
	if !now.Before(answer.Assertion.ExpiresAt) {
		answer.Assertion = nil
	}
	answer.Grant = a.grantOf(req)
	if answer.BackupCode, err = r.backupCodeMadeBy(a, req); err != nil {
		return SignIn{}, true, err
	}
	if answer.Assertion == nil && answer.BackupCode == nil {
		return SignIn{}, true, ErrChallengeExpired // written, as for any other code on this challenge
	}
	return answer, true, nil
}

// spent says whether the challenge has already let its user in.
func (a *Account) spent(ch Challenge) bool {
	for _, s := range a.Challenges {
		if s.Challenge == ch.ID {
			return true
		}
	}
	return false
}

// underLastKey says whether the request comes under the Idempotency-Key of the last answer.
func (a *Account) underLastKey(req Request, now time.Time) bool {
	last := a.Answered
	return last != nil && req.Key != (Digest{}) && last.Key == req.Key && now.Before(last.At.Add(retryFor))
}

// repeats says whether this request, under the same Idempotency-Key, was the last one answered.
func (a *Account) repeats(req Request, now time.Time) bool {
	return a.underLastKey(req, now) && a.Answered.Request == req.ID
}

// maxChallenges bounds how many spent challenges an account remembers, far above what people need in ten minutes.
const maxChallenges = 40

// crowded refuses a sign-in when the account remembers as many as it may, until the oldest is forgotten.
func (a *Account) crowded() error {
	if len(a.Challenges) < maxChallenges {
		return nil
	}
	return refuse(&Locked{Until: a.Challenges[0].Until})
}

// answered is repeats for a request that carries a code.
//
// Another body under the key of the last answer is a failure, whatever it says: to compare it only with the remembered
// request, and say so for nothing, would let whoever knows the key search for the code that was in it. For the same
// reason the lock comes first, also where nothing else asks for it.
func (r Rules) answered(a *Account, req Request, op Operation, now time.Time) (bool, error) {
	if !a.underLastKey(req, now) {
		return false, nil
	}
	if err := a.Codes.refuses(now); err != nil {
		return false, err
	}
	if a.repeats(req, now) || !a.Enabled() { // while 2FA is off there is nothing that could be guessed for
		return a.repeats(req, now), nil
	}
	r.countFailure(a, req, op, "key_reused", now)
	return false, ErrKeyReused
}

// remember keeps the request for its retry. Without a key there is none, and the answer before it is no longer the last.
func (a *Account) remember(req Request, now time.Time) {
	a.Answered = nil
	if req.Key != (Digest{}) {
		a.Answered = &Answered{Request: req.ID, Key: req.Key, At: now}
	}
}
