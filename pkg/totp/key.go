package totp

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// Key is what a key URI says.
type Key struct {
	Secret  Secret
	Params  Params
	Account string // of the label, without the issuer; empty if it names none
}

// ParseURI reads a key URI, as URI writes it and other services do: what is left out has its default value, and parameters
// that it does not know change no code. Its errors name the part that is wrong and quote none.
func ParseURI(uri string) (Key, error) {
	parsed, err := url.Parse(strings.TrimSpace(uri))
	switch {
	case err != nil || parsed.Scheme != "otpauth":
		return Key{}, errors.New("must begin with otpauth://totp/")
	case strings.EqualFold(parsed.Host, "hotp"):
		return Key{}, errors.New("is of a key whose codes count (HOTP): only those that follow the time (TOTP) can be used")
	case !strings.EqualFold(parsed.Host, "totp"):
		return Key{}, errors.New("must begin with otpauth://totp/")
	}
	query, err := url.ParseQuery(parsed.RawQuery)
	if err != nil {
		return Key{}, errors.New("its parameters cannot be read: each is name=value, with & between them")
	}
	given := map[string]string{}
	for name, values := range query {
		name = strings.ToLower(name)
		if _, twice := given[name]; twice || len(values) > 1 {
			switch name {
			case "secret", "algorithm", "digits", "period", "encoder":
				return Key{}, errors.New(name + ": is given twice")
			}
		}
		given[name] = values[0]
	}
	if _, other := given["encoder"]; other {
		return Key{}, errors.New("encoder: its codes are no decimal digits")
	}
	key := Key{Params: Default, Account: accountOf(strings.TrimPrefix(parsed.Path, "/"))}
	if key.Secret, err = ParseSecret(given["secret"]); err != nil {
		return Key{}, err
	}
	if name, ok := given["algorithm"]; ok {
		key.Params.Algorithm = ParseAlgorithm(name)
	}
	for name, number := range map[string]*int{"digits": &key.Params.Digits, "period": &key.Params.Period} {
		if text, ok := given[name]; ok {
			*number, _ = strconv.Atoi(text) // zero, for what is no number, is in no range
		}
	}
	if err := key.Params.Validate(); err != nil {
		return Key{}, err
	}
	return key, nil
}

// ParseAlgorithm reads the name of an algorithm as others write it too: sha1, SHA-256, HmacSHA512. What it does not know is
// none, and not valid.
func ParseAlgorithm(name string) Algorithm {
	bare := strings.ToUpper(strings.NewReplacer("-", "", "_", "").Replace(name))
	if a := Algorithm(strings.TrimPrefix(bare, "HMAC")); a.hash() != nil {
		return a
	}
	return ""
}

// accountOf is the account in a label, which may have an issuer and a colon before it.
func accountOf(label string) string {
	if _, account, ok := strings.Cut(label, ":"); ok {
		label = account
	}
	return strings.TrimSpace(label)
}
