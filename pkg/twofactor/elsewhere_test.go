package twofactor

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	home  = "203.0.113.7"
	other = "198.51.100.8"
)

// reuses are the reasons of the events of codes tried again, among what was stored since it was last asked.
func (w *world) reuses() func() []string {
	var reasons []string
	w.saw = func(e Event) {
		if e.Type == EventCodeReused {
			reasons = append(reasons, e.Reason)
		}
	}
	return func() []string {
		seen := reasons
		reasons = nil
		return seen
	}
}

// TestReusedElsewhere: a used code that is tried again from another place is recorded as such; which is another place, and
// which is not known to be one.
func TestReusedElsewhere(t *testing.T) {
	t.Parallel()
	tests := []struct {
		used, again string
		want        string
	}{
		{home, home, ""},
		{home, other, ReusedElsewhere},
		{home, "203.0.113.8", ReusedElsewhere}, // a neighbour
		{home, "", ""},
		{"", home, ""},
		{"", "", ""},
		{home, "::ffff:203.0.113.7", ""}, // the same, written as IPv6
		{"2001:db8:0:1::7", "2001:db8:0:1::7", ""},
		{"2001:db8:0:1::7", "2001:DB8:0:1:0:0:0:7", ""},
		{"2001:db8:0:1::7", "2001:db8:0:1:ffff:ffff:ffff:ffff", ""}, // another device of the household
		{"2001:db8:0:1::7", "2001:db8:0:2::7", ReusedElsewhere},
		{"fe80::7%eth0", "fe80::7%eth1", ""},
		{"2001:db8:0:1::7", home, ReusedElsewhere},
		{"a proxy", "a proxy", ""}, // whatever the gateway says
		{"a proxy", "another", ReusedElsewhere},
		{"a proxy", home, ReusedElsewhere},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%q, %q", test.used, test.again), func(t *testing.T) {
			t.Parallel()
			w := enabledWorld(t, "standard")
			reuses := w.reuses()
			code := w.phone.at(w.now)
			w.ip = test.used
			w.must(w.signIn(code))
			w.ip = test.again
			if err := w.signIn(code); !isErr[*CodeReused](err) {
				t.Fatalf("got %v, want reused", err)
			}
			if diff := cmp.Diff([]string{test.want}, reuses()); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
			if got, want := w.account.ReuseQuiet != 0, test.want != ""; got != want {
				t.Errorf("a mail is remembered: %v, want %v", got, want)
			}
		})
	}
}

// TestReusedElsewhereOnEveryRoute: whatever accepted the code, and whatever it is tried for again.
func TestReusedElsewhereOnEveryRoute(t *testing.T) {
	t.Parallel()
	routes := map[string]func(w *world, code string) error{
		"verify":  func(w *world, code string) error { return w.signIn(code) },
		"disable": func(w *world, code string) error { return w.disable(Disable{Request: w.request(), Code: code}) },
		"rotate": func(w *world, code string) error {
			_, err := w.rotate(RotateBackup{Request: w.request(), Code: code})
			return err
		},
		"revoke": func(w *world, code string) error {
			w.rules.Policy.BackupRotate = RevokeThenCreate
			_, err := w.revoke(RevokeBackup{Request: w.request(), Code: code})
			w.rules.Policy.BackupRotate = ReplaceCode
			return err
		},
		"replace": func(w *world, code string) error {
			_, err := w.replace(Replace{Request: w.request(), Code: code})
			return err
		},
	}
	uses := map[string]func(w *world) (code string){
		"enrolment": func(w *world) string { return w.phone.at(w.now.Add(-2 * time.Minute)) },
		"replacement": func(w *world) string {
			setUp, err := w.replace(Replace{Request: w.request(), Code: w.phone.at(w.now)})
			w.must(err)
			w.phone = phone{secret: setUp.Secret}
			_, err = w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: w.phone.at(w.now)})
			w.must(err)
			return w.phone.at(w.now)
		},
	}
	for name, use := range routes {
		if name == "disable" {
			continue // leaves nothing to try it on
		}
		uses[name] = func(w *world) string {
			code := w.phone.at(w.now)
			w.must(use(w, code))
			if w.account.BackupCode == nil {
				_, err := w.rotate(RotateBackup{Request: w.request(), Code: w.nextCode()})
				w.must(err)
				code = w.phone.at(w.now)
			}
			return code
		}
	}
	for used, use := range uses {
		for tried, try := range routes {
			t.Run(used+", "+tried, func(t *testing.T) {
				t.Parallel()
				w := enabledWorld(t, "standard")
				reuses := w.reuses()
				code := use(w)
				for _, from := range []struct{ ip, want string }{{home, ""}, {other, ReusedElsewhere}, {other, ReusedElsewhereAgain}} {
					w.ip = from.ip
					if err := try(w, code); !isErr[*CodeReused](err) {
						t.Fatalf("got %v, want reused", err)
					}
					if diff := cmp.Diff([]string{from.want}, reuses()); diff != "" {
						t.Errorf("from %s: reasons (-want +got):\n%s", from.ip, diff)
					}
				}
			})
		}
	}
}

