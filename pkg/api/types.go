package api

import "time"

// The bodies of requests and responses, route by route, in the order of the API's description.

// EnrollRequest begins a first enrolment (empty), or a replacement with a code or a grant.
type EnrollRequest struct {
	Code  string `json:"code,omitempty"`
	Grant string `json:"grant,omitempty"`
}

// SetUpResponse is what an authenticator app needs. The secret is never shown again after the confirmation.
type SetUpResponse struct {
	EnrollmentID string    `json:"enrollment_id"`
	ManualSecret string    `json:"manual_secret"`
	OTPAuthURI   string    `json:"otpauth_uri"`
	QRSVG        string    `json:"qr_svg"`
	QRPNG        string    `json:"qr_png"` // a data: URI
	BackupCode   string    `json:"backup_code,omitempty"`
	ExpiresAt    time.Time `json:"expires_at"`
}

// ConfirmRequest is the first code of a new authenticator.
type ConfirmRequest struct {
	EnrollmentID string `json:"enrollment_id"`
	Code         string `json:"code"`
}

// ConfirmResponse says that the authenticator is in force.
type ConfirmResponse struct {
	State       string    `json:"state"`
	ActivatedAt time.Time `json:"activated_at"`
	BackupCode  string    `json:"backup_code,omitempty"`
}

// VerifyEnrollRequest begins a first enrolment inside a sign-in.
type VerifyEnrollRequest struct {
	Challenge string `json:"challenge"`
}

// VerifyEnrollConfirmRequest confirms it, which completes the sign-in.
type VerifyEnrollConfirmRequest struct {
	Challenge    string `json:"challenge"`
	EnrollmentID string `json:"enrollment_id"`
	Code         string `json:"code"`
}

