package twofactor

import (
	"errors"
	"strings"
	"time"
)

// The books of the model and the arithmetic that they need.

func (m *model) step() int64 { return m.now.Unix() / 30 }

// match is the latest step in the window that a code belongs to.
func (m *model) match(p *phone, code string) (int64, bool) {
	for d := int64(m.rules.Policy.Skew); d >= -int64(m.rules.Policy.Skew); d-- {
		if p.step(m.step()+d) == code {
			return m.step() + d, true
		}
	}
	return 0, false
}

// knownSpent says whether a code belongs to a step anywhere near that was accepted, passed over, or told.
func (m *model) knownSpent(p *phone, code string, last int64, told map[int64]bool) bool {
	for d := int64(-20); d <= 20; d++ {
		s := m.step() + d
		if p.step(s) == code && (s == last || told[s] || s < last && -d <= int64(m.rules.Policy.Skew)) {
			return true
		}
	}
	return false
}

func (m *model) refusal() string {
	switch {
	case m.suspended:
		return "suspended"
	case m.now.Before(m.lockEnds):
		return "locked"
	}
	return ""
}

func verdictOf(err error) string {
	switch {
	case err == nil:
		return "ok"
	case isErr[*WrongCode](err):
		return "wrong"
	case isErr[*CodeReused](err):
		return "reused"
	case isErr[*Locked](err):
		return "locked"
	case errors.Is(err, ErrSuspended):
		return "suspended"
	}
	return err.Error()
}

// failed counts one released outcome of a wrong code.
func (m *model) failed() {
	if r := m.refusal(); r != "" {
		m.t.Fatalf("an outcome was released while %s", r)
	}
	p := m.rules.Policy
	m.row++
	m.failures = append(m.failures, m.now)
	if over := m.row - p.MaxFailures; over >= 0 {
		lock := time.Duration(p.LockMax)
		if over < 6 {
			lock = min(lock, time.Duration(p.LockBase)<<over)
		}
		m.lockEnds = m.now.Add(lock)
	}
	if m.inMonth() >= p.MonthlyFailures {
		m.suspended = true
	}
}

// inMonth is how many failures happened today and on the thirty days before.
func (m *model) inMonth() (n int) {
	today := m.now.Truncate(24 * time.Hour)
	for _, at := range m.failures {
		if !at.Truncate(24 * time.Hour).Before(today.AddDate(0, 0, -30)) {
			n++
		}
	}
	return n
}

func (m *model) newBudget() { m.failures, m.row, m.lockEnds, m.suspended = nil, 0, time.Time{}, false }

// judge holds one verdict on an authenticator code against the books, and enters it. It reports whether the code was spent.
func (m *model) judge(what, code, verdict string, skew *time.Duration) bool {
	step, in := m.match(m.live, code)
	free := in && step > m.last && !m.told[step]
	if refusal := m.refusal(); refusal != "" {
		if verdict != refusal {
			m.t.Fatalf("%s while %s: %s", what, refusal, verdict)
		}
		if free {
			reach(refusal + ": right code")
		}
		return false
	}
	switch verdict {
	case ErrMalformedCode.Error():
		if sixDigits(code) {
			m.t.Fatalf("%s: %q is malformed", what, code)
		}
		return false
	case "ok":
		if !free {
			m.t.Fatalf("%s: accepted %s: in the window %v, step %d, last %d, told %v", what, code, in, step, m.last, m.told[step])
		}
		m.last, m.lastIP, m.row, m.lockEnds = step, m.ip, 0, time.Time{}
		if what != "check" {
			m.ledger.step("proof of life", m.now)
		}
		return true
	case "reused":
		if free || !m.knownSpent(m.live, code, m.last, m.told) {
			m.t.Fatalf("%s: %s was not used", what, code)
		}
		for s := range m.told {
			if m.live.step(s) == code {
				reach("told step tried again")
			}
		}
		if m.stored && what != "check" { // which lets nobody in, and is asked from a session: no warning
			m.reusedAt(m.account.Events[len(m.account.Events)-1], code)
		}
		return false
	case "wrong":
		if in || !sixDigits(code) {
			m.t.Fatalf("%s: %s is the code of step %d, now is %d", what, code, step, m.step())
		}
		m.failed()
		m.enter(m.live, code, skew, m.told)
		return false
	}
	m.t.Fatalf("%s: %s", what, verdict)
	return false
}

func sixDigits(code string) bool { return len(code) == 6 && strings.Trim(code, "0123456789") == "" }

// homes are the places that addresses belong to: the devices of a home have one address of IPv4 together, and a network of
// IPv6.
var homes = map[string]int{"203.0.113.7": 1, "198.51.100.8": 2, "::ffff:198.51.100.8": 2, "2001:db8:0:1::7": 3, "2001:db8:0:1::8": 3, "2001:db8:0:2::7": 4}

