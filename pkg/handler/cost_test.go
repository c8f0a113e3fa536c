package handler_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/needs"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// TestCost counts what every operation takes of DynamoDB and of the key-encryption key, from a warm function, and how large the
// account's item is afterwards: for a typical account, and for one about as large as it may become. make bench prints the table,
// and docs/proof.md has some of its rows, which must be what is counted.
func TestCost(t *testing.T) {
	t.Parallel()
	m, told := newMeter(t), toldCosts(t)
	var table strings.Builder
	for _, c := range costs {
		took, bytes := [2]cost{}, [2]int{}
		for i, longest := range []bool{false, true} {
			if longest && told[c.name] == "" && !testing.Verbose() {
				continue // to be done sooner
			}
			s := m.scene(t, c.policy, longest)
			r := c.prepare(s)
			if longest {
				m.fills(s, r)
			}
			if c.meanwhile != nil {
				c.meanwhile(m, s)
			}
			before := m.spent()
			a := s.take(r)
			took[i], bytes[i] = m.since(before), m.itemSize(s)
			if code := a.str("code"); code != c.code || (code == "") != (a.Status/100 == 2) {
				t.Errorf("%s: answered %d %s", c.name, a.Status, a.Text)
			}
			want := c.want
			want.trips = want.reads + want.writes // never two at once
			if longest {
				want.readUnits, want.writeUnits = took[i].readUnits, took[i].writeUnits
			}
			if took[i] != want {
				t.Errorf("%s: took %+v, want %+v", c.name, took[i], want)
			}
		}
		row := fmt.Sprintf("| %s | %g | %g | %d | %d | %g | %g | %d |\n", c.name, took[0].readUnits, took[0].writeUnits, took[0].trips, bytes[0],
			took[1].readUnits, took[1].writeUnits, bytes[1])
		table.WriteString(row)
		if told[c.name] != "" && !sameCost(told[c.name], row) {
			t.Errorf("docs/proof.md has another row than is counted:\n%swant\n%s", told[c.name], row)
		}
		delete(told, c.name)
	}
	t.Logf("on %s/%s, %d processors, %s, DynamoDB Local %s:\n| what | RRU | WRU | round trips | item, bytes | RRU, largest | WRU | item, bytes |\n"+
		"|---|---:|---:|---:|---:|---:|---:|---:|\n%s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), needs.DynamoDBLocalVersion, &table)
	for _, row := range told {
		t.Errorf("docs/proof.md has a row for what is not counted:\n%s", row)
	}
	if m.kek.used.Load() == 0 {
		t.Error("not even loading the keys used the key-encryption key: it is not counted")
	}
}

// toldCosts are the rows of docs/proof.md, by what they are about.
func toldCosts(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/proof.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "<!-- units -->\n")
	table, _, _ := strings.Cut(rest, "<!-- end -->\n")
	rows := map[string]string{}
	for row := range strings.Lines(table) {
		rows[strings.TrimSpace(strings.Split(row, "|")[1])] = row
	}
	delete(rows, "what")
	delete(rows, "---")
	if len(rows) < 20 {
		t.Fatalf("docs/proof.md has %d rows only", len(rows))
	}
	return rows
}

// sameCost says whether two rows are the same, but for a few bytes of an item: an id is a number of more digits or of fewer.
func sameCost(a, b string) bool {
	return slices.EqualFunc(strings.Split(a, " | "), strings.Split(b, " | "), func(x, y string) bool {
		m, _ := strconv.Atoi(strings.TrimRight(x, " |\n"))
		n, _ := strconv.Atoi(strings.TrimRight(y, " |\n"))
		return x == y || m > 100 && max(m-n, n-m) <= 8
	})
}

var (
	nothingCompared = cost{reads: 1, readUnits: 1}
	// decided is the least that both throttles and spends codes.
	decided = cost{reads: 1, writes: 1, readUnits: 1, writeUnits: 1}
	// noted is decided, and a row in the history.
	noted = cost{reads: 1, writes: 2, readUnits: 1, writeUnits: 2}
	// twice is decided, and a look at the history or at what has become of the account.
	twice = cost{reads: 2, writes: 1, readUnits: 2, writeUnits: 1}
	// indexed is decided for an account that begins or ends to wait for something: the index has a write of its own. Waiting for
	// something else takes two.
	indexed = cost{reads: 1, writes: 1, readUnits: 1, writeUnits: 2}
	// largerIndexed is indexed for an account that has more than 1 KB before or after.
	largerIndexed = cost{reads: 1, writes: 1, readUnits: 1, writeUnits: 3}
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
		return s.with("totp", s.phone.codeAt(s.clock().Add(4*time.Minute)))
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
	{name: "replace with a grant", policy: standard, want: largerIndexed, prepare: func(s *scene) request {
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

	{name: "history, 50 rows", policy: standard, want: cost{reads: 1, readUnits: 5}, prepare: func(s *scene) request {
		for range 50 {
			s.after(saw("login")(s))
		}
		return request{s.session().asking(map[string]string{"limit": "50"}), "GET /v1/history", ""}
	}},
	{name: "keys for hosts", policy: standard, want: nothingCompared, prepare: func(*scene) request {
		return request{anyone, "GET /.well-known/jwks.json", ""}
	}},

	{name: "reset-request", policy: standard, want: largerIndexed, prepare: (*scene).atReset},
	{name: "reset/show", policy: standard, want: nothingCompared, prepare: func(s *scene) request {
		s.after(s.atReset())
		return s.atLink("POST /v1/reset/show", twofactor.LinkIdentity)
	}},
	{name: "reset/identity", policy: standard, want: cost{reads: 2, writes: 1, readUnits: 2, writeUnits: 2}, prepare: (*scene).atIdentity},
	{name: "webhook, identity passed", policy: standard, want: cost{reads: 2, writes: 1, readUnits: 2, writeUnits: 4}, prepare: (*scene).atHint},
	{name: "review", policy: standard, want: twice, prepare: func(s *scene) request {
		r := s.atDecision()
		return request{r.who, "GET /v1/reviews/{id}", ""}
	}},
	{name: "review, approved", policy: standard, want: cost{reads: 1, writes: 1, readUnits: 1, writeUnits: 4}, prepare: (*scene).atDecision},
	{name: "verify, reset link that turns 2FA off", policy: standard, want: largerIndexed, prepare: func(s *scene) request {
		s.after(s.atDecision())
		s.wind(8 * 24 * time.Hour)
		challenge := s.tells().str("challenge")
		return request{anyone, "POST /v1/verify", body("challenge", challenge, "method", "reset_link", "code", s.recovery.link(s.user, twofactor.LinkSignIn))}
	}},
	{name: "reset/cancel", policy: standard, want: largerIndexed, prepare: func(s *scene) request {
		s.after(s.atReset())
		return s.atLink("POST /v1/reset/cancel", twofactor.LinkCancel)
	}},
	{name: "reset, canceled in a session", policy: standard, want: largerIndexed, prepare: func(s *scene) request {
		s.after(s.atReset())
		return request{s.session(), "DELETE /v1/reset", ""}
	}},

	{name: "admin unlock", policy: standard, want: twice, prepare: func(s *scene) request {
		s.fail(5)
		return s.order("unlock")
	}},
	{name: "admin remove_authenticator", policy: standard, want: twice, prepare: func(s *scene) request { return s.order("remove_authenticator") }},
	{name: "admin export", policy: standard, want: cost{reads: 2, readUnits: 2}, prepare: func(s *scene) request { return s.order("export") }},
}
