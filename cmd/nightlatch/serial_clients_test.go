package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	mathrand "math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// wallet is what all that act for one user know together, and so the user's journal.
type wallet struct {
	journal
	mu         sync.Mutex
	secret     string   // of the authenticator that is likely to be in force
	backups    []string // told, newest last
	begun      []told   // set-ups
	grants     []givenGrant
	challenges []*challenge
	recent     []*operation
	byName     map[string]*operation // verifications: a challenge and a code are one operation, whoever sends it
}

type givenGrant struct {
	sealed string
	op     *operation
}

// codeBook has the codes of all secrets, by an implementation that is not ours.
type codeBook struct{ known map[string]string }

func (b *codeBook) at(secret string, step int64) string {
	name := fmt.Sprint(secret, step)
	code, ok := b.known[name]
	if !ok {
		code = appCode(secret, time.Unix(step*wholeStep, 0))
		b.known[name] = code
	}
	return code
}

// newest is the last of a list, mostly.
func newest[T any](r *mathrand.Rand, list []T) (one T, ok bool) {
	if len(list) == 0 {
		return one, false
	}
	if r.IntN(4) == 0 {
		return list[r.IntN(len(list))], true
	}
	return list[len(list)-1], true
}

func last[T any](n int, list []T) []T { return list[max(0, len(list)-n):] }

// typed is a code of the authenticator, as people and attackers type them: of about now, of another time, or any.
func (w *wallet) typed(r *mathrand.Rand, secret string, now time.Time) string {
	step := now.Unix() / wholeStep
	switch n := r.IntN(100); {
	case secret == "" || n < 3:
		return fmt.Sprintf("%06d", r.IntN(1e6))
	case n < 9: // told by how much, if it is within ten minutes
		return w.codes.at(secret, step+int64(r.IntN(50)-25))
	default:
		return w.codes.at(secret, step+int64(r.IntN(3)-1))
	}
}

// chooses is what somebody does next: mostly what makes sense, sometimes what does not.
func (w *wallet) chooses(r *mathrand.Rand, serviceKey, session string, now time.Time) *operation {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o, ok := newest(r, w.recent); ok && r.IntN(6) == 0 {
		return o // sent again
	}
	o := &operation{ids: map[string]bool{}}
	post := func(k kind, path, body string) *operation {
		o.kind, o.request = k, request{method: "POST", path: path, bearer: session, body: body}
		if k != kindCheck && r.IntN(5) > 0 {
			o.request.key = rand.Text()
		}
		return o
	}
	withCode := func(k kind, path string, scope int) *operation {
		if g, ok := newest(r, w.grants); ok && r.IntN(10) < scope {
			o.grant = g.op
			return post(k, path, jsonOf("grant", g.sealed))
		}
		o.code = w.typed(r, w.secret, now)
		return post(k, path, jsonOf("code", o.code))
	}
	confirm := func() *operation {
		begun, ok := newest(r, w.begun)
		if !ok {
			begun.EnrollmentID = "none"
		}
		o.enrolment, o.code = begun.EnrollmentID, w.typed(r, strings.ReplaceAll(begun.ManualSecret, " ", ""), now)
		return post(kindConfirm, "/v1/enroll/confirm", jsonOf("enrollment_id", o.enrolment, "code", o.code))
	}
	switch n := r.IntN(100); {
	case n < 18 || len(w.challenges) == 0 && w.secret != "":
		o.kind, o.request = kindChallenge, challengeFor(serviceKey, w.user, "host")
	case w.secret == "" && (len(w.begun) == 0 || n < 25):
		return post(kindEnroll, "/v1/enroll", "{}")
	case w.secret == "" && n < 75:
		return confirm()
	case n < 44:
		return w.verifies(r, o, now)
	case n < 52:
		return w.verifiesBackup(r, o)
	case n < 62:
		o.code = w.typed(r, w.secret, now)
		return post(kindCheck, "/v1/check", jsonOf("code", o.code))
	case n < 72:
		return withCode(kindRotate, "/v1/backup-code", 4)
	case n < 76:
		return withCode(kindRevoke, "/v1/backup-code/revoke", 0)
	case n < 77:
		return withCode(kindDisable, "/v1/disable", 0)
	case n < 82:
		return withCode(kindEnroll, "/v1/enroll", 5)
	case n < 93:
		return confirm()
	case n < 95:
		o.kind = kindPassword // its request and an operator's have the attempt's tag in their bodies
	default:
		o.kind = kindUnlock
	}
	return o
}

