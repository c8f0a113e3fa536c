package mail

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	netmail "net/mail"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ses"
	"github.com/google/go-cmp/cmp"
	"github.com/nightlatch/nightlatch/pkg/needs"
)

// sesConfig is for the imitation of SES at the endpoint. That cfg wants more attempts than a function has time for is not
// to count.
func sesConfig(endpoint string) aws.Config {
	return aws.Config{
		Region: "eu-central-1", BaseEndpoint: &endpoint, RetryMaxAttempts: 20,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	}
}

// A wire stands between a client and SES. It answers in SES's place, where it has an answer, and keeps what was sent.
type wire struct {
	answer func(attempt int, r *http.Request) (*http.Response, error) // nothing: the request goes on to SES
	mu     sync.Mutex
	sent   []url.Values
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.sent = append(w.sent, form)
	attempt := len(w.sent)
	w.mu.Unlock()
	if w.answer != nil {
		if answer, err := w.answer(attempt, r); answer != nil || err != nil {
			return answer, err
		}
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	return (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
}

// through has SES's client send by the wire, with the time for an attempt that it has by itself.
func (w *wire) through(o *ses.Options) {
	o.HTTPClient = &http.Client{Transport: w, Timeout: o.HTTPClient.(*http.Client).Timeout}
}

// TestSESClient: it bears a freeze, and follows no redirect (package thaw).
func TestSESClient(t *testing.T) {
	t.Parallel()
	NewSES(aws.Config{Region: "eu-central-1"}, netmail.Address{}, "", func(o *ses.Options) {
		if c, ok := o.HTTPClient.(*http.Client); !ok || c.CheckRedirect == nil || c.Timeout == 0 {
			t.Errorf("client %T", o.HTTPClient)
		}
	})
}

func answers(status int, body string) func(int, *http.Request) (*http.Response, error) {
	return func(int, *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Header: http.Header{"Content-Type": {"text/xml"}}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
		}, nil
	}
}

func refuses(status int, code, message string) func(int, *http.Request) (*http.Response, error) {
	return answers(status, fmt.Sprintf(`<ErrorResponse xmlns="http://ses.amazonaws.com/doc/2010-12-01/"><Error><Type>Sender</Type>`+
		`<Code>%s</Code><Message>%s</Message></Error><RequestId>1</RequestId></ErrorResponse>`, code, message))
}

var takes = answers(200, `<SendRawEmailResponse xmlns="http://ses.amazonaws.com/doc/2010-12-01/"><SendRawEmailResult>`+
	`<MessageId>0100-7</MessageId></SendRawEmailResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></SendRawEmailResponse>`)

func hang(_ int, r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

var sender = netmail.Address{Name: "アクメ貯蓄", Address: "no-reply@acme.example"}

// newWire returns a sender whose mails never leave the process.
func newWire(answer func(int, *http.Request) (*http.Response, error)) (*SES, *wire) {
	w := &wire{answer: answer}
	return NewSES(sesConfig("http://127.0.0.1:1"), sender, "nightlatch", w.through), w
}

// TestSES sends to an imitation of SES and reads what arrived there.
func TestSES(t *testing.T) {
	t.Parallel()
	endpoint := needs.KMS(t) // one server for both
	admin := ses.NewFromConfig(sesConfig(endpoint))
	from := netmail.Address{Name: sender.Name, Address: "ses-test@acme.example"}
	m := render(t, samples()[0].Content)
	send := func(to string) (id string, err error) {
		synctest.Test(t, func(t *testing.T) { // its clock stands still while SES works, however slow the machine is
			s := NewSES(sesConfig(endpoint), from, "", new(wire).through)
			id, err = s.Send(t.Context(), to, m, map[string]string{"event": "v000000000012-00"})
		})
		return id, err
	}

	if id, err := send("alice@example.com"); !errors.Is(err, ErrRejected) {
		t.Fatalf("before the sender is verified: got %q, %v", id, err)
	}
	if _, err := admin.VerifyEmailIdentity(t.Context(), &ses.VerifyEmailIdentityInput{EmailAddress: &from.Address}); err != nil {
		t.Fatal(err)
	}
	id, err := send("alice@example.com")
	if err != nil || id == "" {
		t.Fatalf("got %q, %v", id, err)
	}
	arrived := fetchSent(t, endpoint, id)
	if got := arrived.Destinations; !slices.Contains(got, "alice@example.com") || slices.ContainsFunc(got, func(to string) bool { return to != "alice@example.com" }) {
		t.Errorf("went to %v", got)
	}
	got := read(t, []byte(arrived.Raw))
	if arrived.Source != from.Address || got.From != from.Address || got.FromName != from.Name || got.To != "alice@example.com" ||
		got.Subject != m.Subject || !slices.Equal(got.Bodies, []string{m.Text, m.HTML}) {
		t.Errorf("got %+v by %s", got, arrived.Source)
	}
	if again, err := send("alice@example.com"); err != nil || again == id {
		t.Errorf("again: got %q, %v", again, err)
	}
}

type sentMail struct {
	ID           string   `json:"id"`
	Source       string   `json:"source"`
	Destinations []string `json:"destinations"`
	Raw          string   `json:"raw_data"`
}

// fetchSent returns a mail that the imitation of SES has taken.
func fetchSent(t *testing.T, endpoint, id string) sentMail {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, endpoint+"/moto-api/data.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var all struct {
		SES struct{ RawMessage []sentMail }
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for _, m := range all.SES.RawMessage {
		if m.ID == id {
			return m
		}
	}
	t.Fatalf("no mail %s in %s", id, text)
	return sentMail{}
}

func TestRequestToSES(t *testing.T) {
	t.Parallel()
	m := render(t, samples()[0].Content)
	s, w := newWire(takes)
	id, err := s.Send(t.Context(), "alice@example.com", m, map[string]string{"to": "user", "event": "v000000000012-00", "reset": "a.b/c="})
	if id != "0100-7" || err != nil {
		t.Fatalf("got %q, %v", id, err)
	}
	if len(w.sent) != 1 {
		t.Fatalf("%d requests", len(w.sent))
	}
	form := w.sent[0]
	raw, err := base64.StdEncoding.DecodeString(form.Get("RawMessage.Data"))
	if err != nil {
		t.Fatal(err)
	}
	form.Del("RawMessage.Data")
	want := url.Values{
		"Action": {"SendRawEmail"}, "Version": {"2010-12-01"}, "Source": {"no-reply@acme.example"},
		"Destinations.member.1": {"alice@example.com"}, "ConfigurationSetName": {"nightlatch"},
		"Tags.member.1.Name": {"event"}, "Tags.member.1.Value": {"v000000000012-00"},
		"Tags.member.2.Name": {"reset"}, "Tags.member.2.Value": {EncodeTag("a.b/c=")},
		"Tags.member.3.Name": {"to"}, "Tags.member.3.Value": {"user"},
	}
	if diff := cmp.Diff(want, form); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	checkWire(t, raw)
	if got := read(t, raw); got.FromName != sender.Name || got.To != "alice@example.com" || got.Subject != m.Subject {
		t.Errorf("got %+v", got)
	}
	parsed, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if date, err := parsed.Header.Date(); err != nil || time.Since(date).Abs() > time.Hour {
		t.Errorf("Date: %v, %v", date, err)
	}
	if _, err := s.Send(t.Context(), "alice@example.com", m, nil); err != nil {
		t.Fatal(err)
	}
	again, err := base64.StdEncoding.DecodeString(w.sent[1].Get("RawMessage.Data"))
	if err != nil {
		t.Fatal(err)
	}
	if read(t, again).MessageID == read(t, raw).MessageID {
		t.Error("two mails have one Message-ID")
	}
}

func TestWithoutConfigurationSet(t *testing.T) {
	t.Parallel()
	w := &wire{answer: takes}
	s := NewSES(sesConfig("http://127.0.0.1:1"), sender, "", w.through)
	if _, err := s.Send(t.Context(), "alice@example.com", Message{Subject: "x", Text: "x", HTML: "x"}, nil); err != nil {
		t.Fatal(err)
	}
	if w.sent[0].Has("ConfigurationSetName") || w.sent[0].Has("Tags.member.1.Name") {
		t.Errorf("sent %v", w.sent[0])
	}
}

// TestNeverAsked: what cannot be sent costs SES nothing.
func TestNeverAsked(t *testing.T) {
	t.Parallel()
	m := Message{Subject: "x", Text: "x", HTML: "x"}
	for _, to := range hostileAddresses {
		s, w := newWire(takes)
		if id, err := s.Send(t.Context(), to, m, nil); !errors.Is(err, ErrRejected) || id != "" || len(w.sent) != 0 {
			t.Errorf("%q: got %q, %v; %d requests", to, id, err, len(w.sent))
		}
	}
	for name, tags := range map[string]map[string]string{
		"no name": {"": "x"}, "name": {"a b": "x"}, "reserved name": {"ses:x": "x"}, "long name": {strings.Repeat("a", 257): "x"},
		"long": {"a": strings.Repeat("a", 257)}, "long when encoded": {"a": strings.Repeat(".", 190)},
	} {
		s, w := newWire(takes)
		if id, err := s.Send(t.Context(), "alice@example.com", m, tags); err == nil || errors.Is(err, ErrRejected) || id != "" || len(w.sent) != 0 {
			t.Errorf("%s: got %q, %v; %d requests", name, id, err, len(w.sent))
		}
	}
	s, w := newWire(takes)
	if _, err := s.Send(t.Context(), "alice@example.com", m, map[string]string{"a": strings.Repeat("a", 256), strings.Repeat("b", 256): "", "c": strings.Repeat(".", 189)}); err != nil || len(w.sent) != 1 {
		t.Errorf("the longest tags: %v", err)
	}
	bad := &wire{answer: takes}
	id, err := NewSES(sesConfig("http://127.0.0.1:1"), netmail.Address{Address: "acme"}, "", bad.through).Send(t.Context(), "alice@example.com", m, nil)
	if err == nil || errors.Is(err, ErrRejected) || id != "" || len(bad.sent) != 0 {
		t.Errorf("a sender that is none: got %q, %v", id, err)
	}
}

// TestSESRefuses: what is refused for good is told apart from what may pass, and only that is tried three times.
func TestSESRefuses(t *testing.T) {
	t.Parallel()
	const unverified = "Email address is not verified. The following identities failed the check in region EU-CENTRAL-1: alice@example.com"
	m := Message{Subject: "x", Text: "x", HTML: "x"}
	for name, c := range map[string]struct {
		answer   func(int, *http.Request) (*http.Response, error)
		rejected bool
		attempts int
		says     string
	}{
		"sandbox":                  {refuses(400, "MessageRejected", unverified), true, 1, "not verified"},
		"address":                  {refuses(400, "InvalidParameterValue", "Missing final '@domain'"), true, 1, "@domain"},
		"too fast":                 {refuses(400, "Throttling", "Maximum sending rate exceeded."), false, 3, "Throttling"},
		"too many":                 {refuses(400, "Throttling", "Daily message quota exceeded."), false, 3, "Throttling"},
		"paused":                   {refuses(400, "AccountSendingPausedException", "x"), false, 1, "AccountSendingPaused"},
		"configuration set paused": {refuses(400, "ConfigurationSetSendingPausedException", "x"), false, 1, "ConfigurationSetSendingPaused"},
		"no configuration set":     {refuses(400, "ConfigurationSetDoesNotExist", "x"), false, 1, "ConfigurationSetDoesNotExist"},
		"MAIL FROM":                {refuses(400, "MailFromDomainNotVerifiedException", "x"), false, 1, "MailFromDomainNotVerified"},
		"not allowed":              {refuses(403, "AccessDenied", "not authorized to perform: ses:SendRawEmail"), false, 1, "AccessDenied"},
		"token":                    {refuses(403, "InvalidClientTokenId", "x"), false, 1, "InvalidClientTokenId"},
		"expired token":            {refuses(403, "ExpiredToken", "x"), false, 1, "ExpiredToken"},
		"internal error":           {refuses(500, "InternalFailure", "x"), false, 3, "InternalFailure"},
		"unavailable":              {refuses(503, "ServiceUnavailable", "x"), false, 3, "ServiceUnavailable"},
		"bad gateway":              {answers(502, "<html>Bad Gateway</html>"), false, 3, "502"},
		"bare 400":                 {answers(400, ""), false, 1, "400"},
		"garbage":                  {answers(200, "\x00garbage"), false, 1, "mail: "},
		"nothing":                  {answers(200, ""), false, 1, "without a message id"},
		"no id":                    {answers(200, "<SendRawEmailResponse><SendRawEmailResult/></SendRawEmailResponse>"), false, 1, "without a message id"},
		"an empty id": {answers(200, "<SendRawEmailResponse><SendRawEmailResult><MessageId></MessageId></SendRawEmailResult></SendRawEmailResponse>"),
			false, 1, "without a message id"},
		"reset": {func(int, *http.Request) (*http.Response, error) { return nil, syscall.ECONNRESET }, false, 3, "connection reset"},
		"refused": {func(int, *http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		}, false, 3, "connection refused"},
		"no answer": {hang, false, 3, "exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // a clock of its own, so that what SES never answers takes no time
				s, w := newWire(c.answer)
				start := time.Now()
				id, err := s.Send(t.Context(), "alice@example.com", m, nil)
				if id != "" || err == nil || errors.Is(err, ErrRejected) != c.rejected || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %q, %v; want an error with %q, rejected: %v", id, err, c.says, c.rejected)
				}
				if len(w.sent) != c.attempts {
					t.Errorf("%d attempts, want %d", len(w.sent), c.attempts)
				}
				if took := time.Since(start); took > 7*time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// TestSESPasses: what has passed by the third attempt is told to nobody.
func TestSESPasses(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(int, *http.Request) (*http.Response, error){
		"too fast": refuses(400, "Throttling", "Maximum sending rate exceeded."), "unavailable": answers(503, ""), "no answer": hang,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, w := newWire(func(attempt int, r *http.Request) (*http.Response, error) {
					if attempt < 3 {
						return fault(attempt, r)
					}
					return takes(attempt, r)
				})
				id, err := s.Send(t.Context(), "alice@example.com", Message{Subject: "x", Text: "x", HTML: "x"}, nil)
				if id != "0100-7" || err != nil || len(w.sent) != 3 {
					t.Errorf("got %q, %v after %d attempts", id, err, len(w.sent))
				}
				if first, last := w.sent[0].Get("RawMessage.Data"), w.sent[2].Get("RawMessage.Data"); first != last {
					t.Error("another attempt is another mail")
				}
			})
		})
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, w := newWire(hang)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		id, err := s.Send(ctx, "alice@example.com", Message{Subject: "x", Text: "x", HTML: "x"}, nil)
		if id != "" || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrRejected) || len(w.sent) != 1 {
			t.Errorf("got %q, %v after %d attempts", id, err, len(w.sent))
		}
	})
}
