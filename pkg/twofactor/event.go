package twofactor

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Event is one thing that happened to an account, or that the host saw. Events of a transition are stored inside the
// account that it made and delivered by the stream; [HostSaw] events go straight to the history.
type Event struct {
	ID        string    `json:"id"` // unique for the user; sorts in the order of versions
	At        time.Time `json:"at"`
	Type      EventType `json:"type"`
	Outcome   Outcome   `json:"outcome"`
	Method    Method    `json:"method,omitempty"` // empty means none
	Actor     Actor     `json:"actor"`
	IP        string    `json:"ip,omitempty"`
	UserAgent string    `json:"ua,omitempty"` // at most 128 bytes; written by whoever called
	Operation Operation `json:"op,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	By        string    `json:"by,omitempty"`   // the operator or reviewer; not shown to the user
	Note      string    `json:"note,omitempty"` // a reviewer's; neither shown to the user nor mailed
}

// EventType is what happened. On the event bus every type but login and check means that it did happen.
type EventType string

// The event types of api.md.
const (
	EventLogin             EventType = "login"
	EventPasswordFailed    EventType = "password_failed"
	EventChallengeIssued   EventType = "challenge_issued"
	EventLocked            EventType = "locked"
	EventSuspended         EventType = "suspended"
	EventUnlocked          EventType = "unlocked"
	EventCodeReused        EventType = "code_reused"
	EventEnrollmentStarted EventType = "enrollment_started"
	EventEnabled           EventType = "enabled"
	EventReplaced          EventType = "replaced"
	EventReplacementLapsed EventType = "replacement_lapsed"
	EventDisabled          EventType = "disabled"
	EventBackupCodeIssued  EventType = "backup_code_issued"
	EventBackupCodeUsed    EventType = "backup_code_used"
	EventBackupCodeRevoked EventType = "backup_code_revoked"
	EventCheck             EventType = "check"
	EventCodeRefused       EventType = "code_refused"
	EventAddressChanged    EventType = "address_changed"
	EventPasswordChanged   EventType = "password_changed"
	EventResetRequested    EventType = "reset_requested"
	EventIdentityPassed    EventType = "identity_passed"
	EventIdentityFailed    EventType = "identity_failed"
	EventResetApproval     EventType = "reset_approval" // the first of two
	EventResetApproved     EventType = "reset_approved"
	EventResetReturned     EventType = "reset_returned"
	EventResetDenied       EventType = "reset_denied"
	EventResetCanceled     EventType = "reset_canceled"
	EventResetReady        EventType = "reset_ready"
	EventResetCompleted    EventType = "reset_completed"
	EventResetExpired      EventType = "reset_expired"
	EventCaseViewed        EventType = "case_viewed"
	EventMailRequested     EventType = "mail_requested" // a mail again, or a reminder; not in the history
	EventAdminRemoved      EventType = "admin_removed"
	EventGap               EventType = "gap" // in the history only: events before it were lost
	EventErased            EventType = "erased"
)

// Outcome is success or failure.
type Outcome string

// The two outcomes.
const (
	Succeeded Outcome = "success"
	Failed    Outcome = "failure"
)

// Method is the second factor that a sign-in used.
type Method string

// The methods of api.md. MethodNone is written as an empty method inside the account.
const (
	MethodNone       Method = "none"
	MethodTOTP       Method = "totp"
	MethodBackupCode Method = "backup_code"
	MethodResetLink  Method = "reset_link"
	MethodEnroll     Method = "enroll" // in the methods of a challenge only: set 2FA up first
)

// Actor is who did it.
type Actor string

// The actors of api.md.
const (
	ActorUser     Actor = "user"
	ActorHost     Actor = "host"
	ActorReviewer Actor = "reviewer"
	ActorOperator Actor = "operator"
	ActorSystem   Actor = "system"
)

// Operation is where a code was used, for events that do not say so by their type.
type Operation string

// The operations that take a code.
const (
	OpSignIn       Operation = "verify"
	OpCheck        Operation = "check"
	OpEnroll       Operation = "enroll"
	OpReplace      Operation = "replace"
	OpRotateBackup Operation = "backup_code"
	OpRevokeBackup Operation = "backup_code_revoke"
	OpDisable      Operation = "disable"
)

// OpImport takes no code: it says of [EventEnabled] that the authenticator came from another system.
const OpImport Operation = "import"

// maxUserAgent is how much of a user agent is kept, in bytes, so that an attacker cannot fill the item.
const maxUserAgent = 128

// maxNote is how much of any other text from outside is kept in an event, in bytes.
const maxNote = 256

// Request is what every decision knows of the call that asked for it.
type Request struct {
	// ID names the request: a retry carries the same one, and gets the same answer. It is a digest of the challenge
	// and the code, or of the Idempotency-Key with user, route and body; without either it is random. Backup codes are
	// derived from it.
	ID Digest
	// Key is a digest of the Idempotency-Key with user and route, but without the body; zero without a key.
	Key       Digest
	IP        string
	UserAgent string
}

// record adds an event to the transition. Its id follows from the version, so that it is the same however often it
// is delivered. It begins with a letter that no id of [Service.HostSaw] has: what the host saw in the same millisecond
// sorts before what followed from it. Its time is never before that of the events before, although this process's clock may
// be behind that of another: the history is in the order of versions, and an erasure comes after all that it erases.
func (a *Account) record(req Request, now time.Time, e Event) {
	e.ID = fmt.Sprintf("%s%02d", idPrefix(a.Version), len(a.Events))
	e.At = now
	if a.Past != nil && now.Before(a.Past.At) {
		e.At = a.Past.At
	}
	e.IP = cut(req.IP, maxNote)
	e.UserAgent = cut(req.UserAgent, maxUserAgent)
	e.Reason = cut(e.Reason, maxNote)
	e.By = cut(e.By, maxNote)
	e.Note = cut(e.Note, maxNote)
	if e.Outcome == "" {
		e.Outcome = Succeeded
	}
	if e.Actor == "" {
		e.Actor = ActorUser
	}
	a.Events = append(a.Events, e)
}

// cut shortens text to at most n bytes of valid UTF-8.
func cut(text string, n int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
