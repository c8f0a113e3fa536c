package dynamostore

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// unproven is a second store in the tables of s, at the end of a line, that has not seen the sentinel yet.
func unproven(t testing.TB, s *Store) (*Store, *line) {
	f, line := faulty(t, s)
	f.proven.Store(false)
	return f, line
}

// sentinelGone takes the sentinel away.
func sentinelGone(t testing.TB, s *Store) {
	t.Helper()
	_, err := s.client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &s.tables.Accounts, Key: item{keyUser: text(Sentinel)}})
	if err != nil {
		t.Fatal(err)
	}
}

// putBack puts the sentinel back, as a backup has it.
func putBack(t testing.TB, s *Store) {
	t.Helper()
	var d deployment
	err := s.loadDeployment(t.Context(), &d)
	if err == nil {
		err = s.createSentinel(t.Context(), d.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestNoSentinel: in a table without a sentinel nobody is known to have no second factor. When it has come, the next call
// sees it.
func TestNoSentinel(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Load", "Replace", "Replace, new", "Due"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := furnished(t)
			sentinelGone(t, s)
			f, line := unproven(t, s)
			for range 2 {
				got, err := calls[name](t.Context(), f)
				if !errors.Is(err, ErrNoSentinel) {
					t.Errorf("%v, %v; want ErrNoSentinel", got, err)
				}
			}
			if a, err := f.Load(t.Context(), "nobody"); !errors.Is(err, ErrNoSentinel) || a != nil {
				t.Errorf("Load of nobody = %v, %v; want ErrNoSentinel", a, err)
			}
			if n := line.requests("PutItem"); n != 0 {
				t.Errorf("%d writes to a table that may be another", n)
			}
			putBack(t, s)
			if _, err := calls[name](t.Context(), f); err != nil {
				t.Errorf("with a sentinel: %v", err)
			}
		})
	}
}

// TestSentinelUnread: that the sentinel could not be read is a failure, which is not kept either.
func TestSentinelUnread(t *testing.T) {
	t.Parallel()
	s := furnished(t)
	for _, name := range []string{"Load", "Replace", "Due"} {
		f, line := unproven(t, s)
		line.next("GetItem", times(3, func(r *http.Request, deliver func() (*http.Response, error)) (*http.Response, error) {
			if forSentinel(t, r) {
				return denied(r, deliver)
			}
			return deliver()
		})...)
		got, err := calls[name](t.Context(), f)
		wantFailure(t, name, got, err)
		line.next("GetItem")
		if _, err := calls[name](t.Context(), f); err != nil {
			t.Errorf("%s again: %v", name, err)
		}
	}
}

// forSentinel says whether a request is for the sentinel.
func forSentinel(t testing.TB, r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	return strings.Contains(string(body), `\tsentinel`)
}

// TestSentinelBesideAccount: a cold start reads the sentinel and whose it should be beside its first account, none waiting for
// another, and never again.
func TestSentinelBesideAccount(t *testing.T) {
	t.Parallel()
	s := open(t)
	one := put(t, s, &twofactor.Account{User: "u"}, 1)
	f, line := unproven(t, s)
	var both sync.WaitGroup
	both.Add(3)
	meet := func(_ *http.Request, deliver func() (*http.Response, error)) (*http.Response, error) {
		both.Done()
		both.Wait() // for ever, unless all are under way
		return deliver()
	}
	line.next("GetItem", meet, meet, meet)
	wantStored(t, f, one)
	if n := line.requests("GetItem"); n != 3 {
		t.Errorf("the first load: %d reads, want 3", n)
	}
	for range 3 {
		wantStored(t, f, one)
	}
	put(t, f, one, 1)
	if _, err := f.Due(t.Context(), twofactor.WaitingReview, twofactor.Page{Limit: 1}); err != nil {
		t.Error(err)
	}
	if n := line.requests("GetItem"); n != 6 {
		t.Errorf("and three more: %d reads, want 6", n)
	}
}

// TestSentinelGivenUp: a first load that is given up leaves nothing running.
func TestSentinelGivenUp(t *testing.T) {
	t.Parallel()
	f, line := unproven(t, open(t))
	ctx, cancel := context.WithCancel(t.Context())
	line.next("GetItem", hang, hang, then(cancel, tooLate))
	got, err := f.Load(ctx, "u")
	wantFailure(t, "Load", got, err)
	if line.underWay > 0 {
		t.Errorf("%d requests are still under way", line.underWay)
	}
}

// TestSentinelIsNoUser: no user can have the sentinel's key, or be mistaken for it.
func TestSentinelIsNoUser(t *testing.T) {
	t.Parallel()
	s := open(t)
	if err := twofactor.UserID(Sentinel).Validate(); !errors.Is(err, twofactor.ErrUserID) {
		t.Errorf("Validate: %v, want ErrUserID", err)
	}
	if a, err := s.Load(t.Context(), Sentinel); !errors.Is(err, twofactor.ErrUserID) || a != nil {
		t.Errorf("Load = %v, %v; want ErrUserID", a, err)
	}
	if raw, err := s.Item(t.Context(), Sentinel); !errors.Is(err, twofactor.ErrUserID) || raw != nil {
		t.Errorf("Item = %s, %v; want ErrUserID", raw, err)
	}
	for name, err := range map[string]error{
		"Replace":      s.Replace(t.Context(), first(Sentinel)),
		"Append":       s.Append(t.Context(), Sentinel, newest(1)),
		"EraseHistory": s.EraseHistory(t.Context(), Sentinel, event(1)),
	} {
		if !errors.Is(err, twofactor.ErrUserID) {
			t.Errorf("%s: %v, want ErrUserID", name, err)
		}
	}
	if p, err := s.History(t.Context(), Sentinel, twofactor.Page{Limit: 1}); !errors.Is(err, twofactor.ErrUserID) {
		t.Errorf("History = %v, %v; want ErrUserID", p, err)
	}
	if p, err := s.HistoryAfter(t.Context(), Sentinel, event(1), 1); !errors.Is(err, twofactor.ErrUserID) {
		t.Errorf("HistoryAfter = %v, %v; want ErrUserID", p, err)
	}
}
