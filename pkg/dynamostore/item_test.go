package dynamostore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/nightlatch/nightlatch/pkg/totp"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// TestAnyAccount: whatever an account holds survives, a field that is added later included.
func TestAnyAccount(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := new(twofactor.Account)
		draw(t, reflect.ValueOf(a).Elem(), "account")
		a.User, a.Schema = "u", twofactor.Schema
		a.Version = rapid.Int64Range(1, 1<<62).Draw(t, "version")
		for n := range a.Events {
			if rapid.Bool().Draw(t, "id as twofactor has it") {
				a.Events[n].ID = fmt.Sprintf("v%012d-%02d", a.Version, n)
			}
			if rapid.Bool().Draw(t, "the usual outcome") {
				a.Events[n].Outcome, a.Events[n].Actor = twofactor.Succeeded, twofactor.ActorUser
			}
		}
		for n := range a.Writes {
			if rapid.Bool().Draw(t, "write id as twofactor has it") {
				a.Writes[n] = twofactor.NewWriteID()
			}
		}
		if a.Authenticator != nil && rapid.Bool().Draw(t, "usual") {
			a.Authenticator.Params = usual
		}
		if n := len(a.Challenges); n > 0 && a.SignIn != nil && rapid.Bool().Draw(t, "signed in with") {
			a.SignIn.Challenge = a.Challenges[rapid.IntRange(0, n-1).Draw(t, "the challenge")].Challenge
		}
		if len(a.Events) > 0 && a.SignIn != nil && rapid.Bool().Draw(t, "signed in just now") {
			a.SignIn.At = a.Events[0].At
		}
		if a.Past != nil && rapid.Bool().Draw(t, "past as it is") {
			a.Past.Version = a.Version - rapid.Int64Range(1, 1000).Draw(t, "versions back")
		}
		wantSame(t, a)
	})
}

type failer interface {
	Helper()
	Errorf(format string, args ...any)
}

// wantSame fails unless the account is the same when it has been an item.
func wantSame(t failer, a *twofactor.Account) item {
	t.Helper()
	stored, err := encodeAccount(a, "eu-central-1")
	if err != nil {
		t.Errorf("encodeAccount: %v", err)
	}
	again, err := encodeAccount(a, "eu-central-1")
	if err != nil {
		t.Errorf("encodeAccount again: %v", err)
	}
	got, err := decodeAccount(a.User, again)
	if diff := cmp.Diff(a, got, cmpopts.EquateEmpty(), inUTC); diff != "" || err != nil {
		t.Errorf("decodeAccount: %v (-want +got):\n%s", err, diff)
	}
	return stored
}

// inUTC holds times to be in UTC, too.
var inUTC = cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) && a.Location() == b.Location() })

// draw sets a value to anything that an account may hold, nothing among it. Few texts are drawn from, so that they are
// often the same.
func draw(t *rapid.T, v reflect.Value, name string) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		if ms := rapid.Int64Range(-1e14, 1e14).Draw(t, name); ms%2 == 0 {
			v.Set(reflect.ValueOf(time.UnixMilli(ms).UTC()))
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			draw(t, v.Field(i), v.Type().Field(i).Name)
		}
	case reflect.Pointer:
		switch rapid.IntRange(0, 3).Draw(t, name) {
		case 0:
		case 1:
			v.Set(reflect.New(v.Type().Elem())) // not nothing, although there is nothing in it
		default:
			v.Set(reflect.New(v.Type().Elem()))
			draw(t, v.Elem(), name)
		}
	case reflect.Slice:
		n := rapid.IntRange(0, 4).Draw(t, name)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			draw(t, v.Index(i), name)
		}
	case reflect.Array:
		for i := range v.Len() {
			draw(t, v.Index(i), name)
		}
	case reflect.String:
		v.SetString(rapid.SampledFrom([]string{
			"", "a", "b", "203.0.113.7", "2001:db8::7", "2001:DB8::7", "0", "é\u2028\x00", "AAAAAAAAAAAA", "AAAAAAAAA\n\nA", "AAAAAAAAAAA=", strings.Repeat("a", 300),
		}).Draw(t, name))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, name))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.OneOf(rapid.Just(int64(0)), rapid.Int64()).Draw(t, name))
	case reflect.Uint8, reflect.Uint32:
		v.SetUint(uint64(rapid.Uint8().Draw(t, name)))
	default:
		t.Fatalf("%s: say how to draw it", v.Type())
	}
}

