package mail

import (
	"embed"
	"encoding/json"
	"path"
	"strings"
	"sync"
)

//go:embed locales/*.json
var locales embed.FS

// A catalogue is what mails say in one language, by key.
type catalogue struct {
	lang string // a BCP 47 language: "de"
	says map[string]string
}

// fallback is the language of those whose own there is not.
const fallback = "en"

var (
	catalogues     map[string]catalogue
	loadCatalogues sync.Once // not before the first mail: whoever only reads tags needs none
)

// words returns the words of the locale's language.
func words(locale string) catalogue {
	loadCatalogues.Do(func() {
		files, err := locales.ReadDir("locales")
		must(err)
		catalogues = map[string]catalogue{}
		for _, file := range files {
			text, err := locales.ReadFile("locales/" + file.Name())
			must(err)
			c := catalogue{lang: strings.TrimSuffix(file.Name(), path.Ext(file.Name()))}
			must(json.Unmarshal(text, &c.says))
			catalogues[c.lang] = c
		}
	})
	// RFC 5646, section 2.1: the language comes first, and case does not matter. Some write an underscore.
	lang, _, _ := strings.Cut(strings.ReplaceAll(strings.ToLower(locale), "_", "-"), "-")
	if c, ok := catalogues[lang]; ok {
		return c
	}
	return catalogues[fallback]
}

// must is for what the program carries in itself: every test fails before any user could.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
