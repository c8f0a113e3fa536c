package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// modelled is an account as a reader of the promises would keep it, on paper: nothing here is the product's but the names
// of events and problems. A code is compared as text, with codes made by another implementation; what a write would be is
// the list of the events that it leaves.
type modelled struct {
	*journal // of its user

	by       *setUp // whose secret is in force; nil: 2FA is off
	last     int64  // the step accepted last
	burned   []int64
	replays  int
	pending  *setUp
	backup   *issued
	grant    *operation // that was given the one open grant
	grantAny bool       // it is for everything, and not for a backup code only
	grantEnd about
	epoch    int
	fresh    about

	failures     int
	lockedUntil  about
	days         map[int64]int
	suspended    bool
	wrongBackups int
	backupsUntil about
	spent        []spentOnce
	signIn       *operation // the newest
	signedInAt   about
	answered     *operation // the newest under an Idempotency-Key
	answeredAt   about
	begun        []*operation // set-ups

	// of the decision under way
	now    time.Time
	give   time.Duration // how far off now may be
	coin   coin
	events []string
}

// about is a time, and how far off it may be: of a write by a server whose clock is behind, the history does not tell it.
type about struct {
	time.Time
	give time.Duration
}

func (a about) add(d time.Duration) about { return about{a.Add(d), a.give} }

// setUp is an authenticator since it was begun. Its id is not known until somebody was told.
type setUp struct {
	op       *operation
	id       string
	at       about
	own      bool // it brings a backup code
	again    bool // its operation had begun one before, whose id may be the one that was told
	grant    *operation
	failures int
	burned   []int64
	replays  int
}

// issued is a backup code: of a set-up, or of the operation that made it.
type issued struct {
	by *setUp
	op *operation
}

type spentOnce struct {
	challenge *challenge
	until     about
}

// coin is what cannot be told from outside: it is tossed both ways.
type coin struct{ late, stale, other bool }

var coins = []coin{
	{}, {late: true}, {stale: true}, {late: true, stale: true},
	{other: true}, {other: true, late: true}, {other: true, stale: true}, {other: true, late: true, stale: true},
}

const (
	wholeStep    = 30
	tenMinutes   = 10 * time.Minute
	quarter      = 15 * time.Minute
	ok           = "ok"
	withBackup   = " backup"
	withGrant    = " grant"
	withEvidence = " assertion"
)

func (m modelled) clone() *modelled {
	m.burned, m.spent, m.days, m.events = slices.Clone(m.burned), slices.Clone(m.spent), maps.Clone(m.days), nil
	if m.pending != nil {
		p := *m.pending
		p.burned = slices.Clone(p.burned)
		m.pending = &p
	}
	return &m
}

// in is a time from now.
func (m *modelled) in(d time.Duration) about { return about{m.now.Add(d), m.give} }

// past says whether a time has come. Where it cannot be known, the coin says so.
func (m *modelled) past(until about) bool {
	if m.now.Sub(until.Time).Abs() < until.give+m.give {
		return m.coin.late
	}
	return !m.now.Before(until.Time)
}

func (m *modelled) happens(what twofactor.EventType, outcome twofactor.Outcome) {
	m.events = append(m.events, fmt.Sprint(what, " ", outcome))
}

// passes is what time does to an account by itself.
func (m *modelled) passes() {
	if m.pending != nil && m.past(m.pending.at.add(quarter)) {
		m.lapses()
	}
	if m.grant != nil && m.past(m.grantEnd) {
		m.grant = nil
	}
	if m.signIn != nil && m.past(m.signedInAt.add(tenMinutes)) {
		m.signIn = nil
	}
	if m.answered != nil && m.past(m.answeredAt.add(tenMinutes)) {
		m.answered = nil
	}
	m.spent = slices.DeleteFunc(m.spent, func(s spentOnce) bool { return m.past(s.until) })
}

func (m *modelled) lapses() {
	m.pending = nil
	if m.by != nil {
		m.happens(twofactor.EventReplacementLapsed, twofactor.Succeeded)
	}
}

