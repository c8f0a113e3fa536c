package mail

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var placeholder = regexp.MustCompile(`{\w*}`)

func TestLanguages(t *testing.T) {
	t.Parallel()
	files, err := locales.ReadDir("locales")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, file := range files {
		got = append(got, strings.TrimSuffix(file.Name(), ".json"))
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(languages)), got); diff != "" {
		t.Errorf("files in locales (-want +got):\n%s", diff)
	}
}

func TestLocale(t *testing.T) {
	t.Parallel()
	for locale, want := range map[string]string{
		"": "en", "en": "en", "en-GB": "en", "EN": "en", "de": "de", "de-AT": "de", "de_CH": "de", "DE-1996": "de", "fr-CA": "fr",
		"es-419": "es", "ja-JP": "ja", "ja-Hrkt-JP": "ja", "pt-BR": "en", "zh-Hant": "en", "den": "en", "d": "en", "x-de": "en",
		"i-default": "en", "../de": "en", "de/../fr": "en", "\x00": "en", "-de": "en",
	} {
		if got := words(locale).lang; got != want {
			t.Errorf("words(%q) are %s, want %s", locale, got, want)
		}
	}
}

// TestCataloguesSayTheSame: the same keys in the same order, with the same things filled in.
func TestCataloguesSayTheSame(t *testing.T) {
	t.Parallel()
	english := words("en").says
	order := keysInFile(t, "en")
	for _, lang := range languages {
		says := words(lang).says
		if got := keysInFile(t, lang); !slices.Equal(got, order) {
			t.Errorf("%s: keys (-en +%s):\n%s", lang, lang, cmp.Diff(order, got))
		}
		for key, sentence := range says {
			want := slices.Sorted(slices.Values(placeholder.FindAllString(english[key], -1)))
			got := slices.Sorted(slices.Values(placeholder.FindAllString(sentence, -1)))
			if !slices.Equal(got, want) {
				t.Errorf("%s: %s names %v, and %v in English", lang, key, got, want)
			}
		}
	}
}

// keysInFile returns the keys in the order in which a translator sees them. A key that came twice would be lost in a map.
func keysInFile(t *testing.T, lang string) (keys []string) {
	t.Helper()
	text, err := os.ReadFile("locales/" + lang + ".json")
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`(?m)^  "([^"]+)": "`).FindAllStringSubmatch(string(text), -1) {
		if slices.Contains(keys, match[1]) {
			t.Errorf("%s: %s comes twice", lang, match[1])
		}
		keys = append(keys, match[1])
	}
	if got, want := len(keys), len(words(lang).says); got != want {
		t.Fatalf("%s: %d lines, %d keys", lang, got, want)
	}
	return keys
}

// TestSentences holds each sentence to what its language and mail programs ask for.
func TestSentences(t *testing.T) {
	t.Parallel()
	for _, lang := range languages {
		for key, sentence := range words(lang).says {
			bad := func(why string) { t.Errorf("%s: %s: %s: %q", lang, key, why, sentence) }
			rest := placeholder.ReplaceAllString(sentence, "")
			switch {
			case sentence == "":
				bad("is empty")
			case strings.ContainsAny(rest, "{}<>&\n\r\t") || strings.Contains(sentence, "  ") || strings.TrimSpace(sentence) != sentence:
				bad("has a stray character")
			case strings.Contains(sentence, "{support}") && !strings.HasSuffix(sentence, "{support}"):
				bad("goes on after {support}: mail programs make what follows part of the link")
			case regexp.MustCompile(`\b(https?|mailto):`).MatchString(sentence):
				bad("has a link of its own")
			}
			switch lang {
			case "fr":
				if regexp.MustCompile(`[^\x{a0}][:;?!»]|«[^\x{a0}]| [:;?!»]|'`).MatchString(sentence) && key != "time" {
					bad("wants a no-break space before : ; ? ! » and after «, and ’ for an apostrophe")
				}
			case "es":
				if strings.Count(sentence, "?") != strings.Count(sentence, "¿") {
					bad("wants ¿ before each question")
				}
			case "ja":
				if regexp.MustCompile(`[,.?!:;()]|\p{Latin}[（：]\b`).MatchString(placeholder.ReplaceAllString(sentence, "")) && key != "time" {
					bad("wants full-width punctuation")
				}
			}
		}
	}
}

// TestEveryKeyIsUsed: without any one of its keys a language lacks something in some mail, and that is an error.
func TestEveryKeyIsUsed(t *testing.T) {
	t.Parallel()
	all := samples()
	for month := time.January; month <= time.December; month++ {
		s := sample{month.String(), all[0].Content}
		s.At = time.Date(2026, month, 1, 0, 0, 0, 0, time.UTC)
		all = append(all, s)
	}
	whole := words("en")
	for key := range whole.says {
		without := catalogue{whole.lang, maps.Clone(whole.says)}
		delete(without.says, key)
		if !slices.ContainsFunc(all, func(s sample) bool { _, err := compose(s.Content, without); return err != nil }) {
			t.Errorf("no mail misses %s", key)
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	at := func(month time.Month, day, hour, minute int) time.Time {
		return time.Date(2026, month, day, hour, minute, 59, 999, time.FixedZone("", 2*60*60))
	}
	for _, c := range []struct {
		lang string
		at   time.Time
		want string
	}{
		{"en", at(time.March, 4, 16, 5), "4 March 2026, 14:05 UTC"},
		{"es", at(time.March, 4, 16, 5), "4 de marzo de 2026, 14:05 UTC"},
		{"de", at(time.March, 4, 16, 5), "4. März 2026, 14:05 Uhr (UTC)"},
		{"fr", at(time.March, 4, 16, 5), "4 mars 2026 à 14\u00a0h\u00a005 (UTC)"},
		{"ja", at(time.March, 4, 16, 5), "2026年3月4日 14:05（UTC）"},
		{"en", at(time.December, 1, 3, 0), "1 December 2026, 01:00 UTC"},
		{"fr", at(time.December, 1, 3, 0), "1er décembre 2026 à 01\u00a0h\u00a000 (UTC)"},
		{"fr", at(time.December, 1, 1, 0), "30 novembre 2026 à 23\u00a0h\u00a000 (UTC)"},
		{"ja", at(time.December, 1, 3, 0), "2026年12月1日 01:00（UTC）"},
	} {
		d := &draft{words: words(c.lang)}
		if got := d.time(c.at); got != c.want || d.err != nil {
			t.Errorf("%s: got %q, %v; want %q", c.lang, got, d.err, c.want)
		}
	}
}
