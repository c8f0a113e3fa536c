package twofactor

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// mails is how many mails the last decision asks for again.
func (w *recovery) mails() (n int) {
	for _, e := range w.account.Events {
		if w.stored && e.Type == EventMailRequested {
			n++
		}
	}
	return n
}

func (w *recovery) mustAsk() ResetRequested {
	w.Helper()
	asked, err := w.ask()
	w.must(err)
	return asked
}

func (w *recovery) cancel() {
	w.Helper()
	w.must(w.act(func(a *Account) error { return w.rules.CancelReset(a, w.request(), w.now) }))
}

// TestResetRequestAgain: while a reset is open the same one is answered, whatever its state, and its current mail is sent again,
// at most once in two minutes.
func TestResetRequestAgain(t *testing.T) {
	t.Parallel()
	for state, mail := range map[ResetState]string{
		ResetIdentityPending: "reset_requested", ResetInReview: "reset_in_review", ResetApproved: "reset_approved", ResetReady: "reset_ready",
	} {
		w := recovering(t, "standard")
		w.upTo(state)
		subject := w.account.Reset.Subject
		w.subject = &Subject{Name: "Mallory"}
		for _, after := range []struct {
			wait  time.Duration
			mails int
		}{{0, 0}, {2*time.Minute - time.Millisecond, 0}, {time.Millisecond, 1}, {0, 0}, {2*time.Minute - 1, 0}, {1, 1}} {
			w.later(after.wait)
			asked := w.mustAsk()
			if asked.Reset.ID != "reset1" || asked.Reset.Reference != "R-7K4Q" || asked.Reset.State != state || w.mails() != after.mails || w.stored != (after.mails > 0) {
				t.Errorf("%s: asked again: %+v, %d mails, stored %v; want %+v", state, asked.Reset, w.mails(), w.stored, after)
			}
			if after.mails > 0 && w.account.Events[0].Reason != mail {
				t.Errorf("%s: events %+v", state, w.account.Events)
			}
		}
		if !cmp.Equal(w.account.Reset.Subject, subject) {
			t.Errorf("%s: another person is on file", state)
		}
	}
}

// TestIdentityMails: three mails a day have a link to an identity check, whichever reset they are of; a request beyond that is
// answered as ever, and so is one for which there is no address.
func TestIdentityMails(t *testing.T) {
	t.Parallel()
	w := recovering(t, "standard")
	first := w.mustAsk()
	for range 2 {
		w.later(2 * time.Minute)
		if w.mustAsk(); w.mails() != 1 {
			t.Fatal("no mail")
		}
	}
	w.later(2 * time.Minute)
	if asked := w.mustAsk(); w.stored || !cmp.Equal(asked, first) {
		t.Errorf("the fourth: stored %v, answer %+v, want %+v", w.stored, asked, first)
	}
	w.cancel()
	asked := w.mustAsk()
	first.Reset.ID, first.Reset.RequestedAt, first.Reset.EnteredAt = asked.Reset.ID, asked.Reset.RequestedAt, asked.Reset.EnteredAt
	if diff := cmp.Diff(first, asked); diff != "" || w.mails() != 0 || asked.Reset.ID == "reset1" {
		t.Errorf("another reset on the same day: %d mails; answer (-want +got):\n%s", w.mails(), diff)
	}
	w.now = noon.Add(24*time.Hour - 1)
	if w.mustAsk(); w.mails() != 0 {
		t.Error("a fourth mail within a day")
	}
	w.now = noon.Add(24 * time.Hour)
	if w.mustAsk(); w.mails() != 1 {
		t.Error("no mail after a day")
	}

	for name, mailed := range map[string]func(w *recovery){
		"failed checks": func(w *recovery) {
			for _, inquiry := range []string{"a", "b"} {
				w.must(w.click(inquiry))
				w.result(inquiry, IdentityFailed)
			}
		},
		"checks again": func(w *recovery) {
			for _, inquiry := range []string{"a", "b"} {
				w.must(w.click(inquiry))
				w.result(inquiry, IdentityPassed)
				w.must(w.decide(DecisionRetryIdentity, "reviewer"))
			}
		},
	} {
		w := recovering(t, "standard")
		w.mustAsk()
		mailed(w)
		w.later(time.Hour)
		if w.mustAsk(); w.stored {
			t.Errorf("%s: a fourth mail with a link", name)
		}
	}
}

// TestNotAgainAtOnce: the mail of what has just happened is not sent again within two minutes.
func TestNotAgainAtOnce(t *testing.T) {
	t.Parallel()
	for name, happens := range map[string]func(w *recovery){
		"in review": func(w *recovery) { w.upTo(ResetInReview) },
		"ready":     func(w *recovery) { w.upTo(ResetReady) },
		"failed check": func(w *recovery) {
			w.upTo(ResetIdentityPending)
			w.must(w.click("a"))
			w.later(time.Hour)
			w.result("a", IdentityFailed)
		},
		"check again": func(w *recovery) {
			w.upTo(ResetInReview)
			w.later(time.Hour)
			w.must(w.decide(DecisionRetryIdentity, "reviewer"))
		},
	} {
		w := recovering(t, "standard")
		happens(w)
		w.later(2*time.Minute - 1)
		if w.mustAsk(); w.stored {
			t.Errorf("%s: mailed again at once", name)
		}
		w.later(1)
		if w.mustAsk(); w.mails() != 1 {
			t.Errorf("%s: not mailed again after two minutes", name)
		}
	}
}

