package mail

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// everyMail calls a function with each sample in each language.
func everyMail(t *testing.T, test func(t *testing.T, s sample, m Message)) {
	for _, s := range samples() {
		for _, lang := range languages {
			s.Locale = lang
			t.Run(s.name+", "+lang, func(t *testing.T) {
				t.Parallel()
				test(t, s, render(t, s.Content))
			})
		}
	}
}

func TestEveryKindHasASample(t *testing.T) {
	t.Parallel()
	var sampled []Kind
	for _, s := range samples() {
		if !slices.Contains(sampled, s.Kind) {
			sampled = append(sampled, s.Kind)
		}
	}
	if diff := cmp.Diff(Kinds(), sampled); diff != "" {
		t.Errorf("kinds (-there are +sampled):\n%s", diff)
	}
	if got := len(Kinds()); got != 22 {
		t.Errorf("%d kinds, want 22", got)
	}
}

// TestEveryMail: what holds for each, in each language.
func TestEveryMail(t *testing.T) {
	t.Parallel()
	everyMail(t, func(t *testing.T, s sample, m Message) {
		says := words(s.Locale).says
		d := &draft{Content: s.Content, words: words(s.Locale)}
		lines := strings.Split(m.Text, "\n")
		ending := []string{s.App, strings.ReplaceAll(says["footer.time"], "{time}", d.time(s.At))}
		if strings.Contains(m.Text, says["footer.ip"][:strings.Index(says["footer.ip"], "{")]) {
			ending = append(ending, strings.ReplaceAll(says["footer.ip"], "{ip}", address(s.IP)))
		}
		ending = append(ending, says["footer.never"], "")
		if got := lines[max(0, len(lines)-len(ending)):]; !slices.Equal(got, ending) {
			t.Errorf("text ends with %q, want %q", got, ending)
		}
		if !strings.Contains(m.Text, "UTC") {
			t.Error("nothing says that times are in UTC")
		}

		page := readHTML(t, m.HTML)
		if page.lang != s.Locale || page.dir != "ltr" {
			t.Errorf("lang=%q dir=%q", page.lang, page.dir)
		}
		if page.title != m.Subject || page.heading != m.Subject {
			t.Errorf("title %q, heading %q, want %q", page.title, page.heading, m.Subject)
		}
		// The HTML shows what the text says, line by line.
		for _, line := range lines {
			line = strings.TrimSuffix(strings.TrimPrefix(line, "- "), ":")
			if !strings.Contains(page.text, line) {
				t.Errorf("the HTML does not say %q", line)
			}
		}
		if strings.Count(page.text, lines[0]) != 2 { // once before all, for the list of mails
			t.Errorf("%q is not what a list of mails would show", lines[0])
		}
		// Links are the ones that were given, each readable too.
		given := []string{s.Links.Confirm, s.Links.SignIn, s.Links.Cancel, s.Links.Case}
		for _, link := range page.links {
			switch {
			case slices.Contains(given, link):
				if !slices.Contains(lines, link) {
					t.Errorf("%s has no line of its own in the text", link)
				}
			case link != "mailto:"+s.Support && link != s.Support:
				t.Errorf("links to %s", link)
			}
		}
		for _, link := range regexp.MustCompile(`https?://\S+`).FindAllString(m.Text, -1) {
			if !slices.Contains(page.links, link) {
				t.Errorf("%s is in the text only", link)
			}
		}
		for _, text := range []string{m.Subject, m.Text, page.text} {
			if regexp.MustCompile(`[{}]|%!|<no value>|&#|&amp;|\r`).MatchString(text) {
				t.Errorf("has something unfilled: %q", text)
			}
		}
		if !isLine(m.Subject) {
			t.Errorf("subject %q", m.Subject)
		}
	})
}

// pageRead is what a mail program finds.
type pageRead struct {
	lang, dir, title, heading, text string
	links                           []string
}