// decides says what an attempt is told at a moment, and leaves the account as it is then.
func (m *modelled) decides(a *attempt, now time.Time, coin coin) (verdict string) {
	m.now, m.coin = now, coin
	m.passes()
	o := a.op
	switch o.kind {
	case kindNothing:
		return ""
	case kindVerify:
		return m.verify(o)
	case kindBackup:
		return m.backupSignIn(o)
	case kindCheck:
		return m.check(o)
	case kindRotate:
		return m.rotate(o)
	case kindRevoke:
		return m.revoke(o)
	case kindDisable:
		return m.disable(o)
	case kindEnroll:
		return m.enroll(a)
	case kindConfirm:
		return m.confirm(o)
	case kindPassword:
		m.epoch++
		m.failures, m.lockedUntil, m.wrongBackups, m.backupsUntil = 0, about{}, 0, about{}
		m.grant, m.spent, m.signIn, m.answered, m.fresh = nil, nil, nil, nil, m.in(0)
		m.happens(twofactor.EventPasswordChanged, twofactor.Succeeded)
		if m.pending != nil {
			m.lapses()
		}
		return ok
	case kindUnlock:
		m.unlocked()
		m.wrongBackups, m.backupsUntil = 0, about{}
		m.happens(twofactor.EventUnlocked, twofactor.Succeeded)
		return ok
	case kindChallenge:
		if m.by != nil {
			return "required"
		}
		return "not required"
	}
	panic(o.kind)
}

// refuses is the throttle of authenticator codes.
func (m *modelled) refuses() string {
	switch {
	case m.suspended:
		return string(api.CodeSuspended)
	case !m.lockedUntil.IsZero() && !m.past(m.lockedUntil):
		return string(api.CodeLocked)
	}
	return ""
}

func (m *modelled) unlocked() {
	m.failures, m.lockedUntil, m.days, m.suspended = 0, about{}, map[int64]int{}, false
}

// wrong counts a wrong code.
func (m *modelled) wrong(as twofactor.EventType) {
	m.happens(as, twofactor.Failed)
	m.failures++
	m.days[m.now.Unix()/86400]++
	if m.failures >= 5 {
		m.lockedUntil = m.in(min(time.Minute<<min(m.failures-5, 20), time.Hour))
		m.happens(twofactor.EventLocked, twofactor.Succeeded)
	}
	if m.inMonth() >= 100 {
		m.suspended = true
		m.happens(twofactor.EventSuspended, twofactor.Succeeded)
	}
}

func (m *modelled) inMonth() (n int) {
	for day, failures := range m.days {
		if day > m.now.Unix()/86400-31 {
			n += failures
		}
	}
	return n
}

// found is the step that a code belongs to: one of the window, else the nearest within ten minutes.
func (m *modelled) found(s *setUp, code string) (step int64, inWindow, found bool) {
	present := m.now.Unix() / wholeStep
	for _, off := range []int64{1, 0, -1} {
		if m.codeOf(s, present+off) == code {
			return present + off, true, true
		}
	}
	for off := int64(2); off <= 20; off++ {
		for _, step := range []int64{present + off, present - off} {
			if m.codeOf(s, step) == code {
				return step, false, true
			}
		}
	}
	return 0, false, false
}

// compares judges a code: right, spent, drift or wrong. One that is told to be of a step that can still come is burned.
func (m *modelled) compares(s *setUp, last int64, burned *[]int64, code string) (finding string, step int64) {
	present := m.now.Unix() / wholeStep
	step, inWindow, found := m.found(s, code)
	burnt := slices.Contains(*burned, step)
	switch {
	case !found:
		return "wrong", 0
	case inWindow && (step <= last || burnt), !inWindow && (step == last || burnt):
		return "spent", step
	case inWindow:
		return "right", step
	case step >= present-2:
		*burned = slices.DeleteFunc(*burned, func(s int64) bool { return s < present-2 })
		if len(*burned) >= 20 {
			return "wrong", 0
		}
		*burned = append(*burned, step)
	}
	return "drift", step
}

func (m *modelled) off(step int64) int64 { return (step - m.now.Unix()/wholeStep) * wholeStep }

func (m *modelled) refused(finding string, step int64, remaining int) string {
	if finding == "drift" {
		return fmt.Sprintf("%s %d drift %d", api.CodeInvalidCode, remaining, m.off(step))
	}
	return fmt.Sprintf("%s %d", api.CodeInvalidCode, remaining)
}

func (m *modelled) remaining() int { return max(0, min(5-m.failures, 100-m.inMonth())) }

