package dynamostore

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// inBase64 is a cursor of anybody's making.
func inBase64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// notCursors have no form that a cursor has.
var notCursors = []string{
	" ", "=", "é", "null", "AAAAAAAA", inBase64("null"), inBase64("{}"), inBase64("[]"), inBase64("7"), inBase64(`"u"`),
	inBase64("[null]"), inBase64(`[[]]`), inBase64(strings.Repeat("[", 10_000)), strings.Repeat("A", 100_000),
	base64.StdEncoding.EncodeToString([]byte(`["u","2026-03-01T00:00:00.000Z#é??"]`)), cursor([]string{"u"}), cursor(nil), cursor([]string{""}),
}

// TestForgedHistoryCursors: a cursor of the right form leads no further than the user's own history, and no error of
// DynamoDB's comes of it.
func TestForgedHistoryCursors(t *testing.T) {
	t.Parallel()
	s := open(t)
	if err := s.Append(t.Context(), "u", newest(5)); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), "v", newest(5)); err != nil {
		t.Fatal(err)
	}
	const day = "2026-03-01T23:59:59"
	for _, c := range append([]string{
		cursor([]string{"v", place(event(3))}),                  // another's
		cursor([]string{"U", place(event(3))}),                  //
		cursor([]string{"", place(event(3))}),                   //
		cursor([]string{Sentinel, place(event(3))}),             //
		cursor([]string{"u", place(event(3)), ""}),              // more than there is
		cursor([]string{"u", ""}),                               // no place
		cursor([]string{"u", "#"}),                              //
		cursor([]string{"u", "v000000000003-00"}),               //
		cursor([]string{"u", day + "Z#v000000000003-00"}),       // a time that is written otherwise
		cursor([]string{"u", day + ".003+00:00#a"}),             //
		cursor([]string{"u", "2026-02-30T00:00:00.000Z#a"}),     //
		cursor([]string{"u", day + ".003Z#" + long(maxPlace)}),  // longer than a key can be
		cursor([]string{"u", day + ".003Z#" + long(1_000_000)}), //
		inBase64(`["u",7]`), inBase64(`["u",null]`), inBase64(`["u",["a"]]`), inBase64(`["u","a"] ` + "x"),
	}, notCursors...) {
		p, err := s.History(t.Context(), "u", twofactor.Page{Cursor: c, Limit: 10})
		if !errors.Is(err, twofactor.ErrCursor) || p.Events != nil || p.Next != "" {
			t.Errorf("cursor %.60q = %v, %v; want ErrCursor", c, p, err)
		}
	}
	for c, want := range map[string]int{
		cursor([]string{"u", place(event(3))}):                         2,
		cursor([]string{"u", day + ".003Z"}):                           2, // of no event: a place all the same
		cursor([]string{"u", day + ".003Z#\x00"}):                      2,
		cursor([]string{"u", day + ".003Z#" + long(maxPlace-25)}):      3,
		cursor([]string{"u", "9999-12-31T23:59:59.999Z#"}):             5,
		cursor([]string{"u", "0000-01-01T00:00:00.000Z#"}):             0,
		inBase64(`["u","` + day + `.003Z#\u0000"]` + "\n"):             2,
		inBase64(`["u","` + day + `.003Z#` + "\xff" + `"]`):            3, // U+FFFD, which sorts after all ids
		cursor([]string{"u", day + ".003Z#v000000000003-00#and more"}): 3,
	} {
		p, err := s.History(t.Context(), "u", twofactor.Page{Cursor: c, Limit: 10})
		if diff := cmp.Diff(newest(want), p.Events); err != nil || len(p.Events) != want || want > 0 && diff != "" {
			t.Errorf("cursor %.60q: %d events, %v; want %d (-want +got):\n%s", c, len(p.Events), err, want, diff)
		}
	}
}

func long(n int) string { return strings.Repeat("x", n) }

