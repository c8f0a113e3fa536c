package handler_test

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// TestReviewers says who may review, by claims as API Gateway writes them.
func TestReviewers(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	now := func(d time.Duration) string { return strconv.FormatInt(r.clock().Add(d).Unix(), 10) }
	good := map[string]string{
		"sub": "carol", "email": "carol@staff.example", "cognito:groups": "[reviewers]", "amr": "[mfa]", "auth_time": now(0),
	}
	tests := map[string]struct {
		claim, value string
		status       int
		code         string
	}{
		"one group":                        {"cognito:groups", "[reviewers]", 200, ""},
		"the first of several":             {"cognito:groups", "[reviewers staff]", 200, ""},
		"the last of several":              {"cognito:groups", "[staff reviewers]", 200, ""},
		"with commas":                      {"cognito:groups", "[staff,reviewers]", 200, ""},
		"without brackets":                 {"cognito:groups", "reviewers", 200, ""},
		"no group":                         {"cognito:groups", "", 403, "forbidden"},
		"no brackets' content":             {"cognito:groups", "[]", 403, "forbidden"},
		"another group":                    {"cognito:groups", "[staff]", 403, "forbidden"},
		"a longer name":                    {"cognito:groups", "[reviewers2]", 403, "forbidden"},
		"a name that ends so":              {"cognito:groups", "[non-reviewers]", 403, "forbidden"},
		"a name of the same letters":       {"cognito:groups", "[Reviewers]", 403, "forbidden"},
		"part of a name":                   {"cognito:groups", "[review]", 403, "forbidden"},
		"no amr":                           {"amr", "", 403, "forbidden"},
		"only a password":                  {"amr", "[pwd]", 403, "forbidden"},
		"a new factor":                     {"amr", "[pwd otp]", 403, "forbidden"},
		"a backup code":                    {"amr", "[pwd backup_code]", 403, "forbidden"},
		"a longer method":                  {"amr", "[mfa2]", 403, "forbidden"},
		"mfa among others":                 {"amr", "[pwd otp mfa]", 200, ""},
		"mfa as a text":                    {"amr", "mfa", 200, ""},
		"just fresh":                       {"auth_time", now(-15 * time.Minute), 200, ""},
		"stale":                            {"auth_time", now(-15*time.Minute - time.Second), 401, "reauthenticate"},
		"in a moment":                      {"auth_time", now(time.Minute), 200, ""},
		"in the future":                    {"auth_time", now(time.Minute + time.Second), 401, "reauthenticate"},
		"at the beginning of time":         {"auth_time", "0", 401, "reauthenticate"},
		"not a number":                     {"auth_time", "soon", 401, "reauthenticate"},
		"no auth_time":                     {"auth_time", "", 401, "reauthenticate"},
		"nobody":                           {"sub", "", 401, "unauthorized"},
		"nobody who can be":                {"sub", "a\x00b", 401, "unauthorized"},
		"without an address":               {"email", "", 200, ""},
		"a group of the same name as user": {"sub", "reviewers", 200, ""},
	}
	for name, test := range tests {
		c := maps.Clone(good)
		if c[test.claim] = test.value; test.value == "" {
			delete(c, test.claim)
		}
		a := r.do(claims(c), "GET /v1/reviews", "")
		if a.Status != test.status || a.str("code") != test.code {
			t.Errorf("%s: %d %s, want %d %s", name, a.Status, a.Text, test.status, test.code)
		}
		if test.code == "reauthenticate" && (a.Body["max_age"] != 900.0 || !strings.Contains(a.Headers["www-authenticate"], "max_age=900")) {
			t.Errorf("%s: %s %v", name, a.Text, a.Headers)
		}
	}
	// Who is no reviewer is told so, however stale.
	stale := maps.Clone(good)
	stale["cognito:groups"], stale["auth_time"] = "[staff]", "0"
	r.want(claims(stale), "GET /v1/reviews", "", 403, "forbidden")
}

