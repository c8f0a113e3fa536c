package api

import "time"

// The bodies of the recovery: of its user, of mailed links, of reviewers.

// ResetRequest asks for a recovery at a sign-in.
type ResetRequest struct {
	Challenge string `json:"challenge"`
}

// ResetResponse says that a recovery is open: the same whether or not a mail can be delivered.
type ResetResponse struct {
	ID        string `json:"id"`
	Reference string `json:"reference"`
	State     string `json:"state"`
	EmailHint string `json:"email_hint"`
}

// LinkRequest carries the token of a mailed link.
type LinkRequest struct {
	Token string `json:"token"`
}

// LinkResponse is what a mailed link is about.
type LinkResponse struct {
	Purpose     string    `json:"purpose"` // identity, cancel or sign_in
	Reference   string    `json:"reference"`
	State       string    `json:"state"`
	RequestedAt time.Time `json:"requested_at"`
	IP          string    `json:"ip"`
	TriesLeft   int       `json:"tries_left"` // of the identity check
}

// IdentityResponse is where the identity check goes on.
type IdentityResponse struct {
	URL string `json:"url"`
}

// ResetStateResponse is the state that a reset is in now.
type ResetStateResponse struct {
	State string `json:"state"`
}

// ReviewsResponse is a part of the queue, longest waiting first.
type ReviewsResponse struct {
	Cases []CaseSummary `json:"cases"`
	Next  *string       `json:"next"` // null: the end
}

// CaseSummary is a case as the queue shows it: nothing about the person.
type CaseSummary struct {
	ID        string    `json:"id"`
	Reference string    `json:"reference"`
	State     string    `json:"state"`
	EnteredAt time.Time `json:"entered_at"`
	DueAt     time.Time `json:"due_at"` // when it takes effect, or expires
	Approvals int       `json:"approvals"`
	Bounced   bool      `json:"bounced"`
}

// CaseResponse is all that a reviewer decides on.
type CaseResponse struct {
	ID              string          `json:"id"`
	Reference       string          `json:"reference"`
	State           string          `json:"state"`
	CaseVersion     int64           `json:"case_version"`
	RequestedAt     time.Time       `json:"requested_at"`
	Request         CaseOrigin      `json:"request"`
	Identity        []IdentityField `json:"identity"`
	InquiryURL      string          `json:"inquiry_url"`
	Effect          *CaseEffect     `json:"effect"`         // null: the case is closed
	RecentChanges   []HistoryEvent  `json:"recent_changes"` // of the last seven days
	History         []HistoryEvent  `json:"history"`
	EarlierResets   []HistoryEvent  `json:"earlier_resets"` // how they ended
	Approvals       []CaseApproval  `json:"approvals"`
	ApprovalsNeeded int             `json:"approvals_needed"`
	Bounced         bool            `json:"bounced"`
}

// CaseOrigin is where a reset was asked for.
type CaseOrigin struct {
	IP                string `json:"ip"`
	UserAgent         string `json:"user_agent"` // written by whoever asked
	NetworkSeenBefore bool   `json:"network_seen_before"`
}

// IdentityField is what is on file beside what was read from the ID.
type IdentityField struct {
	Field    string  `json:"field"` // name, birthdate, phone or address
	OnFile   *string `json:"on_file"`
	Verified *string `json:"verified"`
	Result   string  `json:"result"` // match, differs or not_on_file
}

// CaseEffect is what an approval does, and when.
type CaseEffect struct {
	What        string    `json:"what"`        // for people, in English
	Enforcement string    `json:"enforcement"` // for programs: what follows from it, in other languages
	EarliestAt  time.Time `json:"earliest_at"`
}

// CaseApproval is one reviewer's consent.
type CaseApproval struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// DecisionRequest is a reviewer's decision on a case as it was shown.
type DecisionRequest struct {
	Decision        string `json:"decision"` // approve, deny, stop or retry_identity
	CaseVersion     int64  `json:"case_version"`
	IdentityMatches bool   `json:"identity_matches,omitempty"`
	ReasonCode      string `json:"reason_code,omitempty"`
	Note            string `json:"note,omitempty"`
}

// DecisionResponse is where the case stands now.
type DecisionResponse struct {
	State     string `json:"state"`
	Approvals int    `json:"approvals"`
}
