package mail

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// TestNothingMissing takes away what a Content holds, one by one.
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
		"locked":                             "| IP LockedUntil",
		"suspended, identity review, miaxdx": "Recovery | IP",
		"suspended, admin only, mirox":       "Recovery | IP Support",
		"code_reused":                        "| IP",
		"reset_requested":                    "Cancel Confirm ExpiresAt Reference | IP",
		"reset_requested, previous address":  "Cancel Previous Reference | IP",
		"identity_failed, 2 tries left":      "Cancel Confirm Reference | Support TriesLeft",
		"identity_failed, previous address":  "Cancel Previous Reference | TriesLeft",
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
		"recovery":           func(c *Content) { c.Kind, c.Recovery = Suspended, "no" },
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
		} else if !strings.Contains(m.Text, " from "+want+".\n") || !strings.Contains(m.Text, "IP address: "+want+"\n") {
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
