package functions_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/api/apitest"
	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/dynamostore/eventsource"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// jobs are what people do with the functions, by the policy that lets them, and what their history says of it afterwards.
// Together they take every route.
var jobs = map[string]struct {
	do      func(*client)
	history []string
}{
	"standard": {(*client).mainJob, []string{
		"enrollment_started", "enrollment_started", "enabled", "backup_code_issued", // begun, discarded and begun again
		"challenge_issued", "challenge_issued", "login", "challenge_issued", "code_reused", "check",
		"challenge_issued", "backup_code_used", "login", "backup_code_issued", "enrollment_started", "replaced", "check",
		"backup_code_issued", "login", // with the former backup code, which failed
		"challenge_issued", "backup_code_used", "login", "backup_code_issued", "enrollment_started", "replaced",
		"challenge_issued", "reset_requested", "reset_canceled", "challenge_issued", "reset_requested", "reset_canceled",
		"disabled", "login", "password_failed", "password_changed", "address_changed",
	}},
	"miaxdx": {(*client).lostAll, []string{
		"challenge_issued", "enrollment_started", "enabled", "backup_code_issued", "login",
		"challenge_issued", "reset_requested", "identity_passed", "case_viewed", "reset_returned",
		"identity_passed", "case_viewed", "reset_approved", "reset_ready", // the second one was heard of by the sweep
		"reset_returned", "case_viewed", "reset_approved", "reset_ready", // a notice bounced
		"challenge_issued", "enrollment_started", "replaced", "reset_completed", "backup_code_issued", "login",
		"challenge_issued", "challenge_issued", "login",
	}},
	"midphase": {(*client).revokeThenCreate, []string{
		"enrollment_started", "enabled", "backup_code_issued", "backup_code_revoked", "challenge_issued", "backup_code_issued",
		"challenge_issued", "backup_code_used", "login",
	}},
}

