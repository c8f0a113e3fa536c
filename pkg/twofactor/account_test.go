package twofactor

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/totp"
)

// TestNextSharesNothing: the next version of an account in which everything is set shares no memory with it but byte strings, which
// are never changed in place. A field that is added to Account is seen here without a change to this test.
func TestNextSharesNothing(t *testing.T) {
	t.Parallel()
	full := &Account{}
	fill(t, reflect.ValueOf(full).Elem(), 1)
	next := full.next("write", time.Time{}, noon)
	seen := map[uintptr]string{}
	references(reflect.ValueOf(full).Elem(), "Account", func(path string, at uintptr) { seen[at] = path })
	if len(seen) < 15 {
		t.Fatalf("only %d references are set: %v", len(seen), seen)
	}
	references(reflect.ValueOf(next).Elem(), "Account", func(path string, at uintptr) {
		if seen[at] != "" {
			t.Errorf("%s is shared", path)
		}
	})
	if next.Events != nil {
		t.Errorf("events of the version before: %v", next.Events)
	}
}

// TestNextKeepsAll: but for version, write id and events nothing is lost by a copy, as long as nothing has run out.
func TestNextKeepsAll(t *testing.T) {
	t.Parallel()
	full := &Account{}
	fill(t, reflect.ValueOf(full).Elem(), 1)
	full.Codes.Days[0].Day = day(noon)
	full.ReuseQuiet = hours(noon)
	next := full.next("write", time.Time{}, noon.Add(-1000*time.Hour))
	want := *full
	want.Schema, want.Version, want.Events = Schema, full.Version+1, nil
	want.Writes = append([]WriteID{full.Writes[0]}, "write")
	want.Past = &Recorded{Version: full.Version, At: noon, Events: 1}
	if diff := cmp.Diff(&want, next); diff != "" {
		t.Errorf("next (-want +got):\n%s", diff)
	}
	image, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	var loaded Account
	if err := json.Unmarshal(image, &loaded); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(full, &loaded); diff != "" {
		t.Errorf("stored and loaded (-before +after):\n%s", diff)
	}
}

// fill sets every field to something that is not zero: times lie at noon.
func fill(t *testing.T, v reflect.Value, n int64) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(noon))
			return
		}
		for i := range v.NumField() {
			fill(t, v.Field(i), n+int64(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 4)) // with room, so that an append would be seen
		fill(t, v.Index(0), n)
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i), n)
		}
	case reflect.String:
		v.SetString(fmt.Sprint("text", n))
	case reflect.Int, reflect.Int64:
		v.SetInt(n)
	case reflect.Uint8, reflect.Uint32:
		v.SetUint(uint64(n))
	case reflect.Bool:
		v.SetBool(true)
	default:
		t.Fatalf("a field of kind %s: say here how to fill it", v.Kind())
	}
}

// references reports where every pointer and slice leads, byte strings excepted.
func references(v reflect.Value, path string, report func(path string, at uintptr)) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			references(v.Field(i), path+"."+v.Type().Field(i).Name, report)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			report(path, v.Pointer())
			references(v.Elem(), path, report)
		}
	case reflect.Slice:
		if v.Cap() > 0 && v.Type().Elem().Kind() != reflect.Uint8 {
			report(path, v.Pointer())
			for i := range v.Len() {
				references(v.Index(i), fmt.Sprintf("%s[%d]", path, i), report)
			}
		}
	}
}

// TestWritesKept: the last eight write ids, newest last.
func TestWritesKept(t *testing.T) {
	t.Parallel()
	a := &Account{User: alice}
	for i := range 12 {
		a = a.next(WriteID(fmt.Sprint(i)), time.Time{}, noon)
	}
	if diff := cmp.Diff([]WriteID{"4", "5", "6", "7", "8", "9", "10", "11"}, a.Writes); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
	if a.Version != 12 || a.Schema != Schema {
		t.Errorf("version %d, schema %d; want 12, %d", a.Version, a.Schema, Schema)
	}
}

