package functions_test

import (
	"cmp"
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

var (
	tokens    = regexp.MustCompile(`#/[a-z_/]+/(\S+)`)
	addresses = regexp.MustCompile(`[A-Za-z0-9._-]+@[a-z.]+`)
)

// TestNothingIsTold goes through everybody's life with the functions, and through all of it again while one service after the
// other fails, so that everything is logged that ever is. Then it looks in all of that for every secret, code, token, address,
// body and header that has passed, and at what the lines are.
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
			var heard []events.APIGatewayV2HTTPRequest
			deliver := w.persona.webhook
			w.persona.webhook = func(e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
				heard = append(heard, e) // of one at a time, which is waited for
				return deliver(e)
			}
			jobs[policy].do(c)
			mails := slices.Clone(c.outside.mails())

			p := newPrivate()
			p.secret("the key to Persona", personaKey)
			p.secret("the webhooks' secret", webhookSecret)
			for _, x := range c.sent {
				p.request(x.event)
				if x.answer.status < 400 { // the code of a problem is none that anybody types
					p.body(x.answer.text)
				}
			}
			for _, e := range heard {
				p.request(e)
			}
			for _, mail := range mails {
				p.text("a mail", mail)
				for _, token := range tokens.FindAllStringSubmatch(mail, -1) {
					p.secret("a mailed token", token[1])
				}
				for _, one := range addresses.FindAllString(mail, -1) {
					p.address("an address", one)
				}
			}
			p.address("an address", address("alice"))
			p.secret("an imported secret", broughtSecret)
			p.secret("an imported label", "Ivan at Old")
			p.secret("an imported URI", brought("ivan").Import.OTPAuthURI)
			p.address("an imported address", brought("ivan").Import.Email)
			if len(p.codes) < 3 || len(p.whole) < 6 || len(p.pieces) < 3000 {
				t.Fatalf("there are %d codes, %d short secrets and %d pieces of others only", len(p.codes), len(p.whole), len(p.pieces))
			}

			lines := 0
			w.look(p, &lines) // of when all was well
			stack := newCloudFormation(t)
			job := events.SQSEvent{}
			for i, kind := range []string{"disabled", "backup_code_used", "locked"} {
				body, err := json.Marshal(twofactor.MailJob{User: "alice", Event: fmt.Sprint("x", i), Kind: kind, At: time.Now(), To: twofactor.MailToUser})
				if err != nil {
					t.Fatal(err)
				}
				job.Records = append(job.Records, events.SQSMessage{MessageId: fmt.Sprint(i), Body: string(body)})
			}
			job.Records = append(job.Records, events.SQSMessage{MessageId: "none", Body: `{"to":"` + address("alice") + `","code":"` + mails[len(mails)-1] + `"}`})
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
				p.secret("where CloudFormation is answered", stack.url[strings.LastIndexByte(stack.url, '/'):])
				w.look(p, &lines)
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
		`<Message>Email address is not verified: `+address("alice")+`</Message></Error><RequestId>x</RequestId></ErrorResponse>`)
}

// request adds what a request has in its headers, cookies, query and body, and who sent it from where.
func (p *private) request(e events.APIGatewayV2HTTPRequest) {
	for name, value := range e.Headers {
		if name == "content-type" {
			continue
		}
		_, credential, _ := strings.Cut(value, " ")
		p.secret("the header "+name, cmp.Or(credential, value))
	}
	for _, cookie := range e.Cookies {
		p.secret("a cookie", cookie)
	}
	p.secret("a query", e.RawQueryString)
	p.secret("an IP address", e.RequestContext.HTTP.SourceIP)
	p.secret("a user agent", e.RequestContext.HTTP.UserAgent)
	if a := e.RequestContext.Authorizer; a != nil && a.JWT != nil {
		p.secret("the id of a session", a.JWT.Claims["jti"])
		p.address("an address in a session", a.JWT.Claims["email"])
	}
	p.body(e.Body)
}

// look looks for what is private in all that the functions have said and counted so far, and adds up the lines.
func (w *world) look(p *private, lines *int) {
	w.tb.Helper()
	for name, f := range w.functions {
		for line := range strings.Lines(f.said.String() + f.counted.String()) {
			*lines++
			members, err := told(line)
			if err != nil {
				w.tb.Errorf("%s: %v: see what it can tell, and put it among what is logged:\n%s", name, err, line)
			}
			if members == nil {
				members = map[string]string{"no member": line}
			}
			for member, text := range searched(members) {
				if what, found := p.in(text); what != "" {
					w.tb.Errorf("%s tells %s, %q, in %s:\n%s", name, what, found, member, line)
				}
			}
		}
	}
}

// fractions are those of seconds, at the end of what is a time and nothing else. A microsecond has as many digits as a code.
var fractions = regexp.MustCompile(`^(2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})\.[0-9]{1,9}Z$`)

// searched are the members of a line in which what is private can be: all but its time, which is one and has digits of its own,
// and but the fraction of a second that other times have.
func searched(members map[string]string) map[string]string {
	all := maps.Clone(members)
	delete(all, "time")
	for _, name := range []string{"at", "since"} {
		if text, ok := all[name]; ok {
			all[name] = fractions.ReplaceAllString(text, "${1}Z")
		}
	}
	return all
}

// TestPrivateTimes: a microsecond is no code, and a code is one wherever a time should be.
func TestPrivateTimes(t *testing.T) {
	t.Parallel()
	p := newPrivate()
	p.secret("a code", "493817")
	for text, private := range map[string]bool{
		"2026-01-05T09:00:00.493817Z":        false,
		"2026-01-05T09:00:00Z":               false,
		"493817":                             true,
		".493817Z":                           true,
		"2026-01-05T09:00:00.493817":         true,
		"2026-01-05T09:00:00.493817Z 493817": true,
		"493817 2026-01-05T09:00:00.493817Z": true,
		"2026-01-05T09:00:00Z 493817":        true,
		"2026-01-05T493817Z":                 true,
	} {
		for _, name := range []string{"at", "since"} {
			if what, _ := p.in(searched(map[string]string{name: text})[name]); (what != "") != private {
				t.Errorf("%s: %q is taken for %q, want something found: %v", name, text, what, private)
			}
		}
	}
	if what, _ := p.in(searched(map[string]string{"cause": "2026-01-05T09:00:00.493817Z"})["cause"]); what == "" {
		t.Error("a code in a time in a cause is not found")
	}
}
