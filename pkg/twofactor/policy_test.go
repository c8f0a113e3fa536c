package twofactor

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPresets(t *testing.T) {
	t.Parallel()
	day, hour := Duration(24*time.Hour), Duration(time.Hour)
	standard := Policy{
		"optional", "before_confirm", "reissue", "replace", 13, "identity_review", day, 7 * day, 1, 1, 5, Duration(time.Minute), hour, 100,
	}
	mirox, miaxdx, midphase := standard, standard, standard
	mirox.BackupUse, mirox.BackupLength, mirox.Recovery = "disable_2fa", 8, "admin_only"
	miaxdx.Enforcement, miaxdx.ResetWait = "required", 0
	midphase.BackupIssue, midphase.BackupUse, midphase.BackupRotate = "after_activation", "require_manual_new", "revoke_then_create"
	midphase.Recovery = "admin_only"
	wants := map[string]Policy{"standard": standard, "mirox": mirox, "miaxdx": miaxdx, "midphase": midphase}
	if len(Presets()) != len(wants) || Presets()[0] != "standard" {
		t.Errorf("presets %v", Presets())
	}
	for _, name := range Presets() {
		got, err := Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wants[name], got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParsePolicy(text); err != nil || again != got {
			t.Errorf("%s: written and read: %+v, %v", name, again, err)
		}
	}
	if _, err := Preset("mirrox"); err == nil || !strings.Contains(err.Error(), "mirrox") || !strings.Contains(err.Error(), "midphase") {
		t.Errorf("no preset: %v", err)
	}
}

// TestPolicyLimits: every setting out of its range is refused by its name; the limits can be tightened and never switched off.
func TestPolicyLimits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		setting   string
		good, bad []string
	}{
		{"enforcement", []string{`"optional"`, `"required"`}, []string{`""`, `"Required"`, `"off"`}},
		{"backup_issue", []string{`"before_confirm"`, `"after_activation"`}, []string{`""`, `"never"`}},
		{"backup_use", []string{`"reissue"`, `"disable_2fa"`, `"require_manual_new"`}, []string{`""`, `"disable"`}},
		{"backup_rotate", []string{`"replace"`, `"revoke_then_create"`}, []string{`""`, `"none"`}},
		{"backup_length", []string{`8`, `13`, `26`}, []string{`7`, `27`, `0`, `-1`}},
		{"recovery", []string{`"identity_review"`, `"admin_only"`, `"off"`}, []string{`""`, `"sms"`}},
		{"reset_wait", []string{`"0s"`, `"720h"`}, []string{`"-1s"`, `"720h0m1s"`}},
		{"address_hold", []string{`"0s"`, `"720h"`}, []string{`"-1s"`, `"720h0m1s"`}},
		{"reviewers", []string{`1`, `2`}, []string{`0`, `3`}},
		{"skew", []string{`0`, `1`}, []string{`-1`, `2`}},
		{"max_failures", []string{`1`, `5`}, []string{`0`, `6`}},
		{"lock_base", []string{`"1m"`, `"1h"`}, []string{`"59s"`, `"0s"`, `"-1m"`}},
		{"lock_max", []string{`"1h"`, `"720h"`}, []string{`"59m"`, `"721h"`, `"0s"`}},
		{"monthly_failures", []string{`5`, `100`}, []string{`0`, `101`}},
	}
	for _, test := range tests {
		for _, value := range test.good {
			if _, err := ParsePolicy([]byte(`{"` + test.setting + `":` + value + `}`)); err != nil {
				t.Errorf("%s=%s: %v", test.setting, value, err)
			}
		}
		for _, value := range test.bad {
			_, err := ParsePolicy([]byte(`{"` + test.setting + `":` + value + `}`))
			if err == nil || !strings.Contains(err.Error(), "policy: "+test.setting+" is ") && !strings.Contains(err.Error(), test.setting+"=") {
				t.Errorf("%s=%s: got %v, want an error that names it", test.setting, value, err)
			}
		}
	}
	err := Policy{}.Validate()
	for _, test := range tests {
		switch test.setting {
		case "reset_wait", "address_hold", "skew": // zero is in their range
		default:
			if !strings.Contains(err.Error(), "policy: "+test.setting+" is ") {
				t.Errorf("the zero policy: %s is not named", test.setting)
			}
		}
	}
}

