package handler

import (
	"context"
	"errors"
	"time"
	"unicode"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/metric"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Challenge is what the host's login back end calls: is a second factor due, and what has happened there.
func Challenge(d Deps) Func {
	return serve(d, "challenge",
		on("POST /v1/challenges", d.challenge),
		on("POST /v1/users/{user}/events", d.hostEvent),
	)
}

func (d Deps) challenge(ctx context.Context, c call, in api.ChallengeRequest) (out api.ChallengeResponse, err error) {
	user := twofactor.UserID(in.UserID)
	if err := userID(user, "user_id"); err != nil {
		return out, err
	}
	if err := checkChallenge(in); err != nil {
		return out, err
	}
	c.Request.IP, c.Request.UserAgent = in.IP, in.UserAgent // the user's, not the host's
	req := twofactor.NewChallenge{
		Request: c.Request, User: user, Nonce: in.Nonce, AMR: in.AMR, ExpectEnabled: in.Expect == "enabled",
		Contact: twofactor.Contact{Email: in.Email, Label: in.Label, Locale: in.Locale},
	}
	if s := in.Subject; s != nil {
		req.Subject = &twofactor.Subject{Name: s.Name, Birthdate: s.Birthdate, Phone: s.Phone}
	}
	offer, err := d.Service.Challenge(ctx, req)
	if err != nil {
		if errors.Is(err, twofactor.ErrNotEnabled) { // the host knows better: a wrong table, or a record that is gone
			d.Log.ErrorContext(ctx, "expected enabled", "user", user, metric.Counted(api.MetricUnexpected))
		}
		return out, err
	}
	out = api.ChallengeResponse{
		Required: offer.Required, EnrollmentRequired: offer.EnrollmentRequired, Methods: []string{},
		LockedUntil: given(offer.LockedUntil), Suspended: offer.Suspended, App: d.Settings.App, Account: offer.Account,
		EmailHint: offer.Contact.Hint(), Policy: d.Service.Policy, Recovery: string(d.Service.Policy.Recovery),
		Support: d.Settings.Support, Reset: resetStatus(offer.Reset),
	}
	for _, m := range offer.Methods {
		out.Methods = append(out.Methods, string(m))
	}
	if offer.Challenge != nil {
		out.ExpiresAt = &offer.Challenge.ExpiresAt
		if out.Challenge, err = d.sealChallenge(ctx, *offer.Challenge); err != nil {
			return api.ChallengeResponse{}, err
		}
	}
	return out, nil
}

// maxHostText is the longest text that a host may tell, in bytes: it travels in the challenge or is kept.
const maxHostText = 256

func checkChallenge(in api.ChallengeRequest) error {
	texts := map[string]string{
		"email": in.Email, "label": in.Label, "locale": in.Locale, "nonce": in.Nonce, "ip": in.IP, "expect": in.Expect,
	}
	if s := in.Subject; s != nil {
		texts["subject.name"], texts["subject.birthdate"], texts["subject.phone"] = s.Name, s.Birthdate, s.Phone
	}
	for field, text := range texts {
		if err := short(field, text); err != nil {
			return err
		}
	}
	if s := in.Subject; s != nil && s.Birthdate != "" {
		if _, err := time.Parse(time.DateOnly, s.Birthdate); err != nil {
			return api.NewProblem(api.CodeInvalidRequest, "subject.birthdate: must be a date such as 1990-01-31")
		}
	}
	if in.Expect != "" && in.Expect != "enabled" {
		return api.NewProblem(api.CodeInvalidRequest, `expect: must be "enabled", or left out`)
	}
	if len(in.AMR) > 8 {
		return api.NewProblem(api.CodeInvalidRequest, "amr: has more than 8 values")
	}
	for _, m := range in.AMR {
		if err := short("amr", m); err != nil {
			return err
		}
		if m == "" || len(m) > 32 {
			return api.NewProblem(api.CodeInvalidRequest, "amr: has a value that is empty or longer than 32 bytes")
		}
	}
	return nil
}

func (d Deps) hostEvent(ctx context.Context, c call, in api.HostEventRequest) (nothing, error) {
	for field, text := range map[string]string{"email": in.Email, "ip": in.IP} {
		if err := short(field, text); err != nil {
			return nothing{}, err
		}
	}
	req := twofactor.Request{ID: c.Request.ID, IP: in.IP, UserAgent: in.UserAgent}
	switch in.Type {
	case "login":
		return nothing{}, d.Service.HostSaw(ctx, c.User, req, twofactor.EventLogin)
	case "password_failed":
		return nothing{}, d.Service.HostSaw(ctx, c.User, req, twofactor.EventPasswordFailed)
	case "password_changed":
		return nothing{}, d.Service.PasswordChanged(ctx, c.User, req)
	case "address_changed":
		if in.Email == "" {
			return nothing{}, api.NewProblem(api.CodeInvalidRequest, "email: is missing: the new address")
		}
		return nothing{}, d.Service.AddressChanged(ctx, c.User, req, in.Email)
	case "deleted":
		return nothing{}, d.Service.Erase(ctx, c.User, req, twofactor.Event{Actor: twofactor.ActorHost})
	}
	return nothing{}, api.NewProblem(api.CodeInvalidRequest,
		"type: must be login, password_failed, password_changed, address_changed or deleted")
}

func short(field, text string) error {
	if len(text) > maxHostText {
		return api.NewProblem(api.CodeInvalidRequest, field+": is longer than 256 bytes")
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return api.NewProblem(api.CodeInvalidRequest, field+": has a character that cannot be printed")
		}
	}
	return nil
}
