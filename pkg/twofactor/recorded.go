package twofactor

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Recorded says where the history has the events of one transition. Each account knows that of its last transition with
// any but the present one, so that whoever writes the history sees when the stream has lost some.
type Recorded struct {
	Version int64     `json:"v"`
	At      time.Time `json:"at"`
	Events  int       `json:"n"` // how many of them the history has
}

// recorded says where the history has a version's events; nil if it has none.
func recorded(version int64, events []Event) *Recorded {
	var r *Recorded
	for _, e := range events {
		if !e.Type.InHistory() {
			continue
		}
		if r == nil {
			r = &Recorded{Version: version, At: e.At}
		}
		r.Events++
	}
	return r
}

// InHistory says whether events of the type are kept in the history.
func (t EventType) InHistory() bool { return t != EventMailRequested } // which asks for a mail, and is nothing that happened

// Before is a place in the history: just before the transition's events, whatever else happened in that millisecond.
func (r Recorded) Before() Event { return Event{ID: idPrefix(r.Version), At: r.At} }

// Gap is the event that says that the transition's events were lost, and perhaps others before them. It stands right
// after them, should they be found again.
func (r Recorded) Gap() Event {
	return Event{
		ID: idPrefix(r.Version) + "gap", At: r.At, Type: EventGap, Outcome: Succeeded, Actor: ActorSystem, Reason: "events_lost",
	}
}

// idPrefix is what the ids of a version's events begin with.
func idPrefix(version int64) string { return fmt.Sprintf("v%012d-", version) }

// Version is the version that the event is of; 0 for one that changed no account (see [Service.HostSaw]).
func (e Event) Version() int64 {
	digits, _, _ := strings.Cut(strings.TrimPrefix(e.ID, "v"), "-")
	version, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !strings.HasPrefix(e.ID, idPrefix(version)) {
		return 0
	}
	return version
}
