package handler_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/identity"
	"github.com/nightlatch/nightlatch/pkg/mail"
	"github.com/nightlatch/nightlatch/pkg/notify"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// What stands between the day's functions and the world, and keeps a book of what passes: the ledger before the store, the
// courier before what notify writes to, the post office behind the mail queue, and the way to the identity service.

// chance is a source of accidents that many draw from.
type chance struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (c *chance) n(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.r.IntN(n)
}

// percent is true so often in a hundred times.
func (c *chance) percent(p int) bool { return c.n(100) < p }

// addresses are where an account can be reached.
type addresses struct {
	present, previous string
	until             time.Time // for the previous one
}

// book is what is known of one user: the oracle of the day.
type book struct {
	versions  map[int64][]twofactor.Event // that were stored
	writes    map[int64]twofactor.WriteID
	notes     []twofactor.Event // that went straight to the history
	addresses map[twofactor.WriteID]addresses
}

// ledger is the store as the service has it. It notes each write that has landed, and has some fail.
type ledger struct {
	engine
	d     *day
	mu    sync.Mutex
	books map[twofactor.UserID]*book
}

func (l *ledger) of(user twofactor.UserID) *book {
	b := l.books[user]
	if b == nil {
		b = &book{map[int64][]twofactor.Event{}, map[int64]twofactor.WriteID{}, nil, map[twofactor.WriteID]addresses{}}
		l.books[user] = b
	}
	return b
}

func (l *ledger) Replace(ctx context.Context, next *twofactor.Account) error {
	if l.d.accident("the store fails", 1) {
		return errCrash
	}
	where, write := l.d.addressesOf(next), newest(next)
	l.mu.Lock()
	l.of(next.User).addresses[write] = where // before anybody can see it
	l.mu.Unlock()
	if err := l.engine.Replace(ctx, next); err != nil {
		return err
	}
	l.mu.Lock()
	b := l.of(next.User)
	if other, twice := b.writes[next.Version]; twice && other != write {
		l.d.t.Errorf("version %d of %s was stored twice", next.Version, next.User)
	}
	b.versions[next.Version], b.writes[next.Version] = next.Events, write
	l.mu.Unlock()
	if l.d.accident("the store's answer is lost", 1) {
		return errCrash
	}
	return nil
}

func (l *ledger) Append(ctx context.Context, user twofactor.UserID, events []twofactor.Event) error {
	if err := l.engine.Append(ctx, user, events); err != nil {
		return err
	}
	l.mu.Lock()
	b := l.of(user)
	b.notes = append(b.notes, events...)
	l.mu.Unlock()
	if l.d.accident("the store's answer is lost", 1) {
		return errCrash
	}
	return nil
}

// newest is the id of the write that made an account; that of a user never seen is empty.
func newest(a *twofactor.Account) (id twofactor.WriteID) {
	if n := len(a.Writes); n > 0 {
		id = a.Writes[n-1]
	}
	return id
}

// stored is the number of versions in the ledger.
func (l *ledger) stored() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.books {
		n += len(b.versions)
	}
	return n
}

// run is one invocation of a function. Something may happen to one of its calls; once it has died, nothing that it does has
// any effect.
type run struct {
	mu   sync.Mutex
	left int // calls until it happens; negative: nothing does
	what fate
	dead bool
}

type fate int

const (
	diesBefore fate = iota // the call
	diesAfter
	failsBefore
	failsAfter
	fates
)

type runKey struct{}

// call is what an invocation does to the world outside: it may die before or after, or just be told that it failed.
func (d *day) call(ctx context.Context, before, after string, do func() error) error {
	r := ctx.Value(runKey{}).(*run)
	r.mu.Lock()
	happens := r.left == 0
	r.left--
	if happens && r.what == diesBefore {
		r.dead = true
		d.count("dies " + before)
	}
	dead := r.dead
	r.mu.Unlock()
	if happens && r.what == failsBefore {
		d.count("fails " + before)
	}
	if dead || happens && r.what == failsBefore {
		return errCrash
	}
	if err := do(); err != nil || !happens {
		return err
	}
	if r.what == diesAfter {
		r.mu.Lock()
		r.dead = true
		r.mu.Unlock()
		d.count("dies " + after)
	} else {
		d.count("fails " + after)
	}
	return errCrash
}

