package backupcode

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// keys are HMAC-SHA256 keys by their ids.
type keys map[uint32]string

var errUnknownKey = errors.New("unknown key")

func (keys) PrimaryID() uint32 { return 1 }

func (k keys) Compute(keyID uint32, input []byte, length int) ([]byte, error) {
	key, known := k[keyID]
	if !known {
		return nil, errUnknownKey
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(input)
	return mac.Sum(nil)[:length], nil
}

// short are keys that give one byte less than they were asked for.
type short struct{ keys }

func (s short) Compute(keyID uint32, input []byte, length int) ([]byte, error) {
	out, err := s.keys.Compute(keyID, input, length)
	return out[:length-1], err
}

// inputs are keys that remember what was computed.
type inputs struct {
	keys
	seen *[]string
}

func (i inputs) Compute(keyID uint32, input []byte, length int) ([]byte, error) {
	*i.seen = append(*i.seen, string(input))
	return i.keys.Compute(keyID, input, length)
}

var two = keys{1: "the first key", 2: "the second key"}

func drawOrigin(t *rapid.T) Origin {
	return Origin{
		User:        rapid.StringN(1, 128, 128).Draw(t, "user"),
		Incarnation: rapid.Int64().Draw(t, "incarnation"),
		Generation:  rapid.Int64().Draw(t, "generation"),
		Request:     [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "request")),
	}
}

// Codes that have been issued must be derived again after any change of this package, and digests that are stored must
// still match: these values never change. They were computed apart from this package.
func TestStable(t *testing.T) {
	t.Parallel()
	origin := Origin{"auth0|123", 1, 2, [16]byte{3, 4, 5}}
	for length, want := range map[int]Code{8: "12VH3S7K", 13: "48VMPHD4F6AJP", 26: "YRVVBKPGWT15230V81WJHZY0FG"} {
		if got, err := Derive(two, 1, origin, length); err != nil || got != want {
			t.Errorf("Derive with length %d = %q, %v, want %q", length, string(got), err, string(want))
		}
	}
	got, err := MakeDigest(two, 1, "auth0|123", 1, 2, "K7QF29XT4M8WZ")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := got.MarshalText(); err != nil || string(text) != "TXB4iOnzXhocA1V1CPLz0A" {
		t.Errorf("digest %s, %v", text, err)
	}
}

func TestDeriveIsDeterministicAndWellFormed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		origin, length := drawOrigin(t), rapid.IntRange(MinLength, MaxLength).Draw(t, "length")
		a, err := Derive(two, 1, origin, length)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Derive(two, 1, origin, length)
		if err != nil || a != b {
			t.Fatalf("%q, then %q, %v", string(a), string(b), err)
		}
		if len(a) != length || strings.Trim(string(a), alphabet) != "" {
			t.Fatalf("%q has not %d characters of the alphabet", string(a), length)
		}
	})
}

// Every argument matters, and none can stand in for another.
func TestDeriveDiffers(t *testing.T) {
	t.Parallel()
	base := Origin{"user", 1, 2, [16]byte{3}}
	variants := map[string]struct {
		key    uint32
		origin Origin
		length int
	}{
		"base":                   {1, base, 26},
		"key":                    {2, base, 26},
		"user":                   {1, Origin{"user2", 1, 2, [16]byte{3}}, 26},
		"no user":                {1, Origin{"", 1, 2, [16]byte{3}}, 26},
		"incarnation":            {1, Origin{"user", 3, 2, [16]byte{3}}, 26},
		"negative incarnation":   {1, Origin{"user", -1, 2, [16]byte{3}}, 26},
		"generation":             {1, Origin{"user", 1, 3, [16]byte{3}}, 26},
		"fields exchanged":       {1, Origin{"user", 2, 1, [16]byte{3}}, 26},
		"request":                {1, Origin{"user", 1, 2, [16]byte{4}}, 26},
		"last byte of a request": {1, Origin{"user", 1, 2, [16]byte{0: 3, 15: 1}}, 26},
		"length":                 {1, base, 25},
		"user with a zero":       {1, Origin{"user\x00", 1, 2, [16]byte{3}}, 26},
		"field in the user":      {1, Origin{"user\x00\x00\x00\x00\x00\x00\x00\x01", 2, 2, [16]byte{3}}, 26},
	}
	seen := map[string]string{}
	for name, v := range variants {
		code, err := Derive(two, v.key, v.origin, v.length)
		if err != nil {
			t.Fatal(err)
		}
		start := string(code[:13]) // a shorter code is not the beginning of a longer one
		if other, twice := seen[start]; twice {
			t.Errorf("%s and %s give the same code", name, other)
		}
		seen[start] = name
	}
}

