package main

import (
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// deed is a request of a user's that changes the account.
type deed struct {
	request
	what   string // enroll, confirm, verify, backup, rotate or disable
	code   string
	events []twofactor.EventType // that it leaves in the history, each once
}

// customer is a user, and all that the server has told: what was acknowledged is in force.
type customer struct {
	id, session      string
	season           *season // of the session
	secret           string  // of the authenticator in force; none: 2FA is off
	spent            string  // the newest code that was accepted
	backup, former   string  // backup codes: the one in force, and the one before it
	pending          told    // a set-up that is to be confirmed
	acknowledged     []deed
	challenged       []string // agents of acknowledged challenges
	inFlight         *deed    // sent, and not answered
	landed, repeated int      // deeds in flight that had been done by the time they were sent again; sent again
}

// acknowledge takes over what an answer has told.
func (c *customer) acknowledge(d deed, a told) {
	switch d.what {
	case "enroll":
		c.pending = a
	case "confirm":
		c.secret, c.backup, c.former = c.pending.ManualSecret, c.pending.backupCode(), ""
	case "backup", "rotate":
		c.former, c.backup = c.backup, a.backupCode()
	case "disable":
		c.secret, c.backup, c.former = "", "", ""
	}
	if d.what != "enroll" {
		c.pending = told{}
	}
	if d.code != "" && d.what != "backup" {
		c.spent = d.code
	}
	c.acknowledged = append(c.acknowledged, d)
}

// season is the time between two kills: one server, one position of the clock.
type season struct {
	*program
	t       *testing.T
	number  int
	now     time.Time // the start of a time step
	session func(user string) string
	acked   atomic.Int64
	lost    atomic.Int64 // requests that got no answer
	enough  int64
	kill    chan struct{} // closed when there were enough answers
	full    bool          // the disk may be, and then a request is not decided
	agents  atomic.Int64
}

// agent is a User-Agent that no other request has.
func (s *season) agent() string {
	return fmt.Sprintf("season %d request %d", s.number, s.agents.Add(1))
}

// answered counts an answer; when there are enough, the server is killed.
func (s *season) answered() {
	if s.acked.Add(1) == s.enough {
		close(s.kill)
	}
}

// undecided says whether a request has met the full disk.
func (s *season) undecided(a reply) bool { return s.full && a.status == http.StatusServiceUnavailable }

// do sends a deed. It reports false when there was no answer, or not the one that a right request gets.
func (s *season) do(c *customer, d deed) bool {
	c.inFlight = &d
	a, err := s.send(d.request)
	if err != nil || s.undecided(a) {
		s.lost.Add(1)
		return false
	}
	c.inFlight = nil
	if a.status != http.StatusOK {
		s.t.Errorf("%s: %s of %s was answered %s", d.agent, d.what, c.id, a)
		return false
	}
	c.acknowledge(d, a.told())
	s.answered()
	return true
}

// challenge asks for a challenge; none if there is no answer.
func (s *season) challenge(c *customer) string {
	agent := s.agent()
	a, err := s.send(challengeFor(s.serviceKey, c.id, agent))
	if err != nil || s.undecided(a) {
		s.lost.Add(1)
		return ""
	}
	if a.status != http.StatusOK || !a.told().Required {
		s.t.Errorf("challenge for %s: %s", c.id, a)
		return ""
	}
	c.challenged = append(c.challenged, agent)
	s.answered()
	return a.told().Challenge
}

func (s *season) post(c *customer, what, path, code, body string, events ...twofactor.EventType) bool {
	return s.do(c, deed{what: what, code: code, events: events, request: request{
		method: "POST", path: path, bearer: c.session, key: rand.Text(), agent: s.agent(), body: body,
	}})
}

func (s *season) enroll(c *customer) bool {
	return s.post(c, "enroll", "/v1/enroll", "", "{}", twofactor.EventEnrollmentStarted) && s.confirm(c)
}

func (s *season) confirm(c *customer) bool {
	code := appCode(c.pending.ManualSecret, s.now)
	return s.post(c, "confirm", "/v1/enroll/confirm", code, jsonOf("enrollment_id", c.pending.EnrollmentID, "code", code),
		twofactor.EventEnabled, twofactor.EventBackupCodeIssued)
}

func (s *season) verify(c *customer, code string) bool {
	challenge := s.challenge(c)
	return challenge != "" && s.do(c, deed{what: "verify", code: code, request: verifyRequest(challenge, "totp", code, s.agent()),
		events: []twofactor.EventType{twofactor.EventLogin}})
}

func (s *season) backupSignIn(c *customer) bool {
	challenge := s.challenge(c)
	return challenge != "" && s.do(c, deed{what: "backup", code: c.backup, request: verifyRequest(challenge, "backup_code", c.backup, s.agent()),
		events: []twofactor.EventType{twofactor.EventBackupCodeUsed, twofactor.EventLogin, twofactor.EventBackupCodeIssued}})
}

// visit is what one user does, as long as there are answers: every code that the clock gives is used, for one thing or
// another, and backup codes in between.
func (s *season) visit(c *customer) bool {
	c.season, c.session, c.spent = s, s.session(c.id), ""
	codes := 2
	if c.secret == "" {
		if !s.enroll(c) {
			return false
		}
		codes = 1
	}
	for codes > 0 {
		code := appCode(c.secret, s.now.Add(time.Duration(2-codes)*30*time.Second))
		ok := false
		switch n := mathrand.N(20); {
		case n < 7:
			ok = s.backupSignIn(c)
			codes++
		case n < 14:
			ok = s.verify(c, code)
		case n < 19:
			ok = s.post(c, "rotate", "/v1/backup-code", code, jsonOf("code", code), twofactor.EventBackupCodeIssued)
		default:
			if !s.post(c, "disable", "/v1/disable", code, jsonOf("code", code), twofactor.EventDisabled) {
				return false
			}
			return true
		}
		if codes--; !ok {
			return false
		}
	}
	return true
}