// mainJob is a life with 2FA: turning it on, signing in, losing the phone twice, turning it off, leaving.
func (c *client) mainJob() {
	c.tb.Helper()
	if a := c.challenge("alice"); a.body["required"] != false {
		c.failed(a, "a user without 2FA: %s", a.text)
	}
	c.want(session("alice"), "POST /v1/enroll", `{}`, 200, "")
	c.want(session("alice"), "DELETE /v1/enroll", "", 204, "")
	begun := c.want(session("alice"), "POST /v1/enroll", `{}`, 200, "")
	if uri := begun.str("otpauth_uri"); !strings.Contains(uri, url.QueryEscape(address("alice"))) {
		c.tb.Errorf("the app would not show the account's name: %s", uri)
	}
	first, _ := c.setUp("alice", begun)

	// Sign in. What opened the door once does not open it again.
	if got := fmt.Sprint(c.challenge("alice").body["methods"]); got != "[totp backup_code]" {
		c.tb.Errorf("methods = %s", got)
	}
	_, claims := c.signIn("alice", "totp", first.code())
	c.wantAMR(claims, "pwd", "otp", "mfa")
	other := c.challenge("alice").str("challenge")
	c.want(anyone, "POST /v1/verify", object("challenge", other, "method", "totp", "code", first.again()), 422, "code_reused")
	if a := c.want(session("alice"), "POST /v1/check", object("code", first.again()), 200, ""); a.body["valid"] != true || a.body["spent"] != true {
		c.tb.Errorf("check of a spent code: %s", a.text)
	}

	// Without the phone: the backup code, then another phone.
	in, claims := c.signIn("alice", "backup_code", strings.ToLower(begun.str("backup_code")))
	c.wantAMR(claims, "pwd", "backup_code")
	second, _ := c.setUp("alice", c.want(session("alice"), "POST /v1/enroll", object("grant", in.str("grant")), 200, ""))
	code := second.code()
	if a := c.want(session("alice"), "POST /v1/check", object("code", code), 200, ""); a.body["valid"] != true || a.body["spent"] != false {
		c.tb.Errorf("check of a code: %s", a.text)
	}

	// A new backup code in the place of the one that was made by the sign-in. A request that is sent again is the same.
	key := session("alice").key("0123456789abcdef")
	rotated := c.want(key, "POST /v1/backup-code", object("code", code), 200, "")
	if again := c.want(key, "POST /v1/backup-code", object("code", code), 200, ""); again.text != rotated.text {
		c.tb.Errorf("sent again: %s, want %s", again.text, rotated.text)
	}
	dead := object("challenge", other, "method", "backup_code", "code", in.str("backup_code"))
	c.want(anyone, "POST /v1/verify", dead, 422, "invalid_code")

	in, _ = c.signIn("alice", "backup_code", rotated.str("backup_code"))
	third, _ := c.setUp("alice", c.want(session("alice"), "POST /v1/enroll", object("grant", in.str("grant")), 200, ""))
	if s := c.want(session("alice"), "GET /v1/status", "", 200, ""); s.str("state") != "enabled" {
		c.tb.Errorf("status: %s", s.text)
	}

	c.changeOfMind()
	if err := c.outside.operate(api.AdminRequest{Operation: "export", User: "alice", Operator: "oscar", Reason: "a letter"}); err != nil {
		c.failed(answer{status: 500}, "export: %v", err)
	}
	if err := c.outside.operate(brought("ivan")); err != nil {
		c.failed(answer{status: 500}, "import: %v", err)
	}

	// Off.
	c.want(session("alice"), "POST /v1/disable", object("code", third.code()), 200, "")
	c.want(session("alice"), "POST /v1/check", object("code", third.again()), 409, "not_enabled")
	if s := c.want(session("alice"), "GET /v1/status", "", 200, ""); s.str("state") != "disabled" {
		c.tb.Errorf("status: %s", s.text)
	}

	for _, what := range []string{
		`{"type":"login"}`, `{"type":"password_failed"}`, `{"type":"password_changed"}`,
		`{"type":"address_changed","email":"new@example.com"}`,
	} {
		c.want(host("alice"), "POST /v1/users/{user}/events", what, 204, "")
	}
	c.want(session("alice"), "GET /v1/history", "", 200, "")
}

// enrolInside is a sign-in where 2FA is required and not there yet.
func (c *client) enrolInside() {
	c.tb.Helper()
	challenge := c.challenge("alice")
	if challenge.body["enrollment_required"] != true {
		c.failed(challenge, "challenge: %s", challenge.text)
	}
	begun := c.want(anyone, "POST /v1/verify/enroll", object("challenge", challenge.str("challenge")), 200, "")
	p := &phone{tb: c.tb, secret: begun.str("manual_secret")}
	done := c.want(anyone, "POST /v1/verify/enroll/confirm",
		object("challenge", challenge.str("challenge"), "enrollment_id", begun.str("enrollment_id"), "code", p.code()), 200, "")
	c.wantAMR(c.assertion(done.str("assertion"), "alice"), "pwd", "otp")
	c.want(session("alice"), "POST /v1/disable", object("code", p.code()), 403, "policy_forbids")
}

// revokeThenCreate is a new backup code where the old one has to go first.
func (c *client) revokeThenCreate() {
	c.tb.Helper()
	p, confirmed := c.setUp("alice", c.want(session("alice"), "POST /v1/enroll", `{}`, 200, ""))
	revoked := c.want(session("alice"), "POST /v1/backup-code/revoke", object("code", p.code()), 200, "")
	dead := object("challenge", c.challenge("alice").str("challenge"), "method", "backup_code", "code", confirmed.str("backup_code"))
	c.want(anyone, "POST /v1/verify", dead, 409, "no_backup_code")
	created := c.want(session("alice"), "POST /v1/backup-code", object("grant", revoked.str("grant")), 200, "")
	c.signIn("alice", "backup_code", created.str("backup_code"))
}

