package api

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// ProblemContentType is the media type of every answer that is a [Problem] (RFC 9457 §3).
const ProblemContentType = "application/problem+json"

// problemTypes precedes the code, with hyphens, in the type of a problem.
const problemTypes = "https://nightlatch.dev/problems/"

// Code is what a program branches on. Codes are stable; titles and details are for people.
type Code string

// The codes, by status.
const (
	CodeInvalidRequest     Code = "invalid_request"
	CodeUnauthorized       Code = "unauthorized"
	CodeReauthenticate     Code = "reauthenticate"
	CodeChallengeExpired   Code = "challenge_expired"
	CodeForbidden          Code = "forbidden"
	CodePolicyForbids      Code = "policy_forbids"
	CodeNotFound           Code = "not_found"
	CodeNotEnabled         Code = "not_enabled"
	CodeAlreadyEnabled     Code = "already_enabled"
	CodeEnrollmentExpired  Code = "enrollment_expired"
	CodeEnrollmentReplaced Code = "enrollment_replaced"
	CodeNoBackupCode       Code = "no_backup_code"
	CodeConflict           Code = "conflict"
	CodeLinkExpired        Code = "link_expired"
	CodeGrantExpired       Code = "grant_expired"
	CodeTooLarge           Code = "too_large"
	CodeInvalidCode        Code = "invalid_code"
	CodeCodeReused         Code = "code_reused"
	CodeSuspended          Code = "suspended"
	CodeLocked             Code = "locked"
	CodeResetLimit         Code = "reset_limit"
	CodeInternal           Code = "internal"
	CodeUnavailable        Code = "unavailable"
)

// kind is what all problems of a code have in common.
type kind struct {
	code   Code
	status int
	title  string
	detail string // what to do, unless the caller knows better
}

// kinds has each code once, so that no code can have two statuses.
var kinds = []kind{
	{CodeInvalidRequest, http.StatusBadRequest, "The request is not understood",
		"Correct the request: its body, a field or a parameter is not as the API describes it."},
	{CodeUnauthorized, http.StatusUnauthorized, "You are not signed in",
		"Sign in, then send the request with the new session."},
	{CodeReauthenticate, http.StatusUnauthorized, "Please sign in again",
		"This needs a fresh sign-in. Enter the password again, then repeat the request."},
	{CodeChallengeExpired, http.StatusUnauthorized, "This sign-in is over",
		"It took too long or is already done. Start again with the password."},
	{CodeForbidden, http.StatusForbidden, "You may not do this",
		"Reviewers need the reviewer group and a second factor, and nobody decides on their own account."},
	{CodePolicyForbids, http.StatusForbidden, "Not allowed here",
		"The application's settings do not allow this. The member setting names the one that decides."},
	{CodeNotFound, http.StatusNotFound, "There is nothing here",
		"Check the method, the path and the id in it."},
	{CodeNotEnabled, http.StatusConflict, "Two-factor authentication is off",
		"Set up two-factor authentication first."},
	{CodeAlreadyEnabled, http.StatusConflict, "Two-factor authentication is already on",
		"To move to another phone, begin a replacement with a current code."},
	{CodeEnrollmentExpired, http.StatusConflict, "This set-up has expired",
		"It took too long, was discarded, or is done already. Look at the status; if nothing is on, start again."},
	{CodeEnrollmentReplaced, http.StatusConflict, "This set-up was replaced by another",
		"A newer set-up is under way. Finish that one, or start again."},
	{CodeNoBackupCode, http.StatusConflict, "There is no backup code",
		"Use a code from the authenticator app. A backup code can be created when signed in."},
	{CodeConflict, http.StatusConflict, "This has changed in the meantime",
		"Load the present state, then decide again."},
	{CodeLinkExpired, http.StatusGone, "This link no longer works",
		"It was used, replaced or is too old. Start again from the sign-in page."},
	{CodeGrantExpired, http.StatusGone, "This permission no longer works",
		"It was used, or is older than 15 minutes. Use a code from the authenticator app instead."},
	{CodeTooLarge, http.StatusRequestEntityTooLarge, "The request is too large",
		"Send a smaller body: at most 8 KB."},
	{CodeInvalidCode, http.StatusUnprocessableEntity, "This code is not right",
		"Check that it is the newest one, and that the phone sets its date and time by itself."},
	{CodeCodeReused, http.StatusUnprocessableEntity, "This code was already used",
		"Each code works once. Wait for the next one."},
	{CodeSuspended, http.StatusLocked, "App codes are switched off",
		"There were too many wrong codes in 30 days. Change the password, then use the backup code or recover the account."},
	{CodeLocked, http.StatusTooManyRequests, "Too many wrong codes",
		"No code is accepted for a while, not even a right one. Wait, then try again."},
	{CodeResetLimit, http.StatusTooManyRequests, "Too many resets",
		"There were too many resets lately. Wait, or write to support."},
	{CodeInternal, http.StatusInternalServerError, "Something went wrong here",
		"Try again later. If it stays, write to support and quote the request_id."},
	{CodeUnavailable, http.StatusServiceUnavailable, "Codes cannot be checked right now",
		"Nothing was decided. Send the same request again in a moment; it is safe."},
}

// Codes returns every code, by status. The slice is the caller's.
func Codes() []Code {
	codes := make([]Code, len(kinds))
	for i, k := range kinds {
		codes[i] = k.code
	}
	return codes
}

// Problem is an answer that says why not (RFC 9457). The members after Detail are absent where they mean nothing.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   Code   `json:"code"`
	Detail string `json:"detail"`

	AttemptsRemaining *int      `json:"attempts_remaining,omitempty"` // of invalid_code: before codes are refused for a while
	Reason            string    `json:"reason,omitempty"`             // of invalid_code: clock_skew
	DriftSeconds      int       `json:"drift_seconds,omitempty"`      // with clock_skew, never 0; negative: the phone is behind
	RetryAfter        int       `json:"retry_after,omitempty"`        // of code_reused: whole seconds until the next code, at least 1
	LockedUntil       time.Time `json:"locked_until,omitzero"`        // of locked
	MaxAge            int       `json:"max_age,omitempty"`            // of reauthenticate: seconds since the sign-in, at most
	Setting           string    `json:"setting,omitempty"`            // of policy_forbids: as the policy names it
	RequestID         string    `json:"request_id,omitempty"`         // of internal: names the log line
}

// NewProblem returns the problem of a code. An empty detail stands for the one that fits every problem of the code. A
// code that does not exist becomes internal.
func NewProblem(code Code, detail string) *Problem {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.code == code })
	if i < 0 {
		return NewProblem(CodeInternal, "")
	}
	k := kinds[i]
	if detail == "" {
		detail = k.detail
	}
	return &Problem{
		Type:  problemTypes + strings.ReplaceAll(string(code), "_", "-"),
		Title: k.title, Status: k.status, Code: code, Detail: detail,
	}
}

// Error is the code and the detail, for a log.
func (p *Problem) Error() string { return string(p.Code) + ": " + p.Detail }
