package functions_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/identity"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// served are the functions that are called by HTTP.
func served() []string {
	var names []string
	for _, f := range api.Functions() {
		if f.Trigger == api.TriggerHTTP {
			names = append(names, f.Name)
		}
	}
	return names
}

func sample(tb testing.TB, function string) []byte {
	tb.Helper()
	return read(tb, filepath.Join("..", "events", function+".json"))
}

// decode reads a sample as Lambda's events are read, but strictly: a misspelt name would be a setting that is not there.
func decode[T any](tb testing.TB, function string) (event T) {
	tb.Helper()
	d := json.NewDecoder(bytes.NewReader(sample(tb, function)))
	d.DisallowUnknownFields()
	if err := d.Decode(&event); err != nil {
		tb.Fatalf("events/%s.json: %v", function, err)
	}
	return event
}

// route returns the route that an event is for.
func route(tb testing.TB, e events.APIGatewayV2HTTPRequest) api.Route {
	tb.Helper()
	routes := api.Routes()
	i := slices.IndexFunc(routes, func(r api.Route) bool { return r.Key() == e.RouteKey })
	if i < 0 {
		tb.Fatalf("there is no route %q", e.RouteKey)
	}
	return routes[i]
}

// TestFunctions: what is deployed is what the table says, and each function has its sample event.
func TestFunctions(t *testing.T) {
	t.Parallel()
	var want []string
	for _, f := range api.Functions() {
		want = append(want, f.Name)
		if f.Trigger == api.TriggerHTTP && f.Timeout != timeout {
			t.Errorf("%s has %v for a request, and %v in these tests", f.Name, f.Timeout, timeout)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, names(t)); diff != "" {
		t.Errorf("functions/ (-table +folders):\n%s", diff)
	}
	samples, err := filepath.Glob("../events/*")
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range samples {
		samples[i] = strings.TrimSuffix(filepath.Base(path), ".json")
	}
	if diff := cmp.Diff(want, samples); diff != "" {
		t.Errorf("events/ (-functions +samples):\n%s", diff)
	}
}

// TestSamples: each sample is what Lambda hands to the function of its name.
func TestSamples(t *testing.T) {
	t.Parallel()
	for _, name := range served() {
		e := decode[events.APIGatewayV2HTTPRequest](t, name)
		r := route(t, e)
		if r.Function != name {
			t.Errorf("events/%s.json is for %s", name, r.Function)
		}
		path := r.Path
		for parameter, value := range e.PathParameters {
			path = strings.ReplaceAll(path, "{"+parameter+"}", value)
		}
		c := e.RequestContext
		if e.Version != "2.0" || c.RouteKey != e.RouteKey || e.RawPath != path || c.HTTP.Method != r.Method || c.HTTP.Path != path {
			t.Errorf("events/%s.json contradicts itself: %s", name, e.RouteKey)
		}
		if text := e.Headers["user-agent"]; text != c.HTTP.UserAgent {
			t.Errorf("events/%s.json: two user agents", name)
		}
		for header := range e.Headers {
			if header != strings.ToLower(header) {
				t.Errorf("events/%s.json: header %s is not in lower case", name, header)
			}
		}
		if got := e.Headers["idempotency-key"] != ""; got != r.Idempotent {
			t.Errorf("events/%s.json has an Idempotency-Key: %v, want %v", name, got, r.Idempotent)
		}
		a := c.Authorizer
		switch r.Caller {
		case api.CallerSession, api.CallerReviewer:
			if a == nil || a.JWT == nil || a.IAM != nil {
				t.Errorf("events/%s.json: its authorizer has not seen a session", name)
			}
		case api.CallerHost:
			if a == nil || a.IAM == nil || a.JWT != nil {
				t.Errorf("events/%s.json: its authorizer has not seen a role", name)
			}
		default:
			if a != nil {
				t.Errorf("events/%s.json: %s has no authorizer", name, e.RouteKey)
			}
		}
	}
	decode[struct{}](t, "sweep")
	if in := decode[api.KeysRequest](t, "keys"); in.Operation != "rotate" {
		t.Errorf("events/keys.json: %+v", in)
	}
	if in := decode[api.AdminRequest](t, "admin"); in.Operation == "" || in.User == "" || in.Operator == "" || in.Reason == "" {
		t.Errorf("events/admin.json: %+v", in)
	}
	if e := decode[events.EventBridgeEvent](t, "mail-feedback"); e.Source != "aws.ses" || e.DetailType != "Email Bounced" {
		t.Errorf("events/mail-feedback.json is %s of %s", e.DetailType, e.Source)
	}
	for _, r := range decode[events.SQSEvent](t, "mailer").Records {
		var job twofactor.MailJob
		d := json.NewDecoder(strings.NewReader(r.Body))
		d.DisallowUnknownFields()
		if err := d.Decode(&job); err != nil || job.User == "" || job.Event == "" || job.Kind == "" || job.To == "" || job.At.IsZero() {
			t.Errorf("events/mailer.json, message %s: %+v, %v", r.MessageId, job, err)
		}
		if sum := md5.Sum([]byte(r.Body)); r.EventSource != "aws:sqs" || r.MessageId == "" || r.Md5OfBody != hex.EncodeToString(sum[:]) {
			t.Errorf("events/mailer.json, message %s is none of the mail queue", r.MessageId)
		}
	}
	for _, r := range decode[events.DynamoDBEvent](t, "notify").Records {
		v, ok, err := dynamostore.DecodeRecord(r)
		if err != nil || !ok || len(v.Events) == 0 {
			t.Errorf("events/notify.json, record %s: %v, %v", r.EventID, v, err)
		}
		if r.EventSource != "aws:dynamodb" || r.Change.StreamViewType != "NEW_IMAGE" || r.Change.SequenceNumber == "" {
			t.Errorf("events/notify.json, record %s is none of the accounts table's stream", r.EventID)
		}
	}
}

// sampled is what functions answer to their samples where nobody has 2FA.
var sampled = map[string]struct {
	status int
	code   string
	body   string // part of it
}{
	"enroll":        {401, "reauthenticate", ""}, // a sample grows old; below it is new
	"verify":        {401, "challenge_expired", ""},
	"check":         {409, "not_enabled", ""},
	"rotate-backup": {409, "not_enabled", ""},
	"disable":       {409, "not_enabled", ""},
	"status":        {200, "", `"state":"disabled"`},
	"challenge":     {200, "", `"required":false`},
	"jwks":          {200, "", `"kid":`},

	"reset-request":    {401, "challenge_expired", ""},
	"reset-review":     {401, "reauthenticate", ""},
	"identity-webhook": {401, "unauthorized", ""},
}

// TestPrograms hands each program its sample, as sam local invoke does, in a deployment in which nobody has 2FA.
func TestPrograms(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	w.startAll()
	c := newClient(t, w.functions, timeout)
	for _, name := range served() {
		want, known := sampled[name]
		if !known {
			t.Fatalf("it is not said what %s answers", name)
		}
		e := decode[events.APIGatewayV2HTTPRequest](t, name)
		if a := c.send(route(t, e), e); a.status != want.status || a.str("code") != want.code || !strings.Contains(a.text, want.body) {
			t.Errorf("%s: %d %s, want %d %s %s", name, a.status, a.text, want.status, want.code, want.body)
		}
	}
	e := decode[events.APIGatewayV2HTTPRequest](t, "enroll")
	e.RequestContext.Authorizer.JWT.Claims["auth_time"] = session("").authorizer.JWT.Claims["auth_time"]
	if a := c.send(route(t, e), e); a.status != 200 || a.str("manual_secret") == "" || a.str("backup_code") == "" {
		t.Errorf("enroll, by a fresh session: %d %s", a.status, a.text)
	}

	e = decode[events.APIGatewayV2HTTPRequest](t, "reset-review")
	e.RequestContext.Authorizer.JWT.Claims["auth_time"] = session("").authorizer.JWT.Claims["auth_time"]
	if a := c.send(route(t, e), e); a.status != 200 || a.body["cases"] == nil {
		t.Errorf("reset-review, by a fresh session: %d %s", a.status, a.text)
	}
	e = decode[events.APIGatewayV2HTTPRequest](t, "identity-webhook")
	e.Headers["persona-signature"] = identity.Sign(webhookSecret, []byte(e.Body), time.Now())
	if a := c.send(route(t, e), e); a.status >= 300 {
		t.Errorf("identity-webhook, signed: %d %s", a.status, a.text)
	}

	if err := w.functions["sweep"].call(json.RawMessage(sample(t, "sweep")), timeout, new(any)); err != nil {
		t.Errorf("sweep: %v", err)
	}
	if err := w.functions["mail-feedback"].call(json.RawMessage(sample(t, "mail-feedback")), timeout, new(any)); err != nil {
		t.Errorf("mail-feedback, about nobody's reset: %v", err)
	}
	var mailed events.SQSEventResponse
	if err := w.functions["mailer"].call(decode[events.SQSEvent](t, "mailer"), timeout, &mailed); err != nil || mailed.BatchItemFailures == nil || len(mailed.BatchItemFailures) > 0 {
		t.Errorf("mailer, for somebody without an address: %v, %v", mailed, err)
	}
	var rotated api.KeysResponse
	if err := w.functions["keys"].call(decode[api.KeysRequest](t, "keys"), timeout, &rotated); err != nil || len(rotated.Done) > 0 {
		t.Errorf("keys, with keysets that are new: %+v, %v", rotated, err)
	}
	order := decode[api.AdminRequest](t, "admin")
	var told api.StatusResponse
	if err := w.functions["admin"].call(brought(order.User), timeout, &told); err != nil {
		t.Errorf("admin, for an import: %v", err)
	}
	if err := w.functions["admin"].call(order, timeout, &told); err != nil || told.State == "" {
		t.Errorf("admin: %+v, %v", told, err)
	}
	order.Reason = ""
	if err := w.functions["admin"].call(order, timeout, &told); err == nil || !strings.Contains(err.Error(), "reason: must not be empty") {
		t.Errorf("admin, without a reason: %+v, %v", told, err)
	}

	misspelt := map[string]any{
		"operation": "import", "user": "judy", "operator": "oscar", "reason": "x", "import": map[string]any{"secret": broughtSecret, "digit": 8},
	}
	if err := w.functions["admin"].call(misspelt, timeout, &told); err == nil || !strings.Contains(err.Error(), "unknown field") || strings.Contains(err.Error(), broughtSecret) {
		t.Errorf("admin, with a member that there is not: %v", err)
	}

	misplaced := map[string]any{
		"operation": "import", "user": "judy", "operator": "oscar", "reason": "x", "import": map[string]any{broughtSecret: "secret"},
	}
	said := &w.functions["admin"].said
	if err := w.functions["admin"].call(misplaced, timeout, &told); err == nil || !strings.Contains(err.Error(), "import: unknown field: there are otpauth_uri, secret") ||
		strings.Contains(err.Error()+said.String(), broughtSecret) {
		t.Errorf("admin, with a secret in the place of a name: %v\n%s", err, said.String())
	}

	stream := decode[events.DynamoDBEvent](t, "notify")
	var report events.DynamoDBEventResponse
	if err := w.functions["notify"].call(stream, timeout, &report); err != nil || len(report.BatchItemFailures) > 0 {
		t.Fatalf("notify: %v, %v", report, err)
	}
	user := twofactor.UserID(stream.Records[0].Change.Keys["user"].String())
	page, err := w.store.History(t.Context(), user, twofactor.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var got []twofactor.EventType
	for _, e := range page.Events {
		got = append(got, e.Type)
	}
	if diff := cmp.Diff([]twofactor.EventType{twofactor.EventDisabled, twofactor.EventLogin}, got); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}
