package twofactor

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/nightlatch/nightlatch/pkg/backupcode"
)

// model drives one account through a history and keeps its own books, which share no code with the rules: what was spent, told,
// counted and issued. After every step the account has to agree with them.
type model struct {
	*world
	t *rapid.T

	live, pending *phone // nil: none
	pendingGrant  *modelGrant
	pendingBackup string
	begunAt       time.Time
	setUp         Digest
	former        []phone // of earlier secrets
	last          int64   // accepted step of the live secret
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

	era        int // raised by a new password and by an erasure
	challenges []*modelChallenge
	newest     *modelChallenge // of the newest success
	grants     []*modelGrant
	freshSince time.Time
}

type modelChallenge struct {
	Challenge
	era    int
	method Method // of the success that spent it
	code   string
	at     time.Time
	jti    string
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
		for range 300 {
			name := pick(t, "action", weighted...)
			actions[name].do()
			m.agree(name)
		}
	}))
	for _, what := range []EventType{
		EventLogin, EventLocked, EventSuspended, EventUnlocked, EventCodeReused, EventEnrollmentStarted, EventEnabled, EventReplaced,
		EventReplacementLapsed, EventDisabled, EventBackupCodeIssued, EventBackupCodeUsed, EventBackupCodeRevoked, EventCheck,
		EventCodeRefused, EventAddressChanged, EventPasswordChanged, EventResetCanceled, EventAdminRemoved, EventErased,
		"retry answered", "told", "told step tried again", "former secret tried", "locked: right code", "suspended: right code",
		"replaced with a grant", "rotated with a grant", "dead grant tried", "set-up confirmed inside a sign-in", "spent challenge tried",
		"signed in while pending", "backup locked", "backup sign-in while locked", "backup sign-in while suspended", "stale session",
		"confirmed after the grant's end",
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
	m.saw = func(e Event) { reach(string(e.Type)) }
	m.told, m.pendingTold, m.formerCodes = map[int64]bool{}, map[int64]bool{}, map[string]bool{}
	p := &m.rules.Policy
	p.BackupIssue = pick(t, "backup_issue", BeforeConfirm, AfterActivation) // no preset has every combination
	p.Skew = pick(t, "skew", 1, 1, 0)
	p.MaxFailures = pick(t, "max_failures", 5, 5, 2)
	p.MonthlyFailures = pick(t, "monthly_failures", 100, 20, 7)
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
		"enroll in signin": {3, m.enrollInSignIn},
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
			pick(m.t, "what", m.newPassword, m.newAddress, m.openReset, m.operatorUnlocks, m.operatorRemoves, m.erase, m.newPolicy)()
		}},
		"wait":    {10, m.wait},
		"nothing": {0, func() {}},
	}
}

// The model's arithmetic.

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
		m.last, m.row, m.lockEnds = step, 0, time.Time{}
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