// TestResetLimit: the fourth reset within 30 days of three that reached review is refused, with the time when one can be asked
// for. What never reached review does not count, and nor does a second pass of the same.
func TestResetLimit(t *testing.T) {
	t.Parallel()
	w := recovering(t, "standard")
	for i := range 3 {
		w.now = noon.AddDate(0, 0, 2*i)
		w.upTo(ResetInReview)
		w.later(time.Hour)
		w.must(w.decide(DecisionRetryIdentity, "reviewer"))
		w.must(w.click("again"))
		w.result("again", IdentityPassed)
		w.cancel()
		if w.later(24 * time.Hour); i < 2 {
			w.upTo(ResetIdentityPending)
			w.cancel()
		}
	}
	var limit *ResetLimit
	if _, err := w.ask(); !errors.As(err, &limit) || !limit.Until.Equal(noon.AddDate(0, 0, 30)) || w.stored {
		t.Fatalf("the fourth: %v, stored %v", err, w.stored)
	}
	w.now = limit.Until.Add(-1)
	if _, err := w.ask(); !errors.As(err, &limit) {
		t.Errorf("just before: %v", err)
	}
	w.now = limit.Until
	w.upTo(ResetInReview)
	w.cancel()
	if _, err := w.ask(); !errors.As(err, &limit) || !limit.Until.Equal(noon.AddDate(0, 0, 32)) {
		t.Errorf("three again: %v", err)
	}
	if limit.Error() != "no reset before 2026-04-03T12:00:00Z" {
		t.Errorf("says %q", limit)
	}
}

// TestCrowdedLink: an account that remembers as many spent challenges as it may lets nobody in by a link for a while, either, and
// the link is as good as before.
func TestCrowdedLink(t *testing.T) {
	t.Parallel()
	for _, preset := range []string{"standard", "miaxdx"} {
		w := recovering(t, preset)
		w.upTo(ResetReady)
		until := w.now.Add(time.Minute)
		for range maxChallenges {
			w.account.Challenges = append(w.account.Challenges, Spent{RandomDigest(), until})
		}
		var locked *Locked
		if _, err := w.useLink(w.link(LinkSignIn)); !errors.As(err, &locked) || !locked.Until.Equal(until) || w.stored {
			t.Errorf("%s: got %v, stored %v", preset, err, w.stored)
		}
		w.now = until
		_, err := w.useLink(w.link(LinkSignIn))
		w.must(err)
	}
}

// TestResetItemSize: the item of an account with a reset that has all that one can have stays within the 4 KB of one read unit.
func TestResetItemSize(t *testing.T) {
	t.Parallel()
	w := recovering(t, "standard")
	w.rules.Policy.Reviewers = 2
	w.subject = &Subject{Name: "Alexandrina Montgomery-Featherstonehaugh", Birthdate: "1990-01-31", Phone: "+44 20 7946 0000"}
	w.addressChanged("alice.oldname@example.com")
	w.addressChanged("alice.longname@example.com")
	for range 2 {
		w.upTo(ResetIdentityPending)
		w.cancel()
	}
	_, err := w.ask()
	w.must(err)
	w.account.Reset.ID = strings.Repeat("x", 86) // as long as that of a user with 40 bytes
	w.account.Reset.UserAgent = strings.Repeat("u", maxUserAgent)
	w.must(w.click("inq_ABCDEFGHIJKLMNOPQRSTUVWX"))
	w.must(w.act(func(a *Account) error {
		return w.rules.IdentityResult(a, IdentityResult{a.Reset.ID, a.Reset.Inquiry, IdentityPassed, Person{
			Name: "ALEXANDRINA MONTGOMERY-FEATHERSTONEHAUGH", Birthdate: "1990-01-31", Phone: "+442079460000",
			Address: "221b Upper Baker Street, Marylebone, London NW1 6XE, United Kingdom",
		}}, w.now)
	}))
	w.must(w.signInNot())
	w.must(w.decide(DecisionApprove, "reviewer@example.com"))
	for range keptWrites {
		w.account.Writes = append(w.account.Writes[max(0, len(w.account.Writes)-keptWrites+1):], NewWriteID())
	}
	reset, err := json.Marshal(w.account.Reset)
	w.must(err)
	size := len(w.marshal(w.account))
	t.Logf("%d bytes of JSON, of which the reset is %d", size, len(reset))
	if size > 4096 {
		t.Error("more than 4096")
	}
}

// signInNot is a wrong code, which leaves counters behind.
func (w *recovery) signInNot() error {
	if err := w.signIn(w.phone.wrong(w.now, 0)); !isErr[*WrongCode](err) {
		return fmt.Errorf("wrong code: %w", err)
	}
	return nil
}

// TestRecent: what counts against a limit is kept in seconds, and counts for no longer than it should.
func TestRecent(t *testing.T) {
	t.Parallel()
	at := noon.Unix()
	if got := recent([]int64{at - 61, at - 60, at - 59, at}, noon, time.Minute); !slices.Equal(got, []int64{at - 59, at}) {
		t.Errorf("got %v", got)
	}
}
