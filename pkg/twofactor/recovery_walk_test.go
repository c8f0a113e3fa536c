package twofactor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestRecoveryWalk goes from every state of a recovery through every order of events, three steps deep, and holds each step
// against the table of recovery.md. What two ways have come to alike, as far as anything can tell, is gone on from once.
func TestRecoveryWalk(t *testing.T) {
	t.Parallel()
	depth := 3
	if raceDetector { // it finds nothing here, and takes ten times as long
		depth = 2
	}
	var states, transitions, orders atomic.Int64
	t.Run("under", func(t *testing.T) {
		for _, enforcement := range []Enforcement{Optional, Required} {
			for _, reviewers := range []int{1, 2} {
				for _, wait := range []time.Duration{0, day24} {
					p := Standard()
					p.Enforcement, p.Reviewers, p.ResetWait = enforcement, reviewers, Duration(wait)
					if enforcement == Optional && reviewers == 2 {
						p.BackupUse = Disable2FA
					}
					t.Run(fmt.Sprintf("%s, %d, %s", enforcement, reviewers, p.ResetWait), func(t *testing.T) {
						t.Parallel()
						w := &walker{T: t, rules: Rules{Policy: p, Keys: testKeys()}, seen: map[string]bool{}, wrong: map[string]string{}}
						orders.Add(int64(w.walk(depth)))
						states.Add(int64(len(w.seen)))
						transitions.Add(int64(w.transitions))
					})
				}
			}
		}
	})
	t.Logf("all: %d states, %d transitions, for %d orders of %d events", states.Load(), transitions.Load(), orders.Load(), depth)
}

// place is where a walk has come to.
type place struct {
	account *Account
	now     time.Time
	ledger  *ledger
	ticked  *ledger  // with what time has done; made when it is needed
	shown   *Account // likewise
	backup  string   // the backup code
	backup2 string   // of the set-up
	address mailbox
	held    *Challenge // that the link has last opened, dead or not
	from    *place     // and by what
	by      string

	happened []EventType // on the way from there, to the reset
	signedIn bool
	stored   bool
}

// mailbox is the address that the account has, and the one before, for as long as that is remembered.
type mailbox struct {
	now, before string
	until       time.Time
}

func (m *mailbox) next() string {
	if m.now == "a@example.com" {
		return "b@example.com"
	}
	return "a@example.com"
}

func (m *mailbox) move(now time.Time) {
	if m.now != "" {
		if !m.until.After(now) {
			m.before = m.now
		}
		m.until = now.Add(7 * day24)
	}
	m.now = m.next()
}

func (m *mailbox) has(address string, now time.Time) bool {
	return m.now == address || m.before == address && m.until.After(now)
}

// event is something that can happen anywhere.
type event struct {
	name string
	// do has it happen, and returns the rule's verdict.
	do func(w *walker, p *place) error
	// means has it happen in the ledger, and returns the verdict to expect, or several.
	means func(l *ledger, p *place) string
	signs bool // somebody in, if all goes well
}

// walker walks under one policy.
type walker struct {
	*testing.T
	rules       Rules
	seen        map[string]bool
	wrong       map[string]string // a code that is, by secret and time
	transitions int
}

// walk returns how many orders of events it has gone through.
func (w *walker) walk(depth int) int {
	places, events := w.begin(), allEvents(w.rules.Policy)
	begun, orders := len(places), len(places)
	for left := depth; left > 0; left-- {
		orders *= len(events)
		var next []*place
		for _, p := range places {
			for _, e := range events {
				if n := w.step(p, e); w.isNew(n) && left > 1 {
					next = append(next, n)
				}
			}
			p.account, p.ledger, p.ticked, p.shown = nil, nil, nil, nil // what remains is the way
		}
		places = next
	}
	w.Logf("%d states to begin with, %d events, %d orders of %d: %d states, %d transitions",
		begun, len(events), orders, depth, len(w.seen), w.transitions)
	return orders
}

