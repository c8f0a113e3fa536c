package twofactor

import (
	"fmt"
	"strings"
	"time"
)

// What happens to the account of a recovery from beside it: codes, set-ups, hosts, operators, time.

// throttled is the verdict on every code while the account is locked or suspended. That it is, is for other models.
func throttled(a *Account, now time.Time) string {
	if err := a.Codes.refuses(now); err != nil {
		return verdictOf(err)
	}
	return ""
}

// right is a right code of the authenticator in force.
func (w *walker) right(p *place) string {
	if p.account.Authenticator == nil {
		return "123456"
	}
	return w.phoneOf(p.account, p.account.Authenticator, sealAuthenticator).at(p.now)
}

func (w *walker) phoneOf(a *Account, auth *Authenticator, purpose string) phone {
	secret, err := a.open(w.rules.Keys.Secrets, purpose, auth.Secret)
	if err != nil {
		w.Fatal(err)
	}
	return phone{secret: secret}
}

// wrongCode is a code that belongs to no time near this.
func (w *walker) wrongCode(p phone, now time.Time) string {
	key := string(p.secret) + fmt.Sprint(now.Unix()/30)
	if w.wrong[key] == "" {
		w.wrong[key] = p.wrong(now, 0)
	}
	return w.wrong[key]
}

func codes() []event {
	verify := func(method Method, code func(*walker, *place) string) func(*walker, *place) error {
		return func(w *walker, p *place) error {
			return w.act(p, func(r Rules, a *Account) error {
				answer, err := r.Verify(a, NewVerify(p.request(), p.challenge(), method, code(w, p)), p.now)
				if answer.BackupCode != nil {
					p.backup = string(answer.BackupCode.Code)
				}
				return err
			})
		}
	}
	wrong := func(w *walker, p *place) string {
		if p.account.Authenticator == nil {
			return "123456"
		}
		return w.wrongCode(w.phoneOf(p.account, p.account.Authenticator, sealAuthenticator), p.now)
	}
	// used is a code that is right: it is accepted, unless the account is throttled, and that means something.
	used := func(means string) func(*ledger, *place) string {
		return func(l *ledger, p *place) string {
			switch refusal := throttled(p.from.account, p.now); {
			case !l.on:
				return ErrNotEnabled.Error()
			case refusal != "":
				return refusal
			}
			l.step(means, p.now)
			return "ok"
		}
	}
	return []event{
		{"signs in with a code", verify(MethodTOTP, (*walker).right), used("proof of life"), true},
		{"signs in with a wrong code", verify(MethodTOTP, wrong), func(l *ledger, p *place) string {
			if said := used("")(l, p); said != "ok" {
				return said
			}
			return "wrong"
		}, false},
		{"signs in with the backup code", verify(MethodBackupCode, func(_ *walker, p *place) string { return p.backup }), func(l *ledger, p *place) string {
			switch {
			case !l.on:
				return ErrNotEnabled.Error()
			case l.policy.BackupUse == Disable2FA:
				l.step("turned off", p.now)
			default:
				l.step("proof of life", p.now)
			}
			return "ok"
		}, true},
		{"checks a code", func(w *walker, p *place) error {
			return w.act(p, func(r Rules, a *Account) error {
				_, err := r.Check(a, Check{p.request(), w.right(p)}, p.now)
				return err
			})
		}, used("nothing"), false},
		{"a new backup code", func(w *walker, p *place) error {
			return w.act(p, func(r Rules, a *Account) error {
				code, err := r.RotateBackup(a, RotateBackup{Request: p.request(), Code: w.right(p)}, p.now)
				if code != nil {
					p.backup = string(code.Code)
				}
				return err
			})
		}, used("proof of life"), false},
		{"turns 2FA off", func(w *walker, p *place) error {
			return w.act(p, func(r Rules, a *Account) error { return r.Disable(a, Disable{p.request(), w.right(p)}, p.now) })
		}, func(l *ledger, p *place) string {
			if l.policy.Enforcement == Required {
				return (&Forbidden{Setting: "enforcement"}).Error()
			}
			return used("turned off")(l, p)
		}, false},
		{"moves to a new phone", func(w *walker, p *place) error {
			return w.act(p, func(r Rules, a *Account) error {
				_, err := r.Replace(a, Replace{Request: p.request(), Secret: mustSecret(), Code: w.right(p)}, p.now)
				return err
			})
		}, func(l *ledger, p *place) string {
			said := used("proof of life")(l, p)
			if said == "ok" {
				l.setUp, l.setUpBegun = "replacement", p.now
			}
			return said
		}, false},
	}
}

