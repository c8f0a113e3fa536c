package main

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/mail"
)

// TestSimulator: the inbox tells of mails what SES's mailbox simulator tells, and of no others.
func TestSimulator(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]string{
		"bounce@simulator.amazonses.com":              "Bounce Permanent",
		"bounce+alice@simulator.amazonses.com":        "Bounce Permanent",
		"Bounce@Simulator.AmazonSES.com":              "Bounce Permanent",
		"suppressionlist@simulator.amazonses.com":     "Bounce Permanent",
		"complaint@simulator.amazonses.com":           "Complaint ",
		"success@simulator.amazonses.com":             "",
		"bounce@example.com":                          "",
		"bounce@simulator.amazonses.com.example":      "",
		"alice@example.com":                           "",
		"reviewers+bounce@simulator.amazonses.com":    "",
		"complaint@elsewhere.simulator.amazonses.com": "",
	} {
		inbox, err := openInbox(filepath.Join(t.TempDir(), "mail.json"), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		s := &server{inbox: inbox}
		lost := errors.New("not taken")
		var fails error
		send := s.sender(func(_ context.Context, e events.EventBridgeEvent) error {
			var told struct {
				EventType string
				Bounce    struct{ BounceType string }
				Mail      struct{ Tags map[string][]string }
			}
			if err := json.Unmarshal(e.Detail, &told); err != nil {
				t.Fatalf("%s: %v in %s", to, err, e.Detail)
			}
			if diff := cmp.Diff(map[string][]string{"reset": {"b64_YS5i"}, "to": {"user"}}, told.Mail.Tags); diff != "" || e.Source != "aws.ses" {
				t.Errorf("%s: tags of %s (-want +got):\n%s", to, e.Source, diff)
			}
			got = told.EventType + " " + told.Bounce.BounceType
			if len(inbox.list()) != 0 {
				t.Errorf("%s: the mail can be seen before what has come of it", to)
			}
			return fails
		})
		fails = lost
		err = send(t.Context(), to, mail.Message{Subject: "s"}, map[string]string{mail.TagReset: "a.b", mail.TagTo: "user"})
		if got != want || errors.Is(err, lost) != (want != "") {
			t.Errorf("%s: %q, %v; want %q", to, got, err, want)
		}
		fails = nil
		err = send(t.Context(), to, mail.Message{Subject: "s"}, map[string]string{mail.TagReset: "a.b", mail.TagTo: "user"})
		if err != nil || len(inbox.list()) != 1 {
			t.Errorf("%s: again: %v, and %d mails are in the inbox, want 1", to, err, len(inbox.list()))
		}
	}
}
