package totp

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

func TestNormalise(t *testing.T) {
	t.Parallel()
	six, eight := Default, Params{SHA1, 8, 30}
	tests := []struct {
		name  string
		p     Params
		typed string
		want  string // empty: ErrMalformed
	}{
		{"plain", six, "123456", "123456"},
		{"leading zeros", six, "000001", "000001"},
		{"eight", eight, "12345678", "12345678"},
		{"as apps group it", six, "123 456", "123456"},
		{"hyphen", six, "123-456", "123456"},
		{"surrounded", six, "\t 123456\r\n", "123456"},
		{"between all", six, "1 2 3 4 5 6", "123456"},
		{"no-break, thin and ideographic space", six, "1\u00a02\u20093\u3000456", "123456"},
		{"figure dash, en dash, em dash, minus", six, "1‒2–3—4−56", "123456"},
		{"pasted with marks", six, "\u200e\ufeff123\u200b456\u2060\u00ad", "123456"},
		{"full width", six, "１２３４５６", "123456"},
		{"full-width hyphen", six, "１２３－４５６", "123456"},
		{"Arabic", six, "٠١٢٣٤٥", "012345"},
		{"Persian", six, "۶۷۸۹۰۱", "678901"},
		{"Devanagari", eight, "०१२३४५६७", "01234567"},
		{"Bengali and ASCII", six, "৯৮৭654", "987654"},
		{"mathematical", six, "𝟎𝟗𝟘𝟡𝟬𝟿", "090909"},

		{"nothing", six, "", ""},
		{"only spaces", six, "      ", ""},
		{"short", six, "12345", ""},
		{"long", six, "1234567", ""},
		{"eight for six", six, "12345678", ""},
		{"six for eight", eight, "123456", ""},
		{"letters", six, "12345a", ""},
		{"full-width letters", six, "12345ａ", ""},
		{"O for 0", six, "O12345", ""},
		{"sign", six, "+12345", ""},
		{"point", six, "123.456", ""},
		{"superscript is no decimal digit", six, "12345⁶", ""},
		{"circled is no decimal digit", six, "12345⑥", ""},
		{"Roman is no decimal digit", six, "12345Ⅵ", ""},
		{"broken UTF-8", six, "12345\xff", ""},
		{"NUL", six, "12345\x00", ""},
		{"very long", six, strings.Repeat("1", 1<<20), ""},
		{"for no digits at all", Params{}, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := test.p.Normalise(test.typed)
			if got != test.want || (test.want == "") != errors.Is(err, ErrMalformed) {
				t.Errorf("Normalise(%.40q) = %q, %v, want %q", test.typed, got, err, test.want)
			}
		})
	}
}

// What digitOf relies on: Go's table of decimal digits has nothing but whole runs of ten, in order.
func TestDigitRuns(t *testing.T) {
	t.Parallel()
	count := 0
	check := func(lo, hi, stride rune) {
		if stride != 1 || (hi-lo+1)%10 != 0 {
			t.Errorf("U+%04X to U+%04X by %d is no run of tens", lo, hi, stride)
		}
		for r := lo; r <= hi; r++ {
			if got, want := fold(r), '0'+(r-lo)%10; got != want {
				t.Errorf("fold(U+%04X) = %q, want %q", r, got, want)
			}
			count++
		}
	}
	for _, run := range unicode.Nd.R16 {
		check(rune(run.Lo), rune(run.Hi), rune(run.Stride))
	}
	for _, run := range unicode.Nd.R32 {
		check(rune(run.Lo), rune(run.Hi), rune(run.Stride))
	}
	if count < 600 {
		t.Errorf("only %d digits", count)
	}
}

// No other character turns into a digit.
func TestFoldMakesNoOtherDigits(t *testing.T) {
	t.Parallel()
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if got := fold(r); '0' <= got && got <= '9' && !unicode.IsDigit(r) {
			t.Errorf("fold(U+%04X) = %q", r, got)
		}
	}
}

func TestNormaliseForgives(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, secret, step := draw(t)
		want, err := p.Code(secret, step)
		if err != nil {
			t.Fatal(err)
		}
		typed := forgive(t, want)
		if got, err := p.Normalise(typed); err != nil || got != want {
			t.Fatalf("Normalise(%q) = %q, %v, want %q", typed, got, err, want)
		}
	})
}

func FuzzNormalise(f *testing.F) {
	for _, seed := range []string{"", "123456", "123 456", "１２３-４５６", "٠١٢٣٤٥", "12345678", "12345\xff", "𝟎𝟗𝟘𝟡𝟬𝟿"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		for _, digits := range []int{6, 8} {
			p := Params{SHA1, digits, 30}
			code, err := p.Normalise(typed)
			if err != nil {
				if !errors.Is(err, ErrMalformed) || code != "" {
					t.Fatalf("%q, %v", code, err)
				}
				continue
			}
			if again, err := p.Normalise(code); again != code || err != nil {
				t.Fatalf("%q becomes %q, %v", code, again, err)
			}
			if _, _, err := p.Match(seed(SHA1), code, 0, 0); err != nil {
				t.Fatalf("Match refuses %q: %v", code, err)
			}
		}
	})
}
