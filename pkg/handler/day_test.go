package handler_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/boltstore"
	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/dynamostore/eventsource"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/identity"
	"github.com/nightlatch/nightlatch/pkg/identity/standin"
	"github.com/nightlatch/nightlatch/pkg/mail"
	"github.com/nightlatch/nightlatch/pkg/needs"
	"github.com/nightlatch/nightlatch/pkg/notify"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

var daySeed = flag.Uint64("day.seed", 0, "what the days of TestDay are drawn from; 0: the clock")

// TestDay is a day of a thousand users, and the days after it that their recoveries take, while notify, the mailer, the
// store, SES and Persona fail at random. In the end the history of each is what was decided, no more and no less; whoever
// was to be mailed has been; and nobody got in who did not prove anything.
//
// The oracle is apart from what is tested: the versions that Replace has stored, and what each request was answered.
func TestDay(t *testing.T) {
	t.Parallel()
	for _, engine := range []struct {
		name, policy string
		users, days  int
		open         func(*testing.T) (engine, func(*day, context.Context) error)
	}{
		{"bolt", `{"preset":"standard","reviewers":2,"address_hold":"48h"}`, 1000, 6, dayOnBolt},
		{"dynamodb", `{"preset":"miaxdx","reset_wait":"12h","address_hold":"24h"}`, 60, 5, dayOnDynamoDB},
	} {
		t.Run(engine.name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() {
				engine.users /= 10
			}
			store, stream := engine.open(t)
			newDay(t, store, engine.policy).pass(engine.users, engine.days, stream)
		})
	}
}

func dayOnBolt(t *testing.T) (engine, func(*day, context.Context) error) {
	store := openBolt(t)
	return store, func(d *day, ctx context.Context) error {
		return store.(*boltstore.Store).Stream(ctx, d.versionStream())
	}
}

func dayOnDynamoDB(t *testing.T) (engine, func(*day, context.Context) error) {
	tables := newTables(t)
	return withKeys(t, openTables(t, tables, awshttp.NewBuildableClient())), func(d *day, ctx context.Context) error {
		cfg := aws.Config{
			Region: "eu-central-1", BaseEndpoint: aws.String(needs.DynamoDBLocal(t)),
			Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
		}
		return eventsource.Run(ctx, cfg, tables.Accounts, slog.New(slog.DiscardHandler), d.recordStream(dynamostore.DecodeRecord))
	}
}

// day is a world in which everything goes wrong now and then.
type day struct {
	*world
	seed    uint64
	chance  *chance
	ledger  *ledger
	post    *post
	standin *standin.Service
	people  []*citizen

	mu        sync.Mutex
	tally     map[string]int
	requests  int
	asked     []*asked
	late      []hint
	undecided []string // pages of checks that Persona's people look at
	came      map[twofactor.UserID]map[int64]bool
}

func newDay(t *testing.T, store engine, policy string) *day {
	seed := *daySeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	d := &day{
		world: newWorldOn(t, store, policy), seed: seed, chance: &chance{r: rand.New(rand.NewPCG(seed, 0))},
		tally: map[string]int{}, came: map[twofactor.UserID]map[int64]bool{},
	}
	d.ledger = &ledger{engine: store, d: d, books: map[twofactor.UserID]*book{}}
	d.post = newPost(d)
	d.deps.Service.Store, d.deps.Service.Now = d.ledger, d.tick
	d.deps.Log = slog.New(slog.DiscardHandler)
	const persona, key, secret = "http://127.0.0.1:9", "persona_key", "wbhsec_secret"
	var err error
	d.standin, err = standin.New(standin.Config{
		URL: persona, APIKey: key, WebhookURL: "http://127.0.0.1:9/webhooks", WebhookSecret: secret, Now: d.clock,
		Person: func(string) standin.Person {
			return standin.Person{First: "Alice", Last: "Example", Birthdate: "1990-01-31"}
		},
		Transport: wayFromPersona{d},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.standin.Close)
	text := func(secret string) *identity.Secrets {
		return identity.NewSecrets(func(context.Context) ([]byte, error) { return []byte(secret), nil }, d.clock)
	}
	client, err := identity.New(identity.Config{URL: persona, Template: "itmpl_day", APIKey: text(key), Transport: wayToPersona{d, d.standin}})
	if err != nil {
		t.Fatal(err)
	}
	d.deps.Identity, d.deps.Webhook = identity.Checks{Client: client}, identity.Webhooks(text(secret))
	d.funcs = functions(d.deps)
	return d
}

// tick is the clock, which goes on a little whenever it is looked at.
func (d *day) tick() time.Time {
	d.wind(time.Millisecond)
	return d.clock()
}

func (d *day) count(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tally[what]++
}

// accident says whether something goes wrong this time, and counts it.
func (d *day) accident(what string, percent int) bool {
	happens := d.chance.percent(percent)
	if happens {
		d.count(what)
	}
	return happens
}

func (d *day) note(q *asked) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, q)
}

