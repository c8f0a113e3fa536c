package dynamostore

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"reflect"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// calls are all methods of a store, used where there is something to find, to lose or to do.
var calls = map[string]func(context.Context, *Store) (any, error){
	"Load": func(ctx context.Context, s *Store) (any, error) { return s.Load(ctx, "u") },
	"Replace": func(ctx context.Context, s *Store) (any, error) {
		return nil, s.Replace(ctx, next(&twofactor.Account{User: "u", Version: 1}))
	},
	"Replace, new": func(ctx context.Context, s *Store) (any, error) { return nil, s.Replace(ctx, first("new")) },
	"Due": func(ctx context.Context, s *Store) (any, error) {
		return s.Due(ctx, twofactor.WaitingReview, twofactor.Page{Limit: 10})
	},
	"Append": func(ctx context.Context, s *Store) (any, error) { return nil, s.Append(ctx, "u", newest(4)) },
	"History": func(ctx context.Context, s *Store) (any, error) {
		return s.History(ctx, "u", twofactor.Page{Limit: 10})
	},
	"HistoryAfter": func(ctx context.Context, s *Store) (any, error) {
		return s.HistoryAfter(ctx, "u", twofactor.Event{At: at(0)}, 10)
	},
	"EraseHistory": func(ctx context.Context, s *Store) (any, error) { return nil, s.EraseHistory(ctx, "u", event(9)) },
	"Mailed":       func(ctx context.Context, s *Store) (any, error) { return s.Mailed(ctx, about(1, "disabled")) },
	"MarkMailed": func(ctx context.Context, s *Store) (any, error) {
		return nil, s.MarkMailed(ctx, about(1, "locked"), at(1))
	},
	"LoadConfig": func(ctx context.Context, s *Store) (any, error) {
		value, version, err := s.LoadConfig(ctx, "c")
		return struct {
			value   string
			version int64
		}{string(value), version}, err
	},
	"ReplaceConfig": func(ctx context.Context, s *Store) (any, error) {
		return nil, s.ReplaceConfig(ctx, "c", []byte("2"), 2)
	},
	"Sentinel": func(ctx context.Context, s *Store) (any, error) { return nil, s.createSentinel(ctx, "d") },
	"Item":     func(ctx context.Context, s *Store) (any, error) { return s.Item(ctx, "u") },
}

// furnished is a store in which every call has something to do.
func furnished(t *testing.T) *Store {
	s := open(t)
	a := first("u")
	a.Reset = &twofactor.Reset{State: twofactor.ResetInReview, EnteredAt: at(0)}
	if err := errors.Join(
		s.Replace(t.Context(), a), s.Append(t.Context(), "u", newest(3)), s.ReplaceConfig(t.Context(), "c", []byte("1"), 1),
		s.MarkMailed(t.Context(), about(1, "disabled"), at(1)),
	); err != nil {
		t.Fatal(err)
	}
	return s
}

// wantFailure fails unless the call has failed, has found nothing out, and says nothing else.
func wantFailure(t *testing.T, name string, got any, err error) {
	t.Helper()
	_, conflict := isConflict(err)
	switch {
	case err == nil, conflict, errors.Is(err, twofactor.ErrCursor), errors.Is(err, twofactor.ErrNewerSchema),
		errors.Is(err, ErrNoSentinel), errors.Is(err, ErrOtherDeployment), errors.Is(err, ErrDamaged):
		t.Errorf("%s: %v, want a failure", name, err)
	}
	if got != nil && !reflect.ValueOf(got).IsZero() {
		t.Errorf("%s = %v with an error, want nothing", name, got)
	}
}

