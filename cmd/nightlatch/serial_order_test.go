package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// The order in which the decisions on one account were made is not searched for: the service tells it. The history has
// what each write did, in the order of writes, with the User-Agent of who asked, which here is the attempt's own. So there
// is one order to look at, that of the record an auditor reads, and it must explain everything:
//
//   - every write is of an attempt that was made, and of one only; what was answered as done is there;
//   - each write comes after all that were answered before it was asked for (real time);
//   - played in this order, at the times that the history tells, the model writes the same events and gives each caller the
//     answer that was given;
//   - what was answered without a write is what the model says of some moment between the call and its answer, and these
//     moments go forward as well;
//   - what was not answered has been done once, or not at all.
//
// That is linearizability (Herlihy and Wing) of each account. A search for any order that explains the answers would accept
// more: also a history that is not the order in which things happened.

type kind string

const (
	kindNothing   kind = "time passes"
	kindChallenge kind = "challenge"
	kindVerify    kind = "verify"
	kindBackup    kind = "backup sign-in"
	kindCheck     kind = "check"
	kindRotate    kind = "rotate"
	kindRevoke    kind = "revoke"
	kindDisable   kind = "disable"
	kindEnroll    kind = "enroll"
	kindConfirm   kind = "confirm"
	kindPassword  kind = "password changed"
	kindUnlock    kind = "unlock"
)

// operation is what somebody wants done; sent again it is the same one.
type operation struct {
	kind      kind
	request   request
	code      string // as it is compared
	challenge *challenge
	grant     *operation // that was given the grant
	enrolment string

	// what was told of it, whenever that was
	ids    map[string]bool // of set-ups
	jti    string
	backup string
}

// challenge is one that a host was given.
type challenge struct {
	sealed string
	asked  *attempt
	ends   time.Time
	epochs [2]int // the first and the last that it can be of
}

// attempt is an operation sent once.
type attempt struct {
	op       *operation
	tag      string
	signedIn time.Time     // of the session
	called   time.Duration // since the beginning, by one clock that only goes forward
	ended    time.Duration // answered, or given up with the server that it was sent to
	from, to time.Time     // what the server's clock can have been in between
	reply    reply
	answered bool
	told     told
	verdict  string

	position int  // the number of writes with its own; 0: it has none
	taken    bool // it was answered, and has been explained
}

func (a *attempt) String() string {
	s := fmt.Sprintf("%s (%s, code %q, %v to %v)", a.op.kind, a.tag, a.op.code, a.called, a.ended)
	if c := a.op.challenge; c != nil {
		s += fmt.Sprintf(" on a challenge of epochs %v that ends %v", c.epochs, c.ends)
	}
	if a.answered {
		return s + ", answered " + a.verdict + " by " + a.reply.String()
	}
	return s + ", not answered"
}

// verdictOf is an answer in the model's words; none, when it says that nothing was decided.
func verdictOf(k kind, r reply) string {
	var t struct {
		Code       api.Code `json:"code"`
		Required   bool     `json:"required"`
		Assertion  string   `json:"assertion"`
		BackupCode any      `json:"backup_code"`
		Grant      string   `json:"grant"`
		Enrolment  string   `json:"enrollment_id"`
		Valid      bool     `json:"valid"`
		Spent      bool     `json:"spent"`
		Drift      *int     `json:"drift_seconds"`
		Remaining  int      `json:"attempts_remaining"`
	}
	if r.status != http.StatusNoContent && json.Unmarshal(r.body, &t) != nil {
		return fmt.Sprintf("status %d", r.status)
	}
	verdict := string(t.Code)
	switch {
	case r.status == http.StatusServiceUnavailable:
		return ""
	case k == kindCheck && r.status == http.StatusOK && !t.Valid:
		verdict = string(api.CodeInvalidCode)
	case k == kindCheck && r.status == http.StatusOK:
		verdict = fmt.Sprintf("valid %d", *t.Drift)
		if t.Spent {
			verdict += " spent"
		}
	case k == kindChallenge && r.status == http.StatusOK:
		if !t.Required {
			return "not required"
		}
		return "required"
	case k == kindUnlock && r.status == http.StatusOK:
		return ok
	case r.status == http.StatusOK || r.status == http.StatusNoContent:
		verdict = ok
		if k == kindEnroll {
			verdict += " " + t.Enrolment
		}
		if t.Assertion != "" {
			verdict += withEvidence
		}
		if text, _ := t.BackupCode.(string); text != "" {
			verdict += withBackup
		}
		if t.Grant != "" {
			verdict += withGrant
		}
	}
	if verdict == string(api.CodeInvalidCode) {
		verdict += fmt.Sprint(" ", t.Remaining)
		if t.Drift != nil {
			verdict += fmt.Sprint(" drift ", *t.Drift)
		}
	}
	return verdict
}

