package handler

import (
	"context"
	"errors"
	"time"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/totp"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// importFor brings a user's authenticator along from another system.
func (d Deps) importFor(ctx context.Context, user twofactor.UserID, req twofactor.Request, by twofactor.Operator, in api.ImportRequest) error {
	order, err := d.importOf(in)
	if err != nil {
		return err
	}
	order.Request, order.By = req, by
	err = d.Service.Import(ctx, user, order)
	if errors.Is(err, twofactor.ErrAlreadyEnabled) {
		return api.NewProblem(api.CodeAlreadyEnabled, "This user has another authenticator already, and keeps it.") // it is the operator who reads it
	}
	return err
}

// importOf reads what an operator brings along from another system. What is wrong is named and never quoted: it may be the
// secret, in the wrong place.
func (d Deps) importOf(in api.ImportRequest) (out twofactor.Import, err error) {
	key, err := keyOf(in)
	if err != nil {
		return out, err
	}
	if in.Label == "" {
		in.Label = key.Account
	}
	for _, told := range [][2]string{{"import.email", in.Email}, {"import.label", in.Label}, {"import.locale", in.Locale}} {
		if err := short(told[0], told[1]); err != nil {
			return out, err
		}
	}
	out = twofactor.Import{
		Secret: key.Secret, Params: key.Params, Contact: twofactor.Contact{Email: in.Email, Label: in.Label, Locale: in.Locale},
	}
	if in.ActivatedAt == "" {
		return out, nil
	}
	if out.ActivatedAt, err = time.Parse(time.RFC3339, in.ActivatedAt); err != nil {
		return out, api.NewProblem(api.CodeInvalidRequest, "import.activated_at: must be a time such as 2024-05-01T08:30:00Z")
	}
	if out.ActivatedAt.After(d.now().Add(aheadBy)) {
		return out, api.NewProblem(api.CodeInvalidRequest, "import.activated_at: is in the future")
	}
	return out, nil
}

// aheadBy is how far the clock of whoever made the list may be ahead of ours.
const aheadBy = time.Minute

// keyOf reads a key URI, or the parts of one.
func keyOf(in api.ImportRequest) (totp.Key, error) {
	parts := in.Secret != "" || in.Algorithm != "" || in.Digits != 0 || in.Period != 0
	switch {
	case in.OTPAuthURI != "" && parts:
		return totp.Key{}, api.NewProblem(api.CodeInvalidRequest, "import: has both otpauth_uri and parts of one: secret, algorithm, digits or period")
	case in.OTPAuthURI != "":
		key, err := totp.ParseURI(in.OTPAuthURI)
		return key, importProblem("import.otpauth_uri: ", err)
	case in.Secret == "":
		return totp.Key{}, api.NewProblem(api.CodeInvalidRequest, "import: needs otpauth_uri, or secret")
	}
	secret, err := totp.ParseSecret(in.Secret)
	if err != nil {
		return totp.Key{}, importProblem("import.", err)
	}
	key := totp.Key{Secret: secret, Params: totp.Default}
	if in.Algorithm != "" {
		key.Params.Algorithm = totp.ParseAlgorithm(in.Algorithm)
	}
	if in.Digits != 0 {
		key.Params.Digits = in.Digits
	}
	if in.Period != 0 {
		key.Params.Period = in.Period
	}
	return key, importProblem("import.", key.Params.Validate())
}

// importProblem says what is wrong with a key, and of one that is too weak what becomes of its user.
func importProblem(of string, err error) error {
	if err == nil {
		return nil
	}
	detail := of + err.Error()
	if errors.Is(err, totp.ErrSecretSize) {
		detail += " (RFC 4226 §4). Leave this user out, to set two-factor authentication up anew"
	}
	return api.NewProblem(api.CodeInvalidRequest, detail)
}
