package twofactor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Everything that can happen to a recovery, in the order of the way through it.

const (
	reviewer1 = UserID("reviewer@example.com")
	reviewer2 = UserID("reviewer2@example.com")
)

func allEvents(policy Policy) []event {
	events := slicesOf(asking(), links(), checks(), decisions(), codes(), setUps(), fromOutside(), timePasses())
	var all []event
	for _, e := range events {
		if policy.Enforcement == Required || !strings.HasPrefix(e.name, "right link: set-up") {
			all = append(all, e)
		}
	}
	return all
}

func slicesOf[T any](lists ...[]T) (all []T) {
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

// request of a step; with the ids that follow from it, every step is unlike any other.
func (p *place) request() Request {
	return Request{ID: NewDigest("walk", fmt.Sprint(p.account.Version, p.now.UnixMilli(), p.by)), IP: "203.0.113.7", UserAgent: "test"}
}

// challenge is one that the host gets now.
func (p *place) challenge() Challenge {
	return Challenge{
		ID: p.request().ID, Purpose: PurposeVerify, User: p.account.User, Incarnation: p.account.Incarnation, Epoch: p.account.Epoch,
		Subject: &Subject{Name: "Alice Doe"}, ExpiresAt: p.now.Add(10 * time.Minute),
	}
}

// seen is the account as it is shown now.
func (p *place) seen() *Account {
	if p.from.shown == nil {
		p.from.shown = p.from.account.next("seen", time.Time{}, p.now)
	}
	return p.from.shown
}

func asking() []event {
	ask := func(edit func(*Challenge)) func(*walker, *place) error {
		return func(w *walker, p *place) error {
			return w.act(p, func(r Rules, a *Account) error {
				req := RequestReset{Request: p.request(), Challenge: p.challenge(), ID: fmt.Sprint("reset ", a.Version), Reference: "R-7K4Q"}
				edit(&req.Challenge)
				_, err := r.RequestReset(a, req, p.now)
				return err
			})
		}
	}
	asked := func(subject bool) func(*ledger, *place) string {
		return func(l *ledger, p *place) string {
			isOpen := l.isOpen()
			switch {
			case !l.on:
				return ErrNotEnabled.Error()
			case !isOpen && l.tooMany(p.now):
				return "limit"
			}
			l.step("asked", p.now)
			if !isOpen {
				l.subject = subject
			}
			return "ok"
		}
	}
	return []event{
		{"asks", ask(func(*Challenge) {}), asked(true), false},
		{"asks, and the host knows nobody", ask(func(ch *Challenge) { ch.Subject = &Subject{} }), asked(false), false},
		{"asks with an old challenge", ask(func(ch *Challenge) { ch.ExpiresAt = ch.ExpiresAt.Add(-10 * time.Minute) }), refused(ErrChallengeExpired), false},
		{"asks with a challenge of an old password", ask(func(ch *Challenge) { ch.Epoch-- }), refused(ErrChallengeExpired), false},
	}
}

// refused: the same verdict, whatever the state.
func refused(err error) func(*ledger, *place) string {
	return func(*ledger, *place) string { return err.Error() }
}

func (l *ledger) isOpen() bool { return strings.Contains(open, l.state) }

// token is the token of a link to the reset, good or not, of a round that is so many later.
func (w *walker) token(p *place, purpose LinkPurpose, rounds int64) string {
	if p.account.Reset == nil {
		return "nothing." + strings.Repeat("A", 22)
	}
	reset := *p.account.Reset
	reset.Round += rounds
	token, err := w.rules.link(&Account{User: alice, Incarnation: p.account.Incarnation, Reset: &reset}, purpose)
	if err != nil {
		w.Fatal(err)
	}
	return token
}

// linked are the links that somebody may have.
var linked = []struct {
	name    string
	purpose LinkPurpose
	rounds  int64
	other   bool // of another reset
}{
	{"identity link", LinkIdentity, 0, false}, {"cancel link", LinkCancel, 0, false}, {"right link", LinkSignIn, 0, false},
	{"link of an earlier round", LinkSignIn, -1, false}, {"link of another reset", LinkSignIn, 0, true},
}

func links() (events []event) {
	for _, link := range linked {
		token := func(w *walker, p *place) string {
			token := w.token(p, link.purpose, link.rounds)
			if link.other {
				token = "another" + token
			}
			return token
		}
		live := link.rounds == 0 && !link.other
		good := func(l *ledger) bool {
			return live && (link.purpose == LinkCancel && l.isOpen() || link.purpose == LinkIdentity && l.state == "identity_pending" ||
				link.purpose == LinkSignIn && l.state == "ready")
		}
		ifGood := func(l *ledger, _ *place) string {
			if good(l) {
				return "ok"
			}
			return ErrLinkExpired.Error()
		}
		events = append(events,
			event{link.name + ": looked at", func(w *walker, p *place) error {
				return w.act(p, func(r Rules, a *Account) error {
					_, err := r.ShowLink(a, token(w, p), p.now)
					return err
				})
			}, ifGood, false},
			event{link.name + ": cancels", func(w *walker, p *place) error {
				return w.act(p, func(r Rules, a *Account) error { return r.CancelByLink(a, p.request(), token(w, p), p.now) })
			}, func(l *ledger, p *place) string {
				if live && l.step("canceled", p.now) {
					return "ok"
				}
				return ErrLinkExpired.Error()
			}, false},
			event{link.name + ": signs in", func(w *walker, p *place) error {
				_, err := w.signInByLink(p, token(w, p))
				return err
			}, func(l *ledger, p *place) string {
				if good(l) && link.purpose == LinkSignIn {
					l.step("signed in with the link", p.now)
					return "ok"
				}
				return ErrLinkExpired.Error()
			}, live && link.purpose == LinkSignIn},
		)
		if link.purpose == LinkIdentity || !live {
			events = append(events, event{link.name + ": clicked", func(w *walker, p *place) error { return w.click(p, token(w, p)) },
				func(l *ledger, p *place) string {
					if good(l) && link.purpose == LinkIdentity {
						l.step("inquiry begun", p.now)
						return "ok"
					}
					return ErrLinkExpired.Error()
				}, false})
		}
	}
	return events
}

func (w *walker) signInByLink(p *place, token string) (answer SignIn, err error) {
	err = w.act(p, func(r Rules, a *Account) (err error) {
		answer, err = r.Verify(a, NewVerify(p.request(), p.challenge(), MethodResetLink, token), p.now)
		return err
	})
	if err == nil && (answer.Assertion != nil) != (w.rules.Policy.Enforcement == Optional) {
		w.fail(p, "answer %+v", answer)
	}
	return answer, err
}

// click begins an inquiry, or goes on with the one that there is.
func (w *walker) click(p *place, token string) error {
	var check IdentityCheck
	if err := w.act(p, func(r Rules, a *Account) (err error) {
		check, err = r.IdentityCheck(a, token)
		return err
	}); err != nil || check.Inquiry != "" {
		return err
	}
	check.Inquiry = fmt.Sprint("inquiry ", check.Attempt)
	return w.act(p, func(r Rules, a *Account) error { return r.InquiryBegun(a, check) })
}

func checks() (events []event) {
	for _, outcome := range []IdentityOutcome{IdentityOpen, IdentitySubmitted, IdentityPassed, IdentityFailed, IdentityLapsed} {
		for _, of := range []struct{ name, inquiry, reset string }{{name: "the inquiry"}, {"another inquiry", "another", ""}, {"another reset", "", "another"}} {
			right := of.inquiry+of.reset == ""
			if !right && outcome != IdentityPassed && outcome != IdentityFailed {
				continue
			}
			events = append(events, event{of.name + ": " + string(outcome), func(w *walker, p *place) error {
				result := IdentityResult{Outcome: outcome, Person: Person{Name: "Alice Doe"}}
				if s := p.account.Reset; s != nil {
					result.ResetID, result.Inquiry = of.reset+s.ID, of.inquiry+s.Inquiry
				}
				return w.act(p, func(r Rules, a *Account) error { return r.IdentityResult(a, result, p.now) })
			}, func(l *ledger, p *place) string {
				if right && l.begun && l.isOpen() {
					l.step(string(outcome), p.now)
				}
				return "ok"
			}, false})
		}
	}
	begun := func(attempts int) func(w *walker, p *place) error {
		return func(w *walker, p *place) error {
			check := IdentityCheck{ResetID: "none", Inquiry: "late"}
			if s := p.account.Reset; s != nil {
				check.ResetID, check.Attempt = s.ID, s.Attempt+attempts
			}
			return w.act(p, func(r Rules, a *Account) error { return r.InquiryBegun(a, check) })
		}
	}
	return append(events,
		event{"an inquiry of an earlier attempt", begun(-1), refused(ErrLinkExpired), false},
		event{"another inquiry of this attempt", begun(0), func(l *ledger, p *place) string {
			if !l.begun && l.step("inquiry begun", p.now) || l.state == "identity_pending" && p.account.Reset.Inquiry == "late" {
				return "ok"
			}
			return ErrLinkExpired.Error()
		}, false})
}

func decisions() (events []event) {
	one, other := Reviewer{User: reviewer1}, Reviewer{User: reviewer2}
	user, neighbour := Reviewer{User: alice}, Reviewer{User: "somebody", Email: "A@Example.com"}
	for _, d := range []struct {
		name  string
		by    Reviewer
		what  Decision
		stale bool
		edit  func(*Review)
	}{
		{name: "one approves", by: one, what: DecisionApprove}, {name: "other approves", by: other, what: DecisionApprove},
		{name: "one denies", by: one, what: DecisionDeny}, {name: "one stops", by: one, what: DecisionStop},
		{name: "one wants another check", by: one, what: DecisionRetryIdentity},
		{name: "one approves what was shown before", by: one, what: DecisionApprove, stale: true},
		{name: "one denies what was shown before", by: one, what: DecisionDeny, stale: true},
		{name: "one stops what was shown before", by: one, what: DecisionStop, stale: true},
		{name: "the user approves", by: user, what: DecisionApprove}, {name: "the user stops", by: user, what: DecisionStop},
		{name: "a neighbour in the mailbox approves", by: neighbour, what: DecisionApprove},
		{name: "one approves another's papers", by: one, what: "", edit: func(r *Review) { r.Decision, r.IdentityMatches = DecisionApprove, false }},
		{name: "one denies for no reason", by: one, what: "", edit: func(r *Review) { r.Decision, r.ReasonCode = DecisionDeny, "" }},
		{name: "one decides nothing", by: one, what: ""},
	} {
		events = append(events, event{d.name, func(w *walker, p *place) error {
			req := Review{Request: p.request(), ResetID: "none", Reviewer: d.by, Decision: d.what, IdentityMatches: true, ReasonCode: "other"}
			if shown := p.seen().Reset; shown != nil {
				req.ResetID, req.CaseVersion = shown.ID, shown.CaseVersion
			}
			if d.stale {
				req.CaseVersion--
			}
			if d.edit != nil {
				d.edit(&req)
			}
			return w.act(p, func(r Rules, a *Account) error {
				_, err := r.Review(a, req, p.now)
				return err
			})
		}, func(l *ledger, p *place) string {
			done := false
			switch {
			case l.state == none:
				return ErrNoReset.Error()
			case d.by.User == alice, d.by.Email != "" && p.address.has("a@example.com", p.now):
				return ErrOwnCase.Error()
			case d.stale:
			case d.what == DecisionApprove && l.state == "in_review" && !slices.Contains(l.approvals, d.by.User):
				l.approvals = append(l.approvals, d.by.User)
				done = l.step("approved", p.now)
			case d.what == DecisionDeny:
				done = l.step("denied", p.now)
			case d.what == DecisionStop:
				done = l.step("stopped", p.now)
			case d.what == DecisionRetryIdentity:
				done = l.step("check again", p.now)
			}
			if done {
				return "ok"
			}
			return ErrCaseChanged.Error()
		}, false})
	}
	return append(events, event{"a case is looked at", func(w *walker, p *place) error {
		return w.act(p, func(r Rules, a *Account) error {
			c, err := r.Case(a, idOf(a), one, p.now)
			if err == nil && (c.Person != nil) != (c.Reset.Identity != nil) {
				w.fail(p, "case %+v", c)
			}
			return err
		})
	}, func(l *ledger, _ *place) string {
		if l.state == none {
			return ErrNoReset.Error()
		}
		return "ok"
	}, false})
}

func idOf(a *Account) string {
	if a.Reset == nil {
		return "none"
	}
	return a.Reset.ID
}
