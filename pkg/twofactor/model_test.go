package twofactor

import (
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// model drives one account through a history and keeps its own books, which share no code with the rules: what was spent, told,
// counted and issued. After every step the account has to agree with them.
type model struct {
	*world
	t *rapid.T

	live, pending *phone // nil: none
	pendingGrant  *modelGrant
	pendingLink   bool // begun with a mailed link
	pendingBackup string
	begunAt       time.Time
	setUp         Digest
	former        []phone // of earlier secrets
	last          int64   // accepted step of the live secret
	lastIP        string  // which it came from
	told          map[int64]bool
	pendingTold   map[int64]bool

	backup      string
	formerCodes map[string]bool
	backupFails int
	backupLock  time.Time

	failures  []time.Time // with wrong codes, since the budget was last given anew
	row       int         // of consecutive failures
	lockEnds  time.Time
	suspended bool

	ended time.Time // when 2FA was last turned off, or its user erased

	mailedOfReuse time.Time // that a used code was tried from another place

	era        int // raised by a new password and by an erasure
	challenges []*modelChallenge
	newest     *modelChallenge // of the newest success
	grants     []*modelGrant
	freshSince time.Time

	ledger   *ledger // of its recoveries
	storedAt time.Time
	address  string
	resets   int
	recorded []EventType // of recoveries, since the last action
	wanted   []EventType
}

type modelChallenge struct {
	Challenge
	era    int
	method Method // of the success that spent it
	code   string
	at     time.Time
	jti    string
	link   bool // that a mailed link has opened it
	opened int  // and which
}

type modelGrant struct {
	*Grant
	scope GrantScope
	at    time.Time
	dead  bool
}

// reached counts what the histories have come to, so that the test fails if its generators no longer reach it.
var reached = struct {
	sync.Mutex
	n map[string]int
}{n: map[string]int{}}

func reach(what string) {
	reached.Lock()
	defer reached.Unlock()
	reached.n[what]++
}

func TestHistories(t *testing.T) {
	t.Parallel()
	t.Run("histories", rapid.MakeCheck(func(t *rapid.T) {
		m := newModel(t)
		actions := m.actions()
		weighted := []string{"nothing"} // first, since a failing history is made shorter by it
		for _, name := range slices.Sorted(maps.Keys(actions)) {
			weighted = append(weighted, slices.Repeat([]string{name}, actions[name].weight)...)
		}
		for range 400 {
			name := pick(t, "action", weighted...)
			actions[name].do()
			m.agree(name)
			m.agreeOnRecovery(name)
		}
	}))
	for _, what := range []EventType{
		EventLogin, EventLocked, EventSuspended, EventUnlocked, EventCodeReused, EventEnrollmentStarted, EventEnabled, EventReplaced,
		EventReplacementLapsed, EventDisabled, EventBackupCodeIssued, EventBackupCodeUsed, EventBackupCodeRevoked, EventCheck,
		EventCodeRefused, EventAddressChanged, EventPasswordChanged, EventResetCanceled, EventAdminRemoved, EventErased,
		"retry answered", "told", "told step tried again", "former secret tried", "locked: right code", "suspended: right code",
		"replaced with a grant", "rotated with a grant", "dead grant tried", "set-up confirmed inside a sign-in", "spent challenge tried",
		"signed in while pending", "backup locked", "backup sign-in while locked", "backup sign-in while suspended", "stale session",
		"confirmed after the grant's end", "reused at the same place", "reused elsewhere", "reused elsewhere again",
		EventResetRequested, EventIdentityPassed, EventIdentityFailed, EventResetApproval, EventResetApproved, EventResetReturned,
		EventResetDenied, EventResetReady, EventResetCompleted, EventResetExpired, EventMailRequested,
		"reset limit", "link tried in vain", "link of another round", "completed where optional", "completed where required",
		"reset completed while locked or suspended", "set-up by a link that died", "decided by a clock that is behind",
		"imported", "imported again", "imported while on", "imported what has ended", "imported while pending", "imported after an erasure",
	} {
		if reached.n[string(what)] == 0 {
			t.Errorf("no history came to: %s", what)
		}
	}
	t.Log(reached.n)
}

// pick draws one of several, each as likely as the others: rapid prefers the first ones, and histories made of those come to little.
func pick[T any](t *rapid.T, what string, from ...T) T {
	return from[uniform.Draw(t, what)%len(from)]
}

var uniform = rapid.Custom(func(t *rapid.T) (n int) {
	for range 10 {
		n *= 2
		if rapid.Bool().Draw(t, "bit") {
			n++
		}
	}
	return n
})

func newModel(t *rapid.T) *model {
	m := &model{world: newWorld(t, pick(t, "preset", Presets()...)), t: t}
	m.saw, m.stores = m.seeEvent, m.seeStored
	m.told, m.pendingTold, m.formerCodes = map[int64]bool{}, map[int64]bool{}, map[string]bool{}
	p := &m.rules.Policy
	p.BackupIssue = pick(t, "backup_issue", BeforeConfirm, AfterActivation) // no preset has every combination
	p.Skew = pick(t, "skew", 1, 1, 0)
	p.MaxFailures = pick(t, "max_failures", 5, 5, 2)
	p.MonthlyFailures = pick(t, "monthly_failures", 100, 20, 7)
	m.recoveryPolicy(p)
	m.ledger = &ledger{facts: facts{policy: *p, state: none, setUp: none}}
	m.must(p.Validate())
	if pick(t, "on", true, true, true, false) {
		m.enrollFromSession(0)
		m.confirmWith(m.pending.at(m.now), nil)
	}
	return m
}

type action struct {
	weight int
	do     func()
}

func (m *model) actions() map[string]action {
	return map[string]action{
		"verify":        {6, func() { m.verifyCode(m.drawChallenge(), m.drawCode()) }},
		"verify right":  {6, func() { m.verifyCode(m.fresh(), m.rightCode()) }},
		"verify backup": {3, func() { m.verifyBackup(m.drawChallenge(), m.drawBackup()) }},
		"guess":         {3, m.guess},
		"retry":         {3, m.retry},
		"check":         {3, func() { m.checkCode(m.drawCode()) }},
		"enroll": {3, func() {
			m.enrollFromSession(pick(m.t, "age", 0, 0, 5*time.Minute, 16*time.Minute))
		}},
		"enroll in signin": {3, func() { m.enrollWith(m.drawChallenge()) }},
		"confirm right":    {6, func() { m.confirmWith(m.pendingCode(), nil) }},
		"confirm":          {2, func() { m.confirmWith(m.drawCode(), nil) }},
		"confirm wrong":    {1, func() { m.confirmWrong() }},
		"confirm signin":   {3, func() { m.confirmWith(m.pendingCode(), m.drawChallenge()) }},
		"discard":          {1, m.discard},
		"replace":          {3, func() { m.replaceWith(m.drawCode(), nil) }},
		"replace right":    {3, func() { m.replaceWith(m.rightCode(), nil) }},
		"replace by grant": {4, func() { m.replaceWith("", m.drawGrant()) }},
		"rotate":           {2, func() { m.rotateWith(m.drawCode(), nil) }},
		"rotate by grant":  {3, func() { m.rotateWith("", m.drawGrant()) }},
		"revoke":           {3, func() { m.revokeWith(m.drawCode()) }},
		"revoke right":     {3, func() { m.revokeWith(m.rightCode()) }},
		"disable":          {1, func() { m.disableWith(m.drawCode()) }},
		"new phone":        {1, m.newPhone},
		"from outside": {2, func() {
			pick(m.t, "what", m.newPassword, m.newAddress, m.operatorUnlocks, m.operatorRemoves, m.operatorImports, m.operatorImports, m.erase, m.newPolicy)()
		}},
		"recover": {8, m.recover},
		"recover on": {3, func() {
			for range 6 {
				m.recover()
			}
		}},
		"recovery": {6, func() {
			pick(m.t, "recovery", m.askForReset, m.click, m.learnIdentity, m.learnIdentity, m.review, m.review, m.bounce, m.cancel, m.useLink, m.sweep)()
		}},
		"move":    {4, m.move},
		"wait":    {10, m.wait},
		"behind":  {8, m.behind},
		"nothing": {0, func() {}},
	}
}

// behind has a process decide whose clock is behind, by less than a minute.
func (m *model) behind() {
	if a := m.account; a.Pending != nil && m.pending == nil || a.Reset != nil || len(a.ResetMails)+len(a.ResetReviews) > 0 {
		return // to that clock, a set-up has not lapsed; and a recovery goes by days, and not by minutes
	}
	ago := pick(m.t, "behind", time.Second, 2*time.Second, 29*time.Second, 31*time.Second, 59*time.Second)
	m.later(-ago)
	pick(m.t, "by the clock behind",
		func() { m.verifyCode(m.drawChallenge(), m.drawCode()) }, func() { m.verifyCode(m.fresh(), m.rightCode()) },
		func() { m.verifyBackup(m.drawChallenge(), m.drawBackup()) }, m.guess, m.retry, func() { m.checkCode(m.drawCode()) },
		func() { m.rotateWith("", m.drawGrant()) }, func() { m.replaceWith("", m.drawGrant()) }, func() { m.disableWith(m.drawCode()) },
	)()
	reach("decided by a clock that is behind")
	m.agree("behind")
	m.later(ago)
}

// agree holds the account against the books.
func (m *model) agree(action string) {
	m.lapse()
	a, t := m.account, m.t
	if m.live != nil != a.Enabled() {
		t.Fatalf("after %s: enabled %v, want %v", action, a.Enabled(), m.live != nil)
	}
	for _, secret := range []struct {
		want    *phone
		got     *Authenticator
		purpose string
	}{{m.live, a.Authenticator, sealAuthenticator}, {m.pending, pendingOf(a, m.now), sealPending}} {
		if (secret.want != nil) != (secret.got != nil) {
			t.Fatalf("after %s: %s on file %v, want %v", action, secret.purpose, secret.got != nil, secret.want != nil)
		}
		if secret.got != nil {
			got, err := a.open(m.rules.Keys.Secrets, secret.purpose, secret.got.Secret)
			m.must(err)
			if !cmp.Equal(got, []byte(secret.want.secret)) {
				t.Fatalf("after %s: another secret is %s", action, secret.purpose)
			}
		}
	}
	if m.pending != nil && (a.Pending.Grant != (Digest{})) != (m.pendingGrant != nil) {
		t.Fatalf("after %s: pending by a grant %v, want %v", action, a.Pending.Grant, m.pendingGrant)
	}
	if m.live == nil {
		if a.BackupCode != nil || a.Grant != nil || !cmp.Equal(a.Codes, CodeThrottle{}, cmpopts.EquateEmpty()) || a.Backups != (BackupThrottle{}) {
			t.Fatalf("after %s: 2FA is off and something is left: %+v", action, a)
		}
	} else if int64(a.Authenticator.LastStep) != m.last {
		t.Fatalf("after %s: last step %d, want %d", action, a.Authenticator.LastStep, m.last)
	}
	budget := a.Codes
	if budget.Failures != m.row || !budget.LockedUntil.Equal(m.lockEnds) || budget.SuspendedAt.IsZero() == m.suspended || budget.monthly(m.now) != m.inMonth() {
		t.Fatalf("after %s: throttle %+v; want %d in a row, locked until %v, suspended %v, %d in the month",
			action, budget, m.row, m.lockEnds, m.suspended, m.inMonth())
	}
	if n := m.inMonth(); n > m.rules.Policy.MonthlyFailures {
		t.Fatalf("after %s: %d failures in 31 days", action, n)
	}
	if a.Backups.Failures != m.backupFails || !a.Backups.LockedUntil.Equal(m.backupLock) {
		t.Fatalf("after %s: backup throttle %+v; want %d, %v", action, a.Backups, m.backupFails, m.backupLock)
	}
	if (a.BackupCode != nil) != (m.backup != "") {
		t.Fatalf("after %s: backup code on file %v, want %v", action, a.BackupCode != nil, m.backup != "")
	}
	m.probe(action)
}

func pendingOf(a *Account, now time.Time) *Authenticator {
	if a.Pending == nil || a.Pending.expired(now) {
		return nil
	}
	return &a.Pending.Authenticator
}

func orNobody(p *phone) *phone {
	if p == nil {
		return &phone{secret: []byte("nobody's")}
	}
	return p
}

// probe tries what must and what must not let in, and takes it back.
func (m *model) probe(action string) {
	try := func(method Method, code string) error {
		a := m.account.next("probe", time.Time{}, m.now)
		_, err := m.rules.Verify(a, NewVerify(m.request(), Challenge{
			ID: RandomDigest(), Purpose: PurposeVerify, User: alice, Incarnation: a.Incarnation, Epoch: a.Epoch,
			ExpiresAt: m.now.Add(time.Minute),
		}, method, code), m.now)
		return err
	}
	if m.live != nil && m.refusal() == "" && m.step() > m.last && !m.told[m.step()] {
		if err := try(MethodTOTP, m.live.at(m.now)); err != nil {
			m.t.Fatalf("after %s: the authenticator in force does not let in: %v", action, err)
		}
	}
	if m.pending != nil {
		code := m.pending.at(m.now)
		if _, in := m.match(orNobody(m.live), code); !in && try(MethodTOTP, code) == nil {
			m.t.Fatalf("after %s: a pending authenticator lets in", action)
		}
		if m.pendingBackup != "" && try(MethodBackupCode, m.pendingBackup) == nil {
			m.t.Fatalf("after %s: a pending backup code lets in", action)
		}
	}
	if m.backup != "" && !m.now.Before(m.backupLock) {
		if err := try(MethodBackupCode, m.backup); err != nil {
			m.t.Fatalf("after %s: the backup code does not let in: %v", action, err)
		}
	}
	for code := range m.formerCodes {
		if try(MethodBackupCode, code) == nil {
			m.t.Fatalf("after %s: a former backup code lets in", action)
		}
	}
}
