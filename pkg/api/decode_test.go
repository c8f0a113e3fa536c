package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// decision has the kinds of fields that the requests of today do not have.
type decision struct {
	Version int64  `json:"case_version"`
	Small   int8   `json:"small,omitempty"`
	Matches *bool  `json:"identity_matches,omitempty"`
	Parts   []part `json:"parts,omitempty"`
	Named   string // as Go names it, required
	Skipped string `json:"-"`
	inner   string //nolint:unused // not a field of the body
	Embedded
}

// Embedded gives its fields to the struct it is in.
type Embedded struct {
	Note string `json:"note,omitempty"`
}

type part struct {
	ID string `json:"id"`
}

func TestDecode(t *testing.T) {
	t.Parallel()
	yes := true
	for name, tt := range map[string]struct {
		body       string
		into, want any
	}{
		"empty body":    {``, new(api.EnrollRequest), &api.EnrollRequest{}},
		"empty object":  {` {} `, new(api.EnrollRequest), &api.EnrollRequest{}},
		"white space":   {"\r\n\t {\"code\" : \"123456\"}\n", new(api.CodeRequest), &api.CodeRequest{Code: "123456"}},
		"optional, ''":  {`{"code":"","grant":"g"}`, new(api.EnrollRequest), &api.EnrollRequest{Grant: "g"}},
		"escaped name":  {`{"\u0063ode":"1"}`, new(api.CodeRequest), &api.CodeRequest{Code: "1"}},
		"escapes":       {`{"code":"\"\\\/\b\f\n\r\t\u00e9\\ud800"}`, new(api.CodeRequest), &api.CodeRequest{Code: "\"\\/\b\f\n\r\té\\ud800"}},
		"pair":          {`{"code":"\uD83D\ude00\ud83d\uDE00x"}`, new(api.CodeRequest), &api.CodeRequest{Code: "😀😀x"}},
		"replacement":   {`{"code":"\ufffd` + "\ufffd" + `"}`, new(api.CodeRequest), &api.CodeRequest{Code: "\ufffd\ufffd"}},
		"nested":        {`{"user_id":"u","nonce":"n","amr":["pwd","hwk"],"subject":{"name":"N"}}`, new(api.ChallengeRequest), &api.ChallengeRequest{UserID: "u", Nonce: "n", AMR: []string{"pwd", "hwk"}, Subject: &api.Subject{Name: "N"}}},
		"empty nested":  {`{"user_id":"u","nonce":"n","amr":[],"subject":{}}`, new(api.ChallengeRequest), &api.ChallengeRequest{UserID: "u", Nonce: "n", AMR: []string{}, Subject: &api.Subject{}}},
		"other kinds":   {`{"case_version":-7,"small":-128,"identity_matches":true,"parts":[{"id":"a"},{"id":"b"}],"Named":"x","note":"y"}`, new(decision), &decision{Version: -7, Small: -128, Matches: &yes, Parts: []part{{"a"}, {"b"}}, Named: "x", Embedded: Embedded{"y"}}},
		"zero is given": {`{"case_version":0,"Named":"x"}`, new(decision), &decision{Named: "x"}},
		"no fields":     {`{}`, new(struct{}), &struct{}{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := api.Decode([]byte(tt.body), tt.into); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(tt.into, tt.want) {
				t.Errorf("got %+v, want %+v", tt.into, tt.want)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for name, tt := range map[string]struct {
		body   string
		into   any
		detail string
	}{
		"not JSON":                {`code=123456`, new(api.CodeRequest), "body: must be valid JSON, with nothing after it"},
		"cut off":                 {`{"code":"123456"`, new(api.CodeRequest), "body: must be valid JSON, with nothing after it"},
		"cut off in a string":     {`{"code":"12345`, new(api.CodeRequest), "body: must be valid JSON, with nothing after it"},
		"comma before the brace":  {`{"code":"1",}`, new(api.CodeRequest), "body: must be valid JSON, with nothing after it"},
		"comment":                 {`{"code":"1"/**/}`, new(api.CodeRequest), "body: must be valid JSON, with nothing after it"},
		"control character":       {"{\"code\":\"1\n\"}", new(api.CodeRequest), "body: must be valid JSON, with nothing after it"},
		"byte order mark":         {"\ufeff{\"code\":\"1\"}", new(api.CodeRequest), "body: must be valid JSON, with nothing after it"},
		"only white space":        {" \n", new(api.EnrollRequest), "body: must be valid JSON, with nothing after it"},
		"another object after":    {`{"code":"1"}{"code":"2"}`, new(api.CodeRequest), "body: must be valid JSON, with nothing after it"},
		"garbage after":           {`{"code":"1"} x`, new(api.CodeRequest), "body: must be valid JSON, with nothing after it"},
		"zero byte after":         {"{\"code\":\"1\"}\x00", new(api.CodeRequest), "body: must be valid JSON, with nothing after it"},
		"no-break space after":    {"{\"code\":\"1\"}\u00a0", new(api.CodeRequest), "body: must be valid JSON, with nothing after it"},
		"array":                   {`[{"code":"1"}]`, new(api.CodeRequest), "body: must be an object"},
		"string":                  {`"code"`, new(api.CodeRequest), "body: must be an object"},
		"null":                    {`null`, new(api.CodeRequest), "body: must be an object"},
		"not UTF-8 in a value":    {"{\"code\":\"1\xff\"}", new(api.CodeRequest), "body: must be UTF-8"},
		"not UTF-8 in a name":     {"{\"code\xc3\":\"1\"}", new(api.CodeRequest), "body: must be UTF-8"},
		"surrogate in UTF-8":      {"{\"code\":\"\xed\xa0\x80\"}", new(api.CodeRequest), "body: must be UTF-8"},
		"high surrogate alone":    {`{"code":"\ud83d"}`, new(api.CodeRequest), "code: must be Unicode text: half of a surrogate pair stands alone"},
		"high surrogate, text":    {`{"code":"\uD83Dx"}`, new(api.CodeRequest), "code: must be Unicode text: half of a surrogate pair stands alone"},
		"high surrogate, escape":  {`{"code":"\ud83d\n"}`, new(api.CodeRequest), "code: must be Unicode text: half of a surrogate pair stands alone"},
		"high surrogate twice":    {`{"code":"\ud83d\ud83d\ude00"}`, new(api.CodeRequest), "code: must be Unicode text: half of a surrogate pair stands alone"},
		"low surrogate alone":     {`{"code":"12\ude00"}`, new(api.CodeRequest), "code: must be Unicode text: half of a surrogate pair stands alone"},
		"low surrogate first":     {`{"code":"\ude00\ud83d"}`, new(api.CodeRequest), "code: must be Unicode text: half of a surrogate pair stands alone"},
		"after a pair":            {`{"code":"\ud83d\ude00\ude00"}`, new(api.CodeRequest), "code: must be Unicode text: half of a surrogate pair stands alone"},
		"after a backslash":       {`{"code":"\\\ud800"}`, new(api.CodeRequest), "code: must be Unicode text: half of a surrogate pair stands alone"},
		"surrogate in an array":   {`{"amr":["pwd","\udc00"]}`, new(api.ChallengeRequest), "amr[1]: must be Unicode text: half of a surrogate pair stands alone"},
		"surrogate in a name":     {`{"\ud800":"1"}`, new(api.CodeRequest), `"\ufffd": unknown field`},
		"unknown":                 {`{"code":"1","token":"secret"}`, new(api.CodeRequest), "token: unknown field"},
		"unknown, nested":         {`{"subject":{"nick":"secret"}}`, new(api.ChallengeRequest), "subject.nick: unknown field"},
		"unknown, for a nothing":  {`{"x":1}`, new(struct{}), "x: unknown field"},
		"unknown, empty":          {`{"":1}`, new(api.CodeRequest), `"": unknown field`},
		"unknown, odd":            {`{"a\nb <é>":1}`, new(api.CodeRequest), `"a\nb <\u00e9>": unknown field`},
		"unknown, long":           {`{"` + strings.Repeat("x", 63) + `éé":1}`, new(api.CodeRequest), `"` + strings.Repeat("x", 63) + `\u2026": unknown field`},
		"not a field":             {`{"case_version":1,"Skipped":"x"}`, new(decision), "Skipped: unknown field"},
		"private field":           {`{"case_version":1,"inner":"x"}`, new(decision), "inner: unknown field"},
		"embedded by name":        {`{"case_version":1,"Embedded":{}}`, new(decision), "Embedded: unknown field"},
		"Go's name":               {`{"UserID":"u"}`, new(api.ChallengeRequest), "UserID: unknown field"},
		"another case":            {`{"Code":"1"}`, new(api.CodeRequest), "Code: unknown field, it is written code"},
		"another case, nested":    {`{"subject":{"NAME":"N"}}`, new(api.ChallengeRequest), "subject.NAME: unknown field, it is written name"},
		"folds to a field":        {`{"met\u0068od":"totp","cha\u017flenge":"c"}`, new(api.VerifyRequest), `"cha\u017flenge": unknown field`},
		"long s":                  {`{"\u017fubject":{}}`, new(api.ChallengeRequest), `"\u017fubject": unknown field, it is written subject`},
		"twice":                   {`{"code":"1","code":"1"}`, new(api.CodeRequest), "code: must not be given twice"},
		"twice, escaped":          {`{"code":"1","cod\u0065":"2"}`, new(api.CodeRequest), "code: must not be given twice"},
		"twice, nested":           {`{"subject":{"name":"a","phone":"1","name":"b"}}`, new(api.ChallengeRequest), "subject.name: must not be given twice"},
		"twice, object":           {`{"subject":{},"subject":{}}`, new(api.ChallengeRequest), "subject: must not be given twice"},
		"twice in an element":     {`{"case_version":1,"parts":[{"id":"a"},{"id":"b","id":"c"}]}`, new(decision), "parts[1].id: must not be given twice"},
		"number for a string":     {`{"code":123456}`, new(api.CodeRequest), "code: must be a string"},
		"object for a string":     {`{"code":{"a":1}}`, new(api.CodeRequest), "code: must be a string"},
		"array for a string":      {`{"code":["1"]}`, new(api.CodeRequest), "code: must be a string"},
		"truth for a string":      {`{"code":true}`, new(api.CodeRequest), "code: must be a string"},
		"string for an array":     {`{"amr":"pwd"}`, new(api.ChallengeRequest), "amr: must be an array"},
		"object for an array":     {`{"amr":{}}`, new(api.ChallengeRequest), "amr: must be an array"},
		"number in an array":      {`{"amr":["pwd",2]}`, new(api.ChallengeRequest), "amr[1]: must be a string"},
		"array for an object":     {`{"subject":[]}`, new(api.ChallengeRequest), "subject: must be an object"},
		"string for an object":    {`{"subject":"N"}`, new(api.ChallengeRequest), "subject: must be an object"},
		"string for a number":     {`{"case_version":"7"}`, new(decision), "case_version: must be a whole number in range"},
		"fraction":                {`{"case_version":7.0}`, new(decision), "case_version: must be a whole number in range"},
		"exponent":                {`{"case_version":1e3}`, new(decision), "case_version: must be a whole number in range"},
		"beyond 64 bits":          {`{"case_version":9223372036854775808}`, new(decision), "case_version: must be a whole number in range"},
		"beyond 8 bits":           {`{"case_version":1,"small":128}`, new(decision), "small: must be a whole number in range"},
		"string for a truth":      {`{"case_version":1,"identity_matches":"true"}`, new(decision), "identity_matches: must be true or false"},
		"null for a string":       {`{"code":null}`, new(api.CodeRequest), "code: must not be null"},
		"null for an optional":    {`{"grant":null}`, new(api.EnrollRequest), "grant: must not be null"},
		"null for a pointer":      {`{"subject":null}`, new(api.ChallengeRequest), "subject: must not be null"},
		"null for an array":       {`{"amr":null}`, new(api.ChallengeRequest), "amr: must not be null"},
		"null in an array":        {`{"amr":["pwd",null]}`, new(api.ChallengeRequest), "amr[1]: must not be null"},
		"null for a truth":        {`{"case_version":1,"identity_matches":null}`, new(decision), "identity_matches: must not be null"},
		"null for a number":       {`{"case_version":null}`, new(decision), "case_version: must not be null"},
		"missing, no body":        {``, new(api.CodeRequest), "code: is required"},
		"missing":                 {`{"challenge":"c","method":"totp"}`, new(api.VerifyRequest), "code: is required"},
		"missing, all":            {`{}`, new(api.VerifyRequest), "challenge: is required"},
		"missing number":          {`{"Named":"x"}`, new(decision), "case_version: is required"},
		"missing in an element":   {`{"case_version":1,"parts":[{"id":"a"},{}]}`, new(decision), "parts[1].id: is required"},
		"empty":                   {`{"code":""}`, new(api.CodeRequest), "code: must not be empty"},
		"empty in an element":     {`{"case_version":1,"parts":[{"id":""}]}`, new(decision), "parts[0].id: must not be empty"},
		"deep in a string":        {`{"code":` + deep(5000) + `}`, new(api.CodeRequest), "code: must be a string"},
		"deep in an array":        {`{"amr":` + deep(5000) + `}`, new(api.ChallengeRequest), "amr[0]: must be a string"},
		"deep in an object":       {strings.Repeat(`{"subject":`, 3) + `{}` + strings.Repeat(`}`, 3), new(api.ChallengeRequest), "subject.subject: unknown field"},
		"deep in the unknown":     {`{"x":` + deep(5000) + `}`, new(api.CodeRequest), "x: unknown field"},
		"deeper than any parser":  {deep(20000), new(api.CodeRequest), "body: must be valid JSON, with nothing after it"},
		"deep, and never closing": {strings.Repeat(`{"subject":`, 20000), new(api.ChallengeRequest), "body: must be valid JSON, with nothing after it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := api.Decode([]byte(tt.body), tt.into)
			var got *api.Problem
			if !errors.As(err, &got) {
				t.Fatalf("got %v, want a problem", err)
			}
			if diff := cmp.Diff(api.NewProblem(api.CodeInvalidRequest, tt.detail), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestDecodeNamesTheTypeAtFault: a field that no body can fill is a mistake in the program, not in the request.
func TestDecodeNamesTheTypeAtFault(t *testing.T) {
	t.Parallel()
	err := api.Decode([]byte(`{"ratio":1}`), new(struct {
		Ratio float64 `json:"ratio"`
	}))
	var problem *api.Problem
	if err == nil || errors.As(err, &problem) {
		t.Fatalf("got %v, want an error that is no problem", err)
	}
	if want := "api: cannot decode ratio into a float64"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

// FuzzDecode: whatever it is given, Decode fills the struct or returns a problem; and what it has accepted, encoding/json
// reads alike, and a round trip keeps. A problem's detail is short, one line of ASCII, and tells no value.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"code":"123456"}`, `{"code":"1","code":"2"}`, `{"Code":"1"}`, `{"code":null}`, `{"code":"\ud83d\ude00"}`,
		`{"code":"\ud83d"}`, `{"user_id":"u","nonce":"n","amr":["pwd"],"subject":{"name":"N"}}`, `{"user_id":"u","nonce":"n","amr":[]}`,
		`{"case_version":7,"identity_matches":true,"parts":[{"id":"a"}],"Named":"x"}`, `[[[[`, `{"code":7,"grant":"AbX0cVf1pQ9eJr7mKd2wTg"}`, `{"subject":{"subject":{}}}`, "{\"code\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, into := range []func() any{
			func() any { return new(api.EnrollRequest) },
			func() any { return new(api.CodeRequest) },
			func() any { return new(api.ChallengeRequest) },
			func() any { return new(decision) },
		} {
			first := into()
			if err := api.Decode(body, first); err != nil {
				var problem *api.Problem
				if !errors.As(err, &problem) {
					t.Fatalf("%v is no problem", err)
				}
				wantDetail(t, problem.Detail, body)
				continue
			}
			if len(body) > 0 {
				lax := into()
				if err := json.Unmarshal(body, lax); err != nil || !reflect.DeepEqual(first, lax) {
					t.Fatalf("got %+v, encoding/json reads %+v, %v", first, lax, err)
				}
			}
			text, err := json.Marshal(first)
			if err != nil {
				t.Fatal(err)
			}
			second := into()
			if err := api.Decode(text, second); err != nil {
				t.Fatalf("%s, made of what was accepted: %v", text, err)
			}
			again, err := json.Marshal(second)
			if err != nil || string(again) != string(text) {
				t.Fatalf("got %s, want %s", again, text)
			}
		}
	})
}

var (
	longString = regexp.MustCompile(`"([^"\\]{12,})"\s*[,}\]]`)
	oneLine    = regexp.MustCompile(`^[ -~…]{1,300}$`)
)

// wantDetail fails unless a detail is fit to be logged, and tells no string that is a value in the body.
func wantDetail(t *testing.T, detail string, body []byte) {
	t.Helper()
	if !oneLine.MatchString(detail) {
		t.Errorf("the detail is %q", detail)
	}
	for _, value := range longString.FindAllSubmatch(body, -1) {
		if bytes.Count(body, value[1]) == 1 && strings.Contains(detail, string(value[1])) { // in no name, which may be told
			t.Errorf("the detail %q tells a value of %s", detail, body)
		}
	}
}

// TestAdminRequest: an order is read as strictly as a request, and what is wrong with it tells nothing of what was sent.
func TestAdminRequest(t *testing.T) {
	t.Parallel()
	const secret, rest = "JBSWY3DPEHPK3PXPJBSWY3DPEH", `"operation":"import","operator":"oscar","reason":"x"`
	for payload, want := range map[string]string{
		`{` + rest + `,"import":{"digits":8,"secret":"` + secret + `"}}`: "",
		`{` + rest + `,"` + secret + `":1}`:                              "body: unknown field: there are operation, user, dry_run, cursor, import, operator, reason",
		`{` + rest + `,"import":{"` + secret + `":1}}`:                   "import: unknown field: there are otpauth_uri, secret, algorithm, digits, period, activated_at, email, label, locale",
		`{` + rest + `,"import":{"Digits":8}}`:                           "import: unknown field: there are otpauth_uri, ",
		`{` + rest + `,"import":"` + secret + `"}`:                       "import: must be an object",
		`{` + rest + `,"import":{"digits":"` + secret + `"}}`:            "import.digits: must be a whole number in range",
		`{` + rest + `,"import":{"digits":3141592653589793238462643}}`:   "import.digits: must be a whole number in range",
		`{"operation":"import","operator":"oscar"}`:                      "reason: is required",
		`null`: "body: must be an object",
	} {
		var order api.AdminRequest
		err := json.Unmarshal([]byte(payload), &order)
		var problem *api.Problem
		switch {
		case want == "":
			if err != nil || order.Import == nil || order.Import.Digits != 8 || order.Import.Secret != secret || order.Reason != "x" {
				t.Errorf("%s: %+v, %v", payload, order, err)
			}
		case !errors.As(err, &problem) || problem.Code != api.CodeInvalidRequest || !strings.HasPrefix(problem.Detail, want):
			t.Errorf("%s: %v, want %s", payload, err, want)
		case strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "31415"):
			t.Errorf("%s: %v", payload, err)
		}
	}
}