// confirm confirms the set-up that there is, with its right code or a wrong one.
func (w *walker) confirm(p *place, ch *Challenge, right bool) error {
	req := Confirm{Request: p.request(), Challenge: ch, Code: "123456"}
	if e := p.account.Pending; e != nil {
		phone := w.phoneOf(p.account, &e.Authenticator, sealPending)
		if req.Enrolment, req.Code = e.ID, phone.at(p.now); !right {
			req.Code = w.wrongCode(phone, p.now)
		}
	}
	return w.act(p, func(r Rules, a *Account) error {
		got, err := r.Confirm(a, req, p.now)
		if err == nil && ch != nil {
			if p.backup = p.backup2; fmt.Sprint(got.SignIn.Assertion.AMR) != "[reset_link otp]" {
				w.fail(p, "amr %v", got.SignIn.Assertion.AMR)
			}
		}
		return err
	})
}

// enroll begins a set-up inside the sign-in.
func (w *walker) enroll(p *place, ch *Challenge) error {
	return w.act(p, func(r Rules, a *Account) error {
		got, err := r.Enroll(a, Enroll{Request: p.request(), Secret: mustSecret(), Challenge: ch}, p.now)
		if err != nil {
			return err
		}
		if got.BackupCode == nil {
			w.fail(p, "a set-up without a fresh backup code")
		}
		p.backup2 = string(got.BackupCode.Code)
		return nil
	})
}

func setUps() []event {
	// holding is what a challenge that the link has opened is good for.
	holding := func(l *ledger, p *place, means string) string {
		if l.heldUntil.After(p.now) {
			if l.step(means, p.now) {
				return "ok"
			}
		}
		said := ErrChallengeExpired.Error()
		if refusal := throttled(p.from.account, p.now); refusal != "" {
			said += "|" + refusal
		}
		return said
	}
	held := func(p *place) *Challenge {
		if p.held == nil { // by nobody yet: one of a reset that was never ready
			ch := p.challenge()
			ch.Purpose, ch.Reset = PurposeEnroll, Digest{1}
			return &ch
		}
		return p.held
	}
	confirmHeld := func(right bool) event {
		name := map[bool]string{true: "right link: set-up confirmed", false: "right link: set-up confirmed with a wrong code"}[right]
		return event{name, func(w *walker, p *place) error { return w.confirm(p, held(p), right) }, func(l *ledger, p *place) string {
			if l.heldUntil.After(p.now) {
				switch {
				case l.setUp != "by link":
					return ErrEnrolmentExpired.Error()
				case !right:
					return "wrong"
				}
			}
			return holding(l, p, "confirmed with the link")
		}, right}
	}
	return []event{
		{"right link: set-up begun", func(w *walker, p *place) error {
			answer, err := w.signInByLink(p, w.token(p, LinkSignIn, 0))
			if err != nil {
				return err
			}
			p.held = answer.Enroll
			return w.enroll(p, p.held)
		}, func(l *ledger, p *place) string {
			if !l.step("begun with the link", p.now) {
				return ErrLinkExpired.Error()
			}
			l.heldUntil = p.now.Add(10 * time.Minute)
			return "ok"
		}, false},
		{"right link: set-up begun again", func(w *walker, p *place) error { return w.enroll(p, held(p)) }, func(l *ledger, p *place) string {
			return holding(l, p, "begun with the link")
		}, false},
		confirmHeld(true),
		confirmHeld(false),
		{"right link: set-up of a session confirmed", func(w *walker, p *place) error {
			answer, err := w.signInByLink(p, w.token(p, LinkSignIn, 0))
			if err != nil {
				return err
			}
			if e := p.account.Pending; e != nil && e.Reset != (Digest{}) {
				return ErrEnrolmentExpired
			}
			return w.confirm(p, answer.Enroll, true)
		}, func(l *ledger, p *place) string {
			if l.state == "ready" {
				return ErrEnrolmentExpired.Error()
			}
			return ErrLinkExpired.Error()
		}, false},
		{"a session confirms", func(w *walker, p *place) error { return w.confirm(p, nil, true) }, func(l *ledger, p *place) string {
			if l.setUp != "replacement" {
				return ErrEnrolmentExpired.Error()
			}
			l.step("proof of life", p.now)
			l.setUp = none
			return "ok"
		}, false},
		{"a session discards", func(w *walker, p *place) error {
			return w.act(p, func(r Rules, a *Account) error { return r.Discard(a) })
		}, func(l *ledger, _ *place) string {
			l.setUp = none
			return "ok"
		}, false},
	}
}