// TestTidy: what has run out goes with the next write, to the moment.
func TestTidy(t *testing.T) {
	t.Parallel()
	begin := func() *Account {
		return &Account{
			Authenticator: &Authenticator{}, Pending: &Enrolment{BegunAt: noon}, Grant: &OpenGrant{ExpiresAt: noon.Add(15 * time.Minute)},
			SignIn: &Success{At: noon}, Answered: &Answered{At: noon}, Challenges: []Spent{{Until: noon.Add(11 * time.Minute)}},
			Previous: &Previous{Until: noon.Add(time.Hour)}, Codes: CodeThrottle{Days: []DayCount{{day(noon), 1}}},
			ReuseQuiet: hours(noon) + 2,
		}
	}
	left := func(a *Account) string {
		return fmt.Sprint(a.Pending != nil, a.Grant != nil, a.SignIn != nil, a.Answered != nil, len(a.Challenges), a.Previous != nil, len(a.Codes.Days), a.ReuseQuiet != 0)
	}
	for _, test := range []struct {
		after time.Duration
		want  string
	}{
		{10*time.Minute - 1, "true true true true 1 true 1 true"},
		{10 * time.Minute, "true true false false 1 true 1 true"},
		{11 * time.Minute, "true true false false 0 true 1 true"},
		{15*time.Minute - 1, "true true false false 0 true 1 true"},
		{15 * time.Minute, "false false false false 0 true 1 true"},
		{time.Hour - 1, "false false false false 0 true 1 true"},
		{time.Hour, "false false false false 0 false 1 true"},
		{2*time.Hour - 1, "false false false false 0 false 1 true"},
		{2 * time.Hour, "false false false false 0 false 1 false"},
		{30 * 24 * time.Hour, "false false false false 0 false 1 false"},
		{31 * 24 * time.Hour, "false false false false 0 false 0 false"},
	} {
		if got := left(begin().next("w", time.Time{}, noon.Add(test.after))); got != test.want {
			t.Errorf("after %v: %s, want %s", test.after, got, test.want)
		}
	}
}

// TestItemSize: as JSON, which spells out what an item of a table does not, a fully enrolled account with the events of its last
// sign-in stays near one write unit.
func TestItemSize(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	w.must(w.act(func(a *Account) error {
		return w.rules.AddressChanged(a, w.request(), "alice.longname@example.com", w.now)
	}))
	ch := w.challenge()
	req := NewVerify(w.request(), ch, MethodTOTP, w.phone.at(w.now))
	req.UserAgent = strings.Repeat("u", 500)
	_, err := apply(w, func(a *Account) (SignIn, error) { return w.rules.Verify(a, req, w.now) })
	w.must(err)
	for range keptWrites {
		w.account.Writes = append(w.account.Writes[max(0, len(w.account.Writes)-keptWrites+1):], NewWriteID())
	}
	size := len(w.marshal(w.account))
	t.Logf("%d bytes of JSON", size)
	if size > 1344 {
		t.Error("more than 1344")
	}
}

func TestEventIsCut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 300)
	a := (&Account{User: alice}).next("w", time.Time{}, noon)
	a.record(Request{IP: long, UserAgent: "x" + long}, noon, Event{Type: EventUnlocked, Reason: long, By: long + "\xff"})
	e := a.Events[0]
	for name, field := range map[string]struct {
		text string
		size int
	}{"ip": {e.IP, 256}, "user agent": {e.UserAgent, 127}, "reason": {e.Reason, 256}, "by": {e.By, 256}} {
		if len(field.text) != field.size || !utf8.ValidString(field.text) {
			t.Errorf("%s has %d bytes, valid %v; want %d", name, len(field.text), utf8.ValidString(field.text), field.size)
		}
	}
	if got := cut("a\xffb", 10); got != "a\uFFFDb" {
		t.Errorf("cut of invalid text = %q", got)
	}
	if e.ID != "v000000000001-00" || e.Actor != ActorUser || e.Outcome != Succeeded {
		t.Errorf("event %+v", e)
	}
}

