package twofactor

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestPast: an account knows where the events are that its last version with any in the history has left there.
func TestPast(t *testing.T) {
	t.Parallel()
	login, mail, erased := Event{Type: EventLogin}, Event{Type: EventMailRequested}, Event{Type: EventErased}
	type version = []Event
	tests := map[string]struct {
		versions []version // the last one is that which is asked
		want     *Recorded
	}{
		"the first version":          {[]version{{login}}, nil},
		"after one event":            {[]version{{login}, {login}}, &Recorded{Version: 1, At: noon, Events: 1}},
		"after three":                {[]version{{login}, {login, login, login}, {}}, &Recorded{Version: 2, At: noon.Add(time.Second), Events: 3}},
		"after nothing":              {[]version{{login}, {}, {}, {login}}, &Recorded{Version: 1, At: noon, Events: 1}},
		"nothing yet":                {[]version{{}, {}, {login}}, nil},
		"after a mail":               {[]version{{login}, {mail}, {login}}, &Recorded{Version: 1, At: noon, Events: 1}},
		"nothing but mails":          {[]version{{mail}, {mail}}, nil},
		"beside mails":               {[]version{{mail, login, mail, login}, {}}, &Recorded{Version: 1, At: noon, Events: 2}},
		"erased":                     {[]version{{login}, {login}, {erased}}, nil},
		"after an erasure":           {[]version{{login}, {erased}, {}}, &Recorded{Version: 2, At: noon.Add(time.Second), Events: 1}},
		"nothing since an erasure":   {[]version{{login}, {erased}, {}, {mail}, {login}}, &Recorded{Version: 2, At: noon.Add(time.Second), Events: 1}},
		"erased twice":               {[]version{{erased}, {login}, {erased}}, nil},
		"what the erased one begins": {[]version{{login}, {login, erased}}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "standard")
			for _, events := range test.versions {
				w.must(w.act(func(a *Account) error {
					for _, e := range events {
						if e.Type == EventErased {
							return w.rules.Erase(a, w.request(), Event{Actor: ActorHost}, w.now)
						}
						a.record(w.request(), w.now, e)
					}
					return nil
				}))
				w.later(time.Second)
			}
			if diff := cmp.Diff(test.want, w.account.Past); diff != "" {
				t.Errorf("past (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPastIsCopied: what a version knows of the past is its own.
func TestPastIsCopied(t *testing.T) {
	t.Parallel()
	a := &Account{User: alice, Past: &Recorded{Version: 1, At: noon, Events: 1}}
	if next := a.next("w", time.Time{}, noon); next.Past == a.Past || *next.Past != *a.Past {
		t.Errorf("past %p %+v, want a copy of %p %+v", next.Past, next.Past, a.Past, a.Past)
	}
}

// TestPlaces: where a transition's events stand in the history, with all that could stand beside them in that
// millisecond: just before them is [Recorded.Before], right after them the gap.
func TestPlaces(t *testing.T) {
	t.Parallel()
	for _, version := range []int64{1, 9, 10, 999_999_999_999} {
		a := &Account{User: alice, Version: version}
		for range 100 {
			a.record(Request{}, noon, Event{Type: EventLogin})
		}
		r := recorded(version, a.Events)
		gap, before := r.Gap(), r.Before()
		want := Event{ID: gap.ID, At: noon, Type: EventGap, Outcome: Succeeded, Actor: ActorSystem, Reason: "events_lost"}
		if diff := cmp.Diff(want, gap); diff != "" || gap.Version() != version {
			t.Errorf("version %d: gap of %d (-want +got):\n%s", version, gap.Version(), diff)
		}
		former, later := &Account{Version: version - 1}, &Account{Version: version + 1}
		former.record(Request{}, noon, Event{})
		later.record(Request{}, noon, Event{})
		ids := []string{"999999ZZZZZZ", former.Events[0].ID, before.ID}
		for _, e := range a.Events {
			ids = append(ids, e.ID)
			if e.Version() != version {
				t.Errorf("%s is of version %d, want %d", e.ID, e.Version(), version)
			}
		}
		ids = append(ids, gap.ID)
		if version < 999_999_999_999 {
			ids = append(ids, later.Events[0].ID)
		}
		for i := range ids[1:] {
			if ids[i] >= ids[i+1] {
				t.Errorf("%q stands after %q", ids[i], ids[i+1])
			}
		}
		if !before.At.Equal(noon) {
			t.Errorf("before at %v", before.At)
		}
	}
}

// TestEventVersion: only ids of transitions have a version.
func TestEventVersion(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]int64{
		"v000000000012-00": 12, "v000000000012-gap": 12, "v1234567890123-00": 1234567890123,
		"": 0, "v": 0, "v-": 0, "v12-00": 0, "000000000012-00": 0, "000012ABCDEF": 0, "w000000000012-00": 0, "v00000000001x-00": 0,
		"v000000000012": 0, "vv000000000012-00": 0, "v+00000000012-00": 0, "v-00000000012-00": 0,
	} {
		if got := (Event{ID: id}).Version(); got != want {
			t.Errorf("%q is of version %d, want %d", id, got, want)
		}
	}
}

// TestHistoryHoldsThePast: in every version the account says of the past what a history that lost nothing has.
func TestHistoryHoldsThePast(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	var last *Recorded
	w.stores = func() {
		if diff := cmp.Diff(last, w.account.Past); diff != "" {
			t.Errorf("version %d: past (-want +got):\n%s", w.account.Version, diff)
		}
	}
	w.saw = func(e Event) {
		if last == nil || last.Version != e.Version() {
			last = &Recorded{Version: e.Version(), At: e.At}
		}
		last.Events++
	}
	w.enable()
	for range 3 {
		w.must(w.signIn(w.nextCode()))
		w.fail(6)
		w.challenge()
		w.later(time.Minute)
		w.backupSignIn()
		w.unlock()
	}
	if w.account.Version < 20 {
		t.Errorf("only %d versions", w.account.Version)
	}
}
