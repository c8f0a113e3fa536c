package dynamostore

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// configGone takes away what the config table says of the deployment.
func configGone(t testing.TB, s *Store) {
	t.Helper()
	_, err := s.client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &s.tables.Config, Key: item{keyName: text(deploymentItem)}})
	if err != nil {
		t.Fatal(err)
	}
}

// TestTablesBelongTogether: an accounts table is used, and marked, as that of one deployment only. A restored copy has the
// sentinel, so it is.
func TestTablesBelongTogether(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(t *testing.T, s, other *Store)
		want   error
	}{
		"another deployment's accounts": {func(_ *testing.T, s, other *Store) { s.tables.Accounts = other.tables.Accounts }, ErrOtherDeployment},
		"another deployment's config":   {func(_ *testing.T, s, other *Store) { s.tables.Config = other.tables.Config }, ErrOtherDeployment},
		"an empty table of accounts": {func(t *testing.T, s, other *Store) {
			sentinelGone(t, other)
			s.tables.Accounts = other.tables.Accounts
		}, ErrNoSentinel},
		"an empty config table": {func(t *testing.T, s, other *Store) {
			configGone(t, other)
			s.tables.Config = other.tables.Config
		}, ErrOtherDeployment},
		"a restored copy of the accounts": {func(t *testing.T, s, other *Store) {
			sentinelGone(t, other)
			var d deployment
			if err := errors.Join(s.loadDeployment(t.Context(), &d), other.createSentinel(t.Context(), d.ID)); err != nil {
				t.Fatal(err)
			}
			s.tables.Accounts = other.tables.Accounts
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mine := furnished(t)
			s, _ := unproven(t, mine)
			c.change(t, s, open(t))
			a, err := s.Load(t.Context(), "nobody")
			if !errors.Is(err, c.want) || (a != nil) != (c.want == nil) {
				t.Errorf("Load = %v, %v; want %v", a, err, c.want)
			}
			_, keysets, deployed := s.Deployed(t.Context())
			for what, err := range map[string]error{
				"Replace": s.Replace(t.Context(), first("nobody")), "Deployed": deployed, "Begin": s.Begin(t.Context()), "Join": s.Join(t.Context(), "k"),
			} {
				if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), s.tables.Config) {
					t.Errorf("%s: %v, want %v", what, err, c.want)
				}
			}
			if keysets != nil {
				t.Errorf("keysets %v", keysets)
			}
			if a, err := s.Load(t.Context(), "nobody"); c.want != nil && (a != nil || !errors.Is(err, c.want)) {
				t.Errorf("afterwards: Load = %v, %v; want %v", a, err, c.want)
			}
		})
	}
}

// TestJoin: the sentinel comes once, after all that it stands for, and keysets are only ever added to those that were made.
func TestJoin(t *testing.T) {
	t.Parallel()
	s := open(t)
	want := func(when string, begun bool, keysets ...string) {
		t.Helper()
		b, k, err := s.Deployed(t.Context())
		if err != nil || b != begun || !slices.Equal(k, keysets) {
			t.Errorf("%s: %v, %v, %v; want %v, %v", when, b, k, err, begun, keysets)
		}
	}
	want("without keysets", true)
	sentinelGone(t, s)
	configGone(t, s)
	want("before", false)
	if err := s.Join(t.Context(), "a"); err == nil {
		t.Error("joined before it has begun")
	}
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if err := s.Begin(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	want("begun", true)
	f, _ := unproven(t, s)
	if a, err := f.Load(t.Context(), "u"); !errors.Is(err, ErrNoSentinel) || a != nil {
		t.Errorf("begun: Load = %v, %v", a, err)
	}
	var d deployment
	if err := errors.Join(s.loadDeployment(t.Context(), &d), s.createSentinel(t.Context(), d.ID)); err != nil {
		t.Fatal(err)
	}
	if a, err := f.Load(t.Context(), "u"); !errors.Is(err, ErrNoSentinel) || a != nil {
		t.Errorf("marked, and not recorded: Load = %v, %v", a, err)
	}
	for _, keysets := range [][]string{{"b", "a"}, {"c"}, {"a", "d"}, {"a"}, nil} {
		for range 2 {
			both.Go(func() {
				if err := s.Join(t.Context(), keysets...); err != nil {
					t.Error(err)
				}
			})
		}
	}
	both.Wait()
	want("joined", true, "a", "b", "c", "d")
	if a, err := f.Load(t.Context(), "u"); err != nil || a == nil {
		t.Errorf("joined: Load = %v, %v", a, err)
	}
}

// TestJoinBetweenReads: a look at both tables while they are joined does not take them for others.
func TestJoinBetweenReads(t *testing.T) {
	t.Parallel()
	s := open(t)
	sentinelGone(t, s)
	f, line := unproven(t, s)
	line.next("GetItem", times(2, func(r *http.Request, deliver func() (*http.Response, error)) (*http.Response, error) {
		ofSentinel := forSentinel(t, r)
		response, err := deliver()
		if ofSentinel {
			putBack(t, s)
		}
		return response, err
	})...)
	if begun, _, err := f.Deployed(t.Context()); err != nil || !begun {
		t.Errorf("%v, %v", begun, err)
	}
}

// TestDeploymentDamaged: what does not say whose the tables are is an error, and not no deployment.
func TestDeploymentDamaged(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]error{
		`{"schema":2,"id":"x","joined":true}`: twofactor.ErrNewerSchema, `{}`: ErrDamaged, `nothing`: ErrDamaged, `{"schema":1,"joined":true}`: ErrDamaged,
	} {
		s := open(t)
		if err := s.ReplaceConfig(t.Context(), deploymentItem, []byte(value), 3); err != nil {
			t.Fatal(err)
		}
		if begun, _, err := s.Deployed(t.Context()); !errors.Is(err, want) || begun {
			t.Errorf("%s: %v, %v; want %v", value, begun, err, want)
		}
		for what, err := range map[string]error{"Begin": s.Begin(t.Context()), "Join": s.Join(t.Context())} {
			if !errors.Is(err, want) {
				t.Errorf("%s: %s: %v, want %v", value, what, err, want)
			}
		}
	}
}
