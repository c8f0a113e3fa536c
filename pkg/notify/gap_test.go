package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/nightlatch/nightlatch/pkg/notify"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

const mail = twofactor.EventMailRequested

// chain makes the versions of one account, as package twofactor makes them: of what happened in each, a second apart from
// the beginning on, and each with where the events before its own are.
func chain(user twofactor.UserID, from time.Time, what ...[]twofactor.EventType) []twofactor.Version {
	from = from.UTC().Truncate(time.Millisecond)
	var versions []twofactor.Version
	var past *twofactor.Recorded
	for i, types := range what {
		v := twofactor.Version{User: user, Version: int64(i + 1), Past: past}
		var left *twofactor.Recorded
		for n, t := range types {
			e := twofactor.Event{ID: fmt.Sprintf("v%012d-%02d", i+1, n), At: from.Add(time.Duration(i+1) * time.Second), Type: t}
			v.Events = append(v.Events, e)
			if t == erased {
				v.Past = nil
			}
			if t != mail {
				if left == nil {
					left = &twofactor.Recorded{Version: v.Version, At: e.At}
				}
				left.Events++
			}
		}
		if left != nil {
			past = left
		}
		versions = append(versions, v)
	}
	return versions
}

type did = []twofactor.EventType

// TestGap: one user's history, and what a batch makes of it.
func TestGap(t *testing.T) {
	t.Parallel()
	hour := time.Now().Add(-time.Hour)
	six := chain("a", hour, did{login}, did{check, login}, did{mail}, did{}, did{login}, did{login})
	reborn := chain("a", hour, did{login}, did{erased}, did{login}, did{login}, did{erased}, did{login})
	old := func(age time.Duration) []twofactor.Version {
		return chain("a", time.Now().Add(-age-time.Second), did{login}, did{login}) // the first is as old as that
	}
	host := func(at time.Time, n int) (events []twofactor.Event) {
		for i := range n {
			events = append(events, twofactor.Event{ID: fmt.Sprintf("%06dHOST", i), At: at, Type: twofactor.EventChallengeIssued})
		}
		return events
	}
	nowhere := six[1]
	nowhere.Past = nil
	empty := six[1] // as no account says it
	empty.Past = &twofactor.Recorded{Version: 1, At: six[0].Events[0].At}
	tests := map[string]struct {
		history []twofactor.Event // before
		batch   []twofactor.Version
		want    []string // of the gaps, newest first
		looks   int
	}{
		"the first version":              {nil, six[:1], nil, 0},
		"the events before are there":    {six[0].Events, six[1:2], nil, 1},
		"are not":                        {nil, six[1:2], []string{"v000000000001-gap"}, 1},
		"come along":                     {nil, six, nil, 0},
		"came along, and again":          {six[0].Events, append(slices.Clone(six[1:]), six[1:]...), nil, 1},
		"are not known":                  {nil, []twofactor.Version{nowhere}, nil, 0},
		"were none":                      {nil, []twofactor.Version{empty}, []string{"v000000000001-gap"}, 1},
		"two of two":                     {six[1].Events, six[4:], nil, 1},
		"one of two":                     {six[1].Events[:1], six[4:], []string{"v000000000002-gap"}, 1},
		"the other of two":               {six[1].Events[1:], six[4:], []string{"v000000000002-gap"}, 1},
		"versions between left nothing":  {six[1].Events, six[2:], nil, 1},
		"a mail finds it out":            {six[0].Events, six[2:3], []string{"v000000000002-gap"}, 1},
		"and what follows is not asked":  {six[0].Events, six[2:], []string{"v000000000002-gap"}, 1},
		"a version without events":       {six[0].Events, six[3:4], nil, 0},
		"two gaps":                       {nil, []twofactor.Version{six[1], six[5]}, []string{"v000000000005-gap", "v000000000001-gap"}, 2},
		"only others are there":          {append(host(six[0].Events[0].At, 3), host(six[1].Events[0].At.Add(-1), 3)...), six[1:2], []string{"v000000000001-gap"}, 2},
		"many others are there":          {host(six[0].Events[0].At.Add(time.Millisecond), 2500), six[1:2], []string{"v000000000001-gap"}, 4},
		"others are beside it":           {append(host(six[0].Events[0].At, 3), six[0].Events...), six[1:2], nil, 1},
		"there is a gap already":         {[]twofactor.Event{six[1].Past.Gap()}, six[1:2], []string{"v000000000001-gap"}, 1},
		"a gap does not stand for it":    {[]twofactor.Event{six[1].Past.Gap()}, six[4:5], []string{"v000000000002-gap", "v000000000001-gap"}, 1},
		"the version was here before":    {six[5].Events, six[5:], nil, 1},
		"a later one was":                {six[5].Events, six[4:5], nil, 1},
		"erased since":                   {reborn[4].Events, reborn[2:3], nil, 1},
		"erased since, others beside it": {append(host(reborn[1].Events[0].At.Add(time.Millisecond), 2500), reborn[4].Events...), reborn[2:3], nil, 4},
		"erased, all of it again":        {reborn[4].Events, reborn[2:], nil, 1},
		"the erasure is not there":       {reborn[0].Events, reborn[2:3], []string{"v000000000002-gap"}, 1},
		"an erasure has no past":         {nil, reborn[1:2], nil, 0},
		"a gap is erased":                {nil, reborn[3:5], nil, 1},
		"nearly as old as events get":    {nil, old(twofactor.KeepHistory - time.Minute)[1:], []string{"v000000000001-gap"}, 1},
		"as old as events get":           {nil, old(twofactor.KeepHistory)[1:], nil, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &history{}
			if err := store.Append(t.Context(), "a", test.history); err != nil {
				t.Fatal(err)
			}
			if err := notify.Versions(notify.Sinks{History: store}, silent)(t.Context(), test.batch); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, store.gaps("a"), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("gaps (-want +got):\n%s", diff)
			}
			if store.looks != test.looks {
				t.Errorf("looked %d times, want %d", store.looks, test.looks)
			}
		})
	}
}

