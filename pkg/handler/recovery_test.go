package handler_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// recovery is a world with an identity service, and with a history that is written at once.
type recovery struct {
	*world
	store   *streamed
	persona *persona
}

// recovering gives a world what a recovery needs besides.
func recovering(w *world) *recovery {
	r := &recovery{world: w, store: &streamed{engine: w.deps.Service.Store.(faulty)}, persona: newPersona()}
	w.deps.Service.Store = r.store
	w.deps.Identity, w.deps.Webhook = r.persona, openHint
	w.deps.Settings.InquiryURL = "https://persona.example/inquiries/"
	w.funcs = functions(w.deps)
	return r
}

func newRecovery(t testing.TB, preset string) *recovery {
	t.Helper()
	return recovering(newWorld(t, preset))
}

// recoverOnEachEngine runs a test of recoveries over each engine.
func recoverOnEachEngine(t *testing.T, preset string, test func(*testing.T, *recovery)) {
	onEachEngine(t, preset, func(t *testing.T, w *world) { test(t, recovering(w)) })
}

// streamed is a store whose events are in the history as soon as they have happened, and which fails where it is told to.
type streamed struct {
	engine faulty

	mu        sync.Mutex
	fails     map[string]error // by method, or by method and user: "Load alice"
	lost      error            // of the next Replace, although it has landed
	mails     []string         // what was mailed for, with the reason of what is only a mail
	replaced  int
	listed    map[twofactor.Waiting]int // reads of lists
	looked    []twofactor.UserID        // accounts that were loaded
	onReplace func()                    // before the next one
	onList    func(twofactor.DuePage) twofactor.DuePage
}

func (s *streamed) failing(method string, user twofactor.UserID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fails[method]; err != nil {
		return err
	}
	return s.fails[method+" "+string(user)]
}

// fail has a method fail, for a user if it names one; nil ends that.
func (s *streamed) fail(what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails == nil {
		s.fails = map[string]error{}
	}
	s.fails[what] = err
}

func (s *streamed) Load(ctx context.Context, user twofactor.UserID) (*twofactor.Account, error) {
	if err := s.failing("Load", user); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.looked = append(s.looked, user)
	s.mu.Unlock()
	return s.engine.Load(ctx, user)
}

func (s *streamed) Replace(ctx context.Context, next *twofactor.Account) error {
	if err := s.failing("Replace", next.User); err != nil {
		return err
	}
	s.mu.Lock()
	first := s.onReplace
	s.onReplace = nil
	s.mu.Unlock()
	if first != nil {
		first()
	}
	if err := s.engine.Replace(ctx, next); err != nil {
		return err
	}
	var events []twofactor.Event
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replaced++
	for _, e := range next.Events {
		if e.Type == twofactor.EventMailRequested {
			s.mails = append(s.mails, e.Reason)
			continue
		}
		s.mails = append(s.mails, string(e.Type))
		events = append(events, e)
	}
	if err := s.engine.Append(ctx, next.User, events); err != nil {
		return err
	}
	lost := s.lost
	s.lost = nil
	return lost
}

func (s *streamed) Due(ctx context.Context, waiting twofactor.Waiting, page twofactor.Page) (twofactor.DuePage, error) {
	if err := s.failing("Due", twofactor.UserID(waiting)); err != nil {
		return twofactor.DuePage{}, err
	}
	s.mu.Lock()
	if s.listed == nil {
		s.listed = map[twofactor.Waiting]int{}
	}
	s.listed[waiting]++
	s.mu.Unlock()
	due, err := s.engine.Due(ctx, waiting, page)
	if s.onList != nil {
		due = s.onList(due)
	}
	return due, err
}

func (s *streamed) Append(ctx context.Context, user twofactor.UserID, events []twofactor.Event) error {
	if err := s.failing("Append", user); err != nil {
		return err
	}
	return s.engine.Append(ctx, user, events)
}

func (s *streamed) History(ctx context.Context, user twofactor.UserID, page twofactor.Page) (twofactor.HistoryPage, error) {
	if err := s.failing("History", user); err != nil {
		return twofactor.HistoryPage{}, err
	}
	return s.engine.History(ctx, user, page)
}

func (s *streamed) HistoryAfter(ctx context.Context, user twofactor.UserID, after twofactor.Event, limit int) ([]twofactor.Event, error) {
	return s.engine.HistoryAfter(ctx, user, after, limit)
}

func (s *streamed) EraseHistory(ctx context.Context, user twofactor.UserID, before twofactor.Event) error {
	return s.engine.EraseHistory(ctx, user, before)
}

