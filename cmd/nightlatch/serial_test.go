package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/needs"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

var (
	serialSeed = flag.Uint64("serial.seed", 0, "what TestSerialOrder draws from; 0: the clock")
	serialFor  = flag.Duration("serial.for", 0, "how much of the service's time TestSerialOrder lasts, such as 24h; 0: as long as it takes to see something of everything")
)

const (
	serialClients = 16
	serialUsers   = 4
	serialCalls   = 10 // of each client in a burst
)

// serial is a service for which there is burst after burst: in each, all clients act for few users at the same moment.
type serial struct {
	t        *testing.T
	seed     uint64
	r        *mathrand.Rand
	began    time.Time
	servers  []*seat
	wallets  []*wallet
	mint     func(user string) string
	signedIn time.Time // when those signed in who get a session now
	tags     atomic.Int64
	rough    atomic.Bool // a burst is under way, and everything can go wrong

	kills, full, back int
	passed            time.Duration // of the service's time
}

// seat is a server, or the one that took its place.
type seat struct {
	*program
	data     string
	low      atomic.Int64 // the offset of its clock, in nanoseconds: at least
	high     atomic.Int64 // and at most
	rough    *http.Client
	attempts []*attempt // under way, or not answered
	mu       sync.Mutex
}

func (s *serial) since() time.Duration { return time.Since(s.began) }

func newSerial(t *testing.T, name string, revokeFirst, lossy bool) *serial {
	seed := *serialSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("%s: to have this again, as far as what happens at the same moment allows: -serial.seed=%d", name, seed)
	s := &serial{t: t, seed: seed, r: mathrand.New(mathrand.NewPCG(seed, 0)), began: time.Now()}
	for i := range serialUsers {
		s.wallets = append(s.wallets, &wallet{byName: map[string]*operation{}, journal: journal{
			user: fmt.Sprintf("user-%d", i), revokeFirst: revokeFirst, lossy: lossy, setUps: map[string]setUpTold{}, codes: &codeBook{map[string]string{}},
		}})
	}
	return s
}

// sit puts a program into its seat.
func (s *serial) sit(seat *seat, p *program) {
	seat.program = p
	seat.rough = &http.Client{Transport: &cutter{next: p.http.Transport, r: mathrand.New(mathrand.NewPCG(s.seed, s.r.Uint64()))}}
}

// wind puts the clocks of all servers forward.
func (s *serial) wind(d time.Duration) {
	s.passed += d
	for _, seat := range s.servers {
		offset := time.Duration(seat.low.Load()) + d
		seat.high.Store(int64(offset))
		r, err := seat.send(request{method: "POST", path: "/dev/clock", body: fmt.Sprintf(`{"offset_seconds":%d}`, int(offset.Seconds()))})
		if err != nil || r.status != http.StatusOK {
			s.t.Fatalf("clock: %s, %v", r, err)
		}
		seat.low.Store(int64(offset))
	}
}

