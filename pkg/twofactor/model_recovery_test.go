package twofactor

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// What a history does to recover. Its books are the ledger that the walk is held against.

func (m *model) seeEvent(e Event) {
	reach(string(e.Type))
	switch e.Type {
	case EventResetRequested, EventIdentityPassed, EventIdentityFailed, EventResetApproval, EventResetApproved, EventResetReturned,
		EventResetDenied, EventResetCanceled, EventResetReady, EventResetCompleted, EventResetExpired, EventMailRequested:
		m.recorded = append(m.recorded, e.Type)
	}
}

// seeStored has time do to the books what it has done to the account.
func (m *model) seeStored() {
	m.wanted = append(m.wanted, m.ledger.happened...)
	m.ledger = m.ledger.next(m.now)
	m.storedAt = m.now
}

// view is the recovery as it stands now, stored or not.
func (m *model) view() *ledger { return m.ledger.next(m.now) }

func (m *model) agreeOnRecovery(action string) {
	if err := m.ledger.differs(m.account, m.storedAt); err != nil {
		m.t.Fatalf("after %s: %v", action, err)
	}
	m.wanted = append(m.wanted, m.ledger.happened...)
	if !slices.Equal(m.recorded, m.wanted) {
		m.t.Fatalf("after %s: recorded %v, want %v", action, m.recorded, m.wanted)
	}
	m.recorded, m.wanted, m.ledger.happened = nil, nil, nil
}

func (m *model) recoveryPolicy(p *Policy) {
	p.Recovery = pick(m.t, "recovery", IdentityReview, IdentityReview, IdentityReview, p.Recovery)
	p.Reviewers = pick(m.t, "reviewers", 1, 1, 2)
	p.ResetWait = Duration(pick(m.t, "reset_wait", 0, day24))
	if p.BackupUse != Disable2FA {
		p.Enforcement = pick(m.t, "enforcement", p.Enforcement, Required)
	}
}

// recover goes on with a recovery, most often to its end.
func (m *model) recover() {
	switch v := m.view(); v.state {
	case "identity_pending":
		if m.click(); m.view().begun {
			m.learn(pick(m.t, "outcome", IdentityPassed, IdentityPassed, IdentityPassed, IdentityPassed, IdentityFailed), false)
		}
	case "in_review":
		approve, by := DecisionApprove, pick(m.t, "reviewer", reviewer1, reviewer2)
		m.decide(by, pick(m.t, "decision", approve, approve, approve, approve, approve, approve, DecisionDeny, DecisionRetryIdentity), false)
	case "approved":
		m.now = latest(m.now, v.effective)
		m.lapse()
		m.sweep()
	case "ready":
		of := slices.IndexFunc(m.challenges, func(c *modelChallenge) bool { return m.challengeStands(c, PurposeEnroll) })
		switch {
		case of < 0:
			m.verifyLink(m.fresh(), m.tokenOf(LinkSignIn, 0), true)
		case m.pendingLink:
			pick(m.t, "before that", m.guess, m.bounce, func() { m.verifyCode(m.fresh(), m.rightCode()) }, func() {}, func() {}, func() {})()
			m.confirmWith(m.pendingCode(), m.challenges[of])
		default:
			m.enrollWith(m.challenges[of])
		}
	default:
		m.askForReset()
	}
}

