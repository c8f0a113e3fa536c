package dynamostore

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nightlatch/nightlatch/pkg/dynamostore/eventsource"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// streamed are the first n records of the stream of the accounts table, as Lambda gets them: in JSON.
func streamed(t *testing.T, s *Store, n int) (records []events.DynamoDBEventRecord) {
	t.Helper()
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	err := eventsource.Run(ctx, local(t), s.tables.Accounts, slog.New(slog.DiscardHandler),
		func(_ context.Context, e events.DynamoDBEvent) (none events.DynamoDBEventResponse, err error) {
			sent, err := json.Marshal(e)
			var got events.DynamoDBEvent
			if err == nil {
				err = json.Unmarshal(sent, &got)
			}
			if err != nil {
				t.Error(err)
			}
			if records = append(records, got.Records...); len(records) >= n {
				enough()
			}
			return none, nil
		})
	if !errors.Is(err, context.Canceled) || len(records) != n {
		t.Fatalf("%d records, want %d: %v", len(records), n, err)
	}
	return records
}

// TestRecords: every version of every account is in the stream, with its events as they were stored; the sentinel and
// removals are in it as well, and are none.
func TestRecords(t *testing.T) {
	t.Parallel()
	s := open(t)
	u := enrolled(t, s)
	if err := u.signIn(u.code()); err != nil {
		t.Fatal(err)
	}
	u.fail()
	stored, err := s.Load(t.Context(), u.id)
	if err != nil {
		t.Fatal(err)
	}
	other := put(t, s, &twofactor.Account{User: "日本 \"é\""}, 2)
	key := item{keyUser: text(string(other.User))}
	if _, err := s.client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &s.tables.Accounts, Key: key}); err != nil {
		t.Fatal(err)
	}

	records := streamed(t, s, 1+int(stored.Version)+2+1)
	last, none := map[twofactor.UserID]twofactor.Version{}, 0
	for _, r := range records {
		v, ok, err := DecodeRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			none++
			continue
		}
		if v.Version != last[v.User].Version+1 {
			t.Errorf("version %d of %s after %d", v.Version, v.User, last[v.User].Version)
		}
		last[v.User] = v
		raw, err := RecordJSON(r)
		var a struct{ Version int64 }
		if err := errors.Join(err, json.Unmarshal(raw, &a)); err != nil || a.Version != v.Version {
			t.Errorf("RecordJSON = %s, %v; want version %d", raw, err, v.Version)
		}
	}
	want := map[twofactor.UserID]twofactor.Version{
		u.id:       {User: u.id, Version: stored.Version, Events: stored.Events, Past: stored.Past},
		other.User: {User: other.User, Version: 2, Events: other.Events},
	}
	if stored.Past == nil {
		t.Error("the account does not know where the events before are: the test shows nothing about it")
	}
	if diff := cmp.Diff(want, last, cmpopts.EquateEmpty()); diff != "" || none != 2 {
		t.Errorf("%d records without a version, want the sentinel and a removal; the last versions (-want +got):\n%s", none, diff)
	}
}

// TestBadRecords: what cannot be a version of an account is an error, and is not passed over in silence.
func TestBadRecords(t *testing.T) {
	t.Parallel()
	s := open(t)
	put(t, s, &twofactor.Account{User: "good"}, 1)
	for user, schema := range map[twofactor.UserID]int64{"schema 0": 0, "newer": twofactor.Schema + 1} {
		i := sound(t, user)
		i[attrSchema] = number(schema)
		byHand(t, s, s.tables.Accounts, i)
	}
	records := map[string]events.DynamoDBEventRecord{}
	for _, r := range streamed(t, s, 4) {
		records[r.Change.Keys[keyUser].String()] = r
	}
	type image = map[string]events.DynamoDBAttributeValue
	spoilt := func(spoil func(image)) events.DynamoDBEventRecord {
		r := records["good"]
		r.Change.NewImage = maps.Clone(r.Change.NewImage)
		spoil(r.Change.NewImage)
		return r
	}
	for name, test := range map[string]struct {
		record events.DynamoDBEventRecord
		want   error
	}{
		"newer":            {records["newer"], twofactor.ErrNewerSchema},
		"schema 0":         {records["schema 0"], ErrDamaged},
		"no image":         {spoilt(func(i image) { clear(i) }), ErrDamaged}, // so is a stream of keys
		"no user":          {spoilt(func(i image) { delete(i, keyUser) }), ErrDamaged},
		"a flag":           {spoilt(func(i image) { i[attrVersion] = events.NewBooleanAttribute(true) }), ErrDamaged},
		"a set":            {spoilt(func(i image) { i["writes"] = events.NewStringSetAttribute(nil) }), ErrDamaged},
		"a set in a map":   {spoilt(func(i image) { i["auth"] = events.NewMapAttribute(image{"a": events.NewNumberSetAttribute(nil)}) }), ErrDamaged},
		"a set in a list":  {spoilt(func(i image) { i["events"] = inList(events.NewBinarySetAttribute(nil)) }), ErrDamaged},
		"a list in a list": {spoilt(func(i image) { i["events"] = inList(inList()) }), ErrDamaged},
	} {
		if v, ok, err := DecodeRecord(test.record); ok || v.User != "" || !errors.Is(err, test.want) {
			t.Errorf("%s: %+v, %v, %v; want %v", name, v, ok, err, test.want)
		}
	}
	if raw, err := RecordJSON(spoilt(func(i image) { i["writes"] = events.NewBinarySetAttribute(nil) })); !errors.Is(err, ErrDamaged) {
		t.Errorf("RecordJSON = %s, %v; want ErrDamaged", raw, err)
	}
}

func inList(v ...events.DynamoDBAttributeValue) events.DynamoDBAttributeValue {
	return events.NewListAttribute(v)
}