func (w *wallet) verifies(r *mathrand.Rand, o *operation, now time.Time) *operation {
	o.kind, o.code = kindVerify, w.typed(r, w.secret, now)
	return w.named(r, o, "totp")
}

func (w *wallet) verifiesBackup(r *mathrand.Rand, o *operation) *operation {
	o.kind, o.code = kindBackup, strings.Repeat("0", 13)
	if code, ok := newest(r, w.backups); ok && r.IntN(6) > 0 {
		o.code = code
	}
	return w.named(r, o, "backup_code")
}

func (w *wallet) named(r *mathrand.Rand, o *operation, method string) *operation {
	c, ok := newest(r, w.challenges)
	if !ok {
		c = &challenge{sealed: "none", epochs: [2]int{-1, -1}}
	}
	o.challenge, o.request = c, verifyRequest(c.sealed, method, o.code, "")
	name := o.request.body
	if known := w.byName[name]; known != nil {
		return known
	}
	w.byName[name] = o
	return o
}

// asks is the request as an attempt sends it: under a name of its own.
func (w *wallet) asks(o *operation, serviceKey, tag string) request {
	q := o.request
	switch o.kind {
	case kindPassword:
		return request{method: "POST", path: "/v1/users/" + w.user + "/events", bearer: serviceKey,
			body: jsonOf("type", "password_changed", "user_agent", tag)}
	case kindUnlock:
		return request{method: "POST", path: "/dev/admin", body: jsonOf("operation", "unlock", "user", w.user, "operator", "oscar", "reason", tag)}
	}
	q.agent = tag
	return q
}

// hears takes over an answer, or that there was none.
func (w *wallet) hears(a *attempt, r reply, err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := a.op
	if o.request.key != "" || o.kind == kindVerify || o.kind == kindBackup {
		w.recent = append(last(5, w.recent), o)
	}
	if err != nil {
		return nil
	}
	a.reply, a.verdict, a.told = r, verdictOf(o.kind, r), r.told()
	a.answered = a.verdict != ""
	if err := w.learn(a); err != nil || r.status >= http.StatusBadRequest {
		return err
	}
	t := a.told
	if o.kind == kindChallenge && t.Challenge != "" {
		o.challenge = &challenge{sealed: t.Challenge, asked: a, ends: t.ExpiresAt}
		w.challenges = append(last(3, w.challenges), o.challenge)
	}
	if code := plainBackup(t.backupCode()); code != "" {
		w.backups = append(last(2, w.backups), code)
	}
	if t.Grant != "" {
		w.grants = append(last(1, w.grants), givenGrant{t.Grant, o})
	}
	switch o.kind {
	case kindEnroll:
		w.begun = append(last(1, w.begun), t)
	case kindConfirm:
		w.secret = w.setUps[o.enrolment].secret
	case kindDisable:
		w.secret = ""
	}
	return nil
}

const never = time.Duration(math.MaxInt64)

// cutter is a way to a server on which some answers are lost, and some requests are cut off at any moment.
type cutter struct {
	next http.RoundTripper
	mu   sync.Mutex
	r    *mathrand.Rand
}

var errCut = errors.New("cut off, on purpose")

func (c *cutter) RoundTrip(q *http.Request) (*http.Response, error) {
	c.mu.Lock()
	n, wait := c.r.IntN(100), time.Duration(c.r.Int64N(int64(15*time.Millisecond)))
	c.mu.Unlock()
	if n >= 6 {
		return c.next.RoundTrip(q)
	}
	ctx, cancel := context.WithCancel(q.Context())
	defer cancel()
	if n < 3 {
		time.AfterFunc(wait, cancel)
	}
	answer, err := c.next.RoundTrip(q.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	return nil, errCut
}
