package identity

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	// ErrSignature: the webhook is not signed with any of the secrets.
	ErrSignature = errors.New("identity: webhook not signed by Persona")
	// ErrStale: the webhook was signed with one of the secrets, but not now.
	ErrStale = errors.New("identity: webhook too old")
)

const (
	// SignatureHeader is where Persona signs its webhooks.
	SignatureHeader = "Persona-Signature"

	maxAge        = 5 * time.Minute // either way: clocks differ
	maxSignatures = 4               // in a header; Persona sends two while a secret is replaced
	maxHeader     = 2 << 10         // bytes
)

// VerifyWebhook says whether Persona sent a webhook, by its header Persona-Signature and the bytes of its body as they came.
// The header is "t=<Unix time>,v1=<HMAC-SHA-256 of t, a dot and the body, in hex>". While the secret is replaced at Persona
// it has two of these, with a space between, and while it is replaced here there are two secrets: any may match. It must
// have been sent at most five minutes before now, or after it. (docs.withpersona.com/webhooks-best-practices)
//
// Within these five minutes the same webhook is good any number of times. Errors: ErrSignature, ErrStale.
func VerifyWebhook(header string, body []byte, secrets []string, now time.Time) error {
	if len(header) > maxHeader {
		return ErrSignature
	}
	sets := strings.Fields(header)
	stale := false
	for _, set := range sets[:min(len(sets), maxSignatures)] {
		at, sent, signatures, ok := parseSignatures(set)
		if !ok {
			continue
		}
		for _, secret := range secrets {
			if secret == "" {
				continue // everybody knows that one
			}
			want := sign(secret, at, body)
			if !slices.ContainsFunc(signatures, func(s []byte) bool { return hmac.Equal(s, want) }) {
				continue
			}
			if age := now.Sub(sent); -maxAge <= age && age <= maxAge {
				return nil
			}
			stale = true
		}
	}
	if stale {
		return ErrStale
	}
	return ErrSignature
}

// parseSignatures reads "t=…,v1=…". The time is signed as it is written, so it is returned like that, too. There may be more
// than one v1, and a v2 some day.
func parseSignatures(set string) (at string, sent time.Time, signatures [][]byte, ok bool) {
	for part := range strings.SplitSeq(set, ",") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "t":
			seconds, err := strconv.ParseUint(value, 10, 40)
			if err != nil || at != "" {
				return "", time.Time{}, nil, false
			}
			at, sent = value, time.Unix(int64(seconds), 0)
		case "v1":
			if signature, err := hex.DecodeString(value); err == nil {
				signatures = append(signatures, signature)
			}
		}
	}
	return at, sent, signatures, at != ""
}

func sign(secret, at string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(at + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// Sign returns the header Persona-Signature of a webhook that is sent at a time. The stand-in's are signed with it.
func Sign(secret string, body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(sign(secret, t, body))
}

// Hint is what a webhook says. None of it counts: webhooks come late, twice, in any order and never, and of what they say
// people could have chosen the reference. It tells where to look.
type Hint struct {
	InquiryID string // empty where the event is not about an inquiry
	Reference string // empty where the inquiry has none, or none that could be ours
	Event     string // as Persona names it: inquiry.approved
}

// ParseWebhook reads the body of a webhook, once it has been verified. An error means that it is none of Persona's, which
// sends them all in one form (docs.withpersona.com/webhooks); but for the names in it, which Persona writes as is set for the
// webhook at its console.
func ParseWebhook(body []byte) (Hint, error) {
	var told struct {
		Data struct {
			Type       string `json:"type"`
			Attributes struct {
				Name    string `json:"name"`
				Payload struct {
					Data resource `json:"data"`
				} `json:"payload"`
			} `json:"attributes"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &told); err != nil {
		return Hint{}, fmt.Errorf("identity: the webhook is not an event: %w", err)
	}
	event := told.Data.Attributes
	if told.Data.Type != "event" || event.Name == "" {
		return Hint{}, errors.New("identity: the webhook is not an event")
	}
	hint := Hint{Event: show(event.Name)}
	about := event.Payload.Data
	if about.Type != "inquiry" {
		return hint, nil
	}
	if !isIdentifier(about.ID) {
		return Hint{}, fmt.Errorf("identity: the webhook is about an inquiry with the id %q", show(about.ID))
	}
	hint.InquiryID = about.ID
	var is struct {
		Kebab string `json:"reference-id"`
		Snake string `json:"reference_id"`
		Camel string `json:"referenceId"`
	}
	if about.Attributes == nil {
		return hint, nil
	}
	if err := json.Unmarshal(about.Attributes, &is); err != nil {
		return Hint{}, fmt.Errorf("identity: the webhook is not an event: %w", err)
	}
	if reference := is.Kebab + is.Snake + is.Camel; isReference(reference) { // two of them are empty
		hint.Reference = reference
	}
	return hint, nil
}
