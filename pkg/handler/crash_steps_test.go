package handler_test

import (
	"github.com/nightlatch/nightlatch/pkg/token"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

func beginEnrolment(s *scene) request { return request{s.session(), "POST /v1/enroll", `{}`} }

// confirmEnrolment is at the last step of a first enrolment.
func confirmEnrolment(s *scene) request {
	s.setUp = s.begins()
	s.next, s.nextBackup = phone{s.world, s.setUp.str("manual_secret")}, s.setUp.str("backup_code")
	return request{s.session(), "POST /v1/enroll/confirm", s.confirmation(s.setUp)}
}

// confirmInside is at the last step of an enrolment inside a sign-in.
func confirmInside(s *scene) request {
	s.challenge = s.newChallenge()
	s.setUp = s.beginsInside()
	s.next, s.nextBackup = phone{s.world, s.setUp.str("manual_secret")}, s.setUp.str("backup_code")
	return request{anyone, "POST /v1/verify/enroll/confirm", s.confirmationInside(s.setUp)}
}

// confirmReplacement is at the last step of a replacement.
func (s *scene) confirmReplacement() request {
	s.setUp = s.beginsReplacement()
	s.next = phone{s.world, s.setUp.str("manual_secret")}
	return request{s.session(), "POST /v1/enroll/confirm", s.confirmation(s.setUp)}
}

// backupSignIn is at a sign-in with the backup code.
func backupSignIn(s *scene) request {
	s.enrol()
	s.former = s.backup
	return s.signIn("backup_code", s.backup)
}

func (s *scene) confirmation(setUp answer) string {
	return body("enrollment_id", setUp.str("enrollment_id"), "code", phone{s.world, setUp.str("manual_secret")}.code())
}

func (s *scene) confirmationInside(setUp answer) string {
	return body("challenge", s.challenge, "enrollment_id", setUp.str("enrollment_id"), "code", phone{s.world, setUp.str("manual_secret")}.code())
}

// begins begins a set-up as the handlers do, but for the QR codes: drawing them takes longer than all else, and nobody
// looks at them here.
func (s *scene) begins() answer {
	s.t.Helper()
	return s.offered(s.deps.Service.Enroll(s.t.Context(), twofactor.UserID(s.user),
		twofactor.Enroll{Request: anyRequest(), AuthTime: s.clock()}))
}

// beginsInside is begins with the challenge in hand.
func (s *scene) beginsInside() answer {
	s.t.Helper()
	c, err := token.OpenChallenge(s.tokens().Challenge, s.challenge)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.offered(s.deps.Service.Enroll(s.t.Context(), c.User, twofactor.Enroll{Request: anyRequest(), Challenge: &c}))
}

// beginsReplacement is begins for another phone, with the grant in hand or else a code.
func (s *scene) beginsReplacement() answer {
	s.t.Helper()
	req := twofactor.Replace{Request: anyRequest()}
	if s.grant == "" {
		req.Code = s.phone.code()
	} else {
		g, err := token.OpenGrant(s.tokens().Challenge, s.grant)
		if err != nil {
			s.t.Fatal(err)
		}
		req.Grant = &g
	}
	return s.offered(s.deps.Service.Replace(s.t.Context(), twofactor.UserID(s.user), req))
}

func anyRequest() twofactor.Request { return twofactor.Request{ID: twofactor.RandomDigest()} }

func (s *scene) tokens() token.Keys {
	s.t.Helper()
	keys, err := s.deps.Keys(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return keys
}

func (s *scene) offered(setUp twofactor.SetUp, err error) answer {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	a := answer{Body: map[string]any{"enrollment_id": setUp.ID.String(), "manual_secret": setUp.Secret.Base32()}}
	if setUp.BackupCode != nil {
		a.Body["backup_code"] = setUp.BackupCode.Code.Grouped()
	}
	return a
}

// enrol turns 2FA on and moves the clock past the spent step.
func (s *scene) enrol() {
	s.t.Helper()
	confirmed(s, s.begins())
	s.wind(nextCode)
}

// granted turns 2FA on, and signs in with the backup code for the grant that comes with it.
func (s *scene) granted() string {
	r := backupSignIn(s)
	a := s.want(r.who, r.route, r.body, 200, "")
	s.backup = a.str("backup_code")
	return a.str("grant")
}

func (s *scene) newChallenge() string { return s.world.challenge(s.user).str("challenge") }

func (s *scene) signIn(method, code string) request {
	s.challenge = s.newChallenge()
	return request{anyone, "POST /v1/verify", body("challenge", s.challenge, "method", method, "code", code)}
}

// confirmed fails the test unless the set-up that was answered can be confirmed.
func confirmed(s *scene, setUp answer) {
	a := s.want(s.session(), "POST /v1/enroll/confirm", s.confirmation(setUp), 200, "")
	s.putInForce(setUp, a)
}

func confirmedInside(s *scene, setUp answer) {
	a := s.want(anyone, "POST /v1/verify/enroll/confirm", s.confirmationInside(setUp), 200, "")
	s.putInForce(setUp, a)
}

func (s *scene) putInForce(setUp, confirmed answer) {
	s.phone, s.enabled = phone{s.world, setUp.str("manual_secret")}, true
	if code := setUp.str("backup_code") + confirmed.str("backup_code"); code != "" {
		s.backup = code
	}
}

// spentAtConfirm fails the test unless the confirming code lets nobody in.
func spentAtConfirm(s *scene, _ answer) {
	r := s.signIn("totp", s.phone.code())
	s.want(r.who, r.route, r.body, 422, "code_reused")
}

// spentAtSignIn fails the test unless challenge and code, which let the user in, let nobody in any more.
func spentAtSignIn(s *scene, _ answer) {
	s.wantUsed("backup_code", s.backup)
	spentAtConfirm(s, answer{})
}

// wantUsed fails the test unless the challenge in hand has been used, whatever comes with it.
func (s *scene) wantUsed(method, code string) {
	s.t.Helper()
	s.want(anyone, "POST /v1/verify", body("challenge", s.challenge, "method", method, "code", code), 401, "challenge_expired")
}

// wantDead fails the test unless a former backup code lets nobody in.
func (s *scene) wantDead(code string) {
	s.t.Helper()
	c := s.world.challenge(s.user)
	if c.Body["required"] == false {
		return // there is nothing to get past
	}
	a := s.do(anyone, "POST /v1/verify", body("challenge", c.str("challenge"), "method", "backup_code", "code", code))
	if got := a.str("code"); got != "invalid_code" && got != "no_backup_code" {
		s.t.Errorf("the former backup code was answered %d %s", a.Status, a.Text)
	}
}

// createBackup makes a backup code with a grant.
func (s *scene) createBackup(grant string) {
	s.t.Helper()
	s.backup = s.want(s.session(), "POST /v1/backup-code", body("grant", grant), 200, "").str("backup_code")
}

// goesOn fails the test if the user is stuck: signing in works, with the phone and with the backup code, and so does
// setting up where there is nothing; a backup code that was never shown can be replaced.
func (s *scene) goesOn() {
	s.t.Helper()
	s.wind(nextCode)
	status := s.want(s.session(), "GET /v1/status", "", 200, "")
	if status.str("state") != "enabled" {
		s.startsOver()
		return
	}
	r := s.signIn("totp", s.phone.code())
	s.want(r.who, r.route, r.body, 200, "")
	if status.Body["backup_code"].(map[string]any)["present"] != true {
		if s.backup != "" {
			s.t.Error("the backup code is gone")
		}
		return
	}
	if s.backup == "" {
		s.wind(nextCode)
		code := body("code", s.phone.code())
		if s.deps.Service.Policy.BackupRotate == "revoke_then_create" {
			s.createBackup(s.want(s.session(), "POST /v1/backup-code/revoke", code, 200, "").str("grant"))
		} else {
			s.backup = s.want(s.session(), "POST /v1/backup-code", code, 200, "").str("backup_code")
		}
	}
	r = s.signIn("backup_code", s.backup)
	s.want(r.who, r.route, r.body, 200, "")
}

// startsOver sets 2FA up from the beginning.
func (s *scene) startsOver() {
	s.t.Helper()
	if s.deps.Service.Policy.Enforcement == "required" {
		s.challenge = s.newChallenge()
		confirmedInside(s, s.beginsInside())
	} else {
		confirmed(s, s.begins())
	}
	s.wind(nextCode)
	r := s.signIn("totp", s.phone.code())
	s.want(r.who, r.route, r.body, 200, "")
}