// lasting are the faults that no attempt gets over.
var lasting = map[string]fault{
	"ResourceNotFoundException":     refuses("ResourceNotFoundException"),
	"AccessDeniedException":         refuses("AccessDeniedException"),
	"ExpiredTokenException":         refuses("ExpiredTokenException"),
	"InvalidSignatureException":     refuses("InvalidSignatureException"),
	"ValidationException":           refuses("ValidationException"),
	"400 in words":                  says(http.StatusBadRequest, "no"),
	"403 of another server":         says(http.StatusForbidden, "<html><body>sign in first</body></html>"),
	"302":                           says(http.StatusFound, "<html><body>elsewhere</body></html>"),
	"200 of another server":         says(http.StatusOK, "<html><body>welcome</body></html>"),
	"garbage":                       says(http.StatusOK, "\x00\x01\xff"),
	"half an object":                says(http.StatusOK, `{"ConsumedCapacity":{"CapacityUnits":1},"It`),
	"an empty object":               says(http.StatusOK, `{}`),
	"null":                          says(http.StatusOK, `null`),
	"a list":                        says(http.StatusOK, `[]`),
	"a string":                      says(http.StatusOK, `"ok"`),
	"204":                           says(http.StatusNoContent, ""),
	"nothing":                       says(http.StatusOK, ""),
	"an answer to something else":   says(http.StatusOK, `{"TableNames":[]}`),
	"an item that cost nothing":     says(http.StatusOK, `{"Item":{"user":{"S":"u"}}}`),
	"a list of nothing for nothing": says(http.StatusOK, `{"Items":[],"Count":0,"ScannedCount":0}`),
}

// TestFaults: whatever happens to the requests of a call, its error is a failure: never an account that is empty, a list
// that has ended, a conflict.
func TestFaults(t *testing.T) {
	t.Parallel()
	all := maps.Clone(lasting)
	maps.Copy(all, passing)
	maps.Copy(all, losses)
	for name, f := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, line := faulty(t, furnished(t))
			line.all(f)
			var wait sync.WaitGroup
			for name, call := range calls {
				wait.Go(func() {
					got, err := call(t.Context(), s)
					wantFailure(t, name, got, err)
				})
			}
			wait.Wait()
		})
	}
}

// TestCalls: without a fault none of the calls fails, or TestFaults would show nothing.
func TestCalls(t *testing.T) {
	t.Parallel()
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, line := faulty(t, furnished(t))
			got, err := call(t.Context(), s)
			if err != nil || got != nil && reflect.ValueOf(got).IsZero() {
				t.Errorf("%v, %v; want success, and something found", got, err)
			}
			if line.underWay > 0 || len(line.sent) == 0 {
				t.Errorf("requests %v, of which %d are still under way", line.sent, line.underWay)
			}
		})
	}
}

// TestGivenUp: a call ends with its context, in the middle of a request that would have gone on, leaves nothing running,
// and is not tried again.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, line := faulty(t, furnished(t))
			ctx, cancel := context.WithCancel(t.Context())
			line.all(then(cancel, answered(func(r *http.Request, _ *http.Response, _ []byte) (*http.Response, error) {
				<-r.Context().Done()
				if r.Context().Err() != context.Canceled {
					t.Error("the request went on until its attempt was over")
				}
				return nil, r.Context().Err()
			})))
			got, err := call(ctx, s)
			wantFailure(t, name, got, err)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want the context's error", err)
			}
			if line.underWay > 0 {
				t.Errorf("%d requests are still under way", line.underWay)
			}
			for operation, n := range line.sent {
				if n > 1 && name != "Append" || len(line.sent) > 1 {
					t.Errorf("%d requests of %s, want one request in all", n, operation)
				}
			}
		})
	}
}

// TestOtherRegion: with multi-Region strong consistency, a write is refused when another Region is writing the same item,
// and no item is told. Whoever replaces has lost a race; whoever appends does not know whether the other write will last.
func TestOtherRegion(t *testing.T) {
	t.Parallel()
	s, line := faulty(t, furnished(t))
	line.all(refuses("ReplicatedWriteConflictException"))
	for name, want := range map[string]bool{
		"Replace": true, "Replace, new": true, "ReplaceConfig": true, "Append": false, "Sentinel": false,
	} {
		_, err := calls[name](t.Context(), s)
		if current, conflict := isConflict(err); conflict != want || current != nil {
			t.Errorf("%s: %v with %v; want a conflict: %v", name, err, current, want)
		}
		var cause *types.ReplicatedWriteConflictException
		if !want && !errors.As(err, &cause) {
			t.Errorf("%s: %v, want DynamoDB's error", name, err)
		}
	}
	if c := s.Counts(); c.Replaces != 2 || c.Conflicts != 2 {
		t.Errorf("counts %+v, want 2 conflicts of 2", c)
	}
}