// invoke runs a function once. It reports that it died, so that nobody has learnt what it answered.
func (d *day) invoke(ctx context.Context, returns string, calls int, do func(context.Context)) (died bool) {
	r := &run{left: -1}
	if d.chance.percent(30) {
		r.left, r.what = d.chance.n(calls), fate(d.chance.n(int(fates)))
	}
	do(context.WithValue(ctx, runKey{}, r))
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dead || d.accident("dies "+returns, 4)
}

// courier is the history as notify has it.
type courier struct {
	notify.HistoryStore
	d *day
}

func (c courier) Append(ctx context.Context, user twofactor.UserID, events []twofactor.Event) error {
	return c.d.call(ctx, "before the history", "between the history and the queue", func() error {
		return c.HistoryStore.Append(ctx, user, events)
	})
}

func (c courier) EraseHistory(ctx context.Context, user twofactor.UserID, before twofactor.Event) error {
	return c.d.call(ctx, "before erasing", "after erasing", func() error { return c.HistoryStore.EraseHistory(ctx, user, before) })
}

// sinks are those of notify.
func (d *day) sinks() notify.Sinks {
	return notify.Sinks{History: courier{d.store, d}, Mails: func(ctx context.Context, jobs []twofactor.MailJob) error {
		if n := len(jobs) / 2; n > 0 && d.chance.n(300) == 0 { // SQS takes each by itself
			d.count("fails with half of the jobs queued")
			d.post.take(jobs[:n])
			return errCrash
		}
		return d.call(ctx, "before the queue", "after the queue", func() error { d.post.take(jobs); return nil })
	}}
}

// again brings what was delivered once more: a part of it, or all since a while ago.
func again[T any](d *day, delivered *[][]T, batch []T, deliver func([]T) bool) {
	*delivered = append(*delivered, batch)
	var more [][]T
	switch n := d.chance.n(100); {
	case n < 8:
		d.count("a batch comes again")
		more = [][]T{batch}
	case n < 16:
		d.count("a part of a batch comes again")
		more = [][]T{batch[d.chance.n(len(batch)):]}
	case n < 21:
		d.count("the stream goes back")
		more = (*delivered)[max(0, len(*delivered)-1-d.chance.n(4)):]
	}
	for _, b := range slices.Clone(more) {
		for !deliver(b) {
		}
	}
}

// versionStream delivers versions as the embedded store does.
func (d *day) versionStream() func(context.Context, []twofactor.Version) error {
	function := notify.Versions(d.sinks(), d.deps.Log)
	var delivered [][]twofactor.Version
	return func(ctx context.Context, batch []twofactor.Version) error {
		once := func(batch []twofactor.Version) bool {
			var err error
			died := d.invoke(ctx, "before notify returns", len(batch), func(ctx context.Context) { err = function(ctx, batch) })
			return !died && err == nil || ctx.Err() != nil
		}
		if !once(batch) {
			return errCrash
		}
		again(d, &delivered, batch, once)
		d.delivered(batch...)
		return nil
	}
}

// recordStream delivers records as DynamoDB's stream does.
func (d *day) recordStream(decode notify.Decode) func(context.Context, events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
	function := notify.Records(d.sinks(), decode, d.deps.Log)
	var mu sync.Mutex // shards are read at the same time
	var delivered [][]events.DynamoDBEventRecord
	return func(ctx context.Context, e events.DynamoDBEvent) (response events.DynamoDBEventResponse, err error) {
		mu.Lock()
		defer mu.Unlock()
		once := func(batch []events.DynamoDBEventRecord) bool {
			died := d.invoke(ctx, "before notify returns", len(batch), func(ctx context.Context) {
				response, err = function(ctx, events.DynamoDBEvent{Records: batch})
			})
			if died {
				response, err = events.DynamoDBEventResponse{}, errCrash
			}
			return err == nil && len(response.BatchItemFailures) == 0 || ctx.Err() != nil
		}
		done := e.Records
		if once(e.Records) {
			again(d, &delivered, e.Records, once)
			response, err = events.DynamoDBEventResponse{}, nil
		} else if err == nil && len(response.BatchItemFailures) > 0 { // all that precedes the first failure does not come again
			d.count("a batch is done in part")
			done = e.Records[:slices.IndexFunc(e.Records, func(r events.DynamoDBEventRecord) bool {
				return slices.Contains(response.BatchItemFailures, events.DynamoDBBatchItemFailure{ItemIdentifier: r.Change.SequenceNumber})
			})]
		} else {
			return response, err
		}
		for _, r := range done {
			if v, ok, err := decode(r); ok && err == nil {
				d.delivered(v)
			}
		}
		return response, err
	}
}