func (d *day) delivered(versions ...twofactor.Version) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, v := range versions {
		if d.came[v.User] == nil {
			d.came[v.User] = map[int64]bool{}
		}
		d.came[v.User][v.Version] = true
	}
}

// all says whether every version has been delivered, and nothing waits to be mailed or told.
func (d *day) all() bool {
	d.post.mu.Lock()
	told := len(d.post.bounced) == 0
	d.post.mu.Unlock()
	stored := d.ledger.stored()
	came := 0
	d.mu.Lock()
	for _, versions := range d.came {
		came += len(versions)
	}
	d.mu.Unlock() // the post counts while it holds its own: whoever held this and asked for that would wait for ever
	return came == stored && told && d.post.idle()
}

// rest is a pause in which there is nothing to do.
func (d *day) rest(ctx context.Context) {
	select {
	case <-time.After(5 * time.Millisecond):
	case <-ctx.Done():
	}
}

func (d *day) rules(ctx context.Context) (twofactor.Rules, error) {
	keys, err := d.deps.Service.Keys(ctx)
	return twofactor.Rules{Policy: d.deps.Service.Policy, Keys: keys}, err
}

// addressesOf are those of an account as it is stored.
func (d *day) addressesOf(a *twofactor.Account) (known addresses) {
	rules, err := d.rules(d.t.Context())
	if err == nil {
		var present, previous twofactor.Addressee
		present, err = rules.Addressee(a, twofactor.MailToUser, time.Time{})
		known.present = present.Email
		if a.Previous != nil && err == nil {
			previous, err = rules.Addressee(a, twofactor.MailToPrevious, time.Time{})
			known.previous, known.until = previous.Email, a.Previous.Until
		}
	}
	if err != nil {
		d.t.Error(err)
	}
	return known
}

// pass has the days pass, and judges them.
func (d *day) pass(users, days int, stream func(*day, context.Context) error) {
	d.t.Logf("to have this day again, as far as what happens at the same moment allows: -day.seed=%d", d.seed)
	ctx, stop := context.WithCancel(d.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := stream(d, ctx); !errors.Is(err, context.Canceled) {
			d.t.Errorf("the stream has ended: %v", err)
		}
	})
	mailer := &mail.Mailer{
		Load: d.post.load, Rules: d.rules, Send: d.post.send, Mailed: d.post.log.Mailed, MarkMailed: d.post.mark, Now: d.clock,
		App: "Example", Support: "help@example.com", Web: "https://example.com", Words: mail.Standard, Reviewers: "reviewers@example.com",
	}
	for range 2 {
		running.Go(func() { d.post.serve(ctx, mailer) })
	}
	for i := range users {
		name := fmt.Sprintf("user-%04d", i)
		d.people = append(d.people, &citizen{day: d, name: name, r: rand.New(rand.NewPCG(d.seed, uint64(i+1)))})
	}
	for twoHours := range 12 {
		d.round(ctx, twoHours)
		d.wind(2 * time.Hour)
	}
	for half := range 2 * (days - 1) {
		d.round(ctx, 12+half)
		d.wind(12 * time.Hour)
	}
	d.standin.Close() // it sends in its own time
	if !d.settles(ctx, time.Minute) {
		d.t.Error("what was stored does not come to its end")
	}
	stop()
	running.Wait()
	d.judge()
}

// round is a moment of the day: everybody at once.
func (d *day) round(ctx context.Context, number int) {
	var wait sync.WaitGroup
	const crowd = 8
	for i := range crowd {
		wait.Go(func() {
			for n := i; n < len(d.people); n += crowd {
				d.people[n].live()
			}
		})
	}
	for i, reviewer := range []string{"carol", "dave"} {
		wait.Go(func() { d.review(reviewer, rand.New(rand.NewPCG(d.seed, uint64(number)<<32|uint64(i)))) })
	}
	for range 2 { // a schedule may fire twice
		wait.Go(func() { _ = handler.Sweep(d.deps)(ctx) })
	}
	wait.Go(func() { d.post.feedback(ctx, d.deps) })
	wait.Go(d.hearLate)
	wait.Go(func() {
		d.mu.Lock()
		undecided := d.undecided
		d.undecided = nil
		d.mu.Unlock()
		for i, page := range undecided {
			d.atPersona(page, []string{"pass", "pass", "declined"}[i%3])
		}
	})
	wait.Wait()
	if number%4 != 0 { // mails come within the hour, but not always
		d.settles(ctx, 10*time.Second)
	}
}

