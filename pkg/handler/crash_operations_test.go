package handler_test

// operation is one thing that a user or a host can do, and what is promised of it when it is done again.
type operation struct {
	name       string
	policy     string               // in JSON
	idempotent bool                 // the route honours an Idempotency-Key: it runs with and without one
	prepare    func(*scene) request // brings the user there; what it returns is the request
	refused    string               // the code of its answer; empty: it is accepted
	done       func(*scene, answer) // what must be true when that has been answered

	// again is what the same request, without a key, is answered once it has been carried out: same, anew or a code.
	again string
	// What it is answered after a new password: when it had not been carried out, and when it had.
	passwordBefore, passwordAfter string

	event    string       // in the history, once (or, anew, each time)
	appends  bool         // the event goes straight to the history
	quiet    bool         // once it is done, there is nothing to write
	moves    bool         // the next phone comes into force
	turnsOff bool         // 2FA is off then
	backup   backupChange // what becomes of the backup code

	brief        bool // another operation goes the same way in full; this one draws QR codes, which takes long
	limit        int  // of a refused code: how many wrong ones its budget has
	sharesBudget bool // with every other comparison
}

const (
	same = "same" // the same answer
	anew = "anew" // it is carried out again, which does no harm
)

type backupChange int

const (
	kept  backupChange = iota
	shown              // the answer has a new one, or the set-up had
	gone
)

// call is the call that stores the operation's event.
func (o operation) call() string {
	if o.appends {
		return callAppend
	}
	return callReplace
}

const (
	standard  = `{"preset":"standard"}`                                 // before_confirm, reissue, replace
	mirox     = `{"preset":"mirox"}`                                    // before_confirm, disable_2fa, replace
	midphase  = `{"preset":"midphase"}`                                 // after_activation, require_manual_new, revoke_then_create
	miaxdx    = `{"preset":"miaxdx"}`                                   // required, before_confirm, reissue
	afterward = `{"preset":"miaxdx","backup_issue":"after_activation"}` // required, after_activation, reissue
)