// spends accepts a code, once, or says why not.
func (m *modelled) spends(code string, as twofactor.EventType) (refused string) {
	finding, step := m.compares(m.by, m.last, &m.burned, code)
	switch finding {
	case "right":
		m.last, m.replays, m.failures, m.lockedUntil = step, 0, 0, about{}
		m.burned = slices.DeleteFunc(m.burned, func(s int64) bool { return s <= step })
		return ""
	case "spent":
		if m.replays < 4 {
			m.replays++
			m.happens(twofactor.EventCodeReused, twofactor.Failed)
		}
		return string(api.CodeCodeReused)
	}
	m.wrong(as)
	return m.refused(finding, step, m.remaining())
}

// mayUse says whether the challenge was made for the account as it is. Of one that was made while the password was changed
// the coin says so.
func (m *modelled) mayUse(c *challenge) bool {
	if c.epochs[0] <= m.epoch && m.epoch <= c.epochs[1] {
		return c.epochs[0] == c.epochs[1] || !m.coin.stale
	}
	return false
}

func (m *modelled) used(c *challenge) bool {
	return slices.ContainsFunc(m.spent, func(s spentOnce) bool { return s.challenge == c }) || m.past(about{Time: c.ends})
}

// again is the answer to the newest sign-in, sent again.
func (m *modelled) again(o *operation) (verdict string, again bool) {
	if m.signIn != o {
		return "", false
	}
	verdict = ok
	if !m.past(about{m.signedInAt.Truncate(time.Second).Add(time.Minute), m.signedInAt.give}) {
		verdict += withEvidence
	}
	if m.backup != nil && m.backup.op == o {
		verdict += withBackup
	}
	if verdict == ok {
		return string(api.CodeChallengeExpired), true
	}
	if m.grant == o {
		verdict += withGrant
	}
	return verdict, true
}

func (m *modelled) signsIn(o *operation) {
	m.signIn, m.signedInAt = o, m.in(0)
	until := m.in(tenMinutes)
	if o.challenge.ends.After(until.Time) {
		until.Time = o.challenge.ends
	}
	m.spent = append(m.spent, spentOnce{o.challenge, until.add(time.Minute)})
}

func (m *modelled) verify(o *operation) string {
	if !m.mayUse(o.challenge) {
		return string(api.CodeChallengeExpired)
	}
	if refused := m.refuses(); refused != "" {
		return refused
	}
	if verdict, again := m.again(o); again {
		return verdict
	}
	switch {
	case m.signIn != nil && m.signIn.kind == kindVerify && m.signIn.challenge == o.challenge:
		m.wrong(twofactor.EventLogin) // another code on the challenge of the newest sign-in
		return string(api.CodeChallengeExpired)
	case m.used(o.challenge):
		return string(api.CodeChallengeExpired)
	case len(m.spent) >= 40:
		return string(api.CodeLocked)
	case m.by == nil:
		return string(api.CodeNotEnabled)
	}
	if refused := m.spends(o.code, twofactor.EventLogin); refused != "" {
		return refused
	}
	m.happens(twofactor.EventLogin, twofactor.Succeeded)
	m.signsIn(o)
	return ok + withEvidence
}

func (m *modelled) backupSignIn(o *operation) string {
	if !m.mayUse(o.challenge) {
		return string(api.CodeChallengeExpired)
	}
	if verdict, again := m.again(o); again {
		return verdict
	}
	switch {
	case !m.backupsUntil.IsZero() && !m.past(m.backupsUntil):
		return string(api.CodeLocked)
	case m.used(o.challenge):
		return string(api.CodeChallengeExpired)
	case m.by == nil:
		return string(api.CodeNotEnabled)
	case m.backup == nil:
		return string(api.CodeNoBackupCode)
	case len(m.spent) >= 40:
		return string(api.CodeLocked)
	case m.backupCode(m.backup) != o.code:
		m.happens(twofactor.EventLogin, twofactor.Failed)
		if m.wrongBackups++; m.wrongBackups >= 5 {
			m.backupsUntil = m.in(time.Minute)
		}
		if m.wrongBackups == 5 {
			m.happens(twofactor.EventLocked, twofactor.Succeeded)
		}
		return m.refused("wrong", 0, max(0, 5-m.wrongBackups))
	}
	m.happens(twofactor.EventBackupCodeUsed, twofactor.Succeeded)
	m.happens(twofactor.EventLogin, twofactor.Succeeded)
	m.fresh = m.in(0)
	m.renews(&issued{op: o})
	m.signsIn(o)
	m.grants(o, true)
	return ok + withEvidence + withBackup + withGrant
}

