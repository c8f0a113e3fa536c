package twofactor

import (
	"context"
	"time"
)

// MailLog is what the history tells of the mails about its events. Every engine keeps it, and package storetest holds them
// to this.
type MailLog interface {
	// Mailed says whether the job's mail is marked as sent, strongly consistent. One about an event that is not in the
	// history is not.
	Mailed(ctx context.Context, job MailJob) (bool, error)

	// MarkMailed marks the job's mail as sent at a time. One that is marked stays as it is; where the event is not in the
	// history, nothing is marked and that is no error.
	MarkMailed(ctx context.Context, job MailJob, at time.Time) error
}

// Mail names the job's mail among those about its event.
func (j MailJob) Mail() string { return j.Kind + ":" + string(j.To) }
