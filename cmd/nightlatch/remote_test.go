package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// remote is a server as its callers see it: by HTTP, from many goroutines. What it returns are values and errors, so
// that a caller can meet a server that is killed.
type remote struct {
	url, serviceKey string
	http            *http.Client
}

// newRemote keeps as many connections as there are callers.
func newRemote(url, serviceKey string, connections int) *remote {
	return &remote{url, serviceKey, &http.Client{Transport: &http.Transport{
		MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections,
	}}}
}

func (r *remote) close() { r.http.CloseIdleConnections() }

// request can be sent again as it is.
type request struct {
	method, path string
	bearer       string // a session or the service key
	key          string // the Idempotency-Key
	agent        string // the User-Agent, by which its events are found in the history
	body         string
}

type reply struct {
	status int
	body   []byte
}

// told are the members of answers that the proofs look at.
type told struct {
	Code          api.Code  `json:"code"`
	Required      bool      `json:"required"`
	Challenge     string    `json:"challenge"`
	Assertion     string    `json:"assertion"`
	State         string    `json:"state"`
	EnrollmentID  string    `json:"enrollment_id"`
	ManualSecret  string    `json:"manual_secret"`
	BackupCode    any       `json:"backup_code"` // text, or in a status an object
	ActivatedAt   time.Time `json:"activated_at"`
	ExpiresAt     time.Time `json:"expires_at"`
	Grant         string    `json:"grant"`
	Valid         bool      `json:"valid"` // of a check
	OffsetSeconds int64     `json:"offset_seconds"`
	Now           time.Time `json:"now"`
	api.HistoryResponse
}

func (r *remote) send(q request) (reply, error) {
	sent, err := http.NewRequest(q.method, r.url+q.path, strings.NewReader(q.body))
	if err != nil {
		return reply{}, err
	}
	sent.Header.Set("content-type", "application/json")
	for name, value := range map[string]string{"idempotency-key": q.key, "user-agent": q.agent} {
		if value != "" {
			sent.Header.Set(name, value)
		}
	}
	if q.bearer != "" {
		sent.Header.Set("authorization", "Bearer "+q.bearer)
	}
	response, err := r.http.Do(sent)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, body}, err
}

// untilAnswered sends a request again for as long as it could not be decided. It counts how often that was.
func (r *remote) untilAnswered(q request) (a reply, undecided int, err error) {
	for {
		if a, err = r.send(q); err != nil || a.status != http.StatusServiceUnavailable {
			return a, undecided, err
		}
		undecided++
		time.Sleep(mathrand.N(50 * time.Millisecond)) // as any client would, lest all come again together
	}
}

// told reads an answer; what is none is empty.
func (a reply) told() (t told) {
	if json.Unmarshal(a.body, &t) != nil {
		return told{}
	}
	return t
}

func (a reply) String() string { return fmt.Sprintf("%d %s", a.status, bytes.TrimSpace(a.body)) }

func (t told) backupCode() string {
	code, _ := t.BackupCode.(string)
	return code
}

// jti is the id of the assertion; that the signature is good is for others to prove.
func (a reply) jti() string {
	parts := strings.Split(a.told().Assertion, ".")
	if len(parts) != 3 {
		return ""
	}
	var claims struct{ JTI string }
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.JTI
}

// challengeFor asks for a challenge as a host does after the password.
func challengeFor(serviceKey, user, agent string) request {
	return request{method: "POST", path: "/v1/challenges", bearer: serviceKey,
		body: jsonOf("user_id", user, "nonce", "n", "user_agent", agent)}
}

func verifyRequest(challenge, method, code, agent string) request {
	return request{method: "POST", path: "/v1/verify", agent: agent, body: jsonOf("challenge", challenge, "method", method, "code", code)}
}

// history returns all of a user's events.
func (r *remote) history(session string) (events []api.HistoryEvent, err error) {
	for path := "/v1/history?limit=200"; ; {
		a, err := r.send(request{method: "GET", path: path, bearer: session})
		if err != nil {
			return nil, err
		}
		if a.status != http.StatusOK {
			return nil, fmt.Errorf("history: %s", a)
		}
		page := a.told()
		events = append(events, page.Events...)
		if page.Next == nil {
			return events, nil
		}
		path = "/v1/history?limit=200&cursor=" + *page.Next
	}
}

// eventuallyHistory asks for the history until it is as it should be, since it follows the account in its own time. When
// that takes too long the error is the last one of missing.
func (r *remote) eventuallyHistory(session string, missing func([]api.HistoryEvent) error) error {
	pause := 5 * time.Millisecond
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(pause) {
		pause = min(2*pause, 200*time.Millisecond)
		events, err := r.history(session)
		if err != nil {
			return err
		}
		if err = missing(events); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// wind puts the service's clock forward by at least d, to the first second of a time step, and returns the service's
// time and its distance from the real one. A code made for that moment, and the next one, are good for half a minute.
func (r *remote) wind(d time.Duration) (now time.Time, offset time.Duration, err error) {
	a, err := r.send(request{method: "GET", path: "/dev/clock"})
	if err != nil {
		return now, 0, err
	}
	clock := a.told()
	target := (clock.Now.Add(d).Unix()/30 + 1) * 30
	offset = time.Duration(clock.OffsetSeconds+target-clock.Now.Unix()) * time.Second
	a, err = r.send(request{method: "POST", path: "/dev/clock", body: fmt.Sprintf(`{"offset_seconds":%d}`, int(offset.Seconds()))})
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("clock: %s", a)
	}
	return time.Unix(target, 0), offset, err
}

// appCode is the code that an authenticator app shows, by an implementation that is not ours.
func appCode(secret string, at time.Time) string {
	code, err := totp.GenerateCodeCustom(strings.ReplaceAll(secret, " ", ""), at,
		totp.ValidateOpts{Period: 30, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		panic(err) // a secret that the service gave is one
	}
	return code
}

// nearCodes are those of the time steps within a quarter of an hour.
func nearCodes(secret string, now time.Time) map[string]bool {
	near := map[string]bool{}
	for off := -15 * time.Minute; off <= 15*time.Minute; off += 30 * time.Second {
		near[appCode(secret, now.Add(off))] = true
	}
	return near
}

// wrongCodes are n different codes, none of which is near.
func wrongCodes(secret string, now time.Time, n int) []string {
	near := nearCodes(secret, now)
	var codes []string
	for i := 0; len(codes) < n; i++ {
		if code := fmt.Sprintf("%06d", i); !near[code] {
			codes = append(codes, code)
		}
	}
	return codes
}

// together runs n calls, at most so many at a time, beginning all at the same moment.
func together(n, atOnce int, call func(i int)) {
	next := make(chan int, n)
	for i := range n {
		next <- i
	}
	close(next)
	start := make(chan struct{})
	var all sync.WaitGroup
	for range min(n, atOnce) {
		all.Go(func() {
			<-start
			for i := range next {
				call(i)
			}
		})
	}
	close(start)
	all.Wait()
}

// sessionsOf mints sessions as the identity provider of a data directory does, for any user.
func sessionsOf(t testing.TB, data string, now func() time.Time) func(user string) string {
	t.Helper()
	provider, err := openIdentityProvider(data+"/session-key.pem", now)
	if err != nil {
		t.Fatal(err)
	}
	return func(user string) string {
		token, err := provider.session(signedIn{User: demoUser{Email: user}, AuthTime: now().Unix(), AMR: []string{"pwd"}})
		if err != nil {
			panic(err) // the key is one that signs
		}
		return token
	}
}