// What is computed can be read back into its fields, so different fields never give the same input.
func TestInputIsUnambiguous(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var seen []string
		k := inputs{two, &seen}
		origin, length := drawOrigin(t), rapid.IntRange(MinLength, MaxLength).Draw(t, "length")
		code, err := Derive(k, 1, origin, length)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := MakeDigest(k, 1, origin.User, origin.Incarnation, origin.Generation, code); err != nil {
			t.Fatal(err)
		}
		domains := map[string]bool{}
		for i, rest := range []string{string(origin.Request[:]) + string(rune(length)), string(code)} {
			in := seen[i]
			field := func() string {
				size := binary.BigEndian.Uint64([]byte(in))
				field := in[8 : 8+size]
				in = in[8+size:]
				return field
			}
			number := func() int64 {
				n := binary.BigEndian.Uint64([]byte(in))
				in = in[8:]
				return int64(n)
			}
			domains[field()] = true
			if user, incarnation, generation := field(), number(), number(); user != origin.User ||
				incarnation != origin.Incarnation || generation != origin.Generation || in != rest {
				t.Fatalf("%q does not read back as %+v", seen[i], origin)
			}
		}
		if len(domains) != 2 {
			t.Fatalf("one domain for codes and digests: %v", domains)
		}
	})
}

// The classic ambiguity: without lengths "a"+"bc" would be "ab"+"c". Here each field moves up by eight bytes.
func TestUserCannotSwallowTheNextField(t *testing.T) {
	t.Parallel()
	const shifted = "\x00\x00\x00\x00\x00\x00\x00\x01" // incarnation 1
	a, err := MakeDigest(two, 1, "a", 1, 2, "K7QF9XT4K7QF9XT4")
	if err != nil {
		t.Fatal(err)
	}
	b, err := MakeDigest(two, 1, "a"+shifted, 2, int64(binary.BigEndian.Uint64([]byte("K7QF9XT4"))), "K7QF9XT4")
	if err != nil {
		t.Fatal(err)
	}
	if a == b {
		t.Error("two users share a digest")
	}
	for _, users := range [][2]string{{"a", "a\x00"}, {"", "\x00"}, {"a", "a" + shifted}, {"ab", "a"}} {
		x := input(deriveDomain, users[0], 1, 1)
		y := input(deriveDomain, users[1], 1, 1)
		if strings.HasPrefix(string(y), string(x)) || strings.HasPrefix(string(x), string(y)) {
			t.Errorf("the input for %q begins like that for %q", users[0], users[1])
		}
	}
}

// Each character is as likely as any other at each place: chi-squared with 31 degrees of freedom stays under 80 (p = 3e-6)
// for all 26 places. The codes are fixed, so the outcome is too.
func TestDeriveIsUnbiased(t *testing.T) {
	t.Parallel()
	const codes = 6400
	var counts [MaxLength][256]int
	for i := range codes {
		code, err := Derive(two, 1, Origin{User: "user", Generation: int64(i)}, MaxLength)
		if err != nil {
			t.Fatal(err)
		}
		for place := range code {
			counts[place][code[place]]++
		}
	}
	for place := range counts {
		const expected = codes / 32.0
		chi := 0.0
		for _, r := range alphabet {
			d := float64(counts[place][r]) - expected
			chi += d * d / expected
		}
		if chi > 80 {
			t.Errorf("place %d: chi-squared %.1f", place, chi)
		}
	}
}

