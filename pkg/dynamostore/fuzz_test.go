package dynamostore

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// FuzzDecodeAccount: an item is the account of its user, which can be stored again, or an error.
func FuzzDecodeAccount(f *testing.F) {
	for _, image := range []string{
		`{}`,
		`{"user":{"S":"u"},"schema":{"N":"1"},"version":{"N":"3"},"writes":{"B":"AAAAAAAAAAAAAAAAAAAAAAAA"}}`,
		`{"user":{"S":"u"},"schema":{"N":"1"},"version":{"N":"3"},"auth":{"M":{"secret":{"M":{"gen":{"N":"4"},"box":{"B":"AT2OxMk="}}},"activated":{"N":"1772366400123"},"last":{"N":"59093400"}}}}`,
		`{"user":{"S":"u"},"schema":{"N":"1"},"version":{"N":"3"},"auth":{"NULL":true}}`,
		`{"user":{"S":"u"},"schema":{"N":"1.5"},"version":{"N":"1e3"}}`,
		`{"user":{"S":"u"},"schema":{"N":"99"},"version":{"N":"3"}}`,
		`{"user":{"S":"u"},"schema":{"N":"1"},"version":{"N":"3"},"writes":{"B":"AAAA"},"past":{"B":"AAAAAAAAAAAA"}}`,
	} {
		f.Add([]byte(image))
	}
	f.Fuzz(func(t *testing.T, image []byte) {
		if strings.Contains(string(image), "BS") {
			return // aws-lambda-go's own decoder of binary sets panics
		}
		var attributes map[string]events.DynamoDBAttributeValue
		if json.Unmarshal(image, &attributes) != nil {
			return // nothing that a table holds
		}
		stored := item{}
		for name, v := range attributes {
			a, err := attribute(v)
			if err != nil {
				return
			}
			stored[name] = a
		}
		wantAccountOrError(t, stored)
	})
}

// FuzzParseCursor: a cursor leads into the list that gave it, and has as many parts as a key of it.
func FuzzParseCursor(f *testing.F) {
	f.Add(cursor([]string{"u", "2026-03-01T23:59:59.003Z#v000000000003-00"}))
	f.Add(cursor([]string{"v", "2026-03-01T23:59:59.003Z#v000000000003-00"}))
	f.Add(inBase64(`["u",null]`))
	f.Add(inBase64(`["u","\ud800"]`))
	f.Fuzz(func(t *testing.T, s string) {
		key, err := parseCursor(s, "u", 2)
		if err != nil {
			if key != nil || !errors.Is(err, twofactor.ErrCursor) {
				t.Errorf("%q: %q, %v", s, key, err)
			}
			return
		}
		again, err := parseCursor(cursor(key), "u", 2)
		if err != nil || len(key) != 2 || key[0] != "u" || again[1] != key[1] {
			t.Errorf("%q is %q, and then %q, %v", s, key, again, err)
		}
	})
}
