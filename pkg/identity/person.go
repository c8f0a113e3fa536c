package identity

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Person is who somebody has shown to be: what Persona read from the identity documents that it accepted, and the phone
// number to which it sent a code. What people typed about themselves is not in it: an inquiry's fields are theirs to write
// (docs.withpersona.com/inquiry-fields), and do not prove a thing.
//
// A member is empty where nothing was accepted that shows it. Where an inquiry has accepted documents that contradict one
// another, it has every reading, the latest first, with " / " between. All of it is for people to read: printable, on one
// line, at most 256 bytes.
type Person struct {
	Name      string `json:"name,omitempty"`
	Birthdate string `json:"birthdate,omitempty"` // as Persona writes it: 1990-01-31
	Phone     string `json:"phone,omitempty"`
	Address   string `json:"address,omitempty"`
}

// maxShown bounds what a reviewer is shown of one thing, in bytes.
const maxShown = 256

// accepted is the status of a verification that Persona accepted.
const accepted = "passed"

// The verifications that show something of a person, and what Fetch asks of the commonest: no photographs, no document
// numbers. docs.withpersona.com/api-reference/verifications.
const (
	governmentID    = "verification/government-id"
	governmentIDNFC = "verification/government-id-nfc"
	phoneNumber     = "verification/phone-number"

	ofInquiry  = "status,reference-id,created-at,completed-at,decisioned-at"
	ofDocument = "status,completed-at," + ofName + ",birthdate," + ofAddress
	ofName     = "name-first,name-middle,name-last"
	ofAddress  = "address-street-1,address-street-2,address-city,address-subdivision,address-postal-code,address-country-code"
)

// resource is an object of JSON:API, in which Persona writes everything.
type resource struct {
	Type       string          `json:"type"`
	ID         string          `json:"id"`
	Attributes json.RawMessage `json:"attributes"`
}

// readInquiry reads the answer of Retrieve an Inquiry.
func readInquiry(answer []byte) (Inquiry, error) {
	var told struct {
		Data     resource   `json:"data"`
		Included []resource `json:"included"`
	}
	if err := json.Unmarshal(answer, &told); err != nil {
		return Inquiry{}, noInquiry(err)
	}
	if told.Data.Type != "inquiry" {
		return Inquiry{}, fmt.Errorf("the answer is not an inquiry: its type is %q", show(told.Data.Type))
	}
	var is struct {
		Status       string    `json:"status"`
		Reference    string    `json:"reference-id"`
		CreatedAt    time.Time `json:"created-at"`
		CompletedAt  time.Time `json:"completed-at"`
		DecisionedAt time.Time `json:"decisioned-at"`
	}
	if err := json.Unmarshal(told.Data.Attributes, &is); err != nil {
		return Inquiry{}, noInquiry(err)
	}
	status := Status(strings.ReplaceAll(is.Status, "-", "_")) // the documentation has needs_review and needs-review
	if _, known := outcomes[status]; !known {
		return Inquiry{}, fmt.Errorf("the inquiry has the status %q, which we do not know", show(is.Status))
	}
	return Inquiry{
		ID: told.Data.ID, Reference: is.Reference, Status: status, Person: readPerson(told.Included),
		CreatedAt: is.CreatedAt, CompletedAt: is.CompletedAt, DecisionedAt: is.DecisionedAt,
	}, nil
}

// noInquiry is the error of an answer that cannot be read. What is wrong with it may quote it.
func noInquiry(err error) error {
	return fmt.Errorf("the answer is not an inquiry: %s", show(err.Error()))
}

// verification is what one of them says: strings, by name.
type verification map[string]string

// readPerson gathers what the accepted verifications say.
func readPerson(included []resource) Person {
	var documents, phones []verification
	for _, r := range included {
		switch v := readVerification(r); {
		case v["status"] != accepted:
		case r.Type == governmentID, r.Type == governmentIDNFC:
			documents = append(documents, v)
		case r.Type == phoneNumber:
			phones = append(phones, v)
		}
	}
	return Person{
		Name:      readings(documents, " ", ofName),
		Birthdate: readings(documents, "", "birthdate"),
		Address:   readings(documents, ", ", ofAddress),
		Phone:     readings(phones, "", "phone-number"),
	}
}

// readVerification takes what is a string. Anything else it may have says nothing of the person, and null says nothing.
func readVerification(r resource) verification {
	var attributes map[string]any
	if json.Unmarshal(r.Attributes, &attributes) != nil {
		return nil
	}
	v := verification{}
	for name, value := range attributes {
		if s, ok := value.(string); ok {
			v[name] = s
		}
	}
	return v
}

// readings are the different things that verifications say where they are asked for some names: the latest first.
func readings(all []verification, between, names string) string {
	slices.SortStableFunc(all, func(a, b verification) int { return -cmp.Compare(a["completed-at"], b["completed-at"]) })
	var found []string
	for _, v := range all {
		var parts []string
		for name := range strings.SplitSeq(names, ",") {
			if part := show(v[name]); part != "" {
				parts = append(parts, part)
			}
		}
		if reading := strings.Join(parts, between); reading != "" && !slices.Contains(found, reading) {
			found = append(found, reading)
		}
	}
	return show(strings.Join(found, " / "))
}

// show makes text of others fit to be read, in a page or in a log: one line, no control or formatting characters (some
// turn the direction of what follows), and bounded. What was cut ends in "…".
func show(s string) string {
	if len(s) > 4*maxShown {
		s = s[:4*maxShown] // the rest could only be cut
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= maxShown {
		return s
	}
	const cut = "…"
	end := maxShown - len(cut)
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + cut
}
