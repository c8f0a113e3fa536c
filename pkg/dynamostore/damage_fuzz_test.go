package dynamostore

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"pgregory.net/rapid"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// TestAnyDamage replaces, takes away and adds parts of an item. Never is that a crash, nor somebody else's account.
func TestAnyDamage(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		stored := sound(t, "u")
		for range rapid.IntRange(1, 3).Draw(rt, "damages") {
			damageAny(rt, stored)
		}
		wantAccountOrError(rt, stored)
	})
}

// wantAccountOrError fails unless the item is an account of its user, or an error.
func wantAccountOrError(t failer, stored item) {
	t.Helper()
	user := twofactor.UserID(asText(stored[keyUser]))
	a, err := decodeAccount(user, stored)
	switch {
	case err == nil && (a == nil || a.User != user || user == "" || a.Version < 1 || a.Schema != twofactor.Schema):
		t.Errorf("an account that is none: %+v", a)
	case err == nil: // and it can be stored again
		wantSame(t, a)
	case a != nil || !errors.Is(err, ErrDamaged) && !errors.Is(err, twofactor.ErrNewerSchema):
		t.Errorf("%+v, %v; want nothing and ErrDamaged", a, err)
	}
}

// damageAny changes a member of the map, or of a map in it.
func damageAny(t *rapid.T, m item) {
	names := slices.Sorted(maps.Keys(m))
	if len(names) == 0 {
		return
	}
	name := rapid.SampledFrom(names).Draw(t, "name")
	switch v := m[name].(type) {
	case *types.AttributeValueMemberM:
		if rapid.Bool().Draw(t, "deeper") {
			damageAny(t, v.Value)
			return
		}
	case *types.AttributeValueMemberL:
		if len(v.Value) > 0 && rapid.Bool().Draw(t, "deeper") {
			n := rapid.IntRange(0, len(v.Value)-1).Draw(t, "element")
			if inner := members(v.Value[n]); inner != nil && rapid.Bool().Draw(t, "still deeper") {
				damageAny(t, inner)
			} else {
				v.Value[n] = anything(t)
			}
			return
		}
	}
	switch rapid.IntRange(0, 3).Draw(t, "damage") {
	case 0:
		delete(m, name)
	case 1:
		m[rapid.SampledFrom([]string{"user", "USER", "auth", "events", "writes", "id", "params"}).Draw(t, "added")] = anything(t)
	default:
		m[name] = anything(t)
	}
}

func anything(t *rapid.T) types.AttributeValue {
	switch rapid.IntRange(0, 8).Draw(t, "kind") {
	case 0:
		return &types.AttributeValueMemberNULL{Value: true}
	case 1:
		return flag(true)
	case 2:
		return fraction(rapid.SampledFrom([]string{"0", "-1", "1", "2", "1.5", "1e30", "99999999999999999999"}).Draw(t, "number"))
	case 3:
		return text(rapid.SampledFrom([]string{"", "u", "1", "SHA1", "noon"}).Draw(t, "text"))
	case 4:
		return bytesOf(rapid.IntRange(0, 20).Draw(t, "bytes"))
	case 5:
		return list()
	case 6:
		return list(anything(t), anything(t))
	case 7:
		return &types.AttributeValueMemberM{Value: item{"id": anything(t), "at": anything(t)}}
	}
	return &types.AttributeValueMemberSS{Value: []string{"a"}}
}

// FuzzDecodeRecord holds the same for whatever Lambda delivers.
func FuzzDecodeRecord(f *testing.F) {
	for _, image := range []string{
		`{}`,
		`{"user":{"S":"\tsentinel"},"schema":{"N":"1"}}`,
		`{"user":{"S":"u"},"schema":{"N":"2"},"version":{"S":"x"}}`,
		`{"user":{"S":"u"},"schema":{"N":"1"},"version":{"N":"3"},"region":{"S":"eu-central-1"}}`,
		`{"user":{"S":"u"},"schema":{"N":"1"},"version":{"N":"3"},"writes":{"B":"AAAAAAAAAAAAAAAAAAAAAAAA"},
			"auth":{"M":{"secret":{"M":{"gen":{"N":"4"},"box":{"B":"AT2OxMk="}}},"activated":{"N":"1772366400123"},"last":{"N":"59093400"}}},
			"sign_in":{"M":{"req":{"B":"AAAAAAAAAAAAAAAAAAAAAA=="},"ch":{"B":"AAAA"},"at":{"N":"1"}}},
			"codes":{"M":{"days":{"L":[{"M":{"d":{"N":"20518"},"n":{"N":"5"}}}]}}},
			"events":{"L":[{"M":{"at":{"N":"1"},"type":{"S":"login"},"ip":{"B":"ywBxBw=="},"ua":{"S":"Firefox"}}},{"M":{"ua":{"S":""}}}]}}`,
		`{"user":{"S":"u"},"schema":{"N":"1"},"version":{"N":"3"},"writes":{"B":"AAAA"},"events":{"L":[{"NULL":true},{"M":{}},{"SS":["a"]}]},"auth":{"NULL":true}}`,
	} {
		f.Add([]byte(image))
	}
	f.Fuzz(func(t *testing.T, image []byte) {
		if strings.Contains(string(image), "BS") {
			return // aws-lambda-go's own decoder of binary sets panics
		}
		var r events.DynamoDBEventRecord
		if json.Unmarshal(image, &r.Change.NewImage) != nil {
			return // Lambda delivers nothing like it
		}
		version, ok, err := DecodeRecord(r)
		switch {
		case err != nil && (ok || !reflect.ValueOf(version).IsZero() || !errors.Is(err, ErrDamaged) && !errors.Is(err, twofactor.ErrNewerSchema)):
			t.Errorf("%+v, %v, %v; want nothing and ErrDamaged", version, ok, err)
		case ok && (version.User.Validate() != nil || version.Version < 1):
			t.Errorf("a version that is none: %+v", version)
		}
	})
}
