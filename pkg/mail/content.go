// Package mail says in a mail what happened to an account, and sends it.
//
// A [Content] holds all that a mail can say. [Render] makes a [Message] of it, in one of five languages, as plain text and
// HTML. What the mails say is in locales/, one file a language; kinds.go says which sentences make up which mail. There is
// nothing to fill in by hand: a sentence names what it needs, such as {locked_until}, and a mail that lacks it is an
// error, never a mail with a hole in it.
//
// A mail holds no code and no secret, no remote image and nothing that tells whether it was read. Its links are those of
// the Content.
package mail

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// ErrContent is the error of a [Content] that makes no mail. Trying again does not help.
var ErrContent = errors.New("mail: content")

// Content is all that a mail can say. Which of the fields a kind needs is in kinds.go and in the sentences; what it does
// not need is not said.
type Content struct {
	Kind   Kind
	Locale string // BCP 47, such as "de-AT"; a language that there is not becomes English

	App     string // the application's name
	Support string // an address or a URL; may be empty
	Words   Words  // what the backup code is called

	// What follows for the user depends on these in some mails.
	Enforcement twofactor.Enforcement
	BackupUse   twofactor.BackupUse
	Recovery    twofactor.Recovery

	// Previous: the mail is for the address before a change. Links that let someone in are refused in it.
	Previous bool

	At time.Time // when it happened
	IP string    // from where, if it was the user; what is no IP address is not said

	Reference   string    // of a reset, such as "R-7K4Q"
	Links       Links     // https, or http on this machine
	TriesLeft   int       // identity checks
	Reason      Reason    // of a denial, a cancellation or an expiry; of 2FA that is on, if it was imported
	EffectiveAt time.Time // when an approved reset becomes ready
	ExpiresAt   time.Time // when the link that lets someone in stops working
	LockedUntil time.Time
}

// Links are where a mail's buttons lead.
type Links struct {
	Confirm string // to the identity check
	SignIn  string // to the sign-in, as its second factor
	Cancel  string // cancels the reset
	Case    string // to the review console
}

// Words are what an application calls its backup code: those of a preset.
type Words string

// The words of each preset. Standard has Mirox's.
const (
	Standard Words = "standard" // backup code
	Mirox    Words = "mirox"    // backup code
	Miaxdx   Words = "miaxdx"   // backup key
	Midphase Words = "midphase" // Recovery Token
)

// noun is how the sentences about a backup code that goes by these words end their keys.
func (w Words) noun() (string, bool) {
	switch w {
	case Standard, Mirox:
		return "backup_code", true
	case Miaxdx:
		return "backup_key", true
	case Midphase:
		return "recovery_token", true
	}
	return "", false
}

// Reason is why a reset ended. A denial has one of a reviewer's, a cancellation one of these or none, when the user
// canceled it. The reason of an expiry is the [twofactor.ResetState] in which the time ran out.
type Reason string

const (
	// A reviewer's, the reason codes of the API.
	IdentityMismatch   Reason = "identity_mismatch"
	DocumentUnreadable Reason = "document_unreadable"
	SuspiciousRequest  Reason = "suspicious_request"
	NotAccountHolder   Reason = "not_account_holder"
	Other              Reason = "other"

	// A code was accepted, so that nobody needs the reset.
	ProofOfLife Reason = "proof_of_life"

	// The authenticator came from another system.
	Imported Reason = "import"
)

// check returns what is wrong with the Content, whatever its kind.
func (c Content) check() error {
	if clean(c.App) == "" {
		return fmt.Errorf("%w: %s: no application name", ErrContent, c.Kind)
	}
	if _, ok := c.Words.noun(); !ok {
		return fmt.Errorf("%w: %s: no words %q", ErrContent, c.Kind, c.Words)
	}
	if _, err := supportLink(c.Support); err != nil {
		return fmt.Errorf("%w: %s: support: %w", ErrContent, c.Kind, err)
	}
	for name, link := range map[string]string{
		"confirm": c.Links.Confirm, "sign-in": c.Links.SignIn, "cancel": c.Links.Cancel, "case": c.Links.Case,
	} {
		if err := checkLink(link); link != "" && err != nil {
			return fmt.Errorf("%w: %s: %s link: %w", ErrContent, c.Kind, name, err)
		}
	}
	if c.Previous && (c.Links.Confirm != "" || c.Links.SignIn != "") {
		return fmt.Errorf("%w: %s: a link that lets someone in is not for the previous address", ErrContent, c.Kind)
	}
	if !isReference(c.Reference) {
		return fmt.Errorf("%w: %s: not a reference: %q", ErrContent, c.Kind, c.Reference)
	}
	return nil
}

// isReference keeps anything but a short code out of subjects. A mail may have none.
func isReference(s string) bool {
	if s == "" {
		return true
	}
	code, ok := strings.CutPrefix(s, "R-")
	return ok && code != "" && len(code) <= 16 && strings.Trim(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// checkLink returns nil for what may be behind a button: https, or http to this machine. The error does not repeat the
// link, which may let someone in.
func checkLink(link string) error {
	for _, r := range link {
		if r <= ' ' || r > '~' || strings.ContainsRune("\"'<>\\^`{|}", r) {
			return errors.New("has a character that is none of a URL's")
		}
	}
	u, err := url.Parse(link)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil:
		return errors.New("is not a web address")
	case u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return errors.New("is not https")
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// supportLink returns where support is reached, or nothing.
func supportLink(support string) (string, error) {
	switch {
	case support == "":
		return "", nil
	case strings.Contains(support, "@") && !strings.Contains(support, "/"):
		return "mailto:" + url.PathEscape(support), checkAddress(support)
	}
	return support, checkLink(support)
}

// address returns the IP address as text, or nothing: what the host or an attacker wrote in its place is not repeated.
func address(ip string) string {
	a, err := netip.ParseAddr(strings.TrimSpace(ip))
	if err != nil {
		return ""
	}
	return a.Unmap().WithZone("").String()
}

// clean returns text on one line, without characters that are not seen or that turn what is around them.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsGraphic(r): // controls, and formats such as those of text from right to left
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	return strings.Join(strings.Fields(text), " ")
}
