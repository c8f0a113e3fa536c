package notify

import (
	"slices"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// A mail says what happened, so most have the name of their event. These are the ones that are sent; the others, a
// sign-in above all, are in the history only.
var mailed = map[twofactor.EventType]bool{
	twofactor.EventEnabled: true, twofactor.EventReplaced: true, twofactor.EventReplacementLapsed: true,
	twofactor.EventDisabled: true, twofactor.EventAdminRemoved: true,
	twofactor.EventBackupCodeUsed: true, twofactor.EventBackupCodeIssued: true, twofactor.EventBackupCodeRevoked: true,
	twofactor.EventAddressChanged: true, twofactor.EventLocked: true, twofactor.EventSuspended: true, twofactor.EventCodeReused: true,
	twofactor.EventIdentityPassed: true, twofactor.EventIdentityFailed: true, twofactor.EventResetReturned: true,
	twofactor.EventResetApproved: true, twofactor.EventResetReady: true, twofactor.EventResetDenied: true,
	twofactor.EventResetCanceled: true, twofactor.EventResetExpired: true, twofactor.EventResetCompleted: true,
	twofactor.EventMailRequested: true,
}

// Where one decision did several things, one mail says it all: that of the key makes those of the values superfluous.
var covers = map[twofactor.EventType][]twofactor.EventType{
	twofactor.EventEnabled:        {twofactor.EventBackupCodeIssued},
	twofactor.EventResetCompleted: {twofactor.EventReplaced, twofactor.EventBackupCodeIssued, twofactor.EventDisabled},
	twofactor.EventBackupCodeUsed: {twofactor.EventBackupCodeIssued, twofactor.EventDisabled, twofactor.EventResetCanceled},
	twofactor.EventResetReady:     {twofactor.EventResetApproved},
	twofactor.EventIdentityFailed: {twofactor.EventResetReturned, twofactor.EventResetExpired},
	twofactor.EventSuspended:      {twofactor.EventLocked},
}

// MailJobs are the mails that a version of an account asks for.
func MailJobs(v twofactor.Version) []twofactor.MailJob {
	var jobs []twofactor.MailJob
	for _, e := range v.Events {
		covered := slices.ContainsFunc(v.Events, func(other twofactor.Event) bool { return slices.Contains(covers[other.Type], e.Type) })
		if !mailed[e.Type] || covered {
			continue
		}
		for _, m := range mailsOf(e) {
			m.User, m.Event, m.At = v.User, e.ID, e.At
			if e.Actor != twofactor.ActorReviewer && e.Actor != twofactor.ActorOperator { // theirs is nobody's business
				m.IP = e.IP
			}
			jobs = append(jobs, m)
		}
	}
	return jobs
}

func mailsOf(e twofactor.Event) []twofactor.MailJob {
	toUser := func(kind, reason string) []twofactor.MailJob {
		return []twofactor.MailJob{{Kind: kind, To: twofactor.MailToPrevious, Reason: reason}, {Kind: kind, To: twofactor.MailToUser, Reason: reason}}
	}
	toReviewers := func(kind string) []twofactor.MailJob {
		return []twofactor.MailJob{{Kind: kind, To: twofactor.MailToReviewers}}
	}
	kind := string(e.Type)
	switch e.Type {
	case twofactor.EventMailRequested:
		if e.Reason == "review_reminder" {
			return toReviewers(e.Reason)
		}
		return toUser(e.Reason, "")
	case twofactor.EventIdentityPassed:
		return append(toUser("reset_in_review", ""), toReviewers("review_waiting")...)
	case twofactor.EventResetReturned:
		if e.Reason == "retry_identity" { // to the check, once more
			return toUser("reset_requested", "")
		}
		return toReviewers("review_waiting")
	case twofactor.EventCodeReused:
		if e.Reason != twofactor.ReusedElsewhere {
			return nil
		}
		return toUser(kind, "")
	case twofactor.EventEnabled: // its reason is an operator's, if any, and nobody else's business
		if e.Operation == twofactor.OpImport {
			return toUser(kind, string(twofactor.OpImport))
		}
		return toUser(kind, "")
	case twofactor.EventAdminRemoved:
		return toUser(string(twofactor.EventDisabled), "")
	}
	return toUser(kind, e.Reason)
}
