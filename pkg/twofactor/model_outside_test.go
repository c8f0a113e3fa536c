package twofactor

import (
	"bytes"
	"errors"
	"time"

	"github.com/nightlatch/nightlatch/pkg/totp"
)

// What hosts, operators and time do to a history.

func (m *model) newPassword() {
	m.passwordChanged()
	m.era++
	m.newest = nil
	m.row, m.lockEnds, m.backupFails, m.backupLock = 0, time.Time{}, 0, time.Time{}
	m.killGrants()
	m.dropPending()
	m.ledger.setUp = none
	m.freshSince = m.now
}

func (m *model) newAddress() {
	email := pick(m.t, "address", "a@example.com", "b@example.com", "c@example.com")
	m.must(m.act(func(a *Account) error { return m.rules.AddressChanged(a, m.request(), email, m.now) }))
	if m.stored != (email != m.address) {
		m.t.Fatalf("%s after %s: stored %v", email, m.address, m.stored)
	}
	if m.stored {
		m.ledger.step("address", m.now)
		m.address = email
	}
}

// newPhone is a user who has lost the old one and takes all the time there is.
func (m *model) newPhone() {
	m.verifyBackup(m.fresh(), m.backup)
	m.later(14 * time.Minute)
	m.lapse()
	m.replaceWith("", m.drawGrant())
	m.later(2 * time.Minute)
	m.confirmWith(m.pendingCode(), nil)
}

func (m *model) operatorUnlocks() {
	err := m.act(func(a *Account) error { return m.rules.Unlock(a, m.request(), Operator{}, m.now) })
	if m.account.Version == 0 {
		if !errors.Is(err, ErrNotEnabled) {
			m.t.Fatalf("unlock of a user never seen: %v", err)
		}
		return
	}
	m.must(err)
	m.newBudget()
	m.backupFails, m.backupLock = 0, time.Time{}
}

func (m *model) operatorRemoves() {
	err := m.act(func(a *Account) error { return m.rules.RemoveAuthenticator(a, m.request(), Operator{}, m.now) })
	if m.live == nil {
		if !errors.Is(err, ErrNotEnabled) {
			m.t.Fatalf("remove while off: %v", err)
		}
		return
	}
	m.must(err)
	m.off()
	m.freshSince = m.now
}

// operatorImports brings along a phone of another system, or tries to bring back one that was.
func (m *model) operatorImports() {
	m.lapse()
	former := phone{}
	if len(m.former) > 0 {
		former = pick(m.t, "former phone", m.former...)
	}
	p := pick(m.t, "phone", phone{secret: mustSecret()}, former, *orNobody(m.live))
	if len(p.secret) < 16 { // there is none
		p = phone{secret: mustSecret()}
	}
	req := Import{Request: m.request(), Secret: p.secret, Params: totp.Default}
	if pick(m.t, "activated", true, false) {
		req.ActivatedAt = m.now
	}
	known := m.address
	req.Contact.Email = pick(m.t, "address", "", "old@example.com")
	err := m.act(func(a *Account) error { return m.rules.Import(a, req, m.now) })
	want := error(nil)
	switch {
	case m.live != nil && bytes.Equal(m.live.secret, p.secret):
		reach("imported again")
		if m.stored {
			m.t.Fatal("what is in force was imported once more")
		}
	case m.live != nil:
		want = ErrAlreadyEnabled
		reach("imported while on")
	case !m.ended.IsZero() && !req.ActivatedAt.After(m.ended):
		want = ErrEnded
		reach("imported what has ended")
	}
	if !errors.Is(err, want) {
		m.t.Fatalf("import: %v, want %v", err, want)
	}
	if err != nil || m.live != nil {
		return
	}
	reach("imported")
	if m.pending != nil {
		reach("imported while pending")
	}
	if m.era > 0 && m.account.Incarnation > 0 {
		reach("imported after an erasure")
	}
	m.dropPending()
	m.ledger.on, m.ledger.setUp = true, none
	m.live = &p
	m.last, m.lastIP, m.told = m.step()+2, "", map[int64]bool{}
	if known == "" {
		m.address = req.Contact.Email
	}
}

func (m *model) erase() {
	m.must(m.act(func(a *Account) error { return m.rules.Erase(a, m.request(), Event{Actor: ActorHost}, m.now) }))
	m.ledger.step("erased", m.now)
	m.address, m.wanted, m.mailedOfReuse = "", nil, time.Time{}
	m.off()
	m.era++
	m.newest, m.freshSince = nil, m.now
}

// newPolicy is an application that has changed its mind. The limits stay.
func (m *model) newPolicy() {
	now := m.rules.Policy
	p, err := Preset(pick(m.t, "preset", Presets()...))
	m.must(err)
	p.BackupIssue = pick(m.t, "backup_issue", BeforeConfirm, AfterActivation)
	p.Skew, p.MaxFailures, p.MonthlyFailures = now.Skew, now.MaxFailures, now.MonthlyFailures
	p.BackupLength = now.BackupLength // of codes that a retry derives again
	m.recoveryPolicy(&p)
	m.rules.Policy, m.ledger.policy = p, p
}

func (m *model) wait() {
	d := pick(m.t, "for", 0, 0, time.Millisecond, time.Second, period, period, period, 2*time.Minute, 14*time.Minute, 16*time.Minute, 24*time.Hour,
		30*24*time.Hour, 31*24*time.Hour)
	if d == 0 { // the end of a lock
		if m.now.Before(m.lockEnds) {
			d = m.lockEnds.Sub(m.now)
		}
	}
	m.later(d)
	m.lapse()
}

// lapse is what time does to a set-up.
func (m *model) lapse() {
	if m.pending != nil && !m.now.Before(m.begunAt.Add(15*time.Minute)) {
		m.dropPending()
	}
	if m.pendingLink && m.view().setUp != "by link" {
		m.dropPending()
		reach("set-up by a link that died")
	}
}