// VerifyEnrollConfirmResponse is a ConfirmResponse with the assertion. A retry that comes after the assertion's end
// carries none.
type VerifyEnrollConfirmResponse struct {
	ConfirmResponse
	Assertion string     `json:"assertion,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// StatusResponse is how an account stands.
type StatusResponse struct {
	State       string           `json:"state"` // disabled, pending or enabled
	ActivatedAt *time.Time       `json:"activated_at,omitempty"`
	BackupCode  BackupCodeStatus `json:"backup_code"`
	Pending     *PendingStatus   `json:"pending"`
	LockedUntil *time.Time       `json:"locked_until"`
	Suspended   bool             `json:"suspended"`
	Reset       *ResetStatus     `json:"reset"`
	Policy      any              `json:"policy"` // the policy in force, durations as "24h"
}

// BackupCodeStatus says whether there is a backup code, never which.
type BackupCodeStatus struct {
	Present  bool       `json:"present"`
	IssuedAt *time.Time `json:"issued_at,omitempty"`
}

// PendingStatus is a set-up that has not been confirmed.
type PendingStatus struct {
	EnrollmentID string    `json:"enrollment_id"`
	Replacement  bool      `json:"replacement"`
	ExpiresAt    time.Time `json:"expires_at"`
}

// ResetStatus is a recovery as its user sees it.
type ResetStatus struct {
	ID          string     `json:"id"`
	Reference   string     `json:"reference"`
	State       string     `json:"state"`
	RequestedAt time.Time  `json:"requested_at"`
	EnteredAt   time.Time  `json:"entered_at"` // its present state
	EffectiveAt *time.Time `json:"effective_at,omitempty"`
	TriesLeft   int        `json:"tries_left"`
	ReasonCode  string     `json:"reason_code,omitempty"`
}

// CodeRequest carries an authenticator code: of check, disable, and the revocation of a backup code.
type CodeRequest struct {
	Code string `json:"code"`
}

// CheckResponse is the answer to a dry run. Of the optional members a valid code has spent and drift_seconds, another
// one reason, attempts_remaining and, with clock_skew, drift_seconds.
type CheckResponse struct {
	Valid             bool   `json:"valid"`
	Spent             *bool  `json:"spent,omitempty"`
	Reason            string `json:"reason,omitempty"`
	DriftSeconds      *int   `json:"drift_seconds,omitempty"` // negative: the phone is behind
	AttemptsRemaining *int   `json:"attempts_remaining,omitempty"`
}

// BackupCodeRequest asks for a new backup code with a code or a grant.
type BackupCodeRequest struct {
	Code  string `json:"code,omitempty"`
	Grant string `json:"grant,omitempty"`
}

// BackupCodeResponse is the new backup code, shown once.
type BackupCodeResponse struct {
	BackupCode string    `json:"backup_code"`
	IssuedAt   time.Time `json:"issued_at"`
}

// GrantResponse is the grant for the create that follows a revocation.
type GrantResponse struct {
	Grant string `json:"grant"`
}

// DisableResponse says that 2FA is off.
type DisableResponse struct {
	State string `json:"state"`
}

// HistoryResponse is a part of a user's history, newest first.
type HistoryResponse struct {
	Events []HistoryEvent `json:"events"`
	Next   *string        `json:"next"` // null: the end
}

// HistoryEvent is one thing that happened.
type HistoryEvent struct {
	ID        string    `json:"id"`
	At        time.Time `json:"at"`
	Type      string    `json:"type"`
	Outcome   string    `json:"outcome"`
	Method    string    `json:"method"`
	Actor     string    `json:"actor"`
	IP        string    `json:"ip"`
	UserAgent string    `json:"user_agent"`
	Operation string    `json:"operation,omitempty"`
	Reason    string    `json:"reason,omitempty"`
}

// ChallengeRequest is a host asking, after the password was right, whether a second factor is due.
type ChallengeRequest struct {
	UserID    string   `json:"user_id"`
	Email     string   `json:"email,omitempty"`
	Label     string   `json:"label,omitempty"`
	Locale    string   `json:"locale,omitempty"`
	AMR       []string `json:"amr,omitempty"`
	Nonce     string   `json:"nonce"`
	IP        string   `json:"ip,omitempty"`
	UserAgent string   `json:"user_agent,omitempty"`
	Expect    string   `json:"expect,omitempty"` // "enabled": what the host believes
	Subject   *Subject `json:"subject,omitempty"`
}

// Subject is what the host knows of the person.
type Subject struct {
	Name      string `json:"name,omitempty"`
	Birthdate string `json:"birthdate,omitempty"` // 1990-01-31
	Phone     string `json:"phone,omitempty"`
}

// ChallengeResponse says whether a second factor is due, and how to go on.
type ChallengeResponse struct {
	Required           bool         `json:"required"`
	EnrollmentRequired bool         `json:"enrollment_required,omitempty"`
	Methods            []string     `json:"methods"`
	Challenge          string       `json:"challenge,omitempty"`
	ExpiresAt          *time.Time   `json:"expires_at,omitempty"`
	LockedUntil        *time.Time   `json:"locked_until"`
	Suspended          bool         `json:"suspended"`
	App                string       `json:"app"`
	Account            string       `json:"account"`
	EmailHint          string       `json:"email_hint"`
	Policy             any          `json:"policy"`
	Recovery           string       `json:"recovery"`
	Support            string       `json:"support"`
	Reset              *ResetStatus `json:"reset"`
}

// HostEventRequest is what the host saw happen.
type HostEventRequest struct {
	Type      string `json:"type"` // login, password_failed, password_changed, address_changed or deleted
	Email     string `json:"email,omitempty"`
	IP        string `json:"ip,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
}

// VerifyRequest is the second factor of a sign-in.
type VerifyRequest struct {
	Challenge string `json:"challenge"`
	Method    string `json:"method"` // totp, backup_code or reset_link
	Code      string `json:"code"`
}

// VerifyResponse is the assertion for the host and what came with it. A retry that comes after the assertion's end
// carries none.
//
// After a mailed link, where 2FA is required, it is another challenge instead: the sign-in goes on into an enrolment.
type VerifyResponse struct {
	Assertion          string     `json:"assertion,omitempty"`
	EnrollmentRequired bool       `json:"enrollment_required,omitempty"`
	Challenge          string     `json:"challenge,omitempty"`
	ExpiresAt          *time.Time `json:"expires_at,omitempty"`
	State              string     `json:"state"`
	BackupCode         string     `json:"backup_code,omitempty"`
	Grant              string     `json:"grant,omitempty"`
}
