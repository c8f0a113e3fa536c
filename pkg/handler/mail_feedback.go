package handler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/metric"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// feedback is what SES tells of a mail
// (https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html).
type feedback struct {
	EventType string `json:"eventType"`
	Bounce    struct {
		Type string `json:"bounceType"`
	} `json:"bounce"`
	Mail struct {
		Tags struct { // those of pkg/mail; SES has several values for each
			Reset []string `json:"reset"`
			To    []string `json:"to"`
		} `json:"tags"`
	} `json:"mail"`
}

// lost says whether the mail has not arrived, or is one that its reader does not want: a bounce for good, which is also what
// SES tells of an address on its suppression list; a complaint; or a mail that SES refused.
func (f feedback) lost() bool {
	switch f.EventType {
	case "Bounce":
		return f.Bounce.Type == "Permanent"
	case "Complaint", "Reject":
		return true
	}
	return false
}

// MailFeedback returns the function that hears, by EventBridge, what SES tells of mails. A reset whose notice to the present
// address was lost goes back to the reviewers: whoever could stop it may not know of it. Notices to others move nothing.
// decodeTag reads the value of a tag. After an error the event is to come again.
func MailFeedback(d Deps, decodeTag func(string) (string, error)) func(context.Context, events.EventBridgeEvent) error {
	return metric.Task(d.Metrics, "mail-feedback", d.Used, func(ctx context.Context, e events.EventBridgeEvent) error {
		ctx, cancel := inTime(ctx)
		defer cancel()
		var told feedback
		if err := json.Unmarshal(e.Detail, &told); err != nil {
			return fmt.Errorf("mail feedback %s is not what SES tells: %w", e.ID, err)
		}
		tags := told.Mail.Tags
		if !told.lost() || len(tags.To) != 1 || tags.To[0] != string(twofactor.MailToUser) || len(tags.Reset) != 1 {
			return nil
		}
		id, err := decodeTag(tags.Reset[0])
		if err != nil {
			return fmt.Errorf("mail feedback %s: %w", e.ID, err)
		}
		user, err := d.userOfReset(ctx, id, errNoReview)
		if errors.Is(err, errNoReview) {
			d.Log.WarnContext(ctx, "a mail about no reset of ours was lost", "event", e.ID, "cause", err)
			return nil
		}
		if err == nil {
			err = d.Service.NoticeBounced(ctx, user, id)
		}
		if err != nil {
			d.Log.ErrorContext(ctx, "mail feedback", "event", e.ID, "cause", err)
		}
		return err
	})
}
