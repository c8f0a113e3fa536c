package totp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestNewSecret(t *testing.T) {
	t.Parallel()
	a, err := NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	if len(a)*8 != 160 || len(b)*8 != 160 {
		t.Errorf("got %d and %d bits, want 160", len(a)*8, len(b)*8)
	}
	if bytes.Equal(a, b) || bytes.Equal(a, make([]byte, 20)) {
		t.Error("not random")
	}
	if got := a.Base32(); len(got) != 32 {
		t.Errorf("Base32 has %d characters, want 32", len(got))
	}
}

func TestParseSecret(t *testing.T) {
	t.Parallel()
	want := Secret("Hello!\xde\xad\xbe\xefworld!") // 128 bits
	valid := []string{
		"JBSWY3DPEHPK3PXPO5XXE3DEEE",
		"jbswy3dpehpk3pxpo5xxe3deee",
		"jbsw y3dp ehpk 3pxp o5xx e3de ee",
		" JBSW-Y3DP-EHPK-3PXP-O5XX-E3DE-EE\r\n",
		"JBSW\u00a0Y3DP\u2009EHPK\u3000\t3PXPO5XXE3DEEE",
		"JBSW\u2010Y3DP\u2013EHPK\u22123PXPO5XXE3DEEE",
		"\ufeff\u200eJBSWY3DP\u200bEHPK3PXPO5XXE3DEEE",
		"ＪＢＳＷＹ３ＤＰｅｈｐｋ３ｐｘｐＯ５ＸＸＥ３ＤＥＥＥ",
		"JBSWY3DPEHPK3PXPO5XXE3DEEE======",
	}
	for _, typed := range valid {
		got, err := ParseSecret(typed)
		if err != nil {
			t.Errorf("ParseSecret(%q): %v", typed, err)
		}
		if diff := cmp.Diff([]byte(want), []byte(got)); diff != "" {
			t.Errorf("ParseSecret(%q): %s", typed, diff)
		}
	}
	for typed, want := range map[string]error{
		"":                              ErrSecretSize,
		"====":                          ErrSecretSize,
		"JBSWY3DPEHPK3PXP":              ErrSecretSize, // 80 bits, as older services issued them
		"JBSWY3DPEHPK3PXPO5XXE3DEE":     ErrSecretSize, // 125
		strings.Repeat("A", 104):        ErrSecretSize, // 520
		strings.Repeat("A", 1000000):    ErrSecretSize, //
		"JBSWY3DP=EHPK3PXPO5XXE3DEEE":   ErrSecret,     // padding inside
		"JBSWY3DPEHPK3PX1O5XXE3DEEE":    ErrSecret,     // no 0, 1, 8, 9 in base32
		"JBSWY3DPEHPK3PX!O5XXE3DEEE":    ErrSecret,     //
		"JBSWY3DPEHPK3PXPO5XXE3DEE\x00": ErrSecret,
		"JBSWY3DPEHPK3PXPO5XXE3DEE\xff": ErrSecret,
		"JBſWY3DPEHPK3PXPO5XXE3DEEE":    ErrSecret, // a long s is not an s
		"JBSWY3DPEHPKıPXPO5XXE3DEEE":    ErrSecret, // nor a dotless i an i
	} {
		got, err := ParseSecret(typed)
		if !errors.Is(err, want) || got != nil {
			t.Errorf("ParseSecret(%.40q) = %d bytes, %v, want %v", typed, len(got), err, want)
		}
		if err != nil && err.Error() != want.Error() {
			t.Errorf("ParseSecret(%.40q): the error says more than it may: %v", typed, err)
		}
	}
}

func TestParseSecretLimits(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]bool{10: false, 15: false, 16: true, 20: true, 64: true, 65: false} {
		if _, err := ParseSecret(Secret(make([]byte, size)).Base32()); (err == nil) != want {
			t.Errorf("%d bits: %v", size*8, err)
		}
	}
}

// Services that pick base32 characters at random issue secrets of any length. Apps drop the bits after the last whole byte.
func TestParseSecretOfOddLength(t *testing.T) {
	t.Parallel()
	const typed = "77777777777777777777777777777777777777777"
	for length := 26; length <= len(typed); length++ {
		got, err := ParseSecret(typed[:length])
		if want := bytes.Repeat([]byte{0xff}, length*5/8); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d characters: %d bytes, %v, want %d", length, len(got), err, len(want))
		}
	}
}

