package totp

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"pgregory.net/rapid"

	"github.com/nightlatch/nightlatch/pkg/needs"
)

// seed is the secret of the RFCs' test vectors, repeated to the length that the algorithm's hash has. RFC 6238 appendix B claims that all
// its vectors share the 20 bytes; those for SHA256 and SHA512 were in truth made with 32 and 64 bytes, as the code of its appendix A
// does (erratum 2866).
func seed(a Algorithm) Secret {
	size := map[Algorithm]int{SHA1: 20, SHA256: 32, SHA512: 64}[a]
	return Secret(strings.Repeat("1234567890", 7)[:size])
}

func TestCodeRFC4226(t *testing.T) { // appendix D
	t.Parallel()
	want := []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"}
	for step, want := range want {
		got, err := Default.Code(seed(SHA1), Step(step))
		if err != nil || got != want {
			t.Errorf("Code(%d) = %q, %v, want %q", step, got, err, want)
		}
	}
}

func TestCodeRFC6238(t *testing.T) { // appendix B
	t.Parallel()
	tests := []struct {
		seconds int64
		step    Step
		want    map[Algorithm]string
	}{
		{59, 0x1, map[Algorithm]string{SHA1: "94287082", SHA256: "46119246", SHA512: "90693936"}},
		{1111111109, 0x23523EC, map[Algorithm]string{SHA1: "07081804", SHA256: "68084774", SHA512: "25091201"}},
		{1111111111, 0x23523ED, map[Algorithm]string{SHA1: "14050471", SHA256: "67062674", SHA512: "99943326"}},
		{1234567890, 0x273EF07, map[Algorithm]string{SHA1: "89005924", SHA256: "91819424", SHA512: "93441116"}},
		{2000000000, 0x3F940AA, map[Algorithm]string{SHA1: "69279037", SHA256: "90698825", SHA512: "38618901"}},
		{20000000000, 0x27BC86AA, map[Algorithm]string{SHA1: "65353130", SHA256: "77737706", SHA512: "47863826"}},
	}
	for _, test := range tests {
		for algorithm, want := range test.want {
			eight, six := Params{algorithm, 8, 30}, Params{algorithm, 6, 30}
			step := eight.StepAt(time.Unix(test.seconds, 0))
			if step != test.step {
				t.Errorf("StepAt(%d) = %#x, want %#x", test.seconds, step, test.step)
			}
			if got, err := eight.Code(seed(algorithm), step); err != nil || got != want {
				t.Errorf("%s at %d: Code = %q, %v, want %q", algorithm, test.seconds, got, err, want)
			}
			// Six digits are the last six of the same number (RFC 4226 §5.3).
			if got, err := six.Code(seed(algorithm), step); err != nil || got != want[2:] {
				t.Errorf("%s at %d: Code = %q, %v, want %q", algorithm, test.seconds, got, err, want[2:])
			}
		}
	}
}

// oathtool is an implementation that shares nothing with ours.
func TestCodeAgainstOathtool(t *testing.T) {
	t.Parallel()
	oathtool := needs.Program(t, "oathtool")
	for _, algorithm := range []Algorithm{SHA1, SHA256, SHA512} {
		for _, p := range []Params{{algorithm, 6, 15}, {algorithm, 8, 30}, {algorithm, 6, 60}, {algorithm, 8, 120}} {
			for _, seconds := range []int64{0, 59, 1234567890, 20000000000} {
				secret := seed(algorithm)
				out, err := exec.Command(oathtool, "--totp="+string(algorithm), "--base32", "--digits="+strconv.Itoa(p.Digits),
					"--time-step-size="+strconv.Itoa(p.Period)+"s", "--now=@"+strconv.FormatInt(seconds, 10), secret.Base32()).CombinedOutput()
				if err != nil {
					t.Fatalf("oathtool: %v: %s", err, out)
				}
				got, err := p.Code(secret, p.StepAt(time.Unix(seconds, 0)))
				if want := strings.TrimSpace(string(out)); err != nil || got != want {
					t.Errorf("%+v at %d: Code = %q, %v, oathtool has %q", p, seconds, got, err, want)
				}
			}
		}
	}
}