func TestDeriveRefuses(t *testing.T) {
	t.Parallel()
	for _, length := range []int{-1, 0, 7, 27, 1 << 40} {
		if code, err := Derive(two, 1, Origin{User: "user"}, length); err == nil || code != "" {
			t.Errorf("length %d: %q, %v", length, string(code), err)
		}
	}
	if code, err := Derive(two, 3, Origin{User: "user"}, 8); !errors.Is(err, errUnknownKey) || code != "" {
		t.Errorf("unknown key: %q, %v", string(code), err)
	}
	if code, err := Derive(short{two}, 1, Origin{User: "user"}, 8); err == nil || code != "" {
		t.Errorf("a byte missing: %q, %v", string(code), err)
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	const code = Code("K7QF9XT4")
	want, err := MakeDigest(two, 1, "user", 1, 2, code)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name                    string
		key                     uint32
		user                    string
		incarnation, generation int64
		code                    Code
		want                    bool
	}{
		{"the code", 1, "user", 1, 2, code, true},
		{"another code", 1, "user", 1, 2, "K7QF9XT5", false},
		{"a longer code", 1, "user", 1, 2, "K7QF9XT40", false},
		{"another key", 2, "user", 1, 2, code, false},
		{"another user", 1, "User", 1, 2, code, false},
		{"another incarnation", 1, "user", 2, 2, code, false},
		{"another generation", 1, "user", 1, 1, code, false},
		{"exchanged", 1, "user", 2, 1, code, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := Matches(two, test.key, test.user, test.incarnation, test.generation, test.code, want)
			if err != nil || got != test.want {
				t.Errorf("Matches = %v, %v, want %v", got, err, test.want)
			}
		})
	}
	for i := range want { // every byte counts
		other := want
		other[i] ^= 1
		if got, err := Matches(two, 1, "user", 1, 2, code, other); err != nil || got {
			t.Errorf("byte %d changed: Matches = %v, %v", i, got, err)
		}
	}
	if got, err := Matches(two, 1, "user", 1, 2, code, Digest{}); err != nil || got {
		t.Errorf("no digest: Matches = %v, %v", got, err)
	}
}

// "Could not tell" is an error, never "no match".
func TestMatchesCannotTell(t *testing.T) {
	t.Parallel()
	const code = Code("K7QF9XT4")
	tests := []struct {
		name string
		keys Keys
		key  uint32
		code Code
		want error // nil: any
	}{
		{"unknown key", two, 3, code, errUnknownKey},
		{"a byte missing", short{two}, 1, code, nil},
		{"no code", two, 1, "", ErrMalformed},
		{"as shown, with hyphens", two, 1, "K7QF2-9XT4M-8WZ", ErrMalformed},
		{"as typed, in lower case", two, 1, "k7qf9xt4", ErrMalformed},
		{"too short", two, 1, "K7QF9XT", ErrMalformed},
		{"too long", two, 1, Code(strings.Repeat("Z", 27)), ErrMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := Matches(test.keys, test.key, "user", 1, 2, test.code, Digest{})
			if err == nil || got || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("Matches = %v, %v, want error %v", got, err, test.want)
			}
			digest, err := MakeDigest(test.keys, test.key, "user", 1, 2, test.code)
			if err == nil || digest != (Digest{}) || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("MakeDigest = %v, %v, want error %v", digest, err, test.want)
			}
		})
	}
}

func TestDigestText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := map[string]Digest{"digest": Digest(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "digest"))}
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(string(text), "+/=") || len(text) != len(`{"digest":""}`)+22 {
			t.Fatalf("%s is not 22 characters of base64url", text)
		}
		var got map[string]Digest
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
	before := Digest{1, 2, 3}
	for _, text := range []string{
		"",
		"AAAAAAAAAAAAAAAAAAAAA",    // 21
		"AAAAAAAAAAAAAAAAAAAAAAA",  // 23
		"AAAAAAAAAAAAAAAAAAAAAA==", // padding
		"AAAAAAAAAAAAAAAAAAAAAB",   // bits after the last byte
		"AAAAAAAAAAAAAAAAAAAA\r\n", // the decoder skips line ends
		"AAAAAAAAAAAAAAAAAAAAAA\n",
		"AAAAAAAAAA+AAAAAAAAAAA", // not base64url
		"AAAAAAAAAA AAAAAAAAAAA",
	} {
		got := before
		if err := got.UnmarshalText([]byte(text)); err == nil || got != before {
			t.Errorf("UnmarshalText(%q) = %v, %v, want an error and no change", text, got, err)
		}
	}
}

func BenchmarkDerive(b *testing.B) {
	for _, length := range []int{ShortLength, StandardLength} {
		b.Run(fmt.Sprint(length), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Derive(two, 1, Origin{User: "auth0|123"}, length); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMatches(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Matches(two, 1, "auth0|123", 1, 2, "K7QF29XT4M8WZ", Digest{}); err != nil {
			b.Fatal(err)
		}
	}
}
