package twofactor

import (
	"errors"
	"slices"
	"time"

	"github.com/nightlatch/nightlatch/pkg/backupcode"
)

// What a history does with codes.

// repeated holds the answer to a retry against the first.
func (m *model) repeated(c *modelChallenge, got SignIn, err error) {
	if m.stored && slices.ContainsFunc(m.account.Events, func(e Event) bool { return e.Actor != ActorSystem }) {
		m.t.Fatalf("a retry did something: %v", m.events())
	}
	issued := c.at.Truncate(time.Second)
	switch {
	case err != nil && !errors.Is(err, ErrChallengeExpired):
		m.t.Fatalf("retry: %v", err)
	case err != nil && m.now.Before(issued.Add(time.Minute)):
		m.t.Fatalf("a retry in time was refused: %v, now %v, %+v; remembered %+v", err, m.now, c, m.account.SignIn)
	case err == nil && got.Assertion == nil && (got.BackupCode == nil || m.now.Before(issued.Add(time.Minute))):
		m.t.Fatal("a retry without what it is for")
	case err == nil && got.Assertion != nil && (got.Assertion.ID != c.jti || !got.Assertion.IssuedAt.Equal(issued) || !m.now.Before(got.Assertion.ExpiresAt)):
		m.t.Fatalf("another assertion: %+v", got.Assertion)
	case got.BackupCode != nil && grouped(got.BackupCode) != m.backup:
		m.t.Fatal("a retry shows a code that is not the current one")
	}
	if err == nil {
		reach("retry answered")
	}
}

func (m *model) verifyCode(c *modelChallenge, code string) {
	got, err := m.verify(c.Challenge, MethodTOTP, code)
	stands := m.challengeStands(c, PurposeVerify)
	switch {
	case c.era != m.era || c.Purpose != PurposeVerify:
		m.expired("verify", err)
	case m.refusal() != "":
		if v := verdictOf(err); v != m.refusal() {
			m.t.Fatalf("verify while %s: %s", m.refusal(), v)
		}
		if step, in := m.match(m.live, code); in && stands && step > m.last && !m.told[step] {
			reach(m.refusal() + ": right code")
		}
	case m.repeats(c, PurposeVerify, MethodTOTP, code):
		m.repeated(c, got, err)
	case m.live != nil && m.newest == c && c.method == MethodTOTP && m.now.Before(c.at.Add(10*time.Minute)):
		m.expired("verify", err)
		m.failed()
		reach("spent challenge tried")
	case !stands:
		m.expired("verify", err)
	case m.live == nil:
		if !errors.Is(err, ErrNotEnabled) {
			m.t.Fatalf("verify while off: %v", err)
		}
	default:
		if m.judge("verify", code, verdictOf(err), skewOf(err)) {
			m.succeeded(c, MethodTOTP, code, got)
			if m.pending != nil {
				reach("signed in while pending")
			}
		}
	}
}

func (m *model) expired(what string, err error) {
	if !errors.Is(err, ErrChallengeExpired) {
		m.t.Fatalf("%s on a challenge that is not for this: %v", what, err)
	}
}

func (m *model) verifyBackup(c *modelChallenge, code string) {
	got, err := m.verify(c.Challenge, MethodBackupCode, code)
	normal, malformed := backupcode.Normalise(code)
	switch {
	case c.era == m.era && c.Purpose == PurposeVerify && m.repeats(c, PurposeVerify, MethodBackupCode, code):
		m.repeated(c, got, err)
	case c.era != m.era || c.Purpose != PurposeVerify:
		m.expired("backup code", err)
	case m.now.Before(m.backupLock):
		if !isErr[*Locked](err) {
			m.t.Fatalf("backup code while locked: %v", err)
		}
	case !m.challengeStands(c, PurposeVerify):
		m.expired("backup code", err)
	case m.live == nil:
		if !errors.Is(err, ErrNotEnabled) {
			m.t.Fatalf("backup code while off: %v", err)
		}
	case m.backup == "":
		if !errors.Is(err, ErrNoBackupCode) {
			m.t.Fatalf("no backup code: %v", err)
		}
	case malformed != nil:
		if !errors.Is(err, ErrMalformedCode) {
			m.t.Fatalf("malformed backup code: %v", err)
		}
	case normal.Grouped() != m.backup:
		if !isErr[*WrongCode](err) {
			m.t.Fatalf("wrong backup code: %v", err)
		}
		if m.backupFails++; m.backupFails >= 5 {
			m.backupLock = m.now.Add(time.Minute)
			reach("backup locked")
		}
	default:
		m.must(err)
		if r := m.refusal(); r != "" {
			reach("backup sign-in while " + r)
		}
		m.ledger.step("proof of life", m.now)
		m.newBackup("")
		m.freshSince = m.now
		switch m.rules.Policy.BackupUse {
		case Disable2FA:
			m.off()
			if got.State != StateDisabled || got.Grant != nil {
				m.t.Fatalf("backup sign-in: %+v", got)
			}
		case Reissue:
			if m.newBackup(grouped(got.BackupCode)); m.backup == "" {
				m.t.Fatal("no new backup code")
			}
			if m.pendingBackup != "" { // the set-up no longer brings its own
				m.formerCodes[m.pendingBackup], m.pendingBackup = true, ""
			}
		}
		m.succeeded(c, MethodBackupCode, code, got)
	}
}

// guess is an attacker at work: wrong codes until the lock, which is waited out now and then.
func (m *model) guess() {
	if pick(m.t, "patient", true, false) && m.now.Before(m.lockEnds) {
		m.now = m.lockEnds
		m.lapse()
	}
	backup := pick(m.t, "at the backup code", true, false, false)
	for i := range pick(m.t, "guesses", 1, 2, 3, 4, 5, 6, 7) {
		switch {
		case backup:
			m.verifyBackup(m.fresh(), "0000000000000"[:8+i%5])
		case m.live != nil:
			m.verifyCode(m.fresh(), m.live.wrong(m.now, i))
		}
	}
}

func (m *model) retry() {
	switch c := m.newest; {
	case c == nil || c.Purpose != PurposeVerify:
	case c.method == MethodTOTP:
		m.verifyCode(c, c.code)
	case c.method == MethodResetLink:
		m.verifyLink(c, c.code, false)
	default:
		m.verifyBackup(c, c.code)
	}
}

func (m *model) checkCode(code string) {
	before := m.account.Codes.Failures
	got, err := m.check(code)
	verdict := verdictOf(err)
	switch {
	case m.live == nil:
		if !errors.Is(err, ErrNotEnabled) {
			m.t.Fatalf("check while off: %v", err)
		}
		return
	case err != nil:
		m.judge("check", code, verdict, nil)
		return
	case got.Valid && !got.Spent: // changes nothing: judge as a sign-in would be, and take the entry back
		last, from, row, lock := m.last, m.lastIP, m.row, m.lockEnds
		m.judge("check", code, "ok", nil)
		m.last, m.lastIP, m.row, m.lockEnds = last, from, row, lock
		return
	case got.Valid:
		m.judge("check", code, "reused", nil)
		return
	case m.refusal() == "" && m.account.Codes.Failures == before:
		if !m.knownSpent(m.live, code, m.last, m.told) {
			m.t.Fatal("a wrong code was checked for nothing")
		}
		return
	}
	var skew *time.Duration
	if got.Skewed {
		skew = &got.Off
	} else if got.Off != 0 {
		m.t.Fatalf("a check of a wrong code tells an offset: %+v", got)
	}
	m.judge("check", code, "wrong", skew)
}