// settles waits until all has been delivered and mailed, and reports whether that came.
func (d *day) settles(ctx context.Context, patience time.Duration) bool {
	for end := time.Now().Add(patience); !d.all(); d.rest(ctx) {
		d.post.feedback(ctx, d.deps)
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// judge compares what there is with what there should be.
func (d *day) judge() {
	d.judgeHistory()
	d.judgeAnswers()
	d.judgeMails()
	d.judgeVariety()
	d.tell()
}

// row is what of an event is in the history, whatever else is kept beside it.
type row struct {
	ID               string
	At               time.Time
	Type             twofactor.EventType
	Outcome          twofactor.Outcome
	Method           twofactor.Method
	Actor            twofactor.Actor
	IP, Agent        string
	Operation        twofactor.Operation
	Reason, By, Note string
}

func rowOf(e twofactor.Event) row {
	return row{e.ID, e.At.UTC(), e.Type, e.Outcome, e.Method, e.Actor, e.IP, e.UserAgent, e.Operation, e.Reason, e.By, e.Note}
}

func (r row) before(other row) bool {
	return r.At.Before(other.At) || r.At.Equal(other.At) && r.ID < other.ID
}

// judgeHistory: for every user the history is what was decided.
func (d *day) judgeHistory() {
	for user, book := range d.ledger.books {
		var want, notes []row
		var erased row
		for _, version := range slices.Sorted(maps.Keys(book.versions)) {
			for _, e := range book.versions[version] {
				if e.Type != twofactor.EventMailRequested {
					want = append(want, rowOf(e))
				}
				if e.Type == twofactor.EventErased {
					erased = rowOf(e)
				}
			}
		}
		for _, e := range book.notes {
			notes = append(notes, rowOf(e))
		}
		d.tally["versions"] += len(book.versions)
		d.tally["rows"] += len(want) + len(notes)
		if n := int64(len(book.versions)); n > 0 && slices.Max(slices.Collect(maps.Keys(book.versions))) != n {
			d.t.Errorf("%s: %d versions were stored, the newest is %d", user, n, slices.Max(slices.Collect(maps.Keys(book.versions))))
		}
		got := map[row]int{}
		for page := (twofactor.Page{Limit: 100}); ; {
			list, err := d.store.History(d.t.Context(), user, page)
			if err != nil {
				d.t.Fatal(err)
			}
			for _, e := range list.Events {
				got[rowOf(e)]++
			}
			if page.Cursor = list.Next; page.Cursor == "" {
				break
			}
		}
		for _, r := range notes {
			// What the host saw a moment before an erasure may get to the history a moment after it.
			if !r.before(erased) {
				want = append(want, r)
			} else if got[r] > 1 {
				d.t.Errorf("%s: %d times in the history: %+v", user, got[r], r)
			} else {
				delete(got, r)
			}
		}
		exactly := map[row]int{}
		for _, r := range want {
			if !r.before(erased) {
				exactly[r] = 1
			}
		}
		if diff := cmp.Diff(exactly, got); diff != "" {
			d.t.Errorf("history of %s (-decided +there):\n%s", user, diff)
		}
	}
}

// judgeAnswers: what was answered is what was decided, once; and nobody is in who has proved nothing.
func (d *day) judgeAnswers() {
	type happening struct {
		what    twofactor.EventType
		outcome twofactor.Outcome
	}
	happened := map[string]map[happening]int{} // by agent
	for _, book := range d.ledger.books {
		for _, events := range book.versions {
			for _, e := range events {
				if happened[e.UserAgent] == nil {
					happened[e.UserAgent] = map[happening]int{}
				}
				happened[e.UserAgent][happening{e.Type, e.Outcome}]++
			}
		}
	}
	for _, q := range d.asked {
		count := func(outcome twofactor.Outcome, types ...twofactor.EventType) (n int) {
			for _, agent := range q.agents {
				for _, what := range types {
					n += happened[agent][happening{what, outcome}]
				}
			}
			return n
		}
		want := func(n, least, most int, what string) {
			if n < least || n > most {
				d.t.Errorf("%s of %s, sent %d times, was answered %d %s: %d %s, want %d to %d", q.route, q.user, len(q.agents), q.status, q.code, n, what, least, most)
			}
		}
		once := func(types ...twofactor.EventType) {
			least, most := 0, len(q.agents)-1 // what was refused may have been done the time before, whose answer was lost
			if q.status == 200 || q.status == 202 {
				least, most = 1, 1
			}
			want(count(twofactor.Succeeded, types...), least, min(most, 1), string(types[0]))
		}
		in := count(twofactor.Succeeded, twofactor.EventLogin)
		if in > 0 && !q.proven {
			d.t.Errorf("%s of %s got in and has proved nothing", q.route, q.user)
		}
		switch q.route {
		case "POST /v1/verify":
			if q.body["enrollment_required"] == true {
				want(in, 0, 0, "sign-ins")
				continue
			}
			once(twofactor.EventLogin)
			if q.code == "invalid_code" {
				want(count(twofactor.Failed, twofactor.EventLogin)+in, 1, len(q.agents), "failed sign-ins")
			}
		case "POST /v1/verify/enroll/confirm":
			once(twofactor.EventLogin)
			once(twofactor.EventEnabled, twofactor.EventReplaced)
		case "POST /v1/enroll/confirm":
			once(twofactor.EventEnabled, twofactor.EventReplaced)
		case "POST /v1/backup-code":
			once(twofactor.EventBackupCodeIssued)
		case "POST /v1/disable":
			once(twofactor.EventDisabled)
		case "POST /v1/reset/cancel", "DELETE /v1/reset":
			once(twofactor.EventResetCanceled)
		case "POST /v1/reset-request":
			want(count(twofactor.Succeeded, twofactor.EventResetRequested), 0, 1, "resets")
		case decide:
			if q.status != 200 || q.body["state"] != "identity_pending" {
				once(twofactor.EventResetApproved, twofactor.EventResetApproval, twofactor.EventResetDenied, twofactor.EventResetCanceled)
			}
		}
	}
}

// judgeMails: every mail that a decision asks for was sent; or SES refuses it for good, or there was nobody to send it to,
// or nothing to say any more.
func (d *day) judgeMails() {
	silent := map[string][]attempt{}
	for _, a := range d.post.silent {
		silent[key(a.job)] = append(silent[key(a.job)], a)
		if why := d.needless(a); why == "" {
			d.t.Errorf("not sent, and for no reason: %s", key(a.job))
		}
	}
	wanted := map[string]bool{}
	for user, book := range d.ledger.books {
		for number, events := range book.versions {
			for _, job := range notify.MailJobs(twofactor.Version{User: user, Version: number, Events: events}) {
				k := key(job)
				wanted[k] = true
				d.tally["mails asked for"]++
				switch sent := d.post.sent[k]; {
				case sent > 0:
					d.tally["mails sent"]++
					d.tally["mails sent once more than needed"] += sent - 1
				case d.post.dead[k]:
					d.tally["mails that SES refuses"]++
				case len(silent[k]) > 0:
					d.tally["mails needless by then: "+d.needless(silent[k][0])]++
				default:
					d.t.Errorf("never sent: %s", k)
				}
			}
		}
	}
	for k := range d.post.sent {
		if !wanted[k] {
			d.t.Errorf("nobody asked for it: %s", k)
		}
	}
}

// lastsWhile are the mails that are needless once the reset has gone on, and the states in which they are not (recovery.md).
var lastsWhile = map[string][]twofactor.ResetState{
	"reset_requested": {twofactor.ResetIdentityPending},
	"reset_in_review": {twofactor.ResetInReview}, "review_waiting": {twofactor.ResetInReview}, "review_reminder": {twofactor.ResetInReview},
	"reset_approved": {twofactor.ResetApproved}, "reset_ready": {twofactor.ResetReady},
	"identity_failed": {twofactor.ResetIdentityPending, twofactor.ResetExpired},
}

// needless says why there was no mail to send; "" if there was one.
func (d *day) needless(a attempt) string {
	known := d.ledger.books[a.job.User].addresses[newest(a.account)]
	switch states := lastsWhile[a.job.Kind]; {
	case a.job.To == twofactor.MailToUser && known.present == "":
		return "no address is known"
	case a.job.To == twofactor.MailToPrevious && (known.previous == "" || known.until.Before(a.after)):
		return "there is no previous address"
	case states != nil && (a.account.Reset == nil || !slices.Contains(states, a.account.Reset.State)):
		return "the reset has gone on"
	case a.job.Kind == "identity_failed" && a.account.Reset.State == twofactor.ResetExpired && a.account.Reset.TriesLeft > 0:
		return "the reset has gone on" // its time is over, of which there is another mail
	}
	return ""
}

// checkAddress holds where a mail went, and the links in it, against what is known of the account.
func (d *day) checkAddress(a attempt, to string, m mail.Message) {
	d.ledger.mu.Lock()
	known := d.ledger.of(a.job.User).addresses[newest(a.account)]
	d.ledger.mu.Unlock()
	want := map[twofactor.MailTo]string{
		twofactor.MailToUser: known.present, twofactor.MailToPrevious: known.previous, twofactor.MailToReviewers: "reviewers@example.com",
	}[a.job.To]
	if to != want || a.job.To != twofactor.MailToReviewers && !strings.HasPrefix(to, string(a.job.User)+".") {
		d.t.Errorf("%s was sent to %s, want %s", key(a.job), to, want)
	}
	opens := strings.Contains(m.Text, "/#/reset/identity/") || strings.Contains(m.Text, "/#/reset/sign_in/")
	if opens && a.job.To != twofactor.MailToUser {
		d.t.Errorf("%s has a link that lets in", key(a.job))
	}
	if a.job.To == twofactor.MailToReviewers && strings.Contains(m.Text+m.Subject, string(a.job.User)) {
		d.t.Errorf("%s names the user", key(a.job))
	}
}

// judgeVariety: a day on which nothing happens proves nothing.
func (d *day) judgeVariety() {
	for _, book := range d.ledger.books {
		for _, events := range book.versions {
			for _, e := range events {
				d.tally["event "+string(e.Type)]++
			}
		}
	}
	if len(d.people) < 1000 {
		return
	}
	for _, point := range []string{
		"before the history", "between the history and the queue", "before the queue", "after the queue", "before a mail is sent",
		"between a mail and its end", "before a mail is marked",
	} {
		d.tally["an accident "+point] = d.tally["dies "+point] + d.tally["fails "+point]
	}
	d.tally["an accident at the queue"] = d.tally["an accident before the queue"] + d.tally["an accident after the queue"]
	must := []string{ // none of them is so rare that a day may do without
		"an accident before the history", "an accident between the history and the queue", "an accident at the queue",
		"fails with half of the jobs queued", "dies before notify returns",
		"an accident before a mail is sent", "an accident between a mail and its end", "an accident before a mail is marked",
		"dies before the mailer returns", "a batch comes again", "a part of a batch comes again",
		"the queue delivers twice", "SES throttles", "SES refuses for good", "SES's answer is lost", "the store fails",
		"the store's answer is lost", "a webhook is lost", "a webhook is late", "a webhook comes twice", "a webhook is forged",
		"a request is sent again", "a mail about a reset bounces",
	}
	for _, e := range []twofactor.EventType{
		twofactor.EventLogin, twofactor.EventLocked, twofactor.EventCodeReused, twofactor.EventEnabled, twofactor.EventReplaced,
		twofactor.EventReplacementLapsed, twofactor.EventBackupCodeUsed, twofactor.EventPasswordChanged, twofactor.EventAddressChanged,
		twofactor.EventResetRequested, twofactor.EventIdentityPassed, twofactor.EventIdentityFailed, twofactor.EventResetApproved,
		twofactor.EventResetReturned, twofactor.EventResetDenied, twofactor.EventResetCanceled, twofactor.EventResetReady,
		twofactor.EventResetCompleted, twofactor.EventAdminRemoved, twofactor.EventErased, twofactor.EventMailRequested,
	} {
		must = append(must, "event "+string(e))
	}
	for _, what := range must {
		if d.tally[what] == 0 {
			d.t.Errorf("it never happened: %s", what)
		}
	}
}

// tell writes the tally.
func (d *day) tell() {
	d.tally["requests"] = d.requests
	d.tally["users"] = len(d.people)
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, what := range slices.Sorted(maps.Keys(d.tally)) {
		fmt.Fprintf(w, "%d\t %s\n", d.tally[what], what)
	}
	w.Flush()
	d.t.Logf("the day:\n%s", &text)
}