// A posted mail is a job as the queue has it.
type posted struct {
	id       string
	job      twofactor.MailJob
	received int
}

// key is what one mail is: a job, however often it is queued.
func key(j twofactor.MailJob) string {
	return fmt.Sprintf("%s %s %s to %s", j.User, j.Event, j.Kind, j.To)
}

// letter is a mail that was sent.
type letter struct {
	job  twofactor.MailJob
	to   string
	text string
}

// attempt is one time that a mail was tried.
type attempt struct {
	job           twofactor.MailJob
	account       *twofactor.Account // as the mailer saw it
	before, after time.Time
	sent          bool
	err           error
}

type attemptKey struct{}

// post is the mail queue, the mailer and everybody's mailbox.
type post struct {
	d   *day
	log twofactor.MailLog

	mu       sync.Mutex
	n        int
	waiting  []posted
	underway int
	dead     map[string]bool // for good
	refused  map[string]bool // that SES refuses, now and ever
	hopeless map[string]bool // that were tried, and will never be sent
	sent     map[string]int
	silent   []attempt // done, and nothing sent
	boxes    map[string][]letter
	bounced  []json.RawMessage // what SES tells of mails
}

func newPost(d *day) *post {
	return &post{d: d, log: d.store.(twofactor.MailLog), dead: map[string]bool{}, refused: map[string]bool{}, hopeless: map[string]bool{}, sent: map[string]int{}, boxes: map[string][]letter{}}
}

// take puts jobs on the queue, each as JSON would bring it back.
func (p *post) take(jobs []twofactor.MailJob) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, j := range jobs {
		p.n++
		p.waiting = append(p.waiting, posted{id: fmt.Sprint(p.n), job: j})
		if _, known := p.refused[key(j)]; !known {
			p.refused[key(j)] = p.d.chance.percent(2)
		}
	}
}

// some takes a few messages off the queue, from anywhere in it.
func (p *post) some() (batch []posted) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(batch) < 10 && len(p.waiting) > 0 {
		i := p.d.chance.n(len(p.waiting))
		m := p.waiting[i]
		m.received++
		if p.d.chance.percent(3) {
			p.d.count("the queue delivers twice")
			p.waiting[i] = m
		} else {
			p.waiting = slices.Delete(p.waiting, i, i+1)
		}
		if !slices.ContainsFunc(batch, func(b posted) bool { return b.id == m.id }) {
			batch = append(batch, m)
		}
	}
	p.underway += len(batch)
	return batch
}

// back puts messages back that were not done; what failed for good three times goes to the dead letters.
func (p *post) back(batch []posted, failed func(id string) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.underway -= len(batch)
	for _, m := range batch {
		switch {
		case !failed(m.id):
		case p.hopeless[key(m.job)] && m.received >= 3:
			p.dead[key(m.job)] = true
		default:
			p.waiting = append(p.waiting, m)
		}
	}
}

func (p *post) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting) == 0 && p.underway == 0
}

// serve has the mailer take what waits, until ctx ends. Several may run at once.
func (p *post) serve(ctx context.Context, mailer *mail.Mailer) {
	function := mail.Queue(func(ctx context.Context, job twofactor.MailJob) error {
		a := &attempt{job: job, before: p.d.clock()}
		a.err = mailer.Do(context.WithValue(ctx, attemptKey{}, a), job)
		a.after = p.d.clock()
		p.settle(a)
		return a.err
	}, p.d.deps.Log)
	for ctx.Err() == nil {
		batch := p.some()
		if len(batch) == 0 {
			p.d.rest(ctx)
			continue
		}
		e := events.SQSEvent{}
		for _, m := range batch {
			body, err := json.Marshal(m.job)
			if err != nil {
				p.d.t.Error(err)
			}
			e.Records = append(e.Records, events.SQSMessage{MessageId: m.id, Body: string(body)})
		}
		var report events.SQSEventResponse
		died := p.d.invoke(ctx, "before the mailer returns", len(batch), func(ctx context.Context) { report, _ = function(ctx, e) })
		p.back(batch, func(id string) bool {
			return died || slices.Contains(report.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: id})
		})
	}
}

