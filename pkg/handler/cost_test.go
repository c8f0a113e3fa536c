package handler_test

import (
	"fmt"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// TestCost counts what every operation takes of DynamoDB and of the key-encryption key, from a warm function, for a
// typical account. `go test -v -run Cost ./pkg/handler` prints the table.
func TestCost(t *testing.T) {
	t.Parallel()
	m := newMeter(t)
	var table strings.Builder
	columns := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(columns, "reads\twrites\tRRU\tWRU\tKEK\t")
	for _, c := range costs {
		s := m.scene(t, c.policy)
		r := c.prepare(s)
		if c.meanwhile != nil {
			c.meanwhile(m, s)
		}
		before := m.spent()
		a := s.do(r.who, r.route, r.body)
		got := m.since(before)
		if code := a.str("code"); code != c.code || (code == "") != (a.Status/100 == 2) {
			t.Errorf("%s: answered %d %s", c.name, a.Status, a.Text)
		}
		if got != c.want {
			t.Errorf("%s: took %+v, want %+v", c.name, got, c.want)
		}
		fmt.Fprintf(columns, "%d\t%d\t%g\t%g\t%d\t  %s\n", got.reads, got.writes, got.readUnits, got.writeUnits, got.kek, c.name)
	}
	columns.Flush()
	t.Logf("what a request takes:\n%s", table.String())
	if m.kek.used.Load() == 0 {
		t.Error("not even loading the keys used the key-encryption key: it is not counted")
	}
}

var (
	nothingCompared = cost{reads: 1, readUnits: 1}
	// decided is the least that both throttles and spends codes.
	decided = cost{reads: 1, writes: 1, readUnits: 1, writeUnits: 1}
	// noted is decided, and a row in the history.
	noted = cost{reads: 1, writes: 2, readUnits: 1, writeUnits: 2}
	// indexed is decided for an account that begins or ends to wait for something: the index has a write of its own.
	indexed = cost{reads: 1, writes: 1, readUnits: 1, writeUnits: 2}
)

// costs has every operation, and what it takes; and the code of its answer, if it is refused.
var costs = []struct {
	name      string
	policy    string
	prepare   func(*scene) request
	meanwhile func(*meter, *scene)
	code      string
	want      cost
}{
	{name: "verify", policy: standard, prepare: (*scene).atVerify, want: decided},
	{name: "verify, sent again", policy: standard, prepare: func(s *scene) request { return s.after(s.atVerify()) }, want: decided},
	{name: "verify, the third within ten minutes", policy: standard, want: decided, prepare: func(s *scene) request {
		for range 2 {
			s.after(s.atVerify())
			s.wind(nextCode)
		}
		return s.atVerify()
	}},
	{name: "verify, wrong code", policy: standard, code: "invalid_code", prepare: (*scene).atWrongVerify, want: decided},
	{name: "verify, wrong code that locks", policy: standard, code: "invalid_code", want: decided, prepare: func(s *scene) request {
		s.fail(4)
		return s.atWrongVerify()
	}},
	{name: "verify, wrong code that locks and suspends", policy: fragile, code: "invalid_code", prepare: (*scene).atWrongVerify, want: decided},
	{name: "verify, code of a phone whose clock is off", policy: standard, code: "invalid_code", want: decided, prepare: func(s *scene) request {
		return s.signIn("totp", s.phone.codeAt(s.clock().Add(4*time.Minute)))
	}},
	{name: "verify, right code while locked", policy: standard, code: "locked", want: nothingCompared, prepare: func(s *scene) request {
		s.fail(5)
		return s.atVerify()
	}},
	{name: "verify, wrong code while locked", policy: standard, code: "locked", want: nothingCompared, prepare: func(s *scene) request {
		s.fail(5)
		return s.atWrongVerify()
	}},
	{name: "verify, right code while suspended", policy: fragile, code: "suspended", want: nothingCompared, prepare: func(s *scene) request {
		s.fail(1)
		return s.atVerify()
	}},
	{name: "verify, spent code", policy: standard, code: "code_reused", want: decided, prepare: func(s *scene) request {
		s.after(s.atVerify())
		return s.atVerify()
	}},
	{name: "verify, spent code for the fifth time", policy: standard, code: "code_reused", want: nothingCompared, prepare: func(s *scene) request {
		s.after(s.atVerify())
		for range 4 {
			s.after(s.atVerify())
		}
		return s.atVerify()
	}},
	{name: "verify, race lost", policy: standard, prepare: (*scene).atVerify, meanwhile: (*meter).overtake,
		want: cost{reads: 1, writes: 2, readUnits: 1, writeUnits: 1}},
	{name: "verify, answer to the write lost", policy: standard, prepare: (*scene).atVerify,
		meanwhile: func(m *meter, _ *scene) { m.wire.lose = true }, want: cost{reads: 1, writes: 2, readUnits: 1}},
	{name: "verify, backup code, reissued", policy: standard, prepare: backupSignInAgain, want: decided},
	{name: "verify, backup code, reissued, sent again", policy: standard, want: decided,
		prepare: func(s *scene) request { return s.after(backupSignInAgain(s)) }},
	{name: "verify, backup code that turns 2FA off", policy: mirox, prepare: backupSignInAgain, want: decided},
	{name: "verify, backup code that is not replaced", policy: midphase, prepare: backupSignInAgain, want: decided},
	{name: "verify, wrong backup code", policy: standard, code: "invalid_code", want: decided, prepare: (*scene).atWrongBackup},
	{name: "verify, backup code while locked", policy: standard, code: "locked", want: nothingCompared, prepare: func(s *scene) request {
		for range 5 {
			s.after(s.atWrongBackup())
		}
		return backupSignInAgain(s)
	}},

	{name: "check", policy: standard, prepare: (*scene).atCheck, want: decided},
	{name: "check, wrong code", policy: standard, want: decided, prepare: func(s *scene) request {
		return request{s.session(), "POST /v1/check", body("code", s.phone.wrong())}
	}},
	{name: "check, wrong code that locks", policy: standard, want: decided, prepare: func(s *scene) request {
		s.fail(4)
		return request{s.session(), "POST /v1/check", body("code", s.phone.wrong())}
	}},
	{name: "check while locked", policy: standard, code: "locked", want: nothingCompared, prepare: func(s *scene) request {
		s.fail(5)
		return s.atCheck()
	}},

	{name: "backup-code", policy: standard, want: decided, prepare: func(s *scene) request {
		return request{s.session().key(someKey), "POST /v1/backup-code", body("code", s.phone.code())}
	}},
	{name: "backup-code with a grant", policy: standard, want: decided, prepare: func(s *scene) request {
		return request{s.session().key(someKey), "POST /v1/backup-code", body("grant", s.grantAgain())}
	}},
	{name: "backup-code, wrong code", policy: standard, code: "invalid_code", want: decided, prepare: func(s *scene) request {
		return request{s.session().key(someKey), "POST /v1/backup-code", body("code", s.phone.wrong())}
	}},
	{name: "backup-code/revoke", policy: midphase, want: decided, prepare: func(s *scene) request {
		return request{s.session().key(someKey), "POST /v1/backup-code/revoke", body("code", s.phone.code())}
	}},
	{name: "disable", policy: standard, prepare: (*scene).atDisable, want: decided},

	{name: "enroll", policy: standard, want: decided, prepare: func(s *scene) request {
		s.after(s.atDisable())
		return request{s.session().key(someKey), "POST /v1/enroll", `{}`}
	}},
	{name: "enroll/confirm", policy: standard, want: decided, prepare: func(s *scene) request {
		s.after(s.atDisable())
		s.setUp = s.begins()
		return request{s.session().key(someKey), "POST /v1/enroll/confirm", s.confirmation(s.setUp)}
	}},
	{name: "enroll/confirm, wrong code", policy: standard, code: "invalid_code", want: decided, prepare: func(s *scene) request {
		s.after(s.atDisable())
		s.setUp = s.begins()
		wrong := phone{s.world, s.setUp.str("manual_secret")}.wrong()
		return request{s.session(), "POST /v1/enroll/confirm", body("enrollment_id", s.setUp.str("enrollment_id"), "code", wrong)}
	}},
	{name: "discard", policy: standard, want: decided, prepare: func(s *scene) request {
		s.after(s.atDisable())
		s.begins()
		return request{s.session(), "DELETE /v1/enroll", ""}
	}},
	{name: "verify/enroll", policy: standard, want: decided, prepare: func(s *scene) request {
		s.insists()
		return request{anyone.key(someKey), "POST /v1/verify/enroll", body("challenge", s.challenge)}
	}},
	{name: "verify/enroll/confirm", policy: standard, want: decided, prepare: func(s *scene) request {
		s.insists()
		s.setUp = s.beginsInside()
		return request{anyone.key(someKey), "POST /v1/verify/enroll/confirm", s.confirmationInside(s.setUp)}
	}},
	{name: "replace with a code", policy: standard, want: indexed, prepare: func(s *scene) request {
		return request{s.session().key(someKey), "POST /v1/enroll", body("code", s.phone.code())}
	}},
	// With two secrets and a sign-in of just now in it, the item is larger than 1 KB.
	{name: "replace with a grant", policy: standard, want: cost{reads: 1, writes: 1, readUnits: 1, writeUnits: 3}, prepare: func(s *scene) request {
		return request{s.session().key(someKey), "POST /v1/enroll", body("grant", s.grantAgain())}
	}},
	{name: "replace, confirm", policy: standard, want: indexed, prepare: func(s *scene) request {
		r := s.confirmReplacement()
		r.who = r.who.key(someKey)
		return r
	}},
	{name: "verify while a replacement is pending", policy: standard, want: decided, prepare: func(s *scene) request {
		s.confirmReplacement()
		s.wind(nextCode)
		return s.atVerify()
	}},

	{name: "status", policy: standard, want: nothingCompared, prepare: func(s *scene) request {
		return request{s.session(), "GET /v1/status", ""}
	}},
	{name: "challenge", policy: standard, want: cost{reads: 1, writes: 1, readUnits: 1, writeUnits: 1}, // the write is a row in the history
		prepare: func(s *scene) request { return s.asks() }},
	{name: "challenge, with a new name for the account", policy: standard, want: noted,
		prepare: func(s *scene) request { return s.asks("label", "another label") }},
	{name: "challenge, with a new address", policy: standard, want: noted,
		prepare: func(s *scene) request { return s.asks("email", "alice@example.org") }},
	{name: "challenge, nothing due", policy: standard, want: nothingCompared, prepare: func(s *scene) request {
		s.after(s.atDisable())
		return s.asks()
	}},
	{name: "event login", policy: standard, want: cost{writes: 1, writeUnits: 1}, prepare: saw("login")},
	{name: "event password_failed", policy: standard, want: cost{writes: 1, writeUnits: 1}, prepare: saw("password_failed")},
	{name: "event password_changed", policy: standard, want: decided, prepare: saw("password_changed")},
	{name: "event address_changed", policy: standard, want: decided, prepare: saw("address_changed", "email", "alice@example.org")},
	{name: "event deleted", policy: standard, want: decided, prepare: saw("deleted")},
}

// fragile locks and suspends after one wrong code.
const fragile = `{"max_failures":1,"monthly_failures":1}`

const someKey = "0123456789abcdef0123456789abcdef"

func (s *scene) atVerify() request { return s.with("totp", s.phone.code()) }

func (s *scene) atWrongVerify() request { return s.with("totp", s.phone.wrong()) }

func (s *scene) atWrongBackup() request { return s.with("backup_code", "AAAAA-AAAAA-AAA") }

func (s *scene) atCheck() request {
	return request{s.session(), "POST /v1/check", body("code", s.phone.code())}
}

func (s *scene) atDisable() request {
	return request{s.session().key(someKey), "POST /v1/disable", body("code", s.phone.code())}
}

func backupSignInAgain(s *scene) request { return s.with("backup_code", s.backup) }

// with is at the sign-in with a code, for which the host has told nothing new.
func (s *scene) with(method, code string) request {
	s.challenge = s.tells().str("challenge")
	return request{anyone, "POST /v1/verify", body("challenge", s.challenge, "method", method, "code", code)}
}

// grantAgain is the grant of a sign-in with the backup code.
func (s *scene) grantAgain() string {
	r := backupSignInAgain(s)
	s.grant = s.do(r.who, r.route, r.body).str("grant")
	return s.grant
}

// insists has 2FA off, and a host that demands it.
func (s *scene) insists() {
	s.after(s.atDisable())
	s.deps.Service.Policy.Enforcement = "required"
	s.challenge = s.tells().str("challenge")
}

// after sends a request, whatever it is answered, and returns it.
func (s *scene) after(r request) request {
	s.do(r.who, r.route, r.body)
	return r
}

// fail has codes fail.
func (s *scene) fail(times int) {
	for range times {
		s.after(request{s.session(), "POST /v1/check", body("code", s.phone.wrong())})
	}
}

// saw is at the report of a host.
func saw(what string, more ...string) func(*scene) request {
	return func(s *scene) request {
		event := append([]string{"type", what, "ip", here, "user_agent", longAgent}, more...)
		return request{host().to(s.user), "POST /v1/users/{user}/events", body(event...)}
	}
}