// gaps are the ids of the user's gaps, newest first.
func (h *history) gaps(user twofactor.UserID) (ids []string) {
	for _, e := range h.events[user] {
		if e.Type == twofactor.EventGap {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// TestGapIsSeen: the gap stands where the events were, says what it is, and is told of in a line that an alarm can count
// and that says nothing of whose it is. It is told of once, also when what comes after it cannot be written at first.
func TestGapIsSeen(t *testing.T) {
	t.Parallel()
	versions := chain("alice@example.com", time.Now().Add(-time.Hour), did{login}, did{check, login}, did{login}, did{login})
	var s stream
	for _, i := range []int{0, 2, 3} {
		s.add(&versions[i], "")
	}
	store, log := &history{}, bytes.Buffer{}
	store.fault = func(_ twofactor.UserID, write string, stored bool) error {
		if write == "append" && !stored && len(store.gaps("alice@example.com")) == 1 {
			store.fault = nil
			return errFault
		}
		return nil
	}
	function := notify.Records(notify.Sinks{History: store}, s.decode, slog.New(slog.NewJSONHandler(&log, nil)))
	for _, r := range s.records {
		for failed := true; failed; {
			response, err := function(t.Context(), events.DynamoDBEvent{Records: []events.DynamoDBEventRecord{r}})
			if err != nil {
				t.Fatal(err)
			}
			failed = len(response.BatchItemFailures) > 0
		}
	}
	want := []twofactor.Event{
		versions[3].Events[0], versions[2].Events[0],
		{
			ID: "v000000000002-gap", At: versions[1].Events[0].At, Type: "gap", Outcome: twofactor.Succeeded, Actor: twofactor.ActorSystem,
			Reason: "events_lost",
		},
		versions[0].Events[0],
	}
	if diff := cmp.Diff(want, store.events["alice@example.com"]); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if store.fault != nil {
		t.Error("no write has failed")
	}
	type line struct {
		Level, Msg string
		Version    int
		At         time.Time
	}
	var lines []line
	for d := json.NewDecoder(bytes.NewReader(log.Bytes())); d.More(); {
		var l line
		if err := d.Decode(&l); err != nil {
			t.Fatal(err)
		}
		if l.Msg != "versions not taken" {
			lines = append(lines, l)
		}
	}
	if len(lines) != 1 {
		t.Fatalf("%d lines about a gap:\n%s", len(lines), &log)
	}
	if line := lines[0]; line.Level != "ERROR" || line.Msg != "gap in a history" || line.Version != 2 || !line.At.Equal(versions[1].Events[0].At) {
		t.Errorf("logged %+v", line)
	}
	if strings.Contains(log.String(), "alice") {
		t.Errorf("the log says whose it is: %s", &log)
	}
}

// TestCouldNotLook: a history that cannot be read is no gap. Nothing is written, and the versions come again.
func TestCouldNotLook(t *testing.T) {
	t.Parallel()
	versions := chain("a", time.Now().Add(-time.Hour), did{login}, did{login})
	for _, stored := range []bool{false, true} {
		store := &history{fault: func(_ twofactor.UserID, write string, s bool) error {
			if write == "look" && s == stored {
				return errFault
			}
			return nil
		}}
		if err := notify.Versions(notify.Sinks{History: store}, silent)(t.Context(), versions[1:]); !errors.Is(err, errFault) {
			t.Errorf("error %v, want the fault", err)
		}
		if len(store.events["a"]) > 0 {
			t.Errorf("written nevertheless: %v", store.ids())
		}
	}
}

// TestGapComesFirst: nothing that comes after a gap is in the history before the gap is, since it would say that
// everything before it has been looked for.
func TestGapComesFirst(t *testing.T) {
	t.Parallel()
	versions := chain("a", time.Now().Add(-time.Hour), did{login}, did{login}, did{login})
	for _, stored := range []bool{false, true} {
		failed := false
		store := &history{fault: func(_ twofactor.UserID, write string, s bool) error {
			if write == "append" && s == stored && !failed {
				failed = true
				return errFault
			}
			return nil
		}}
		deliver := notify.Versions(notify.Sinks{History: store}, silent)
		if err := deliver(t.Context(), versions[1:]); !errors.Is(err, errFault) {
			t.Errorf("error %v, want the fault", err)
		}
		want := map[twofactor.UserID][]string{}
		if stored {
			want["a"] = []string{"v000000000001-gap"}
		}
		if diff := cmp.Diff(want, store.ids()); diff != "" {
			t.Errorf("the first write failed, stored %t: history (-want +got):\n%s", stored, diff)
		}
		if err := deliver(t.Context(), versions[1:]); err != nil {
			t.Fatal(err)
		}
		want["a"] = []string{"v000000000003-00", "v000000000002-00", "v000000000001-gap"}
		if diff := cmp.Diff(want, store.ids()); diff != "" {
			t.Errorf("the first write failed, stored %t, and was tried again: history (-want +got):\n%s", stored, diff)
		}
	}
}

// turns lets several deliveries go on one call at a time, in an order that is chosen.
type turns struct {
	*history
	calls chan struct{} // one is about to be made
	turn  chan struct{} // make it
}

func (r turns) wait() {
	r.calls <- struct{}{}
	<-r.turn
}

func (r turns) Append(ctx context.Context, user twofactor.UserID, events []twofactor.Event) error {
	r.wait()
	return r.history.Append(ctx, user, events)
}

func (r turns) HistoryAfter(ctx context.Context, user twofactor.UserID, after twofactor.Event, limit int) ([]twofactor.Event, error) {
	r.wait()
	return r.history.HistoryAfter(ctx, user, after, limit)
}

func (r turns) EraseHistory(ctx context.Context, user twofactor.UserID, before twofactor.Event) error {
	r.wait()
	return r.history.EraseHistory(ctx, user, before)
}

// TestTwoAtOnce: a batch is delivered twice at the same time, and what follows it once one of the two is done. In every
// order of their calls the history has the gaps that are there, and no other.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	hour := time.Now().Add(-time.Hour)
	lost := func(versions []twofactor.Version, lost ...int) []twofactor.Version {
		return slices.DeleteFunc(versions, func(v twofactor.Version) bool { return slices.Contains(lost, int(v.Version)) })
	}
	tests := map[string]struct {
		there, batch, next []twofactor.Version
		want               []string
	}{}
	add := func(name string, versions []twofactor.Version, there, batch int, want ...string) {
		test := tests[name]
		for _, v := range versions {
			switch {
			case v.Version <= int64(there):
				test.there = append(test.there, v)
			case v.Version <= int64(batch):
				test.batch = append(test.batch, v)
			default:
				test.next = append(test.next, v)
			}
		}
		test.want = want
		tests[name] = test
	}
	five := func() []twofactor.Version {
		return chain("a", hour, did{login}, did{login}, did{login}, did{login, check}, did{login})
	}
	reborn := func() []twofactor.Version {
		return chain("a", hour, did{login}, did{login}, did{erased}, did{login}, did{login})
	}
	add("nothing is lost", five(), 1, 3)
	add("one by one", five()[:3], 1, 2)
	add("lost before the batch", lost(five(), 1), 1, 3, "v000000000001-gap")
	add("lost in the batch", lost(five(), 2), 1, 3, "v000000000002-gap")
	add("lost after it", lost(five(), 4), 1, 3, "v000000000004-gap")
	add("lost before and after", lost(five(), 1, 4), 1, 3, "v000000000004-gap", "v000000000001-gap")
	add("erased in the batch", reborn(), 1, 3)
	add("erased after it", reborn(), 1, 2)
	add("erased before it", reborn(), 3, 4)
	add("the erasure lost", lost(reborn(), 3), 1, 2, "v000000000003-gap")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			orders := 0
			for order := []int{}; ; orders++ {
				options := twoAtOnce(t, test.there, test.batch, test.next, test.want, order)
				// The next order: the last choice that has another option takes it, and those after it begin again.
				order = append(order, make([]int, len(options)-len(order))...)
				last := len(order) - 1
				for ; last >= 0 && order[last]+1 == options[last]; last-- {
				}
				if last < 0 {
					break
				}
				order = append(order[:last:last], order[last]+1)
			}
			if orders < 10 {
				t.Errorf("only %d orders", orders)
			}
		})
	}
}