// TestPolicyContradictions are refused with a message that names both settings.
func TestPolicyContradictions(t *testing.T) {
	t.Parallel()
	for text, names := range map[string][]string{
		`{"enforcement":"required","backup_use":"disable_2fa"}`: {"enforcement=required", "backup_use=disable_2fa"},
		`{"preset":"mirox","enforcement":"required"}`:           {"enforcement=required", "backup_use=disable_2fa"},
		`{"lock_base":"2h"}`:                                    {"lock_base=2h", "lock_max=1h"},
		`{"lock_base":"24h1m","lock_max":"24h"}`:                {"lock_base=24h1m", "lock_max=24h"},
		`{"monthly_failures":4}`:                                {"monthly_failures=4", "max_failures=5"},
	} {
		_, err := ParsePolicy([]byte(text))
		for _, name := range names {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: got %v, want an error that names %s", text, err, name)
			}
		}
	}
}

func TestParsePolicy(t *testing.T) {
	t.Parallel()
	if got, err := ParsePolicy([]byte(`{}`)); err != nil || got != Standard() {
		t.Errorf("{}: %+v, %v", got, err)
	}
	got, err := ParsePolicy([]byte(`{"preset":"midphase","reset_wait":"36h","skew":0}`))
	want, _ := Preset("midphase")
	want.ResetWait, want.Skew = Duration(36*time.Hour), 0
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	const noObject = "policy: is not a JSON object"
	for bad, want := range map[string]string{
		``:                        "policy: is not JSON: unexpected end of JSON input",
		`{} {}`:                   "policy: is not JSON: invalid character '{' after top-level value",
		`{}x`:                     "policy: is not JSON: invalid character 'x' after top-level value",
		`[]`:                      noObject,
		`null`:                    noObject,
		`"mirox"`:                 noObject,
		`1`:                       noObject,
		`{"preset":"none"}`:       `policy: no preset "none": there are standard, mirox, miaxdx, midphase`,
		`{"preset":""}`:           `policy: no preset "": there are standard, mirox, miaxdx, midphase`,
		`{"preset":1}`:            "policy: preset: is 1, must be a text",
		`{"preset":null}`:         "policy: preset: is null, must be a text",
		`{"enforce":"required"}`:  "policy: enforce: there is no such setting",
		`{"Skew":1}`:              "policy: Skew: there is no such setting",
		`{"skew\n":1}`:            `policy: "skew\n": there is no such setting`,
		"{\"skew\":[\n0]}":        `policy: skew: is "[\n0]", must be a whole number`,
		`{"recovery":[]}`:         "policy: recovery: is [], must be a text",
		`{"skew":"1"}`:            `policy: skew: is "1", must be a whole number`,
		`{"skew":0.5}`:            "policy: skew: is 0.5, must be a whole number",
		`{"skew":null}`:           "policy: skew: is null, must be a whole number",
		`{"skew":1,"skew":0}`:     "policy: skew: is given twice",
		`{"reset_wait":24}`:       `policy: reset_wait: is 24, must be a duration such as "24h"`,
		`{"reset_wait":null}`:     `policy: reset_wait: is null, must be a duration such as "24h"`,
		`{"reset_wait":"a day"}`:  `policy: reset_wait: invalid duration "a day"`,
		`{"reset_wait":"1d"}`:     `policy: reset_wait: unknown unit "d" in duration "1d"`,
		`{"skew":"1","enforce":}`: "policy: is not JSON: invalid character '}' looking for beginning of value",
		`{"skew":"1","lock":"1"}`: "policy: lock: there is no such setting\npolicy: skew: is \"1\", must be a whole number",
	} {
		if got, err := ParsePolicy([]byte(bad)); err == nil || err.Error() != want {
			t.Errorf("%s: got %+v, %v, want %s", bad, got, err, want)
		}
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", time.Minute: "1m", 90 * time.Second: "1m30s", time.Hour: "1h", 61 * time.Minute: "1h1m",
		20 * time.Minute: "20m", 10 * time.Hour: "10h", 720 * time.Hour: "720h", time.Hour + time.Second: "1h0m1s", 1500 * time.Millisecond: "1.5s",
	} {
		got := Duration(d)
		if got.String() != want {
			t.Errorf("%v is written %q, want %q", d, got, want)
		}
		var again Duration
		if err := again.UnmarshalText([]byte(want)); err != nil || again != got {
			t.Errorf("%q is read as %v, %v", want, again, err)
		}
	}
}
