package mail

import (
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Kind is what a mail is about.
type Kind string

// The kinds, in the order in which users meet them.
const (
	Enabled           Kind = "enabled"
	Replaced          Kind = "replaced"
	ReplacementLapsed Kind = "replacement_lapsed"
	Disabled          Kind = "disabled"
	BackupCodeUsed    Kind = "backup_code_used"
	BackupCodeIssued  Kind = "backup_code_issued" // in place of an earlier one
	BackupCodeRevoked Kind = "backup_code_revoked"
	AddressChanged    Kind = "address_changed"
	Locked            Kind = "locked"
	Suspended         Kind = "suspended"
	CodeReused        Kind = "code_reused"
	ResetRequested    Kind = "reset_requested"
	IdentityFailed    Kind = "identity_failed" // with tries left, or with none
	ResetInReview     Kind = "reset_in_review"
	ReviewWaiting     Kind = "review_waiting"  // to reviewers: no name, no address, no IP
	ReviewReminder    Kind = "review_reminder" // likewise
	ResetApproved     Kind = "reset_approved"  // only where there is a wait
	ResetReady        Kind = "reset_ready"
	ResetDenied       Kind = "reset_denied"
	ResetCanceled     Kind = "reset_canceled"
	ResetExpired      Kind = "reset_expired"
	ResetCompleted    Kind = "reset_completed"
)

// Kinds lists all kinds.
func Kinds() []Kind {
	all := make([]Kind, len(mails))
	for i, m := range mails {
		all[i] = m.kind
	}
	return all
}

// write returns what writes mails of the kind, or nil.
func (k Kind) write() func(*draft) {
	for _, m := range mails {
		if m.kind == k {
			return m.write
		}
	}
	return nil
}

// mails says what each mail consists of, from its subject to its last button.
var mails = []struct {
	kind  Kind
	write func(*draft)
}{
	{Enabled, func(d *draft) {
		d.subject("enabled.subject")
		d.done()
		d.say("enabled.effect")
		if d.Reason == Imported {
			d.say("enabled.imported." + d.noun)
		}
		d.notYou()
	}},
	{Replaced, func(d *draft) {
		d.subject("replaced.subject")
		d.done()
		d.say("replaced.effect")
		d.notYou()
	}},
	{ReplacementLapsed, func(d *draft) {
		d.fromNowhere()
		d.subject("replacement_lapsed.subject")
		d.say("replacement_lapsed.effect")
		d.say("replacement_lapsed.next")
		d.notYou()
	}},
	{Disabled, func(d *draft) {
		d.subject("disabled.subject")
		d.say("disabled.effect")
		d.done()
		d.say("disabled.entry")
		d.say("disabled.next." + string(d.Enforcement))
		d.notYou()
	}},

	{BackupCodeUsed, func(d *draft) {
		d.subject("backup_code_used.subject." + d.noun)
		if d.BackupUse == twofactor.Disable2FA {
			d.say("backup_code_used.disable_2fa")
		} else {
			d.say("backup_code_used." + string(d.BackupUse) + "." + d.noun)
		}
		d.done()
		d.notYou()
	}},
	{BackupCodeIssued, func(d *draft) {
		d.subject("backup_code_issued.subject." + d.noun)
		d.say("backup_code_issued.effect." + d.noun)
		d.done()
		d.notYou()
	}},
	{BackupCodeRevoked, func(d *draft) {
		d.subject("backup_code_revoked.subject." + d.noun)
		d.say("backup_code_revoked.effect." + d.noun)
		d.done()
		d.notYou()
	}},
	{AddressChanged, func(d *draft) {
		d.subject("address_changed.subject")
		d.sayIf(d.Support, "address_changed.if.support", "address_changed.if")
		d.done()
		d.say("address_changed.both")
	}},

	{Locked, func(d *draft) {
		d.subject("locked.subject")
		if d.LockedUntil.IsZero() { // it is over already; or only backup codes have to wait, for a minute
			d.say("locked.over")
		} else {
			d.say("locked.wait")
			d.say("locked.effect")
		}
		d.say("locked.why")
	}},
	{Suspended, func(d *draft) {
		d.subject("suspended.subject")
		d.say("suspended.effect")
		d.say("suspended.next." + d.noun)
		switch d.Recovery {
		case twofactor.IdentityReview:
			d.say("suspended.way.identity_review")
		case twofactor.AdminOnly, twofactor.RecoveryOff:
			if d.Support != "" {
				d.say("suspended.way.support")
			}
		default:
			d.fail("no recovery %q", d.Recovery)
		}
	}},
	{CodeReused, func(d *draft) {
		d.subject("code_reused.subject")
		d.say("code_reused.effect")
		d.sayIf(d.IP, "code_reused.when.ip", "code_reused.when")
	}},

	{ResetRequested, func(d *draft) {
		if d.Previous {
			d.subject("reset_requested.previous.subject")
			d.say("reset_requested.previous.effect")
		} else {
			d.subject("reset_requested.subject")
			d.say("reset_requested.until")
			d.button("button.confirm", d.Links.Confirm)
			d.say("reset_requested.have")
			d.list("reset_requested.have.id", "reset_requested.have.camera")
		}
		d.cancel()
	}},
	{IdentityFailed, func(d *draft) {
		d.fromNowhere()
		if d.TriesLeft > 0 && d.Previous { // the link to try again is not for this address
			d.subject("reset_requested.previous.subject")
			d.say("reset_requested.previous.effect")
			d.cancel()
			return
		}
		if d.TriesLeft > 0 {
			d.subject("identity_failed.subject." + number(d.TriesLeft))
			d.say("identity_failed.tips")
			d.list("identity_failed.tips.whole", "identity_failed.tips.clear", "identity_failed.tips.government")
			d.button("button.try_again", d.Links.Confirm)
			d.sayIf(d.Support, "case.support", "case")
			d.cancel()
			return
		}
		d.subject("identity_failed.none.subject")
		d.sayIf(d.Support, "identity_failed.none.next.support", "identity_failed.none.next")
		d.warn("identity_failed.none.never")
		d.say("unchanged")
	}},
	{ResetInReview, func(d *draft) {
		d.fromNowhere()
		d.subject("reset_in_review.subject")
		d.say("reset_in_review.effect")
		d.say("found_phone")
		d.cancel()
	}},
	{ReviewWaiting, func(d *draft) { d.review("review_waiting") }},
	{ReviewReminder, func(d *draft) { d.review("review_reminder") }},
	{ResetApproved, func(d *draft) {
		d.fromNowhere()
		d.subject("reset_approved.subject")
		d.say("reset_approved.effect")
		d.say("found_phone")
		d.cancel()
	}},
	{ResetReady, func(d *draft) {
		d.fromNowhere()
		if d.Previous {
			d.subject("reset_ready.previous.subject")
			d.say("reset_ready.previous.effect")
		} else {
			d.subject("reset_ready.subject")
			d.say("reset_ready.effect." + string(d.Enforcement))
			d.button("button.sign_in", d.Links.SignIn)
			d.say("reset_ready.until")
		}
		d.cancel()
	}},

	{ResetDenied, func(d *draft) {
		d.fromNowhere()
		d.subject("reset_denied.subject")
		d.say("reason." + string(d.Reason))
		d.say("unchanged")
		d.say("start_again")
		d.sayIf(d.Support, "case.support", "case")
	}},
	{ResetCanceled, func(d *draft) {
		d.subject("reset_canceled.subject")
		switch d.Reason {
		case "":
			d.say("reset_canceled.by.user")
			d.say("unchanged")
		case ProofOfLife: // by which something else may have changed
			d.say("reset_canceled.by.proof_of_life")
		default:
			d.fromNowhere()
			d.say("reset_canceled.by.reviewer")
			d.say("reason." + string(d.Reason))
			d.say("unchanged")
		}
		d.say("reset_canceled.if")
	}},
	{ResetExpired, func(d *draft) {
		d.fromNowhere()
		d.subject("reset_expired.subject")
		d.say("reset_expired." + string(d.Reason))
		d.say("unchanged")
		d.say("start_again")
		d.sayIf(d.Support, "case.support", "case")
	}},
	{ResetCompleted, func(d *draft) {
		d.subject("reset_completed.subject")
		d.done()
		d.say("reset_completed.effect." + string(d.Enforcement))
		d.notYou()
	}},
}

// What several mails say.

func (d *draft) done() { d.sayIf(d.IP, "done.ip", "done") }

func (d *draft) notYou() { d.sayIf(d.Support, "not_you.support", "not_you") }

// cancel ends every mail about an open reset: whoever did not ask for it can end it.
func (d *draft) cancel() {
	d.say("didnt_ask")
	d.button("button.cancel", d.Links.Cancel)
}

// fromNowhere drops the IP address where none is the user's: it would be a reviewer's, or that of the identity service.
func (d *draft) fromNowhere() { d.IP = "" }

// review is for reviewers. Their mailboxes are not to tell who lost a phone.
func (d *draft) review(kind string) {
	d.fromNowhere()
	d.subject(kind + ".subject")
	d.say(kind + ".next")
	d.button("button.case", d.Links.Case)
}