// TestReusedElsewhereHourly: there is a mail at most once an hour, and no later than after two there may be one again,
// also for another code and another place.
func TestReusedElsewhereHourly(t *testing.T) {
	t.Parallel()
	for _, minute := range []time.Duration{0, 1, 30 * time.Minute, time.Hour - time.Millisecond} {
		w := enabledWorld(t, "standard")
		w.later(minute)
		reuses := w.reuses()
		tryAgain := func() string {
			w.ip = home
			code := w.nextCode()
			w.must(w.signIn(code))
			w.ip = other
			if err := w.signIn(code); !isErr[*CodeReused](err) {
				t.Fatalf("got %v, want reused", err)
			}
			return reuses()[0]
		}
		var mailed time.Time
		mails := 0
		for range 300 {
			got := tryAgain()
			since := w.now.Sub(mailed)
			switch {
			case got == ReusedElsewhere && since < time.Hour:
				t.Fatalf("mailed again after %v", since)
			case got != ReusedElsewhere && (got != ReusedElsewhereAgain || since >= 2*time.Hour):
				t.Fatalf("%q %v after a mail", got, since)
			case got == ReusedElsewhere:
				mailed = w.now
				mails++
			}
			w.later(time.Minute + 7*time.Second)
		}
		if mails < 3 {
			t.Errorf("%d mails in eight hours", mails)
		}
	}
}

// TestReusedElsewhereNot: what is not a used code, or is not refused, is no warning from wherever it comes.
func TestReusedElsewhereNot(t *testing.T) {
	t.Parallel()
	t.Run("told and never used", func(t *testing.T) {
		t.Parallel()
		w := enabledWorld(t, "standard")
		reuses := w.reuses()
		ahead := w.phone.at(w.now.Add(4 * period))
		w.ip = other // at home again, with a phone whose clock is off
		for range 2 {
			if err := w.signIn(ahead); err == nil {
				t.Fatal("signed in")
			}
		}
		if diff := cmp.Diff([]string{""}, reuses()); diff != "" {
			t.Errorf("reasons (-want +got):\n%s", diff)
		}
	})
	t.Run("of a set-up", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "standard")
		reuses := w.reuses()
		setUp := w.enroll()
		ahead := phone{secret: setUp.Secret}.at(w.now.Add(4 * period))
		for _, w.ip = range []string{home, other} {
			if _, err := w.confirm(Confirm{Request: w.request(), Enrolment: setUp.ID, Code: ahead}); err == nil {
				t.Fatal("confirmed")
			}
		}
		if diff := cmp.Diff([]string{""}, reuses()); diff != "" {
			t.Errorf("reasons (-want +got):\n%s", diff)
		}
	})
	t.Run("checked", func(t *testing.T) {
		t.Parallel()
		w := enabledWorld(t, "standard")
		reuses := w.reuses()
		code := w.phone.at(w.now)
		w.must(w.signIn(code))
		from := w.account.Authenticator.LastFrom
		w.ip = other
		if got, err := w.check(code); err != nil || !got.Spent {
			t.Fatalf("%+v, %v; want spent", got, err)
		}
		w.later(period)
		if got, err := w.check(w.phone.at(w.now)); err != nil || !got.Valid { // which uses nothing
			t.Fatalf("%+v, %v; want valid", got, err)
		}
		if got := w.account.Authenticator.LastFrom; reuses() != nil || w.account.ReuseQuiet != 0 || !bytes.Equal(got, from) {
			t.Errorf("a check has left something: last from %x, want %x, quiet until %d", got, from, w.account.ReuseQuiet)
		}
	})
	t.Run("the same request again", func(t *testing.T) {
		t.Parallel()
		w := enabledWorld(t, "standard")
		reuses := w.reuses()
		ch, code := w.challenge(), w.phone.at(w.now)
		for _, w.ip = range []string{home, other} { // from the train
			if _, err := w.verify(ch, MethodTOTP, code); err != nil {
				t.Fatal(err)
			}
		}
		if got := reuses(); got != nil {
			t.Errorf("recorded %q", got)
		}
	})
	t.Run("for the fifth time", func(t *testing.T) {
		t.Parallel()
		w := enabledWorld(t, "standard")
		code := w.phone.at(w.now)
		w.must(w.signIn(code))
		for range maxReplays {
			if err := w.signIn(code); !isErr[*CodeReused](err) {
				t.Fatal(err)
			}
		}
		w.ip = other
		if err := w.signIn(code); !isErr[*CodeReused](err) || w.stored {
			t.Errorf("got %v, stored %v; want reused and no write", err, w.stored)
		}
	})
}

// TestLastFromIsKeyed: what is kept of an address is four bytes that say nothing without the secret.
func TestLastFromIsKeyed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 20 {
		w := enabledWorld(t, "standard")
		w.must(w.signIn(w.phone.at(w.now)))
		from := w.account.Authenticator.LastFrom
		if len(from) != 4 || seen[string(from)] {
			t.Errorf("from %x, want four bytes that no other user has from the same place", from)
		}
		seen[string(from)] = true
	}
	if origin([]byte("secret"), "") != nil {
		t.Error("no address has an origin")
	}
}

// TestEraseForgetsReuse: nothing of it is left of an erased user.
func TestEraseForgetsReuse(t *testing.T) {
	t.Parallel()
	w := enabledWorld(t, "standard")
	code := w.phone.at(w.now)
	w.must(w.signIn(code))
	w.ip = other
	if err := w.signIn(code); !isErr[*CodeReused](err) || w.account.ReuseQuiet == 0 {
		t.Fatalf("got %v, quiet until %d", err, w.account.ReuseQuiet)
	}
	w.must(w.act(func(a *Account) error { return w.rules.Erase(a, w.request(), Event{Actor: ActorHost}, w.now) }))
	if w.account.ReuseQuiet != 0 {
		t.Error("an erased account remembers the mail")
	}
}