// journal is all that is known of one user: what was asked and answered, and the history.
type journal struct {
	user        string
	attempts    []*attempt
	revokeFirst bool
	lossy       bool // an answer of the store can be lost, and come again after others
	setUps      map[string]setUpTold
	codes       *codeBook
}

type setUpTold struct{ secret, backup string }

// entry is a version that has events.
type entry struct {
	number int64
	at     time.Time
	behind bool // the clock is not after that of the write before: the time told is that one's
	events []api.HistoryEvent
	by     *attempt
}

// what was written.
func (e *entry) what() (all []string) {
	for _, event := range e.events {
		all = append(all, event.Type+" "+event.Outcome)
	}
	return all
}

var onlyTime = &attempt{op: &operation{kind: kindNothing}}

// writes are the history's, oldest first.
func (j *journal) writes(history []api.HistoryEvent) (all []*entry, err error) {
	tags := map[string]*attempt{}
	for _, a := range j.attempts {
		tags[a.tag], a.position, a.taken = a, 0, false
	}
	history = slices.Clone(history)
	slices.Reverse(history)
	var last time.Time
	for _, e := range history {
		number := twofactor.Event{ID: e.ID}.Version()
		if e.At.Before(last) {
			return nil, fmt.Errorf("event %s %s at %v comes after one at %v", e.ID, e.Type, e.At, last)
		}
		if number == 0 { // the host's
			continue
		}
		if len(all) == 0 || all[len(all)-1].number != number {
			if len(all) > 0 && number < all[len(all)-1].number {
				return nil, fmt.Errorf("version %d comes after %d", number, all[len(all)-1].number)
			}
			all = append(all, &entry{number: number, at: e.At, behind: !e.At.After(last), by: onlyTime})
		}
		last = e.At
		w := all[len(all)-1]
		w.events = append(w.events, e)
		if e.Type == string(twofactor.EventGap) {
			return nil, fmt.Errorf("a gap in the history: %+v", e)
		}
		by := tags[cmp.Or(e.UserAgent, e.Reason)] // an operator has no agent, and gives a reason
		if by != nil && by.position != 0 && j.lossy && number-all[by.position-1].number > 8 {
			// Its answer was lost, and eight others have landed on top before it was sent again: it is not known any more.
			first := *by
			first.answered = false
			all[by.position-1].by, by.position = &first, len(all)
		}
		switch {
		case by == nil && e.Type == string(twofactor.EventReplacementLapsed):
		case by == nil || by.position != 0 && by.position != len(all) || w.by != onlyTime && w.by != by:
			return nil, fmt.Errorf("version %d: %+v is of nobody, of two, or done twice: %v, %v", number, e, by, w.by)
		default:
			w.by, by.position = by, len(all)
		}
	}
	return all, nil
}

// explain says what of the journal the history does not explain.
func (j *journal) explain(history []api.HistoryEvent) error {
	writes, err := j.writes(history)
	if err != nil {
		return err
	}
	j.age(writes)
	states := []*modelled{{journal: j, days: map[int64]int{}}}
	var called time.Duration // the latest call of all writes so far
	for i, w := range writes {
		if w.by != onlyTime {
			if w.by.ended < called {
				return fmt.Errorf("version %d was answered at %v, and comes after one that was asked for at %v: %v", w.number, w.by.ended, called, w.by)
			}
			called = max(called, w.by.called)
		}
		next, err := j.replay(states[i], w)
		if err != nil {
			return err
		}
		states = append(states, next)
	}
	return j.moments(writes, states)
}

// age finds the epochs that each challenge can be of: what was written before it was asked for it knows, and of what was
// asked for after its answer nothing.
func (j *journal) age(writes []*entry) {
	for _, a := range j.attempts {
		if a.op.kind != kindChallenge || a.op.challenge == nil {
			continue
		}
		first, last := 0, 0
		for _, w := range writes {
			if w.by.op.kind != kindPassword {
				continue
			}
			if w.by.ended < a.called {
				first++
			}
			if w.by.called <= a.ended {
				last++
			}
		}
		a.op.challenge.epochs = [2]int{first, last}
	}
}

// replay is the account after a write, if the model would have written the same.
func (j *journal) replay(before *modelled, w *entry) (*modelled, error) {
	want := w.what()
	moments, give := []time.Time{w.at}, time.Duration(0)
	switch {
	case w.by == onlyTime:
	case w.behind:
		moments = w.by.moments(before, w.at)
		give = max(0, moments[1].Sub(moments[0]))
	case w.at.Before(w.by.from.Truncate(time.Millisecond)) || w.at.After(w.by.to):
		return nil, fmt.Errorf("version %d is at %v, want between %v and %v: %v", w.number, w.at, w.by.from, w.by.to, w.by)
	}
	var said []string
	for _, now := range moments {
		for _, coin := range coins {
			next := before.clone()
			next.give = give
			verdict := next.decides(w.by, now, coin)
			if slices.Equal(next.events, want) && (!w.by.answered || verdict == w.by.verdict) {
				w.by.taken, next.give = true, 0
				if c := w.by.op.challenge; c != nil && w.by.op.kind != kindChallenge {
					c.epochs = [2]int{next.epoch, next.epoch} // no other would have led to a write
				}
				return next, nil
			}
			said = append(said, fmt.Sprintf("at %v: %s %v", now.Format(time.StampMilli), verdict, next.events))
		}
	}
	return nil, fmt.Errorf("version %d: %v\nhas written  %v\nexplained by %s", w.number, w.by, want, strings.Join(slices.Compact(said), "\n        or  "))
}

