package mail

import (
	"bytes"
	"context"
	"log/slog"
	netmail "net/mail"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// FuzzMIME: whatever a mail is made of, it has one recipient, the headers that it is to have, and its two texts; or it is
// refused, and nothing is made.
func FuzzMIME(f *testing.F) {
	f.Add("alice@example.com", "Acme", "no-reply@acme.example", "Your code", "Hello\n", "<p>Hello</p>")
	f.Add("alice@example.com", "A\r\nBcc: x@y.example", "no-reply@acme.example", "Your code", "Hello\n", "")
	f.Add("alice@example.com", " A \u202e B ", "no-reply@acme.example", "Ihr Code: ä =?x?=", "é\n", "")
	f.Add("a@b.example,c@d.example", "A\r\nBcc: x@y.example", "no-reply@acme.example", "x\r\nBcc: a@b.example\r\n\r\n", "--boundary", "é")
	f.Add("<a@b.example>", "=?utf-8?q?Bank?=", "\"a b\"@acme.example", "=?utf-8?b?YQ==?=", "\x00\xff", "")
	f.Add("a(comment)@b.example", "名", "a@[127.0.0.1]", strings.Repeat("ö ", 500), ".\r\n.\r\n", "=3D=\n")
	f.Fuzz(func(t *testing.T, to, name, from, subject, text, html string) {
		e := anyEnvelope
		e.To, e.From = to, netmail.Address{Name: name, Address: from}
		m := Message{Subject: subject, Text: text, HTML: html}
		raw, err := m.MIME(e)
		if err != nil {
			if raw != nil {
				t.Errorf("%v, and %d bytes", err, len(raw))
			}
			if len(to) >= 12 && checkAddress(to) != nil && strings.Contains(err.Error(), to) && to != from && to != subject {
				t.Errorf("the error tells the recipient: %v", err)
			}
			return
		}
		checkWire(t, raw)
		got := read(t, raw)
		if got.Headers != 8 || got.To != to || got.From != from || got.Subject != subject || got.FromName != clean(name) {
			t.Errorf("of %q %q %q %q came %+v", to, name, from, subject, got)
		}
		if len(got.Bodies) != 2 {
			t.Errorf("%d parts", len(got.Bodies))
		}
		if utf8.ValidString(text) && !strings.ContainsAny(text, "\r") && got.Bodies[0] != text {
			t.Errorf("the text %q came as %q", text, got.Bodies[0])
		}
	})
}

// FuzzAddress: an address that mail is sent to is one address, in ASCII, as it stands in a list of them.
func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"", "a@b.example", "A <a@b.example>", "a@b.example, c@d.example", "a@b@c.example", "\"a\"@b.example", "a@xn--bcher-kva.example", "a@[1.2.3.4]", "a..b@c.example", "a@b.example\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		if checkAddress(address) != nil {
			return
		}
		list, err := netmail.ParseAddressList("x@y.example, " + address + ", z@y.example")
		if err != nil || len(list) != 3 || list[1].Address != address || list[1].Name != "" || strings.Count(address, "@") != 1 ||
			len(address) > 254 || strings.Trim(address, "!#$%&'*+-./0123456789=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz{|}~") != "" {
			t.Errorf("%q is taken for an address: %v, %v", address, list, err)
		}
	})
}

// FuzzTag: what is made a tag is one that SES takes and comes back as it was; a tag that nobody made is an error or an id.
func FuzzTag(f *testing.F) {
	for _, seed := range []string{"", "a", "b64_", "b64_YQ", "b64_YQ==", "b64_YR", "b64_Y\nQ", "auth0|1", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		tag := EncodeTag(id)
		if len(tag) <= 256 && !isTag(tag) {
			t.Errorf("%q becomes the tag %q", id, tag)
		}
		if back, err := DecodeTag(tag); err != nil || back != id {
			t.Errorf("%q comes back as %q, %v", id, back, err)
		}
		if back, err := DecodeTag(id); err != nil && back != "" {
			t.Errorf("DecodeTag(%q) = %q, %v", id, back, err)
		}
	})
}

// FuzzJob: what a queue delivers is a job that is done, or it is reported, and the log has nothing of it.
func FuzzJob(f *testing.F) {
	f.Add(`{"user":"alice","event":"v000000000007-00","at":"2026-03-04T14:05:00Z","kind":"locked","to":"user"}`)
	f.Add(`{"kind":1}`)
	f.Add(`{"surprise":"alice@example.com"}`)
	f.Fuzz(func(t *testing.T, body string) {
		done := 0
		var log bytes.Buffer
		queue := Queue(func(context.Context, twofactor.MailJob) error { done++; return nil }, slog.New(slog.NewTextHandler(&log, nil)))
		report, err := queue(t.Context(), events.SQSEvent{Records: []events.SQSMessage{{MessageId: "1", Body: body}}})
		if err != nil || done+len(report.BatchItemFailures) != 1 {
			t.Errorf("%q: done %d times, %+v, %v", body, done, report, err)
		}
		if len(body) >= 12 && strings.Contains(log.String(), body) {
			t.Errorf("logged %s", &log)
		}
	})
}