// Every code is the one that pquerna/otp computes, and its verdict is ours.
func TestCodeAgainstLibrary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, secret, step := draw(t)
		opts := hotp.ValidateOpts{
			Digits:    otp.Digits(p.Digits),
			Algorithm: map[Algorithm]otp.Algorithm{SHA1: otp.AlgorithmSHA1, SHA256: otp.AlgorithmSHA256, SHA512: otp.AlgorithmSHA512}[p.Algorithm],
		}
		want, err := hotp.GenerateCodeCustom(secret.Base32(), uint64(step), opts)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.Code(secret, step); err != nil || got != want {
			t.Fatalf("Code(%d) = %q, %v, want %q", step, got, err, want)
		}
		next := step + Step(rapid.IntRange(0, 1).Draw(t, "late"))
		_, found, err := p.Match(secret, want, next, 0)
		if valid, _ := hotp.ValidateCustom(want, uint64(next), secret.Base32(), opts); err != nil || found != valid {
			t.Fatalf("Match = %v, %v, the library says %v", found, err, valid)
		}
	})
}

func TestValidate(t *testing.T) {
	t.Parallel()
	valid := []Params{Default, {SHA256, 8, 15}, {SHA512, 6, 120}}
	for _, p := range valid {
		if err := p.Validate(); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	invalid := []struct {
		p    Params
		want string // in the message
	}{
		{Params{}, "algorithm"},
		{Params{"sha1", 6, 30}, "algorithm"},
		{Params{"MD5", 6, 30}, "algorithm"},
		{Params{SHA1, 0, 30}, "digits"},
		{Params{SHA1, 5, 30}, "digits"},
		{Params{SHA1, 7, 30}, "digits"},
		{Params{SHA1, 9, 30}, "digits"},
		{Params{SHA1, -6, 30}, "digits"},
		{Params{SHA1, 6, 0}, "period"},
		{Params{SHA1, 6, 14}, "period"},
		{Params{SHA1, 6, 121}, "period"},
		{Params{SHA1, 6, -30}, "period"},
	}
	for _, test := range invalid {
		err := test.p.Validate()
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: Validate = %v, want an error about %q", test.p, err, test.want)
		}
		if _, err := test.p.Code(seed(SHA1), 1); err == nil {
			t.Errorf("%+v: Code accepted it", test.p)
		}
		if _, found, err := test.p.Match(seed(SHA1), "755224", 0, 1); err == nil || found {
			t.Errorf("%+v: Match = %v, %v", test.p, found, err)
		}
		if _, found, err := test.p.Drift(seed(SHA1), "755224", 5, 1); err == nil || found {
			t.Errorf("%+v: Drift = %v, %v", test.p, found, err)
		}
	}
}

func TestSteps(t *testing.T) {
	t.Parallel()
	tests := []struct {
		period int
		at     string
		want   Step
		start  string
	}{
		{30, "1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"},
		{30, "1970-01-01T00:00:29.999999999Z", 0, "1970-01-01T00:00:00Z"},
		{30, "1970-01-01T00:00:30Z", 1, "1970-01-01T00:00:30Z"},
		{30, "1970-01-01T01:00:30+01:00", 1, "1970-01-01T00:00:30Z"},
		{30, "1969-12-31T23:59:59.999999999Z", -1, "1969-12-31T23:59:30Z"},
		{30, "1969-12-31T23:59:30Z", -1, "1969-12-31T23:59:30Z"},
		{30, "1969-12-31T23:59:29.999999999Z", -2, "1969-12-31T23:59:00Z"},
		{120, "2026-02-03T04:05:06Z", 14750762, "2026-02-03T04:04:00Z"},
		{15, "2026-02-03T04:05:06Z", 118006100, "2026-02-03T04:05:00Z"},
	}
	for _, test := range tests {
		p := Params{SHA1, 6, test.period}
		at, err := time.Parse(time.RFC3339Nano, test.at)
		if err != nil {
			t.Fatal(err)
		}
		got := p.StepAt(at)
		if got != test.want {
			t.Errorf("period %d: StepAt(%s) = %d, want %d", test.period, test.at, got, test.want)
		}
		start := p.StartOf(got)
		if text := start.Format(time.RFC3339Nano); text != test.start || start.Location() != time.UTC {
			t.Errorf("period %d: StartOf(%d) = %s, want %s", test.period, got, start, test.start)
		}
	}
}

func TestStepHoldsItsTime(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := Params{SHA1, 6, rapid.IntRange(15, 120).Draw(t, "period")}
		at := time.Unix(rapid.Int64Range(-1<<36, 1<<36).Draw(t, "seconds"), rapid.Int64Range(0, 999999999).Draw(t, "nanoseconds"))
		step := p.StepAt(at)
		if start, end := p.StartOf(step), p.StartOf(step+1); at.Before(start) || !at.Before(end) {
			t.Fatalf("%v is not in step %d, from %v to %v", at, step, start, end)
		}
	})
}

