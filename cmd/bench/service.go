package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/nightlatch/nightlatch/pkg/totp"
)

// service is a local server of Nightlatch with accounts.
type service struct {
	*process
	accounts int
	drawn    int // how often accounts have been
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
	return nil
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

// portion is how many accounts sign in before others do: not too many for one client while their codes are good.
const portion = 1000

// codesEach is how many codes an account has that are good at the same time: of the step before, of now and of the next.
const codesEach = 3

// verifications returns sign-ins of accounts from all over the file, each with three codes, in their order if they are right. The
// challenges are there already.
func (s *service) verifications(clients int, right bool) ([][]call, error) {
	step, err := s.tomorrow()
	if err != nil {
		return nil, err
	}
	drawn := make([]int, min(portion, s.accounts))
	s.drawn++
	for i := range drawn {
		apart := s.accounts / len(drawn)
		drawn[i] = i*apart + s.drawn*7919%apart
	}
	// An account belongs to one client, which sends its codes one after the other.
	type attempt struct{ account, nth int }
	attempts := make([][]attempt, clients)
	for i, account := range drawn {
		for nth := range codesEach {
			attempts[i%clients] = append(attempts[i%clients], attempt{account, nth})
		}
	}
	header := http.Header{"Authorization": {"Bearer " + s.key}}
	each := make([][]call, clients)
	for client := range attempts {
		for _, a := range attempts[client] {
			each[client] = append(each[client], post(s.host, "/v1/challenges", header,
				jsonOf(object{"user_id": user(a.account), "nonce": "n", "expect": "enabled"}), 200))
		}
	}
	_, _, err = together(s.host, each, func(client, i int, body []byte) {
		var offer struct {
			Challenge string `json:"challenge"`
		}
		if err := json.Unmarshal(body, &offer); err != nil {
			panic(err) // it would have another status
		}
		a := attempts[client][i]
		code, want := rightCode(a.account, step-1+totp.Step(a.nth)), 200
		if !right {
			code, want = wrongCode(a.account, step, a.nth), 422
		}
		each[client][i] = post(s.host, "/v1/verify", http.Header{"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64)"}},
			jsonOf(object{"challenge": offer.Challenge, "method": "totp", "code": code}), want)
	})
	if err != nil {
		return nil, fmt.Errorf("challenges: %w", err)
	}
	return each, nil
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
