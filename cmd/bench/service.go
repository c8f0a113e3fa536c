package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nightlatch/nightlatch/pkg/totp"
)

// service is a local server of Nightlatch with accounts.
type service struct {
	*process
	accounts int
	drawn    int         // how often accounts have been
	attempts [][]attempt // drawn last, for right codes
}

// secret of an account; nothing has to be kept.
func secret(account int) totp.Secret {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(account)))
	return sum[:20]
}

// user has the length that identity providers give.
func user(account int) string { return fmt.Sprintf("auth0|%024d", account) }

func jsonOf(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // it is ours
	}
	return text
}

type object map[string]any

// load imports accounts until there are so many.
func (s *service) load(accounts int) error {
	const batch, clients = 20_000, 64
	for begun := time.Now(); s.accounts < accounts; {
		n := min(batch, accounts-s.accounts)
		each := deal(n, clients, func(i int) call {
			account := s.accounts + i
			return post(s.host, "/dev/admin", nil, jsonOf(object{
				"operation": "import", "user": user(account), "operator": "bench", "reason": "to be measured",
				"import": object{"secret": secret(account).Base32(), "email": fmt.Sprintf("user-%d@example.com", account)},
			}), 200)
		})
		before := s.accounts
		if _, _, err := together(s.host, each, nil); err != nil {
			return fmt.Errorf("loading accounts: %w", err)
		}
		if s.accounts += n; before/100_000 != s.accounts/100_000 {
			progress("%d of %d accounts, %.0f/s", s.accounts, accounts, float64(s.accounts)/time.Since(begun).Seconds())
		}
	}
	if late := s.settle(); late > 10*time.Second {
		progress("the history and the mails of it took %.0f s more", late.Seconds())
	}
	return nil
}

// settle returns when the server has nothing left to do, and how long that took.
func (s *service) settle() time.Duration {
	const pause = 250 * time.Millisecond
	begun := time.Now()
	for busy, before := time.Now(), s.cpu(); ; before = s.cpu() {
		if time.Sleep(pause); s.cpu()-before > pause/10 {
			busy = time.Now()
		}
		if time.Since(busy) > 4*pause {
			return max(0, busy.Sub(begun))
		}
	}
}

// deal gives n calls to clients, in turn.
func deal(n, clients int, nth func(i int) call) [][]call {
	each := make([][]call, clients)
	for i := range n {
		each[i%clients] = append(each[i%clients], nth(i))
	}
	return each
}

// tomorrow winds the service's clock to the beginning of a time step on the next day, when nothing is left of what was
// signed in or guessed at today, and returns that step.
func (s *service) tomorrow() (totp.Step, error) {
	var clock struct {
		OffsetSeconds int64     `json:"offset_seconds"`
		Now           time.Time `json:"now"`
	}
	answer, err := http.Get("http://" + s.host + "/dev/clock")
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&clock); err != nil {
		return 0, err
	}
	next := totp.Default.StepAt(clock.Now.Add(25 * time.Hour))
	offset := clock.OffsetSeconds + int64(totp.Default.StartOf(next).Sub(clock.Now)/time.Second) + 1
	set, err := http.Post("http://"+s.host+"/dev/clock", "application/json", strings.NewReader(string(jsonOf(object{"offset_seconds": offset}))))
	if err != nil {
		return 0, err
	}
	defer set.Body.Close()
	if said, _ := io.ReadAll(set.Body); set.StatusCode != 200 {
		return 0, fmt.Errorf("the clock: %d %s", set.StatusCode, said)
	}
	return next, nil
}

// portion is how many accounts sign in before others do: not too many while their codes are good.
func (s *service) portion(clients int) int { return min(1000, 100*clients, s.accounts) }

// codesEach is how many codes an account has that are good at the same time: of the step before, of now and of the next.
const codesEach = 3

// attempt is the nth code of an account.
type attempt struct{ account, nth int }

// draw returns the attempts of each client, for accounts from all over the file, the same until drawn is another number. An
// account belongs to one client, which sends its codes one after the other.
func (s *service) draw(clients int, step totp.Step) [][]attempt {
	n := s.portion(clients)
	apart := s.accounts / n
	attempts := make([][]attempt, clients)
	for i := range n {
		account := i*apart + s.drawn*7919%apart
		if !distinct(account, step) {
			continue
		}
		for nth := range codesEach {
			attempts[i%clients] = append(attempts[i%clients], attempt{account, nth})
		}
	}
	return attempts
}