// settle notes a job that is done without a mail, which must be right.
func (p *post) settle(a *attempt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if errors.Is(a.err, mail.ErrContent) && !p.hopeless[key(a.job)] {
		p.d.t.Errorf("a mail that nobody can write: %s: %v", key(a.job), a.err)
	}
	if mail.ForGood(a.err) {
		p.hopeless[key(a.job)] = true
	}
	if a.sent || a.err != nil {
		return
	}
	if p.sent[key(a.job)] == 0 {
		p.silent = append(p.silent, *a)
	}
}

// load is the account as the mailer finds it.
func (p *post) load(ctx context.Context, user twofactor.UserID) (*twofactor.Account, error) {
	account, err := p.d.store.Load(ctx, user)
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		a.account = account
	}
	return account, err
}

// send is SES.
func (p *post) send(ctx context.Context, to string, m mail.Message, tags map[string]string) error {
	a := ctx.Value(attemptKey{}).(*attempt)
	p.mu.Lock()
	refused := p.refused[key(a.job)]
	p.mu.Unlock()
	switch {
	case refused:
		p.d.count("SES refuses for good")
		return fmt.Errorf("%w: the address is on the suppression list", mail.ErrRejected)
	case p.d.accident("SES throttles", 4):
		return errors.New("mail: Throttling: Maximum sending rate exceeded")
	}
	return p.d.call(ctx, "before a mail is sent", "between a mail and its end", func() error {
		a.sent = true
		p.deliver(*a, to, m, tags)
		if p.d.accident("SES's answer is lost", 2) {
			return errCrash
		}
		return nil
	})
}

// mark is the note in the history that a mail was sent.
func (p *post) mark(ctx context.Context, job twofactor.MailJob, at time.Time) error {
	return p.d.call(ctx, "before a mail is marked", "after a mail is marked", func() error { return p.log.MarkMailed(ctx, job, at) })
}

// deliver puts a mail into its reader's mailbox, or has it bounce.
func (p *post) deliver(a attempt, to string, m mail.Message, tags map[string]string) {
	p.d.checkAddress(a, to, m)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent[key(a.job)]++
	if tags[mail.TagReset] != "" {
		what := ""
		switch n := p.d.chance.n(100); {
		case n < 3:
			what = `"eventType":"Bounce","bounce":{"bounceType":"Permanent"}`
			p.d.count("a mail about a reset bounces")
		case n < 5:
			what = `"eventType":"Complaint","complaint":{}`
			p.d.count("a mail about a reset is complained of")
		case n < 8:
			what = `"eventType":"Bounce","bounce":{"bounceType":"Transient"}`
		}
		if what != "" {
			p.bounced = append(p.bounced, json.RawMessage(fmt.Sprintf(`{%s,"mail":{"tags":{"event":[%q],"reset":[%q],"to":[%q]}}}`, what,
				mail.EncodeTag(tags[mail.TagEvent]), mail.EncodeTag(tags[mail.TagReset]), mail.EncodeTag(tags[mail.TagTo]))))
		}
	}
	p.boxes[to] = append(p.boxes[to], letter{a.job, to, m.Text})
}

// link is the newest link of a purpose in a mailbox; "" if there is none.
func (p *post) link(to string, purpose twofactor.LinkPurpose) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range slices.Backward(p.boxes[to]) {
		if _, after, ok := strings.Cut(l.text, "/#/reset/"+string(purpose)+"/"); ok {
			return strings.Fields(after)[0]
		}
	}
	return ""
}

// feedback has mail-feedback hear what SES tells, each once or twice, in any order.
func (p *post) feedback(ctx context.Context, d handler.Deps) {
	p.mu.Lock()
	told := p.bounced
	p.bounced = nil
	p.mu.Unlock()
	hear := handler.MailFeedback(d, mail.DecodeTag)
	for _, i := range rand.Perm(len(told)) {
		for range 1 + p.d.chance.n(2) {
			for hear(ctx, events.EventBridgeEvent{Source: "aws.ses", Detail: told[i]}) != nil && ctx.Err() == nil {
			}
		}
	}
}

// wayToPersona is how the client reaches the stand-in: with accidents.
type wayToPersona struct {
	d    *day
	here http.Handler
}