// step has an event happen at a place, and holds what came of it against the table.
func (w *walker) step(from *place, e event) *place {
	w.transitions++
	p := *from
	p.from, p.by, p.happened, p.signedIn, p.stored, p.ticked, p.shown = from, e.name, nil, false, false, nil, nil
	err := e.do(w, &p)
	said := verdictOf(err)
	if isErr[*ResetLimit](err) {
		said = "limit"
	}
	if p.now != from.now {
		return &p // time alone does nothing yet
	}
	if from.ticked == nil {
		from.ticked = from.ledger.next(p.now)
	}
	l := from.ticked.copy()
	if want := e.means(l, &p); !slices.Contains(strings.Split(want, "|"), said) {
		w.fail(&p, "verdict %q, want %q", said, want)
	}
	if p.signedIn && !e.signs {
		w.fail(&p, "somebody got in")
	}
	if p.stored {
		p.ledger = l
		w.hold(&p)
	} else if !l.same(from.ticked) {
		w.fail(&p, "nothing was stored, of %v", l.happened)
	}
	return &p
}

func (w *walker) fail(p *place, format string, args ...any) {
	w.Helper()
	var way []string
	for ; p.from != nil; p = p.from {
		way = append([]string{p.by}, way...)
	}
	w.Fatalf("%s; then %s: %s", p.by, strings.Join(way, "; then "), fmt.Sprintf(format, args...))
}

// hold holds what a step has stored against the ledger, and against what must hold whatever the ledger says.
func (w *walker) hold(p *place) {
	w.Helper()
	a, before, l := p.account, p.from.account, p.ledger
	if err := l.differs(a, p.now); err != nil {
		w.fail(p, "%v", err)
	}
	if !slices.Equal(p.happened, l.happened) {
		w.fail(p, "recorded %v, want %v", p.happened, l.happened)
	}
	r, was := a.Reset, before.Reset
	erased := a.Incarnation != before.Incarnation
	if r != nil && was != nil && r.ID == was.ID {
		if (r.CaseVersion != was.CaseVersion) != l.caseChanged || r.CaseVersion < was.CaseVersion {
			w.fail(p, "case version %d after %d, want a new one: %v", r.CaseVersion, was.CaseVersion, l.caseChanged)
		}
		if r.Open() && (r.Round != was.Round) != l.linkDied || r.Round < was.Round {
			w.fail(p, "round %d after %d, want a new one: %v", r.Round, was.Round, l.linkDied)
		}
	}
	switch byLink := strings.HasPrefix(p.by, "right link: "); {
	case was.Open() && !erased && (r == nil || r.ID != was.ID) && !slices.Contains(p.happened, EventResetExpired):
		w.fail(p, "the reset is lost")
	case r.Open() && (!a.Enabled() || r.over(p.now) && r.State != ResetApproved || r.State == ResetApproved && !p.now.Before(r.EffectiveAt)):
		w.fail(p, "open: %+v, 2FA on: %v", r, a.Enabled())
	case r != nil && r.State == ResetCompleted && (was == nil || was.State != ResetCompleted) && !byLink:
		w.fail(p, "completed without its link")
	case before.Enabled() && !a.Enabled() && !erased && p.by != "operator removes" && w.rules.Policy.Enforcement == Required:
		w.fail(p, "a password alone")
	case r != nil && !r.Open() && (r.Subject != nil || r.Identity != nil):
		w.fail(p, "closed, and it still knows the person")
	case a.Pending != nil && a.Pending.Reset != (Digest{}) && (r == nil || r.State != ResetReady || a.Pending.Reset != r.mark()):
		w.fail(p, "a set-up of a reset that is not ready for it")
	case len(a.ResetReviews) > 3:
		w.fail(p, "%d reviews", len(a.ResetReviews))
	}
}

