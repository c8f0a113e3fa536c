package mail

import (
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"reflect"
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

// TestNothingMissing takes everything away that a kind needs, one by one, and leaves out what it does not need. What is
// in want makes an error when it is not there; a mail without anything else does not change.
func TestNothingMissing(t *testing.T) {
	t.Parallel()
	gone := map[string]func(*Content){
		"Kind": func(c *Content) { c.Kind = "" }, "App": func(c *Content) { c.App = " \x00\u200b" },
		"Words": func(c *Content) { c.Words = "" }, "At": func(c *Content) { c.At = time.Time{} },
		"Enforcement": func(c *Content) { c.Enforcement = "" }, "BackupUse": func(c *Content) { c.BackupUse = "" },
		"Recovery": func(c *Content) { c.Recovery = "" }, "Previous": func(c *Content) { c.Previous = false },
		"Reference": func(c *Content) { c.Reference = "" }, "Reason": func(c *Content) { c.Reason = "" },
		"TriesLeft": func(c *Content) { c.TriesLeft = 0 }, "EffectiveAt": func(c *Content) { c.EffectiveAt = time.Time{} },
		"ExpiresAt": func(c *Content) { c.ExpiresAt = time.Time{} }, "LockedUntil": func(c *Content) { c.LockedUntil = time.Time{} },
		"Confirm": func(c *Content) { c.Links.Confirm = "" }, "SignIn": func(c *Content) { c.Links.SignIn = "" },
		"Cancel": func(c *Content) { c.Links.Cancel = "" }, "Case": func(c *Content) { c.Links.Case = "" },
		"Support": func(c *Content) { c.Support = "" }, "IP": func(c *Content) { c.IP = "" },
		"Locale": func(c *Content) { c.Locale = "" },
	}
	if got, want := len(gone)-4+1, reflect.TypeFor[Content]().NumField(); got != want { // four links are one field
		t.Fatalf("%d fields, of %d", got, want)
	}
	always := "App At Kind Words"
	// What each sample needs besides, and after the bar what it says otherwise without.
	want := map[string]string{
		"enabled":                            "| IP Support",
		"enabled, no support, no IP":         "|",
		"replaced":                           "| IP Support",
		"replacement_lapsed":                 "| Support",
		"disabled, optional":                 "Enforcement | IP Support",
		"disabled, required":                 "Enforcement | IP Support",
		"backup_code_used, reissue, mirox":   "BackupUse | IP Support",
		"backup_code_issued, mirox":          "| IP Support",
		"backup_code_revoked, mirox":         "| IP Support",
		"address_changed":                    "| IP Support",
		"locked":                             "LockedUntil | IP",
		"suspended, identity review, miaxdx": "| IP Recovery",
		"suspended, admin only, mirox":       "| IP Support",
		"code_reused":                        "| IP",
		"reset_requested":                    "Cancel Confirm ExpiresAt Reference | IP",
		"reset_requested, previous address":  "Cancel Previous Reference | IP",
		"identity_failed, 2 tries left":      "Cancel Confirm Reference | Support TriesLeft",
		"identity_failed, none left":         "Reference | Support",
		"reset_in_review":                    "Cancel Reference |",
		"review_waiting":                     "Case Reference |",
		"review_reminder":                    "Case Reference |",
		"reset_approved":                     "Cancel EffectiveAt Reference |",
		"reset_ready, optional":              "Cancel Enforcement ExpiresAt SignIn |",
		"reset_ready, required":              "Cancel Enforcement ExpiresAt SignIn |",
		"reset_ready, previous address":      "Cancel Previous Reference |",
		"reset_denied, other":                "Reason Reference | Support",
		"reset_canceled, by the user":        "Reference | IP",
		"reset_canceled, proof of life":      "Reference | IP Reason",
		"reset_canceled, by a reviewer":      "Reference | Reason",
		"reset_expired, ready":               "Reason Reference | Support",
		"reset_completed, optional":          "Enforcement | IP Support",
	}
	for _, s := range samples() {
		given, ok := want[s.name]
		if !ok {
			continue
		}
		delete(want, s.name)
		needed, told, _ := strings.Cut(given, "|")
		whole := render(t, s.Content)
		var errs, changes []string
		for _, field := range slices.Sorted(maps.Keys(gone)) {
			c := s.Content
			gone[field](&c)
			switch m, err := Render(c); {
			case err != nil && (!errors.Is(err, ErrContent) || m != Message{}):
				t.Errorf("%s without %s: got %+v, %v", s.name, field, m, err)
			case err != nil:
				errs = append(errs, field)
			case m != whole:
				changes = append(changes, field)
			}
		}
		if diff := cmp.Diff(slices.Sorted(slices.Values(strings.Fields(always+" "+needed))), errs); diff != "" {
			t.Errorf("%s: cannot do without (-want +got):\n%s", s.name, diff)
		}
		if diff := cmp.Diff(strings.Fields(told), changes); len(strings.Fields(told))+len(changes) > 0 && diff != "" {
			t.Errorf("%s: is another without (-want +got):\n%s", s.name, diff)
		}
	}
	for name := range want {
		t.Errorf("there is no sample %q", name)
	}
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Content){
		"kind":               func(c *Content) { c.Kind = "login" },
		"words":              func(c *Content) { c.Words = "backup_code" },
		"enforcement":        func(c *Content) { c.Kind, c.Enforcement = Disabled, "no" },
		"use":                func(c *Content) { c.Kind, c.BackupUse = BackupCodeUsed, "no" },
		"reason":             func(c *Content) { c.Kind, c.Reason = ResetDenied, "no" },
		"reason of a denial": func(c *Content) { c.Kind, c.Reason = ResetDenied, ProofOfLife },
		"reason of a stop":   func(c *Content) { c.Kind, c.Reason = ResetCanceled, Reason(twofactor.ResetReady) },
		"reason of an end":   func(c *Content) { c.Kind, c.Reason = ResetExpired, Other },
	} {
		c := anyContent
		c.Kind = Enabled
		change(&c)
		if m, err := Render(c); !errors.Is(err, ErrContent) || m != (Message{}) {
			t.Errorf("unknown %s: got %+v, %v", name, m, err)
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
		_, err := Render(c)
		if got, want := err != nil, kind == IdentityFailed; got != want {
			t.Errorf("%s: got %v", kind, err)
		}
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	for link, ok := range map[string]bool{
		"https://acme.example/#/reset/cancel/a.b":      true,
		"https://acme.example":                         true,
		"HTTPS://acme.example:8443/x?y=z%20&a=b#c":     true,
		"https://[2001:db8::1]/":                       true,
		"http://127.0.0.1:8787/#/reset/cancel/a.b":     true,
		"http://localhost:8787/":                       true,
		"http://[::1]:8787/":                           true,
		"http://acme.example/":                         false,
		"http://localhost.acme.example/":               false,
		"http://10.0.0.1/":                             false,
		"http://0.0.0.0/":                              false,
		"ftp://acme.example/":                          false,
		"javascript:alert(1)":                          false,
		"data:text/html,x":                             false,
		"//acme.example/":                              false,
		"/reset":                                       false,
		"acme.example":                                 false,
		"https:acme.example":                           false,
		"https://":                                     false,
		"https:///x":                                   false,
		"https://:443/":                                false,
		"https://user@acme.example/":                   false,
		"https://acme.example@evil.example/":           false,
		"https://acme.example/ x":                      false,
		" https://acme.example/":                       false,
		"https://acme.example/\r\nBcc: x@evil.example": false,
		"https://acme.example/\x00":                    false,
		"https://acme.example/\"onclick=\"x":           false,
		"https://acme.example/<b>":                     false,
		"https://acme.example/%zz":                     false,
		"https://acme.example\\@evil.example/":         false,
		"https://аcme.example/":                        false, // a Cyrillic letter
	} {
		for name, set := range map[string]func(*Content){
			"confirm": func(c *Content) { c.Links.Confirm = link }, "sign in": func(c *Content) { c.Links.SignIn = link },
			"cancel": func(c *Content) { c.Links.Cancel = link }, "case": func(c *Content) { c.Links.Case = link },
		} {
			c := anyContent
			c.Kind = ResetRequested
			set(&c)
			m, err := Render(c)
			if (err == nil) != ok || err != nil && (!errors.Is(err, ErrContent) || strings.Contains(err.Error(), link)) {
				t.Errorf("%s at %q: got %v", name, link, err)
			}
			if ok && (name == "confirm" || name == "cancel") && !slices.Contains(readHTML(t, m.HTML).links, link) {
				t.Errorf("%s at %q is not linked as it is", name, link)
			}
		}
	}
}

func TestSupport(t *testing.T) {
	t.Parallel()
	for support, want := range map[string]string{ // its link; none for an error
		"help@acme.example":                    "mailto:help@acme.example",
		"a?bcc=x&y+%@acme.example":             "mailto:a%3Fbcc=x&y+%25@acme.example",
		"https://acme.example/help":            "https://acme.example/help",
		"https://social.example/@acme":         "https://social.example/@acme",
		"http://acme.example/help":             "",
		"acme.example":                         "",
		"+1 555 0100":                          "",
		"Help <help@acme.example>":             "",
		"help@acme.example, x@evil.example":    "",
		"help@acme.example?bcc=x@evil.example": "",
		"help@acme.example\r\nBcc: x@y":        "",
		"<script>@acme.example":                "",
	} {
		c := anyContent
		c.Kind, c.Support = Enabled, support
		m, err := Render(c)
		if want == "" {
			if !errors.Is(err, ErrContent) {
				t.Errorf("%q: got %+v, %v", support, m, err)
			}
			continue
		}
		if err != nil || !strings.Contains(m.Text, ": "+support+"\n") || !slices.Contains(readHTML(t, m.HTML).links, want) {
			t.Errorf("%q: got %s, %v", support, m.Text, err)
		}
	}
}

// TestHostileText: what comes from outside stays text, on its line.
func TestHostileText(t *testing.T) {
	t.Parallel()
	for app, want := range map[string]string{
		"Acme <script>alert(1)</script> & \"Sons\" 'Ltd'": "Acme <script>alert(1)</script> & \"Sons\" 'Ltd'",
		"Acme\r\nBcc: x@evil.example\r\n\r\nHello":        "Acme Bcc: x@evil.example Hello",
		"\u202egnivaS\u2066 \u200bAcme\u2028\u2029\x00\a": "gnivaS Acme",
		"{{.Subject}} {support} %s":                       "{{.Subject}} {support} %s",
		"Société Générale d’Épargne":                      "Société Générale d’Épargne",
		"アクメ貯蓄":                                           "アクメ貯蓄",
		"Acme\xff\xfe":                                    "Acme",
	} {
		c := anyContent
		c.Kind, c.App = ResetRequested, app
		m := render(t, c)
		if !strings.Contains(m.Text, "\n\n"+want+"\nTime: ") {
			t.Errorf("%q: text is:\n%s", app, m.Text)
		}
		plain := anyContent
		plain.Kind = ResetRequested
		if got, want := m.Subject, render(t, plain).Subject; got != want {
			t.Errorf("%q: subject %q, want %q", app, got, want)
		}
		if got := readHTML(t, m.HTML); strings.Count(got.text, want) != 2 || len(got.links) != 2 {
			t.Errorf("%q: the HTML says %q and links to %q", app, got.text, got.links)
		}
	}
	for ip, want := range map[string]string{
		"203.0.113.7": "203.0.113.7", "::ffff:203.0.113.7": "203.0.113.7", "2001:DB8::7": "2001:db8::7", " 203.0.113.7 ": "203.0.113.7",
		"fe80::1%<script>": "fe80::1", "203.0.113.7:443": "", "evil.example": "", "<b>": "", "203.0.113.7\r\nX: y": "", "unknown": "",
	} {
		c := anyContent
		c.Kind, c.IP = Enabled, ip
		m := render(t, c)
		if want == "" {
			c.IP = ""
			if none := render(t, c); m != none {
				t.Errorf("%q: got %s", ip, m.Text)
			}
		} else if strings.Count(m.Text, want+"\n") != 1 || strings.Count(m.Text, want+".\n") != 1 {
			t.Errorf("%q: got %s, want %s", ip, m.Text, want)
		}
	}
	for _, reference := range []string{"7K4Q", "R-", "R-7k4q", "R-7K4Q\r\nBcc: x", "R-<b>", "R-7K4Q ", "R-00000000000000000", "R-É"} {
		c := anyContent
		c.Kind, c.Reference = ResetInReview, reference
		if m, err := Render(c); !errors.Is(err, ErrContent) {
			t.Errorf("reference %q: got %+v, %v", reference, m, err)
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