// moments are those at which the server can have decided, as far as they differ.
func (a *attempt) moments(m *modelled, latest time.Time) []time.Time {
	to := a.to
	if to.After(latest) {
		to = latest
	}
	all := []time.Time{a.from, to}
	for step := a.from.Unix()/wholeStep + 1; step*wholeStep <= to.Unix(); step++ {
		all = append(all, time.Unix(step*wholeStep, 0), time.Unix(step*wholeStep, 0).Add(-time.Millisecond))
	}
	for _, until := range []time.Time{m.lockedUntil.Time, m.backupsUntil.Time} {
		if until.After(a.from) && until.Before(to) {
			all = append(all, until, until.Add(-time.Millisecond))
		}
	}
	return all
}

// moments finds for each answer without a write a moment at which the model gives it, as early as can be, and never before
// one that was told before it was asked for.
func (j *journal) moments(writes []*entry, states []*modelled) error {
	quiet := slices.DeleteFunc(slices.Clone(j.attempts), func(a *attempt) bool { return a.taken || !a.answered })
	slices.SortFunc(quiet, func(a, b *attempt) int { return cmp.Compare(a.called, b.called) })
	for i, a := range quiet {
		first, last := 0, len(writes)
		for n, w := range writes {
			if w.by != onlyTime && w.by.ended < a.called {
				first = max(first, n+1)
			}
			if w.by != onlyTime && w.by.called > a.ended {
				last = min(last, n)
			}
		}
		for _, other := range quiet[:i] {
			if other.ended < a.called {
				first = max(first, other.position)
			}
		}
		if a.position = j.silent(a, states, first, last); a.position < 0 {
			m := states[min(first, len(states)-1)].clone()
			verdict := m.decides(a, a.from, coin{})
			var near strings.Builder
			for _, w := range writes[max(0, first-8):min(last+2, len(writes))] {
				fmt.Fprintf(&near, "\n        version %d: %v at %v, behind: %t, of %v to %v: %v", w.number, w.what(), w.at, w.behind, w.by.from, w.by.to, w.by)
			}
			return fmt.Errorf("without a write, between version %d and %d of %d with events, from %v to %v: %v; the model says %q first; %+v%s",
				first, last, len(writes), a.from, a.to, a, verdict, m, &near)
		}
	}
	return nil
}

func (m *modelled) String() string {
	return fmt.Sprintf("epoch %d, %d failures, locked until %v, %d spent", m.epoch, m.failures, m.lockedUntil, len(m.spent))
}

func (j *journal) silent(a *attempt, states []*modelled, first, last int) int {
	for n := first; n <= last; n++ {
		for _, now := range a.moments(states[n], a.to) {
			for _, coin := range coins {
				m := states[n].clone()
				verdict := m.decides(a, now, coin)
				onlyLapsed := len(m.events) == 1 && strings.HasPrefix(m.events[0], string(twofactor.EventReplacementLapsed))
				if verdict == a.verdict && (len(m.events) == 0 || onlyLapsed) {
					return n
				}
			}
		}
	}
	return -1
}

// learn takes over what an answer has told. Sent again, an operation is never told anything else.
func (j *journal) learn(a *attempt) error {
	o := a.op
	if id := a.told.EnrollmentID; id != "" && o.kind == kindEnroll {
		s := setUpTold{strings.ReplaceAll(a.told.ManualSecret, " ", ""), plainBackup(a.told.backupCode())}
		if before, ok := j.setUps[id]; ok && (before.secret != s.secret || s.backup != "" && before.backup != s.backup) {
			return fmt.Errorf("set-up %s was told with two secrets or backup codes: %v", id, a)
		} else if !ok || before.backup == "" {
			j.setUps[id] = s
		}
		o.ids[id] = true
		return nil
	}
	for _, what := range []struct {
		known *string
		told  string
	}{{&o.jti, a.reply.jti()}, {&o.backup, plainBackup(a.told.backupCode())}} {
		if what.told != "" && *what.known != "" && what.told != *what.known {
			return fmt.Errorf("%v was told %s before, and now %s", a, *what.known, what.told)
		}
		*what.known = cmp.Or(*what.known, what.told)
	}
	return nil
}
