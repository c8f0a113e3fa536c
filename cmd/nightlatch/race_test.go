package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"math"
	mathrand "math/rand/v2"
	"net/http"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/token"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// arena is one user of a service, and all that race to get in as that user.
type arena struct {
	*remote
	t       *testing.T
	session func(user string) string
	secret  string
	now     time.Time     // the start of the present time step
	offset  time.Duration // of the service's clock
	slack   time.Duration // how far the clocks of its processes can be apart
	windTo  func(time.Duration) (time.Time, time.Duration, error)
	server  *server // where it is in this process
}

const racer = "racer"

// arenas are what the races run in.
var arenas = map[string]func(t *testing.T, connections int) *arena{
	"embedded": newArena, // in this process, so that the race detector sees it
	"dynamodb": newPair,
}

func inArenas(t *testing.T, connections int, race func(t *testing.T, a *arena)) {
	t.Parallel()
	for name, open := range arenas {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			race(t, open(t, connections))
		})
	}
}

// newArena starts a server on the embedded store.
func newArena(t *testing.T, connections int) *arena {
	t.Helper()
	data := dataDir(t)
	s, err := start(options{addr: "127.0.0.1:0", data: data, policy: "standard", quiet: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	a := &arena{remote: newRemote(s.url, s.serviceKey, connections), t: t, server: s}
	a.windTo = a.remote.wind
	a.session = sessionsOf(t, data, a.clock)
	t.Cleanup(func() {
		a.close()
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	a.begin()
	return a
}

// begin sets 2FA up for the user, who has not used a code since it went on.
func (a *arena) begin() {
	a.t.Helper()
	a.enroll(racer, a.clock())
	a.wind(90 * time.Second)
}

// enroll sets 2FA up for a user, with the code of the given time.
func (a *arena) enroll(user string, at time.Time) {
	a.t.Helper()
	session := a.session(user)
	setUp := a.ok(request{method: "POST", path: "/v1/enroll", bearer: session, body: "{}"})
	a.secret = setUp.ManualSecret
	a.ok(request{method: "POST", path: "/v1/enroll/confirm", bearer: session,
		body: jsonOf("enrollment_id", setUp.EnrollmentID, "code", appCode(a.secret, at))})
}

func (a *arena) clock() time.Time { return time.Now().Add(a.offset) }

// ok sends a request that succeeds.
func (a *arena) ok(q request) told {
	a.t.Helper()
	r, _, err := a.untilAnswered(q)
	if err != nil || r.status != http.StatusOK {
		a.t.Fatalf("%s: %s, %v", q.path, r, err)
	}
	return r.told()
}

func (a *arena) wind(d time.Duration) {
	a.t.Helper()
	var err error
	if a.now, a.offset, err = a.windTo(d + a.slack); err != nil {
		a.t.Fatal(err)
	}
}

func (a *arena) challenges(n int) []string {
	a.t.Helper()
	all := make([]string, n)
	together(n, n, func(i int) {
		if r, _, err := a.untilAnswered(challengeFor(a.serviceKey, racer, "host")); err != nil || r.status != http.StatusOK {
			a.t.Errorf("challenge: %s, %v", r, err)
		} else {
			all[i] = r.told().Challenge
		}
	})
	return all
}

// recorded waits until the history has as many events of a kind as it should.
func (a *arena) recorded(want int, what twofactor.EventType, outcome twofactor.Outcome) {
	a.t.Helper()
	if err := a.eventuallyHistory(a.session(racer), func(events []api.HistoryEvent) error {
		got := 0
		for _, e := range events {
			if e.Type == string(what) && e.Outcome == string(outcome) {
				got++
			}
		}
		if got != want {
			return fmt.Errorf("%d events %s %s, want %d", got, what, outcome, want)
		}
		return nil
	}); err != nil {
		a.t.Error(err)
	}
}

// tally counts answers by what they say.
type tally struct{ in, reused, wrong, locked, undecided, other atomic.Int64 }

func (n *tally) count(r reply) {
	switch code := r.told().Code; {
	case r.status == http.StatusOK:
		n.in.Add(1)
	case code == api.CodeCodeReused:
		n.reused.Add(1)
	case code == api.CodeInvalidCode:
		n.wrong.Add(1)
	case code == api.CodeLocked:
		n.locked.Add(1)
	case code == api.CodeUnavailable:
		n.undecided.Add(1)
	default:
		n.other.Add(1)
	}
}

func (n *tally) String() string {
	return fmt.Sprintf("%d in, %d reused, %d wrong, %d locked, %d undecided, %d other",
		n.in.Load(), n.reused.Load(), n.wrong.Load(), n.locked.Load(), n.undecided.Load(), n.other.Load())
}

// TestAttackOneCodeManyChallenges, over HTTP: 200 people with a challenge of their own type the same right code at the same moment, and
// one gets in.
func TestAttackOneCodeManyChallenges(t *testing.T) {
	const copies = 200
	inArenas(t, copies, func(t *testing.T, a *arena) { oneCodeManyChallenges(t, a, copies) })
}

func oneCodeManyChallenges(t *testing.T, a *arena, copies int) {
	challenges, code := a.challenges(copies), appCode(a.secret, a.now)
	var answers tally
	together(copies, copies, func(i int) {
		r, undecided, err := a.untilAnswered(verifyRequest(challenges[i], "totp", code, ""))
		if err != nil {
			t.Error(err)
			return
		}
		answers.undecided.Add(int64(undecided))
		answers.count(r)
	})
	t.Log(&answers)
	if answers.in.Load() != 1 || answers.reused.Load() != int64(copies-1) {
		t.Errorf("%s; want 1 in and %d reused", &answers, copies-1)
	}
	a.recorded(1, twofactor.EventLogin, twofactor.Succeeded)
}

// TestAttackOneChallenge, over HTTP: 200 copies of one request, which gets in once and is answered 200 times. Each answer is a
// write, so that most copies are told first that they could not be decided, and come again. None has to come for ever: it
// loses eight races before it is told so, each to the write of another copy.
func TestAttackOneChallenge(t *testing.T) {
	const copies = 200
	inArenas(t, copies, func(t *testing.T, a *arena) { oneChallenge(t, a, copies) })
}

func oneChallenge(t *testing.T, a *arena, copies int) {
	const decisions = 8
	challenge, code := a.challenges(1)[0], appCode(a.secret, a.now)
	var answers tally
	ids, again := make([]string, copies), make([]int, copies)
	together(copies, copies, func(i int) {
		r, undecided, err := a.untilAnswered(verifyRequest(challenge, "totp", code, ""))
		if err != nil {
			t.Error(err)
			return
		}
		answers.undecided.Add(int64(undecided))
		answers.count(r)
		ids[i], again[i] = r.jti(), undecided
	})
	atOnce := 0
	for _, n := range again {
		if n == 0 {
			atOnce++
		}
	}
	most := slices.Max(again)
	t.Logf("%s; %d of %d were answered at once, the others were told 503 before, one of them %d times", &answers, atOnce, copies, most)
	if answers.in.Load() != int64(copies) {
		t.Errorf("%s; want %d in", &answers, copies)
	}
	if most > copies/decisions {
		t.Errorf("a copy was told %d times that it could not be decided, want at most %d", most, copies/decisions)
	}
	for i, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("answers 0 and %d have the jti %q and %q, want the same", i, ids[0], id)
		}
	}
	a.recorded(1, twofactor.EventLogin, twofactor.Succeeded)
}

// TestAttackManyWrongCodes, over HTTP: of 10,000 wrong codes at the same moment five are called wrong, which is the budget; the others
// learn nothing. After each lock it is one.
func TestAttackManyWrongCodes(t *testing.T) {
	const guesses, connections = 10_000, 256
	inArenas(t, connections, func(t *testing.T, a *arena) { manyWrongCodes(t, a, guesses, connections) })
}

func manyWrongCodes(t *testing.T, a *arena, guesses, connections int) {
	const locks = 3
	guess := func(n, want int) {
		t.Helper()
		challenges, codes := a.challenges(min(n, connections)), wrongCodes(a.secret, a.now, n)
		var answers tally
		var sent atomic.Int64
		begun := time.Now()
		together(n, connections, func(i int) {
			if time.Since(begun) > 40*time.Second {
				return // on a machine that takes so long, before the first lock ends and another code is compared
			}
			sent.Add(1)
			r, err := a.send(verifyRequest(challenges[i%len(challenges)], "totp", codes[i], ""))
			if err != nil {
				t.Error(err)
				return
			}
			answers.count(r)
		})
		t.Logf("of %d: %s", sent.Load(), &answers)
		if answers.wrong.Load() != int64(want) || answers.locked.Load()+answers.undecided.Load() != sent.Load()-int64(want) {
			t.Errorf("%s; want %d wrong, and all others locked or undecided", &answers, want)
		}
	}
	guess(guesses, 5)
	for lock := time.Minute; lock < time.Minute<<locks; lock *= 2 {
		a.wind(lock)
		guess(connections, 1)
	}
	a.recorded(5+locks, twofactor.EventLogin, twofactor.Failed)
	a.recorded(1+locks, twofactor.EventLocked, twofactor.Succeeded)
	a.recorded(0, twofactor.EventLogin, twofactor.Succeeded)
}

// TestAttackRightAmongWrong, at the functions: of a right code and 400 wrong ones, all at the same moment, five wrong ones are
// compared at most, and the right one before them or not at all. That it is not drawn to the front, rounds show only
// roughly: in a fair queue it is among the first five in 5 of 401, and of six times as often they see nine in ten. The
// requests are events to the functions: HTTP would make a queue of them.
func TestAttackRightAmongWrong(t *testing.T) {
	t.Parallel()
	const wrongs = 400
	rounds := 300
	if raced() {
		rounds = 20
	}
	fair := float64(rounds) * 5 / (wrongs + 1)
	most := onceInAMillion(fair)
	for _, route := range []string{"POST /v1/verify", "POST /v1/check"} {
		t.Run(route, func(t *testing.T) {
			t.Parallel()
			a := newArena(t, 1)
			policy := a.server.functions.Load().policy
			service := &twofactor.Service{Store: a.server.store, Policy: policy, Keys: a.server.keys.Rules, Now: a.server.clock.now}
			function := a.server.functions.Load().byRoute[route]
			found, compared := 0, int64(0)
			for round := range rounds {
				user := twofactor.UserID(fmt.Sprint("user ", round))
				secret, now := enrolled(t, service, user)
				codes := append(wrongCodes(secret, now, wrongs), appCode(secret, now))
				requests := make([]events.APIGatewayV2HTTPRequest, len(codes))
				for i, code := range codes {
					requests[i] = a.event(route, user, code)
				}
				var answers tally
				var right atomic.Bool
				order := mathrand.Perm(len(codes))
				together(len(codes), len(codes), func(i int) {
					i = order[i]
					response, err := function(context.Background(), requests[i])
					if err != nil {
						t.Error(err)
					}
					r := reply{response.StatusCode, []byte(response.Body)}
					switch {
					case r.status == http.StatusOK && route == "POST /v1/check" && !r.told().Valid:
						answers.wrong.Add(1)
						return
					case r.status == http.StatusOK:
						right.Store(true)
						if i != wrongs {
							t.Errorf("the wrong code %s is said to be right", codes[i])
						}
					}
					answers.count(r)
				})
				if right.Load() {
					found++
				}
				compared = max(compared, answers.wrong.Load())
				// After a sign-in the counter begins again.
				if wrong := answers.wrong.Load(); answers.other.Load()+answers.reused.Load() > 0 || wrong > 5 && (!right.Load() || wrong > 9) {
					t.Errorf("round %d: %s", round, &answers)
				}
			}
			t.Logf("at most %d called wrong in a round; found in %d of %d rounds; a fair queue finds it in %.1f of them, and in more than %d once in a million times",
				compared, found, rounds, fair, most)
			if found > most {
				t.Errorf("found in %d of %d rounds, want at most %d", found, rounds, most)
			}
		})
	}
}

// onceInAMillion is the number that a count of independent rare things with this mean is above only once in a million
// times (Poisson).
func onceInAMillion(mean float64) (k int) {
	p := math.Exp(-mean)
	for above := 1 - p; above > 1e-6; above -= p {
		k++
		p *= mean / float64(k)
	}
	return k
}

// raced says whether the race detector is on, under which everything takes many times as long.
func raced() bool {
	build, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(build.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// enrolled sets 2FA up for a user, by the service itself, with the code of the step before the present one.
func enrolled(t testing.TB, service *twofactor.Service, user twofactor.UserID) (secret string, now time.Time) {
	t.Helper()
	now = service.Now()
	still := *service
	still.Now = func() time.Time { return now } // so that no step ends between the code and its confirmation
	service = &still
	setUp, err := service.Enroll(t.Context(), user, twofactor.Enroll{Request: twofactor.Request{ID: twofactor.RandomDigest()}, AuthTime: now})
	if err != nil {
		t.Fatal(err)
	}
	secret = setUp.Secret.Base32()
	if _, err := service.Confirm(t.Context(), user, twofactor.Confirm{
		Request: twofactor.Request{ID: twofactor.RandomDigest()}, Enrolment: setUp.ID, Code: appCode(secret, now.Add(-30*time.Second)),
	}); err != nil {
		t.Fatal(err)
	}
	return secret, now
}

// event is a request as the gateway hands it to a function, with a challenge of its own.
func (a *arena) event(route string, user twofactor.UserID, code string) events.APIGatewayV2HTTPRequest {
	e := events.APIGatewayV2HTTPRequest{RouteKey: route}
	e.RequestContext.RequestID = rand.Text()
	if route == "POST /v1/check" {
		e.Body = jsonOf("code", code)
		e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
			JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{Claims: map[string]string{"sub": string(user)}},
		}
		return e
	}
	e.Body = jsonOf("challenge", sealedChallenge(a.t, a.server, user), "method", "totp", "code", code)
	return e
}

// sealedChallenge is a challenge as the service gives it to a host, without the note in the history.
func sealedChallenge(t testing.TB, s *server, user twofactor.UserID) string {
	t.Helper()
	keys, err := s.keys.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := token.SealChallenge(keys.Challenge, twofactor.Challenge{
		ID: twofactor.RandomDigest(), Purpose: twofactor.PurposeVerify, User: user, ExpiresAt: s.clock.now().Add(10 * time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}
