package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/host"
)

// demoUser is an account of the demo application. Its address is its user id as well.
type demoUser struct {
	Email  string
	Groups []string

	First, Last, Birthdate, Phone string // as on file, and on the ID
}

var (
	demoUsers = []demoUser{
		{Email: "alice@example.com", First: "Alice", Last: "Doe", Birthdate: "1990-01-31", Phone: "+15550100101"},
		{Email: "bob@example.com", First: "Bob", Last: "Roe", Birthdate: "1985-06-15", Phone: "+15550100102"},
		{Email: "reviewer@example.com", Groups: []string{"reviewers"}},
		{Email: "reviewer2@example.com", Groups: []string{"reviewers"}},
	}
	// demoPassword is everybody's, and no secret.
	demoPassword = "correct horse"
)

// demoHost is an application's login back end, as any other would be written: it reaches the service over HTTP, with
// pkg/host and nothing else, and grants its session only after it has redeemed an assertion, or was told that no second
// factor is due.
type demoHost struct {
	service  *host.Client
	sessions *identityProvider
	pending  signIns
	now      func() time.Time
	log      *slog.Logger
}

type loginRequest struct {
	Email    string  `json:"email"`
	Password *string `json:"password"` // required; an empty one is a wrong one
}

type assertionRequest struct {
	Assertion string `json:"assertion"`
}

type sessionResponse struct {
	Session string `json:"session"`
}

// login is the password step. It answers with a session, or with what the service says about the second factor.
func (d *demoHost) login(w http.ResponseWriter, r *http.Request, in loginRequest) (any, error) {
	refused := api.NewProblem(api.CodeUnauthorized, "The address or the password is wrong.")
	given, right := sha256.Sum256([]byte(*in.Password)), sha256.Sum256([]byte(demoPassword))
	same := subtle.ConstantTimeCompare(given[:], right[:]) == 1
	user, known := userOf(in.Email)
	if known && !same {
		d.service.ReportPasswordFailed(user.Email, sourceIP(r), userAgent(r), func(err error) {
			d.log.Error("demo host: a wrong password is missing in the history", "user", user.Email, "cause", err)
		})
	}
	if !known || !same { // answered alike, whatever became of the report: nothing tells which addresses there are
		return nil, refused
	}
	nonce := host.NewNonce()
	offer, err := d.service.Challenge(r.Context(), api.ChallengeRequest{
		UserID: user.Email, Email: user.Email, Label: user.Email, Locale: language(r), AMR: []string{"pwd"}, Nonce: nonce,
		IP: sourceIP(r), UserAgent: userAgent(r), Subject: user.subject(),
	})
	switch {
	case err != nil:
		return nil, d.unavailable(r.Context(), err)
	case offer.Required:
		id := d.pending.begin(signIn{user: user, nonce: nonce, ends: d.now().Add(signInFor)}, d.now())
		setCookie(w, id, int(signInFor/time.Second))
		return offer, nil
	}
	// Where it cannot be reported, the sign-in does not go on: none is missing in the history.
	login := api.HostEventRequest{Type: "login", IP: sourceIP(r), UserAgent: userAgent(r)}
	if err := d.service.Report(r.Context(), user.Email, login); err != nil {
		return nil, d.unavailable(r.Context(), err)
	}
	return d.grant(signedIn{User: user, AuthTime: d.now().Unix(), AMR: []string{"pwd"}})
}

// session is the step after the second factor.
func (d *demoHost) session(w http.ResponseWriter, r *http.Request, in assertionRequest) (any, error) {
	cookie, err := r.Cookie(signInCookie)
	if err != nil {
		return nil, api.NewProblem(api.CodeUnauthorized, "No sign-in is under way in this browser. Begin with the password.")
	}
	pending, ok := d.pending.get(cookie.Value, d.now())
	if !ok {
		return nil, api.NewProblem(api.CodeUnauthorized, "This sign-in is over. Begin again with the password.")
	}
	claims, err := d.service.VerifyAssertion(r.Context(), in.Assertion, host.Expected{User: pending.user.Email, Nonce: pending.nonce})
	switch {
	case errors.Is(err, host.ErrUnavailable):
		return nil, d.unavailable(r.Context(), err)
	case err != nil:
		d.log.InfoContext(r.Context(), "assertion refused", "user", pending.user.Email, "cause", err)
		return nil, api.NewProblem(api.CodeUnauthorized, "This assertion does not open a session. Begin again with the password.")
	}
	d.pending.end(cookie.Value)
	setCookie(w, "", -1)
	return d.grant(signedIn{User: pending.user, AuthTime: claims.AuthTime.Unix(), AMR: claims.AMR})
}

