package functions_test

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/identity"
)

// fault is what is wrong around a function.
type fault struct {
	settings      map[string]string
	dynamoDB, kms http.HandlerFunc // answer in their place
	timeout       time.Duration    // of the function
	// spared are the functions that it does not concern.
	spared []string
	// cause is part of what the function logs.
	cause string
}

// hint is a webhook about an inquiry that no reset holds: the account is looked at, and Persona is not asked.
const hint = `{"data":{"type":"event","id":"evt_1","attributes":{"name":"inquiry.approved","payload":{"data":{"type":"inquiry",` +
	`"id":"inq_none","attributes":{"reference-id":"RESET"}}}}}}`

// TestCouldNotTell: whatever is wrong, a function answers in time that it could not tell. It never says that a user who
// has 2FA has none, and it keeps no failure: once all is well, it answers.
func TestCouldNotTell(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	w.startAll()
	c := newClient(t, w.functions, timeout)
	c.challenge("alice")
	p, _ := c.setUp("alice", c.want(session("alice"), "POST /v1/enroll", `{}`, 200, ""))
	challenge := c.challenge("alice").str("challenge")
	asked := c.ask("alice").str("id")
	carol := reviewer("carol")
	carol.id = asked

	requests := map[string]func(*client) answer{
		"enroll": func(c *client) answer { return c.do(session("alice"), "POST /v1/enroll", `{}`) },
		"verify": func(c *client) answer {
			return c.do(anyone, "POST /v1/verify", object("challenge", challenge, "method", "totp", "code", p.again()))
		},
		"check": func(c *client) answer { return c.do(session("alice"), "POST /v1/check", object("code", p.again())) },
		"rotate-backup": func(c *client) answer {
			return c.do(session("alice"), "POST /v1/backup-code", object("code", p.again()))
		},
		"disable": func(c *client) answer { return c.do(session("alice"), "POST /v1/disable", object("code", p.again())) },
		"status":  func(c *client) answer { return c.do(session("alice"), "GET /v1/status", "") },
		"challenge": func(c *client) answer {
			return c.do(host(""), "POST /v1/challenges", `{"user_id":"alice","nonce":"n"}`)
		},
		"jwks": func(c *client) answer { return c.do(anyone, "GET /.well-known/jwks.json", "") },

		"reset-request": func(c *client) answer { return c.do(anyone, "POST /v1/reset/show", object("token", asked+".wrong")) },
		"reset-review":  func(c *client) answer { return c.do(carol, "GET /v1/reviews/{id}", "") },
		"identity-webhook": func(c *client) answer {
			e := event("POST /v1/webhooks/persona", strings.ReplaceAll(hint, "RESET", asked))
			e.Headers[strings.ToLower(identity.SignatureHeader)] = identity.Sign(webhookSecret, []byte(e.Body), time.Now())
			return c.send(route(t, e), e)
		},
	}
	well := map[string]string{ // what they are answered when nothing is wrong
		"enroll": "already_enabled", "verify": "code_reused", "check": `"valid":`, "rotate-backup": "code_reused",
		"disable": "code_reused", "status": `"state":"enabled"`, "challenge": `"required":true`, "jwks": `"keys"`,
		"reset-request": "link_expired", "reset-review": `"case_version"`, "identity-webhook": `{}`,
	}
	isWell := func(t *testing.T, name string, c *client) {
		t.Helper()
		if a := requests[name](c); !strings.Contains(a.text, well[name]) {
			t.Errorf("with nothing wrong: %d %s, want %s", a.status, a.text, well[name])
		}
	}
	for _, name := range served() {
		isWell(t, name, c)
	}

	job := events.SQSEvent{Records: []events.SQSMessage{
		{MessageId: "1", Body: `{"user":"alice","event":"e","at":"2026-01-05T09:00:00Z","kind":"disabled","to":"user"}`},
	}}
	var sent events.SQSEventResponse
	if err := w.functions["mailer"].call(job, timeout, &sent); err != nil || len(sent.BatchItemFailures) > 0 {
		t.Errorf("mailer, with nothing wrong: %v, %v", sent, err)
	}

	other, _ := newTables(t, w.dynamoDB)
	removeSentinel(t, w, other)
	others, _ := newTables(t, w.dynamoDB)
	accounts := []string{"jwks", "notify"} // which have nothing to do with accounts
	keyless := []string{"status", "jwks", "notify"}
	faults := map[string]fault{
		"another table for accounts": {
			settings: map[string]string{"NIGHTLATCH_ACCOUNTS_TABLE": other.Accounts}, spared: accounts, cause: dynamostore.ErrNoSentinel.Error(),
		},
		"no table for accounts": {
			settings: map[string]string{"NIGHTLATCH_ACCOUNTS_TABLE": "there-is-none"}, spared: accounts, cause: "ResourceNotFoundException",
		},
		"another deployment's table for accounts": {
			settings: map[string]string{"NIGHTLATCH_ACCOUNTS_TABLE": others.Accounts}, spared: accounts, cause: dynamostore.ErrOtherDeployment.Error(),
		},
		"no keysets": {
			settings: map[string]string{"NIGHTLATCH_CONFIG_TABLE": other.Config, "NIGHTLATCH_ACCOUNTS_TABLE": other.Accounts},
			spared:   []string{"notify"}, // and of status, which opens none, the sentinel is missing
		},
		"DynamoDB refuses":           {dynamoDB: refuse("com.amazon.coral.service#AccessDeniedException"), cause: "AccessDeniedException"},
		"DynamoDB throttles":         {dynamoDB: refuse("com.amazonaws.dynamodb.v20120810#ThrottlingException"), cause: "ThrottlingException"},
		"DynamoDB's name is unknown": {settings: map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": "http://dynamodb.invalid"}, cause: "lookup dynamodb.invalid"},
		"the credentials are old":    {dynamoDB: refuse("com.amazon.coral.service#ExpiredTokenException"), cause: "ExpiredTokenException"},
		"DynamoDB fails":             {dynamoDB: status(http.StatusInternalServerError), cause: "500"},
		"DynamoDB knows nothing":     {dynamoDB: status(http.StatusOK)},
		"DynamoDB hangs up":          {dynamoDB: hangUp, cause: "EOF"},
		"DynamoDB cannot be reached": {settings: map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": nowhere}, cause: "connection refused"},
		"DynamoDB hangs":             {dynamoDB: hang, timeout: time.Second, cause: "deadline exceeded"},
		"KMS refuses":                {kms: refuse("AccessDeniedException"), spared: keyless, cause: "AccessDeniedException"},
		"KMS fails":                  {kms: status(http.StatusInternalServerError), spared: keyless, cause: "500"},
		"KMS hangs up":               {kms: hangUp, spared: keyless, cause: "EOF"},
		"KMS cannot be reached":      {settings: map[string]string{"AWS_ENDPOINT_URL_KMS": nowhere}, spared: keyless, cause: "connection refused"},
		"KMS hangs":                  {kms: hang, timeout: time.Second, spared: keyless, cause: "deadline exceeded"},
	}
	t.Run("faults", func(t *testing.T) {
		for what, fault := range faults {
			for name := range requests {
				t.Run(what+"/"+name, func(t *testing.T) {
					t.Parallel()
					f, c, patient := w.faulty(t, name, fault)
					if slices.Contains(fault.spared, name) {
						isWell(t, name, c)
						return
					}
					if a := requests[name](c); a.status != 503 || a.str("code") != "unavailable" {
						t.Errorf("%d %s, want 503", a.status, a.text)
					}
					if asked := fmt.Sprint(f.dynamoDB.permissions()); strings.Contains(asked, "PutItem") {
						t.Errorf("it has written: %s", asked)
					}
					if fault.settings == nil {
						f.dynamoDB.answer(nil)
						f.kms.answer(nil)
						isWell(t, name, patient)
					}
					f.stop() // and all that it has said is here
					if said := f.said.String(); !strings.Contains(said, fault.cause) || !strings.Contains(said, `"msg":"unavailable"`) {
						t.Errorf("the log does not say %q:\n%s", fault.cause, said)
					}
				})
			}
			t.Run(what+"/mailer", func(t *testing.T) {
				t.Parallel()
				f, _, _ := w.faulty(t, "mailer", fault)
				var report events.SQSEventResponse
				err := f.call(job, cmp.Or(fault.timeout, timeout), &report)
				if err != nil || len(report.BatchItemFailures) != 1 || len(f.others.taken()) > 0 {
					t.Errorf("%v, %v, want the job reported", report, err)
				}
			})
			t.Run(what+"/sweep", func(t *testing.T) {
				t.Parallel()
				f, _, _ := w.faulty(t, "sweep", fault)
				err := f.call(struct{}{}, cmp.Or(fault.timeout, timeout), new(any))
				if well := fault.kms != nil || fault.settings["AWS_ENDPOINT_URL_KMS"] != ""; well != (err == nil) {
					t.Errorf("it fails: %v, want that: %v", err, !well)
				}
			})
			t.Run(what+"/notify", func(t *testing.T) {
				t.Parallel()
				f, _, _ := w.faulty(t, "notify", fault)
				stream := decode[events.DynamoDBEvent](t, "notify")
				want := len(stream.Records)
				if slices.Contains(fault.spared, "notify") {
					want = 0
				}
				var report events.DynamoDBEventResponse
				if err := f.call(stream, cmp.Or(fault.timeout, timeout), &report); err != nil || len(report.BatchItemFailures) != want {
					t.Errorf("%d of %d records were reported, %v; want %d", len(report.BatchItemFailures), len(stream.Records), err, want)
				}
			})
		}
	})
}

// TestWritesFail: what was compared is not told as long as it could not be stored, whatever befalls the write: a right code and
// a wrong one are answered alike, in time. Once all is well the same request is answered: the right code lets in, whether it
// was stored before or not.
func TestWritesFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	w.startAll()
	for what, fault := range map[string]struct {
		answer  func(*gate) http.HandlerFunc
		timeout time.Duration
		cause   string
	}{
		"another write always comes first": {answer: with(refuse("com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException")), cause: "lost the race 8 times"},
		"writes are throttled":             {answer: with(refuse("com.amazonaws.dynamodb.v20120810#ThrottlingException")), cause: "ThrottlingException"},
		"writes fail":                      {answer: with(status(http.StatusInternalServerError)), cause: "500"},
		"writes hang":                      {answer: with(hang), timeout: time.Second, cause: "deadline exceeded"},
		"the credentials run out":          {answer: with(refuse("com.amazon.coral.service#ExpiredTokenException")), cause: "ExpiredTokenException"},
		"the table goes":                   {answer: with(refuse("com.amazonaws.dynamodb.v20120810#ResourceNotFoundException")), cause: "ResourceNotFoundException"},
		"every answer is lost":             {answer: func(g *gate) http.HandlerFunc { return g.carriedOut }, cause: "EOF"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			c, user := newClient(t, w.functions, timeout), "user of "+what
			c.challenge(user)
			p, _ := c.setUp(user, c.want(session(user), "POST /v1/enroll", `{}`, 200, ""))
			f := w.start(t, "verify", nil)
			f.dynamoDB.answerWrites(fault.answer(f.dynamoDB))
			functions := map[string]*function{"verify": f}
			hasty, patient := newClient(t, functions, cmp.Or(fault.timeout, timeout)), newClient(t, functions, timeout)
			right := object("challenge", c.challenge(user).str("challenge"), "method", "totp", "code", p.code())
			wrong := object("challenge", c.challenge(user).str("challenge"), "method", "totp", "code", p.wrong())
			for _, body := range []string{wrong, right} {
				if a := hasty.do(anyone, "POST /v1/verify", body); a.status != 503 || a.str("code") != "unavailable" || strings.Contains(a.text, "attempts") {
					t.Errorf("%d %s, want 503 and nothing else", a.status, a.text)
				}
			}
			f.dynamoDB.answerWrites(nil)
			if a := patient.do(anyone, "POST /v1/verify", right); a.status != 200 || a.str("assertion") == "" {
				t.Errorf("the right code, sent again: %d %s", a.status, a.text)
			}
			left := `"attempts_remaining":4` // the sign-in has forgiven what was stored before
			if a := patient.do(anyone, "POST /v1/verify", wrong); a.status != 422 || !strings.Contains(a.text, left) {
				t.Errorf("the wrong code, sent again: %d %s, want %s", a.status, a.text, left)
			}
			f.stop()
			if said := f.said.String(); !strings.Contains(said, fault.cause) {
				t.Errorf("the log does not say %q:\n%s", fault.cause, said)
			}
		})
	}
}

