// Package standin stands in for Persona on a laptop and in tests: it speaks the part of Persona's API that package identity
// uses, has a page on which a person passes or fails by pressing a button, and sends webhooks that are really signed. So the
// client and the check of webhooks that run in production run here, too. It checks nobody, and is never deployed.
//
// It follows Persona where that can hurt: an answer is repeated under its Idempotency-Key, whatever it was; a link is good
// once; an inquiry lapses after a day; webhooks come after the fact, and again until they are taken.
package standin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nightlatch/nightlatch/pkg/identity"
)

// Person is who somebody shows to be, part by part as on a document. Parts may be empty.
type Person struct {
	First, Middle, Last              string
	Birthdate                        string // 1990-01-31
	Phone                            string
	Street, City, PostalCode, Region string
	Country                          string // ISO 3166-1 alpha-2
}

// sample is shown by people of whom nothing is known.
var sample = Person{
	First: "SAM", Last: "SAMPLE", Birthdate: "1990-01-31", Phone: "+15550100100",
	Street: "1 Sample Street", City: "Oakland", Region: "CA", PostalCode: "94601", Country: "US",
}

// Config says where a stand-in is, and who asks it.
type Config struct {
	// URL is where people and clients reach the stand-in, such as http://127.0.0.1:8787/dev/identity: the URL of
	// identity.Config. Required. Below its path are /api/v1/inquiries… for clients, and /{inquiry} for people.
	URL string
	// APIKey is the key of clients. Required.
	APIKey string
	// WebhookURL is where webhooks go, and WebhookSecret what they are signed with. Without a URL none are sent.
	WebhookURL, WebhookSecret string
	// Person says who it is that shows an identity document, by the reference of the inquiry. Default: always the same.
	Person func(reference string) Person
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Load and Save keep the inquiries: Load returns what was last given to Save, or nothing. A change that could not be
	// saved does not happen. Default: they are lost when the stand-in ends.
	Load func() ([]byte, error)
	Save func([]byte) error
	// Transport sends the webhooks. Default: one of our own.
	Transport http.RoundTripper
	// Log tells of webhooks that nobody took. Default: nowhere.
	Log *slog.Logger
}

// Service is the stand-in: an http.Handler for everything below the path of its URL. It is safe for concurrent use.
type Service struct {
	config Config
	mux    *http.ServeMux

	mu    sync.Mutex
	state state
	fault func(*http.Request) int // a status instead of an answer, in tests

	webhooks http.Client
	sending  sync.WaitGroup
	ctx      context.Context // ends with Close
	stop     context.CancelFunc
}

// New returns a stand-in with the inquiries that were saved. The error names the field that is wrong.
func New(c Config) (*Service, error) {
	base, err := url.Parse(c.URL)
	switch {
	case err != nil || base.Host == "":
		return nil, errors.New("standin: URL must be like http://127.0.0.1:8787/dev/identity")
	case c.APIKey == "":
		return nil, errors.New("standin: APIKey is required")
	case c.WebhookURL != "" && c.WebhookSecret == "":
		return nil, errors.New("standin: WebhookSecret is required where there is a WebhookURL")
	case (c.Load == nil) != (c.Save == nil):
		return nil, errors.New("standin: Load and Save go together")
	}
	c.URL = strings.TrimRight(c.URL, "/")
	if c.Person == nil {
		c.Person = func(string) Person { return sample }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport.(*http.Transport).Clone()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{config: c, mux: http.NewServeMux(), state: newState()}
	if c.Load != nil {
		if err := s.state.load(c.Load); err != nil {
			return nil, fmt.Errorf("standin: %w", err)
		}
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.webhooks = http.Client{
		Transport: c.Transport, Timeout: deliverFor,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	path := strings.TrimRight(base.EscapedPath(), "/")
	s.mux.Handle("POST "+path+"/api/v1/inquiries", s.api(s.create))
	s.mux.Handle("GET "+path+"/api/v1/inquiries/{inquiry}", s.api(s.retrieve))
	s.mux.Handle("POST "+path+"/api/v1/inquiries/{inquiry}/generate-one-time-link", s.api(s.oneTimeLink))
	s.mux.HandleFunc("GET "+path+"/{inquiry}", s.visit)
	s.mux.HandleFunc("POST "+path+"/{inquiry}", s.decide)
	return s, nil
}

// ServeHTTP answers clients and people.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Close ends what is being sent, and waits for that. Webhooks that nobody has taken are lost.
func (s *Service) Close() {
	s.stop()
	s.sending.Wait()
}

// results are what can come of an inquiry: the two that people choose from, and as Persona names it whatever else may
// happen to one.
var results = map[string]identity.Status{
	"pass": identity.StatusApproved, "fail": identity.StatusFailed,
	"completed": identity.StatusCompleted, "needs_review": identity.StatusNeedsReview,
	"declined": identity.StatusDeclined, "expired": identity.StatusExpired,
}

// leadsTo says whether an inquiry can get from one status to another. What is decided stays decided, but for an approval:
// Persona's people may change their minds.
func leadsTo(from, to identity.Status) bool {
	switch from {
	case identity.StatusCreated, identity.StatusPending:
		return true
	case identity.StatusCompleted, identity.StatusNeedsReview:
		return to == identity.StatusApproved || to == identity.StatusDeclined
	case identity.StatusApproved:
		return to == identity.StatusDeclined
	}
	return false
}

var (
	errUnknown = errors.New("there is no such inquiry")
	errSpent   = errors.New("this link was used, or is too old")
	errClosed  = errors.New("the inquiry is not in a state for that")
	errResult  = errors.New("the result must be pass or fail")
)

// finish gives an inquiry its result, and tells of it. A code that came with it is spent.
func (s *Service) finish(id, code, result string) (inquiry, error) {
	to, known := results[result]
	if !known {
		return inquiry{}, errResult
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.find(id, code)
	if err != nil {
		return inquiry{}, err
	}
	if !leadsTo(i.Status, to) {
		return inquiry{}, errClosed
	}
	now := s.config.Now().UTC()
	if i.Open() && to != identity.StatusExpired {
		i.Person, i.CompletedAt = s.config.Person(i.Reference), now
		i.Document = "passed"
		if to == identity.StatusFailed || to == identity.StatusDeclined {
			i.Document = "failed"
		}
	}
	if to == identity.StatusApproved || to == identity.StatusDeclined {
		i.DecisionedAt = now
	}
	i.Status, i.Codes = to, nil
	if err := s.put(i, nil); err != nil {
		return inquiry{}, err
	}
	s.tell(i)
	return i, nil
}

// find returns an inquiry as it now is. With a code it must be one that was made for it, and not spent. s.mu is held.
func (s *Service) find(id, code string) (inquiry, error) {
	i, known := s.state.Inquiries[id]
	if !known {
		return inquiry{}, errUnknown
	}
	if i.Open() && s.config.Now().Sub(i.CreatedAt) >= lapsesAfter {
		i.Status, i.Codes = identity.StatusExpired, nil
	}
	if code != "" && !i.hasCode(code) {
		return inquiry{}, errSpent
	}
	return i, nil
}

// put saves an inquiry, and what was answered, if anything. s.mu is held.
func (s *Service) put(i inquiry, a *answer) error {
	next := s.state.with(i, a, s.config.Now())
	if s.config.Save != nil {
		if err := next.save(s.config.Save); err != nil {
			return err
		}
	}
	s.state = next
	return nil
}

// newID returns an id of a kind, which nobody can guess.
func newID(kind string) string { return kind + "_" + rand.Text() }