// turnBack has the next server begin with a clock that is behind what the one before it has recorded.
func (s *serial) turnBack(seat *seat, d time.Duration) {
	d = min(d, time.Duration(seat.low.Load())) // not before the real time
	s.passed -= d
	s.back++
	offset := seat.low.Add(int64(-d))
	seat.high.Store(offset)
	kept := fmt.Sprintf(`{"offset_seconds":%d}`, time.Duration(offset)/time.Second)
	if err := os.WriteFile(filepath.Join(seat.data, "clock.json"), []byte(kept), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// signsIn has sessions begin now, by the clock that is behind.
func (s *serial) signsIn() {
	s.signedIn = time.Now().Add(time.Duration(s.servers[0].low.Load())).Truncate(time.Second)
}

// burst has all clients act at the same moment. It returns when they have done. If nothing happens to the servers, their
// clocks are put forward in the middle.
func (s *serial) burst(number int, calm bool) {
	for _, w := range s.wallets {
		w.mu.Lock()
		w.challenges = last(2, w.challenges)
		w.mu.Unlock()
	}
	var sessions []string
	s.signsIn()
	for _, w := range s.wallets {
		sessions = append(sessions, s.mint(w.user))
	}
	together(serialClients, serialClients, func(i int) {
		r := mathrand.New(mathrand.NewPCG(s.seed, uint64(number)<<16|uint64(i+1)))
		for call := range serialCalls {
			if i == 0 && call == serialCalls/2 && calm {
				s.wind(time.Duration(1+r.IntN(60)) * time.Second)
			}
			n := r.IntN(len(s.wallets))
			s.act(r, s.wallets[n], sessions[n], s.servers[r.IntN(len(s.servers))])
		}
	})
}

// act is one thing that one client does.
func (s *serial) act(r *mathrand.Rand, w *wallet, session string, seat *seat) {
	o := w.chooses(r, seat.serviceKey, session, time.Now().Add(time.Duration(seat.low.Load())))
	a := &attempt{op: o, tag: fmt.Sprint("attempt ", s.tags.Add(1)), signedIn: s.signedIn, ended: never}
	q := w.asks(o, seat.serviceKey, a.tag)
	if q.bearer != "" && q.bearer != seat.serviceKey {
		q.bearer = session // of an operation sent again
	}
	w.mu.Lock()
	w.attempts = append(w.attempts, a)
	w.mu.Unlock()
	seat.mu.Lock()
	seat.attempts = append(seat.attempts, a)
	seat.mu.Unlock()

	a.called, a.from, a.to = s.since(), time.Now().Add(time.Duration(seat.low.Load())), time.Now().Add(100*365*24*time.Hour)
	way := *seat.remote
	way.http = seat.rough
	reply, err := way.send(q)
	if err == nil {
		a.ended, a.to = s.since(), time.Now().Add(time.Duration(seat.high.Load()))
		if reply.status == http.StatusUnauthorized && reply.told().Code == "" || reply.status == http.StatusInternalServerError {
			s.t.Errorf("%v: %s", a, reply)
		}
	}
	if err := w.hears(a, reply, err); err != nil {
		s.t.Error(err)
	}
}

// over is when a server has ended: what it has not done by then it will not do.
func (s *serial) over(seat *seat) {
	seat.mu.Lock()
	defer seat.mu.Unlock()
	for _, a := range seat.attempts {
		if a.ended == never {
			a.ended, a.to = s.since(), time.Now().Add(time.Duration(seat.high.Load()))
		}
	}
	seat.attempts = nil
}

// judge holds what was answered against the history.
func (s *serial) judge() {
	answered, unanswered, happened, writes := 0, 0, 0, 0
	ids := map[string]bool{}
	kinds := map[kind]int{}
	for _, w := range s.wallets {
		history, err := s.history(w)
		if err == nil {
			// What came together is put into the history side by side: a row can be there a moment before an older one.
			err = s.servers[0].eventuallyHistory(s.mint(w.user), func(events []api.HistoryEvent) error {
				history = events
				return w.explain(events)
			})
		}
		if err != nil {
			s.t.Errorf("%s: %v", w.user, err)
			continue
		}
		s.doubts(w, history)
		all, err := w.writes(history)
		if err != nil {
			s.t.Error(err)
		}
		writes += len(all)
		for _, a := range w.attempts {
			switch {
			case a.answered:
				answered++
				kinds[a.op.kind]++
			case a.position > 0:
				happened++
				fallthrough
			default:
				unanswered++
			}
			if id := a.reply.jti(); id != "" && a.op.jti == id {
				ids[id] = true
			}
		}
	}
	s.t.Logf("%d answers explained by %d writes; %d requests had none, of which %d had been done; %d sign-ins; %d kills, %d full disks, %d times the clock went back, %v of the service's time",
		answered, writes, unanswered, happened, len(ids), s.kills, s.full, s.back, s.passed.Round(time.Second))
	s.t.Logf("answers: %v", kinds)
}

// history is all of a user's: it ends with what is written now.
func (s *serial) history(w *wallet) (history []api.HistoryEvent, err error) {
	tag := fmt.Sprint("attempt ", s.tags.Add(1))
	end := &attempt{tag: tag, op: &operation{kind: kindUnlock}, from: time.Now(), called: s.since()}
	r, err := s.servers[0].send(w.asks(end.op, "", tag))
	if err != nil || r.status != http.StatusOK {
		return nil, fmt.Errorf("%s, %w", r, err)
	}
	end.from, end.to, end.ended = end.from.Add(time.Duration(s.servers[0].low.Load())), time.Now().Add(time.Duration(s.servers[0].high.Load())), s.since()
	end.reply, end.answered, end.verdict = r, true, ok
	w.attempts = append(w.attempts, end)
	s.signsIn()
	for grown := -1; len(history) > grown; { // after a long day the stream is late
		grown = len(history)
		err = s.servers[0].eventuallyHistory(s.mint(w.user), func(events []api.HistoryEvent) error {
			history = events
			if !slices.ContainsFunc(events, func(e api.HistoryEvent) bool { return e.Reason == tag }) {
				return errors.New("the history does not come to its end")
			}
			return nil
		})
		if err == nil {
			break
		}
	}
	return history, err
}

// doubts has the checker look at journals that are not what happened. It must see all of them, or it sees nothing.
func (s *serial) doubts(w *wallet, history []api.HistoryEvent) {
	spoil := func(what string, change func(a *attempt) bool) {
		for _, a := range w.attempts {
			before := *a
			changed := change(a)
			if changed && w.explain(history) == nil {
				s.t.Errorf("%s: the checker does not mind %s: %v", w.user, what, a)
			}
			if *a = before; changed {
				return
			}
		}
	}
	is := func(k kind, verdict string) func(*attempt) bool {
		return func(a *attempt) bool { return a.answered && a.op.kind == k && strings.HasPrefix(a.verdict, verdict) }
	}
	spoil("a reused code that is let in", func(a *attempt) bool {
		found := is(kindVerify, string(api.CodeCodeReused))(a)
		a.verdict = ok + withEvidence
		return found
	})
	spoil("a wrong code that is told while locked", func(a *attempt) bool {
		found := is(kindVerify, string(api.CodeLocked))(a)
		a.verdict = string(api.CodeInvalidCode) + " 0"
		return found
	})
	spoil("a budget that is told too large", func(a *attempt) bool {
		found := is(kindCheck, string(api.CodeInvalidCode)+" 1")(a)
		a.verdict = string(api.CodeInvalidCode) + " 2"
		return found
	})
	spoil("an answer before its write", func(a *attempt) bool {
		found := is(kindVerify, ok)(a) && a.position > 3
		a.called, a.ended = 0, 0
		return found
	})
	told := map[string]bool{}
	for _, a := range w.attempts {
		told[a.tag] = a.answered
	}
	for i, e := range history {
		if e.Type == "login" && e.Outcome == "success" && told[e.UserAgent] { // of another nobody would know
			without := append(append([]api.HistoryEvent{}, history[:i]...), history[i+1:]...)
			if w.explain(without) == nil {
				s.t.Errorf("%s: the checker does not miss %+v", w.user, e)
			}
			break
		}
	}
	if err := w.explain(history); err != nil {
		s.t.Error(err)
	}
}

// TestSerialOrder: 16 clients act for four users at the same moment, over HTTP, while answers are lost, servers are killed,
// the disk is full, the clock is set, and the store is slow, throttles and fails. Every answer is the one of a serial order
// of decisions, each made between the request and its answer (serial_order_test.go).
func TestSerialOrder(t *testing.T) {
	t.Parallel()
	t.Run("bolt", func(t *testing.T) { t.Parallel(); serialOnBolt(t) })
	t.Run("dynamodb", func(t *testing.T) { t.Parallel(); serialOnPair(t) })
}

// explained has the checker explain answers, one after the other. Each set-up that is begun is a write.
func explained(attempts ...*attempt) error {
	j := &journal{setUps: map[string]setUpTold{}, codes: &codeBook{map[string]string{}}, attempts: attempts}
	var history []api.HistoryEvent
	var last time.Time
	for n, a := range attempts {
		a.tag, a.called, a.ended, a.answered = fmt.Sprint(n), time.Duration(2*n), time.Duration(2*n+1), a.verdict != ""
		if a.op.kind != kindEnroll {
			continue
		}
		if a.to.After(last) {
			last = a.to
		}
		history = append([]api.HistoryEvent{{ID: fmt.Sprintf("v%012d-00", n+1), At: last, UserAgent: a.tag,
			Type: string(twofactor.EventEnrollmentStarted), Outcome: string(twofactor.Succeeded)}}, history...)
	}
	return j.explain(history)
}

// TestSerialSetUpAgain: a set-up is begun, replaced, and begun again by the same request, whose answer is lost. Which set-up
// the id of the first answer names is then told by what comes of it, and both can be.
func TestSerialSetUpAgain(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second)
	for verdict, want := range map[string]bool{
		string(api.CodeEnrollmentReplaced): true,
		string(api.CodeInvalidCode) + " 9": false, // that leaves an event
		string(api.CodeEnrollmentExpired):  false,
	} {
		first := &operation{kind: kindEnroll, request: request{key: "key"}, ids: map[string]bool{"one": true}}
		err := explained(
			&attempt{op: first, verdict: "ok one backup", told: told{EnrollmentID: "one"}, signedIn: now, from: now, to: now},
			&attempt{op: &operation{kind: kindEnroll}, verdict: "ok two backup", told: told{EnrollmentID: "two"}, signedIn: now, from: now, to: now},
			&attempt{op: first, signedIn: now, from: now, to: now},
			&attempt{op: &operation{kind: kindConfirm, enrolment: "one", code: "000000"}, verdict: verdict, from: now, to: now},
		)
		if (err == nil) != want {
			t.Errorf("answered %q: %v, want it explained: %t", verdict, err, want)
		}
	}
}

// TestSerialClockBehind: a set-up is begun by a server whose clock is behind, while that is put forward by a minute. Until
// when it lasts is then known to a minute, and no better.
func TestSerialClockBehind(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second)
	minute := now.Add(time.Minute)
	for after, want := range map[time.Duration]bool{quarter: true, quarter + 50*time.Second: true, quarter + 2*time.Minute: false} {
		at := now.Add(after)
		err := explained(
			&attempt{op: &operation{kind: kindEnroll}, verdict: "ok one backup", told: told{EnrollmentID: "one"}, signedIn: now, from: minute, to: minute},
			&attempt{op: &operation{kind: kindEnroll}, verdict: "ok two backup", told: told{EnrollmentID: "two"}, signedIn: now, from: now, to: minute},
			&attempt{op: &operation{kind: kindConfirm, enrolment: "one", code: "000000"}, verdict: string(api.CodeEnrollmentReplaced), from: at, to: at},
		)
		if (err == nil) != want {
			t.Errorf("not expired after %v: %v, want it explained: %t", after, err, want)
		}
	}
}