// TestJobs does every job through the deployed programs alone. Each function asks for what its role will allow, and for
// nothing else.
func TestJobs(t *testing.T) {
	t.Parallel()
	worlds := make(chan *world, len(jobs))
	served := make(chan map[string]bool, len(jobs))
	t.Run("policies", func(t *testing.T) {
		for policy, job := range jobs {
			t.Run(policy, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, policy)
				w.startAll()
				w.newKeys()
				delivered := w.stream(100)
				c := newClient(t, w.functions, timeout)
				c.outside = w.outside(delivered)
				job.do(c)

				delivered("alice")
				if diff := cmp.Diff(job.history, history(c)); diff != "" {
					t.Errorf("history (-want +got):\n%s", diff)
				}
				w.told()
				w.operate("alice")
				c.want(host("alice"), "POST /v1/users/{user}/events", `{"type":"deleted"}`, 204, "")
				delivered("alice")
				if got := history(c); !slices.Equal(got, []string{"erased"}) {
					t.Errorf("history after the user is gone: %s", got)
				}
				for name, f := range w.functions {
					if said := f.said.String(); said != "" && name != "keys" && name != "admin" { // nothing went wrong, and nobody's business is told
						t.Errorf("%s logs:\n%s", name, said)
					}
				}
				w.counted()
				w.replay()
				worlds <- w
				served <- c.served
			})
		}
	})
	if t.Failed() || len(worlds) < len(jobs) { // or not all of them were to be done
		return
	}
	close(worlds)
	close(served)
	routes := map[string]bool{}
	for some := range served {
		maps.Copy(routes, some)
	}
	for _, r := range api.Routes() {
		if !routes[r.Key()] {
			t.Errorf("no job takes %s", r.Key())
		}
	}
	asked := map[string][]string{}
	for w := range worlds {
		for name, f := range w.functions {
			asked[name] = append(asked[name], slices.Concat(f.dynamoDB.permissions(), f.kms.permissions(), f.others.permissions(), f.lambdas.permissions())...)
		}
	}
	for _, f := range api.Functions() {
		got := slices.Compact(slices.Sorted(slices.Values(asked[f.Name])))
		if diff := cmp.Diff(slices.Sorted(slices.Values(f.Permissions())), got); diff != "" {
			t.Errorf("%s may, and does (-may +does):\n%s", f.Name, diff)
		}
	}
}