func TestOffset(t *testing.T) {
	t.Parallel()
	tests := []struct {
		period       int
		step, around Step
		want         time.Duration
	}{
		{30, 100, 100, 0},
		{30, 92, 100, -4 * time.Minute},
		{60, 103, 100, 3 * time.Minute},
	}
	for _, test := range tests {
		if got := (Params{SHA1, 6, test.period}).Offset(test.step, test.around); got != test.want {
			t.Errorf("period %d: Offset(%d, %d) = %v, want %v", test.period, test.step, test.around, got, test.want)
		}
	}
}

// Under the SHA1 seed these pairs of steps share a code.
var collisions = []struct {
	earlier, later Step
	code           string
}{
	{153567, 153569, "468457"},
	{910737, 910738, "911617"},
	{719387, 719417, "923548"},
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, pair := range collisions {
		for _, step := range []Step{pair.earlier, pair.later} {
			if got, err := Default.Code(seed(SHA1), step); err != nil || got != pair.code {
				t.Fatalf("Code(%d) = %q, %v, want %q", step, got, err, pair.code)
			}
		}
	}
	type result struct {
		Step  Step
		Found bool
	}
	tests := []struct {
		name   string
		code   string
		around Step
		skew   int
		want   result
	}{
		{"the step itself", "969429", 3, 0, result{3, true}},
		{"not the one before", "969429", 4, 0, result{}},
		{"not the one after", "969429", 2, 0, result{}},
		{"one behind", "969429", 4, 1, result{3, true}},
		{"one ahead", "969429", 2, 1, result{3, true}},
		{"two behind", "969429", 5, 1, result{}},
		{"two ahead", "969429", 1, 1, result{}},
		{"the largest skew", "969429", 23, 20, result{3, true}},
		{"step zero is a find", "755224", 0, 1, result{0, true}},
		{"two in the skew: the latest", "468457", 153568, 1, result{153569, true}},
		{"two in the skew, the latest being now", "911617", 910738, 1, result{910738, true}},
		{"two in the skew, the latest being next", "911617", 910737, 1, result{910738, true}},
		{"two, one of them outside", "468457", 153566, 1, result{153567, true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			step, found, err := Default.Match(seed(SHA1), test.code, test.around, test.skew)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, result{step, found}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDrift(t *testing.T) {
	t.Parallel()
	type result struct {
		Step  Step
		Found bool
	}
	const now = 719402 // halfway between two steps with the code 923548, 15 steps each way
	tests := []struct {
		name   string
		code   string
		around Step
		skew   int
		want   result
	}{
		{"ten minutes behind", "969429", 23, 1, result{3, true}},
		{"more than ten minutes behind", "969429", 24, 1, result{}},
		{"ten minutes ahead", "969429", -17, 1, result{3, true}},
		{"more than ten minutes ahead", "969429", -18, 1, result{}},
		{"just outside the skew", "969429", 5, 1, result{3, true}},
		{"inside the skew is for Match", "969429", 4, 1, result{}},
		{"just outside no skew", "969429", 4, 0, result{3, true}},
		{"now is for Match", "969429", 3, 0, result{}},
		{"step zero is a find", "755224", 5, 1, result{0, true}},
		{"nothing left outside of the largest skew", "969429", 23, 20, result{}},
		{"two, the earlier nearer", "923548", now - 1, 1, result{719387, true}},
		{"two, the later nearer", "923548", now + 1, 1, result{719417, true}},
		{"two at the same distance: the later", "923548", now, 1, result{719417, true}},
		{"two, the later inside the skew", "468457", 153569, 1, result{153567, true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			step, found, err := Default.Drift(seed(SHA1), test.code, test.around, test.skew)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, result{step, found}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The range is ten minutes, in whole steps, and never more than 20 of them.
func TestDriftRangeByPeriod(t *testing.T) {
	t.Parallel()
	for period, farthest := range map[int]Step{15: 20, 20: 20, 29: 20, 30: 20, 31: 19, 45: 13, 60: 10, 120: 5} {
		p := Params{SHA1, 6, period}
		for _, direction := range []Step{-1, 1} {
			const around = 50000000
			for _, distance := range []Step{farthest, farthest + 1} {
				step := around + direction*distance
				code, err := p.Code(seed(SHA1), step)
				if err != nil {
					t.Fatal(err)
				}
				got, found, err := p.Drift(seed(SHA1), code, around, 1)
				if want := distance == farthest; err != nil || found != want || found && got != step {
					t.Errorf("period %d: Drift for %d steps off = %d, %v, %v, want %v", period, direction*distance, got, found, err, want)
				}
			}
		}
	}
}

// draw draws parameters, a secret and a step.
func draw(t *rapid.T) (Params, Secret, Step) {
	return Params{
			rapid.SampledFrom([]Algorithm{SHA1, SHA256, SHA512}).Draw(t, "algorithm"),
			rapid.SampledFrom([]int{6, 8}).Draw(t, "digits"),
			rapid.IntRange(15, 120).Draw(t, "period"),
		},
		rapid.SliceOfN(rapid.Byte(), minSecretSize, maxSecretSize).Draw(t, "secret"),
		Step(rapid.Int64Range(-50, 1<<40).Draw(t, "around"))
}

// Match and Drift find exactly the steps that they should: whatever the step of a code, the two agree with a plain search
// among the steps around.
func TestMatchAndDriftFindWhatIsThere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, secret, around := draw(t)
		skew := rapid.IntRange(0, 3).Draw(t, "skew")
		typed, err := p.Code(secret, around+Step(rapid.IntRange(-25, 25).Draw(t, "distance")))
		if err != nil {
			t.Fatal(err)
		}
		farthest := min(600/p.Period, 20)
		var wantMatch, wantDrift []Step // best first
		for distance := range 26 {
			for _, i := range []int{distance, -distance} {
				if code, _ := p.Code(secret, around+Step(i)); code != typed {
					continue
				}
				switch {
				case distance > farthest && distance > skew:
				case distance > skew:
					wantDrift = append(wantDrift, around+Step(i))
				case wantMatch == nil || around+Step(i) > wantMatch[0]:
					wantMatch = []Step{around + Step(i)}
				}
			}
		}
		check := func(name string, want []Step, search func(Secret, string, Step, int) (Step, bool, error)) {
			got, found, err := search(secret, typed, around, skew)
			if err != nil || found != (want != nil) || found && got != want[0] {
				t.Errorf("%s = %d, %v, %v, want the first of %v", name, got, found, err, want)
			}
		}
		check("Match", wantMatch, p.Match)
		check("Drift", wantDrift, p.Drift)
	})
}

func TestSearchRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		secret Secret
		code   string
		skew   int
		want   error // nil: any
	}{
		{"no secret", nil, "755224", 1, ErrSecretSize},
		{"a short secret", make(Secret, 15), "755224", 1, ErrSecretSize},
		{"a long secret", make(Secret, 65), "755224", 1, ErrSecretSize},
		{"no code", seed(SHA1), "", 1, ErrMalformed},
		{"a short code", seed(SHA1), "55224", 1, ErrMalformed},
		{"a long code", seed(SHA1), "0755224", 1, ErrMalformed},
		{"a code that was not normalised", seed(SHA1), "75522 ", 1, ErrMalformed},
		{"negative skew", seed(SHA1), "755224", -1, nil},
		{"too much skew", seed(SHA1), "755224", 21, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for name, search := range map[string]func(Secret, string, Step, int) (Step, bool, error){"Match": Default.Match, "Drift": Default.Drift} {
				_, found, err := search(test.secret, test.code, 0, test.skew)
				if err == nil || found || test.want != nil && !errors.Is(err, test.want) {
					t.Errorf("%s = %v, %v, want error %v", name, found, err, test.want)
				}
			}
		})
	}
	for _, size := range []int{0, 15, 65} {
		if code, err := Default.Code(make(Secret, size), 0); !errors.Is(err, ErrSecretSize) {
			t.Errorf("Code with a secret of %d bytes = %q, %v, want ErrSecretSize", size, code, err)
		}
	}
}

// The refused code is the dear one: Match and then Drift. Budget: 100 µs for a whole verification above the store.
func BenchmarkMatch(b *testing.B) {
	for _, algorithm := range []Algorithm{SHA1, SHA256, SHA512} {
		p, secret := Params{algorithm, 6, 30}, seed(algorithm)
		for _, skew := range []int{0, 1} {
			b.Run(fmt.Sprintf("%s/skew=%d", algorithm, skew), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					p.Match(secret, "000000", 59000000, skew)
				}
			})
		}
	}
}

func BenchmarkDrift(b *testing.B) {
	for _, algorithm := range []Algorithm{SHA1, SHA256, SHA512} {
		p, secret := Params{algorithm, 8, 30}, seed(algorithm)
		b.Run(string(algorithm), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Drift(secret, "00000000", 59000000, 0)
			}
		})
	}
}