func (d *demoHost) grant(s signedIn) (any, error) {
	token, err := d.sessions.session(s)
	if err != nil {
		return nil, err
	}
	return sessionResponse{token}, nil
}

func (d *demoHost) unavailable(ctx context.Context, err error) error {
	if !errors.Is(err, host.ErrUnavailable) {
		return err // ours to mend: a bare 500
	}
	d.log.ErrorContext(ctx, "demo host", "cause", err)
	return api.NewProblem(api.CodeUnavailable, "")
}

// subject is what the application has on file; nothing for who is not a customer.
func (u demoUser) subject() *api.Subject {
	if u.First == "" {
		return nil
	}
	return &api.Subject{Name: u.First + " " + u.Last, Birthdate: u.Birthdate, Phone: u.Phone}
}

func userOf(email string) (demoUser, bool) {
	for _, u := range demoUsers {
		if u.Email == email {
			return u, true
		}
	}
	return demoUser{}, false
}

// userAgent is the browser's, no longer than anyone needs.
func userAgent(r *http.Request) string {
	const longest = 256
	text := r.UserAgent()
	return strings.ToValidUTF8(text[:min(len(text), longest)], "")
}

// language is the first that the browser asks for, in which the mails are written.
func language(r *http.Request) string {
	const longest = 35 // RFC 5646 §4.4.1
	tag, _, _ := strings.Cut(r.Header.Get("Accept-Language"), ",")
	tag, _, _ = strings.Cut(tag, ";")
	tag = strings.TrimSpace(tag)
	if tag == "" || len(tag) > longest || strings.ContainsFunc(tag, func(c rune) bool {
		return c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	}) {
		return "en"
	}
	return tag
}

// signInCookie holds the id of the pending sign-in; the nonce stays with the host.
const signInCookie = "nightlatch_sign_in"

// There is no Secure: the server speaks plain HTTP, to this machine alone.
func setCookie(w http.ResponseWriter, id string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: signInCookie, Value: id, Path: "/demo", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

const (
	// signInFor is how long a sign-in can wait for its second factor: the ten minutes of a challenge, and time to set an
	// authenticator up.
	signInFor = 15 * time.Minute
	// maxSignIns is how many can wait at once.
	maxSignIns = 1000
)

// signIn is a sign-in between its password and its second factor.
type signIn struct {
	user  demoUser
	nonce string
	ends  time.Time
}

// signIns are the pending ones, by a random id. The zero value is ready.
type signIns struct {
	mu   sync.Mutex
	byID map[string]signIn
}

// begin keeps a sign-in and returns its id. When there are too many, the one that ends first makes room.
func (s *signIns) begin(in signIn, now time.Time) string {
	id := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = map[string]signIn{}
	}
	if len(s.byID) >= maxSignIns {
		s.makeRoom(now)
	}
	s.byID[id] = in
	return id
}

func (s *signIns) makeRoom(now time.Time) {
	first := ""
	for id, in := range s.byID {
		switch {
		case !now.Before(in.ends):
			delete(s.byID, id)
		case first == "" || in.ends.Before(s.byID[first].ends):
			first = id
		}
	}
	if len(s.byID) >= maxSignIns {
		delete(s.byID, first)
	}
}

func (s *signIns) get(id string, now time.Time) (signIn, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in, ok := s.byID[id]
	return in, ok && now.Before(in.ends)
}

func (s *signIns) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, id)
}
