package twofactor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/nightlatch/nightlatch/pkg/totp"
)

// Service decides on accounts in a store. The zero value is not usable: all fields but Fence are required.
type Service struct {
	Store  Store
	Policy Policy
	// Keys returns the keys of the moment. It fails when they cannot be had, and then nobody gets in.
	Keys func(context.Context) (Keys, error)
	// Fence returns the fence, as [Fences.At] does; nil: nothing was ever restored. When it fails nobody gets in, either.
	Fence func(context.Context) (time.Time, error)
	// Now is the clock. It is read for every decision, never kept: a function stays warm for hours.
	Now func() time.Time
}

const (
	// maxDecisions is how often a request is decided when other writes keep coming first.
	maxDecisions = 8
	// firstPause is the mean pause after the second lost race; each further one doubles it.
	firstPause = 8 * time.Millisecond
)

// decide runs one decision to its end: load, apply the rule, store, and only then tell. The rule gets a copy it may
// change; what it returns stays inside until the change has landed. Whoever loses a race decides again, on the
// winner's account, with the winner's counters.
func decide[R any](ctx context.Context, s *Service, user UserID, rule func(Rules, *Account, time.Time) (R, error)) (R, error) {
	var none R
	rules, account, err := s.read(ctx, user)
	if err != nil {
		return none, err
	}
	for attempt := 1; ; attempt++ {
		now := s.now()
		next := account.next(NewWriteID(), rules.Fence, now)
		answer, verdict := rule(rules, next, now)
		if errors.Is(verdict, ErrSealed) || errors.Is(verdict, ErrUnavailable) {
			// A key that another process has just begun to use is not at hand yet. Having met it, the key ring looks for it
			// before it gives out its keys again.
			if rules.Keys, err = s.keys(ctx); err != nil {
				return none, err
			}
			next = account.next(NewWriteID(), rules.Fence, now)
			answer, verdict = rule(rules, next, now)
		}
		var nothingCompared *refusal
		if errors.As(verdict, &nothingCompared) {
			return answer, nothingCompared.verdict
		}
		err := s.Store.Replace(ctx, next)
		if err == nil {
			return answer, verdict
		}
		var conflict *Conflict
		switch {
		case !errors.As(err, &conflict):
			return none, unavailable(err)
		case attempt == maxDecisions:
			return none, unavailable(fmt.Errorf("lost the race %d times: %w", maxDecisions, err))
		case attempt == 1 && conflict.Current != nil:
			account = conflict.Current // decide again at once, without a second read
			continue
		}
		if err := pause(ctx, attempt); err != nil {
			return none, unavailable(err)
		}
		if account, err = s.load(ctx, user); err != nil { // what the conflict carried is old by now
			return none, err
		}
	}
}

// read reads all that a decision is made of, at once. A warm function knows the keys and the fence; a cold one does not ask
// for one after the other.
func (s *Service) read(ctx context.Context, user UserID) (Rules, *Account, error) {
	rules := Rules{Policy: s.Policy}
	var locked, unfenced error
	unlock := beside(func() { rules.Keys, locked = s.keys(ctx) })
	fence := beside(func() { rules.Fence, unfenced = s.fence(ctx) })
	account, err := s.load(ctx, user)
	unlock()
	fence()
	return rules, account, errors.Join(locked, unfenced, err)
}

// beside runs f at the same time, and returns what waits for its end. If f panics, whoever waits does.
func beside(f func()) (wait func()) {
	done := make(chan string, 1)
	go func() {
		var panicked string
		defer func() {
			if p := recover(); p != nil {
				panicked = fmt.Sprintf("%v\n%s", p, debug.Stack())
			}
			done <- panicked
		}()
		f()
	}()
	return func() {
		if panicked := <-done; panicked != "" {
			panic(panicked)
		}
	}
}

func (s *Service) keys(ctx context.Context) (Keys, error) {
	keys, err := s.Keys(ctx)
	if err != nil {
		return Keys{}, unavailable(err)
	}
	return keys, nil
}

func (s *Service) fence(ctx context.Context) (time.Time, error) {
	if s.Fence == nil {
		return time.Time{}, nil
	}
	fence, err := s.Fence(ctx)
	if err != nil {
		return time.Time{}, unavailable(err)
	}
	return fence, nil
}