// twoAtOnce runs one order, the first where it says nothing, and returns how many ways to go on there were each time.
func twoAtOnce(t *testing.T, there, batch, next []twofactor.Version, want []string, order []int) (options []int) {
	t.Helper()
	store := &history{}
	for _, v := range there {
		if err := store.Append(t.Context(), v.User, v.Events); err != nil {
			t.Fatal(err)
		}
	}
	type run struct {
		turns
		ended chan error
		batch []twofactor.Version
	}
	begin := func(batch []twofactor.Version) *run {
		r := &run{turns{store, make(chan struct{}), make(chan struct{})}, make(chan error, 1), batch}
		go func() { r.ended <- notify.Versions(notify.Sinks{History: r.turns}, silent)(t.Context(), batch) }()
		return r
	}
	waiting := func(r *run) bool { // or done
		select {
		case <-r.calls:
			return true
		case err := <-r.ended:
			if err != nil {
				t.Errorf("order %v: %v", order, err)
			}
			return false
		}
	}
	running := []*run{begin(batch), begin(batch)}
	for _, r := range running {
		waiting(r)
	}
	follows := len(next) > 0
	for len(running) > 0 {
		choice := 0
		if len(options) < len(order) {
			choice = order[len(options)]
		}
		options = append(options, len(running))
		r := running[choice]
		if r.turn <- struct{}{}; waiting(r) {
			continue
		}
		running = slices.Delete(running, choice, choice+1)
		if follows {
			follows = false
			if r := begin(next); waiting(r) {
				running = append(running, r)
			}
		}
	}
	if diff := cmp.Diff(want, store.gaps("a"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("order %v: gaps (-want +got):\n%s", order, diff)
	}
	return options
}

// TestGapIffLost: of the versions of many users some never arrive, batches are cut anywhere and come again with others
// of theirs missing, writes fail, and users are delivered in two shards at different speeds. In the end a history has a gap
// exactly where events are missing that something came after, unless it has been erased there.
func TestGapIffLost(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		users := []twofactor.UserID{"a", "b", "c", "d"}
		all, drops := map[twofactor.UserID][]twofactor.Version{}, map[twofactor.UserID]map[int64]bool{}
		var shards [2][]twofactor.Version
		for i, user := range users {
			what := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) did {
				return rapid.SampledFrom([]did{{login}, {login}, {login}, {check, login}, {mail}, {login, mail}, {}, {erased}}).Draw(t, "types")
			}), 0, 12).Draw(t, "versions")
			all[user], drops[user] = chain(user, time.Now().Add(-time.Hour), what...), map[int64]bool{}
			for _, v := range all[user] {
				if drops[user][v.Version] = rapid.IntRange(0, 4).Draw(t, "dropped") == 0; !drops[user][v.Version] {
					shards[i%2] = append(shards[i%2], v)
				}
			}
		}
		for i := range shards { // the versions of a user in their order, those of several in any
			shards[i] = mix(t, shards[i])
		}

		faults := rapid.SliceOfN(rapid.IntRange(0, 3), 0, 20).Draw(t, "faults")
		store := &history{fault: func(twofactor.UserID, string, bool) error {
			if len(faults) == 0 {
				return nil
			}
			fails := faults[0] == 0
			faults = faults[1:]
			if fails {
				return errFault
			}
			return nil
		}}
		deliver := notify.Versions(notify.Sinks{History: store}, silent)
		repeats := rapid.IntRange(0, 6).Draw(t, "repeats")
		var at, furthest [2]int
		for at[0] < len(shards[0]) || at[1] < len(shards[1]) {
			shard := rapid.IntRange(0, 1).Draw(t, "shard")
			if at[shard] == len(shards[shard]) {
				shard = 1 - shard
			}
			from := at[shard]
			end := rapid.IntRange(from+1, len(shards[shard])).Draw(t, "end")
			var batch []twofactor.Version
			for n := from; n < end; n++ {
				if n >= furthest[shard] || rapid.IntRange(0, 4).Draw(t, "is gone by now") > 0 {
					batch = append(batch, shards[shard][n])
				}
			}
			if deliver(t.Context(), batch) != nil {
				continue // from there again
			}
			at[shard], furthest[shard] = end, max(furthest[shard], end)
			if repeats > 0 {
				repeats--
				at[shard] = rapid.IntRange(0, end).Draw(t, "again from")
			}
		}
		for _, user := range users {
			if diff := cmp.Diff(gapsOf(all[user], drops[user]), store.gaps(user), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("user %s: gaps (-want +got):\n%s\nversions %+v\ndropped %v", user, diff, all[user], drops[user])
			}
		}
	})
}

