// Login is a login back end with net/http: a password, then a second factor by Nightlatch, then a session in a cookie.
//
//	POST /login    {"email","password"}  -> 204 and a session, or 200 and what the browser needs for the second factor
//	POST /session  {"assertion"}         -> 204 and a session
//	GET  /me                             -> 200 {"user","amr"}
//	POST /logout                         -> 204
//
// Whatever else happens is an error, and nobody is signed in. What a real application replaces is marked REPLACE. The same
// with Express is web/host/examples/express.
package main

import (
	"cmp"
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"mime"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/host"
)

func main() {
	client, err := newClient(os.Getenv)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+cmp.Or(os.Getenv("PORT"), "3000"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, listener, client); err != nil {
		log.Fatal(err)
	}
}

func newClient(env func(string) string) (*host.Client, error) {
	client, err := host.New(host.Config{
		URL:         cmp.Or(env("NIGHTLATCH_URL"), "http://127.0.0.1:8787"),
		Audience:    "nightlatch-demo-host",                         // REPLACE: the name under which your deployment knows you
		Credentials: host.ServiceKey(env("NIGHTLATCH_SERVICE_KEY")), // REPLACE: host.SigV4{Provider: cfg.Credentials, Region: cfg.Region}
		Redeemer:    host.NewMemoryRedeemer(),                       // REPLACE: one on your database, as soon as there is a second process
	})
	if err != nil {
		return nil, fmt.Errorf("set NIGHTLATCH_SERVICE_KEY and NIGHTLATCH_URL to the key and the URL that make dev prints: %w", err)
	}
	return client, nil
}

// serve answers until ctx ends, and then whoever has asked. Last come the reports that are made beside the answers.
func serve(ctx context.Context, listener net.Listener, client *host.Client) error {
	server := http.Server{Handler: newLogin(client), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(ctx), client.Flush(ctx))
}

// login is the back end.
type login struct {
	service  *host.Client
	users    map[string]user  // by address. REPLACE: your table of users
	nobody   user             // so that an unknown address takes as long as a wrong password
	signIns  expiring[signIn] // between the password and the second factor
	sessions expiring[session]
}

type user struct {
	id, email  string
	salt, hash []byte
}

type signIn struct {
	user  user
	nonce string
}

type session struct {
	User string   `json:"user"`
	AMR  []string `json:"amr"`
}

const (
	signInFor  = 15 * time.Minute // the ten minutes of a challenge, and time to set an authenticator up
	sessionFor = 12 * time.Hour
)

func newLogin(service *host.Client) http.Handler {
	l := &login{service: service, users: map[string]user{}, nobody: newUser("nobody")}
	for _, email := range []string{"alice@example.com", "bob@example.com"} {
		l.users[email] = newUser(email)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /login", handler(l.password))
	mux.Handle("POST /session", handler(l.assertion))
	mux.Handle("GET /me", handler(l.me))
	mux.Handle("POST /logout", handler(l.logout))
	return mux
}

func newUser(email string) user {
	salt := []byte(rand.Text())
	return user{id: email, email: email, salt: salt, hash: hash("correct horse", salt)}
}

// rounds of PBKDF2: OWASP's number. Tests have fewer.
var rounds = 600_000

func hash(password string, salt []byte) []byte {
	key, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		panic(err) // of lengths that are never wrong here
	}
	return key
}

