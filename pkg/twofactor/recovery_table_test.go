package twofactor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// What recovery.md says, as a table: written from that page, and not from the rules.

// ledger is what the page knows of an account and its reset. It is kept beside an account, and shares no code with it.
type ledger struct {
	facts
	approvals      []UserID
	reviews, mails []time.Time // that count against the limits
	happened       []EventType // in the last step, to the reset
}

type facts struct {
	policy Policy
	on     bool // 2FA

	state                       string // none, or that of the reset
	entered, expires, effective time.Time
	mailed, reminded            time.Time
	tries                       int
	begun, submitted            bool // the identity check
	counted, bounced            bool
	subject, identity           bool

	addressChanged time.Time
	setUp          string // none, by link, replacement
	setUpBegun     time.Time
	heldUntil      time.Time // the challenge that the link has opened; zero: it is dead

	deaths int // how often what the link has opened has died

	linkDied, caseChanged bool // in the last step
}

// same says whether nothing has happened since.
func (l *ledger) same(o *ledger) bool {
	return l.facts == o.facts && len(l.happened) == len(o.happened) && slices.Equal(l.approvals, o.approvals) &&
		len(l.reviews) == len(o.reviews) && len(l.mails) == len(o.mails)
}

// copy shares nothing that either changes.
func (l *ledger) copy() *ledger {
	c := *l
	c.approvals, c.reviews, c.mails, c.happened = slices.Clip(l.approvals), slices.Clip(l.reviews), slices.Clip(l.mails), slices.Clip(l.happened)
	return &c
}

const (
	none = "none"
	open = "identity_pending in_review approved ready"
	shut = "completed denied canceled expired"
	same = "="
)

// row is: in one of these states, this leads to that one, if this is so; and this is recorded.
type row struct {
	from, event string
	when        func(l *ledger, now time.Time) bool
	to          string
	happens     string // the history; a mail again is "mail"
	also        func(l *ledger, now time.Time)
}

var table = []row{
	{none + " " + shut, "asked", nil, "identity_pending", "reset_requested", (*ledger).opened},
	{open, "asked", mailDue, same, "mail", (*ledger).mailedAgain},

	{"identity_pending", "inquiry begun", nil, same, "", func(l *ledger, _ time.Time) { l.begun = true }},
	{"identity_pending", "submitted", isNew, same, "", func(l *ledger, now time.Time) { l.submitted, l.expires = true, now.Add(14*day24) }},
	{"identity_pending", "lapsed", pastItsTime, "expired", "reset_expired", nil},
	{"identity_pending", "lapsed", nil, same, "", (*ledger).lapsed},
	{"identity_pending", "passed", nil, "in_review", "identity_passed", (*ledger).passed},
	{"identity_pending", "failed", lastTry, "expired", "identity_failed reset_expired", nil},
	{"identity_pending", "failed", nil, same, "identity_failed", (*ledger).failedTry},
	{"in_review approved ready", "failed", lastTry, "expired", "reset_returned identity_failed reset_expired", nil},
	{"in_review approved ready", "failed", nil, "identity_pending", "reset_returned identity_failed", (*ledger).failedTry},

	{"in_review", "approved", oneOfTwo, same, "reset_approval", func(l *ledger, _ time.Time) { l.caseChanged = true }},
	{"in_review", "approved", noWait, "ready", "reset_approved reset_ready", nil},
	{"in_review", "approved", nil, "approved", "reset_approved", nil},
	{"in_review", "denied", nil, "denied", "reset_denied", nil},
	{"in_review", "check again", nil, "identity_pending", "reset_returned", func(l *ledger, now time.Time) { l.tries = 3; l.mails = append(l.mails, now) }},
	{open, "stopped", nil, "canceled", "reset_canceled", nil},

	{"approved", "time", waitOver, "ready", "reset_ready", nil},
	{"identity_pending", "time", unanswered, "expired", "reset_expired", nil},
	{"in_review ready", "time", pastItsTime, "expired", "reset_expired", nil},
	{shut, "time", longClosed, none, "", nil},
	{"in_review", "swept", aDayWithout, same, "mail", func(l *ledger, now time.Time) { l.reminded = now }},

	{"approved ready", "bounced", nil, "in_review", "reset_returned", bounce},
	{"in_review", "bounced", firstBounceOfOne, same, "reset_returned", bounce},
	{"identity_pending in_review", "bounced", firstBounce, same, "", bounce},
	{"approved ready", "address", nil, "in_review", "reset_returned", moved},
	{"in_review", "address", halfApproved, same, "reset_returned", moved},
	{"identity_pending in_review", "address", nil, same, "", moved},
	{none + " " + shut, "address", nil, same, "", func(l *ledger, now time.Time) { l.addressChanged = now }},

	{open, "canceled", nil, "canceled", "reset_canceled", nil},
	{open, "proof of life", nil, "canceled", "reset_canceled", nil},
	{open, "removed", nil, "canceled", "reset_canceled", turnedOff},
	{none + " " + shut, "removed", nil, same, "", turnedOff},
	{open, "turned off", nil, "canceled", "reset_canceled", turnedOff},
	{none + " " + shut, "turned off", nil, same, "", turnedOff},
	{none + " " + open + " " + shut, "erased", nil, none, "", (*ledger).erased},

	{"ready", "signed in with the link", optional, "completed", "reset_completed", turnedOff},
	{"ready", "begun with the link", nil, same, "", func(l *ledger, now time.Time) { l.setUp, l.setUpBegun = "by link", now }},
	{"ready", "confirmed with the link", nil, "completed", "reset_completed", nil},
}