func (w wayToPersona) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	switch n := w.d.chance.n(100); {
	case n < 1:
		w.d.count("Persona does not answer")
		return nil, context.DeadlineExceeded
	case n < 2:
		w.d.count("Persona answers 500")
		answer.WriteHeader(http.StatusInternalServerError)
	case n < 3:
		w.d.count("Persona answers 429")
		answer.WriteHeader(http.StatusTooManyRequests)
	case n < 4:
		w.d.count("Persona answers nonsense")
		io.WriteString(answer, "<html>Welcome to the hotel's Wi-Fi")
	default:
		w.here.ServeHTTP(answer, r)
		if w.d.accident("Persona's answer is lost", 1) {
			return nil, io.ErrUnexpectedEOF
		}
	}
	return answer.Result(), nil
}

// hint is a webhook on its way.
type hint struct{ signature, body string }

// wayFromPersona takes webhooks from the stand-in, and some of them to the function.
type wayFromPersona struct{ d *day }

func (w wayFromPersona) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	h := hint{r.Header.Get(identity.SignatureHeader), string(body)}
	d := w.d
	switch n := d.chance.n(100); {
	case n < 15:
		d.count("a webhook is lost")
	case n < 45:
		d.count("a webhook is late")
		d.mu.Lock()
		d.late = append(d.late, h)
		d.mu.Unlock()
	case n < 60:
		d.count("a webhook comes twice")
		d.hear(h)
		d.hear(h)
	default:
		d.hear(h)
	}
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
}

// hear hands a webhook to its function, and now and then one that is forged besides.
func (d *day) hear(h hint) {
	if a := d.ask(&asked{}, anyone.signed(h.signature), "POST /v1/webhooks/persona", h.body, ""); a.Status != 200 && a.Status != 503 && a.Status != 401 {
		d.t.Errorf("a webhook: %d %s", a.Status, a.Text)
	}
	if d.accident("a webhook is forged", 20) {
		forged := bytes.ReplaceAll([]byte(h.body), []byte("inquiry.failed"), []byte("inquiry.approved"))
		signature := strings.Replace(h.signature, "v1=", "v1=0", 1)
		if a := d.ask(&asked{}, anyone.signed(signature), "POST /v1/webhooks/persona", string(forged), ""); a.Status != 401 {
			d.t.Errorf("a forged webhook: %d %s", a.Status, a.Text)
		}
	}
}

// hearLate hands over the webhooks that were held up, in any order.
func (d *day) hearLate() {
	d.mu.Lock()
	late := d.late
	d.late = nil
	d.mu.Unlock()
	for _, i := range rand.Perm(len(late)) {
		d.hear(late[i])
	}
}

// asked is one thing that somebody asks for, however often they have to ask.
type asked struct {
	user   string
	route  string
	proven bool     // with the right code, backup code or link: this may let in
	agents []string // one for each time
	status int      // of the last answer
	code   string
	body   map[string]any
}

// ask sends one request, by an agent that no other has.
func (d *day) ask(q *asked, c caller, route, body, idempotency string) answer {
	method, path, _ := strings.Cut(route, " ")
	d.mu.Lock()
	d.requests++
	agent := fmt.Sprint("request ", d.requests)
	q.agents = append(q.agents, agent)
	d.mu.Unlock()
	e := events.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: route, RawPath: path, Headers: map[string]string{"content-type": "application/json"},
		PathParameters: c.path, QueryStringParameters: c.query, Body: strings.ReplaceAll(body, "THE AGENT", agent),
		RequestContext: events.APIGatewayV2HTTPRequestContext{
			RequestID: agent, RouteKey: route, Authorizer: c.authorizer,
			HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{Method: method, Path: path, SourceIP: cmp.Or(c.ip, here), UserAgent: agent},
		},
	}
	if idempotency != "" {
		e.Headers["idempotency-key"] = idempotency
	}
	if c.signature != "" {
		e.Headers["persona-signature"] = c.signature
	}
	response, err := d.funcs[functionOf(route)](d.t.Context(), e)
	if err != nil {
		d.t.Errorf("%s: a handler returned a Go error: %v", route, err)
	}
	a := answer{Status: response.StatusCode, Headers: response.Headers, Text: response.Body}
	if response.Body != "" {
		if err := json.Unmarshal([]byte(response.Body), &a.Body); err != nil {
			d.t.Errorf("%s: %v in %s", route, err, response.Body)
		}
	}
	if a.Status == 500 {
		d.t.Errorf("%s: %s", route, a.Text)
	}
	return a
}