func (s *Service) load(ctx context.Context, user UserID) (*Account, error) {
	account, err := s.Store.Load(ctx, user)
	if err != nil {
		return nil, unavailable(err) // could not tell: never "not enrolled"
	}
	return account, nil
}

// now is the time of a decision, in the precision that is stored.
func (s *Service) now() time.Time { return stored(s.Now()) }

func stored(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// pause waits a random while, so that those who lost a race together do not race together again.
func pause(ctx context.Context, attempt int) error {
	timer := time.NewTimer(mathrand.N(2 * firstPause << max(0, attempt-2)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", ErrUnavailable, err) }

// newSecret returns an authenticator secret, made before the decision: a rule is not random.
func newSecret() (totp.Secret, error) {
	secret, err := totp.NewSecret()
	if err != nil {
		return nil, unavailable(err)
	}
	return secret, nil
}

// Enroll runs [Rules.Enroll].
func (s *Service) Enroll(ctx context.Context, user UserID, req Enroll) (SetUp, error) {
	var err error
	if req.Secret, err = newSecret(); err != nil {
		return SetUp{}, err
	}
	return decide(ctx, s, user, func(r Rules, a *Account, now time.Time) (SetUp, error) { return r.Enroll(a, req, now) })
}

// Replace runs [Rules.Replace].
func (s *Service) Replace(ctx context.Context, user UserID, req Replace) (SetUp, error) {
	var err error
	if req.Secret, err = newSecret(); err != nil {
		return SetUp{}, err
	}
	return decide(ctx, s, user, func(r Rules, a *Account, now time.Time) (SetUp, error) { return r.Replace(a, req, now) })
}

// Confirm runs [Rules.Confirm].
func (s *Service) Confirm(ctx context.Context, user UserID, req Confirm) (Confirmed, error) {
	return decide(ctx, s, user, func(r Rules, a *Account, now time.Time) (Confirmed, error) { return r.Confirm(a, req, now) })
}

// Discard runs [Rules.Discard].
func (s *Service) Discard(ctx context.Context, user UserID) error {
	return s.act(ctx, user, func(r Rules, a *Account, _ time.Time) error { return r.Discard(a) })
}

// Verify runs [Rules.Verify].
func (s *Service) Verify(ctx context.Context, req Verify) (SignIn, error) {
	return decide(ctx, s, req.Challenge.User, func(r Rules, a *Account, now time.Time) (SignIn, error) {
		return r.Verify(a, req, now)
	})
}

// Check runs [Rules.Check].
func (s *Service) Check(ctx context.Context, user UserID, req Check) (Checked, error) {
	return decide(ctx, s, user, func(r Rules, a *Account, now time.Time) (Checked, error) { return r.Check(a, req, now) })
}

// RotateBackup runs [Rules.RotateBackup].
func (s *Service) RotateBackup(ctx context.Context, user UserID, req RotateBackup) (*RevealedBackup, error) {
	return decide(ctx, s, user, func(r Rules, a *Account, now time.Time) (*RevealedBackup, error) {
		return r.RotateBackup(a, req, now)
	})
}

// RevokeBackup runs [Rules.RevokeBackup].
func (s *Service) RevokeBackup(ctx context.Context, user UserID, req RevokeBackup) (*Grant, error) {
	return decide(ctx, s, user, func(r Rules, a *Account, now time.Time) (*Grant, error) { return r.RevokeBackup(a, req, now) })
}

// Disable runs [Rules.Disable].
func (s *Service) Disable(ctx context.Context, user UserID, req Disable) error {
	return s.act(ctx, user, func(r Rules, a *Account, now time.Time) error { return r.Disable(a, req, now) })
}

// Challenge runs [Rules.Challenge] and notes in the history that a challenge was issued.
func (s *Service) Challenge(ctx context.Context, req NewChallenge) (Offer, error) {
	req.ID = RandomDigest()
	offer, err := decide(ctx, s, req.User, func(r Rules, a *Account, now time.Time) (Offer, error) { return r.Challenge(a, req, now) })
	if err != nil || offer.Challenge == nil {
		return offer, err
	}
	if err := s.HostSaw(ctx, req.User, req.Request, EventChallengeIssued); err != nil {
		return Offer{}, err
	}
	return offer, nil
}

// HostSaw notes in the history what the host saw and what changes no account: a login without 2FA, a failed password,
// a challenge issued.
func (s *Service) HostSaw(ctx context.Context, user UserID, req Request, what EventType) error {
	e := Event{Type: what, Outcome: Succeeded, Actor: ActorHost}
	if what == EventPasswordFailed {
		e.Outcome = Failed
	}
	return s.note(ctx, user, req, e)
}

// CaseViewed notes in the history that a reviewer has looked at a case.
func (s *Service) CaseViewed(ctx context.Context, user UserID, req Request, by Reviewer) error {
	return s.note(ctx, user, req, Event{Type: EventCaseViewed, Outcome: Succeeded, Actor: ActorReviewer, By: cut(string(by.User), maxNote)})
}

// note appends to the history what changes no account.
func (s *Service) note(ctx context.Context, user UserID, req Request, e Event) error {
	now := s.Now()
	// Within a millisecond, which is the precision of At, the history sorts by the id.
	e.ID = fmt.Sprintf("%06d%s", now.Nanosecond()%int(time.Millisecond), rand.Text())
	e.At, e.IP, e.UserAgent = stored(now), cut(req.IP, maxNote), cut(req.UserAgent, maxUserAgent)
	if err := s.Store.Append(ctx, user, []Event{e}); err != nil {
		return unavailable(err)
	}
	return nil
}

// PasswordChanged runs [Rules.PasswordChanged].
func (s *Service) PasswordChanged(ctx context.Context, user UserID, req Request) error {
	return s.act(ctx, user, func(r Rules, a *Account, now time.Time) error { return r.PasswordChanged(a, req, now) })
}

// AddressChanged runs [Rules.AddressChanged].
func (s *Service) AddressChanged(ctx context.Context, user UserID, req Request, email string) error {
	return s.act(ctx, user, func(r Rules, a *Account, now time.Time) error { return r.AddressChanged(a, req, email, now) })
}

// Erase runs [Rules.Erase].
func (s *Service) Erase(ctx context.Context, user UserID, req Request, by Event) error {
	return s.act(ctx, user, func(r Rules, a *Account, now time.Time) error { return r.Erase(a, req, by, now) })
}

// Unlock runs [Rules.Unlock].
func (s *Service) Unlock(ctx context.Context, user UserID, req Request, by Operator) error {
	return s.act(ctx, user, func(r Rules, a *Account, now time.Time) error { return r.Unlock(a, req, by, now) })
}

// RemoveAuthenticator runs [Rules.RemoveAuthenticator].
func (s *Service) RemoveAuthenticator(ctx context.Context, user UserID, req Request, by Operator) error {
	return s.act(ctx, user, func(r Rules, a *Account, now time.Time) error { return r.RemoveAuthenticator(a, req, by, now) })
}

// Import runs [Rules.Import].
func (s *Service) Import(ctx context.Context, user UserID, req Import) error {
	return s.act(ctx, user, func(r Rules, a *Account, now time.Time) error { return r.Import(a, req, now) })
}

// RequestReset runs [Rules.RequestReset].
func (s *Service) RequestReset(ctx context.Context, req RequestReset) (ResetRequested, error) {
	return decide(ctx, s, req.Challenge.User, func(r Rules, a *Account, now time.Time) (ResetRequested, error) {
		return r.RequestReset(a, req, now)
	})
}

// ShowLink runs [Rules.ShowLink].
func (s *Service) ShowLink(ctx context.Context, user UserID, token string) (LinkShown, error) {
	return decide(ctx, s, user, func(r Rules, a *Account, now time.Time) (LinkShown, error) { return r.ShowLink(a, token, now) })
}

// CancelByLink runs [Rules.CancelByLink].
func (s *Service) CancelByLink(ctx context.Context, user UserID, req Request, token string) error {
	return s.act(ctx, user, func(r Rules, a *Account, now time.Time) error { return r.CancelByLink(a, req, token, now) })
}

// CancelReset runs [Rules.CancelReset].
func (s *Service) CancelReset(ctx context.Context, user UserID, req Request) error {
	return s.act(ctx, user, func(r Rules, a *Account, now time.Time) error { return r.CancelReset(a, req, now) })
}

// IdentityCheck runs [Rules.IdentityCheck].
func (s *Service) IdentityCheck(ctx context.Context, user UserID, token string) (IdentityCheck, error) {
	return decide(ctx, s, user, func(r Rules, a *Account, _ time.Time) (IdentityCheck, error) { return r.IdentityCheck(a, token) })
}

// InquiryBegun runs [Rules.InquiryBegun].
func (s *Service) InquiryBegun(ctx context.Context, user UserID, check IdentityCheck) error {
	return s.act(ctx, user, func(r Rules, a *Account, _ time.Time) error { return r.InquiryBegun(a, check) })
}

// IdentityResult runs [Rules.IdentityResult].
func (s *Service) IdentityResult(ctx context.Context, user UserID, result IdentityResult) error {
	return s.act(ctx, user, func(r Rules, a *Account, now time.Time) error { return r.IdentityResult(a, result, now) })
}

// Case runs [Rules.Case].
func (s *Service) Case(ctx context.Context, user UserID, resetID string, reviewer Reviewer) (Case, error) {
	return decide(ctx, s, user, func(r Rules, a *Account, now time.Time) (Case, error) { return r.Case(a, resetID, reviewer, now) })
}

// Review runs [Rules.Review].
func (s *Service) Review(ctx context.Context, user UserID, req Review) (Reviewed, error) {
	return decide(ctx, s, user, func(r Rules, a *Account, now time.Time) (Reviewed, error) { return r.Review(a, req, now) })
}

// NoticeBounced runs [Rules.NoticeBounced].
func (s *Service) NoticeBounced(ctx context.Context, user UserID, resetID string) error {
	return s.act(ctx, user, func(r Rules, a *Account, now time.Time) error { return r.NoticeBounced(a, resetID, now) })
}

// Sweep runs [Rules.Sweep].
func (s *Service) Sweep(ctx context.Context, user UserID) error {
	return s.act(ctx, user, func(r Rules, a *Account, now time.Time) error { return r.Sweep(a, now) })
}

// Reset returns the user's reset, open or closed a while ago; nil if there is none.
func (s *Service) Reset(ctx context.Context, user UserID) (*Reset, error) {
	account, err := s.load(ctx, user)
	if err != nil {
		return nil, err
	}
	return account.Reset, nil
}

// Due lists accounts by what they wait for; the list may lag behind.
func (s *Service) Due(ctx context.Context, waiting Waiting, page Page) (DuePage, error) {
	due, err := s.Store.Due(ctx, waiting, page)
	if err != nil && !errors.Is(err, ErrCursor) {
		return DuePage{}, unavailable(err)
	}
	return due, err
}

// act is decide for a rule without an answer.
func (s *Service) act(ctx context.Context, user UserID, rule func(Rules, *Account, time.Time) error) error {
	_, err := decide(ctx, s, user, func(r Rules, a *Account, now time.Time) (struct{}, error) {
		return struct{}{}, rule(r, a, now)
	})
	return err
}

// Status returns how the user's account stands, with what time has done to it and nobody has stored yet.
func (s *Service) Status(ctx context.Context, user UserID) (Status, error) {
	var fence time.Time
	var unfenced error
	wait := beside(func() { fence, unfenced = s.fence(ctx) })
	account, err := s.load(ctx, user)
	wait()
	if err := errors.Join(unfenced, err); err != nil {
		return Status{}, err
	}
	now := s.now()
	return account.next("", fence, now).Status(now), nil
}

// History lists the user's events, newest first. The error is [ErrCursor] for a cursor that was never given.
func (s *Service) History(ctx context.Context, user UserID, page Page) (HistoryPage, error) {
	events, err := s.Store.History(ctx, user, page)
	if err != nil && !errors.Is(err, ErrCursor) {
		return HistoryPage{}, unavailable(err)
	}
	return events, err
}
