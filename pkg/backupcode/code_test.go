package backupcode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

func TestNormalise(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, typed string
		want        Code // empty: ErrMalformed
	}{
		{"as shown, standard", "K7QF2-9XT4M-8WZ", "K7QF29XT4M8WZ"},
		{"as shown, short", "K7QF9XT4", "K7QF9XT4"},
		{"lower case", "k7qf9xt4", "K7QF9XT4"},
		{"spaces", " K7QF 9XT4\r\n", "K7QF9XT4"},
		{"no-break, thin and ideographic space", "K7\u00a0QF\u20099X\u3000T4", "K7QF9XT4"},
		{"hyphen, en dash, em dash, minus", "K7‐QF–9X—T−4", "K7QF9XT4"},
		{"pasted with marks", "\u200e\ufeffK7QF\u200b9XT4\u2060\u00ad", "K7QF9XT4"},
		{"full width", "Ｋ７ＱＦ－９ｘｔ４", "K7QF9XT4"},
		{"O for 0", "OoＯ00000", "00000000"},
		{"I and L for 1", "IiLlＩｌ11", "11111111"},
		{"every character", "0123456789ABCDEFGHJKMNPQRS", "0123456789ABCDEFGHJKMNPQRS"},
		{"the rest of them", "TVWXYZtvwxyz", "TVWXYZTVWXYZ"},
		{"8", "00000000", "00000000"},
		{"26", strings.Repeat("Z", 26), Code(strings.Repeat("Z", 26))},

		{"nothing", "", ""},
		{"separators only", " - - - - - - - - ", ""},
		{"7", "0000000", ""},
		{"7 and a space", "0000000 ", ""},
		{"27", strings.Repeat("Z", 27), ""},
		{"a megabyte", strings.Repeat("Z", 1<<20), ""},
		{"U is not in the alphabet", "U7QF9XT4", ""},
		{"nor u", "u7QF9XT4", ""},
		{"nor in full width", "Ｕ7QF9XT4", ""},
		{"point", "K7QF.9XT4", ""},
		{"underscore", "K7QF_9XT4", ""},
		{"Cyrillic look-alike", "К7QF9XT4", ""},
		{"other digits", "٧7QF9XT4", ""},
		{"Kelvin sign is no K", "\u212a7QF9XT4", ""},
		{"dotless i is no I", "ı7QF9XT4", ""},
		{"long s is no S", "ſ7QF9XT4", ""},
		{"broken UTF-8", "K7QF9XT4\xff", ""},
		{"NUL", "K7QF9XT4\x00", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := Normalise(test.typed)
			if got != test.want || (test.want == "") != errors.Is(err, ErrMalformed) {
				t.Errorf("Normalise(%.60q) = %q, %v, want %q", test.typed, string(got), err, string(test.want))
			}
			if err != nil && err.Error() != ErrMalformed.Error() {
				t.Errorf("the error says more than it may: %v", err)
			}
		})
	}
}

// Of all characters only the alphabet, its lower case and its full width, and what is read as 0 or 1, make a code.
func TestAlphabet(t *testing.T) {
	t.Parallel()
	made := map[rune]int{}
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if code, err := Normalise("0000000" + string(r)); err == nil {
			made[rune(code[7])]++
		}
	}
	for _, r := range alphabet {
		want := 2 // a digit, and in full width
		if r >= 'A' {
			want = 4 // two cases
		}
		if r == '0' {
			want += 4 // O
		}
		if r == '1' {
			want += 8 // I and L
		}
		if made[r] != want {
			t.Errorf("%c is made of %d characters, want %d", r, made[r], want)
		}
	}
	if len(alphabet) != 32 || len(made) != 32 {
		t.Errorf("%d of %d characters, want 32", len(made), len(alphabet))
	}
}

func TestGrouped(t *testing.T) {
	t.Parallel()
	tests := []struct {
		code Code
		want string
	}{
		{"K7QF9XT4", "K7QF9XT4"},
		{"K7QF9XT45", "K7QF9-XT45"},
		{"K7QF29XT4M", "K7QF2-9XT4M"},
		{"K7QF29XT4M8", "K7QF2-9XT4M-8"},
		{"K7QF29XT4M8WZ", "K7QF2-9XT4M-8WZ"},
		{"K7QF29XT4M8WZK7QF29XT4M8WZ", "K7QF2-9XT4M-8WZK7-QF29X-T4M8W-Z"},
	}
	for _, test := range tests {
		if got := test.code.Grouped(); got != test.want {
			t.Errorf("Grouped = %q, want %q", got, test.want)
		}
	}
}

