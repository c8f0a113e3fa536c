package main

import (
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/needs"
)

// apart is how far the clocks of the two processes of a pair are from each other.
const apart = 2 * time.Second

// dynamoFlags choose tables of this test's own on a DynamoDB Local.
func dynamoFlags(t testing.TB) []string {
	return []string{"-store", "dynamodb", "-dynamodb-endpoint", needs.DynamoDBLocal(t), "-dynamodb-prefix", rand.Text() + "-"}
}

// newPair starts two processes on one DynamoDB, as two Lambda instances would run, with clocks that are two seconds apart.
// Every other request goes to the other one.
func newPair(t *testing.T, connections int) *arena {
	t.Helper()
	binary, flags := buildProgram(t), dynamoFlags(t)
	first, second := dataDir(t), t.TempDir()
	one := startProgram(t, binary, first, connections, flags...)
	shareKeys(t, first, second)
	two := startProgram(t, binary, second, connections, flags...)
	both := &spread{hosts: []string{hostOf(one.url), hostOf(two.url)}, next: one.http.Transport}
	a := &arena{
		remote: &remote{url: one.url, serviceKey: one.serviceKey, http: &http.Client{Transport: both}},
		t:      t, slack: 2 * apart,
	}
	a.windTo = func(d time.Duration) (time.Time, time.Duration, error) {
		now, offset, err := one.wind(d)
		if err == nil {
			var r reply
			r, err = two.send(request{method: "POST", path: "/dev/clock", body: fmt.Sprintf(`{"offset_seconds":%d}`, int((offset + apart).Seconds()))})
			if err == nil && r.status != http.StatusOK {
				err = fmt.Errorf("clock of the second process: %s", r)
			}
		}
		return now, offset, err
	}
	a.session = sessionsOf(t, first, a.clock)
	t.Cleanup(func() {
		one.kill(t)
		two.kill(t)
		for _, p := range []*program{one, two} {
			if t.Failed() {
				t.Logf("a process of the pair said:\n%s", p.stderr.String())
			}
		}
	})
	a.begin()
	return a
}

// shareKeys gives a second server what it must have in common with the first.
func shareKeys(t *testing.T, first, second string) {
	t.Helper()
	for _, name := range []string{"key-encryption-key.json", "session-key.pem", "service-key", "webhook-secret"} {
		content, err := os.ReadFile(filepath.Join(first, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(second, name), content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func hostOf(url string) string { return strings.TrimPrefix(url, "http://") }

// spread sends each request to the next of several servers.
type spread struct {
	hosts []string
	turn  atomic.Int64
	next  http.RoundTripper
}

func (s *spread) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Host = s.hosts[int(s.turn.Add(1))%len(s.hosts)]
	r.Host = r.URL.Host
	return s.next.RoundTrip(r)
}

// TestAttackRightAmongWrongOfPair is TestAttackRightAmongWrong through both processes: over HTTP, and each request a read and a
// conditional write of a real DynamoDB.
func TestAttackRightAmongWrongOfPair(t *testing.T) {
	t.Parallel()
	const wrongs, rounds = 400, 12
	a := newPair(t, wrongs+1)
	most := onceInAMillion(rounds * 5.0 / (wrongs + 1))
	found := 0
	for round := range rounds {
		user := fmt.Sprint("user ", round)
		a.wind(0)
		a.enroll(user, a.now.Add(-30*time.Second)) // the code of the step before, so that the present one is left
		codes := append(wrongCodes(a.secret, a.now, wrongs), appCode(a.secret, a.now))
		session := a.session(user)
		var answers tally
		var right atomic.Bool
		order := mathrand.Perm(len(codes))
		together(len(codes), len(codes), func(i int) {
			i = order[i]
			r, err := a.send(request{method: "POST", path: "/v1/check", bearer: session, body: jsonOf("code", codes[i])})
			switch {
			case err != nil:
				t.Error(err)
			case r.status == http.StatusOK && !r.told().Valid:
				answers.wrong.Add(1)
			case r.status == http.StatusOK && i != wrongs:
				t.Errorf("the wrong code %s is said to be right", codes[i])
			case r.status == http.StatusOK:
				right.Store(true)
			default:
				answers.count(r)
			}
		})
		if right.Load() {
			found++
		}
		if answers.wrong.Load() > 5 || answers.other.Load()+answers.reused.Load() > 0 {
			t.Errorf("round %d: %s", round, &answers)
		}
	}
	t.Logf("found in %d of %d rounds; more than %d is chance once in a million times", found, rounds, most)
	if found > most {
		t.Errorf("found in %d of %d rounds, want at most %d", found, rounds, most)
	}
}
