package mail

import (
	"flag"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

var (
	update = flag.Bool("update", false, "write testdata/english.txt anew")
	pages  = flag.String("pages", "", "write every mail in every language to this folder, with an index.html that shows them side by side")
)

var languages = []string{"en", "es", "de", "fr", "ja"}

// A sample is a mail as somebody gets it.
type sample struct {
	name string
	Content
}

const token = "AWJ3kq0Zl8vN2xXfT5uYg7RbC1mHdE9sPoKaLiQw4zVnBt6yUcMr3jFhGxDeSpOiAkWlZqTvYbNmXcRu.q0ZlE9sPoKaLiQw4zVnB7g"

var anyContent = Content{
	App: "Acme Savings", Support: "help@acme.example", Words: Standard,
	Enforcement: twofactor.Optional, BackupUse: twofactor.Reissue, Recovery: twofactor.IdentityReview,
	At: time.Date(2026, time.March, 4, 14, 5, 30, 0, time.UTC), IP: "203.0.113.7", Reference: "R-7K4Q",
	Links: Links{
		Confirm: "https://app.acme.example/#/reset/identity/" + token,
		SignIn:  "https://app.acme.example/#/reset/sign_in/" + token,
		Cancel:  "https://app.acme.example/#/reset/cancel/" + token,
		Case:    "https://app.acme.example/#/reviews/" + token[:82],
	},
	TriesLeft:   2,
	ExpiresAt:   time.Date(2026, time.March, 5, 14, 5, 30, 0, time.UTC),
	EffectiveAt: time.Date(2026, time.March, 6, 9, 30, 0, 0, time.UTC),
	LockedUntil: time.Date(2026, time.March, 4, 14, 6, 30, 0, time.UTC),
}

// samples has every mail that differs by more than a name, a number or a time.
func samples() []sample {
	var all []sample
	add := func(kind Kind, variant string, change func(*Content)) {
		c := anyContent
		c.Kind = kind
		if change != nil {
			change(&c)
		}
		all = append(all, sample{strings.TrimSuffix(string(kind)+", "+variant, ", "), c})
	}
	previous := func(c *Content) { c.Previous, c.Links.Confirm, c.Links.SignIn = true, "", "" }
	required := func(c *Content) { c.Enforcement = twofactor.Required }
	noSupport := func(c *Content) { c.Support = "" }
	because := func(r Reason) func(*Content) { return func(c *Content) { c.Reason = r } }
	presets := func(kind Kind) {
		for _, w := range []Words{Mirox, Miaxdx, Midphase} {
			add(kind, string(w), func(c *Content) { c.Words = w })
		}
	}

	add(Enabled, "", nil)
	add(Enabled, "no support, no IP", func(c *Content) { c.Support, c.IP = "", "" })
	for _, w := range []Words{Mirox, Miaxdx, Midphase} {
		add(Enabled, "imported, "+string(w), func(c *Content) { c.Words, c.Reason, c.IP = w, Imported, "" })
	}
	add(Replaced, "", nil)
	add(ReplacementLapsed, "", nil)
	add(Disabled, "optional", nil)
	add(Disabled, "required", required)
	for _, use := range []twofactor.BackupUse{twofactor.Reissue, twofactor.Disable2FA, twofactor.RequireManualNew} {
		for _, w := range []Words{Mirox, Miaxdx, Midphase} {
			add(BackupCodeUsed, string(use)+", "+string(w), func(c *Content) { c.BackupUse, c.Words = use, w })
		}
	}
	presets(BackupCodeIssued)
	presets(BackupCodeRevoked)
	add(AddressChanged, "", nil)
	add(AddressChanged, "no support", noSupport)
	add(Locked, "", nil)
	add(Locked, "and over", func(c *Content) { c.LockedUntil = time.Time{} })
	add(Suspended, "identity review, miaxdx", func(c *Content) { c.Words = Miaxdx })
	add(Suspended, "admin only, mirox", func(c *Content) { c.Words, c.Recovery = Mirox, twofactor.AdminOnly })
	add(Suspended, "admin only, midphase, support by URL", func(c *Content) {
		c.Words, c.Recovery, c.Support = Midphase, twofactor.AdminOnly, "https://acme.example/help?topic=2fa&lang=any"
	})
	add(Suspended, "recovery off, no support", func(c *Content) { c.Recovery, c.Support = twofactor.RecoveryOff, "" })
	add(CodeReused, "", func(c *Content) { c.IP = "2001:db8:0:0:0:0:0:7" })
	add(CodeReused, "no IP", func(c *Content) { c.IP = "" })
	add(ResetRequested, "", nil)
	add(ResetRequested, "previous address", previous)
	add(IdentityFailed, "2 tries left", nil)
	add(IdentityFailed, "1 try left, no support", func(c *Content) { c.TriesLeft, c.Support = 1, "" })
	add(IdentityFailed, "previous address", previous)
	add(IdentityFailed, "none left", func(c *Content) { c.TriesLeft = 0 })
	add(IdentityFailed, "none left, no support", func(c *Content) { c.TriesLeft, c.Support = 0, "" })
	add(ResetInReview, "", nil)
	add(ReviewWaiting, "", nil)
	add(ReviewReminder, "", nil)
	add(ResetApproved, "", nil)
	add(ResetReady, "optional", nil)
	add(ResetReady, "required", required)
	add(ResetReady, "previous address", previous)
	for _, r := range []Reason{IdentityMismatch, DocumentUnreadable, SuspiciousRequest, NotAccountHolder, Other} {
		add(ResetDenied, string(r), because(r))
	}
	add(ResetDenied, "no support", func(c *Content) { c.Reason, c.Support = Other, "" })
	add(ResetCanceled, "by the user", nil)
	add(ResetCanceled, "proof of life", because(ProofOfLife))
	add(ResetCanceled, "by a reviewer", because(SuspiciousRequest))
	for _, s := range []twofactor.ResetState{twofactor.ResetIdentityPending, twofactor.ResetInReview, twofactor.ResetReady} {
		add(ResetExpired, string(s), because(Reason(s)))
	}
	add(ResetCompleted, "optional", nil)
	add(ResetCompleted, "required", required)
	return all
}

func render(t testing.TB, c Content) Message {
	t.Helper()
	m, err := Render(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestEnglish holds every mail to testdata/english.txt, where a person reads them. After a change of words:
// go test ./pkg/mail -run English -update
func TestEnglish(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, s := range samples() {
		m := render(t, s.Content)
		fmt.Fprintf(&got, "=== %s\nSubject: %s\n\n%s\n", s.name, m.Subject, strings.ReplaceAll(m.Text, token, "…"))
	}
	const file = "testdata/english.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestPages writes what a browser can show, when asked to:
// go test ./pkg/mail -run Pages -pages /tmp/mails
func TestPages(t *testing.T) {
	t.Parallel()
	if *pages == "" {
		return
	}
	var index strings.Builder
	index.WriteString("<!DOCTYPE html><meta charset=utf-8><meta name=color-scheme content='light dark'><title>Every mail</title>" +
		"<style>body{margin:8px;font:13px system-ui} figure{display:inline-block;margin:4px;vertical-align:top}" +
		"iframe{width:360px;height:720px;border:1px solid #888}</style>")
	for _, s := range samples() {
		for _, lang := range languages {
			c := s.Content
			c.Locale = lang
			m := render(t, c)
			name := strings.NewReplacer(", ", "-", " ", "_").Replace(s.name) + "." + lang + ".html"
			if err := os.WriteFile(filepath.Join(*pages, name), []byte(m.HTML), 0o600); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&index, "<figure><figcaption>%s, %s</figcaption><iframe src=\"%s\"></iframe></figure>\n",
				html.EscapeString(s.name), lang, name)
		}
	}
	if err := os.WriteFile(filepath.Join(*pages, "index.html"), []byte(index.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}