func (m *model) move() {
	m.ip = pick(m.t, "to", "", "203.0.113.7", "198.51.100.8", "::ffff:198.51.100.8", "2001:db8:0:1::7", "2001:db8:0:1::8", "2001:db8:0:2::7")
}

// reusedAt holds what is recorded of a spent code against where the last accepted one came from. One that was only told is not
// used.
func (m *model) reusedAt(e Event, code string) {
	used, told := false, false
	for d := int64(-21); d <= 21; d++ {
		if s := m.step() + d; m.live.step(s) == code {
			used, told = used || s <= m.last, told || s > m.last
		}
	}
	if used && told { // by chance
		return
	}
	elsewhere := used && homes[m.ip] != 0 && homes[m.lastIP] != 0 && homes[m.ip] != homes[m.lastIP]
	since := m.now.Sub(m.mailedOfReuse)
	fits := map[string]bool{
		"":                    !elsewhere,
		"another_place":       elsewhere && since >= time.Hour,
		"another_place_again": elsewhere && since < 2*time.Hour,
	}
	if e.Type != EventCodeReused || !fits[e.Reason] {
		m.t.Fatalf("%s tried again at %q after %q, %v after a mail: recorded %+v", code, m.ip, m.lastIP, since, e)
	}
	switch e.Reason {
	case "another_place":
		m.mailedOfReuse = m.now
		reach("reused elsewhere")
	case "another_place_again":
		reach("reused elsewhere again")
	default:
		reach("reused at the same place")
	}
}

// enter notes what a verdict has told about a step.
func (m *model) enter(p *phone, code string, skew *time.Duration, told map[int64]bool) {
	if skew == nil {
		return
	}
	step := m.step() + int64(*skew/period)
	if p.step(step) != code || skew.Abs() > 10*time.Minute || skew.Abs() <= time.Duration(m.rules.Policy.Skew)*period {
		m.t.Fatalf("told that %s is off by %v", code, *skew)
	}
	if step >= m.step()-2 { // a process whose clock is behind could still accept it
		told[step] = true
		reach("told")
	}
}

func skewOf(err error) *time.Duration {
	var wrong *WrongCode
	if errors.As(err, &wrong) {
		return wrong.Skew
	}
	return nil
}

// challengeStands says whether a challenge can still let somebody in.
func (m *model) challengeStands(c *modelChallenge, purpose Purpose) bool {
	return c.era == m.era && c.Purpose == purpose && c.jti == "" && m.now.Before(c.ExpiresAt) && (!c.link || m.linkStands(c))
}

// repeats says whether a request is the newest success, sent again in time.
func (m *model) repeats(c *modelChallenge, purpose Purpose, method Method, code string) bool {
	return c.era == m.era && c.Purpose == purpose && m.newest == c && c.method == method && plain(method, c.code) == plain(method, code) &&
		m.now.Before(c.at.Add(10*time.Minute))
}

func (m *model) succeeded(c *modelChallenge, method Method, code string, got SignIn) {
	if got.Assertion == nil || got.Assertion.ID == "" {
		m.t.Fatal("a sign-in without an assertion")
	}
	for _, other := range m.challenges {
		if other.jti == got.Assertion.ID {
			m.t.Fatal("two sign-ins with one jti")
		}
	}
	c.method, c.code, c.at, c.jti = method, code, m.now, got.Assertion.ID
	m.newest = c
	if got.Grant != nil {
		m.granted(got.Grant, GrantAny)
	}
}

func (m *model) granted(g *Grant, scope GrantScope) {
	m.killGrants()
	m.grants = append(m.grants, &modelGrant{Grant: g, scope: scope, at: m.now})
}

func (m *model) killGrants() {
	for _, g := range m.grants {
		g.dead = true
	}
	if m.pendingGrant != nil {
		m.dropPending()
		m.ledger.setUp = none
	}
}

func (m *model) dropPending() {
	if m.pendingBackup != "" {
		m.formerCodes[m.pendingBackup] = true
	}
	m.pending, m.pendingGrant, m.pendingBackup, m.pendingLink = nil, nil, "", false
}

func (m *model) newBackup(code string) {
	if m.backup != "" {
		m.formerCodes[m.backup] = true
	}
	m.backup, m.backupFails, m.backupLock = code, 0, time.Time{}
}

func grouped(c *RevealedBackup) string {
	if c == nil {
		return ""
	}
	return c.Code.Grouped()
}

func (m *model) off() {
	if m.live != nil {
		m.former = append(m.former, *m.live)
	}
	m.killGrants()
	m.dropPending()
	m.newBackup("")
	m.newBudget()
	m.newest = nil
	m.live, m.ended, m.last, m.lastIP, m.told = nil, m.now, 0, "", map[int64]bool{}
	m.ledger.step("turned off", m.now)
}
