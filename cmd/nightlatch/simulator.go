package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/mail"
)

// simulated is what SES tells of a mail to an address of its mailbox simulator, but for the mail's tags
// (docs.aws.amazon.com/ses/latest/dg/send-an-email-from-console.html). There is no other mail on this machine that is lost.
var simulated = map[string]string{
	"bounce":          `"eventType":"Bounce","bounce":{"bounceType":"Permanent","bounceSubType":"General"}`,
	"suppressionlist": `"eventType":"Bounce","bounce":{"bounceType":"Permanent","bounceSubType":"Suppressed"}`,
	"complaint":       `"eventType":"Complaint","complaint":{"complaintFeedbackType":"abuse"}`,
}

// feedback is what mail-feedback hears of a mail, if it hears anything.
func feedback(to string, tags map[string]string) (e events.EventBridgeEvent, any bool) {
	local, domain, _ := strings.Cut(strings.ToLower(to), "@")
	local, _, _ = strings.Cut(local, "+")
	what, lost := simulated[local]
	if domain != "simulator.amazonses.com" || !lost {
		return e, false
	}
	told := map[string][]string{} // SES has several values for each
	for name, value := range tags {
		told[name] = []string{mail.EncodeTag(value)}
	}
	text, err := json.Marshal(told)
	if err != nil {
		panic(err) // it is ours
	}
	e = events.EventBridgeEvent{Source: "aws.ses", DetailType: "Email Bounced", Detail: json.RawMessage(fmt.Sprintf(`{%s,"mail":{"tags":%s}}`, what, text))}
	if local == "complaint" {
		e.DetailType = "Email Complaint Received"
	}
	return e, true
}

// sender puts a mail into the inbox, after mail-feedback has heard of it where SES's simulator would tell of it: whoever sees
// the mail sees what has come of it. If that fails, the mail comes again.
func (s *server) sender(hear func(context.Context, events.EventBridgeEvent) error) func(context.Context, string, mail.Message, map[string]string) error {
	return func(ctx context.Context, to string, m mail.Message, tags map[string]string) error {
		if e, any := feedback(to, tags); any {
			if err := hear(ctx, e); err != nil {
				return err
			}
		}
		return s.inbox.send(ctx, to, m, tags)
	}
}