// told holds what the event bus was told to the schemas of its events, and to the history: it has each event of that, but for
// what changed no account.
func (w *world) told() {
	w.tb.Helper()
	got := map[string]bool{}
	for _, detail := range w.functions["notify"].others.events() {
		apitest.CheckEvent(w.tb, []byte(detail))
		var e api.BusEvent
		switch err := json.Unmarshal([]byte(detail), &e); {
		case err == nil && e.User == "ivan" && e.Type == "enabled" && e.Operation == "import":
			continue // who was brought along
		case err != nil || e.User != "alice":
			w.tb.Errorf("%v: %s", err, detail)
		}
		if e.Type != string(twofactor.EventMailRequested) {
			got[e.ID+" "+e.Type] = true
		}
	}
	page, err := w.store.History(w.tb.Context(), "alice", twofactor.Page{Limit: 100})
	if err != nil || page.Next != "" {
		w.tb.Fatal(err)
	}
	want := map[string]bool{}
	for _, e := range page.Events {
		if e.Version() > 0 {
			want[e.ID+" "+string(e.Type)] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.tb.Errorf("the bus was told of (-history +bus):\n%s", diff)
	}
}

// operate is what an operator does for a user who has 2FA still, and needs to be without.
func (w *world) operate(user string) {
	w.tb.Helper()
	order := api.AdminRequest{Operation: "fence", Operator: "oscar", Reason: "a restore"}
	if err := w.functions["admin"].call(order, timeout, new(any)); err != nil {
		w.tb.Errorf("fence: %v", err)
	}
	order = api.AdminRequest{Operation: "unlock", User: user, Operator: "oscar", Reason: "ticket 4711"}
	var told api.StatusResponse
	if err := w.functions["admin"].call(order, timeout, &told); err != nil {
		w.tb.Errorf("unlock: %v", err)
	}
	if told.State != "enabled" {
		return
	}
	order.Operation = "remove_authenticator"
	if err := w.functions["admin"].call(order, timeout, &told); err != nil || told.State != "disabled" {
		w.tb.Errorf("remove_authenticator: %+v, %v", told, err)
	}
}

// replay has notify take what Lambda has given up on, once it can, and leaves what cannot be decoded.
func (w *world) replay() {
	w.tb.Helper()
	bucket, ctx := aws.String(w.settings["NIGHTLATCH_FAILURE_BUCKET"]), w.tb.Context()
	client := s3.NewFromConfig(w.moto, func(o *s3.Options) { o.UsePathStyle = true })
	payload, err := json.Marshal(map[string]any{
		"requestContext": map[string]any{"functionArn": notifyARN, "condition": "RetryAttemptsExhausted"}, "version": "1.0",
		"DDBStreamBatchInfo": map[string]any{"shardId": "shardId-1"}, "payload": string(sample(w.tb, "notify")),
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	if _, err := client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: bucket, Key: aws.String("aws/lambda/7d1c/shardId-1/2026/01/05/2026-01-05T09.13.49-316a"), Body: bytes.NewReader(payload),
	}); err != nil {
		w.tb.Fatal(err)
	}
	damaged := decode[events.DynamoDBEvent](w.tb, "notify")
	damaged.Records = damaged.Records[:1]
	damaged.Records[0].EventID = "damaged"
	damaged.Records[0].Change.NewImage["schema"] = events.NewNumberAttribute("9")
	var streamed events.DynamoDBEventResponse
	if err := w.functions["notify"].call(damaged, timeout, &streamed); err != nil || len(streamed.BatchItemFailures) > 0 {
		w.tb.Fatalf("notify, with what it cannot decode: %v, %v", streamed, err)
	}

	order := api.AdminRequest{Operation: "replay", DryRun: true, Operator: "oscar", Reason: "ticket 4712"}
	for _, want := range []api.ReplayResponse{
		{Objects: 2, Records: 3, Undecodable: 1, Taken: 2},
		{Objects: 2, Records: 3, Undecodable: 1, Taken: 2, Removed: 1},
		{Objects: 1, Records: 1, Undecodable: 1},
	} {
		var told api.AdminResponse
		if err := w.functions["admin"].call(order, timeout, &told); err != nil || told.Replay == nil || *told.Replay != want {
			w.tb.Errorf("replay: %+v, %v; want %+v", told.Replay, err, want)
		}
		order.DryRun = false
	}
	user := twofactor.UserID(damaged.Records[0].Change.Keys["user"].String())
	page, err := w.store.History(ctx, user, twofactor.Page{Limit: 10})
	if err != nil || len(page.Events) != 2 {
		w.tb.Errorf("history of what was replayed: %v, %v", page.Events, err)
	}
	if said := w.functions["admin"].said.String(); strings.Count(said, `"operation":"replay"`) != 3 || !strings.Contains(said, `"operator":"oscar"`) || strings.Contains(said, string(user)) {
		w.tb.Errorf("admin logs:\n%s", said)
	}
}

// stream feeds notify with the stream of the accounts table, so many records at once at most, and returns a function that waits
// until all versions of a user have been delivered.
func (w *world) stream(most int) (delivered func(twofactor.UserID)) {
	w.tb.Helper()
	notify := w.functions["notify"] // as it is now: a test may start another
	versions, seen := make(chan twofactor.Version, 1000), map[twofactor.UserID]int64{}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(w.tb.Context())
	go func() {
		ended <- eventsource.Run(ctx, w.dynamoDB, w.tables.Accounts, slog.New(slog.NewTextHandler(io.Discard, nil)),
			func(_ context.Context, e events.DynamoDBEvent) (response events.DynamoDBEventResponse, err error) {
				for records := range slices.Chunk(e.Records, most) {
					if err := notify.call(events.DynamoDBEvent{Records: records}, timeout, &response); err != nil || len(response.BatchItemFailures) > 0 {
						return response, err
					}
				}
				for _, r := range e.Records {
					if v, ok, err := dynamostore.DecodeRecord(r); err == nil && ok {
						versions <- v
					}
				}
				return response, nil
			})
	}()
	w.tb.Cleanup(func() { cancel(); <-ended })
	return func(user twofactor.UserID) {
		w.tb.Helper()
		account, err := w.store.Load(w.tb.Context(), user)
		if err != nil {
			w.tb.Fatal(err)
		}
		for seen[user] < account.Version {
			select {
			case v := <-versions:
				seen[v.User] = v.Version
			case <-time.After(time.Minute):
				w.tb.Fatalf("version %d of %s was not delivered; notify says:\n%s", account.Version, user, &w.functions["notify"].said)
			}
		}
	}
}

// outside is what a recovery needs of this world.
func (w *world) outside(delivered func(twofactor.UserID)) outside {
	return outside{
		mails: func() []string {
			delivered("alice")
			w.mail(10)
			var texts []string
			for _, mail := range w.functions["mailer"].others.taken() {
				texts = append(texts, plain(w.tb, mail))
			}
			return texts
		},
		sweep:   func() error { return w.functions["sweep"].call(struct{}{}, timeout, new(any)) },
		bounce:  func(e events.EventBridgeEvent) error { return w.functions["mail-feedback"].call(e, timeout, new(any)) },
		persona: w.persona,
		operate: func(order api.AdminRequest) error { return w.functions["admin"].call(order, timeout, new(any)) },
	}
}

// mail hands the mailer all that is on the queue, so many jobs at once at most.
func (w *world) mail(most int32) {
	w.tb.Helper()
	client, url := sqs.NewFromConfig(w.moto), aws.String(w.settings["NIGHTLATCH_MAIL_QUEUE"])
	for {
		out, err := client.ReceiveMessage(w.tb.Context(), &sqs.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: most})
		if err != nil {
			w.tb.Fatal(err)
		}
		if len(out.Messages) == 0 {
			return
		}
		var e events.SQSEvent
		for _, m := range out.Messages {
			e.Records = append(e.Records, events.SQSMessage{MessageId: *m.MessageId, Body: *m.Body, EventSource: "aws:sqs"})
		}
		var report events.SQSEventResponse
		if err := w.functions["mailer"].call(e, timeout, &report); err != nil || len(report.BatchItemFailures) > 0 {
			w.tb.Fatalf("mailer: %v, %v; it says:\n%s", report, err, &w.functions["mailer"].said)
		}
		for _, m := range out.Messages {
			if _, err := client.DeleteMessage(w.tb.Context(), &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: m.ReceiptHandle}); err != nil {
				w.tb.Fatal(err)
			}
		}
	}
}

// plain returns the plain text of a mail.
func plain(tb testing.TB, text string) string {
	tb.Helper()
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		tb.Fatal(err)
	}
	_, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		tb.Fatal(err)
	}
	part, err := multipart.NewReader(m.Body, parameters["boundary"]).NextPart()
	if err != nil {
		tb.Fatal(err)
	}
	body, err := io.ReadAll(part)
	if err != nil || !strings.HasPrefix(part.Header.Get("Content-Type"), "text/plain") {
		tb.Fatalf("the first part of a mail is %s, %v", part.Header.Get("Content-Type"), err)
	}
	return string(body)
}

// history lists the types of what has happened to alice, oldest first.
func history(c *client) []string {
	c.tb.Helper()
	var types []string
	for _, e := range c.want(session("alice"), "GET /v1/history", "", 200, "").body["events"].([]any) {
		types = append([]string{e.(map[string]any)["type"].(string)}, types...)
	}
	return types
}