// lasts says whether there is to be another burst.
func (s *serial) lasts(number, atLeast int) bool {
	if s.t.Failed() {
		return false
	}
	if *serialFor > 0 {
		return s.passed < *serialFor
	}
	if testing.Short() {
		atLeast /= 3
	}
	return number < atLeast
}

// pause is how long it is until the next burst: mostly some steps, sometimes so long that things run out.
func (s *serial) pause() time.Duration {
	if s.r.IntN(8) == 0 {
		return time.Duration(5+s.r.IntN(15)) * time.Minute
	}
	return time.Duration(10+s.r.IntN(100)) * time.Second
}

// serialOnBolt is one server that is killed, and whose disk fills up.
func serialOnBolt(t *testing.T) {
	s := newSerial(t, "bolt", false, false)
	binary, data := buildProgram(t), dataDir(t)
	one := &seat{data: data}
	s.servers = []*seat{one}
	s.mint = sessionsOf(t, data, func() time.Time { return s.signedIn })
	s.sit(one, startProgram(t, binary, data, serialClients))
	s.wind(time.Second)
	for number := 0; s.lasts(number, 12); number++ {
		switch {
		case number%3 == 1: // killed in the middle
			after := time.AfterFunc(time.Duration(20+s.r.IntN(150))*time.Millisecond, func() { one.process.Process.Kill() })
			s.burst(number, false)
			after.Stop()
			s.kills++
			s.end(one)
			if s.r.IntN(2) == 0 {
				s.turnBack(one, time.Duration(1+s.r.IntN(50))*time.Second)
			}
			s.sit(one, startProgram(t, binary, data, serialClients))
		case number%6 == 5:
			s.end(one)
			s.sit(one, startCommand(t, serialClients, fullAt(t, sizeOf(t, filepath.Join(data, "nightlatch.db")), programArgs(binary, data))...))
			s.burst(number, false)
			s.full++
			s.end(one)
			s.sit(one, startProgram(t, binary, data, serialClients))
		default:
			s.burst(number, true)
		}
		s.wind(s.pause())
	}
	s.judge()
	one.kill(t)
}

