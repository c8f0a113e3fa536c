package mail_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/mail"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// TestMailLog: a job that comes twice is one mail. What could not be asked is asked again, and what was sent is not sent
// again for want of a mark.
func TestMailLog(t *testing.T) {
	t.Parallel()
	errFault := errors.New("fault")
	now := time.Date(2026, 1, 5, 9, 2, 0, 0, time.UTC)
	job := twofactor.MailJob{
		User: "alice", Event: "v000000000007-00", At: now.Add(-time.Minute), Kind: "review_waiting", To: twofactor.MailToReviewers,
	}
	for name, test := range map[string]struct {
		marked          bool
		looking         error
		state           twofactor.ResetState
		sending         error
		marking         error
		loads, sends    int
		marks           []time.Time
		want            error
		withoutAMailLog bool
	}{
		"the first time":        {state: twofactor.ResetInReview, loads: 1, sends: 1, marks: []time.Time{now}},
		"the second time":       {marked: true, state: twofactor.ResetInReview},
		"nobody can tell":       {looking: errFault, state: twofactor.ResetInReview, want: errFault},
		"it cannot be sent":     {state: twofactor.ResetInReview, sending: errFault, loads: 1, sends: 1, want: errFault},
		"there is nothing left": {state: twofactor.ResetCanceled, loads: 1},
		"it cannot be marked":   {state: twofactor.ResetInReview, marking: errFault, loads: 1, sends: 1, marks: []time.Time{now}},
		"nothing is marked":     {withoutAMailLog: true, state: twofactor.ResetInReview, loads: 1, sends: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var loads, sends int
			var marks []time.Time
			m := &mail.Mailer{
				Load: func(context.Context, twofactor.UserID) (*twofactor.Account, error) {
					loads++
					return &twofactor.Account{User: "alice", Reset: &twofactor.Reset{ID: "r", Reference: "R-7K4Q", State: test.state}}, nil
				},
				Rules: func(context.Context) (twofactor.Rules, error) {
					return twofactor.Rules{Policy: twofactor.Standard()}, nil
				},
				Send: func(context.Context, string, mail.Message, map[string]string) error {
					sends++
					return test.sending
				},
				Now: func() time.Time { return now },
				Mailed: func(_ context.Context, got twofactor.MailJob) (bool, error) {
					if got != job || loads > 0 {
						t.Errorf("asked for %+v, after %d loads", got, loads)
					}
					return test.marked, test.looking
				},
				MarkMailed: func(_ context.Context, got twofactor.MailJob, at time.Time) error {
					if got != job || sends != 1 {
						t.Errorf("marked %+v, after %d mails", got, sends)
					}
					marks = append(marks, at)
					return test.marking
				},
				App: "Example", Web: "https://account.example.com", Words: mail.Standard, Reviewers: "reviewers@example.com",
			}
			if test.withoutAMailLog {
				m.Mailed, m.MarkMailed = nil, nil
			}
			if err := m.Do(t.Context(), job); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if loads != test.loads || sends != test.sends || !cmp.Equal(marks, test.marks) {
				t.Errorf("%d loads, %d mails, marks %v; want %d, %d, %v", loads, sends, marks, test.loads, test.sends, test.marks)
			}
		})
	}
}

// TestUnknownJob: a job of another release is not taken for one that there is nobody to send to. It goes to the dead letters.
func TestUnknownJob(t *testing.T) {
	t.Parallel()
	m := &mail.Mailer{
		Load: func(_ context.Context, user twofactor.UserID) (*twofactor.Account, error) {
			return &twofactor.Account{User: user}, nil // of whom no address is known
		},
		Rules: func(context.Context) (twofactor.Rules, error) {
			return twofactor.Rules{Policy: twofactor.Standard()}, nil
		},
		Now: time.Now,
	}
	for _, test := range []struct {
		kind    string
		to      twofactor.MailTo
		unknown bool
	}{
		{"disabled", twofactor.MailToUser, false},
		{"disabled", twofactor.MailToPrevious, false},
		{"review_waiting", twofactor.MailToReviewers, false},
		{"disabled", "guardian", true},
		{"disabled", "", true},
		{"passkey_added", twofactor.MailToUser, true},
		{"", twofactor.MailToUser, true},
	} {
		err := m.Do(t.Context(), twofactor.MailJob{User: "alice", Event: "v000000000007-00", Kind: test.kind, To: test.to})
		if mail.ForGood(err) != test.unknown || (err != nil) != test.unknown {
			t.Errorf("%q to %q: %v", test.kind, test.to, err)
		}
	}
}