func (m *model) askForReset() {
	c := m.fresh()
	if pick(m.t, "old challenge", true, false, false, false) {
		c = m.drawChallenge()
	}
	ch := c.Challenge
	if pick(m.t, "subject", true, true, false) {
		ch.Subject = &Subject{Name: "Alice Doe"}
	}
	m.resets++
	was := m.view()
	_, err := apply(m.world, func(a *Account) (ResetRequested, error) {
		return m.rules.RequestReset(a, RequestReset{Request: m.request(), Challenge: ch, ID: fmt.Sprint("reset ", m.resets), Reference: "R-7K4Q"}, m.now)
	})
	switch {
	case !m.challengeStands(c, PurposeVerify):
		m.expired("reset-request", err)
	case m.rules.Policy.Recovery != IdentityReview:
		if !isErr[*Forbidden](err) {
			m.t.Fatalf("reset-request where there is none: %v", err)
		}
	case m.live == nil:
		if !errors.Is(err, ErrNotEnabled) {
			m.t.Fatalf("reset-request while off: %v", err)
		}
	case !was.isOpen() && was.tooMany(m.now):
		if !isErr[*ResetLimit](err) {
			m.t.Fatalf("one reset too many: %v", err)
		}
		reach("reset limit")
	default:
		m.must(err)
		if m.stored {
			m.ledger.step("asked", m.now)
		}
		if !was.isOpen() {
			m.ledger.subject = ch.Subject != nil
		}
	}
}

// tokenOf is the token of a link to the reset, good or not, of a round that is so many later.
func (m *model) tokenOf(purpose LinkPurpose, rounds int64) string {
	if m.account.Reset == nil {
		return "nothing.AAAAAAAAAAAAAAAAAAAAAA"
	}
	reset := *m.account.Reset
	reset.Round += rounds
	token, err := m.rules.link(&Account{User: alice, Incarnation: m.account.Incarnation, Reset: &reset}, purpose)
	m.must(err)
	return token
}

func (m *model) linkExpired(what string, err error) {
	if !errors.Is(err, ErrLinkExpired) {
		m.t.Fatalf("%s with a link that is for nothing: %v", what, err)
	}
	reach("link tried in vain")
}

func (m *model) click() {
	v, token := m.view(), m.tokenOf(LinkIdentity, 0)
	check, err := apply(m.world, func(a *Account) (IdentityCheck, error) { return m.rules.IdentityCheck(a, token) })
	if v.state != "identity_pending" {
		m.linkExpired("click", err)
		return
	}
	m.must(err)
	if (check.Inquiry != "") != v.begun {
		m.t.Fatalf("inquiry %q; begun: %v", check.Inquiry, v.begun)
	}
	if check.Inquiry == "" {
		check.Inquiry = fmt.Sprint(check.ResetID, ", inquiry ", check.Attempt)
		m.must(m.act(func(a *Account) error { return m.rules.InquiryBegun(a, check) }))
		m.ledger.step("inquiry begun", m.now)
	}
}

func (m *model) learnIdentity() {
	m.learn(pick(m.t, "outcome", IdentityOpen, IdentitySubmitted, IdentityPassed, IdentityFailed, IdentityLapsed), pick(m.t, "another", true, false, false))
}

func (m *model) learn(outcome IdentityOutcome, another bool) {
	result := IdentityResult{Outcome: outcome, Person: Person{Name: "Alice Doe"}}
	if s := m.account.Reset; s != nil {
		result.ResetID, result.Inquiry = s.ID, s.Inquiry
	}
	if another {
		result.Inquiry += "0"
	}
	v := m.view()
	m.must(m.act(func(a *Account) error { return m.rules.IdentityResult(a, result, m.now) }))
	if v.isOpen() && v.begun && !another && m.stored {
		m.ledger.step(string(outcome), m.now)
	}
}

func (m *model) review() {
	m.decide(pick(m.t, "reviewer", reviewer1, reviewer2, alice), pick(m.t, "decision", DecisionApprove, DecisionApprove, DecisionDeny, DecisionStop, DecisionRetryIdentity),
		pick(m.t, "stale", true, false, false))
}

