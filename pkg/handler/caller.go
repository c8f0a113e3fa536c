package handler

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// authorize says who is calling. The gateway has checked signatures; what it found is looked at again here, so that a
// route deployed without its authorizer answers 401 and nothing else.
func (d Deps) authorize(e events.APIGatewayV2HTTPRequest, r api.Route, c *call) error {
	authorizer := e.RequestContext.Authorizer
	switch r.Caller {
	case api.CallerSession:
		if authorizer == nil || authorizer.JWT == nil {
			return api.NewProblem(api.CodeUnauthorized, "")
		}
		return d.session(authorizer.JWT.Claims, c)
	case api.CallerHost:
		if authorizer == nil || authorizer.IAM == nil || authorizer.IAM.UserARN == "" {
			return api.NewProblem(api.CodeUnauthorized, "Sign the request with the host role's credentials.")
		}
		if strings.Contains(r.Path, "{user}") {
			user, err := api.ParsePathUser(e.PathParameters["user"])
			if err != nil {
				return err
			}
			c.User = twofactor.UserID(user)
			return userID(c.User, "user")
		}
		return nil
	case api.CallerReviewer:
		if authorizer == nil || authorizer.JWT == nil {
			return api.NewProblem(api.CodeUnauthorized, "")
		}
		if err := d.session(authorizer.JWT.Claims, c); err != nil {
			return err
		}
		return d.reviewer(authorizer.JWT.Claims, c)
	case api.CallerChallenge, api.CallerLink, api.CallerWebhook, api.CallerPublic:
		return nil // what proves the caller is in the body, or nothing needs to
	}
	return api.NewProblem(api.CodeForbidden, "")
}

// session reads the claims of a session token. They reach a handler as strings.
func (d Deps) session(claims map[string]string, c *call) error {
	names := d.Settings.Claims
	if names.TokenUse != "" && claims["token_use"] != names.TokenUse {
		return api.NewProblem(api.CodeUnauthorized, "")
	}
	c.User = twofactor.UserID(claims[or(names.User, "sub")])
	if c.User.Validate() != nil {
		return api.NewProblem(api.CodeUnauthorized, "")
	}
	signedIn, ok := claims[or(names.AuthTime, "auth_time")]
	if !ok && names.AuthTimeFromIAT {
		signedIn = claims["iat"]
	}
	if seconds, err := strconv.ParseInt(signedIn, 10, 64); err == nil {
		c.AuthTime = time.Unix(seconds, 0)
	}
	return nil
}

// reviewFor is how recently a reviewer must have signed in.
const reviewFor = 15 * time.Minute

// reviewer demands the reviewers' group, a second factor, and a fresh sign-in.
func (d Deps) reviewer(claims map[string]string, c *call) error {
	names := d.Settings.Claims
	switch age := d.now().Sub(c.AuthTime); {
	case !slices.Contains(list(claims[or(names.Groups, "cognito:groups")]), or(names.Reviewers, "reviewers")),
		!slices.Contains(list(claims[or(names.AMR, "amr")]), "mfa"):
		return api.NewProblem(api.CodeForbidden, "")
	case age > reviewFor || age < -time.Minute:
		return &twofactor.Reauthenticate{MaxAge: reviewFor}
	}
	// Where a session does not tell the address, the user may be named by it.
	c.Reviewer = twofactor.Reviewer{User: c.User, Email: or(claims[or(names.Email, "email")], string(c.User))}
	return nil
}

// list reads a claim with several values, as API Gateway writes it: "[a b]".
func list(claim string) []string {
	claim = strings.TrimSuffix(strings.TrimPrefix(claim, "["), "]")
	return strings.FieldsFunc(claim, func(r rune) bool { return r == ' ' || r == ',' })
}

func userID(u twofactor.UserID, field string) error {
	if err := u.Validate(); err != nil {
		return api.NewProblem(api.CodeInvalidRequest, field+": must be 1 to 128 bytes of printable UTF-8")
	}
	return nil
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
