package api

// The payloads of functions that are invoked directly: by operators, who may, and by a schedule. AdminRequest is in types.go.

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