// rows are those of the table by event and state.
var rows = func() map[string][]row {
	all := map[string][]row{}
	for _, r := range table {
		for _, state := range strings.Fields(r.from) {
			all[r.event+" "+state] = append(all[r.event+" "+state], r)
		}
	}
	return all
}()

const day24 = 24 * time.Hour

// The conditions.

func isNew(l *ledger, _ time.Time) bool    { return !l.submitted }
func lastTry(l *ledger, _ time.Time) bool  { return l.tries == 1 }
func optional(l *ledger, _ time.Time) bool { return l.policy.Enforcement == Optional }
func oneOfTwo(l *ledger, _ time.Time) bool { return len(l.approvals) < l.needed() }
func halfApproved(l *ledger, _ time.Time) bool {
	return len(l.approvals) > 0
}
func firstBounce(l *ledger, _ time.Time) bool { return !l.bounced }
func firstBounceOfOne(l *ledger, _ time.Time) bool {
	return !l.bounced && len(l.approvals) > 0
}
func noWait(l *ledger, now time.Time) bool      { return !l.takesEffect(now).After(now) }
func waitOver(l *ledger, now time.Time) bool    { return !l.effective.After(now) }
func pastItsTime(l *ledger, now time.Time) bool { return !l.expires.After(now) }
func longClosed(l *ledger, now time.Time) bool  { return now.Sub(l.entered) > 14*day24 }
func aDayWithout(l *ledger, now time.Time) bool {
	return now.Sub(latest(l.entered, l.reminded)) >= day24
}

// unanswered: a check that was begun is asked after for another quarter of an hour.
func unanswered(l *ledger, now time.Time) bool {
	if l.begun {
		now = now.Add(-15 * time.Minute)
	}
	return !l.expires.After(now)
}

// mailDue: at most once in two minutes, and three with an identity link a day.
func mailDue(l *ledger, now time.Time) bool {
	return now.Sub(l.mailed) >= 2*time.Minute && (l.state != "identity_pending" || l.identityMails(now) < 3)
}

func (l *ledger) needed() int {
	if !l.subject {
		return 2
	}
	return l.policy.Reviewers
}

func (l *ledger) takesEffect(now time.Time) time.Time {
	at := now.Add(time.Duration(l.policy.ResetWait))
	if !l.addressChanged.IsZero() {
		at = latest(at, l.addressChanged.Add(time.Duration(l.policy.AddressHold)))
	}
	return at
}

func (l *ledger) identityMails(now time.Time) int { return countSince(l.mails, now, day24) }

// tooMany: three that reached review in thirty days.
func (l *ledger) tooMany(now time.Time) bool { return countSince(l.reviews, now, 30*day24) >= 3 }

// countSince counts as the account does, by the second.
func countSince(times []time.Time, now time.Time, age time.Duration) (n int) {
	for _, t := range times {
		if now.Before(t.Truncate(time.Second).Add(age)) {
			n++
		}
	}
	return n
}

// What else a row does.

func (l *ledger) opened(now time.Time) {
	l.tries, l.counted, l.bounced = 3, false, false
	if l.identityMails(now) < 3 {
		l.mails = append(l.mails, now)
		l.happened = append(l.happened, EventMailRequested)
	}
}

func (l *ledger) mailedAgain(now time.Time) {
	l.mailed = now
	if l.state == "identity_pending" {
		l.mails = append(l.mails, now)
	}
}

func (l *ledger) lapsed(now time.Time) {
	l.begun, l.submitted = false, false
	if again := now.Add(day24); again.Before(l.expires) {
		l.expires = again
	}
}

func (l *ledger) passed(now time.Time) {
	l.identity = true
	if !l.counted {
		l.counted = true
		l.reviews = append(l.reviews, now)
	}
}

func (l *ledger) failedTry(now time.Time) {
	l.tries--
	l.begun, l.submitted, l.caseChanged = false, false, true
	l.expires, l.mailed = now.Add(day24), now
	l.mails = append(l.mails, now)
}

