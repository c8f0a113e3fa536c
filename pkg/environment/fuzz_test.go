package environment_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nightlatch/nightlatch/pkg/environment"
)

// FuzzRead: whatever one setting is, a fault names it, on a line of its own, and repeats no credential; and without a fault
// the policy holds.
func FuzzRead(f *testing.F) {
	names := slices.Sorted(maps.Keys(whole()))
	for i, name := range names {
		f.Add(uint8(i), whole()[name], "NIGHTLATCH_SURPRISE", "")
	}
	f.Add(uint8(0), "", "NIGHTLATCH_%s", "%d")
	f.Add(uint8(9), "{\"preset\":\"mirox\",\"skew\":9}", "AWS_SESSION_TOKEN", "\x00")
	f.Add(uint8(17), "https://user:password@persona.example", "=", "=")
	f.Fuzz(func(t *testing.T, which uint8, value, other, otherValue string) {
		settings := whole()
		name := names[int(which)%len(names)]
		settings[name] = value
		if _, known := settings[other]; !known && !strings.Contains(other, "=") {
			settings[other] = otherValue
		}
		e, err := environment.Read(environ(settings), all...)
		if err == nil {
			if err := e.Policy.Validate(); err != nil {
				t.Errorf("%s=%q: %v", name, value, err)
			}
			return
		}
		if unformatted.MatchString(err.Error()) && !unformatted.MatchString(value+other+otherValue) {
			t.Errorf("%s=%q, %q=%q: the fault is %v", name, value, other, otherValue, err)
		}
		if !strings.HasPrefix(err.Error(), name+": ") && !strings.HasPrefix(err.Error(), other+": ") && name != "AWS_REGION" {
			t.Errorf("%s=%q, %q=%q: the fault is of another: %v", name, value, other, otherValue, err)
		}
		told := strings.ReplaceAll(err.Error(), other, "")
		for _, secret := range []string{"s3cr3t", "t0k3n"} {
			if strings.Contains(told, secret) && !strings.Contains(value+otherValue, secret) {
				t.Errorf("the fault tells a credential: %v", err)
			}
		}
		// What has an @ may be a URL with a password, where it is not a policy, which has neither.
		hidden := name == "AWS_SECRET_ACCESS_KEY" || strings.Contains(value, "@") && name != "NIGHTLATCH_POLICY"
		if hidden && len(value) >= 12 && strings.Contains(strings.ReplaceAll(told, "Example <no-reply@example.com>", ""), value) {
			t.Errorf("the fault tells what %s is: %v", name, err)
		}
	})
}

// unformatted is what fmt makes of a format that is not one.
var unformatted = regexp.MustCompile(`%!`)
