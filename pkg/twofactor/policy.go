package twofactor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/nightlatch/nightlatch/pkg/backupcode"
)

// Policy is what an application decides about its second factor. Start from a preset; the zero Policy is not valid.
type Policy struct {
	// Enforcement: optional, or required: turning 2FA off is refused, and a user without it enrols inside the sign-in.
	Enforcement Enforcement `json:"enforcement"`
	// BackupIssue: a first backup code is shown before the confirmation, or after it.
	BackupIssue BackupIssue `json:"backup_issue"`
	// BackupUse: what a backup sign-in does besides letting the user in.
	BackupUse BackupUse `json:"backup_use"`
	// BackupRotate: a new backup code replaces the old one, or the old one is revoked first.
	BackupRotate BackupRotate `json:"backup_rotate"`
	// BackupLength: characters of 5 bits each, 8 to 26.
	BackupLength int `json:"backup_length"`
	// Recovery: what helps who has neither authenticator nor backup code.
	Recovery Recovery `json:"recovery"`
	// ResetWait: between a reset's approval and its effect, 0 to 30 days.
	ResetWait Duration `json:"reset_wait"`
	// AddressHold: between a change of address and a reset's effect, 0 to 30 days.
	AddressHold Duration `json:"address_hold"`
	// Reviewers: how many must approve a reset, 1 or 2.
	Reviewers int `json:"reviewers"`
	// Skew: time steps each way in which a code is accepted, 1 or 0 (RFC 6238 §5.2).
	Skew int `json:"skew"`
	// MaxFailures: consecutive wrong codes before the first lock, 1 to 5.
	MaxFailures int `json:"max_failures"`
	// LockBase: the first lock, at least a minute. Each further failure doubles it.
	LockBase Duration `json:"lock_base"`
	// LockMax: the longest lock, at least an hour, at most 30 days.
	LockMax Duration `json:"lock_max"`
	// MonthlyFailures: wrong codes in 30 days that suspend the authenticator, 1 to 100.
	MonthlyFailures int `json:"monthly_failures"`
}

// The values of the policy's settings.
type (
	// Enforcement is whether every user must have 2FA.
	Enforcement string
	// BackupIssue is when the first backup code is shown.
	BackupIssue string
	// BackupUse is what a backup sign-in leads to.
	BackupUse string
	// BackupRotate is how a backup code is renewed.
	BackupRotate string
	// Recovery is what remains without authenticator and backup code.
	Recovery string
)

// The values of the policy's settings; the first of each is the default.
const (
	Optional Enforcement = "optional"
	Required Enforcement = "required"

	BeforeConfirm   BackupIssue = "before_confirm"
	AfterActivation BackupIssue = "after_activation"

	Reissue          BackupUse = "reissue"
	Disable2FA       BackupUse = "disable_2fa"
	RequireManualNew BackupUse = "require_manual_new"

	ReplaceCode      BackupRotate = "replace"
	RevokeThenCreate BackupRotate = "revoke_then_create"

	IdentityReview Recovery = "identity_review"
	AdminOnly      Recovery = "admin_only"
	RecoveryOff    Recovery = "off"
)

// The limits that no configuration can loosen.
const (
	maxHold            = 30 * 24 * time.Hour
	loosestFailures    = 5
	loosestMonthly     = 100
	shortestLock       = time.Minute
	shortestLongLock   = time.Hour
	longestAllowedLock = 30 * 24 * time.Hour
)

// Standard returns the default policy.
func Standard() Policy {
	return Policy{
		Enforcement: Optional, BackupIssue: BeforeConfirm, BackupUse: Reissue, BackupRotate: ReplaceCode,
		BackupLength: backupcode.StandardLength, Recovery: IdentityReview,
		ResetWait: Duration(24 * time.Hour), AddressHold: Duration(7 * 24 * time.Hour), Reviewers: 1, Skew: 1,
		MaxFailures: loosestFailures, LockBase: Duration(shortestLock), LockMax: Duration(shortestLongLock),
		MonthlyFailures: loosestMonthly,
	}
}

// Presets lists the names that Preset knows, the default first.
func Presets() []string { return []string{"standard", "mirox", "miaxdx", "midphase"} }

// Preset returns a named policy: standard, or one of the three of the help pages that the product honours.
func Preset(name string) (Policy, error) {
	p := Standard()
	switch name {
	case "standard":
	case "mirox":
		p.BackupUse, p.BackupLength, p.Recovery = Disable2FA, backupcode.ShortLength, AdminOnly
	case "miaxdx":
		p.Enforcement, p.ResetWait = Required, 0
	case "midphase":
		p.BackupIssue, p.BackupUse, p.BackupRotate = AfterActivation, RequireManualNew, RevokeThenCreate
		p.Recovery = AdminOnly
	default:
		return Policy{}, fmt.Errorf("policy: no preset %q: there are %s", name, strings.Join(Presets(), ", "))
	}
	return p, nil
}

// ParsePolicy reads a policy in JSON: settings on top of the preset named by "preset" (standard without one). Unknown
// settings and contradictions are refused.
func ParsePolicy(text []byte) (Policy, error) {
	var settings map[string]json.RawMessage
	var syntax *json.SyntaxError
	switch err := json.Unmarshal(text, &settings); {
	case errors.As(err, &syntax):
		return Policy{}, fmt.Errorf("policy: is not JSON: %w", err)
	case err != nil || settings == nil:
		return Policy{}, errors.New("policy: is not a JSON object")
	}
	if name := repeatedName(text); name != "" {
		return Policy{}, fmt.Errorf("policy: %s: is given twice", onOneLine(name))
	}
	preset := "standard"
	if named, ok := settings["preset"]; ok {
		if err := parseSetting(named, &preset); err != nil {
			return Policy{}, fmt.Errorf("policy: preset: %w", err)
		}
		delete(settings, "preset")
	}
	p, err := Preset(preset)
	if err != nil {
		return Policy{}, err
	}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if err := p.set(name, settings[name]); err != nil {
			problems = append(problems, fmt.Errorf("policy: %s: %w", onOneLine(name), err))
		}
	}
	if problems != nil {
		return Policy{}, errors.Join(problems...)
	}
	return p, p.Validate()
}

