// Package environment reads what a function is told when it starts: where its data is, under which policy it decides,
// and how the deployment calls itself. All functions are told the same.
//
// A setting that is missing, wrong or unknown ends the function before it has answered anyone: a misspelt name would
// otherwise be a default that nobody chose.
package environment

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Environment is what a function is made of. A main takes from it what its function needs.
type Environment struct {
	DynamoDB aws.Config // the function's own credentials and Region, for this service
	KMS      aws.Config // and for this one
	Tables   dynamostore.Tables
	KMSKey   string // ARN of the key that seals the keysets
	Policy   twofactor.Policy
	Settings handler.Settings
	Log      *slog.Logger
}

// Must returns the environment of this process. If anything is wrong with it, it says what, a line for each fault, and
// ends the process. What is logged by whoever has no logger of its own goes the way of the rest.
func Must() Environment {
	e, err := Read(os.Environ())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	slog.SetDefault(e.Log)
	return e
}

// Read reads an environment, each entry a "name=value" as [os.Environ] has them. A variable that is empty counts as not
// set. The error names every fault, a line for each, and never repeats a credential.
func Read(environ []string) (Environment, error) {
	r := reader{values: map[string]string{}}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		r.values[name] = value
	}
	e := Environment{Log: slog.New(slog.NewJSONHandler(os.Stderr, nil))}

	// What Lambda tells. The credentials are the role's, and live longer than the process. SDKs look for a config file
	// and other sources, too, which a function does not have.
	region := r.need("AWS_REGION", "a Region such as eu-central-1", nonEmpty)
	shared := aws.Config{Region: region, Credentials: credentials.NewStaticCredentialsProvider(
		r.need("AWS_ACCESS_KEY_ID", "an access key", nonEmpty),
		r.need("AWS_SECRET_ACCESS_KEY", "its secret", nonEmpty),
		r.values["AWS_SESSION_TOKEN"], // a role has one; the keys that a developer gives to sam local may have none
	)}
	e.DynamoDB, e.KMS = shared, shared
	e.DynamoDB.BaseEndpoint = r.endpoint("AWS_ENDPOINT_URL_DYNAMODB")
	e.KMS.BaseEndpoint = r.endpoint("AWS_ENDPOINT_URL_KMS")

	// What the deployment tells.
	e.Tables = dynamostore.Tables{
		Accounts: r.need("NIGHTLATCH_ACCOUNTS_TABLE", "the name of the accounts table", isTable),
		History:  r.need("NIGHTLATCH_HISTORY_TABLE", "the name of the history table", isTable),
		Config:   r.need("NIGHTLATCH_CONFIG_TABLE", "the name of the config table", isTable),
	}
	e.KMSKey = r.need("NIGHTLATCH_KMS_KEY", "the ARN of a KMS key in this Region, such as arn:aws:kms:eu-central-1:111122223333:key/…",
		func(s string) bool { return isKey(s, region) })
	e.Policy = r.policy("NIGHTLATCH_POLICY")
	e.Settings = handler.Settings{
		App:      r.need("NIGHTLATCH_APP", "the application's name in authenticator apps: at most 64 bytes, no colon", isApp),
		Support:  r.may("NIGHTLATCH_SUPPORT", "an address or URL for people who need help, on one line", isPrintable),
		Issuer:   r.need("NIGHTLATCH_ISSUER", "the https URL of the API without a slash at its end, such as https://2fa.example.com", isIssuer),
		Audience: r.need("NIGHTLATCH_AUDIENCE", "the name under which the host's back end expects assertions", isPrintable),
		Claims: handler.Claims{
			User:            r.may("NIGHTLATCH_CLAIM_USER", "the name of the claim with the user's id", isPrintable),
			AuthTime:        r.may("NIGHTLATCH_CLAIM_AUTH_TIME", "the name of the claim with the time of the sign-in", isPrintable),
			TokenUse:        r.may("NIGHTLATCH_CLAIM_TOKEN_USE", "what the claim token_use must be", isPrintable),
			AuthTimeFromIAT: r.may("NIGHTLATCH_AUTH_TIME_FROM_IAT", "true or false", isBool) == "true",
		},
	}
	r.rest("NIGHTLATCH_")
	if r.faults != nil {
		return Environment{}, errors.Join(r.faults...)
	}
	return e, nil
}

// reader takes settings, and notes what is wrong with them.
type reader struct {
	values map[string]string
	known  []string // the names that were asked for
	faults []error
}

func (r *reader) fault(name, format string, args ...any) {
	r.faults = append(r.faults, fmt.Errorf(name+": "+format, args...))
}

// need takes a setting that must be there.
func (r *reader) need(name, must string, ok func(string) bool) string {
	if r.values[name] == "" {
		r.known = append(r.known, name)
		r.fault(name, "is missing, must be %s", must)
		return ""
	}
	return r.may(name, must, ok)
}

// may takes a setting that may be left out.
func (r *reader) may(name, must string, ok func(string) bool) string {
	r.known = append(r.known, name)
	value := r.values[name]
	if value != "" && !ok(value) {
		r.fault(name, "is %q, must be %s", value, must)
	}
	return value
}

// endpoint takes the URL of a service that is not AWS's own, for a laptop and for tests; nil if there is none.
func (r *reader) endpoint(name string) *string {
	value := r.may(name, "the URL of a service on this machine, such as http://127.0.0.1:8000", func(s string) bool {
		u, err := url.Parse(s)
		return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
	})
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

// rest faults what has the prefix and was not asked for.
func (r *reader) rest(prefix string) {
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

// isApp: apps split a label at its first colon, and the name stands in the QR code twice.
func isApp(s string) bool { return len(s) <= 64 && !strings.Contains(s, ":") && isPrintable(s) }

// isTable follows DynamoDB's naming rules: 3 to 255 letters, digits, "_", "-" and ".".
func isTable(s string) bool {
	return len(s) >= 3 && len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("_-.", r) && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	})
}

func isKey(s, region string) bool {
	a, err := arn.Parse(s)
	return err == nil && a.Service == "kms" && (a.Region == region || region == "") && strings.HasPrefix(a.Resource, "key/")
}

// isIssuer: hosts compare it as it is with the URL they know.
func isIssuer(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && u.RawQuery == "" && !u.ForceQuery &&
		u.Fragment == "" && !strings.HasSuffix(s, "/") && !strings.HasSuffix(s, "#")
}