func bounce(l *ledger, _ time.Time)    { l.bounced, l.approvals, l.caseChanged = true, nil, true }
func moved(l *ledger, now time.Time)   { l.addressChanged, l.approvals, l.caseChanged = now, nil, true }
func turnedOff(l *ledger, _ time.Time) { l.on, l.setUp = false, none }
func latest(a, b time.Time) time.Time  { return map[bool]time.Time{true: a, false: b}[a.After(b)] }

func (l *ledger) erased(_ time.Time) {
	*l = ledger{facts: facts{policy: l.policy, state: none, setUp: none}} // with all that is recorded
}

// leftBackwards: the sign-in link that was mailed is dead, and so is what it has opened.
func (l *ledger) leftBackwards(_ time.Time) {
	if l.state == "approved" || l.state == "ready" {
		l.linkDied = true
	}
	l.nothingOpened()
}

func (l *ledger) nothingOpened() {
	l.heldUntil = time.Time{}
	l.deaths++
	if l.setUp == "by link" {
		l.setUp = none
	}
}

// goTo enters a state.
func (l *ledger) goTo(state string, now time.Time) {
	switch state {
	case "identity_pending":
		l.leftBackwards(now)
		l.begun, l.submitted, l.identity, l.approvals = false, false, false, nil
		l.expires, l.effective = now.Add(day24), time.Time{}
	case "in_review":
		l.leftBackwards(now)
		l.approvals, l.effective, l.reminded = nil, time.Time{}, time.Time{}
		l.expires = now.Add(14 * day24)
	case "approved":
		l.effective = l.takesEffect(now)
	case "ready":
		l.expires = now.Add(14 * day24)
	default:
		l.subject, l.identity = false, false
		l.nothingOpened()
	}
	l.state, l.entered, l.mailed, l.caseChanged = state, now, now, true
}

// step has something happen. It reports whether the table has a row for it.
func (l *ledger) step(event string, now time.Time) bool {
	for _, r := range rows[event+" "+l.state] {
		if r.when != nil && !r.when(l, now) {
			continue
		}
		for _, what := range strings.Fields(r.happens) {
			if what == "mail" {
				what = string(EventMailRequested)
			}
			l.happened = append(l.happened, EventType(what))
		}
		if r.to != same {
			l.goTo(r.to, now)
		}
		if r.also != nil {
			r.also(l, now)
		}
		return true
	}
	return false
}

// next is a copy in which time has done what it does.
func (l *ledger) next(now time.Time) *ledger {
	n := l.copy()
	n.linkDied, n.caseChanged, n.happened = false, false, nil
	if n.setUp != none && now.Sub(n.setUpBegun) >= 15*time.Minute {
		n.setUp = none
	}
	n.step("time", now)
	return n
}

// differs says in what the account is not as the ledger has it.
func (l *ledger) differs(a *Account, now time.Time) error {
	var wrong []string
	is := func(what string, got, want any) {
		if got != want {
			wrong = append(wrong, fmt.Sprintf("%s %v, want %v", what, got, want))
		}
	}
	at := func(what string, got, want time.Time) {
		if !got.Equal(want) {
			wrong = append(wrong, fmt.Sprintf("%s %v, want %v", what, got, want))
		}
	}
	is("2FA on", a.Enabled(), l.on)
	is("reviews that count", len(recent(slices.Clone(a.ResetReviews), now, reviewDays)), countSince(l.reviews, now, 30*day24))
	is("mails that count", len(recent(slices.Clone(a.ResetMails), now, mailDay)), l.identityMails(now))
	setUp := none
	if p := a.Pending; p != nil && !p.expired(now) {
		setUp = map[bool]string{true: "replacement", false: "by link"}[p.Reset == (Digest{})]
	}
	is("set-up", setUp, l.setUp)
	if l.on {
		at("address changed", a.AddressChanged, l.addressChanged)
	}
	r := a.Reset
	if r == nil {
		is("state", none, l.state)
	} else {
		is("state", string(r.State), l.state)
		is("subject", r.Subject != nil, l.subject)
		is("identity", r.Identity != nil, l.identity)
		at("entered", r.EnteredAt, l.entered)
	}
	if r.Open() && len(wrong) == 0 {
		at("mailed", r.MailedAt, l.mailed)
		is("tries", r.TriesLeft, l.tries)
		is("bounced", r.Bounced, l.bounced)
		is("begun", r.Inquiry != "", l.begun)
		is("submitted", r.Submitted, l.submitted)
		is("approvals", fmt.Sprint(approvers(r)), fmt.Sprint(append([]UserID{}, l.approvals...)))
		if l.state == "approved" {
			at("effective", r.EffectiveAt, l.effective)
		} else {
			at("expires", r.ExpiresAt, l.expires)
		}
		if l.state == "in_review" {
			at("reminded", r.RemindedAt, l.reminded)
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%s", strings.Join(wrong, "; "))
	}
	return nil
}

func approvers(r *Reset) []UserID {
	all := []UserID{}
	for _, a := range r.Approvals {
		all = append(all, UserID(a.By))
	}
	return all
}