func TestUserID(t *testing.T) {
	t.Parallel()
	for _, good := range []UserID{"a", "auth0|123", "ü", "a b", UserID(strings.Repeat("x", 128)), "=..%/"} {
		if err := good.Validate(); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []UserID{"", UserID(strings.Repeat("x", 129)), "a\nb", "\xff", "a\u200bb", "\u2028", "\x00"} {
		if err := bad.Validate(); !errors.Is(err, ErrUserID) {
			t.Errorf("%q: got %v, want ErrUserID", bad, err)
		}
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	d := NewDigest("a", "b", "c")
	for _, other := range []Digest{NewDigest("a", "bc"), NewDigest("ab", "c"), NewDigest("a", "b", "c", ""), NewDigest("a", "c", "b"), d.Derive("x")} {
		if d == other {
			t.Error("two lists of parts with one digest")
		}
	}
	if d != NewDigest("a", "b", "c") || RandomDigest() == RandomDigest() || NewWriteID() == NewWriteID() || len(NewWriteID()) != 12 {
		t.Error("digests repeat, or do not")
	}
	if parsed, err := ParseDigest(d.String()); err != nil || parsed != d || len(d.String()) != 22 {
		t.Errorf("ParseDigest(%s) = %v, %v", d, parsed, err)
	}
	for _, bad := range []string{"", "x", d.String() + "A", d.String()[:21], d.String()[:21] + "!", strings.Repeat("A", 21) + "B", d.String()[:21] + "\n"} {
		var parsed Digest
		if err := parsed.UnmarshalText([]byte(bad)); !errors.Is(err, ErrDigest) {
			t.Errorf("%q: got %v, want ErrDigest", bad, err)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	if diff := cmp.Diff(Status{State: StateDisabled}, w.account.Status(w.now)); diff != "" {
		t.Errorf("never seen (-want +got):\n%s", diff)
	}
	w = enabledWorld(t, "standard")
	w.fail(5)
	locked := w.account.Codes.LockedUntil
	w.account.Reset = &Reset{ID: "id", Reference: "R", State: ResetDenied, EnteredAt: noon, TriesLeft: 2, ReasonCode: "other"}
	activated := noon.Add(-2 * time.Minute)
	want := Status{
		State: StateEnabled, ActivatedAt: activated, BackupIssuedAt: activated, LockedUntil: locked,
		Reset: &ResetStatus{ID: "id", Reference: "R", State: ResetDenied, EnteredAt: noon, TriesLeft: 2, ReasonCode: "other"},
	}
	if diff := cmp.Diff(want, w.account.Status(w.now)); diff != "" {
		t.Errorf("locked (-want +got):\n%s", diff)
	}
	if !w.account.Status(locked).LockedUntil.IsZero() {
		t.Error("locked at the lock's end")
	}
	if w.account.Status(noon.Add(14*24*time.Hour)).Reset == nil || w.account.Status(noon.Add(14*24*time.Hour+1)).Reset != nil {
		t.Error("a closed reset is not shown for 14 days")
	}
	w.account.Reset.State = ResetReady
	if w.account.Status(noon.Add(1000*time.Hour)).Reset == nil {
		t.Error("an open reset is not shown")
	}
}

func TestWaitsFor(t *testing.T) {
	t.Parallel()
	at := func(h int) time.Time { return noon.Add(time.Duration(h) * time.Hour) }
	reset := Reset{EnteredAt: at(1), EffectiveAt: at(2), ExpiresAt: at(3)}
	for _, test := range []struct {
		state ResetState
		want  Waiting
		due   time.Time
	}{
		{ResetIdentityPending, WaitingIdentity, at(3)}, {ResetInReview, WaitingReview, at(1)}, {ResetApproved, WaitingEffect, at(2)},
		{ResetReady, WaitingUse, at(3)}, {ResetCompleted, "", time.Time{}}, {ResetDenied, "", time.Time{}},
		{ResetCanceled, "", time.Time{}}, {ResetExpired, "", time.Time{}},
	} {
		a := &Account{Reset: &reset}
		a.Reset.State = test.state
		if waiting, due := a.WaitsFor(); waiting != test.want || !due.Equal(test.due) {
			t.Errorf("%s: waits for %q at %v, want %q at %v", test.state, waiting, due, test.want, test.due)
		}
		if open := test.want != ""; a.Reset.Open() != open {
			t.Errorf("%s: open %v, want %v", test.state, a.Reset.Open(), open)
		}
	}
	first := &Account{Pending: &Enrolment{BegunAt: noon}}
	if waiting, _ := first.WaitsFor(); waiting != "" {
		t.Errorf("a first enrolment waits for %q: nobody is told when it lapses", waiting)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]string{
		&WrongCode{}:                             "wrong code",
		&CodeReused{}:                            "the code was already used",
		&Locked{noon}:                            "locked until 2026-03-02T12:00:00Z",
		&Forbidden{"skew"}:                       "policy forbids: skew",
		&Reauthenticate{time.Minute}:             "the session must have signed in within 1m0s",
		refuse(ErrMethod):                        "no such method",
		&Conflict{}:                              "another write came first",
		&Conflict{Current: &Account{Version: 7}}: "another write came first: version 7 is stored",
	} {
		if err.Error() != want {
			t.Errorf("%T says %q, want %q", err, err, want)
		}
	}
}

// TestImportedParams: the rules are the same for imported authenticators with other parameters.
func TestImportedParams(t *testing.T) {
	t.Parallel()
	for _, params := range []totp.Params{{Algorithm: totp.SHA256, Digits: 8, Period: 60}, {Algorithm: totp.SHA512, Digits: 6, Period: 15}} {
		w := enabledWorld(t, "standard")
		w.account.Authenticator.Params = params
		w.account.Authenticator.LastStep = 0
		code := func(steps int) string {
			code, err := params.Code(w.phone.secret, params.StepAt(w.now)+totp.Step(steps))
			w.must(err)
			return code
		}
		var wrong *WrongCode
		if err := w.signIn(code(4)); !errors.As(err, &wrong) || wrong.Skew == nil || *wrong.Skew != time.Duration(4*params.Period)*time.Second {
			t.Errorf("%v: got %v %+v", params, err, wrong)
		}
		w.must(w.signIn(code(1)))
		var reused *CodeReused
		if err := w.signIn(code(0)); !errors.As(err, &reused) || reused.RetryAfter != time.Duration(2*params.Period)*time.Second {
			t.Errorf("%v: got %v %+v", params, err, reused)
		}
		if err := w.signIn(code(1)[1:]); !errors.Is(err, ErrMalformedCode) {
			t.Errorf("%v: a digit too few: %v", params, err)
		}
	}
	w := enabledWorld(t, "standard")
	w.account.Authenticator.Params.Period = 0 // damaged
	if err := w.signIn("123456"); err == nil || w.stored {
		t.Errorf("damaged parameters: got %v, stored %v", err, w.stored)
	}
}