// However a code is typed, it reads as the one that was shown.
func TestNormaliseForgives(t *testing.T) {
	t.Parallel()
	separators := rapid.SampledFrom([]string{"", "", "", " ", "-", "\u00a0", "\u3000", "\u200b", "–", "\n"})
	rapid.Check(t, func(t *rapid.T) {
		want, err := Derive(keys{1: "key"}, 1, drawOrigin(t), rapid.IntRange(MinLength, MaxLength).Draw(t, "length"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Normalise(want.Grouped()); err != nil || got != want {
			t.Fatalf("Normalise(%q) = %q, %v", want.Grouped(), string(got), err)
		}
		var typed strings.Builder
		for _, r := range string(want) {
			typed.WriteString(separators.Draw(t, "separator"))
			switch {
			case r == '0':
				r = rapid.SampledFrom([]rune("0Oo")).Draw(t, "0")
			case r == '1':
				r = rapid.SampledFrom([]rune("1IiLl")).Draw(t, "1")
			case rapid.Bool().Draw(t, "lower"):
				r = unicode.ToLower(r)
			}
			if rapid.Bool().Draw(t, "full width") {
				r += '！' - '!'
			}
			typed.WriteRune(r)
		}
		if got, err := Normalise(typed.String()); err != nil || got != want {
			t.Fatalf("Normalise(%q) = %q, %v, want %q", typed.String(), string(got), err, string(want))
		}
	})
}

func FuzzNormalise(f *testing.F) {
	for _, seed := range []string{"", "K7QF2-9XT4M-8WZ", "k7qf 9xt4", "Ｋ７ＱＦ－９ｘｔ４", "U7QF9XT4", "oOiIlL11", "K7QF9XT4\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code, err := Normalise(typed)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || code != "" {
				t.Fatalf("%q, %v", string(code), err)
			}
			return
		}
		if again, err := Normalise(code.Grouped()); err != nil || again != code {
			t.Fatalf("%q becomes %q, %v", string(code), string(again), err)
		}
		if _, err := MakeDigest(keys{1: "key"}, 1, "user", 0, 0, code); err != nil {
			t.Fatalf("no digest of %q: %v", string(code), err)
		}
	})
}

// Whatever prints, logs or serialises a code shows that there is one and nothing else.
func TestCodeIsRedacted(t *testing.T) {
	t.Parallel()
	code := Code("K7QF9XT4")
	type holder struct{ Code Code }
	logged := func(handler func(*bytes.Buffer) slog.Handler, value any) string {
		var b bytes.Buffer
		slog.New(handler(&b)).Info("message", "key", value)
		return b.String()
	}
	text := func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) }
	structured := func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) }
	encoded := func(value any) string {
		b, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	texts, err := code.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{
		"String":          code.String(),
		"GoString":        code.GoString(),
		"LogValue":        code.LogValue().String(),
		"MarshalText":     string(texts),
		"%v of a pointer": fmt.Sprintf("%v", &code),
		"%+v of a struct": fmt.Sprintf("%+v", holder{code}),
		"%#v of a struct": fmt.Sprintf("%#v", &holder{code}),
		"%v of a slice":   fmt.Sprintf("%v", []Code{code}),
		"%v of a map":     fmt.Sprintf("%v", map[Code]int{code: 1}),
		"JSON":            encoded(code),
		"JSON, struct":    encoded(&holder{code}),
		"text log":        logged(text, code),
		"text log, in":    logged(text, holder{code}),
		"JSON log":        logged(structured, code),
		"JSON log, in":    logged(structured, holder{code}),
		"error":           fmt.Errorf("refused: %v", code).Error(),
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%20s"} {
		shown[verb] = fmt.Sprintf(verb, code)
	}
	for way, got := range shown {
		if !strings.Contains(got, "[backup code]") {
			t.Errorf("%s: %q does not say that it is redacted", way, got)
		}
		for _, leak := range []string{"K7QF", "4b375146", "4b 37"} {
			if strings.Contains(strings.ToLower(got), strings.ToLower(leak)) {
				t.Errorf("%s leaks: %q", way, got)
			}
		}
	}
}