// TestSharedOrigin: the events of a version say where they came from, in all combinations of same, other and none.
func TestSharedOrigin(t *testing.T) {
	t.Parallel()
	said := []string{"", "203.0.113.7", "2001:db8::7"}
	for n := range 3 * 3 * 3 * 3 * 3 * 3 {
		pick := func() string { s := said[n%3]; n /= 3; return s }
		a := first("u")
		a.Events = []twofactor.Event{
			{ID: "a", At: at(1), IP: pick(), UserAgent: pick()},
			{ID: "b", At: at(1), IP: pick(), UserAgent: pick()},
			{ID: "a", At: at(2), IP: pick(), UserAgent: pick()},
		}
		wantSame(t, a)
	}
}

// TestAddresses: an address is its bytes, unless they would come back in another spelling.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for ip, want := range map[string]int{
		"203.0.113.7": 4, "2001:db8::7": 16, "2001:db8f:85a3:18d3:1319:8a2e:1370:7348": 16, "::ffff:203.0.113.7": 16, "0.0.0.0": 4, "::": 16,
		"2001:DB8::7": 0, "2001:db8:0::7": 0, "fe80::1%eth0": 0, "203.0.113.07": 0, "203.0.113.7:443": 0, "unknown": 0, "invalid IP": 0,
	} {
		a := first("u")
		a.Events = []twofactor.Event{{At: at(1), IP: ip}}
		stored := eventsOf(wantSame(t, a))[0]["ip"]
		if b, ok := stored.(*types.AttributeValueMemberB); ok != (want > 0) || ok && len(b.Value) != want {
			t.Errorf("%s is stored as %v, want %d bytes", ip, stored, want)
		}
	}
}

// TestReadable: people are shown the account with what its item leaves out.
func TestReadable(t *testing.T) {
	t.Parallel()
	s := open(t)
	a := next(first("u"))
	a.Authenticator = &twofactor.Authenticator{Params: usual}
	a.Events = []twofactor.Event{
		{ID: "v000000000002-00", At: at(1), Type: "login", Outcome: "success", Actor: "user", IP: "203.0.113.7"},
		{ID: "v000000000002-01", At: at(1), Type: "locked", Outcome: "success", Actor: "user", IP: "203.0.113.7"},
	}
	byHand(t, s, s.tables.Accounts, wantSame(t, a))
	raw, err := s.Item(t.Context(), "u")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Auth   struct{ Params totp.Params }
		Events []map[string]any
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	event := func(id, what string) map[string]any {
		return map[string]any{"id": id, "at": float64(at(1).UnixMilli()), "type": what, "outcome": "success", "actor": "user", "ip": "203.0.113.7"}
	}
	want := []map[string]any{event("v000000000002-00", "login"), event("v000000000002-01", "locked")}
	if diff := cmp.Diff(want, got.Events); diff != "" || got.Auth.Params != usual {
		t.Errorf("shown is %s, events (-want +got):\n%s", raw, diff)
	}
}

// usual are the parameters that are left out, whatever package totp's default is.
var usual = totp.Params{Algorithm: totp.SHA1, Digits: 6, Period: 30}

// TestDamagedPast: what is not where the events before are is damage.
func TestDamagedPast(t *testing.T) {
	t.Parallel()
	a := next(first("u"))
	a.Past = &twofactor.Recorded{Version: 1, At: at(1), Events: 1}
	stored := wantSame(t, a)
	packed := stored["past"].(*types.AttributeValueMemberB).Value
	for _, b := range [][]byte{{}, packed[:1], packed[:2], packed[:len(packed)-1], append(slices.Clone(packed), 0), bytes.Repeat([]byte{0xff}, 40)} {
		spoilt := maps.Clone(stored)
		spoilt["past"] = &types.AttributeValueMemberB{Value: b}
		if got, err := decodeAccount("u", spoilt); !errors.Is(err, ErrDamaged) {
			t.Errorf("past %x: %+v, %v; want ErrDamaged", b, got, err)
		}
	}
}

