package twofactor

import (
	"errors"
	"maps"
	"time"
)

// What a history does to set 2FA up, change it and turn it off.

func (m *model) begun(got SetUp, by *modelGrant) {
	m.dropPending()
	m.pending, m.pendingGrant, m.pendingBackup = &phone{secret: got.Secret}, by, grouped(got.BackupCode)
	m.begunAt, m.setUp, m.pendingTold = m.now, got.ID, map[int64]bool{}
	m.ledger.setUp, m.ledger.setUpBegun = "replacement", m.now
}

// mayBringBackup: a set-up brings a backup code only if there is none, or, with a mailed link, in any case.
func (m *model) mayBringBackup(got SetUp, link bool) {
	if want := (m.backup == "" || link) && m.rules.Policy.BackupIssue == BeforeConfirm; (got.BackupCode != nil) != want {
		m.t.Fatalf("a set-up with backup code: %v", got.BackupCode != nil)
	}
}

func (m *model) enrollFromSession(age time.Duration) {
	authTime := m.now.Add(-age)
	got, err := m.tryEnroll(Enroll{Request: m.request(), AuthTime: authTime})
	switch {
	case m.live != nil:
		if !errors.Is(err, ErrAlreadyEnabled) {
			m.t.Fatalf("enroll while on: %v", err)
		}
	case age > 15*time.Minute || authTime.Unix() < m.freshSince.Unix():
		if !isErr[*Reauthenticate](err) {
			m.t.Fatalf("enroll with a session of %v: %v", age, err)
		}
		reach("stale session")
	default:
		m.must(err)
		m.begun(got, nil)
		m.mayBringBackup(got, false)
	}
}

func (m *model) enrollWith(c *modelChallenge) {
	got, err := m.tryEnroll(Enroll{Request: m.request(), Challenge: &c.Challenge})
	switch {
	case !m.challengeStands(c, PurposeEnroll):
		m.expired("enroll", err)
	case c.link:
		m.must(err)
		m.begun(got, nil)
		m.mayBringBackup(got, true)
		m.pendingLink = m.ledger.step("begun with the link", m.now)
	case m.live != nil:
		if !errors.Is(err, ErrAlreadyEnabled) {
			m.t.Fatalf("enroll while on: %v", err)
		}
	default:
		m.must(err)
		m.begun(got, nil)
		m.mayBringBackup(got, false)
	}
}

func (m *model) confirmWrong() {
	for i := 0; m.pending != nil && !m.pendingLink; i++ {
		if i == 10 {
			m.t.Fatal("a set-up outlived ten wrong codes")
		}
		m.confirmWith(m.pending.wrong(m.now, i), nil)
	}
}

func (m *model) confirmWith(code string, c *modelChallenge) {
	m.lapse()
	req := Confirm{Request: m.request(), Enrolment: m.setUp, Code: code}
	if c != nil {
		req = NewConfirm(m.request(), c.Challenge, m.setUp, code)
	}
	got, err := m.confirm(req)
	verdict := verdictOf(err)
	if c != nil {
		switch {
		case c.era != m.era || c.Purpose != PurposeEnroll:
			m.expired("confirm", err)
			return
		case m.refusal() != "" && (!c.link || !m.linkStands(c)):
			if verdict != m.refusal() {
				m.t.Fatalf("confirm while %s: %s", m.refusal(), verdict)
			}
			return
		case !m.challengeStands(c, PurposeEnroll):
			if m.newest == c && m.live != nil && m.now.Before(c.at.Add(10*time.Minute)) && !m.sameConfirm(c, code) {
				m.failed()
			}
			if err != nil {
				m.expired("confirm", err)
			}
			return
		case m.live != nil && !c.link:
			if !errors.Is(err, ErrAlreadyEnabled) {
				m.t.Fatalf("confirm inside a sign-in while on: %v", err)
			}
			return
		}
	}
	if m.pending == nil || m.pendingLink != (c != nil && c.link) {
		if !errors.Is(err, ErrEnrolmentExpired) {
			m.t.Fatalf("confirm without a set-up: %v", err)
		}
		return
	}
	step, in := m.match(m.pending, code)
	free := in && !m.pendingTold[step]
	switch verdict {
	case "ok":
		if !free {
			m.t.Fatalf("confirmed with %s: in the window %v", code, in)
		}
		if m.live != nil {
			m.former = append(m.former, *m.live)
		}
		if m.pendingGrant != nil {
			m.newBudget()
			reach("replaced with a grant")
			if !m.now.Before(m.pendingGrant.at.Add(15 * time.Minute)) {
				reach("confirmed after the grant's end")
			}
		}
		pendingBackup, byLink := m.pendingBackup, m.pendingLink
		if byLink {
			if m.refusal() != "" {
				reach("reset completed while locked or suspended")
			}
			reach("completed where required")
			m.newBudget()
			m.newBackup("")
			m.freshSince = m.now
			m.ledger.step("confirmed with the link", m.now)
		}
		m.ledger.on, m.ledger.setUp = true, none
		m.ledger.step("proof of life", m.now)
		m.live, m.last, m.lastIP, m.told = m.pending, step, m.ip, maps.Clone(m.pendingTold)
		m.pendingGrant, m.pendingBackup = nil, ""
		m.dropPending()
		m.killGrants()
		switch {
		case m.backup != "":
			if got.BackupCode != nil {
				m.t.Fatal("a replacement brought a second backup code")
			}
		case pendingBackup != "":
			m.newBackup(pendingBackup)
		default:
			if m.newBackup(grouped(got.BackupCode)); m.backup == "" {
				m.t.Fatal("confirmed without a backup code")
			}
		}
		if c != nil {
			m.succeeded(c, "confirm", code, *got.SignIn)
			reach("set-up confirmed inside a sign-in")
		}
	case "wrong":
		if in {
			m.t.Fatal("a right code did not confirm")
		}
		m.enter(m.pending, code, skewOf(err), m.pendingTold)
		if m.account.Pending == nil {
			m.dropPending()
			m.ledger.setUp = none
		}
	case "reused":
		if !m.knownSpent(m.pending, code, 0, m.pendingTold) {
			m.t.Fatalf("%s was never told", code)
		}
		if e := m.account.Events; m.stored && e[len(e)-1].Reason != "" {
			m.t.Fatalf("a code that was never used was tried elsewhere: %+v", e)
		}
	case ErrMalformedCode.Error():
	default:
		m.t.Fatalf("confirm: %s", verdict)
	}
}