func (m *model) decide(by UserID, d Decision, stale bool) {
	v, shown := m.view(), m.account.next("shown", time.Time{}, m.now)
	req := Review{Request: m.request(), Reviewer: Reviewer{User: by}, Decision: d, IdentityMatches: true, ReasonCode: "other"}
	if s := shown.Reset; s != nil {
		req.ResetID, req.CaseVersion = s.ID, s.CaseVersion
	}
	if stale {
		req.CaseVersion--
	}
	_, err := apply(m.world, func(a *Account) (Reviewed, error) { return m.rules.Review(a, req, m.now) })
	want := ErrCaseChanged
	switch {
	case v.state == none:
		want = ErrNoReset
	case by == alice:
		want = ErrOwnCase
	case stale:
	case d == DecisionStop && v.isOpen(), v.state == "in_review" && (d != DecisionApprove || !slices.Contains(v.approvals, by)):
		m.must(err)
		if d == DecisionApprove {
			m.ledger.approvals = append(m.ledger.approvals, by)
		}
		m.ledger.step(map[Decision]string{DecisionApprove: "approved", DecisionDeny: "denied", DecisionStop: "stopped", DecisionRetryIdentity: "check again"}[d], m.now)
		return
	}
	if !errors.Is(err, want) {
		m.t.Fatalf("%s while %s: %v, want %v", d, v.state, err, want)
	}
}

func (m *model) bounce() {
	m.must(m.act(func(a *Account) error { return m.rules.NoticeBounced(a, idOf(m.account), m.now) }))
	if m.stored {
		m.ledger.step("bounced", m.now)
	}
}

func (m *model) cancel() {
	isOpen, token := m.view().isOpen(), m.tokenOf(pick(m.t, "link", linkPurposes...), 0)
	var err error
	if pick(m.t, "by link", true, false) {
		if err = m.act(func(a *Account) error { return m.rules.CancelByLink(a, m.request(), token, m.now) }); !isOpen {
			m.linkExpired("cancel", err)
		}
	} else if err = m.act(func(a *Account) error { return m.rules.CancelReset(a, m.request(), m.now) }); !isOpen && !errors.Is(err, ErrNoReset) {
		m.t.Fatalf("nothing to cancel: %v", err)
	}
	if isOpen {
		m.must(err)
		m.ledger.step("canceled", m.now)
	}
}

func (m *model) sweep() {
	m.must(m.act(func(a *Account) error { return m.rules.Sweep(a, m.now) }))
	if m.stored {
		m.ledger.step("swept", m.now)
	}
}

func (m *model) useLink() {
	round := pick[int64](m.t, "round", 0, -1)
	purpose := pick(m.t, "purpose", LinkSignIn, LinkSignIn, LinkCancel, LinkIdentity)
	if round != 0 && m.account.Reset.Open() {
		reach("link of another round")
	}
	m.verifyLink(m.drawChallenge(), m.tokenOf(purpose, round), purpose == LinkSignIn && round == 0)
}

// verifyLink signs in with a mailed link; right, if it is the one that was mailed last.
func (m *model) verifyLink(c *modelChallenge, token string, right bool) {
	v := m.view()
	again := m.repeats(c, PurposeVerify, MethodResetLink, token)
	stands := m.challengeStands(c, PurposeVerify)
	got, err := m.verify(c.Challenge, MethodResetLink, token)
	switch {
	case again:
		m.repeated(c, got, err)
	case !stands:
		m.expired("link", err)
	case m.rules.Policy.Recovery != IdentityReview:
		if !isErr[*Forbidden](err) {
			m.t.Fatalf("link where there is none: %v", err)
		}
	case v.state != "ready" || !right:
		m.linkExpired("sign-in", err)
	case m.rules.Policy.Enforcement == Required:
		m.must(err)
		if got.Assertion != nil || got.Enroll == nil || m.account.Reset.State != ResetReady && m.stored {
			m.t.Fatalf("a link where 2FA is required: %+v", got)
		}
		m.challenges = append(m.challenges, &modelChallenge{Challenge: *got.Enroll, era: m.era, link: true, opened: v.deaths})
	default:
		m.must(err)
		m.ledger.step("signed in with the link", m.now)
		m.off()
		m.freshSince = m.now
		m.succeeded(c, MethodResetLink, token, got)
		reach("completed where optional")
	}
}

// linkStands says whether what a link has opened is still for something.
func (m *model) linkStands(c *modelChallenge) bool {
	v := m.view()
	return v.state == "ready" && v.deaths == c.opened
}
