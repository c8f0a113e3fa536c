package dynamostore

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// losses are the ways in which an answer is lost, but for those that take a second.
var losses = map[string]fault{
	"reset": lost, "closed": closed, "cut short": cutShort, "empty": emptied, "altered": altered,
}

// isConflict says whether another write came first, and which account it left.
func isConflict(err error) (current *twofactor.Account, conflict bool) {
	var c *twofactor.Conflict
	if errors.As(err, &c) {
		return c.Current, true
	}
	return nil, false
}

// TestLostAnswer: a write that landed is a success, although its answer was lost, and is stored once, whatever others have
// stored on top before it was sent again. An account remembers the last eight writes.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	for name, loss := range losses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			for before := range 2 { // the first version, and a later one
				for others := range 9 {
					base := put(t, s, &twofactor.Account{User: twofactor.UserID(fmt.Sprint(before, others))}, before)
					mine := next(base)
					top := mine
					f, line := faulty(t, s)
					line.next("PutItem", then(func() { top = put(t, s, mine, others) }, loss))
					err := f.Replace(t.Context(), mine)
					if current, conflict := isConflict(err); others == 8 && conflict {
						if diff := cmp.Diff(top, current, cmpopts.EquateEmpty()); diff != "" {
							t.Errorf("version %d, %d on top: the conflict's account (-want +got):\n%s", mine.Version, others, diff)
						}
					} else if others == 8 || err != nil {
						t.Errorf("version %d, %d on top: %v", mine.Version, others, err)
					}
					if n := line.requests("PutItem"); n != 2 {
						t.Errorf("version %d, %d on top: sent %d times, want 2", mine.Version, others, n)
					}
					wantStored(t, s, top)
				}
			}
		})
	}
}

// TestLateAnswer: an answer that does not come, or does not come to its end, in time is lost as well.
func TestLateAnswer(t *testing.T) {
	t.Parallel()
	s := open(t)
	hasty := func() (*Store, *line) {
		f, line := faulty(t, s)
		f.client = dynamodb.New(f.client.Options(), func(o *dynamodb.Options) {
			o.HTTPClient = whole{o.HTTPClient.(whole).client, 2 * time.Second} // enough for the second attempt on a busy machine
		})
		return f, line
	}
	there := put(t, s, &twofactor.Account{User: "there"}, 1)
	var all sync.WaitGroup
	for name, late := range map[string]fault{"not sent": hang, "not begun": tooLate, "not ended": stuck} {
		all.Go(func() {
			f, line := hasty()
			line.next("PutItem", late)
			mine := first(twofactor.UserID(name))
			if err := f.Replace(t.Context(), mine); err != nil || line.requests("PutItem") < 2 {
				t.Errorf("%s: Replace: %v after %d attempts", name, err, line.requests("PutItem"))
			}
			wantStored(t, s, mine)
		})
		all.Go(func() {
			f, line := hasty()
			line.next("GetItem", late)
			wantStored(t, f, there)
			if n := line.requests("GetItem"); n < 2 {
				t.Errorf("%s: Load after %d attempts", name, n)
			}
		})
	}
	all.Wait()
}

// TestEveryAnswerLost: when no attempt is answered, it is not known whether the write has landed, and that is what is said.
// Sent once more, the same write is a success.
func TestEveryAnswerLost(t *testing.T) {
	t.Parallel()
	for name, loss := range losses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			for before := range 2 {
				mine := next(put(t, s, &twofactor.Account{User: twofactor.UserID(fmt.Sprint(before))}, before))
				f, line := faulty(t, s)
				line.next("PutItem", loss, loss, loss)
				err := f.Replace(t.Context(), mine)
				if _, conflict := isConflict(err); err == nil || conflict {
					t.Errorf("version %d: %v, want an error that is no conflict", mine.Version, err)
				}
				wantStored(t, s, mine)
				if err := f.Replace(t.Context(), mine); err != nil {
					t.Errorf("version %d, sent once more: %v", mine.Version, err)
				}
				if n := line.requests("PutItem"); n != 4 {
					t.Errorf("version %d: sent %d times, want 4", mine.Version, n)
				}
				wantStored(t, s, mine)
			}
		})
	}
}

// TestUntoldItem: a condition that fails without the item that failed it is no proof that there is none.
func TestUntoldItem(t *testing.T) {
	t.Parallel()
	s := open(t)
	winner := put(t, s, &twofactor.Account{User: "u"}, 2)
	f, line := faulty(t, s)
	for _, loser := range []*twofactor.Account{first("u"), next(first("u"))} {
		line.next("PutItem", refuses("ConditionalCheckFailedException"))
		current, conflict := isConflict(f.Replace(t.Context(), loser))
		if diff := cmp.Diff(winner, current, cmpopts.EquateEmpty()); !conflict || diff != "" {
			t.Errorf("version %d: conflict %v (-want +got):\n%s", loser.Version, conflict, diff)
		}
		line.next("PutItem", refuses("ConditionalCheckFailedException"))
		line.next("GetItem", refuses("AccessDeniedException"))
		if _, conflict := isConflict(f.Replace(t.Context(), loser)); conflict {
			t.Errorf("version %d: a conflict although nothing could be read", loser.Version)
		}
	}
	line.next("PutItem", refuses("ConditionalCheckFailedException"))
	if err := f.Replace(t.Context(), winner); err != nil {
		t.Errorf("of what had landed: %v", err)
	}
}
