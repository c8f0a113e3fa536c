package mail

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"net/textproto"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Envelope is what a message travels in.
type Envelope struct {
	From netmail.Address
	To   string // a bare address
	Date time.Time
	ID   string // letters, digits, hyphens and underscores; the part of the Message-ID before the @ of From's domain
}

// Header lines (RFC 5322, section 2.1.1, and RFC 2047, section 2).
const (
	goodLine = 76  // characters of a line that folds
	maxLine  = 998 // of any line
)

// MIME returns the message as it is sent (RFC 5322): plain text and HTML as alternatives, in ASCII throughout. An address
// that no mail can go to is [ErrRejected].
func (m Message) MIME(e Envelope) ([]byte, error) {
	if err := checkAddress(e.To); err != nil {
		return nil, fmt.Errorf("%w: recipient: %w", ErrRejected, err) // who it is is not for the logs
	}
	if err := checkAddress(e.From.Address); err != nil {
		return nil, fmt.Errorf("mail: sender %q: %w", e.From.Address, err)
	}
	if !isLine(m.Subject) {
		return nil, fmt.Errorf("%w: not a subject: %q", ErrRejected, m.Subject)
	}
	if !isTag(e.ID) {
		return nil, fmt.Errorf("mail: not an id: %q", e.ID)
	}
	var body bytes.Buffer
	parts := multipart.NewWriter(&body)
	_, domain, _ := strings.Cut(e.From.Address, "@")

	var out bytes.Buffer
	for _, h := range []struct{ name, value string }{
		{"From", mailbox(e.From)},
		{"To", e.To},
		{"Subject", encode(m.Subject)},
		{"Date", e.Date.UTC().Format(time.RFC1123Z)},
		{"Message-ID", "<" + e.ID + "@" + domain + ">"},
		{"Auto-Submitted", "auto-generated"}, // RFC 3834: nobody's holiday answers
		{"MIME-Version", "1.0"},
		{"Content-Type", "multipart/alternative; boundary=" + parts.Boundary()},
	} {
		if err := writeHeader(&out, h.name, h.value); err != nil {
			return nil, err
		}
	}
	out.WriteString("\r\n")

	// The last alternative is the one to be preferred (RFC 2046, section 5.1.4).
	for _, part := range []struct{ mediaType, text string }{{"text/plain", m.Text}, {"text/html", m.HTML}} {
		if err := writePart(parts, part.mediaType, part.text); err != nil {
			return nil, err
		}
	}
	if err := parts.Close(); err != nil {
		return nil, err
	}
	out.Write(body.Bytes())
	return out.Bytes(), nil
}

func writePart(parts *multipart.Writer, mediaType, text string) error {
	w, err := parts.CreatePart(textproto.MIMEHeader{
		"Content-Type":              {mediaType + "; charset=utf-8"},
		"Content-Transfer-Encoding": {"quoted-printable"},
	})
	if err != nil {
		return err
	}
	encoder := quotedprintable.NewWriter(w)
	if _, err := encoder.Write([]byte(text)); err != nil {
		return err
	}
	return encoder.Close()
}

// isLine says whether a header can hold the text: valid, visible, and with single spaces, at which it may be folded.
func isLine(text string) bool {
	return utf8.ValidString(text) && !strings.Contains(" "+text+" ", "  ") &&
		!strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) })
}

// writeHeader writes a header field, folded at spaces. It refuses what would end the field, whoever made it.
func writeHeader(out *bytes.Buffer, name, value string) error {
	if !isLine(value) || !isASCII(value) {
		return fmt.Errorf("mail: %s is not a line", name)
	}
	for rest := name + ": " + value; rest != ""; {
		line := rest
		if len(rest) > goodLine { // ends before the last space that lets it fit, or else before the first
			at := strings.LastIndexByte(rest[1:goodLine+1], ' ')
			if at < 0 {
				at = strings.IndexByte(rest[1:], ' ')
			}
			if at >= 0 {
				line = rest[:at+1]
			}
		}
		if len(line) > maxLine {
			return fmt.Errorf("mail: %s is too long", name)
		}
		out.WriteString(line + "\r\n")
		rest = rest[len(line):]
	}
	return nil
}

// mailbox returns an address with its name, as a header has it.
func mailbox(a netmail.Address) string {
	a.Name = clean(a.Name)
	if name := encode(a.Name); name != a.Name {
		return name + " <" + a.Address + ">"
	}
	return a.String()
}

// encode returns text as a header has it: as it is, or in encoded words (RFC 2047) short enough for one to stand behind
// any of our headers' names.
func encode(text string) string {
	if isASCII(text) && !strings.Contains(text, "=?") {
		return text
	}
	const most = 39 // bytes of a word: 64 characters, and "Subject: " before it
	var words []string
	for text != "" {
		n := min(most, len(text))
		for n < len(text) && !utf8.RuneStart(text[n]) {
			n--
		}
		words = append(words, "=?utf-8?b?"+base64.StdEncoding.EncodeToString([]byte(text[:n]))+"?=")
		text = text[n:]
	}
	return strings.Join(words, " ")
}

func isASCII(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r > '~' }) < 0
}