// TestEveryReviewRouteIsChecked: by a reviewer's session, and by nothing less.
func TestEveryReviewRouteIsChecked(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	r.enrolled("alice")
	id := r.toReview("alice")
	held := r.unchanged("alice")
	routes := map[string]string{"GET /v1/reviews": "", "GET /v1/reviews/{id}": "", decide: r.decision("alice", "stop")}
	for route, text := range routes {
		at := func(c caller) caller {
			if route != "GET /v1/reviews" {
				c = c.about(id)
			}
			return c
		}
		r.want(at(anyone), route, text, 401, "unauthorized")
		r.want(at(host()), route, text, 401, "unauthorized")
		r.want(at(r.session("carol")), route, text, 403, "forbidden")
		r.want(at(r.session("alice")), route, text, 403, "forbidden")
	}
	carol := r.reviewer("carol")
	r.wind(15*time.Minute + time.Second)
	for route, text := range routes {
		c := carol
		if route != "GET /v1/reviews" {
			c = c.about(id)
		}
		r.want(c, route, text, 401, "reauthenticate")
	}
	held()
}

// TestNamesOfClaims are settings.
func TestNamesOfClaims(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	r.enrolled("alice")
	id := r.toReview("alice")
	r.deps.Settings.Claims = handler.Claims{
		User: "uid", AuthTime: "login_at", TokenUse: "access", Groups: "roles", AMR: "methods", Email: "mail", Reviewers: "desk",
	}
	r.funcs = functions(r.deps)
	named := map[string]string{
		"uid": "carol", "login_at": fmt.Sprint(r.clock().Unix()), "token_use": "access", "roles": "[desk]", "methods": "[mfa]", "mail": "c@staff.example",
	}
	r.want(claims(named), "GET /v1/reviews", "", 200, "")
	for _, name := range []string{"uid", "login_at", "token_use", "roles", "methods"} {
		c := maps.Clone(named)
		delete(c, name)
		c["sub"], c["auth_time"], c["cognito:groups"], c["groups"], c["amr"] = "carol", named["login_at"], "[reviewers desk]", "[desk]", "[mfa]"
		if a := r.do(claims(c), "GET /v1/reviews", ""); a.Status != 401 && a.Status != 403 {
			t.Errorf("without %s: %d %s", name, a.Status, a.Text)
		}
	}
	named["mail"] = "alice@example.com"
	r.want(claims(named).about(id), "GET /v1/reviews/{id}", "", 403, "forbidden")
	delete(named, "login_at")
	named["iat"] = fmt.Sprint(r.clock().Unix())
	r.want(claims(named), "GET /v1/reviews", "", 401, "reauthenticate")
	r.deps.Settings.Claims.AuthTimeFromIAT = true
	r.funcs = functions(r.deps)
	r.want(claims(named), "GET /v1/reviews", "", 200, "")
}

// TestOwnCase: nobody is shown, or decides on, the case of their own account: by the user, or by an address it has or had.
func TestOwnCase(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	r.enrolled("alice")
	id := r.toReview("alice")
	r.want(host().to("alice"), "POST /v1/users/{user}/events", `{"type":"address_changed","email":"new@example.com"}`, 204, "")
	who := func(sub, email string) caller {
		return claims(map[string]string{
			"sub": sub, "email": email, "cognito:groups": "[reviewers]", "amr": "[mfa]", "auth_time": fmt.Sprint(r.clock().Unix()),
		}).about(id)
	}
	held := r.unchanged("alice")
	stop := r.decision("alice", "stop")
	for name, own := range map[string]caller{
		"the user": who("alice", "alice@staff.example"), "the address": who("carol", "new@example.com"),
		"the address in other letters": who("carol", "New@Example.COM"), "the address before": who("carol", "alice@example.com"),
		"a user named by the address": who("new@example.com", ""),
	} {
		for route, text := range map[string]string{"GET /v1/reviews/{id}": "", decide: stop} {
			if a := r.do(own, route, text); a.Status != 403 || a.str("code") != "forbidden" {
				t.Errorf("%s, %s: %d %s", name, route, a.Status, a.Text)
			}
		}
	}
	held()
	if history := r.want(r.session("alice"), "GET /v1/history", "", 200, "").Text; strings.Contains(history, string(twofactor.EventCaseViewed)) {
		t.Errorf("a case that was not shown was noted as viewed: %s", history)
	}
	r.want(who("carol", "carol@staff.example"), "GET /v1/reviews/{id}", "", 200, "")
	r.want(who("carol", ""), decide, stop, 200, "")
}
