package mail

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// escaped is how a tag begins that holds something in base64url.
const escaped = "b64_"

// EncodeTag returns the value of a tag for an id. SES allows ASCII letters, digits, hyphens and underscores: an id of
// these stays as it is, any other is sent as base64url. Different ids have different tags.
func EncodeTag(id string) string {
	if isTag(id) && !strings.HasPrefix(id, escaped) {
		return id
	}
	return escaped + base64.RawURLEncoding.EncodeToString([]byte(id))
}

// DecodeTag returns the id that [EncodeTag] made a tag of.
func DecodeTag(value string) (id string, err error) {
	encoded, ok := strings.CutPrefix(value, escaped)
	if !ok {
		return value, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return "", fmt.Errorf("mail: tag: %w", err)
	}
	return string(raw), nil
}

// isTag says whether SES takes this as a tag's name or value.
func isTag(s string) bool {
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
		default:
			return false
		}
	}
	return s != "" && len(s) <= 256
}