// TestDamagedSignIn: what stands for the time of the version's first event is damage where there is none, and so is more
// than that.
func TestDamagedSignIn(t *testing.T) {
	t.Parallel()
	a := next(first("u"))
	a.SignIn = &twofactor.Success{At: a.Events[0].At, Challenge: twofactor.Digest{1}}
	for name, spoil := range map[string]func(item){
		"no events":  func(i item) { delete(i, "events") },
		"an empty":   func(i item) { i["events"] = list() },
		"no time":    func(i item) { delete(eventsOf(i)[0], "at") },
		"some bytes": func(i item) { members(i["sign_in"])["at"] = bytesOf(1) },
	} {
		stored := wantSame(t, a)
		spoil(stored)
		if got, err := decodeAccount("u", stored); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %+v, %v; want ErrDamaged", name, got, err)
		}
	}
}

// TestSmall: what is left out of an item, and what not.
func TestSmall(t *testing.T) {
	t.Parallel()
	a := next(next(first("u")))
	a.Authenticator = &twofactor.Authenticator{Params: usual, ActivatedAt: at(1)}
	a.Pending = &twofactor.Enrolment{Authenticator: *a.Authenticator}
	same := event(3)
	same.ID, same.Reason = "v000000000003-01", "lost"
	a.Events = append(a.Events, same)
	a.Events[0].UserAgent = "Firefox" // which the second one lacks
	a.Past = &twofactor.Recorded{Version: 2, At: at(2), Events: 1}
	stored := wantSame(t, a)
	has := func(want bool, path ...string) {
		t.Helper()
		m := stored
		for _, name := range path[:len(path)-1] {
			m = members(m[name])
		}
		if got := m[path[len(path)-1]] != nil; got != want {
			t.Errorf("%v is there: %v, want %v", path, got, want)
		}
	}
	if got := asText(stored["region"]); got != "eu-central-1" {
		t.Errorf("region %q, want that of the store, which consumers of a stream in many Regions ask for", got)
	}
	has(false, "codes")
	has(false, "fresh_since")
	has(false, "auth", "params")
	has(true, "auth", "activated")
	has(false, "pending", "auth", "params")
	has(true, "pending", "auth", "activated")
	if b, ok := stored["writes"].(*types.AttributeValueMemberB); !ok || len(b.Value) != 3*9 {
		t.Errorf("writes %v, want 27 bytes", stored["writes"])
	}
	for n, want := range [][]string{{"at", "ip", "type", "ua"}, {"reason", "ua"}} {
		if got := slices.Sorted(maps.Keys(eventsOf(stored)[n])); !slices.Equal(got, want) {
			t.Errorf("event %d has %v, want %v", n, got, want)
		}
	}
	if b, ok := stored["past"].(*types.AttributeValueMemberB); !ok || len(b.Value) != 1+1+6 {
		t.Errorf("past %v, want 8 bytes", stored["past"])
	}
	a.SignIn = &twofactor.Success{Challenge: twofactor.Digest{1}}
	for _, test := range []struct {
		challenges []twofactor.Spent
		there      bool
	}{{nil, true}, {[]twofactor.Spent{{}}, true}, {[]twofactor.Spent{{Challenge: twofactor.Digest{1}}, {}}, true}, {[]twofactor.Spent{{}, {Challenge: twofactor.Digest{1}}}, false}} {
		a.Challenges = test.challenges
		stored = wantSame(t, a)
		has(test.there, "sign_in", "ch")
		has(true, "sign_in", "req")
	}
	for at, want := range map[time.Time]bool{a.Events[0].At: true, at(1): false, {}: false} {
		a.SignIn.At = at
		if _, got := members(wantSame(t, a)["sign_in"])["at"].(*types.AttributeValueMemberB); got != want {
			t.Errorf("signed in at %v, the event was at %v: left out %v, want %v", at, a.Events[0].At, got, want)
		}
	}
	a.Authenticator.Params.Digits = 8
	a.Pending.Authenticator.Params.Algorithm = totp.SHA256
	stored = wantSame(t, a)
	has(true, "auth", "params")
	has(true, "pending", "auth", "params")
}