// sameConfirm says whether a confirmation is the one that has spent the challenge.
func (m *model) sameConfirm(c *modelChallenge, code string) bool {
	return m.account.SignIn != nil && m.account.SignIn.Request == NewConfirm(Request{}, c.Challenge, m.setUp, code).ID
}

func (m *model) discard() {
	m.must(m.act(func(a *Account) error { return m.rules.Discard(a) }))
	m.dropPending()
	if m.stored {
		m.ledger.setUp = none
	}
}

// grantStands says whether a grant can still open that.
func (m *model) grantStands(g *modelGrant, scope GrantScope) bool {
	if g.dead {
		reach("dead grant tried")
	}
	return !g.dead && m.now.Before(g.at.Add(15*time.Minute)) && (g.scope == GrantAny || g.scope == scope)
}

func (m *model) replaceWith(code string, g *modelGrant) {
	req := Replace{Request: m.request(), Code: code}
	if g != nil {
		req.Grant = g.Grant
	}
	got, err := m.replace(req)
	switch {
	case m.live == nil:
		if !errors.Is(err, ErrNotEnabled) {
			m.t.Fatalf("replace while off: %v", err)
		}
	case g == nil:
		if m.judge("replace", code, verdictOf(err), skewOf(err)) {
			m.begun(got, nil)
			m.mayBringBackup(got, false)
		}
	case m.grantStands(g, GrantAny):
		m.must(err)
		m.ledger.step("proof of life", m.now)
		m.begun(got, g)
		m.mayBringBackup(got, false)
	case !errors.Is(err, ErrGrantExpired):
		m.t.Fatalf("replace with a grant that is over: %v", err)
	}
}

func (m *model) rotateWith(code string, g *modelGrant) {
	req := RotateBackup{Request: m.request(), Code: code}
	if g != nil {
		req.Grant = g.Grant
	}
	got, err := m.rotate(req)
	switch {
	case m.live == nil:
		if !errors.Is(err, ErrNotEnabled) {
			m.t.Fatalf("rotate while off: %v", err)
		}
		return
	case g == nil && m.refusal() != "":
		m.judge("rotate", code, verdictOf(err), nil)
		return
	case g != nil && !m.grantStands(g, GrantBackupCode):
		if !errors.Is(err, ErrGrantExpired) {
			m.t.Fatalf("rotate with a grant that is over: %v", err)
		}
		return
	case m.backup != "" && m.rules.Policy.BackupRotate == RevokeThenCreate:
		if !isErr[*Forbidden](err) {
			m.t.Fatalf("rotate before revoke: %v", err)
		}
		return
	case g == nil:
		if !m.judge("rotate", code, verdictOf(err), skewOf(err)) {
			return
		}
	default:
		m.must(err)
		m.killGrants()
		reach("rotated with a grant")
	}
	m.newBackup(grouped(got))
	if m.pendingBackup != "" {
		m.formerCodes[m.pendingBackup], m.pendingBackup = true, ""
	}
}

func (m *model) revokeWith(code string) {
	got, err := m.revoke(RevokeBackup{Request: m.request(), Code: code})
	switch {
	case m.rules.Policy.BackupRotate != RevokeThenCreate:
		if !isErr[*Forbidden](err) {
			m.t.Fatalf("revoke: %v", err)
		}
	case m.live == nil:
		if !errors.Is(err, ErrNotEnabled) {
			m.t.Fatalf("revoke while off: %v", err)
		}
	case m.backup == "" && m.refusal() == "":
		if !errors.Is(err, ErrNoBackupCode) {
			m.t.Fatalf("nothing to revoke: %v", err)
		}
	case m.judge("revoke", code, verdictOf(err), skewOf(err)):
		m.formerCodes[m.backup], m.backup = true, ""
		m.granted(got, GrantBackupCode)
	}
}

func (m *model) disableWith(code string) {
	err := m.disable(Disable{Request: m.request(), Code: code})
	switch {
	case m.rules.Policy.Enforcement == Required:
		if !isErr[*Forbidden](err) {
			m.t.Fatalf("disable under required: %v", err)
		}
	case m.live == nil:
		if !errors.Is(err, ErrNotEnabled) {
			m.t.Fatalf("disable while off: %v", err)
		}
	case m.judge("disable", code, verdictOf(err), skewOf(err)):
		m.off()
	}
}
