package journeys_test

import (
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// words are all the words that a script can be written in, in README.md's order.
func words() []word {
	type (
		W  = *world
		TS = *testscript.TestScript
	)
	return []word{
		{"server PRESET", 1, 1, func(w W, ts TS, args []string) {
			w.server.policy = args[0]
			ts.Check(w.server.start())
		}},
		{"restart", 0, 0, func(w W, ts TS, _ []string) {
			ts.Check(w.server.kill())
			ts.Check(w.server.start())
		}},
		{"clock forward DURATION", 2, 2, func(w W, ts TS, args []string) {
			by, err := time.ParseDuration(args[1])
			ts.Check(err)
			if args[0] != "forward" || by <= 0 {
				ts.Fatalf("the clock only goes forward")
			}
			w.wind(ts, by)
		}},
		{"user NAME", 1, 1, func(w W, ts TS, args []string) { w.user(ts, args[0]) }},

		{"password [wrong]", 0, 1, func(w W, ts TS, args []string) {
			if len(args) == 1 {
				w.password(ts, "password wrong", wrongPassword)
				return
			}
			w.password(ts, "password", rightPassword)
		}},
		{"code CODE", 1, 1, func(w W, ts TS, args []string) { w.code(ts, args) }},
		{"enroll [CODE|grant]", 0, 1, func(w W, ts TS, args []string) { w.enroll(ts, args) }},
		{"confirm CODE", 1, 1, func(w W, ts TS, args []string) { w.confirm(ts, args) }},
		{"abandon", 0, 0, func(w W, ts TS, _ []string) { w.act(ts, "abandon", "DELETE", "/v1/enroll", nil) }},
		{"check CODE", 1, 1, func(w W, ts TS, args []string) { w.manage(ts, "check", args, "/v1/check") }},
		{"new-backup CODE|grant", 1, 1, func(w W, ts TS, args []string) { w.manage(ts, "new-backup", args, "/v1/backup-code") }},
		{"revoke-backup CODE", 1, 1, func(w W, ts TS, args []string) {
			w.manage(ts, "revoke-backup", args, "/v1/backup-code/revoke")
		}},
		{"disable CODE", 1, 1, func(w W, ts TS, args []string) { w.manage(ts, "disable", args, "/v1/disable") }},
		{"support OPERATION", 1, 1, func(w W, ts TS, args []string) {
			w.act(ts, line("support", args), "POST", "/dev/admin", map[string]string{
				"operation": args[0], "user": w.who.email, "operator": "support", "reason": "asked for by telephone",
			})
		}},

		{"lost-device", 0, 0, func(w W, ts TS, _ []string) {
			w.act(ts, "lost-device", "POST", "/v1/reset-request", map[string]string{"challenge": w.who.challenge})
		}},
		{"mail SUBJECT", 1, 1, func(w W, ts TS, args []string) { w.mail(ts, w.who.email, args[0]) }},
		{"mail-to ADDRESS SUBJECT", 2, 2, func(w W, ts TS, args []string) { w.mail(ts, args[0], args[1]) }},
		{"no-mail SUBJECT", 1, 1, func(w W, ts TS, args []string) { w.noMail(ts, w.who.email, args[0]) }},
		{"link identity|cancel|sign-in", 1, 1, func(w W, ts TS, args []string) { w.link(ts, args[0]) }},
		{"link-again", 0, 0, func(w W, ts TS, _ []string) { w.follow(ts, "link-again") }},
		{"identity pass|fail", 1, 1, func(w W, ts TS, args []string) { w.identity(ts, args[0]) }},
		{"cancel-by-link", 0, 0, func(w W, ts TS, _ []string) {
			w.act(ts, "cancel-by-link", "POST", "/v1/reset/cancel", map[string]string{"token": w.who.link})
		}},
		{"cancel-reset", 0, 0, func(w W, ts TS, _ []string) { w.act(ts, "cancel-reset", "DELETE", "/v1/reset", nil) }},
		{"review", 0, 0, func(w W, ts TS, _ []string) { w.review(ts) }},
		{"look", 0, 0, func(w W, ts TS, _ []string) { w.look(ts) }},
		{"decide DECISION [REASON]", 1, 2, func(w W, ts TS, args []string) { w.decide(ts, args) }},
		{"new-address ADDRESS", 1, 1, func(w W, ts TS, args []string) { w.newAddress(ts, args[0]) }},

		{"phone NAME", 1, 1, func(w W, ts TS, args []string) { w.takePhone(args[0]) }},
		{"scan", 0, 0, func(w W, ts TS, _ []string) { w.scan(ts) }},
		{"type-key", 0, 0, func(w W, ts TS, _ []string) { w.typeKey(ts) }},
		{"lose-phone", 0, 0, func(w W, ts TS, _ []string) { w.losePhone(ts) }},
		{"phone-clock DURATION|automatic", 1, 1, func(w W, ts TS, args []string) { w.phoneClock(ts, args[0]) }},
		{"write-down N characters", 2, 2, func(w W, ts TS, args []string) { w.writeDown(ts, args[0]) }},

		{"asked METHOD...", 1, -1, func(w W, ts TS, args []string) { w.asked(ts, args) }},
		{"signed-in", 0, 0, func(w W, ts TS, _ []string) { w.mustBeSignedIn(ts, true) }},
		{"not-signed-in", 0, 0, func(w W, ts TS, _ []string) { w.mustBeSignedIn(ts, false) }},
		{"refused CODE [NAME=VALUE...]", 1, -1, func(w W, ts TS, args []string) { w.refused(ts, args[0], args[1:]) }},
		{"says NAME=VALUE...", 1, -1, func(w W, ts TS, args []string) { w.says(ts, args) }},
		{"told-host NAME=VALUE...", 1, -1, func(w W, ts TS, args []string) { w.toldHost(ts, args) }},
		{"status NAME=VALUE...", 1, -1, func(w W, ts TS, args []string) { w.mustStand(ts, args) }},
		{"changed NAME...", 1, -1, func(w W, ts TS, args []string) { w.changed(ts, args) }},
		{"history 'TYPE OUTCOME METHOD'...", 1, -1, func(w W, ts TS, args []string) { w.history(ts, args) }},
		{"no-code-was-mailed", 0, 0, func(w W, ts TS, _ []string) { w.noCodeWasMailed(ts) }},
	}
}
