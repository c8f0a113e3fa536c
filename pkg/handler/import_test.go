package handler_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp"
	pqtotp "github.com/pquerna/otp/totp"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/totp"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// broughtSecret is the secret of those who come from another system, in base32.
const broughtSecret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

func importOf(user string, in api.ImportRequest) api.AdminRequest {
	return api.AdminRequest{Operation: "import", User: user, Operator: "oscar", Reason: "the move", Import: &in}
}

func (w *world) imports(user string, in api.ImportRequest) api.AdminResponse {
	w.t.Helper()
	out, err := handler.Admin(w.deps)(w.t.Context(), importOf(user, in))
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// TestImport: somebody moves here with the phone they have, and has all that others have.
func TestImport(t *testing.T) {
	onEachEngine(t, "midphase", func(t *testing.T, w *world) {
		p := phone{w, broughtSecret}
		in := api.ImportRequest{
			OTPAuthURI: "otpauth://totp/Old:alice@old.example?secret=" + strings.ToLower(p.secret) + "&issuer=Old", ActivatedAt: "2024-05-01T08:30:00+02:00",
			Email: "alice@example.com", Locale: "de",
		}
		out := w.imports("alice", in)
		if out.State != "enabled" || !out.ActivatedAt.Equal(time.Date(2024, 5, 1, 6, 30, 0, 0, time.UTC)) || out.BackupCode.Present {
			t.Errorf("answered %+v", out.StatusResponse)
		}
		before := w.item("alice")
		if again := w.imports("alice", in); !cmp.Equal(again, out) || w.item("alice") != before {
			t.Errorf("again: %+v, want %+v", again, out)
		}

		c := w.want(host(), "POST /v1/challenges", `{"user_id":"alice","nonce":"n","amr":["pwd"]}`, 200, "")
		if c.str("account") != "alice@old.example" || c.str("email_hint") != "a•••@example.com" || !cmp.Equal(c.Body["methods"], []any{"totp"}) {
			t.Errorf("challenge %s", c.Text)
		}
		challenge := c.str("challenge")
		w.want(anyone, "POST /v1/verify", body("challenge", challenge, "method", "backup_code", "code", "K7QF29XT4M8WZ"), 409, "no_backup_code")
		w.want(anyone, "POST /v1/verify", body("challenge", challenge, "method", "totp", "code", p.code()), 422, "code_reused")
		w.wind(90 * time.Second)
		w.want(anyone, "POST /v1/verify", body("challenge", challenge, "method", "totp", "code", p.code()), 200, "")
		w.wind(nextCode)
		made := w.want(w.session("alice"), "POST /v1/backup-code", body("code", p.code()), 200, "")
		w.want(anyone, "POST /v1/verify", body("challenge", w.challenge("alice").str("challenge"), "method", "backup_code", "code", made.str("backup_code")), 200, "")

		w.wind(nextCode)
		w.want(w.session("alice"), "POST /v1/disable", body("code", p.code()), 200, "")
		w.refuses(importOf("alice", in), api.CodeConflict, "This user's 2FA was turned off here")
		if got := w.want(w.session("alice"), "GET /v1/status", "", 200, ""); got.str("state") != "disabled" {
			t.Errorf("what was turned off is on again: %s", got.Text)
		}
		w.secretIsNowhere("alice")
	})
}

// refuses has an order refused, for a reason that quotes no secret.
func (w *world) refuses(order api.AdminRequest, code api.Code, detail string) {
	w.t.Helper()
	var problem *api.Problem
	out, err := handler.Admin(w.deps)(w.t.Context(), order)
	if !errors.As(err, &problem) || problem.Code != code || !strings.HasPrefix(problem.Detail, detail) {
		w.t.Errorf("%+v: %+v, %v; want %s %s", order.Import, out, err, code, detail)
	}
	if err != nil && strings.Contains(strings.ToUpper(err.Error()), broughtSecret[:16]) {
		w.t.Errorf("the refusal quotes the secret: %v", err)
	}
}

// secretIsNowhere fails if the secret is in a log, in the account as it is stored, or among its events.
func (w *world) secretIsNowhere(user twofactor.UserID) {
	w.t.Helper()
	history, err := w.store.History(w.t.Context(), user, twofactor.Page{Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	told := w.logs.String() + w.item(string(user))
	for _, e := range history.Events {
		told += e.Reason + e.Note + e.By
	}
	raw, err := totp.ParseSecret(broughtSecret)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, secret := range []string{broughtSecret, string(raw), strings.ToLower(broughtSecret)} {
		if strings.Contains(told, secret) {
			w.t.Errorf("the secret is in %s", told)
		}
	}
}

// TestImportRefused: what cannot be brought along is told by name, and nothing has changed.
func TestImportRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	const uri, long = "otpauth://totp/alice?secret=" + broughtSecret, "xxxxxxxxxxxxxxxx"
	for detail, in := range map[string]api.ImportRequest{
		"import: needs otpauth_uri, or secret":              {Email: "alice@example.com"},
		"import: has both ":                                 {OTPAuthURI: uri, Digits: 8},
		"import: has both":                                  {OTPAuthURI: uri, Secret: broughtSecret},
		"import.otpauth_uri: must begin with ":              {OTPAuthURI: broughtSecret},
		"import.otpauth_uri: is of a key whose codes count": {OTPAuthURI: strings.Replace(uri, "totp", "hotp", 1)},
		"import.otpauth_uri: digits: must be 6 or 8":        {OTPAuthURI: uri + "&digits=7"},
		"import.otpauth_uri: secret: must have 128 to 512 bits (RFC 4226 §4). Leave this user out": {OTPAuthURI: "otpauth://totp/alice?secret=" + broughtSecret[:16]},
		"import.secret: must have 128 to 512 bits (RFC 4226 §4). Leave this user out":              {Secret: broughtSecret[:16]},
		"import.secret: must have 128 to 512 bits (RFC":                                            {Secret: strings.Repeat(broughtSecret, 4)},
		"import.secret: is not base32":                                                             {Secret: broughtSecret + "1"},
		"import.algorithm: must be ":                                                               {Secret: broughtSecret, Algorithm: broughtSecret},
		"import.digits: must be ":                                                                  {Secret: broughtSecret, Digits: 10},
		"import.period: must be 15 to 120 seconds":                                                 {Secret: broughtSecret, Period: 121},
		"import.period: ":                       {Secret: broughtSecret, Period: -30},
		"import.activated_at: must be a time":   {Secret: broughtSecret, ActivatedAt: broughtSecret},
		"import.activated_at: is in the future": {Secret: broughtSecret, ActivatedAt: "2027-01-01T00:00:00Z"},
		"import.email: is longer":               {Secret: broughtSecret, Email: strings.Repeat(long, 17)},
		"import.label: is longer":               {OTPAuthURI: "otpauth://totp/" + strings.Repeat(long, 17) + "?secret=" + broughtSecret},
		"import.label: has a character":         {OTPAuthURI: "otpauth://totp/a%0Ab?secret=" + broughtSecret},
		"import.locale: has a character":        {Secret: broughtSecret, Locale: "de\n"},
	} {
		w.refuses(importOf("alice", in), api.CodeInvalidRequest, detail)
	}
	order := importOf("alice", api.ImportRequest{Secret: broughtSecret})
	order.Import = nil
	w.refuses(order, api.CodeInvalidRequest, "import: is missing")
	order = importOf("alice", api.ImportRequest{Secret: broughtSecret})
	order.Operation = "erase"
	w.refuses(order, api.CodeInvalidRequest, "import: is for an import only")
	order = importOf("", api.ImportRequest{Secret: broughtSecret})
	w.refuses(order, api.CodeInvalidRequest, "user: ")
	order = importOf("alice", api.ImportRequest{Secret: broughtSecret})
	order.Reason = ""
	w.refuses(order, api.CodeInvalidRequest, "reason: is missing")
	if got := w.item("alice"); got != "" {
		t.Errorf("what was refused is stored: %s", got)
	}

	w.enrolled("bob")
	w.refuses(importOf("bob", api.ImportRequest{Secret: broughtSecret}), api.CodeAlreadyEnabled, "This user has another authenticator already")
	w.want(host().to("carol"), "POST /v1/users/{user}/events", body("type", "deleted"), 204, "")
	w.wind(time.Hour)
	in := api.ImportRequest{Secret: broughtSecret, ActivatedAt: w.clock().Add(-2 * time.Hour).Format(time.RFC3339)}
	w.refuses(importOf("carol", in), api.CodeConflict, "This user's 2FA was turned off here, or the user was erased.")
	in.ActivatedAt = w.clock().Add(30 * time.Second).Format(time.RFC3339) // by a clock that is ahead
	if out := w.imports("carol", in); out.State != "enabled" || !out.ActivatedAt.Equal(w.clock()) {
		t.Errorf("who has come again: %+v", out.StatusResponse)
	}
	w.set(&w.storeIs, errors.New("dynamo"))
	w.refuses(importOf("alice", in), api.CodeUnavailable, "")
	w.secretIsNowhere("bob")
}

// TestImportedCodesRFC6238: the codes of appendix B, through everything. Its seeds have the length of their hash (erratum 2866).
func TestImportedCodesRFC6238(t *testing.T) {
	onEachEngine(t, "standard", func(t *testing.T, w *world) {
		for algorithm, size := range map[string]int{"SHA1": 20, "SHA256": 32, "SHA512": 64} {
			secret := totp.Secret(strings.Repeat("1234567890", 7)[:size])
			w.imports(algorithm, api.ImportRequest{Secret: secret.Base32(), Algorithm: algorithm, Digits: 8})
		}
		for _, test := range []struct {
			seconds int64
			codes   map[string]string
		}{
			{2000000000, map[string]string{"SHA1": "69279037", "SHA256": "90698825", "SHA512": "38618901"}},
			{20000000000, map[string]string{"SHA1": "65353130", "SHA256": "77737706", "SHA512": "47863826"}},
		} {
			for w.clock().Unix() < test.seconds { // further at once than a Duration has
				w.wind(time.Duration(min(test.seconds-w.clock().Unix(), 1e9)) * time.Second)
			}
			for algorithm, code := range test.codes {
				in := w.want(anyone, "POST /v1/verify", body("challenge", w.challenge(algorithm).str("challenge"), "method", "totp", "code", code), 200, "")
				if in.str("assertion") == "" {
					t.Errorf("%s at %d: %s", algorithm, test.seconds, in.Text)
				}
			}
		}
	})
}

// app is an authenticator app with any parameters, by a library that is not ours.
type app struct {
	phone
	totp.Params
}

func (a app) ahead(steps int) string {
	code, err := pqtotp.GenerateCodeCustom(a.secret, a.w.clock().Add(time.Duration(steps*a.Period)*time.Second), pqtotp.ValidateOpts{
		Period: uint(a.Period), Digits: otp.Digits(a.Digits),
		Algorithm: map[totp.Algorithm]otp.Algorithm{totp.SHA1: otp.AlgorithmSHA1, totp.SHA256: otp.AlgorithmSHA256, totp.SHA512: otp.AlgorithmSHA512}[a.Algorithm],
	})
	if err != nil {
		a.w.t.Fatal(err)
	}
	return code
}

// TestImportedParameters: whatever an app was set up with elsewhere, its codes are taken once, in their window, on every route,
// and a clock that is off is told.
func TestImportedParameters(t *testing.T) {
	t.Parallel()
	for name, params := range map[string]totp.Params{
		"eight digits":    {Algorithm: totp.SHA1, Digits: 8, Period: 30},
		"SHA256, 60":      {Algorithm: totp.SHA256, Digits: 6, Period: 60},
		"SHA512, 8, 120":  {Algorithm: totp.SHA512, Digits: 8, Period: 120},
		"a quarter of 60": {Algorithm: totp.SHA256, Digits: 8, Period: 15},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "standard")
			a := app{phone{w, broughtSecret}, params}
			w.imports("alice", api.ImportRequest{Secret: a.secret, Algorithm: string(params.Algorithm), Digits: params.Digits, Period: params.Period})
			verify := func(code string, status int, problem string) answer {
				t.Helper()
				return w.want(anyone, "POST /v1/verify", body("challenge", w.challenge("alice").str("challenge"), "method", "totp", "code", code), status, problem)
			}
			period := time.Duration(params.Period) * time.Second
			verify(a.ahead(1), 422, "code_reused") // it may have been used elsewhere
			w.wind(4 * period)
			for _, steps := range []int{-1, 0, 1} {
				verify(a.ahead(steps), 200, "")
				verify(a.ahead(steps), 422, "code_reused")
			}
			verify(strings.Repeat("1", 14-params.Digits), 400, "invalid_request") // of the other number of digits
			w.wind(4 * period)
			if got := w.want(w.session("alice"), "POST /v1/check", body("code", a.ahead(0)), 200, ""); got.Body["valid"] != true {
				t.Errorf("check: %s", got.Text)
			}
			farthest := min(600/params.Period, 20)
			off := verify(a.ahead(farthest), 422, "invalid_code")
			if off.str("reason") != "clock_skew" || off.Body["drift_seconds"] != float64(farthest*params.Period) {
				t.Errorf("a clock that is off: %s", off.Text)
			}
			told := a.ahead(farthest)
			if off = verify(a.ahead(-farthest-1), 422, "invalid_code"); off.str("reason") != "" {
				t.Errorf("a clock that is too far off: %s", off.Text)
			}
			w.wind(time.Duration(farthest) * period)
			verify(told, 422, "code_reused") // it was told, and is burned
			w.wind(2 * period)
			w.want(w.session("alice"), "POST /v1/backup-code", body("code", a.ahead(0)), 200, "")
			w.wind(2 * period)
			begun := w.want(w.session("alice"), "POST /v1/enroll", body("code", a.ahead(0)), 200, "")
			if !strings.HasSuffix(begun.str("otpauth_uri"), "&algorithm=SHA1&digits=6&period=30") {
				t.Errorf("the next phone: %s", begun.Text)
			}
			w.wind(2 * period)
			w.want(w.session("alice"), "POST /v1/disable", body("code", a.ahead(0)), 200, "")
		})
	}
}

// TestImportedWhereRequired: who must have 2FA, and brings it, is asked for a code and not to set it up.
func TestImportedWhereRequired(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "miaxdx")
	before := w.challenge("alice")
	begun := w.want(anyone, "POST /v1/verify/enroll", body("challenge", before.str("challenge")), 200, "")
	w.imports("alice", api.ImportRequest{Secret: broughtSecret})
	p := phone{w, begun.str("manual_secret")}
	w.want(anyone, "POST /v1/verify/enroll/confirm", body("challenge", before.str("challenge"), "enrollment_id", begun.str("enrollment_id"), "code", p.code()), 409, "already_enabled")
	c := w.challenge("alice")
	if c.Body["enrollment_required"] == true || !cmp.Equal(c.Body["methods"], []any{"totp"}) {
		t.Errorf("challenge %s", c.Text)
	}
	w.wind(nextCode)
	w.want(anyone, "POST /v1/verify", body("challenge", c.str("challenge"), "method", "totp", "code", phone{w, broughtSecret}.code()), 200, "")
}