func fromOutside() []event {
	bounce := func(other string) func(*walker, *place) error {
		return func(w *walker, p *place) error {
			return w.act(p, func(r Rules, a *Account) error { return r.NoticeBounced(a, other+idOf(a), p.now) })
		}
	}
	password := func(address func(p *place) string) func(*walker, *place) error {
		return func(w *walker, p *place) error {
			req := NewChallenge{Request: p.request(), User: alice, Contact: Contact{Email: address(p)}}
			return w.act(p, func(r Rules, a *Account) error {
				offer, err := r.Challenge(a, req, p.now)
				link := len(offer.Methods) > 0 && offer.Methods[len(offer.Methods)-1] == MethodResetLink
				if link != (a.Reset.Open() && a.Reset.State == ResetReady) {
					w.fail(p, "methods %v", offer.Methods)
				}
				return err
			})
		}
	}
	always := func(means string) func(*ledger, *place) string {
		return func(l *ledger, p *place) string {
			l.step(means, p.now)
			return "ok"
		}
	}
	return []event{
		{"a notice bounced", bounce(""), always("bounced"), false},
		{"a notice of another reset bounced", bounce("another"), always("nothing"), false},
		{"the password, and nothing new", password(func(p *place) string { return p.address.now }), always("nothing"), false},
		{"the password, and a new address", password(func(p *place) string { return p.address.next() }), func(l *ledger, p *place) string {
			if p.address.now != "" { // a first one is no change
				l.step("address", p.now)
			}
			p.address.move(p.now)
			return "ok"
		}, false},
		{"a new address", func(w *walker, p *place) error {
			return w.act(p, func(r Rules, a *Account) error { return r.AddressChanged(a, p.request(), p.address.next(), p.now) })
		}, func(l *ledger, p *place) string {
			l.step("address", p.now)
			p.address.move(p.now)
			return "ok"
		}, false},
		{"a new password", func(w *walker, p *place) error {
			return w.act(p, func(r Rules, a *Account) error { return r.PasswordChanged(a, p.request(), p.now) })
		}, func(l *ledger, _ *place) string {
			l.setUp, l.heldUntil = none, time.Time{}
			return "ok"
		}, false},
		{"a session cancels", func(w *walker, p *place) error {
			return w.act(p, func(r Rules, a *Account) error { return r.CancelReset(a, p.request(), p.now) })
		}, func(l *ledger, p *place) string {
			if l.step("canceled", p.now) {
				return "ok"
			}
			return ErrNoReset.Error()
		}, false},
		{"operator removes", func(w *walker, p *place) error {
			return w.act(p, func(r Rules, a *Account) error { return r.RemoveAuthenticator(a, p.request(), Operator{}, p.now) })
		}, func(l *ledger, p *place) string {
			if !l.on {
				return ErrNotEnabled.Error()
			}
			return always("removed")(l, p)
		}, false},
		{"operator unlocks", func(w *walker, p *place) error {
			return w.act(p, func(r Rules, a *Account) error { return r.Unlock(a, p.request(), Operator{}, p.now) })
		}, always("nothing"), false},
		{"erased", func(w *walker, p *place) error {
			return w.act(p, func(r Rules, a *Account) error { return r.Erase(a, p.request(), Event{Actor: ActorHost}, p.now) })
		}, func(l *ledger, p *place) string {
			l.step("erased", p.now)
			p.address = mailbox{}
			return "ok"
		}, false},
		{"swept", func(w *walker, p *place) error {
			return w.act(p, func(r Rules, a *Account) error { return r.Sweep(a, p.now) })
		}, always("swept"), false},
	}
}

// timePasses to just before, at and just after everything that time decides.
func timePasses() (events []event) {
	for _, until := range []struct {
		name string
		at   func(p *place) time.Time
	}{
		{"the reset's time", func(p *place) time.Time { return p.ledger.deadline() }},
		{"a reminder", func(p *place) time.Time {
			if p.ledger.state != "in_review" {
				return time.Time{}
			}
			return latest(p.ledger.entered, p.ledger.reminded).Add(day24)
		}},
		{"another mail", func(p *place) time.Time {
			if !p.ledger.isOpen() {
				return time.Time{}
			}
			return p.ledger.mailed.Add(2 * time.Minute)
		}},
		{"another identity mail", func(p *place) time.Time { return last(p.ledger.mails, 3, day24) }},
		{"another review", func(p *place) time.Time { return last(p.ledger.reviews, 3, 30*day24) }},
		{"the address hold's end", func(p *place) time.Time { return p.ledger.addressChanged.Add(7 * day24) }},
		{"the set-up's end", func(p *place) time.Time {
			if p.ledger.setUp == none {
				return time.Time{}
			}
			return p.ledger.setUpBegun.Add(15 * time.Minute)
		}},
		{"the challenge's end", func(p *place) time.Time { return p.ledger.heldUntil }},
		{"the lock's end", func(p *place) time.Time { return p.account.Codes.LockedUntil }},
	} {
		for _, off := range []time.Duration{-time.Millisecond, 0, time.Millisecond} {
			name := map[time.Duration]string{-time.Millisecond: "just before ", time.Millisecond: "just after "}[off] + until.name
			events = append(events, event{"time passes to " + name, func(_ *walker, p *place) error {
				if at := until.at(p); at.Add(min(off, 0)).After(p.now) {
					p.now = at.Add(off)
				}
				return nil
			}, func(*ledger, *place) string { return "ok" }, false})
		}
	}
	return events
}