// mailed returns what was mailed for since it was last asked.
func (s *streamed) mailed() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	mails := s.mails
	s.mails = nil
	return mails
}

// seen returns the accounts that were loaded since it was last asked.
func (s *streamed) seen() []twofactor.UserID {
	s.mu.Lock()
	defer s.mu.Unlock()
	looked := s.looked
	s.looked = nil
	return looked
}

// persona is an identity service that does what it is told.
type persona struct {
	mu        sync.Mutex
	attempts  map[string]string // inquiries by reset and attempt
	inquiries map[string]*inquiry
	fails     map[string]error // by method, or by method and inquiry: "Result inq_1"
	forgets   bool             // what it has begun: the same attempt again is another inquiry
	onBegin   func()           // before the next inquiry
	calls     map[string]int
}

type inquiry struct {
	reset   string
	outcome twofactor.IdentityOutcome
	person  twofactor.Person
}

func newPersona() *persona {
	return &persona{
		attempts: map[string]string{}, inquiries: map[string]*inquiry{}, fails: map[string]error{}, calls: map[string]int{},
	}
}

func (p *persona) failing(method, inquiry string) error {
	p.calls[method]++
	if err := p.fails[method]; err != nil {
		return err
	}
	return p.fails[method+" "+inquiry]
}

func (p *persona) fail(what string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fails[what] = err
}

func (p *persona) called(method string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[method]
}

func (p *persona) Begin(_ context.Context, resetID string, attempt int) (string, error) {
	p.mu.Lock()
	first := p.onBegin
	p.onBegin = nil
	p.mu.Unlock()
	if first != nil {
		first()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.failing("Begin", ""); err != nil {
		return "", err
	}
	key := resetID + " " + strconv.Itoa(attempt)
	if id, ok := p.attempts[key]; ok && !p.forgets {
		return id, nil
	}
	id := fmt.Sprintf("inq_%d", len(p.inquiries)+1)
	p.attempts[key], p.inquiries[id] = id, &inquiry{reset: resetID, outcome: twofactor.IdentityOpen}
	return id, nil
}

func (p *persona) Link(_ context.Context, id string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.failing("Link", id); err != nil {
		return "", err
	}
	switch i := p.inquiries[id]; {
	case i == nil:
		return "", errors.New("no such inquiry")
	case i.outcome != twofactor.IdentityOpen:
		return "", fmt.Errorf("at persona: %w", twofactor.ErrInquiryClosed)
	}
	return fmt.Sprintf("https://persona.example/verify?inquiry=%s&code=%d", id, p.calls["Link"]), nil
}

func (p *persona) Result(_ context.Context, id string) (twofactor.IdentityOutcome, twofactor.Person, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.failing("Result", id); err != nil {
		return "", twofactor.Person{}, err
	}
	i := p.inquiries[id]
	if i == nil {
		return "", twofactor.Person{}, errors.New("no such inquiry")
	}
	return i.outcome, i.person, nil
}

// decides is what an inquiry comes to at the service. Nobody is told yet.
func (p *persona) decides(id string, outcome twofactor.IdentityOutcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inquiries[id].outcome = outcome
	if outcome == twofactor.IdentityPassed {
		p.inquiries[id].person = twofactor.Person{Name: "ALICE  Example", Birthdate: "1990-01-31", Address: "1 Main Street"}
	}
}

// ids are the inquiries that were begun.
func (p *persona) ids() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.inquiries))
}

// errUnsigned is what openHint says of a signature that is not signed.
var errUnsigned = errors.New("the signature is not right")