// renews puts a new backup code in the place of the old one.
func (m *modelled) renews(code *issued) {
	m.backup, m.wrongBackups, m.backupsUntil = code, 0, about{}
	if m.pending != nil {
		m.pending.own = false
	}
	m.happens(twofactor.EventBackupCodeIssued, twofactor.Succeeded)
}

// grants opens a grant in the place of an earlier one.
func (m *modelled) grants(o *operation, all bool) {
	m.drops()
	m.grant, m.grantAny, m.grantEnd = o, all, m.in(quarter)
}

func (m *modelled) drops() {
	m.grant = nil
	if m.pending != nil && m.pending.grant != nil {
		m.lapses()
	}
}

func (m *modelled) check(o *operation) string {
	if m.by == nil {
		return string(api.CodeNotEnabled)
	}
	if refused := m.refuses(); refused != "" {
		return refused
	}
	finding, step := m.compares(m.by, m.last, &m.burned, o.code)
	near := step - m.now.Unix()/wholeStep
	switch {
	case finding == "right":
		m.happens(twofactor.EventCheck, twofactor.Succeeded)
		return fmt.Sprintf("valid %d", m.off(step))
	case finding == "spent" && -1 <= near && near <= 1:
		m.happens(twofactor.EventCheck, twofactor.Succeeded)
		return fmt.Sprintf("valid %d spent", m.off(step))
	case finding == "spent":
		m.happens(twofactor.EventCheck, twofactor.Failed)
		return m.refused("drift", step, m.remaining())
	}
	m.wrong(twofactor.EventCheck)
	return m.refused(finding, step, m.remaining())
}

func (m *modelled) remembers(o *operation) {
	m.answered, m.answeredAt = nil, m.in(0)
	if o.request.key != "" {
		m.answered = o
	}
}

func (m *modelled) rotate(o *operation) string {
	if m.by == nil {
		return string(api.CodeNotEnabled)
	}
	if refused := m.refuses(); refused != "" && o.grant == nil {
		return refused
	}
	if m.answered == o && m.backup != nil && m.backup.op == o {
		return ok + withBackup
	}
	if o.grant != nil && (m.grant != o.grant || m.past(m.grantEnd)) {
		return string(api.CodeGrantExpired)
	}
	if m.backup != nil && m.revokeFirst {
		return string(api.CodePolicyForbids)
	}
	if o.grant != nil {
		m.drops()
	} else if refused := m.spends(o.code, twofactor.EventCodeRefused); refused != "" {
		return refused
	}
	m.renews(&issued{op: o})
	m.remembers(o)
	return ok + withBackup
}

func (m *modelled) revoke(o *operation) string {
	switch {
	case !m.revokeFirst:
		return string(api.CodePolicyForbids)
	case m.by == nil:
		return string(api.CodeNotEnabled)
	}
	if refused := m.refuses(); refused != "" {
		return refused
	}
	switch {
	case m.answered == o && m.grant == o:
		return ok + withGrant
	case m.backup == nil:
		return string(api.CodeNoBackupCode)
	}
	if refused := m.spends(o.code, twofactor.EventCodeRefused); refused != "" {
		return refused
	}
	m.backup = nil
	m.happens(twofactor.EventBackupCodeRevoked, twofactor.Succeeded)
	m.remembers(o)
	m.grants(o, false)
	return ok + withGrant
}

func (m *modelled) disable(o *operation) string {
	if refused := m.refuses(); refused != "" {
		return refused
	}
	switch {
	case m.by == nil && m.answered == o:
		return ok
	case m.by == nil:
		return string(api.CodeNotEnabled)
	}
	if refused := m.spends(o.code, twofactor.EventCodeRefused); refused != "" {
		return refused
	}
	m.by, m.pending, m.backup, m.grant, m.signIn = nil, nil, nil, nil, nil
	m.unlocked()
	m.wrongBackups, m.backupsUntil = 0, about{}
	m.happens(twofactor.EventDisabled, twofactor.Succeeded)
	m.remembers(o)
	return ok
}