// distinct says whether no two codes around a step are the same, which they are for six accounts in a million: then a code
// is taken for that of the other step, which may have been used.
func distinct(account int, around totp.Step) bool {
	codes := map[string]bool{}
	for off := range totp.Step(4) {
		codes[rightCode(account, around-1+off)] = true
	}
	return len(codes) == 4
}

// challenge asks for one, as a host does once the password was right.
func (s *service) challenge(account int) call {
	return post(s.host, "/v1/challenges", http.Header{"Authorization": {"Bearer " + s.key}},
		jsonOf(object{"user_id": user(account), "nonce": "n", "expect": "enabled"}), 200)
}

// verify sends a code for the challenge in an answer.
func (s *service) verify(answer []byte, code string, want int) call {
	var offer struct {
		Challenge string `json:"challenge"`
	}
	if err := json.Unmarshal(answer, &offer); err != nil {
		panic(err) // it would have another status
	}
	return post(s.host, "/v1/verify", http.Header{"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64)"}},
		jsonOf(object{"challenge": offer.Challenge, "method": "totp", "code": code}), want)
}

// verifications returns codes of accounts from all over the file, three of each, in their order if they are right. The
// challenges are there already.
func (s *service) verifications(clients int, right bool) ([][]call, error) {
	step, err := s.tomorrow()
	if err != nil {
		return nil, err
	}
	if right {
		s.drawn++
		s.attempts = s.draw(clients, step)
	}
	attempts := s.attempts // wrong ones are for the same: what they add up to ends with the next right one
	each := make([][]call, clients)
	for client := range attempts {
		for _, a := range attempts[client] {
			each[client] = append(each[client], s.challenge(a.account))
		}
	}
	_, _, err = together(s.host, each, func(client, i int, body []byte) {
		a := attempts[client][i]
		if right {
			each[client][i] = s.verify(body, rightCode(a.account, step-1+totp.Step(a.nth)), 200)
		} else {
			each[client][i] = s.verify(body, wrongCode(a.account, step, a.nth), 422)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("challenges: %w", err)
	}
	return each, nil
}

// sustained is what whole sign-ins come to.
type sustained struct {
	perSecond float64
	p50, p99  time.Duration
	cpu       time.Duration // of the server, for one, with its two rows in the history
	late      time.Duration // how much longer than the answers the history took
}

// signIns has clients sign in for so long: each asks for a challenge and sends the code for it.
func (s *service) signIns(clients int, long time.Duration) (f sustained, err error) {
	s.settle()
	begun, cpu := time.Now(), s.cpu()
	var took []time.Duration
	for time.Since(begun) < long {
		step, err := s.tomorrow()
		if err != nil {
			return f, err
		}
		s.drawn++
		attempts, times := s.draw(clients, step), make([][]time.Duration, clients)
		if _, err := atOnce(s.host, clients, func(client int, c *connection) error {
			for _, a := range attempts[client] {
				code, first := rightCode(a.account, step-1+totp.Step(a.nth)), s.challenge(a.account)
				sent := time.Now()
				answer, err := c.send(first)
				if err == nil {
					_, err = c.send(s.verify(answer, code, 200))
				}
				if err != nil {
					return err
				}
				times[client] = append(times[client], time.Since(sent))
			}
			return nil
		}); err != nil {
			return f, err
		}
		took = append(took, slices.Concat(times...)...)
	}
	lasted := time.Since(begun)
	f.late = s.settle()
	slices.Sort(took)
	n := len(took)
	f.perSecond, f.p50, f.p99 = float64(n)/(lasted+f.late).Seconds(), quantile(took, 0.5), quantile(took, 0.99)
	f.cpu = (s.cpu() - cpu) / time.Duration(n)
	return f, nil
}

func rightCode(account int, step totp.Step) string {
	code, err := totp.Default.Code(secret(account), step)
	if err != nil {
		panic(err) // the parameters are the default
	}
	return code
}

// wrongCode belongs to no step within ten minutes; it is another one for each nth.
func wrongCode(account int, around totp.Step, nth int) string {
	for i := nth * 1000; ; i++ {
		code := fmt.Sprintf("%06d", i)
		if _, near, err := totp.Default.Match(secret(account), code, around, 20); !near && err == nil {
			return code
		}
	}
}
