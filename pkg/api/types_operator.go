package api

import "time"

// The payloads of functions that are invoked directly: by operators, who may, and by a schedule.

// KeysRequest is the payload of the function keys, when it is not a deployment that runs it.
type KeysRequest struct {
	Operation string   `json:"operation"`          // create, rotate or renew
	Purposes  []string `json:"purposes,omitempty"` // of a renewal: of which keysets
	Operator  string   `json:"operator,omitempty"` // of a renewal
	Reason    string   `json:"reason,omitempty"`   // of a renewal
}

// KeysResponse says what was done to which keyset, by its purpose: "added" a key, or "promoted" one. What is not in it needed
// nothing.
type KeysResponse struct {
	Done map[string]string `json:"done,omitempty"`
}

// AdminRequest is the payload of the admin function.
type AdminRequest struct {
	Operation string         `json:"operation"`         // unlock, remove_authenticator, export, erase, import, fence or replay
	User      string         `json:"user,omitempty"`    // but of a fence and of a replay, which are for all users
	DryRun    bool           `json:"dry_run,omitempty"` // of a replay: only say what there is
	Cursor    string         `json:"cursor,omitempty"`  // of an export or a replay: its next, for what follows
	Import    *ImportRequest `json:"import,omitempty"`  // of an import
	Operator  string         `json:"operator"`
	Reason    string         `json:"reason"`
}

// UnmarshalJSON is as strict as [Decode]: a misspelt member is an error, and not a default, since an authenticator with other
// parameters would lock its user out. What Lambda answers of the error has nothing of what was sent.
func (r *AdminRequest) UnmarshalJSON(payload []byte) error {
	type plain AdminRequest
	return decode(payload, (*plain)(r), true)
}

// ImportRequest is an authenticator as another system has it, in a key URI or in its parts, and who its user is.
type ImportRequest struct {
	OTPAuthURI  string `json:"otpauth_uri,omitempty"`
	Secret      string `json:"secret,omitempty"`       // base32, 128 to 512 bits
	Algorithm   string `json:"algorithm,omitempty"`    // SHA1, unless it is SHA256 or SHA512
	Digits      int    `json:"digits,omitempty"`       // 6, unless it is 8
	Period      int    `json:"period,omitempty"`       // 30, unless it is another from 15 to 120 seconds
	ActivatedAt string `json:"activated_at,omitempty"` // there; RFC 3339
	Email       string `json:"email,omitempty"`        // these three as of a challenge; what the host has told is not changed
	Label       string `json:"label,omitempty"`        // the account's name in the authenticator app; unless given, that of the URI
	Locale      string `json:"locale,omitempty"`
}

// AdminResponse is what the admin function answers: the user's status, all that is kept about the user, where the fence is, or
// what became of a replay.
type AdminResponse struct {
	*StatusResponse
	Export any             `json:"export,omitempty"` // a twofactor.Export
	Fence  *FenceResponse  `json:"fence,omitempty"`
	Replay *ReplayResponse `json:"replay,omitempty"`
}

// FenceResponse says where the fence is: what is older no longer counts.
type FenceResponse struct {
	At time.Time `json:"at"`
}

// ReplayResponse counts what was in the failure bucket, and what became of it.
type ReplayResponse struct {
	Objects     int `json:"objects"`     // that were read
	Unreadable  int `json:"unreadable"`  // of those, which hold no records of the stream
	Records     int `json:"records"`     // in the others, each counted once
	Undecodable int `json:"undecodable"` // of those, which this release does not understand
	Taken       int `json:"taken"`       // by notify; of a dry run, which would be handed to it
	Removed     int `json:"removed"`     // objects of which all was taken
	// Next is the cursor for the objects that were not read; "" if there are none.
	Next string `json:"next,omitempty"`
}