// enter notes what a verdict has told about a step.
func (m *model) enter(p *phone, code string, skew *time.Duration, told map[int64]bool) {
	if skew == nil {
		return
	}
	step := m.step() + int64(*skew/period)
	if p.step(step) != code || skew.Abs() > 10*time.Minute || skew.Abs() <= time.Duration(m.rules.Policy.Skew)*period {
		m.t.Fatalf("told that %s is off by %v", code, *skew)
	}
	if *skew > 0 {
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

// What is drawn.

func (m *model) rightCode() string {
	if m.live == nil {
		return "000000"
	}
	return m.live.at(m.now)
}

func (m *model) pendingCode() string {
	if m.pending == nil {
		return "000000"
	}
	return m.pending.at(m.now)
}

func (m *model) drawCode() string {
	phones := []*phone{m.live, m.live, m.live, m.pending}
	for i := range m.former {
		phones = append(phones, &m.former[i])
	}
	p := orNobody(pick(m.t, "phone", phones...))
	if m.live != nil && p != m.live && p != m.pending && len(m.former) > 0 {
		reach("former secret tried")
	}
	switch pick(m.t, "code", "near", "near", "present", "present", "drifted", "ahead", "wrong", "last", "told", "malformed") {
	case "near":
		return p.step(m.step() + pick[int64](m.t, "off", -1, 0, 1))
	case "present":
		return p.step(m.step())
	case "drifted":
		return p.step(m.step() + int64(pick(m.t, "off", -22, -21, -20, -19, -5, -3, -2, 2, 3, 5, 19, 20, 21, 22)))
	case "ahead":
		return p.step(m.step() + pick[int64](m.t, "off", 2, 3, 4))
	case "wrong":
		return p.wrong(m.now, pick(m.t, "n", 0, 1, 2, 3))
	case "last":
		return p.step(m.last)
	case "told":
		for _, s := range slices.Sorted(maps.Keys(m.told)) {
			if s >= m.step()-1 {
				return p.step(s)
			}
		}
		return p.step(m.step())
	}
	return pick(m.t, "malformed", "", "12345", "1234567", "12345x", "abcdef-")
}

func (m *model) drawBackup() string {
	codes := append(slices.Sorted(maps.Keys(m.formerCodes)), "00000000", m.pendingBackup, m.backup, m.backup, m.backup, "U")
	return pick(m.t, "backup code", codes...)
}

// fresh is a new challenge; when 2FA is off and may be, one that nobody should have.
func (m *model) fresh() *modelChallenge {
	offer, err := m.offer(NewChallenge{Nonce: "nonce"})
	m.must(err)
	if want := m.live != nil || m.rules.Policy.Enforcement == Required; offer.Required != want || (offer.Challenge != nil) != want {
		m.t.Fatalf("offer %+v", offer)
	}
	ch := offer.Challenge
	if ch == nil {
		ch = &Challenge{
			ID: RandomDigest(), Purpose: PurposeVerify, User: alice, Incarnation: m.account.Incarnation, Epoch: m.account.Epoch,
			ExpiresAt: m.now.Add(10 * time.Minute),
		}
	}
	c := &modelChallenge{Challenge: *ch, era: m.era}
	m.challenges = append(m.challenges, c)
	return c
}

func (m *model) drawChallenge() *modelChallenge {
	if n := len(m.challenges); n > 0 && pick(m.t, "reuse", true, false, false) {
		return m.challenges[max(0, n-1-pick(m.t, "challenge", 0, 0, 1, 2, 3, 4))]
	}
	return m.fresh()
}

func (m *model) drawGrant() *modelGrant {
	if len(m.grants) == 0 {
		return &modelGrant{Grant: &Grant{ID: RandomDigest(), User: alice}, dead: true}
	}
	return m.grants[max(0, len(m.grants)-1-pick(m.t, "grant", 0, 0, 0, 1, 2))]
}

// The actions.

// challengeStands says whether a challenge can still let somebody in.
func (m *model) challengeStands(c *modelChallenge, purpose Purpose) bool {
	return c.era == m.era && c.Purpose == purpose && c.jti == "" && m.now.Before(c.ExpiresAt)
}

// repeats says whether a request is the newest success, sent again in time.
func (m *model) repeats(c *modelChallenge, purpose Purpose, method Method, code string) bool {
	return c.era == m.era && c.Purpose == purpose && m.newest == c && c.method == method && plain(c.code) == plain(code) &&
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
	}
}

func (m *model) dropPending() {
	if m.pendingBackup != "" {
		m.formerCodes[m.pendingBackup] = true
	}
	m.pending, m.pendingGrant, m.pendingBackup = nil, nil, ""
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
	m.live, m.last, m.told = nil, 0, map[int64]bool{}
}

// repeated holds the answer to a retry against the first.
func (m *model) repeated(c *modelChallenge, got SignIn, err error) {
	if m.stored && slices.ContainsFunc(m.account.Events, func(e Event) bool { return e.Type != EventReplacementLapsed }) {
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
		last, row, lock := m.last, m.row, m.lockEnds
		m.judge("check", code, "ok", nil)
		m.last, m.row, m.lockEnds = last, row, lock
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

func (m *model) begun(got SetUp, by *modelGrant) {
	m.dropPending()
	m.pending, m.pendingGrant, m.pendingBackup = &phone{secret: got.Secret}, by, grouped(got.BackupCode)
	m.begunAt, m.setUp, m.pendingTold = m.now, got.ID, map[int64]bool{}
	if want := m.backup == "" && m.rules.Policy.BackupIssue == BeforeConfirm; (got.BackupCode != nil) != want {
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
	}
}

func (m *model) enrollInSignIn() {
	c := m.drawChallenge()
	got, err := m.tryEnroll(Enroll{Request: m.request(), Challenge: &c.Challenge})
	switch {
	case !m.challengeStands(c, PurposeEnroll):
		m.expired("enroll", err)
	case m.live != nil:
		if !errors.Is(err, ErrAlreadyEnabled) {
			m.t.Fatalf("enroll while on: %v", err)
		}
	default:
		m.must(err)
		m.begun(got, nil)
	}
}

func (m *model) confirmWrong() {
	for i := 0; m.pending != nil; i++ {
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
		case m.refusal() != "":
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
		case m.live != nil:
			if !errors.Is(err, ErrAlreadyEnabled) {
				m.t.Fatalf("confirm inside a sign-in while on: %v", err)
			}
			return
		}
	}
	if m.pending == nil {
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
		pendingBackup := m.pendingBackup
		m.live, m.last, m.told = m.pending, step, maps.Clone(m.pendingTold)
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
		}
	case "reused":
		if !m.knownSpent(m.pending, code, 0, m.pendingTold) {
			m.t.Fatalf("%s was never told", code)
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
		}
	case m.grantStands(g, GrantAny):
		m.must(err)
		m.begun(got, g)
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
	case m.backup != "" && m.rules.Policy.BackupRotate == RevokeThenCreate:
		if !isErr[*Forbidden](err) {
			m.t.Fatalf("rotate before revoke: %v", err)
		}
		return
	case g == nil:
		if !m.judge("rotate", code, verdictOf(err), skewOf(err)) {
			return
		}
	case m.grantStands(g, GrantBackupCode):
		m.must(err)
		m.killGrants()
		reach("rotated with a grant")
	default:
		if !errors.Is(err, ErrGrantExpired) {
			m.t.Fatalf("rotate with a grant that is over: %v", err)
		}
		return
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

func (m *model) newPassword() {
	m.passwordChanged()
	m.era++
	m.newest = nil
	m.row, m.lockEnds, m.backupFails, m.backupLock = 0, time.Time{}, 0, time.Time{}
	m.killGrants()
}

func (m *model) newAddress() {
	email := pick(m.t, "address", "a@example.com", "b@example.com", "c@example.com")
	m.must(m.act(func(a *Account) error { return m.rules.AddressChanged(a, m.request(), email, m.now) }))
}

// openReset stands for a recovery that somebody has asked for.
func (m *model) openReset() { m.account.Reset = &Reset{State: ResetInReview, Subject: &Sealed{}} }

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
	m.unlock()
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

func (m *model) erase() {
	m.must(m.act(func(a *Account) error { return m.rules.Erase(a, m.request(), ActorHost, m.now) }))
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
	m.rules.Policy = p
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
		a := m.account.next("probe", m.now)
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
