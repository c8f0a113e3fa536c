package functions_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// members are those of requests and answers that are nobody else's business.
var members = []string{
	"code", "challenge", "token", "grant", "email", "email_hint", "label", "name", "birthdate", "phone", "manual_secret", "otpauth_uri",
	"qr_svg", "qr_png", "backup_code", "assertion", "url", "on_file", "verified", "note",
}

// secrets are what no log may have: by what it is, what it says.
type secrets map[string]string

func (s secrets) add(what, text string) {
	if len(text) >= 6 {
		s[text] = what
	}
}

// walk adds what is in a body of JSON.
func (s secrets) walk(name string, value any) {
	switch v := value.(type) {
	case string:
		if slices.Contains(members, name) {
			s.add(name, v)
			s.add(name, strings.ReplaceAll(v, "-", ""))
		}
	case []any:
		for _, one := range v {
			s.walk(name, one)
		}
	case map[string]any:
		for name, one := range v {
			s.walk(name, one)
		}
	}
}

func (s secrets) body(text string) {
	var value any
	if json.Unmarshal([]byte(text), &value) == nil {
		s.walk("", value)
	}
	if len(text) > 40 { // shorter ones say nothing
		s.add("a body", text)
	}
}

var (
	tokens    = regexp.MustCompile(`#/[a-z_/]+/(\S+)`)
	addresses = regexp.MustCompile(`[A-Za-z0-9._-]+@[a-z.]+`)
)

// times are members of a log's line that have digits of their own.
var times = []string{"time", "at", "since", "stack"}

// TestNothingIsTold goes through everybody's life with the functions, and through all of it again while one service after the
// other fails, so that everything is logged that ever is. Then it looks in all of that for every secret, code, token, address
// and body that has passed.
func TestNothingIsTold(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"standard", "miaxdx"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, policy)
			w.startAll()
			delivered := w.stream(100)
			c := newClient(t, w.functions, timeout)
			c.outside = w.outside(delivered)
			jobs[policy].do(c)
			mails := slices.Clone(c.outside.mails())

			private := secrets{personaKey: "the key to Persona", webhookSecret: "the webhooks' secret"}
			for _, x := range c.sent {
				private.body(x.event.Body)
				if x.answer.status < 400 { // the code of a problem is none that anybody types
					private.body(x.answer.text)
				}
			}
			for _, mail := range mails {
				private.add("a mail", mail)
				for _, token := range tokens.FindAllStringSubmatch(mail, -1) {
					private.add("a mailed token", token[1])
				}
				for _, address := range addresses.FindAllString(mail, -1) {
					private.add("an address", address)
				}
			}
			private.add("an address", "alice@example.com")
			for what, text := range map[string]string{
				"an imported secret": broughtSecret, "an imported address": "ivan@example.com", "an imported label": "Ivan at Old",
				"an imported URI": brought("ivan").Import.OTPAuthURI,
			} {
				private.add(what, text)
			}
			delete(private, w.settings["NIGHTLATCH_SUPPORT"])
			if len(private) < 30 {
				t.Fatalf("there are %d secrets only", len(private))
			}

			lines := 0
			w.look(private, &lines) // of when all was well
			stack := newCloudFormation(t)
			job := events.SQSEvent{}
			for i, kind := range []string{"disabled", "backup_code_used", "locked"} {
				body, err := json.Marshal(twofactor.MailJob{User: "alice", Event: fmt.Sprint("x", i), Kind: kind, At: time.Now(), To: twofactor.MailToUser})
				if err != nil {
					t.Fatal(err)
				}
				job.Records = append(job.Records, events.SQSMessage{MessageId: fmt.Sprint(i), Body: string(body)})
			}
			job.Records = append(job.Records, events.SQSMessage{MessageId: "none", Body: `{"to":"alice@example.com","code":"` + mails[len(mails)-1] + `"}`})
			faults := map[string]func(*function){
				"DynamoDB fails":   func(f *function) { f.dynamoDB.answer(status(http.StatusInternalServerError)) },
				"DynamoDB refuses": func(f *function) { f.dynamoDB.answer(refuse("com.amazon.coral.service#AccessDeniedException")) },
				"KMS hangs up":     func(f *function) { f.kms.answer(hangUp) },
				"others refuse":    func(f *function) { f.others.answer(refuse("AccessDeniedException")) },
				"SES rejects":      func(f *function) { f.others.answer(rejects) },
			}
			for _, what := range slices.Sorted(maps.Keys(faults)) {
				for _, name := range names(t) {
					w.functions[name] = w.start(t, name, map[string]string{"NIGHTLATCH_PERSONA_URL": nowhere})
					faults[what](w.functions[name])
				}
				seen := map[string]bool{}
				for _, x := range c.sent {
					if key := x.event.RouteKey + fmt.Sprint(x.answer.status); !seen[key] { // each once
						seen[key] = true
						var response events.APIGatewayV2HTTPResponse
						if err := w.functions[x.function].call(x.event, timeout, &response); err != nil {
							t.Errorf("%s: %s: %v", what, x.event.RouteKey, err)
						}
					}
				}
				for name, event := range map[string]any{
					"sweep": struct{}{}, "notify": decode[events.DynamoDBEvent](t, "notify"), "mailer": job,
					"mail-feedback": decode[events.EventBridgeEvent](t, "mail-feedback"), "keys": api.KeysRequest{Operation: "rotate"},
					"admin":  api.AdminRequest{Operation: "export", User: "alice", Operator: "oscar", Reason: "a letter"},
					"import": brought("judy"), // of admin
				} {
					payload, err := json.Marshal(event)
					if err != nil {
						t.Fatal(err)
					}
					if name == "import" {
						name = "admin"
					}
					w.functions[name].invoke(payload, timeout)
				}
				stack.asks(w.functions["keys"], cfn.RequestUpdate, timeout)
				if said := w.functions["mailer"].said.String(); what == "SES rejects" && !strings.Contains(said, "MessageRejected") {
					t.Errorf("no mail was rejected:\n%s", said)
				}
				private.add("where CloudFormation is answered", stack.url)
				w.look(private, &lines)
			}
			if lines < 100 {
				t.Errorf("there are %d lines of logs only: that tells nothing", lines)
			}
		})
	}
}

// rejects is SES with an address that it does not like, which it names.
func rejects(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(http.StatusBadRequest)
	_, _ = io.WriteString(w, `<ErrorResponse xmlns="http://ses.amazonaws.com/doc/2010-12-01/"><Error><Type>Sender</Type><Code>MessageRejected</Code>`+
		`<Message>Email address is not verified: alice@example.com</Message></Error><RequestId>x</RequestId></ErrorResponse>`)
}

// look looks for what is private in all that the functions have said and counted so far, and adds up the lines.
func (w *world) look(private secrets, lines *int) {
	w.tb.Helper()
	for name, f := range w.functions {
		for said := range strings.Lines(f.said.String() + f.counted.String()) {
			*lines++
			text := said
			var members map[string]any
			if json.Unmarshal([]byte(said), &members) == nil {
				for _, member := range times {
					delete(members, member)
				}
				delete(members, "_aws")
				bare, err := json.Marshal(members)
				if err != nil {
					w.tb.Fatal(err)
				}
				text = string(bare)
			}
			for secret, what := range private {
				if strings.Contains(text, secret) {
					w.tb.Errorf("%s tells %s, %q:\n%s", name, what, secret, said)
				}
			}
		}
	}
}
