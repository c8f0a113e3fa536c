package dynamostore

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// TestTables: the tables are made as the design has them.
func TestTables(t *testing.T) {
	t.Parallel()
	s := open(t)
	for table, want := range map[string]string{
		s.tables.Accounts: "user S HASH; PAY_PER_REQUEST; stream NEW_IMAGE; by_due: waits_for S HASH, due N RANGE, KEYS_ONLY; ttl DISABLED",
		s.tables.History:  "user S HASH, place S RANGE; PAY_PER_REQUEST; ttl expires ENABLED",
		s.tables.Config:   "name S HASH; PAY_PER_REQUEST; ttl DISABLED",
	} {
		if got := described(t, s, table); got != want {
			t.Errorf("%s is\n%s, want\n%s", table, got, want)
		}
	}
}

// described is a table in words.
func described(t *testing.T, s *Store, table string) string {
	t.Helper()
	d, err := s.client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &table})
	if err != nil {
		t.Fatal(err)
	}
	ttl, err := s.client.DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: &table})
	if err != nil {
		t.Fatal(err)
	}
	keys := func(schema []types.KeySchemaElement) string {
		var words []string
		for _, k := range schema {
			at := slices.IndexFunc(d.Table.AttributeDefinitions, func(a types.AttributeDefinition) bool { return *a.AttributeName == *k.AttributeName })
			words = append(words, fmt.Sprint(*k.AttributeName, " ", d.Table.AttributeDefinitions[at].AttributeType, " ", k.KeyType))
		}
		return strings.Join(words, ", ")
	}
	words := []string{keys(d.Table.KeySchema), string(d.Table.BillingModeSummary.BillingMode)}
	if stream := d.Table.StreamSpecification; stream != nil && aws.ToBool(stream.StreamEnabled) {
		words = append(words, "stream "+string(stream.StreamViewType))
	}
	for _, index := range d.Table.GlobalSecondaryIndexes {
		words = append(words, fmt.Sprintf("%s: %s, %s", *index.IndexName, keys(index.KeySchema), index.Projection.ProjectionType))
	}
	is := ttl.TimeToLiveDescription
	return strings.Join(append(words, strings.ReplaceAll(fmt.Sprintf("ttl %s %s", aws.ToString(is.AttributeName), is.TimeToLiveStatus), "  ", " ")), "; ")
}

// TestCreateTablesAgain: the tables may be made at any time, by several at once, and what is in them stays.
func TestCreateTablesAgain(t *testing.T) {
	t.Parallel()
	s := unmade(t)
	together := func() {
		t.Helper()
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if err := CreateTables(t.Context(), New(local(t), s.tables)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	together()
	a := put(t, s, &twofactor.Account{User: "u"}, 1)
	together()
	wantStored(t, s, a)
}

// TestCreateTablesFails: it says so, and made again completes what was begun.
func TestCreateTablesFails(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{"CreateTable", "DescribeTable", "UpdateTimeToLive", "PutItem"} {
		f, line := faulty(t, unmade(t))
		line.next(operation, denied)
		if err := CreateTables(t.Context(), f); err == nil {
			t.Errorf("%s denied: no error", operation)
		}
		if err := CreateTables(t.Context(), f); err != nil {
			t.Errorf("after %s was denied: %v", operation, err)
		}
		line.next("DescribeTimeToLive", denied) // DynamoDB refuses to turn it on twice: is it on, then?
		if err := CreateTables(t.Context(), f); err == nil {
			t.Error("DescribeTimeToLive denied: no error")
		}
		put(t, f, &twofactor.Account{User: "u"}, 1)
	}
}

// TestHistoryExpires: an event is kept for 400 days, an account for ever.
func TestHistoryExpires(t *testing.T) {
	t.Parallel()
	s := open(t)
	e := event(7)
	if err := s.Append(t.Context(), "u", newest(7)[:1]); err != nil {
		t.Fatal(err)
	}
	row, err := s.client.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: &s.tables.History, Key: item{keyUser: text("u"), keyPlace: text("2026-03-01T23:59:59.007Z#v000000000007-00")},
	})
	want := number(e.At.AddDate(0, 0, 400).Unix())
	if err != nil || !cmp.Equal(row.Item["expires"], want, asStored) {
		t.Errorf("expires %v, %v; want %v", row.Item["expires"], err, want)
	}
}
