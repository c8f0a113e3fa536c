package dynamostore

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// timeLayout writes times so that they sort as text: fixed width, UTC, to the millisecond.
const timeLayout = "2006-01-02T15:04:05.000Z"

// maxPlace is the longest sort key of DynamoDB, in bytes.
const maxPlace = 1024

// place is where an event stands in its user's history: time#id.
func place(e twofactor.Event) string { return e.At.UTC().Format(timeLayout) + "#" + e.ID }

// Append adds events to the user's history; see [twofactor.Store].
func (s *Store) Append(ctx context.Context, user twofactor.UserID, events []twofactor.Event) error {
	if err := user.Validate(); err != nil {
		return err
	}
	return inParallel(ctx, events, func(ctx context.Context, e twofactor.Event) error {
		row, err := encode(e)
		if err != nil {
			return err
		}
		row[keyUser], row[keyPlace] = text(string(user)), text(place(e))
		row[attrExpires] = number(e.At.Add(twofactor.KeepHistory).Unix()) // the table's TTL
		// An event that is there already may have been marked as mailed.
		_, _, err = s.put(ctx, &dynamodb.PutItemInput{
			TableName: &s.tables.History, Item: row,
			ConditionExpression:      aws.String("attribute_not_exists(#user)"),
			ExpressionAttributeNames: map[string]string{"#user": keyUser},
		})
		return err
	})
}

// History lists the user's events, newest first; see [twofactor.Store].
func (s *Store) History(ctx context.Context, user twofactor.UserID, page twofactor.Page) (twofactor.HistoryPage, error) {
	if err := user.Validate(); err != nil {
		return twofactor.HistoryPage{}, err
	}
	q := s.historyOf(user)
	q.ScanIndexForward = aws.Bool(false)
	if page.Cursor != "" {
		key, err := parseCursor(page.Cursor, string(user), 2)
		if err != nil {
			return twofactor.HistoryPage{}, err
		}
		at, _, _ := strings.Cut(key[1], "#")
		if _, err := time.Parse(timeLayout, at); err != nil || len(key[1]) > maxPlace {
			return twofactor.HistoryPage{}, twofactor.ErrCursor
		}
		q.ExclusiveStartKey = item{keyUser: text(key[0]), keyPlace: text(key[1])}
	}
	rows, next, err := s.page(ctx, q, page.Limit, func(row item) []string { return []string{string(user), asText(row[keyPlace])} })
	if err != nil {
		return twofactor.HistoryPage{}, err
	}
	events, err := decodeEvents(rows)
	if err != nil {
		return twofactor.HistoryPage{}, err
	}
	return twofactor.HistoryPage{Events: events, Next: next}, nil
}

// HistoryAfter lists the user's events newer than the given one, oldest first; see [twofactor.Store].
func (s *Store) HistoryAfter(ctx context.Context, user twofactor.UserID, after twofactor.Event, limit int) ([]twofactor.Event, error) {
	if err := user.Validate(); err != nil {
		return nil, err
	}
	q := s.historyOf(user)
	q.KeyConditionExpression = aws.String("#user = :user AND #place > :after")
	q.ExpressionAttributeNames["#place"] = keyPlace
	q.ExpressionAttributeValues[":after"] = text(place(after))
	var rows []item
	for {
		q.Limit = aws.Int32(int32(min(limit-len(rows), 1000)))
		more, err := s.query(ctx, q)
		if err != nil {
			return nil, err
		}
		if rows = append(rows, more...); len(rows) == limit || q.ExclusiveStartKey == nil {
			return decodeEvents(rows)
		}
	}
}

func decodeEvents(rows []item) ([]twofactor.Event, error) {
	events := make([]twofactor.Event, len(rows))
	for i, row := range rows {
		if err := decode(row, &events[i]); err != nil {
			return nil, damaged("event: %w", err)
		}
	}
	return events, nil
}

// historyOf asks for the whole history of a user, strongly consistent: who has just signed in sees it.
func (s *Store) historyOf(user twofactor.UserID) *dynamodb.QueryInput {
	return &dynamodb.QueryInput{
		TableName: &s.tables.History, ConsistentRead: aws.Bool(true),
		KeyConditionExpression:    aws.String("#user = :user"),
		ExpressionAttributeNames:  map[string]string{"#user": keyUser},
		ExpressionAttributeValues: item{":user": text(string(user))},
	}
}

// EraseHistory removes the user's events older than the given one; see [twofactor.Store].
func (s *Store) EraseHistory(ctx context.Context, user twofactor.UserID, before twofactor.Event) error {
	if err := user.Validate(); err != nil {
		return err
	}
	q := s.historyOf(user)
	q.KeyConditionExpression = aws.String("#user = :user AND #place < :before")
	q.ExpressionAttributeNames["#place"] = keyPlace
	q.ExpressionAttributeValues[":before"] = text(place(before))
	q.ProjectionExpression = aws.String("#user, #place")
	for {
		rows, err := s.query(ctx, q)
		if err != nil {
			return err
		}
		err = inParallel(ctx, rows, func(ctx context.Context, key item) error {
			out, err := s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
				TableName: &s.tables.History, Key: key, ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
			})
			if err == nil {
				err = s.countWrite(out.ConsumedCapacity)
			}
			if err != nil {
				return failed(s.tables.History, err)
			}
			return nil
		})
		if err != nil || q.ExclusiveStartKey == nil {
			return err
		}
	}
}

// maxParallel is how many requests one call has under way at once.
const maxParallel = 16

// inParallel calls do for each element, and returns what failed. After a failure it begins nothing new.
func inParallel[T any](ctx context.Context, all []T, do func(context.Context, T) error) error {
	if len(all) == 1 {
		return do(ctx, all[0])
	}
	var (
		wait   sync.WaitGroup
		mu     sync.Mutex
		failed error
	)
	next := make(chan T)
	for range min(maxParallel, len(all)) {
		wait.Go(func() {
			for one := range next {
				if err := do(ctx, one); err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
				}
			}
		})
	}
	for _, one := range all {
		mu.Lock()
		stop := failed != nil
		mu.Unlock()
		if stop {
			break
		}
		next <- one
	}
	close(next)
	wait.Wait()
	return failed
}

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
