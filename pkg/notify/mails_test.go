package notify_test

import (
	"testing"

	"github.com/nightlatch/nightlatch/pkg/notify"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// TestMailAddress: a mail may say where something was done from. It does not say where a reviewer or an operator was, not even
// where a decision of theirs is mailed in the words of what the user had begun.
func TestMailAddress(t *testing.T) {
	t.Parallel()
	for actor, want := range map[twofactor.Actor]string{
		twofactor.ActorUser: "203.0.113.7", twofactor.ActorHost: "203.0.113.7", twofactor.ActorSystem: "203.0.113.7",
		twofactor.ActorReviewer: "", twofactor.ActorOperator: "",
	} {
		jobs := notify.MailJobs(twofactor.Version{User: "alice", Events: []twofactor.Event{{
			Type: twofactor.EventResetReturned, Reason: "retry_identity", Actor: actor, IP: "203.0.113.7",
		}}})
		if len(jobs) != 2 {
			t.Fatalf("%s: %d jobs", actor, len(jobs))
		}
		for _, job := range jobs {
			if job.Kind != "reset_requested" || job.IP != want {
				t.Errorf("%s: a mail %s to %s from %q, want %q", actor, job.Kind, job.To, job.IP, want)
			}
		}
	}
}
