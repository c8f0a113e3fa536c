package dynamostore

import (
	"context"
	"encoding/base64"
	"encoding/json"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// page reads one page of a list, and the cursor of the next one if there is anything on it. DynamoDB ends a page where
// it likes (at 1 MB), and says that there may be more where there is nothing: so one item more than is wanted is read.
func (s *Store) page(ctx context.Context, q *dynamodb.QueryInput, limit int, place func(item) []string) (items []item, next string, err error) {
	limit = max(1, limit)
	q.Limit = aws.Int32(int32(min(limit, 999) + 1))
	for {
		more, err := s.query(ctx, q)
		if err != nil {
			return nil, "", err
		}
		items = append(items, more...)
		switch {
		case len(items) > limit:
			items = items[:limit]
			return items, cursor(place(items[limit-1])), nil
		case q.ExclusiveStartKey == nil:
			return items, "", nil
		}
	}
}

// query reads what DynamoDB gives at once, and sets q to go on from there: with no key to start at, it is the end.
func (s *Store) query(ctx context.Context, q *dynamodb.QueryInput) ([]item, error) {
	q.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := s.client.Query(ctx, q)
	if err == nil {
		err = s.countRead(out.ConsumedCapacity)
	}
	if err != nil {
		return nil, failed(*q.TableName, err)
	}
	q.ExclusiveStartKey = out.LastEvaluatedKey
	return out.Items, nil
}

// A cursor is the key of the last item of the page before: a place in the list, whatever comes and goes meanwhile. Its
// first part names the list, so that it is of no use for another one.
func cursor(key []string) string {
	b, err := json.Marshal(key)
	if err != nil {
		panic(err) // strings can be written
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseCursor returns the n parts of a cursor of the list. The error is [twofactor.ErrCursor].
func parseCursor(s, list string, n int) ([]string, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, twofactor.ErrCursor
	}
	var key []string
	if err := json.Unmarshal(b, &key); err != nil || len(key) != n || key[0] != list {
		return nil, twofactor.ErrCursor
	}
	return key, nil
}