// enroll begins a set-up: the first one, or, with a code or a grant, another in the place of what is in force.
func (m *modelled) enroll(a *attempt) string {
	o := a.op
	replaces := o.code != "" || o.grant != nil
	switch {
	case replaces && m.by == nil:
		return string(api.CodeNotEnabled)
	case replaces && o.grant == nil:
		if refused := m.refuses(); refused != "" {
			return refused
		}
	case !replaces && m.by != nil:
		return string(api.CodeAlreadyEnabled)
	case !replaces:
		age := m.now.Sub(a.signedIn)
		before := a.signedIn.Unix() < m.fresh.Unix()
		if m.fresh.give > 0 && m.fresh.Sub(a.signedIn).Abs() < m.fresh.give+time.Second {
			before = m.coin.late
		}
		if age < -time.Minute || age > quarter || before {
			return string(api.CodeReauthenticate)
		}
	}
	if m.pending != nil && m.pending.op == o && o.request.key != "" {
		return m.shows(m.pending, a)
	}
	switch {
	case o.grant != nil:
		if m.grant != o.grant || m.past(m.grantEnd) || !m.grantAny {
			return string(api.CodeGrantExpired)
		}
	case replaces:
		if refused := m.spends(o.code, twofactor.EventCodeRefused); refused != "" {
			return refused
		}
	}
	m.pending = &setUp{op: o, at: m.in(0), own: m.backup == nil, again: slices.Contains(m.begun, o), grant: o.grant}
	m.begun = append(slices.Clone(m.begun), o)
	m.happens(twofactor.EventEnrollmentStarted, twofactor.Succeeded)
	return m.shows(m.pending, a)
}

// shows tells what a set-up is, which has the id that its caller was told.
func (m *modelled) shows(s *setUp, a *attempt) string {
	if s.id == "" {
		s.id = a.told.EnrollmentID
	}
	verdict := ok + " " + s.id
	if s.own {
		verdict += withBackup
	}
	return verdict
}

func (m *modelled) confirm(o *operation) string {
	if m.answered == o {
		if refused := m.refuses(); refused != "" {
			return refused
		}
		if m.by != nil {
			if m.backup != nil && m.backup.op == o {
				return ok + withBackup
			}
			return ok
		}
	}
	switch p := m.pending; {
	case p == nil:
		return string(api.CodeEnrollmentExpired)
	case p.id == "" && p.op.ids[o.enrolment] && (!p.again || !m.coin.other): // its first answer was lost, a later one was not
		p.id = o.enrolment
	case p.id != o.enrolment:
		return string(api.CodeEnrollmentReplaced)
	}
	p := m.pending
	finding, step := m.compares(p, 0, &p.burned, o.code)
	switch finding {
	case "spent":
		if p.replays < 4 {
			p.replays++
			m.happens(twofactor.EventCodeReused, twofactor.Failed)
		}
		return string(api.CodeCodeReused)
	case "right":
		return m.activates(o, step)
	}
	p.failures++
	m.happens(twofactor.EventCodeRefused, twofactor.Failed)
	if p.failures >= 10 {
		m.lapses()
	}
	return m.refused(finding, step, 10-p.failures)
}

func (m *modelled) activates(o *operation, step int64) string {
	p, what, verdict := m.pending, twofactor.EventEnabled, ok
	if m.by != nil {
		what = twofactor.EventReplaced
	}
	if p.grant != nil {
		if m.refuses() != "" {
			m.happens(twofactor.EventUnlocked, twofactor.Succeeded)
		}
		m.unlocked()
	}
	m.by, m.last, m.replays, m.pending, m.grant = p, step, 0, nil, nil
	m.burned = slices.DeleteFunc(p.burned, func(s int64) bool { return s <= step })
	m.happens(what, twofactor.Succeeded)
	switch {
	case m.backup != nil:
	case p.own:
		m.renews(&issued{by: p})
	default:
		m.renews(&issued{op: o})
		verdict += withBackup
	}
	m.remembers(o)
	return verdict
}

// backupCode is a code as somebody was told it, or nothing.
func (m *modelled) backupCode(i *issued) string {
	if i.by != nil {
		return m.setUps[i.by.id].backup
	}
	return i.op.backup
}

// codeOf is the code of a set-up at a step, or nothing while nobody knows its secret.
func (m *modelled) codeOf(s *setUp, step int64) string {
	secret := m.setUps[s.id].secret
	if secret == "" {
		return ""
	}
	return m.codes.at(secret, step)
}

func plainBackup(code string) string { return strings.ReplaceAll(code, "-", "") }
