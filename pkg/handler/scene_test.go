package handler_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/token"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// crashing is the store as an attempt finds it.
type crashing struct {
	engine
	s *scene
}

func (c crashing) Load(ctx context.Context, user twofactor.UserID) (a *twofactor.Account, err error) {
	if c.s.attempt > 0 && !c.s.again {
		<-c.s.unlocked // keys and account are asked for at once: here in an order, so that a plan is one
	}
	c.s.again = false
	err = c.s.call(callLoad, func() (err error) { a, err = c.engine.Load(ctx, user); return err })
	return a, err
}

func (c crashing) Replace(ctx context.Context, next *twofactor.Account) error {
	err := c.s.call(callReplace, func() error {
		err := c.engine.Replace(ctx, next)
		if err == nil {
			c.s.landed(landing{callReplace, c.s.attempt, next.Version, ""})
			c.s.versions[next.Version] = next.Events
		}
		return err
	})
	c.s.again = errors.As(err, new(*twofactor.Conflict))
	return err
}

func (c crashing) Append(ctx context.Context, user twofactor.UserID, events []twofactor.Event) error {
	return c.s.call(callAppend, func() error {
		err := c.engine.Append(ctx, user, events)
		if err == nil {
			c.s.landed(landing{callAppend, c.s.attempt, 0, events[0].ID})
		}
		return err
	})
}

// request is what a client sends, and sends again.
type request struct {
	who         caller
	route, body string
}

// scene is one user, about to do one thing, in a world of its own on a store that all scenes share.
type scene struct {
	*world
	op          operation
	user        string
	plan        plan
	undisturbed *ending // how it ends when nothing goes wrong; nil while that is found out

	// What the user knows.
	phone, next        phone  // in force, and to be confirmed
	backup, nextBackup string // likewise; empty: none, or never shown
	former             string // backup code, dead once the request is carried out
	setUp              answer // of the next phone
	challenge, grant   string // in hand
	enabled            bool

	request   request
	attempt   int                         // that is under way, from 1; 0: something else is
	calls     []string                    // of the attempt
	unlocked  chan struct{}               // has one for each time that it has asked for the rules' keys
	again     bool                        // another was faster: what it loads next, it loads without them
	begun     time.Time                   // of the first attempt
	landings  []landing                   // of all attempts, in their order
	versions  map[int64][]twofactor.Event // all that were stored, as the stream has them
	delivered int64                       // the newest of them that the history has
	failures  []int64                     // the versions that rivals' wrong codes made
	password  int64                       // the version that a rival's new password made
	labels    int                         // told by rivals
	twin      answer                      // that a twin was given

	// Where it is counted what things take.
	recovery *recovery
	told     []string // by the host, of the user, at each sign-in
	name     string   // that the host has on file
}

// Attempts that nothing is planned for.
const (
	asTwin    = -1
	unplanned = 100
)

// landing is a write of an attempt that was stored.
type landing struct {
	call    string
	attempt int
	version int64  // of the account, or
	event   string // the id of an event
}

// nextCode is how long a scene waits for a code that can be used after another: so long that the two are tried against no
// step in common, which could by chance have the code of both.
const nextCode = 90 * time.Second

// begin is when every scene begins.
var begin = time.Date(2026, 3, 4, 14, 5, 0, 0, time.UTC)

var scenes atomic.Int64

func newScene(t testing.TB, store engine, ring *keyring.Ring, op operation) *scene {
	s := &scene{
		world: newWorldOn(t, store, op.policy), op: op, user: fmt.Sprintf("user%d", scenes.Add(1)),
		versions: map[int64][]twofactor.Event{}, unlocked: make(chan struct{}, 1),
	}
	s.deps.Service.Store = crashing{store, s}
	s.deps.Service.Keys = func(ctx context.Context) (k twofactor.Keys, err error) {
		err = s.call(callKeys, func() (err error) { k, err = ring.Rules(ctx); return err })
		if s.attempt > 0 {
			s.unlocked <- struct{}{}
		}
		return k, err
	}
	s.deps.Keys = func(ctx context.Context) (k token.Keys, err error) {
		err = s.call(callKeys, func() (err error) { k, err = ring.Tokens(ctx); return err })
		return k, err
	}
	s.funcs = functions(s.deps)
	return s
}

// call is a call of the store or the key ring, as it goes by the plan.
func (s *scene) call(what string, do func() error) error {
	if s.attempt <= 0 {
		return do()
	}
	s.calls = append(s.calls, what)
	i := slices.IndexFunc(s.plan, func(c crash) bool { return c.attempt == s.attempt && c.call == len(s.calls) })
	if i < 0 {
		return do()
	}
	c := s.plan[i]
	if c.accident == fails {
		return errCrash
	}
	if c.accident == overtaken {
		s.meanwhile(c.rival)
		return do()
	}
	if err := do(); err != nil {
		return err
	}
	s.meanwhile(c.rival)
	if c.accident == sentAgain {
		return do()
	}
	return errCrash
}

// landed notes what an attempt has stored. A write that is sent again lands once, and an attempt decides once.
func (s *scene) landed(l landing) {
	if s.attempt == 0 || slices.Contains(s.landings, l) {
		return
	}
	if slices.ContainsFunc(s.landings, func(m landing) bool { return m.attempt == l.attempt && m.call == l.call }) {
		s.t.Errorf("one attempt has stored twice: %+v after %+v", l, s.landings)
	}
	s.landings = append(s.landings, l)
}

// elsewhere is the address that rivals' requests come from.
const elsewhere = "198.51.100.99"

// meanwhile has the rival write, while an attempt is under way.
func (s *scene) meanwhile(r rival) {
	s.t.Helper()
	attempt, calls := s.attempt, s.calls
	defer func() { s.attempt, s.calls = attempt, calls }()
	s.attempt = 0
	before := s.version()
	switch r {
	case nobody:
		return
	case newLabel:
		s.labels++
		s.want(host(), "POST /v1/challenges",
			body("user_id", s.user, "nonce", "rival", "label", fmt.Sprint("label ", s.labels), "ip", elsewhere), 200, "")
	case wrongCode:
		if a := s.do(s.session().from(elsewhere), "POST /v1/check", body("code", s.phone.wrong())); a.str("code") == "not_enabled" {
			return // the attempt has turned it off
		}
		s.failures = append(s.failures, s.version())
	case newPassword:
		s.want(host().to(s.user), "POST /v1/users/{user}/events", body("type", "password_changed", "ip", elsewhere), 204, "")
		s.password = s.version()
	case twin:
		s.attempt = asTwin
		s.twin = s.send()
		return // which may have been refused
	}
	if s.version() == before {
		s.t.Errorf("%s wrote nothing", r)
	}
}

// version is the newest that was stored.
func (s *scene) version() int64 {
	var newest int64
	for v := range s.versions {
		newest = max(newest, v)
	}
	return newest
}

func (s *scene) send() answer { return s.do(s.request.who, s.request.route, s.request.body) }

func (s *scene) session() caller { return s.world.session(s.user) }