// act has a rule decide, as the service does.
func (w *walker) act(p *place, rule func(Rules, *Account) error) error {
	next := p.account.next("walk", time.Time{}, p.now)
	err := rule(w.rules, next)
	var nothingCompared *refusal
	if errors.As(err, &nothingCompared) {
		return nothingCompared.verdict
	}
	for _, e := range next.Events {
		switch e.Type {
		case EventLogin:
			p.signedIn = p.signedIn || e.Outcome == Succeeded
		case EventResetRequested, EventIdentityPassed, EventIdentityFailed, EventResetApproval, EventResetApproved, EventResetReturned,
			EventResetDenied, EventResetCanceled, EventResetReady, EventResetCompleted, EventResetExpired, EventMailRequested:
			p.happened = append(slices.Clip(p.happened), e.Type)
		}
	}
	// What spends codes and repeats answers has models of its own.
	next.Writes, next.Challenges, next.SignIn, next.Answered = nil, nil, nil, nil
	if auth := next.Authenticator; auth != nil {
		auth.LastStep, auth.Burned, auth.Replays = 0, nil, 0
	}
	p.account, p.stored = next, true
	return err
}

// isNew says whether nobody was there before. The key has all that a rule could tell, relative to now.
func (w *walker) isNew(p *place) bool {
	a, key := p.account, make([]byte, 0, 256)
	number := func(n int64) { key = binary.AppendVarint(key, n) }
	is := func(b bool) {
		if key = append(key, 0); b {
			key[len(key)-1] = 1
		}
	}
	at := func(t time.Time, matters time.Duration) {
		d := t.Sub(p.now)
		if is(!t.IsZero() && d > -matters); key[len(key)-1] == 1 {
			number(int64(d / time.Millisecond))
		}
	}
	number(p.now.UnixMilli() % 1000) // what counts against a limit is kept in seconds
	is(a.Enabled())
	is(a.BackupCode != nil)
	key = append(append(append(key, p.address.now...), ' '), p.address.before...)
	at(p.address.until, 0)
	number(int64(a.Codes.Failures))
	number(int64(a.Codes.monthly(p.now)))
	at(a.Codes.LockedUntil, 0)
	is(!a.Codes.SuspendedAt.IsZero())
	at(a.AddressChanged, time.Duration(w.rules.Policy.AddressHold))
	for _, n := range recent(slices.Clone(a.ResetReviews), p.now, reviewDays) {
		at(time.Unix(n, 0), reviewDays)
	}
	number(-1)
	for _, n := range recent(slices.Clone(a.ResetMails), p.now, mailDay) {
		at(time.Unix(n, 0), mailDay)
	}
	number(-1)
	if e := a.Pending; e != nil {
		is(e.Reset == (Digest{}))
		number(int64(e.Failures))
		at(e.BegunAt, enrolFor)
	}
	number(-1)
	if p.held != nil {
		is(a.completes(*p.held))
		at(p.ledger.heldUntil, 0)
	}
	number(-1)
	if r := a.Reset; r != nil {
		key = append(key, r.State...)
		switch r.State {
		case ResetIdentityPending:
			at(r.MailedAt, resendAfter)
			at(r.ExpiresAt, lastLook)
		case ResetInReview:
			at(r.EnteredAt, remindAfter)
			at(r.RemindedAt, remindAfter)
			at(r.MailedAt, resendAfter)
			at(r.ExpiresAt, 1)
		case ResetApproved:
			at(r.MailedAt, resendAfter)
			at(r.EffectiveAt, 1)
		case ResetReady:
			at(r.MailedAt, resendAfter)
			at(r.ExpiresAt, 1)
		default:
			at(r.EnteredAt, closedResetFor+1)
		}
		number(int64(r.TriesLeft))
		for _, b := range []bool{r.Reviewed, r.Bounced, r.Inquiry != "", r.Submitted, r.Subject != nil, r.Identity != nil} {
			is(b)
		}
		for _, approval := range r.Approvals {
			key = append(append(key, approval.By...), ',')
		}
	}
	if w.seen[string(key)] {
		return false
	}
	w.seen[string(key)] = true
	return true
}
