package dynamostore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// whole is a client that has the whole answer in time, or none, so that every way of losing an answer ends in another
// attempt. The SDK by itself gives up on an answer that breaks off, only logs a wrong checksum, and takes an empty
// answer for an item that is not there.
type whole struct {
	client  dynamodb.HTTPClient
	timeout time.Duration
}

// Do makes one attempt. After one that failed the connections that are kept are not trusted any more: a function that was
// frozen finds all of them dead, since the time after which they would be closed stands still meanwhile. Each further
// attempt would take the next dead one; so it opens its own.
func (w whole) Do(request *http.Request) (*http.Response, error) {
	answer, err := w.attempt(request)
	if err != nil {
		if kept, ok := w.client.(interface{ CloseIdleConnections() }); ok {
			kept.CloseIdleConnections()
		}
	}
	return answer, err
}

func (w whole) attempt(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(request.Context(), w.timeout)
	defer cancel()
	answer, err := w.client.Do(request.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return nil, fmt.Errorf("status %d and nothing else", answer.StatusCode)
	}
	sum := strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10)
	if told := answer.Header.Get("X-Amz-Crc32"); told != "" && told != sum {
		return nil, fmt.Errorf("checksum %s of an answer that should have %s", sum, told)
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, nil
}

// errNotDynamoDB is what an answer comes to that does not say what it cost, although every request asks. Whatever else
// it says, that something is not there above all, is not believed.
var errNotDynamoDB = errors.New("an answer that is not DynamoDB's")

func (s *Store) countRead(c *types.ConsumedCapacity) error {
	if c == nil {
		return errNotDynamoDB
	}
	s.count(func(n *Counts) { n.ReadUnits += aws.ToFloat64(c.CapacityUnits) })
	return nil
}

func (s *Store) countWrite(c *types.ConsumedCapacity) error {
	if c == nil {
		return errNotDynamoDB
	}
	s.count(func(n *Counts) { n.WriteUnits += aws.ToFloat64(c.CapacityUnits) })
	return nil
}
