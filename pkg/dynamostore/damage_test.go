package dynamostore

import (
	"errors"
	"maps"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// byHand puts an item into a table as nobody but a person would.
func byHand(t testing.TB, s *Store, table string, i item) {
	t.Helper()
	if _, err := s.client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: i}); err != nil {
		t.Fatal(err)
	}
}

// sound is an account's item in which much is set, its version 3, written in another Region.
func sound(t testing.TB, user twofactor.UserID) item {
	t.Helper()
	a := next(next(first(user)))
	a.Authenticator = &twofactor.Authenticator{ActivatedAt: at(1)}
	a.BackupCode = &twofactor.BackupCode{Digest: [16]byte{1}, Length: 13, IssuedAt: at(1)}
	a.Challenges = []twofactor.Spent{{Challenge: twofactor.RandomDigest(), Until: at(1)}}
	a.SignIn = &twofactor.Success{Request: twofactor.RandomDigest(), At: at(1)}
	a.Events = []twofactor.Event{event(3), event(4)}
	i, err := encodeAccount(a, "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func flag(v bool) types.AttributeValue { return &types.AttributeValueMemberBOOL{Value: v} }

var none = &types.AttributeValueMemberNULL{Value: true}

func bytesOf(n int) types.AttributeValue { return &types.AttributeValueMemberB{Value: make([]byte, n)} }

func list(v ...types.AttributeValue) types.AttributeValue {
	return &types.AttributeValueMemberL{Value: v}
}

func fraction(s string) types.AttributeValue { return &types.AttributeValueMemberN{Value: s} }

// TestDamagedAccount: an item that this package cannot have written is an error for whoever loads it or loses to it, and
// never the account of somebody without a second factor.
func TestDamagedAccount(t *testing.T) {
	t.Parallel()
	s := open(t)
	for name, damage := range map[string]func(item){
		"bare": func(i item) {
			maps.DeleteFunc(i, func(name string, _ types.AttributeValue) bool { return name != keyUser })
		},
		"no schema":                  func(i item) { delete(i, attrSchema) },
		"a schema in words":          func(i item) { i[attrSchema] = text("one") },
		"a schema as text":           func(i item) { i[attrSchema] = text("1") },
		"schema 0":                   func(i item) { i[attrSchema] = number(0) },
		"schema 1.5":                 func(i item) { i[attrSchema] = fraction("1.5") },
		"no version":                 func(i item) { delete(i, attrVersion) },
		"a version as text":          func(i item) { i[attrVersion] = text("3") },
		"version 0":                  func(i item) { i[attrVersion] = number(0) },
		"version -3":                 func(i item) { i[attrVersion] = number(-3) },
		"version 3.5":                func(i item) { i[attrVersion] = fraction("3.5") },
		"a version too large":        func(i item) { i[attrVersion] = fraction("1e30") },
		"an authenticator's text":    func(i item) { i["auth"] = text("on") },
		"an authenticator's flag":    func(i item) { i["auth"] = flag(true) },
		"an authenticator's list":    func(i item) { i["auth"] = list() },
		"a backup code's number":     func(i item) { i["backup"] = number(7) },
		"a short digest":             func(i item) { i["sign_in"].(*types.AttributeValueMemberM).Value["req"] = bytesOf(15) },
		"a long digest":              func(i item) { i["sign_in"].(*types.AttributeValueMemberM).Value["req"] = bytesOf(17) },
		"a digest as text":           func(i item) { i["sign_in"].(*types.AttributeValueMemberM).Value["req"] = text("AAAA") },
		"a time in words":            func(i item) { i["sign_in"].(*types.AttributeValueMemberM).Value["at"] = text("noon") },
		"a time as a flag":           func(i item) { i["sign_in"].(*types.AttributeValueMemberM).Value["at"] = flag(true) },
		"a time's fraction":          func(i item) { i["sign_in"].(*types.AttributeValueMemberM).Value["at"] = fraction("0.5") },
		"challenges as a number":     func(i item) { i["challenges"] = number(1) },
		"a challenge as text":        func(i item) { i["challenges"] = list(text("AAAA")) },
		"writes cut short":           func(i item) { i["writes"] = bytesOf(10) },
		"events as text":             func(i item) { i["events"] = text("login") },
		"an event as text":           func(i item) { i["events"] = list(text("login")) },
		"an event as a list":         func(i item) { i["events"] = list(list()) },
		"nothing as authenticator":   func(i item) { i["auth"] = none },
		"nothing as throttle":        func(i item) { i["codes"] = none },
		"nothing as challenges":      func(i item) { i["challenges"] = none },
		"a backup code's list":       func(i item) { i["backup"] = list() },
		"a throttle's list":          func(i item) { i["codes"] = list() },
		"nothing as challenge":       func(i item) { i["challenges"] = list(none) },
		"nothing in a challenge":     func(i item) { i["challenges"] = list(&types.AttributeValueMemberM{Value: item{"until": none}}) },
		"nothing in a success":       func(i item) { i["sign_in"].(*types.AttributeValueMemberM).Value["at"] = none },
		"nothing in the first event": func(i item) { eventsOf(i)[0]["type"] = none },
		"nothing in both events":     func(i item) { eventsOf(i)[0]["reason"], eventsOf(i)[1]["reason"] = none, none },
		"nothing before an event":    func(i item) { eventsOf(i)[1]["reason"] = none },
		"nothing as event":           func(i item) { i["events"] = list(none) },
		"a throttle's bytes":         func(i item) { i["codes"] = bytesOf(3) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user := twofactor.UserID(name)
			i := sound(t, user)
			damage(i)
			byHand(t, s, s.tables.Accounts, i)
			a, err := s.Load(t.Context(), user)
			if !errors.Is(err, ErrDamaged) || a != nil {
				t.Errorf("Load = %v, %v; want ErrDamaged", a, err)
			}
			late := next(first(user))
			for _, loser := range []*twofactor.Account{first(user), late, {User: user, Schema: 1, Version: 99}} {
				err := s.Replace(t.Context(), loser)
				if _, conflict := isConflict(err); !errors.Is(err, ErrDamaged) || conflict {
					t.Errorf("Replace by version %d: %v, want ErrDamaged", loser.Version, err)
				}
			}
			if raw, err := s.Item(t.Context(), user); err != nil || len(raw) == 0 {
				t.Errorf("Item = %s, %v; want it as it is", raw, err)
			}
		})
	}
}

// TestAnothersAccount: an account is its key's.
func TestAnothersAccount(t *testing.T) {
	t.Parallel()
	for _, user := range []twofactor.UserID{"alice", "Bob", "bob ", "", Sentinel} {
		a, err := decodeAccount(user, sound(t, "bob"))
		if !errors.Is(err, ErrDamaged) || a != nil {
			t.Errorf("bob's item as %q's: %v, %v; want ErrDamaged", user, a, err)
		}
	}
	for _, user := range []twofactor.UserID{"", Sentinel} {
		if a, err := decodeAccount(user, sound(t, user)); !errors.Is(err, ErrDamaged) || a != nil {
			t.Errorf("an item of %q: %v, %v; want ErrDamaged", user, a, err)
		}
	}
}

// asStored compares items.
var asStored = cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(
	types.AttributeValueMemberS{}, types.AttributeValueMemberN{}, types.AttributeValueMemberB{}, types.AttributeValueMemberBOOL{},
	types.AttributeValueMemberL{}, types.AttributeValueMemberM{}, types.AttributeValueMemberNULL{},
)}

