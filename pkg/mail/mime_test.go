package mail

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/nightlatch/nightlatch/pkg/needs"
	"pgregory.net/rapid"
)

var anyEnvelope = Envelope{
	From: netmail.Address{Name: "Acme Savings", Address: "no-reply@acme.example"}, To: "alice@example.com",
	Date: time.Date(2026, time.March, 4, 15, 5, 30, 0, time.FixedZone("", 60*60)), ID: "5ZK-2_a",
}

// received is a message as whoever gets it reads it.
type received struct {
	FromName, From, To, Subject, Date, MessageID, AutoSubmitted string
	Headers                                                     int
	Types, Bodies                                               []string
}

// wantReceived is what a reader finds who reads right.
func wantReceived(m Message, e Envelope) received {
	return received{
		FromName: e.From.Name, From: e.From.Address, To: e.To, Subject: m.Subject, Date: "Wed, 04 Mar 2026 14:05:30 +0000",
		MessageID: "<5ZK-2_a@acme.example>", AutoSubmitted: "auto-generated", Headers: 8,
		Types: []string{"text/plain; charset=utf-8", "text/html; charset=utf-8"}, Bodies: []string{m.Text, m.HTML},
	}
}

// A test is one of testing's, or rapid's.
type test interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Fatal(args ...any)
}