// mix is the versions of several users, each user's in their order.
func mix(t *rapid.T, versions []twofactor.Version) (mixed []twofactor.Version) {
	of := map[twofactor.UserID][]twofactor.Version{}
	for _, v := range versions {
		of[v.User] = append(of[v.User], v)
	}
	for len(of) > 0 {
		user := rapid.SampledFrom(slices.Sorted(maps.Keys(of))).Draw(t, "whose")
		mixed = append(mixed, of[user][0])
		if of[user] = of[user][1:]; len(of[user]) == 0 {
			delete(of, user)
		}
	}
	return mixed
}

// gapsOf are the gaps that a user's history must have, newest first, told from what happened and what never arrived.
func gapsOf(versions []twofactor.Version, dropped map[int64]bool) (gaps []string) {
	lost := int64(0) // the newest version whose events are missing, and not noted yet
	for _, v := range versions {
		happened := slices.ContainsFunc(v.Events, func(e twofactor.Event) bool { return e.Type != mail })
		switch {
		case dropped[v.Version] && happened:
			lost = v.Version
		case dropped[v.Version] || len(v.Events) == 0:
		case v.Events[0].Type == erased:
			lost, gaps = 0, nil
		default:
			if lost > 0 {
				gaps = append(gaps, fmt.Sprintf("v%012d-gap", lost))
			}
			lost = 0
		}
	}
	slices.Reverse(gaps)
	return gaps
}