// TestNewerSchema: an item of a newer schema is told apart whatever else has changed in it, and is left alone.
func TestNewerSchema(t *testing.T) {
	t.Parallel()
	s := open(t)
	for name, change := range map[string]func(item){
		"as it was":        func(item) {},
		"no version":       func(i item) { delete(i, attrVersion) },
		"no authenticator": func(i item) { delete(i, "auth") },
		"other types":      func(i item) { i["auth"], i["events"], i[attrVersion] = list(), number(1), text("3a") },
	} {
		user := twofactor.UserID(name)
		i := sound(t, user)
		i[attrSchema] = number(twofactor.Schema + 1)
		change(i)
		byHand(t, s, s.tables.Accounts, i)
		if a, err := s.Load(t.Context(), user); !errors.Is(err, twofactor.ErrNewerSchema) || a != nil {
			t.Errorf("%s: Load = %v, %v; want ErrNewerSchema", name, a, err)
		}
		for _, replaced := range []*twofactor.Account{first(user), next(first(user)), next(next(next(first(user))))} {
			if err := s.Replace(t.Context(), replaced); !errors.Is(err, twofactor.ErrNewerSchema) {
				t.Errorf("%s: Replace by version %d: %v, want ErrNewerSchema", name, replaced.Version, err)
			}
		}
		if got, err := s.get(t.Context(), s.tables.Accounts, keyUser, name); err != nil || !cmp.Equal(i, got, asStored) {
			t.Errorf("%s: stored is %v, %v; want it as it was", name, got, err)
		}
	}
}