// read reads a message with the standard library.
func read(t test, raw []byte) received {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	from, err := m.Header.AddressList("From")
	if err != nil || len(from) != 1 {
		t.Fatalf("From: %v, %v", from, err)
	}
	to, err := m.Header.AddressList("To")
	if err != nil || len(to) != 1 || to[0].Name != "" {
		t.Fatalf("To: %v, %v", to, err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	got := received{
		FromName: from[0].Name, From: from[0].Address, To: to[0].Address, Subject: subject, Date: m.Header.Get("Date"),
		MessageID: m.Header.Get("Message-ID"), AutoSubmitted: m.Header.Get("Auto-Submitted"), Headers: len(m.Header),
	}
	mediaType, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/alternative" || m.Header.Get("MIME-Version") != "1.0" {
		t.Fatalf("%s, %v", mediaType, err)
	}
	for parts := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		if how := part.Header.Get("Content-Transfer-Encoding"); how != "quoted-printable" {
			t.Fatalf("a part is %s", how)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		got.Types = append(got.Types, part.Header.Get("Content-Type"))
		got.Bodies = append(got.Bodies, strings.ReplaceAll(string(body), "\r\n", "\n"))
	}
}

var encodedWord = regexp.MustCompile(`=\?utf-8\?b\?(\S*?)\?=`)

// checkWire holds a message to what every mail server takes: short lines of ASCII that end with CRLF.
func checkWire(t test, raw []byte) {
	t.Helper()
	for line := range bytes.SplitSeq(bytes.TrimSuffix(raw, []byte("\r\n")), []byte("\r\n")) {
		if len(line) > maxLine {
			t.Errorf("a line of %d characters", len(line))
		}
		if bytes.Contains(line, []byte("=?utf-8?")) && len(line) > 76 {
			t.Errorf("a line of %d characters with an encoded word: %s", len(line), line)
		}
		for _, word := range encodedWord.FindAllSubmatch(line, -1) { // RFC 2047, section 5: of whole characters
			if text, err := base64.StdEncoding.DecodeString(string(word[1])); err != nil || !utf8.Valid(text) {
				t.Errorf("%s is %q, %v", word[0], text, err)
			}
		}
		for _, b := range line {
			if b < ' ' && b != '\t' || b > '~' {
				t.Fatalf("%q has a byte %#x", line, b)
			}
		}
	}
}

func TestMIME(t *testing.T) {
	t.Parallel()
	everyMail(t, func(t *testing.T, _ sample, m Message) {
		raw, err := m.MIME(anyEnvelope)
		if err != nil {
			t.Fatal(err)
		}
		checkWire(t, raw)
		for line := range strings.SplitSeq(string(raw), "\r\n") {
			if len(line) > 78 && !strings.HasPrefix(line, "Content-Type: multipart/") {
				t.Errorf("a line of %d characters: %s", len(line), line)
			}
		}
		if diff := cmp.Diff(wantReceived(m, anyEnvelope), read(t, raw)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

var senderNames = []string{
	"", "Acme", `"Sons", Ltd. (UK) <b>`, `back\slash`, "=?utf-8?q?Bank?=", "アクメ貯蓄", "Société Générale d’Épargne et de Crédit",
	strings.Repeat("とても長い名前", 20), strings.Repeat("long ", 40) + "name", strings.Repeat("x", 200), "😀 Acme",
}

func TestSenderNames(t *testing.T) {
	t.Parallel()
	m := render(t, samples()[0].Content)
	for _, name := range senderNames {
		e := anyEnvelope
		e.From.Name = name
		raw, err := m.MIME(e)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		checkWire(t, raw)
		if diff := cmp.Diff(wantReceived(m, e), read(t, raw)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", name, diff)
		}
	}
	for name, want := range map[string]string{
		"Acme\r\nBcc: x@evil.example": "Acme Bcc: x@evil.example", "アクメ\r\nBcc: x@evil.example": "アクメ Bcc: x@evil.example",
		" Acme \t\x00\u202e Bank ": "Acme Bank",
	} {
		e := anyEnvelope
		e.From.Name = name
		raw, err := m.MIME(e)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if got := read(t, raw); got.FromName != want || got.Headers != 8 {
			t.Errorf("%q: got %+v", name, got)
		}
	}
	e := anyEnvelope
	e.From.Name = strings.Repeat("x", maxLine)
	if raw, err := m.MIME(e); err == nil || errors.Is(err, ErrRejected) {
		t.Errorf("a name that fits no line: got %s, %v", raw, err)
	}
}

var goodAddresses = []string{
	"alice@example.com", "alice+2fa@example.co.uk", "a@b", "o'brien_{x}!#$%&*/=?^`|~@example.com", "first.last@sub-1.example.com",
	"alice@xn--bcher-kva.example", strings.Repeat("a", 64) + "@" + strings.Repeat("b", 63) + ".example", "a@" + strings.Repeat("b.", 125) + "cc",
}

var hostileAddresses = []string{
	"", " ", "alice", "@example.com", "alice@", "alice@@example.com", "a@b@c", "alice@example.com ", " alice@example.com", "alice @example.com",
	"\"a\r\nBcc: x\"@y", "alice@example.com\r\nBcc: x@evil.example", "alice@example.com\nBcc: x@evil.example", "alice@example.com\r",
	"alice@example.com\x00", "alice@example.com, x@evil.example", "alice@example.com;x@evil.example", "alice@example.com x@evil.example",
	"Alice <alice@example.com>", "<alice@example.com>", "alice@example.com (comment)", `"alice x"@example.com`, `"alice"@example.com`,
	"undisclosed: alice@example.com;", "alice@[127.0.0.1]", "alice@[IPv6:::1]", "alicé@example.com", "alice@bücher.example",
	"alice@аcme.example", "a..b@example.com", ".a@example.com", "a.@example.com", "alice@.example.com", "alice@exa mple.com",
	"alice@example.com\u2028Bcc: x", "=?utf-8?q?x?=@example.com,y@z", "alice\\@example.com", strings.Repeat("a", 65) + "@b.c", "a@" + strings.Repeat("b.", 126) + "c",
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	m := render(t, samples()[0].Content)
	for _, address := range goodAddresses {
		e := anyEnvelope
		e.To = address
		raw, err := m.MIME(e)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		if diff := cmp.Diff(wantReceived(m, e), read(t, raw)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", address, diff)
		}
	}
	for _, address := range hostileAddresses {
		e := anyEnvelope
		e.To = address
		raw, err := m.MIME(e)
		if !errors.Is(err, ErrRejected) || raw != nil || address != "" && strings.Contains(err.Error(), address) && len(address) > 1 {
			t.Errorf("to %q: got %s, %v", address, raw, err)
		}
		e = anyEnvelope
		e.From.Address = address
		if raw, err := m.MIME(e); err == nil || errors.Is(err, ErrRejected) || raw != nil {
			t.Errorf("from %q: got %s, %v", address, raw, err)
		}
	}
}

func TestRefusedMessages(t *testing.T) {
	t.Parallel()
	m := render(t, samples()[0].Content)
	for _, subject := range []string{
		"x\r\nBcc: x@evil.example", "x\ny", "é\r\ny", "x\x00", "x\u202ey", "x\u2028y", " x", "x ", "x  y", "x\ty", "\xff", "é\xff",
	} {
		if raw, err := (Message{Subject: subject, Text: m.Text, HTML: m.HTML}).MIME(anyEnvelope); !errors.Is(err, ErrRejected) {
			t.Errorf("subject %q: got %s, %v", subject, raw, err)
		}
	}
	for n, ok := range map[int]bool{maxLine - 1: true, maxLine: false} { // with the space that it is folded at
		raw, err := (Message{Subject: strings.Repeat("x", n)}).MIME(anyEnvelope)
		if (err == nil) != ok {
			t.Errorf("a subject of one word of %d: got %s, %v", n, raw, err)
		}
	}
	for _, value := range []string{"x\r\nBcc: x@evil.example", "x\n", "é", "\x00", "x  y", "\xff"} {
		var out bytes.Buffer
		if err := writeHeader(&out, "To", value); err == nil || out.Len() > 0 {
			t.Errorf("a header of %q: wrote %q, %v", value, out.String(), err)
		}
	}
	for _, id := range []string{"", "a b", "a@b", "a>\r\nBcc: x", "é", strings.Repeat("a", 257)} {
		e := anyEnvelope
		e.ID = id
		if raw, err := m.MIME(e); err == nil || errors.Is(err, ErrRejected) {
			t.Errorf("id %q: got %s, %v", id, raw, err)
		}
	}
}

// TestAnySubject: a subject arrives as it was, or is refused; it is never another, and never more than a subject.
func TestAnySubject(t *testing.T) {
	t.Parallel()
	m := render(t, samples()[0].Content)
	letters := rapid.OneOf(
		rapid.StringOfN(rapid.SampledFrom([]rune("ab é 日?=_\"<\u00a0😀")), 0, 400, -1), rapid.String(), rapid.Map(rapid.SliceOfN(rapid.IntRange(0, 1100), 1, 3), func(words []int) string {
			var s []string
			for _, n := range words {
				s = append(s, strings.Repeat("x", n))
			}
			return strings.Join(s, " ")
		}),
	)
	rapid.Check(t, func(t *rapid.T) {
		m.Subject = letters.Draw(t, "subject")
		raw, err := m.MIME(anyEnvelope)
		if err != nil {
			return
		}
		checkWire(t, raw)
		got := read(t, raw)
		if got.Subject != m.Subject || got.Headers != 8 {
			t.Errorf("got %q and %d headers, want %q", got.Subject, got.Headers, m.Subject)
		}
	})
}

// TestMIMEElsewhere: Python's email package reads the same.
func TestMIMEElsewhere(t *testing.T) {
	t.Parallel()
	python := needs.Program(t, "python3")
	dir := t.TempDir()
	want := map[string]received{}
	write := func(name string, m Message, e Envelope) {
		raw, err := m.MIME(e)
		if err != nil {
			t.Fatal(err)
		}
		name = strings.ReplaceAll(name, "/", "_") + ".eml"
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		want[name] = wantReceived(m, e)
	}
	for _, s := range samples() {
		for _, s.Locale = range languages {
			write(s.name+" "+s.Locale, render(t, s.Content), anyEnvelope)
		}
	}
	m := render(t, samples()[0].Content)
	for i, name := range senderNames {
		e := anyEnvelope
		e.From.Name = name
		write("from "+string(rune('a'+i)), m, e)
	}
	for i, address := range goodAddresses {
		e := anyEnvelope
		e.To = address
		write("to "+string(rune('a'+i)), m, e)
	}
	out, err := exec.CommandContext(t.Context(), python, "testdata/read.py", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]received
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