// password is the first half of a sign-in.
func (l *login) password(w http.ResponseWriter, r *http.Request) error {
	var in struct{ Email, Password string }
	if err := read(w, r, &in); err != nil {
		return err
	}
	user, known := l.users[in.Email]
	if !known {
		user = l.nobody
	}
	right := subtle.ConstantTimeCompare(hash(in.Password, user.salt), user.hash) == 1
	ip, _, _ := net.SplitHostPort(r.RemoteAddr) // REPLACE: behind a proxy, the address that it tells
	agent := r.UserAgent()
	agent = strings.ToValidUTF8(agent[:min(len(agent), 256)], "")
	if known && !right { // not waited for: nothing but the log tells whether the address is known
		l.service.ReportPasswordFailed(user.id, ip, agent, logged)
	}
	if !known || !right {
		return refusal{http.StatusUnauthorized, "The address or the password is wrong."}
	}

	// The password was right. From here on nobody gets in but by the two calls of grant.
	nonce := host.NewNonce()
	offer, err := l.service.Challenge(r.Context(), api.ChallengeRequest{
		UserID: user.id, Email: user.email, Nonce: nonce, AMR: []string{"pwd"}, Locale: "en", IP: ip, UserAgent: agent,
	})
	if err != nil {
		return err
	}
	if !offer.Required {
		event := api.HostEventRequest{Type: "login", IP: ip, UserAgent: agent}
		if err := l.service.Report(r.Context(), user.id, event); err != nil {
			return err
		}
		return l.grant(w, user, []string{"pwd"})
	}
	setCookie(w, "sign_in", l.signIns.keep(signIn{user, nonce}, signInFor), signInFor)
	return write(w, offer) // <nightlatch-sign-in> goes on from here
}

// assertion is the second half.
func (l *login) assertion(w http.ResponseWriter, r *http.Request) error {
	var in struct{ Assertion string }
	if err := read(w, r, &in); err != nil {
		return err
	}
	id := cookie(r, "sign_in")
	pending, ok := l.signIns.find(id)
	if !ok {
		return refusal{http.StatusUnauthorized, "This sign-in is over. Begin again with the password."}
	}
	claims, err := l.service.VerifyAssertion(r.Context(), in.Assertion, host.Expected{User: pending.user.id, Nonce: pending.nonce})
	if err != nil {
		return err
	}
	l.signIns.drop(id)
	return l.grant(w, pending.user, claims.AMR)
}

func (l *login) grant(w http.ResponseWriter, u user, amr []string) error {
	setCookie(w, "sign_in", "", 0)
	setCookie(w, "session", l.sessions.keep(session{u.id, amr}, sessionFor), sessionFor)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (l *login) me(w http.ResponseWriter, r *http.Request) error {
	s, ok := l.sessions.find(cookie(r, "session"))
	if !ok {
		return refusal{http.StatusUnauthorized, "Nobody is signed in."}
	}
	return write(w, s)
}

func (l *login) logout(w http.ResponseWriter, r *http.Request) error {
	l.sessions.drop(cookie(r, "session"))
	setCookie(w, "session", "", 0)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// refusal is an answer of our own.
type refusal struct {
	status int
	text   string
}

func (r refusal) Error() string { return r.text }

// handler answers what it returns. The errors of pkg/host tell no code, no challenge and no key.
type handler func(http.ResponseWriter, *http.Request) error

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := h(w, r)
	var ours refusal
	switch {
	case err == nil:
		return
	case errors.As(err, &ours):
		http.Error(w, ours.text, ours.status)
		return
	case errors.Is(err, host.ErrUnavailable):
		http.Error(w, "Signing in is not possible at the moment. Please try again.", http.StatusServiceUnavailable)
	case errors.Is(err, host.ErrAssertion), errors.Is(err, host.ErrRedeemed):
		http.Error(w, "This does not open a session. Begin again with the password.", http.StatusUnauthorized)
	default:
		http.Error(w, "Something went wrong.", http.StatusInternalServerError)
	}
	logged(err)
}

func logged(err error) {
	log.Print(err)
	var answered *host.Error
	if errors.As(err, &answered) && answered.Code == "" { // not the service has answered, but what stands before it
		log.Print("are NIGHTLATCH_SERVICE_KEY and NIGHTLATCH_URL the key and the URL that make dev prints?")
	}
}

// read reads a body of JSON, and of nothing else: no form of another site can send one.
func read(w http.ResponseWriter, r *http.Request, in any) error {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10)).Decode(in)
	if kind != "application/json" || err != nil {
		return refusal{http.StatusBadRequest, "This is not understood."}
	}
	return nil
}

func write(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(v)
}
