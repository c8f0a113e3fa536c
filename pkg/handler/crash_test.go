package handler_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/keyring"
)

// TestCrashes has every operation go wrong at every point at which it touches a store or a key, in every way, and looks
// at it with the eyes of a client: it is told 503 and nothing else, sends the same request again until that is answered,
// and has then got what it would have got, once.
func TestCrashes(t *testing.T) {
	t.Parallel()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			store := e.open(t)
			ring := keyring.New(store, kek(t), func() time.Time { return begin }, keyring.Purposes()...)
			slow := e.name == "dynamodb"
			for _, op := range operations {
				if !op.idempotent || !slow { // what happens without a key is the rules' matter, and no engine's
					t.Run(op.name, func(t *testing.T) { crashEverywhere(t, store, ring, op, false, slow) })
				}
				if op.idempotent {
					t.Run(op.name+", with a key", func(t *testing.T) { crashEverywhere(t, store, ring, op, true, slow) })
				}
			}
		})
	}
}

// crashEverywhere plays one operation undisturbed, and then by every plan.
func crashEverywhere(t *testing.T, store engine, ring *keyring.Ring, op operation, keyed, slow bool) {
	t.Parallel()
	play := func(t *testing.T, plan plan, undisturbed *ending) *ending {
		s := newScene(t, store, ring, op)
		s.plan, s.undisturbed = plan, undisturbed
		s.unheld = undisturbed != nil // what it answered has been checked
		return s.play(keyed)
	}
	undisturbed := play(t, nil, nil)
	for _, plan := range plans(undisturbed, slow || op.brief) {
		t.Run(plan.String(), func(t *testing.T) { play(t, plan, undisturbed) })
	}
}

// accident is what a call meets with.
type accident string

const (
	fails     accident = "fails"            // nothing is stored
	lost      accident = "answer lost"      // it is stored, and nobody knows
	sentAgain accident = "sent again"       // it is stored, the answer is lost, and the engine's client sends it once more
	overtaken accident = "decided too late" // another write comes first
)

// rival is whoever writes meanwhile: before the call where nothing is stored, else between the call and its answer.
type rival string

const (
	newLabel    rival = "a new label"    // changes nothing that matters
	wrongCode   rival = "a wrong code"   // takes one failure of the budget
	twin        rival = "itself"         // the same request, sent twice at once
	newPassword rival = "a new password" // ends challenges, grants and a set-up under way
	nobody      rival = ""
)

// crash is one accident: at the given call of the given attempt, both from 1.
type crash struct {
	attempt, call int
	accident      accident
	rival         rival
}

// plan is what goes wrong while one request is sent again and again.
type plan []crash

func (p plan) String() string {
	var all []string
	for _, c := range p {
		text := fmt.Sprintf("attempt %d call %d %s", c.attempt, c.call, c.accident)
		if c.rival != nobody {
			text += " after " + string(c.rival)
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// plans are all that can go wrong with a request that makes these calls; in brief, only what an engine has a part in: its
// own calls, once, and a race that is lost.
func plans(undisturbed *ending, brief bool) []plan {
	var all []plan
	add := func(p ...crash) { all = append(all, p) }
	for i, what := range undisturbed.calls {
		n := i + 1
		writes := what == callReplace || what == callAppend
		if what != callKeys || !brief {
			add(crash{1, n, fails, nobody})
		}
		if writes {
			add(crash{1, n, lost, nobody})
			add(crash{1, n, sentAgain, nobody})
		}
		if what == callReplace {
			for _, r := range []rival{newLabel, twin, newPassword, wrongCode} {
				if r == wrongCode && !undisturbed.enabled {
					continue
				}
				add(crash{1, n, overtaken, r})
				if r == newLabel || !brief {
					add(crash{1, n, lost, r})
					add(crash{1, n, sentAgain, r})
				}
			}
		}
		if !writes || brief {
			continue
		}
		for _, first := range []accident{fails, lost} {
			for _, second := range []accident{fails, lost} {
				add(crash{1, n, first, nobody}, crash{2, n, second, nobody})
			}
		}
		if what == callReplace { // whoever lost the race decides again at once, with the next call
			add(crash{1, n, overtaken, newLabel}, crash{1, n + 1, lost, nobody})
			add(crash{1, n, overtaken, newLabel}, crash{1, n + 1, overtaken, newLabel})
		}
	}
	return all
}

var errCrash = errors.New("crash")

// The calls at which something can go wrong.
const (
	callKeys    = "Keys"
	callLoad    = "Load"
	callReplace = "Replace"
	callAppend  = "Append"
)