// end ends a server, whatever has become of it.
func (s *serial) end(one *seat) {
	_ = one.process.Process.Kill()
	_ = one.process.Wait()
	one.close()
	s.over(one)
}

// serialOnPair is two servers with clocks that are apart, on one DynamoDB that is slow, throttles, fails and loses answers.
func serialOnPair(t *testing.T) {
	s := newSerial(t, "dynamodb", true, true)
	binary, first, second := buildProgram(t), dataDir(t), t.TempDir()
	endpoint, err := url.Parse(needs.DynamoDBLocal(t))
	if err != nil {
		t.Fatal(err)
	}
	way := httputil.NewSingleHostReverseProxy(endpoint)
	way.ErrorLog = log.New(io.Discard, "", 0) // that callers hang up is what is wanted
	trouble := httptest.NewServer(&moody{s: s, next: way, r: mathrand.New(mathrand.NewPCG(s.seed, 99))})
	t.Cleanup(trouble.Close)
	flags := dynamoFlags(t)
	flags[3] = trouble.URL
	policy := filepath.Join(first, "policy")
	if err := os.WriteFile(policy, []byte(`{"backup_rotate":"revoke_then_create"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	flags = append(flags, "-policy", policy)
	one, two := &seat{data: first}, &seat{data: second}
	two.low.Store(int64(3 * time.Second))
	s.servers = []*seat{one, two}
	s.sit(one, startProgram(t, binary, first, serialClients, flags...))
	shareKeys(t, first, second)
	s.sit(two, startProgram(t, binary, second, serialClients, flags...))
	s.mint = sessionsOf(t, first, func() time.Time { return s.signedIn })
	s.wind(time.Second)
	for number := 0; s.lasts(number, 8); number++ {
		s.rough.Store(true)
		s.burst(number, true)
		s.rough.Store(false)
		s.wind(s.pause())
	}
	s.judge()
	one.kill(t)
	two.kill(t)
}

// moody is a DynamoDB on bad days.
type moody struct {
	s    *serial
	next http.Handler
	mu   sync.Mutex
	r    *mathrand.Rand
}

func (m *moody) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !m.s.rough.Load() || !strings.HasPrefix(r.Header.Get("X-Amz-Target"), "DynamoDB_") {
		m.next.ServeHTTP(w, r)
		return
	}
	m.mu.Lock()
	n, wait := m.r.IntN(100), time.Duration(m.r.Int64N(int64(60*time.Millisecond)))
	m.mu.Unlock()
	refuse := func(status int, code string) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": "com.amazonaws.dynamodb.v20120810#" + code})
	}
	switch {
	case n < 10:
		time.Sleep(wait) // the latency that is injected
	case n < 13:
		refuse(http.StatusBadRequest, "ThrottlingException")
		return
	case n < 14:
		refuse(http.StatusBadRequest, "ExpiredTokenException")
		return
	case n < 15:
		refuse(http.StatusInternalServerError, "InternalServerError")
		return
	case n < 18: // carried out, and nobody hears of it
		m.next.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
	m.next.ServeHTTP(w, r)
}
