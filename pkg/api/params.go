package api

import (
	"encoding/base64"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxUserID is the longest user id in bytes.
const maxUserID = 128

// PathUser returns a user id as a client puts it in a path, percent-encoded. An id that would not survive the decoding
// which HTTP APIs do before they route (one that contains / ? # % or \, is . or .., or begins with =) is sent as = and
// the base64url of its bytes without padding (RFC 4648 §5); so is the empty one, which the service then refuses instead
// of taking the path for another.
func PathUser(user string) string {
	if user == "" || !plainInPath(user) {
		return "=" + base64.RawURLEncoding.EncodeToString([]byte(user))
	}
	return url.PathEscape(user)
}

// ParsePathUser returns the user id of a path segment that has been percent-decoded, as API Gateway delivers it in
// pathParameters. The error is a *[Problem] invalid_request.
func ParsePathUser(segment string) (string, error) {
	user := segment
	if encoded, ok := strings.CutPrefix(segment, "="); ok {
		decoded, err := base64.RawURLEncoding.DecodeString(encoded)
		if err != nil || base64.RawURLEncoding.EncodeToString(decoded) != encoded { // one spelling: no line breaks, no bits left over
			return "", invalid("user", "after = must come base64url without padding")
		}
		user = string(decoded)
	} else if !plainInPath(segment) {
		return "", invalid("user", `an id with / ? # % or \ in it must be sent as = and its base64url`)
	}
	if !validUser(user) {
		return "", invalid("user", "must be 1 to 128 bytes of printable UTF-8")
	}
	return user, nil
}

func plainInPath(user string) bool {
	return !strings.ContainsAny(user, `/?#%\`) && user != "." && user != ".." && !strings.HasPrefix(user, "=")
}

func validUser(user string) bool {
	notPrintable := func(r rune) bool { return !unicode.IsPrint(r) }
	return user != "" && len(user) <= maxUserID && utf8.ValidString(user) && !strings.ContainsFunc(user, notPrintable)
}

// CheckIdempotencyKey says whether the value of an Idempotency-Key header can be one: 16 to 64 printable ASCII
// characters. Call it when the header is present. The error is a *[Problem] invalid_request.
func CheckIdempotencyKey(key string) error {
	notPrintable := func(r rune) bool { return r < ' ' || r > '~' }
	if len(key) < 16 || len(key) > 64 || strings.ContainsFunc(key, notPrintable) {
		return invalid("idempotency-key", "must be 16 to 64 printable ASCII characters")
	}
	return nil
}

// invalid is the problem of a request in which one thing is wrong. It names the thing and never tells its value.
func invalid(name, must string) *Problem { return NewProblem(CodeInvalidRequest, name+": "+must) }