// TestUnknownAttribute: what the schema does not announce may be lost. An operator's note neither locks its user out nor
// outlives the next write.
func TestUnknownAttribute(t *testing.T) {
	t.Parallel()
	s := open(t)
	i := sound(t, "u")
	i["note"] = text("called on Monday")
	i["sign_in"].(*types.AttributeValueMemberM).Value["note"] = list(flag(true))
	byHand(t, s, s.tables.Accounts, i)
	a, err := s.Load(t.Context(), "u")
	if err != nil || a.Version != 3 || !a.Enabled() || a.SignIn == nil {
		t.Fatalf("Load = %+v, %v", a, err)
	}
	put(t, s, a, 1)
	got, err := s.get(t.Context(), s.tables.Accounts, keyUser, "u")
	if err != nil || got["note"] != nil || asText(got[attrRegion]) != "eu-central-1" {
		t.Errorf("stored is %v, %v; want it without a note, and by this Region", got, err)
	}
}

// TestDamagedElsewhere: the other items are held to what they must be as well.
func TestDamagedElsewhere(t *testing.T) {
	t.Parallel()
	s := open(t)
	value := bytesOf(3)
	for name, i := range map[string]item{
		"no version": {attrValue: value}, "no value": {attrVersion: number(1)}, "version 0": {attrVersion: number(0), attrValue: value},
		"version -1": {attrVersion: number(-1), attrValue: value}, "version 1.5": {attrVersion: fraction("1.5"), attrValue: value},
		"a version in words": {attrVersion: text("one"), attrValue: value}, "a value as text": {attrVersion: number(1), attrValue: text("abc")},
	} {
		i[keyName] = text(name)
		byHand(t, s, s.tables.Config, i)
		if value, version, err := s.LoadConfig(t.Context(), name); !errors.Is(err, ErrDamaged) || value != nil || version != 0 {
			t.Errorf("LoadConfig(%s) = %q, %d, %v; want ErrDamaged", name, value, version, err)
		}
	}
	for name, i := range map[string]item{"a type's list": {"type": list()}, "a time in words": {"at": text("noon")}} {
		i[keyUser], i[keyPlace] = text(name), text(place(event(1)))
		byHand(t, s, s.tables.History, i)
		if p, err := s.History(t.Context(), twofactor.UserID(name), twofactor.Page{Limit: 1}); !errors.Is(err, ErrDamaged) || p.Events != nil {
			t.Errorf("History(%s) = %v, %v; want ErrDamaged", name, p, err)
		}
		if p, err := s.HistoryAfter(t.Context(), twofactor.UserID(name), twofactor.Event{}, 1); !errors.Is(err, ErrDamaged) || p != nil {
			t.Errorf("HistoryAfter(%s) = %v, %v; want ErrDamaged", name, p, err)
		}
	}
	byHand(t, s, s.tables.Accounts, item{
		keyUser: text("u"), keyWaits: text(string(twofactor.WaitingReview)), keyDue: fraction("1.5"),
	})
	if p, err := s.Due(t.Context(), twofactor.WaitingReview, twofactor.Page{Limit: 1}); !errors.Is(err, ErrDamaged) || p.Accounts != nil {
		t.Errorf("Due = %v, %v; want ErrDamaged", p, err)
	}
}