// TestForgedDueCursors is the same for the list of those who wait.
func TestForgedDueCursors(t *testing.T) {
	t.Parallel()
	s := open(t)
	for n := range 5 {
		a := first(twofactor.UserID(fmt.Sprint(n)))
		a.Reset = &twofactor.Reset{State: twofactor.ResetInReview, EnteredAt: at(10 * n)}
		if err := s.Replace(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	const list = string(twofactor.WaitingReview)
	ms := func(n int) string { return fmt.Sprint(at(n).UnixMilli()) }
	for _, c := range append([]string{
		cursor([]string{"ready", ms(20), "2"}), // another list's
		cursor([]string{"", ms(20), "2"}),
		cursor([]string{list, ms(20)}),
		cursor([]string{list, ms(20), "2", ""}),
		cursor([]string{list, "", "2"}), // no time
		cursor([]string{list, "soon", "2"}),
		cursor([]string{list, "1e3", "2"}),
		cursor([]string{list, "1.5", "2"}),
		cursor([]string{list, "0x10", "2"}),
		cursor([]string{list, "1_000", "2"}),
		cursor([]string{list, "9223372036854775808", "2"}),
		cursor([]string{list, long(1_000_000), "2"}),
		cursor([]string{list, ms(20), ""}), // no user
		cursor([]string{list, ms(20), Sentinel}),
		cursor([]string{list, ms(20), long(129)}),
		inBase64(`["` + list + `",7,"2"]`), inBase64(`["` + list + `","7",null]`),
	}, notCursors...) {
		p, err := s.Due(t.Context(), twofactor.WaitingReview, twofactor.Page{Cursor: c, Limit: 10})
		if !errors.Is(err, twofactor.ErrCursor) || p.Accounts != nil || p.Next != "" {
			t.Errorf("cursor %.60q = %v, %v; want ErrCursor", c, p, err)
		}
	}
	for c, want := range map[string]int{
		cursor([]string{list, ms(20), "2"}):                           2,
		cursor([]string{list, "+" + ms(20), "2"}):                     2,
		cursor([]string{list, "00" + ms(20), "2"}):                    2,
		cursor([]string{list, "-0", "2"}):                             5,
		cursor([]string{list, ms(25), "nobody"}):                      2, // of nobody: a place all the same
		cursor([]string{list, ms(25), strings.Repeat("é", 64)}):       2,
		cursor([]string{list, fmt.Sprint(int64(math.MinInt64)), "2"}): 5,
		cursor([]string{list, fmt.Sprint(int64(math.MaxInt64)), "2"}): 0,
	} {
		p, err := s.Due(t.Context(), twofactor.WaitingReview, twofactor.Page{Cursor: c, Limit: 10})
		if err != nil || len(p.Accounts) != want || want > 0 && p.Accounts[0].User != twofactor.UserID(fmt.Sprint(5-want)) {
			t.Errorf("cursor %.60q: %v, %v; want the last %d", c, p, err, want)
		}
	}
}

// TestLimits: a page may ask for any number.
func TestLimits(t *testing.T) {
	t.Parallel()
	s, line := faulty(t, furnished(t))
	for limit, want := range map[int]int{math.MinInt: 1, -1: 1, 0: 1, 1: 1, 3: 3, 1000: 3, 1 << 31: 3, 1 << 32: 3, math.MaxInt: 3} {
		p, err := s.History(t.Context(), "u", twofactor.Page{Limit: limit})
		if err != nil || len(p.Events) != want || (p.Next == "") != (want == 3) {
			t.Errorf("History with limit %d = %d, %q, %v; want %d", limit, len(p.Events), p.Next, err, want)
		}
		d, err := s.Due(t.Context(), twofactor.WaitingReview, twofactor.Page{Limit: limit})
		if err != nil || len(d.Accounts) != 1 || d.Next != "" || d.Accounts[0].At.Location() != time.UTC {
			t.Errorf("Due with limit %d = %v, %v; want one", limit, d, err)
		}
	}
	if n := line.requests("Query"); n != 2*9 {
		t.Errorf("%d requests for 18 pages", n)
	}
	if d, err := s.Due(t.Context(), "", twofactor.Page{Limit: 1}); err != nil || d.Accounts != nil {
		t.Errorf("Due for nothing = %v, %v; want nobody", d, err)
	}
}
