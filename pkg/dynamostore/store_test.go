package dynamostore

import (
	"crypto/rand"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nightlatch/nightlatch/pkg/needs"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
	"github.com/nightlatch/nightlatch/pkg/twofactor/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) twofactor.Store { return open(t) })
}

// local is where DynamoDB Local is.
func local(t testing.TB) aws.Config {
	return aws.Config{
		Region: "eu-central-1", BaseEndpoint: aws.String(needs.DynamoDBLocal(t)),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}
}

// unmade is a store whose tables are its test's alone, and not made yet.
func unmade(t testing.TB) *Store {
	name := rand.Text()
	return New(local(t), Tables{"accounts-" + name, "history-" + name, "config-" + name}, Patient)
}

// open returns an empty store whose tables are its test's alone.
func open(t testing.TB) *Store {
	t.Helper()
	s := unmade(t)
	if err := CreateTables(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return s
}

// at is n milliseconds, the precision that is stored, after a fixed time.
func at(n int) time.Time {
	return time.Date(2026, 3, 1, 23, 59, 59, 0, time.UTC).Add(time.Duration(n) * time.Millisecond)
}

// next is the account's next version, as the service makes it.
func next(a *twofactor.Account) *twofactor.Account {
	n := *a
	n.Schema, n.Version = twofactor.Schema, a.Version+1
	n.Writes = append(slices.Clone(a.Writes[max(0, len(a.Writes)-7):]), twofactor.NewWriteID())
	n.Events = []twofactor.Event{event(int(n.Version))}
	return &n
}

// first is the first version of a user's account.
func first(user twofactor.UserID) *twofactor.Account { return next(&twofactor.Account{User: user}) }

// event is the nth of a history.
func event(n int) twofactor.Event {
	return twofactor.Event{
		ID: fmt.Sprintf("v%012d-00", n), At: at(n), Type: twofactor.EventLogin, Outcome: twofactor.Succeeded,
		Actor: twofactor.ActorUser, IP: "203.0.113.7",
	}
}

// about is a job for a mail about the nth event of a history.
func about(n int, kind string) twofactor.MailJob {
	e := event(n)
	return twofactor.MailJob{User: "u", Event: e.ID, At: e.At, Kind: kind, To: twofactor.MailToUser}
}

// newest are the first n of a history, newest first.
func newest(n int) (all []twofactor.Event) {
	for i := range n {
		all = append(all, event(n-i))
	}
	return all
}

// put stores n more versions of an account, and returns the last.
func put(t testing.TB, s *Store, a *twofactor.Account, n int) *twofactor.Account {
	t.Helper()
	for range n {
		a = next(a)
		if err := s.Replace(t.Context(), a); err != nil {
			t.Fatalf("version %d: %v", a.Version, err)
		}
	}
	return a
}

func wantStored(t testing.TB, s *Store, want *twofactor.Account) {
	t.Helper()
	got, err := s.Load(t.Context(), want.User)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Errorf("Load(%q): %v (-want +got):\n%s", want.User, err, diff)
	}
}

func wantHistory(t testing.TB, s *Store, user twofactor.UserID, want []twofactor.Event) {
	t.Helper()
	got, err := s.History(t.Context(), user, twofactor.Page{Limit: 1000})
	if diff := cmp.Diff(want, got.Events, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Errorf("History(%q): %v (-want +got):\n%s", user, err, diff)
	}
}
