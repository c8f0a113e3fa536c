// Package totp has the codes of authenticator apps: shared secrets, the time-based one-time passwords of RFC 6238, and the
// otpauth URI with its QR code that carries a secret into an app.
//
// Matching tells which time step a code belongs to, since that is what has to be kept: a step is accepted once, and only
// after all earlier ones (RFC 6238 §5.2). Keeping it, counting failures and locking belong to the caller.
//
// The codes are computed here and not by github.com/pquerna/otp, which sets up base32 and HMAC anew for each step: a refused
// code is compared with 41 steps, and that took up to 75 µs of a verification's 100. The tests hold every code against it.
package totp

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"time"
)

// Algorithm names the hash function of the HMAC as the key URI spells it (RFC 6238 §1.2).
type Algorithm string

// The algorithms. SHA1 is the one that every app supports; several ignore the parameter and compute SHA1 whatever it says.
// HMAC does not need the collision resistance that SHA-1 has lost (RFC 6194 §3.3).
const (
	SHA1   Algorithm = "SHA1"
	SHA256 Algorithm = "SHA256"
	SHA512 Algorithm = "SHA512"
)

// hash is the constructor of the hash function, nil for an algorithm that does not exist.
func (a Algorithm) hash() func() hash.Hash {
	switch a {
	case SHA1:
		return sha1.New
	case SHA256:
		return sha256.New
	case SHA512:
		return sha512.New
	}
	return nil
}

// Params is what app and server have to agree on besides the secret. The methods that return no error are for Params that
// Validate accepts.
type Params struct {
	Algorithm Algorithm `json:"alg"`
	Digits    int       `json:"digits"` // 6 or 8
	Period    int       `json:"period"` // length of a time step in seconds, 15 to 120
}

// Periods in seconds. A code that lives for more than two minutes is none of one time (NIST SP 800-63B-4 §3.1.4.1); in less
// than 15 seconds few people have read and typed one, and RFC 6238 §5.2 recommends 30.
const (
	minPeriod = 15
	maxPeriod = 120
)

// Default is what every authenticator app supports, and the only choice that none of them misreads.
var Default = Params{Algorithm: SHA1, Digits: 6, Period: 30}

// Validate reports the first parameter that is out of range, by its name. It quotes none: they may come from a key URI whose
// parts are mixed up, and one of them is the secret.
func (p Params) Validate() error {
	switch {
	case p.Algorithm.hash() == nil:
		return errors.New("algorithm: must be SHA1, SHA256 or SHA512")
	case p.Digits != 6 && p.Digits != 8:
		return errors.New("digits: must be 6 or 8")
	case p.Period < minPeriod || p.Period > maxPeriod:
		return fmt.Errorf("period: must be %d to %d seconds", minPeriod, maxPeriod)
	}
	return nil
}

// Step is a time step, the T of RFC 6238 §4.2 with T0 = 0: the number of whole periods since the Unix epoch.
type Step int64

// StepAt is the step that t falls into.
func (p Params) StepAt(t time.Time) Step {
	seconds, period := t.Unix(), int64(p.Period)
	step := seconds / period
	if seconds%period < 0 { // division truncates; before 1970 that would be one step late
		step--
	}
	return Step(step)
}

// StartOf is the first moment of s, in UTC.
func (p Params) StartOf(s Step) time.Time {
	return time.Unix(int64(s)*int64(p.Period), 0).UTC()
}

// Offset is how far step is from around: negative when the phone that showed the code is behind.
func (p Params) Offset(step, around Step) time.Duration {
	return time.Duration(step-around) * time.Duration(p.Period) * time.Second
}

// Code is the code of s. It fails if p is not valid or the secret is shorter than 128 bits: an empty one would have codes
// that everybody can compute.
func (p Params) Code(secret Secret, s Step) (string, error) {
	generator, err := p.generator(secret)
	if err != nil {
		return "", err
	}
	return string(generator.at(s)), nil
}

// Match tries every step from around-skew to around+skew and returns the one whose code it is. When several have that
// code, it returns the latest, so that whoever spends it spends them all. The code is one that Normalise returned; anything
// else is ErrMalformed. Skew is 0 to 20 steps.
//
// Every step is computed and compared in constant time whichever matches: how long it takes tells nothing.
func (p Params) Match(secret Secret, code string, around Step, skew int) (Step, bool, error) {
	search, err := p.search(secret, code, around, skew)
	if err != nil {
		return 0, false, err
	}
	for i := -skew; i <= skew; i++ {
		search.try(i)
	}
	step, found := search.result()
	return step, found, nil
}

// DriftRange is how far a refused code is searched for, so that a phone whose clock is off can be told by how much.
const DriftRange = 10 * time.Minute

// maxSteps bounds any search, each way. A diagnosis must not become twice as long, or twice as likely to hit by chance,
// because the period is short.
const maxSteps = 20

// Drift returns the step whose code it is within DriftRange of around, but outside the skew that Match has tried. At most 20 steps
// each way are searched, so for periods under 30 seconds the range is shorter. The step nearest to around wins; at the same
// distance the later one, which the caller has to burn, since naming a step that is still to come would otherwise give its
// code away. Code, skew and timing are as for Match.
func (p Params) Drift(secret Secret, code string, around Step, skew int) (Step, bool, error) {
	search, err := p.search(secret, code, around, skew)
	if err != nil {
		return 0, false, err
	}
	farthest := min(int(DriftRange/time.Second)/p.Period, maxSteps)
	for distance := farthest; distance > skew; distance-- { // inwards, since the last one to match wins
		search.try(-distance)
		search.try(distance)
	}
	step, found := search.result()
	return step, found, nil
}

// search compares one code with those of several steps, without a branch on the outcome.
type search struct {
	codes  *generator
	typed  []byte
	around Step
	found  int // 1 once a step has matched
	offset int // of the last step that matched, in steps from around
}

func (p Params) search(secret Secret, code string, around Step, skew int) (search, error) {
	generator, err := p.generator(secret)
	if err != nil {
		return search{}, err
	}
	if skew < 0 || skew > maxSteps {
		return search{}, fmt.Errorf("totp: skew of %d steps: must be 0 to %d", skew, maxSteps)
	}
	if !isCode(code, p.Digits) {
		return search{}, ErrMalformed
	}
	return search{codes: generator, typed: []byte(code), around: around}, nil
}

func (s *search) try(offset int) {
	hit := subtle.ConstantTimeCompare(s.codes.at(s.around+Step(offset)), s.typed)
	s.found |= hit
	s.offset = subtle.ConstantTimeSelect(hit, offset, s.offset)
}

func (s *search) result() (Step, bool) {
	if s.found == 0 {
		return 0, false
	}
	return s.around + Step(s.offset), true
}