// last is when the nth of several, counted from the last, no longer counts.
func last(times []time.Time, n int, age time.Duration) time.Time {
	if len(times) < n {
		return time.Time{}
	}
	return times[len(times)-n].Truncate(time.Second).Add(age)
}

// deadline is when time ends the state.
func (l *ledger) deadline() time.Time {
	switch l.state {
	case "identity_pending":
		if l.begun {
			return l.expires.Add(15 * time.Minute)
		}
		return l.expires
	case "in_review", "ready":
		return l.expires
	case "approved":
		return l.effective
	case none:
		return time.Time{}
	}
	return l.entered.Add(14*day24 + time.Millisecond)
}

// begin returns the states that a walk begins with: each of recovery.md's in its variants, as the rules themselves come to
// them.
func (w *walker) begin() (places []*place) {
	events := map[string]event{}
	for _, e := range allEvents(w.rules.Policy) {
		events[e.name] = e
	}
	const (
		begun    = "asks; identity link: clicked"
		inReview = begun + "; the inquiry: passed"
		toTime   = "time passes to the reset's time; swept"
		wait     = "time passes to another mail"
	)
	approved := inReview + "; one approves"
	if w.rules.Policy.Reviewers == 2 {
		approved += "; other approves"
	}
	ready := approved
	if w.rules.Policy.ResetWait > 0 {
		ready += "; " + toTime
	}
	ways := []string{
		"", "operator removes",
		"asks", "moves to a new phone; asks", "asks; " + wait + "; asks; " + wait + "; asks; " + wait,
		begun, begun + "; the inquiry: submitted", begun + "; the inquiry: lapsed",
		begun + "; the inquiry: failed", begun + "; the inquiry: failed; identity link: clicked; the inquiry: failed; identity link: clicked",
		inReview, inReview + "; a notice bounced", inReview + "; the inquiry: failed",
		"asks, and the host knows nobody; identity link: clicked; the inquiry: passed; one approves",
		inReview + "; one wants another check",
		approved, approved + "; a notice bounced", approved + "; a new address",
		"a new address; " + approved,
		ready, ready + "; a notice bounced", ready + "; a new address", ready + "; locked", ready + "; suspended",
		ready + "; right link: signs in",
		inReview + "; one denies", inReview + "; cancel link: cancels", "asks; " + toTime,
		"reviews; asks", "reviews; asks; identity link: clicked; the inquiry: passed", "reviews; asks; identity link: clicked; the inquiry: passed; cancel link: cancels",
	}
	if w.rules.Policy.Enforcement == Required {
		ways = append(ways, ready+"; right link: set-up begun", ready+"; right link: set-up begun; right link: set-up confirmed",
			ready+"; right link: set-up begun; a notice bounced", ready+"; suspended; right link: set-up begun",
			"moves to a new phone; "+approved)
	}
	on := &world{TB: w, rules: w.rules, account: &Account{User: alice}, now: noon.Add(-2 * time.Minute)}
	on.addressChanged("a@example.com")
	on.account.AddressChanged = time.Time{}
	on.enable()
	for _, way := range ways {
		p := &place{
			account: on.account, now: noon, backup: on.backup, address: mailbox{now: "a@example.com"},
			ledger: &ledger{facts: facts{policy: w.rules.Policy, on: true, state: none, setUp: none}},
		}
		for _, name := range strings.Split(way, "; ") {
			e, ok := events[name]
			switch {
			case name == "":
			case name == "locked":
				p.account = p.account.next("locked", time.Time{}, p.now)
				for range 6 {
					p.account.Codes.fail(w.rules.Policy, p.now)
				}
			case name == "suspended":
				p.account = p.account.next("suspended", time.Time{}, p.now)
				p.account.Codes.SuspendedAt = p.now
			case name == "reviews": // two of three
				p.account = p.account.next("reviews", time.Time{}, p.now)
				for _, days := range []time.Duration{20, 10} {
					p.ledger.reviews = append(p.ledger.reviews, noon.Add(-days*day24))
					p.account.ResetReviews = append(p.account.ResetReviews, noon.Add(-days*day24).Unix())
				}
			case !ok:
				w.Fatalf("no event %q", name)
			default:
				p = w.step(p, e)
			}
		}
		p.from, p.by = nil, way
		if w.isNew(p) {
			places = append(places, p)
		}
	}
	return places
}