var operations = []operation{
	// A first authenticator, from a session.
	{
		name: "enroll, backup code before", policy: standard, idempotent: true, again: anew,
		prepare: beginEnrolment, event: "enrollment_started success",
		passwordBefore: "reauthenticate", passwordAfter: "reauthenticate", done: confirmed,
	},
	{
		name: "enroll, backup code after", policy: midphase, idempotent: true, again: anew, brief: true,
		prepare: beginEnrolment, event: "enrollment_started success",
		passwordBefore: "reauthenticate", passwordAfter: "reauthenticate", done: confirmed,
	},
	{
		name: "confirm, backup code before", policy: standard, idempotent: true, again: "enrollment_expired",
		prepare: confirmEnrolment, event: "enabled success", moves: true, backup: shown,
		passwordBefore: "enrollment_expired", passwordAfter: "enrollment_expired", done: spentAtConfirm,
	},
	{
		name: "confirm, backup code after", policy: midphase, idempotent: true, again: "enrollment_expired",
		prepare: confirmEnrolment, event: "enabled success", moves: true, backup: shown,
		passwordBefore: "enrollment_expired", passwordAfter: "enrollment_expired", done: spentAtConfirm,
	},
	{
		name: "confirm with a wrong code", policy: standard, idempotent: true, again: anew, refused: "invalid_code",
		prepare: func(s *scene) request {
			r := confirmEnrolment(s)
			r.body = body("enrollment_id", s.setUp.str("enrollment_id"), "code", s.next.wrong())
			return r
		},
		event: "code_refused failure", limit: 10,
		passwordBefore: "enrollment_expired", passwordAfter: "enrollment_expired",
		done: func(s *scene, _ answer) { // the set-up goes on
			confirmed(s, s.setUp)
		},
	},
	{
		name: "discard", policy: standard, again: same, quiet: true,
		prepare: func(s *scene) request {
			confirmEnrolment(s)
			return request{s.session(), "DELETE /v1/enroll", ""}
		},
		done: func(s *scene, _ answer) {
			s.want(s.session(), "POST /v1/enroll/confirm", s.confirmation(s.setUp), 409, "enrollment_expired")
		},
	},

	// A first authenticator, inside a sign-in.
	{
		name: "verify/enroll", policy: miaxdx, idempotent: true, again: anew, brief: true,
		prepare: func(s *scene) request {
			s.challenge = s.newChallenge()
			return request{anyone, "POST /v1/verify/enroll", body("challenge", s.challenge)}
		},
		event:          "enrollment_started success",
		passwordBefore: "challenge_expired", passwordAfter: "challenge_expired", done: confirmedInside,
	},
	{
		name: "verify/enroll/confirm, backup code before", policy: miaxdx, idempotent: true, again: same,
		prepare: confirmInside, event: "login success", moves: true, backup: shown,
		passwordBefore: "challenge_expired", passwordAfter: "challenge_expired", done: spentAtSignIn,
	},
	{
		name: "verify/enroll/confirm, backup code after", policy: afterward, idempotent: true, again: same,
		prepare: confirmInside, event: "login success", moves: true, backup: shown,
		passwordBefore: "challenge_expired", passwordAfter: "challenge_expired", done: spentAtSignIn,
	},
	{
		name: "verify/enroll/confirm with a wrong code", policy: miaxdx, again: anew, refused: "invalid_code",
		prepare: func(s *scene) request {
			r := confirmInside(s)
			r.body = body("challenge", s.challenge, "enrollment_id", s.setUp.str("enrollment_id"), "code", s.next.wrong())
			return r
		},
		event: "code_refused failure", limit: 10,
		passwordBefore: "challenge_expired", passwordAfter: "challenge_expired",
		done: func(s *scene, _ answer) { confirmedInside(s, s.setUp) },
	},

	// Signing in.
	{
		name: "verify", policy: standard, again: same, event: "login success",
		prepare: func(s *scene) request {
			s.enrol()
			return s.signIn("totp", s.phone.code())
		},
		passwordBefore: "challenge_expired", passwordAfter: "challenge_expired", done: spentAtSignIn,
	},
	{
		name: "verify with a wrong code", policy: standard, again: anew, refused: "invalid_code", event: "login failure",
		prepare: func(s *scene) request {
			s.enrol()
			return s.signIn("totp", s.phone.wrong())
		},
		limit: 5, sharesBudget: true,
		passwordBefore: "challenge_expired", passwordAfter: "challenge_expired",
		done: func(s *scene, _ answer) { // on the same challenge
			s.want(anyone, "POST /v1/verify", body("challenge", s.challenge, "method", "totp", "code", s.phone.code()), 200, "")
		},
	},
	{
		name: "verify with a spent code", policy: standard, again: anew, refused: "code_reused", event: "code_reused failure",
		prepare: func(s *scene) request {
			s.enrol()
			r := s.signIn("totp", s.phone.code())
			s.want(r.who, r.route, r.body, 200, "")
			return s.signIn("totp", s.phone.code())
		},
		passwordBefore: "challenge_expired", passwordAfter: "challenge_expired",
	},
	{
		name: "verify with a backup code, which is reissued", policy: standard, again: same, event: "login success",
		prepare: backupSignIn, backup: shown,
		passwordBefore: "challenge_expired", passwordAfter: "challenge_expired",
		done: func(s *scene, a answer) {
			s.wantUsed("totp", s.phone.code())
			s.wantDead(s.former)
			s.grant = a.str("grant") // opens the way to another phone
			confirmed(s, s.beginsReplacement())
		},
	},
	{
		name: "verify with a backup code, which turns 2FA off", policy: mirox, again: same, event: "login success",
		prepare: backupSignIn, backup: gone, turnsOff: true,
		passwordBefore: "challenge_expired", passwordAfter: "challenge_expired",
		done: func(s *scene, a answer) {
			s.wantUsed("totp", s.phone.code())
			s.wantDead(s.former)
		},
	},
	{
		name: "verify with a backup code, which is not replaced", policy: midphase, again: same, event: "login success",
		prepare: backupSignIn, backup: gone,
		passwordBefore: "challenge_expired", passwordAfter: "challenge_expired",
		done: func(s *scene, a answer) {
			s.wantUsed("totp", s.phone.code())
			s.wantDead(s.former)
			s.createBackup(a.str("grant"))
		},
	},
	{
		name: "verify with a wrong backup code", policy: standard, again: anew, refused: "invalid_code", event: "login failure",
		prepare: func(s *scene) request {
			s.enrol()
			return s.signIn("backup_code", "AAAAA-AAAAA-AAA")
		},
		limit:          5,
		passwordBefore: "challenge_expired", passwordAfter: "challenge_expired",
		done: func(s *scene, _ answer) { // on the same challenge
			a := s.want(anyone, "POST /v1/verify", body("challenge", s.challenge, "method", "backup_code", "code", s.backup), 200, "")
			s.backup = a.str("backup_code")
		},
	},

	// The dry run.
	{
		name: "check", policy: standard, again: anew, event: "check success",
		prepare: func(s *scene) request {
			s.enrol()
			return request{s.session(), "POST /v1/check", body("code", s.phone.code())}
		},
		done: func(s *scene, a answer) { // the code can still be used
			r := s.signIn("totp", s.phone.code())
			s.want(r.who, r.route, r.body, 200, "")
		},
	},
	{
		name: "check a wrong code", policy: standard, again: anew, event: "check failure",
		prepare: func(s *scene) request {
			s.enrol()
			return request{s.session(), "POST /v1/check", body("code", s.phone.wrong())}
		},
		limit: 5, sharesBudget: true,
	},

	// The backup code.
	{
		name: "backup-code", policy: standard, idempotent: true, again: "code_reused", event: "backup_code_issued success",
		prepare: func(s *scene) request {
			s.enrol()
			s.former = s.backup
			return request{s.session(), "POST /v1/backup-code", body("code", s.phone.code())}
		},
		backup: shown, passwordAfter: "code_reused",
		done: func(s *scene, _ answer) { s.wantDead(s.former) },
	},
	{
		name: "backup-code with a wrong code", policy: standard, idempotent: true, again: anew, refused: "invalid_code",
		event: "code_refused failure",
		prepare: func(s *scene) request {
			s.enrol()
			return request{s.session(), "POST /v1/backup-code", body("code", s.phone.wrong())}
		},
		limit: 5, sharesBudget: true, passwordBefore: "invalid_code", passwordAfter: "invalid_code",
	},
	{
		name: "backup-code with a grant", policy: standard, idempotent: true, again: "grant_expired",
		event: "backup_code_issued success",
		prepare: func(s *scene) request {
			s.grant = s.granted()
			s.former = s.backup
			return request{s.session(), "POST /v1/backup-code", body("grant", s.grant)}
		},
		backup: shown, passwordBefore: "grant_expired", passwordAfter: "grant_expired",
		done: func(s *scene, _ answer) {
			s.wantDead(s.former)
			s.want(s.session(), "POST /v1/enroll", body("grant", s.grant), 410, "grant_expired")
		},
	},
	{
		name: "backup-code/revoke", policy: midphase, idempotent: true, again: "no_backup_code",
		event: "backup_code_revoked success",
		prepare: func(s *scene) request {
			s.enrol()
			s.former = s.backup
			return request{s.session(), "POST /v1/backup-code/revoke", body("code", s.phone.code())}
		},
		backup: gone, passwordAfter: "no_backup_code",
		done: func(s *scene, a answer) {
			s.wantDead(s.former)
			s.createBackup(a.str("grant"))
		},
	},
	{
		name: "disable", policy: standard, idempotent: true, again: "not_enabled", event: "disabled success",
		prepare: func(s *scene) request {
			s.enrol()
			s.former = s.backup
			return request{s.session(), "POST /v1/disable", body("code", s.phone.code())}
		},
		backup: gone, turnsOff: true, passwordAfter: "not_enabled",
		done: func(s *scene, a answer) { s.wantDead(s.former) },
	},

	// Another phone.
	{
		name: "replace with a code", policy: standard, idempotent: true, again: "code_reused",
		event: "enrollment_started success", passwordAfter: "code_reused",
		prepare: func(s *scene) request {
			s.enrol()
			return request{s.session(), "POST /v1/enroll", body("code", s.phone.code())}
		},
		done: confirmed,
	},
	{
		name: "replace with a grant", policy: standard, idempotent: true, again: anew, event: "enrollment_started success", brief: true,
		passwordBefore: "grant_expired", passwordAfter: "grant_expired",
		prepare: func(s *scene) request {
			s.grant = s.granted()
			return request{s.session(), "POST /v1/enroll", body("grant", s.grant)}
		},
		done: func(s *scene, a answer) {
			confirmed(s, a)
			s.want(s.session(), "POST /v1/enroll", body("grant", s.grant), 410, "grant_expired")
		},
	},
	{
		name: "confirm a replacement by a code", policy: standard, idempotent: true, again: "enrollment_expired",
		event: "replaced success", moves: true, passwordBefore: "enrollment_expired", passwordAfter: "enrollment_expired",
		prepare: func(s *scene) request {
			s.enrol()
			return s.confirmReplacement()
		},
		done: spentAtConfirm,
	},
	{
		name: "confirm a replacement by a grant", policy: midphase, idempotent: true, again: "enrollment_expired",
		event: "replaced success", moves: true, passwordBefore: "enrollment_expired", passwordAfter: "enrollment_expired",
		backup: shown, // there was none any more
		prepare: func(s *scene) request {
			s.grant = s.granted()
			return s.confirmReplacement()
		},
		done: func(s *scene, a answer) {
			spentAtConfirm(s, a)
			s.want(s.session(), "POST /v1/enroll", body("grant", s.grant), 410, "grant_expired")
		},
	},

	// The host.
	{
		name: "challenge, with a new address", policy: standard, again: anew, event: "challenge_issued success", appends: true,
		prepare: func(s *scene) request {
			s.enrol()
			s.newChallenge()
			return request{host(), "POST /v1/challenges",
				body("user_id", s.user, "nonce", "n", "email", "new@example.com", "ip", here)}
		},
		done: func(s *scene, a answer) {
			if got := a.str("email_hint"); got != "n•••@example.com" {
				s.t.Errorf("email_hint = %q", got)
			}
			if n := len(s.history("address_changed success")); n != 1 {
				s.t.Errorf("the address changed %d times", n)
			}
			s.want(anyone, "POST /v1/verify", body("challenge", a.str("challenge"), "method", "totp", "code", s.phone.code()), 200, "")
		},
	},
	{
		name: "challenge, nothing due", policy: standard, again: same, quiet: true,
		prepare: func(s *scene) request {
			return request{host(), "POST /v1/challenges", body("user_id", s.user, "nonce", "n", "email", "a@example.com")}
		},
	},
	hostEvent("login", operation{again: anew, event: "login success", appends: true}),
	hostEvent("password_failed", operation{again: anew, event: "password_failed failure", appends: true}),
	hostEvent("password_changed", operation{again: anew, event: "password_changed success", done: func(s *scene, _ answer) {
		s.want(anyone, "POST /v1/verify", body("challenge", s.challenge, "method", "totp", "code", s.phone.code()), 401, "challenge_expired")
	}}),
	hostEvent("address_changed", operation{again: same, quiet: true, event: "address_changed success", done: func(s *scene, _ answer) {
		a := s.want(host(), "POST /v1/challenges", body("user_id", s.user, "nonce", "n"), 200, "")
		if got := a.str("email_hint"); got != "n•••@example.com" {
			s.t.Errorf("email_hint = %q", got)
		}
	}}),
	hostEvent("deleted", operation{again: same, event: "erased success", turnsOff: true, backup: gone, done: func(s *scene, _ answer) {
		s.want(anyone, "POST /v1/verify", body("challenge", s.challenge, "method", "totp", "code", s.phone.code()), 401, "challenge_expired")
	}}),
}

// hostEvent completes the operation of a host that reports what it saw.
func hostEvent(what string, o operation) operation {
	o.name, o.policy = "event "+what, standard
	o.prepare = func(s *scene) request {
		s.enrol()
		s.challenge = s.newChallenge()
		event := body("type", what, "ip", here)
		if what == "address_changed" {
			event = body("type", what, "ip", here, "email", "new@example.com")
		}
		return request{host().to(s.user), "POST /v1/users/{user}/events", event}
	}
	return o
}