func TestParseSecretReadsBase32(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		_, want, _ := draw(t)
		got, err := ParseSecret(forgive(t, want.Base32()))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("ParseSecret = %d bytes, %v, want the %d that were encoded", len(got), err, len(want))
		}
	})
}

// forgive writes text as somebody might: with separators anywhere, in full width, in lower case.
func forgive(t *rapid.T, text string) string {
	separators := rapid.SampledFrom([]string{"", "", "", " ", "-", "\u00a0", "\u3000", "\u200b", "–", "\n"})
	var b strings.Builder
	for _, r := range text {
		b.WriteString(separators.Draw(t, "separator"))
		switch rapid.IntRange(0, 2).Draw(t, "form") {
		case 1:
			r = []rune(strings.ToLower(string(r)))[0]
		case 2:
			r += '！' - '!'
		}
		b.WriteRune(r)
	}
	b.WriteString(separators.Draw(t, "separator"))
	return b.String()
}

// Whatever prints, logs or serialises a secret shows that there is one and nothing else.
func TestSecretIsRedacted(t *testing.T) {
	t.Parallel()
	secret := Secret("Hello, secret")
	type holder struct{ Secret Secret }
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
	texts, err := secret.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{
		"String":          secret.String(),
		"GoString":        secret.GoString(),
		"LogValue":        secret.LogValue().String(),
		"MarshalText":     string(texts),
		"%v of a pointer": fmt.Sprintf("%v", &secret),
		"%v of a struct":  fmt.Sprintf("%v", holder{secret}),
		"%+v of a struct": fmt.Sprintf("%+v", &holder{secret}),
		"%#v of a struct": fmt.Sprintf("%#v", holder{secret}),
		"%v of a slice":   fmt.Sprintf("%v", []Secret{secret}),
		"JSON":            encoded(secret),
		"JSON, struct":    encoded(holder{secret}),
		"JSON, pointer":   encoded(&holder{secret}),
		"text log":        logged(text, secret),
		"text log, in":    logged(text, holder{secret}),
		"JSON log":        logged(structured, secret),
		"JSON log, in":    logged(structured, holder{secret}),
		"error":           fmt.Errorf("refused: %v", secret).Error(),
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%08b", "%o", "%c", "%U", "%t", "%20s"} {
		shown[verb] = fmt.Sprintf(verb, secret)
	}
	for way, got := range shown {
		if !strings.Contains(got, "[secret]") {
			t.Errorf("%s: %q does not say that it is redacted", way, got)
		}
		for _, leak := range []string{"Hello", "48656c6c6f", "48 65", "SGVsbG8", "JBSWY3DP", "72 101", "[72"} {
			if strings.Contains(strings.ToLower(got), strings.ToLower(leak)) {
				t.Errorf("%s leaks: %q", way, got)
			}
		}
	}
	var back Secret
	if err := json.Unmarshal([]byte(encoded(secret)), &back); err == nil {
		t.Errorf("a redacted secret was read back as %d bytes", len(back))
	}
}

func FuzzParseSecret(f *testing.F) {
	for _, seed := range []string{"", key32, "jbsw y3dp-ehpk 3pxp o5xx e3de ee", "ＪＢＳＷＹ３ＤＰＥＨＰＫ３ＰＸＰＯ５ＸＸＥ３ＤＥＥＥ", "JBSWY3DPEHPK3PXP====", "\xff\xfe", "JBSWY3DPEHPK3PX1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		secret, err := ParseSecret(typed)
		if err != nil {
			if err != ErrSecret && err != ErrSecretSize || secret != nil {
				t.Fatalf("%d bytes, %v", len(secret), err)
			}
			return
		}
		if len(secret) < 16 || len(secret) > 64 {
			t.Fatalf("%d bytes", len(secret))
		}
		again, err := ParseSecret(secret.Base32())
		if err != nil || !bytes.Equal(again, secret) {
			t.Fatalf("reads back as %d bytes, %v", len(again), err)
		}
	})
}