// repeatedName returns the first name that a JSON object without others in it gives twice, or nothing.
func repeatedName(object []byte) string {
	d, given := json.NewDecoder(bytes.NewReader(object)), map[string]bool{}
	_, _ = d.Token() // the brace; what is wrong with the text has been told
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return ""
		}
		if given[name] {
			return name
		}
		given[name] = true
		if _, err := d.Token(); err != nil {
			return ""
		}
	}
	return ""
}

// set reads one setting, by its name in JSON.
func (p *Policy) set(name string, value json.RawMessage) error {
	fields := reflect.ValueOf(p).Elem()
	for i := range fields.NumField() {
		if fields.Type().Field(i).Tag.Get("json") == name {
			return parseSetting(value, fields.Field(i).Addr().Interface())
		}
	}
	return errors.New("there is no such setting")
}

// parseSetting says what is wrong in the words of whoever wrote the policy, not in Go's.
func parseSetting(value json.RawMessage, into any) error {
	var mismatch *json.UnmarshalTypeError
	err := json.Unmarshal(value, into)
	isNull := err == nil && string(value) == "null" // which Unmarshal takes for nothing said
	if !isNull && !errors.As(err, &mismatch) {
		return err
	}
	must := "a whole number"
	switch want := reflect.TypeOf(into).Elem(); {
	case want == reflect.TypeFor[Duration]():
		must = `a duration such as "24h"`
	case want.Kind() == reflect.String:
		must = "a text"
	}
	return fmt.Errorf("is %s, must be %s", onOneLine(string(value)), must)
}

// onOneLine quotes what would break the line of the problem that names it.
func onOneLine(text string) string {
	if strings.ContainsFunc(text, unicode.IsControl) {
		return strconv.Quote(text)
	}
	return text
}

// Validate reports every setting that is out of its range, and every two that contradict each other, by name.
func (p Policy) Validate() error {
	var problems []error
	problem := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf("policy: "+format, args...))
		}
	}
	problem(!oneOf(p.Enforcement, Optional, Required), "enforcement is %q, must be optional or required", p.Enforcement)
	problem(!oneOf(p.BackupIssue, BeforeConfirm, AfterActivation),
		"backup_issue is %q, must be before_confirm or after_activation", p.BackupIssue)
	problem(!oneOf(p.BackupUse, Reissue, Disable2FA, RequireManualNew),
		"backup_use is %q, must be reissue, disable_2fa or require_manual_new", p.BackupUse)
	problem(!oneOf(p.BackupRotate, ReplaceCode, RevokeThenCreate),
		"backup_rotate is %q, must be replace or revoke_then_create", p.BackupRotate)
	problem(p.BackupLength < backupcode.MinLength || p.BackupLength > backupcode.MaxLength,
		"backup_length is %d, must be %d to %d", p.BackupLength, backupcode.MinLength, backupcode.MaxLength)
	problem(!oneOf(p.Recovery, IdentityReview, AdminOnly, RecoveryOff),
		"recovery is %q, must be identity_review, admin_only or off", p.Recovery)
	problem(p.ResetWait < 0 || p.ResetWait > Duration(maxHold), "reset_wait is %s, must be 0 to 720h", p.ResetWait)
	problem(p.AddressHold < 0 || p.AddressHold > Duration(maxHold), "address_hold is %s, must be 0 to 720h", p.AddressHold)
	problem(!oneOf(p.Reviewers, 1, 2), "reviewers is %d, must be 1 or 2", p.Reviewers)
	problem(!oneOf(p.Skew, 0, 1), "skew is %d, must be 0 or 1", p.Skew)
	problem(p.MaxFailures < 1 || p.MaxFailures > loosestFailures,
		"max_failures is %d, must be 1 to %d: it can only be tightened", p.MaxFailures, loosestFailures)
	problem(p.LockBase < Duration(shortestLock), "lock_base is %s, must be at least 1m: it can only be tightened", p.LockBase)
	problem(p.LockMax < Duration(shortestLongLock) || p.LockMax > Duration(longestAllowedLock),
		"lock_max is %s, must be 1h to 720h: it can only be tightened", p.LockMax)
	problem(p.MonthlyFailures < 1 || p.MonthlyFailures > loosestMonthly,
		"monthly_failures is %d, must be 1 to %d: it can only be tightened", p.MonthlyFailures, loosestMonthly)

	problem(p.Enforcement == Required && p.BackupUse == Disable2FA,
		"enforcement=required contradicts backup_use=disable_2fa: a backup sign-in would leave a password alone")
	problem(p.LockBase > p.LockMax, "lock_base=%s contradicts lock_max=%s: the first lock would be the longest",
		p.LockBase, p.LockMax)
	problem(p.MonthlyFailures < p.MaxFailures,
		"monthly_failures=%d contradicts max_failures=%d: codes would be suspended before the first lock",
		p.MonthlyFailures, p.MaxFailures)
	return errors.Join(problems...)
}

func oneOf[T comparable](v T, allowed ...T) bool { return slices.Contains(allowed, v) }

// Duration is a time.Duration that is written as "24h" or "1m30s" in JSON.
type Duration time.Duration

// String is the shortest form: "24h", not "24h0m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText writes the duration as String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "time: "))
	}
	*d = Duration(parsed)
	return nil
}