// openHint reads a hint as the identity service sends it.
func openHint(_ context.Context, signature string, body []byte) (inquiry, resetID string, err error) {
	if signature != "signed" {
		return "", "", errUnsigned
	}
	var event struct {
		Data struct {
			Inquiry   string `json:"inquiry"`
			Reference string `json:"reference"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &event); err != nil {
		return "", "", err
	}
	return event.Data.Inquiry, event.Data.Reference, nil
}

func (c caller) about(id string) caller    { c.path = map[string]string{"id": id}; return c }
func (c caller) signed(with string) caller { c.signature = with; return c }
func hintOf(inquiry, reference string) string {
	text, _ := json.Marshal(map[string]any{"data": map[string]string{"inquiry": inquiry, "reference": reference}})
	return string(text)
}

// hint tells that an inquiry has moved.
func (r *recovery) hint(inquiry, reference string) {
	r.t.Helper()
	r.want(anyone.signed("signed"), "POST /v1/webhooks/persona", hintOf(inquiry, reference), 200, "")
}

// reviewer is somebody who may review, signed in now.
func (w *world) reviewer(name string) caller {
	return claims(map[string]string{
		"sub": name, "email": name + "@staff.example", "cognito:groups": "[staff reviewers]", "amr": "[pwd otp mfa]",
		"auth_time": strconv.FormatInt(w.clock().Unix(), 10),
	})
}

const aliceOnFile = `{"name":"Alice Example","birthdate":"1990-01-31"}`

// challengeAs is the host's first step, with what it has on file.
func (r *recovery) challengeAs(user, subject string) string {
	r.t.Helper()
	return r.want(host(), "POST /v1/challenges",
		`{"user_id":"`+user+`","email":"`+user+`@example.com","nonce":"n-`+user+`","amr":["pwd"],"subject":`+subject+`}`, 200, "").str("challenge")
}

// asked has a user ask for a reset, with something on file.
func (r *recovery) asked(user string) answer {
	r.t.Helper()
	return r.want(anyone, "POST /v1/reset-request", body("challenge", r.challengeAs(user, aliceOnFile)), 202, "")
}

func (r *recovery) account(user string) *twofactor.Account {
	r.t.Helper()
	a, err := r.world.store.Load(r.t.Context(), twofactor.UserID(user))
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

// reset is the user's reset as it is stored.
func (r *recovery) reset(user string) twofactor.Reset {
	r.t.Helper()
	a := r.account(user)
	if a.Reset == nil {
		r.t.Fatalf("%s has no reset", user)
	}
	return *a.Reset
}

// link is the token of a mailed link, as the mail has it.
func (r *recovery) link(user string, purpose twofactor.LinkPurpose) string {
	r.t.Helper()
	keys, err := r.deps.Service.Keys(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	link, err := twofactor.Rules{Policy: r.deps.Service.Policy, Keys: keys}.Link(r.account(user), purpose)
	if err != nil {
		r.t.Fatalf("%s link: %v", purpose, err)
	}
	return link
}

// clicked has the holder of the identity link go on to the check, and returns the inquiry.
func (r *recovery) clicked(user string) string {
	r.t.Helper()
	r.want(anyone, "POST /v1/reset/identity", body("token", r.link(user, twofactor.LinkIdentity)), 200, "")
	return r.reset(user).Inquiry
}

// toReview takes an enrolled user's reset as far as the reviewers, and returns its id.
func (r *recovery) toReview(user string) string {
	r.t.Helper()
	id := r.asked(user).str("id")
	inquiry := r.clicked(user)
	r.persona.decides(inquiry, twofactor.IdentityPassed)
	r.hint(inquiry, id)
	r.wantState(user, twofactor.ResetInReview)
	return id
}

// decision is the body of one on the case as it stands.
func (r *recovery) decision(user, decision string, more ...string) string {
	r.t.Helper()
	return fmt.Sprintf(`{"decision":%q,"case_version":%d%s}`, decision, r.reset(user).CaseVersion, strings.Join(more, ""))
}

// approved takes an enrolled user's reset past a reviewer, and returns its id.
func (r *recovery) approved(user string) string {
	r.t.Helper()
	id := r.toReview(user)
	r.want(r.reviewer("carol").about(id), decide, r.decision(user, "approve", matches), 200, "")
	return id
}

const (
	decide  = "POST /v1/reviews/{id}/decision"
	matches = `,"identity_matches":true`
)

func (r *recovery) wantState(user string, want twofactor.ResetState) {
	r.t.Helper()
	if got := r.reset(user).State; got != want {
		r.t.Fatalf("%s's reset is %s, want %s", user, got, want)
	}
}

// sweep runs the scheduled function.
func (r *recovery) sweep() error { return handler.Sweep(r.deps)(r.t.Context()) }

func (r *recovery) wantSwept() {
	r.t.Helper()
	if err := r.sweep(); err != nil {
		r.t.Fatalf("sweep: %v", err)
	}
}

// altered is a text with one character in it made another.
func altered(text string) string {
	middle, other := len(text)-8, "A"
	if text[middle] == 'A' || text[middle] == 'a' { // which are one and the same in a signature of hex digits
		other = "B"
	}
	return text[:middle] + other + text[middle+1:]
}

// unchanged fails the test if what follows it, up to the call of what it returns, has changed the user's account.
func (r *recovery) unchanged(user string) func() {
	r.t.Helper()
	before := r.item(user)
	return func() {
		r.t.Helper()
		if after := r.item(user); after != before {
			r.t.Errorf("%s's account has changed:\n%s\n%s", user, before, after)
		}
	}
}

// until waits for what an index that lags behind is to show.
func until(t testing.TB, shown func() bool) {
	t.Helper()
	for begun := time.Now(); !shown(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			t.Fatal("the index does not come to show it")
		}
	}
}