func with(f http.HandlerFunc) func(*gate) http.HandlerFunc {
	return func(*gate) http.HandlerFunc { return f }
}

// faulty starts a function with a fault, and returns a client of it, and one that has more time than the fault leaves.
func (w *world) faulty(t *testing.T, name string, fault fault) (f *function, c, patient *client) {
	t.Helper()
	f = w.start(t, name, fault.settings)
	f.dynamoDB.answer(fault.dynamoDB)
	f.kms.answer(fault.kms)
	functions := map[string]*function{name: f}
	return f, newClient(t, functions, cmp.Or(fault.timeout, timeout)), newClient(t, functions, timeout)
}

// removeSentinel makes of an accounts table one that looks like it.
func removeSentinel(t *testing.T, w *world, tables dynamostore.Tables) {
	t.Helper()
	_, err := dynamodb.NewFromConfig(w.dynamoDB).DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
		TableName: &tables.Accounts, Key: map[string]types.AttributeValue{"user": &types.AttributeValueMemberS{Value: dynamostore.Sentinel}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// refuse answers as a service of AWS does that will not.
func refuse(code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"__type":"`+code+`","message":"no"}`)
	}
}

// status answers with an empty object.
func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, "{}")
	}
}

// hang does not answer.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// hangUp ends the connection without an answer.
func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// nowhere is the URL of a service that nobody runs. A port that was free a moment ago may be somebody's by now.
const nowhere = "http://127.0.0.1:1"
