package environment

import (
	"fmt"
	"maps"
	"net"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// reader takes settings, and notes what is wrong with them.
type reader struct {
	values map[string]string
	known  []string // the names that were asked for
	faults []error
}

func (r *reader) fault(name, format string, args ...any) {
	r.faults = append(r.faults, fmt.Errorf("%s: %s", name, fmt.Sprintf(format, args...)))
}

// need takes a setting that must be there.
func (r *reader) need(name, must string, ok func(string) bool) string {
	if strings.TrimSpace(r.values[name]) == "" {
		r.known = append(r.known, name)
		r.fault(name, "is missing, must be %s", must)
		return ""
	}
	return r.may(name, must, ok)
}

// may takes a setting that may be left out. What sam local has no value for, of Lambda's own, it sets to nothing.
func (r *reader) may(name, must string, ok func(string) bool) string {
	r.known = append(r.known, name)
	value, set := r.values[name]
	switch {
	case !set || value == "" && !strings.HasPrefix(name, prefix) || value != "" && ok(value):
	case strings.TrimSpace(value) == "":
		r.fault(name, "is empty, must be %s, or be left out", must)
	case strings.HasSuffix(name, "_SECRET") || strings.Contains(value, "@"): // it may be the secret itself, or a URL with a password
		r.fault(name, "must be %s", must)
	default:
		r.fault(name, "is %q, must be %s", value, must)
	}
	return value
}

// endpoint takes the URL of a service that is not AWS's own, for a laptop and for tests; nil if there is none.
func (r *reader) endpoint(name string) *string {
	value := r.may(name, "the URL of a service on this machine, such as http://127.0.0.1:8000", isURL)
	if value == "" {
		return nil
	}
	return &value
}

// policy takes the policy: the name of a preset, or settings in JSON.
func (r *reader) policy(name string) twofactor.Policy {
	value := r.need(name, "a preset ("+strings.Join(twofactor.Presets(), ", ")+") or settings in JSON", nonEmpty)
	if value == "" {
		return twofactor.Policy{}
	}
	read := twofactor.Preset
	if strings.HasPrefix(strings.TrimSpace(value), "{") {
		read = func(text string) (twofactor.Policy, error) { return twofactor.ParsePolicy([]byte(text)) }
	}
	policy, err := read(value)
	if err != nil {
		for line := range strings.Lines(err.Error()) { // one for each fault
			r.fault(name, "%s", strings.TrimSpace(line))
		}
	}
	return policy
}

// prefix is what all names begin with that are not AWS's.
const prefix = "NIGHTLATCH_"

// rest faults what has the prefix and was not asked for.
func (r *reader) rest() {
	for _, name := range slices.Sorted(maps.Keys(r.values)) {
		if strings.HasPrefix(name, prefix) && !slices.Contains(r.known, name) {
			r.fault(name, "there is no such setting")
		}
	}
}

func nonEmpty(s string) bool { return s != "" }

func isBool(s string) bool { return s == "true" || s == "false" }

func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// isText: a name with space at an end of it looks like another, and is not.
func isText(s string) bool { return isPrintable(s) && strings.TrimSpace(s) == s }

// isApp: apps split a label at its first colon, and the name stands in the QR code twice.
func isApp(s string) bool { return len(s) <= 64 && !strings.Contains(s, ":") && isText(s) }

// isTable follows DynamoDB's naming rules: 3 to 255 letters, digits, "_", "-" and ".".
func isTable(s string) bool {
	return len(s) >= 3 && len(s) <= 255 && isNamed(s, "_-.")
}

// isBucket follows S3's naming rules as far as a slip would break them.
func isBucket(s string) bool {
	return len(s) >= 3 && len(s) <= 63 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}

// isBus follows EventBridge's naming rules.
func isBus(s string) bool {
	return len(s) <= 256 && isNamed(s, "/_-.")
}

// isNamespace follows CloudWatch's naming rules. What begins with AWS/ is AWS's own.
func isNamespace(s string) bool {
	return len(s) <= 255 && !strings.HasPrefix(s, "AWS/") && isNamed(s, "._-/#:")
}

// isNamed says whether a name has only letters and digits of ASCII, and these marks.
func isNamed(s, marks string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune(marks, r) && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	})
}

func isKey(s, region string) bool { return isARN(s, "kms", region, "key/") }

func isARN(s, service, region, resource string) bool {
	a, err := arn.Parse(s)
	return err == nil && a.Service == service && (a.Region == region || region == "") && strings.HasPrefix(a.Resource, resource)
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") && u.User == nil
}

func isHTTPS(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && u.Fragment == ""
}

// isPersona: its key goes there, so nobody may listen on the way.
func isPersona(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" && u.Hostname() != "" || u.Scheme == "http" && ip != nil && ip.IsLoopback()
}

// isName follows Persona and SES: letters, digits, "_" and "-", and of SES at most 64.
func isName(s string) bool {
	return len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("_-", r) && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	})
}

// isWord: API Gateway separates the members of a list claim by spaces, and hosts may by commas.
func isWord(s string) bool { return isPrintable(s) && !strings.ContainsAny(s, " ,[]") }

// isAddress: SES takes ASCII only.
func isAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && isASCII(s)
}

// sender is an address with or without a name; none if it cannot be sent from.
func sender(s string) mail.Address {
	a, err := mail.ParseAddress(s)
	if err != nil || !isAddress(a.Address) || !isPrintable(a.Name) {
		return mail.Address{}
	}
	return *a
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

// isIssuer: hosts compare it as it is with the URL they know.
func isIssuer(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && u.RawQuery == "" && !u.ForceQuery &&
		u.Fragment == "" && !strings.HasSuffix(s, "/") && !strings.HasSuffix(s, "#")
}