// readHTML reads a page, which is XML too, and refuses all that has no business in a mail.
func readHTML(t *testing.T, page string) (read pageRead) {
	t.Helper()
	allowed := map[string]string{ // elements and their attributes
		"html": "lang dir", "head": "", "meta": "charset name content", "title": "", "style": "", "body": "style",
		"table": "class role width cellpadding cellspacing border style", "tr": "", "td": "class align style",
		"div": "class style aria-hidden", "p": "class style", "h1": "style", "ul": "style", "li": "style",
		"a": "class href style", "span": "style", "strong": "", "br": "",
	}
	var open []string
	in := xml.NewDecoder(strings.NewReader(page))
	for {
		token, err := in.Token()
		if errors.Is(err, io.EOF) {
			return read
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, page)
		}
		switch token := token.(type) {
		case xml.StartElement:
			name := token.Name.Local
			open = append(open, name)
			attributes, ok := allowed[name]
			if !ok {
				t.Errorf("has an element %s", name)
			}
			for _, a := range token.Attr {
				switch {
				case !slices.Contains(strings.Fields(attributes), a.Name.Local):
					t.Errorf("has an attribute %s of %s", a.Name.Local, name)
				case a.Name.Local == "href":
					read.links = append(read.links, a.Value)
				case a.Name.Local == "lang":
					read.lang = a.Value
				case a.Name.Local == "dir":
					read.dir = a.Value
				}
				if a.Name.Local == "style" && strings.ContainsAny(a.Value, "(@\\") {
					t.Errorf("style %q could fetch something", a.Value)
				}
			}
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			switch {
			case slices.Contains(open, "style"):
				if strings.Contains(string(token), "url(") || strings.Contains(string(token), "@import") {
					t.Errorf("the style sheet fetches something: %s", token)
				}
			case slices.Contains(open, "title"):
				read.title += string(token)
			case slices.Contains(open, "h1"):
				read.heading += string(token)
				fallthrough
			default:
				read.text += string(token)
			}
		case xml.Comment, xml.ProcInst:
			t.Errorf("has %q", token)
		}
	}
}

// TestReviewersLearnNoName: of a mail to reviewers only the language, the time, the application, the reference and the
// link depend on anything.
func TestReviewersLearnNoName(t *testing.T) {
	t.Parallel()
	for _, kind := range []Kind{ReviewWaiting, ReviewReminder} {
		bare := Content{
			Kind: kind, App: anyContent.App, Words: Standard, At: anyContent.At, Reference: anyContent.Reference,
			Links: Links{Case: anyContent.Links.Case},
		}
		full := anyContent
		full.Kind, full.Reason = kind, Other
		if diff := cmp.Diff(render(t, bare), render(t, full)); diff != "" {
			t.Errorf("%s (-bare +full):\n%s", kind, diff)
		}
	}
}

// TestPreviousAddress: whoever reads the mail of the address before a change can stop a reset, and not use it.
func TestPreviousAddress(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds() {
		c := anyContent
		c.Kind, c.Previous = kind, true
		if kind == ResetDenied {
			c.Reason = Other
		}
		if kind == ResetExpired {
			c.Reason = Reason(twofactor.ResetReady)
		}
		for name, links := range map[string]Links{
			"confirm": {Confirm: c.Links.Confirm, Cancel: c.Links.Cancel}, "sign in": {SignIn: c.Links.SignIn, Cancel: c.Links.Cancel},
		} {
			c.Links = links
			if m, err := Render(c); !errors.Is(err, ErrContent) || m != (Message{}) {
				t.Errorf("%s with a link to %s: got %+v, %v", kind, name, m, err)
			}
		}
		c.Links = Links{Cancel: anyContent.Links.Cancel, Case: anyContent.Links.Case}
		if _, err := Render(c); err != nil {
			t.Errorf("%s: got %v", kind, err)
		}
	}
}

// TestMinutes: a pause is not said to be over too early, nor a deadline too late.
func TestMinutes(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[time.Duration][3]string{
		0:                {"14:06", "14:06", "14:06"},
		1:                {"14:07", "14:07", "14:06"},
		59 * time.Second: {"14:07", "14:07", "14:06"},
		time.Minute:      {"14:07", "14:07", "14:07"},
	} {
		at := time.Date(2026, time.March, 4, 14, 6, 0, 0, time.UTC).Add(seconds)
		c := anyContent
		c.LockedUntil, c.EffectiveAt, c.ExpiresAt = at, at, at
		for i, kind := range []Kind{Locked, ResetApproved, ResetReady} {
			c.Kind = kind
			if m := render(t, c); !strings.Contains(m.Subject+m.Text, "4 March 2026, "+want[i]+" UTC") {
				t.Errorf("%s, %v: want %s in:\n%s\n%s", kind, seconds, want[i], m.Subject, m.Text)
			}
		}
	}
}
