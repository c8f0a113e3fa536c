// Package dynamostore is the store on DynamoDB: accounts, their history and the config items, in a table each. Package
// storetest says what a store promises; here is how it is kept.
//
// An account is one item, read with strong consistency and replaced by one PutItem, on the condition that the stored
// version is the one before. DynamoDB answers a failed condition with the item that is there (ALL_OLD), so whoever lost
// the race needs no second read, and a write whose answer was lost finds its own id in it (accounts.go). There are no
// transactions and nothing depends on a TTL. What DynamoDB has not said whole, and in time, it has not said (answer.go).
//
// The accounts table holds a sentinel under a key that no user id can have, with the id of the deployment that the config
// table names. Both are read once for each Store: a table without it is the wrong one, and not a world in which nobody has a
// second factor.
package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

const (
	// attemptTimeout ends an attempt that DynamoDB does not answer. A usual answer takes a few milliseconds.
	attemptTimeout = time.Second
	// maxAttempts is how often a request is sent before it is given up.
	maxAttempts = 3
	// meanPause is the mean pause before the second attempt; before the third it is twice as long.
	meanPause = 50 * time.Millisecond
)

// Tables are the names of the three tables.
type Tables struct {
	Accounts, History, Config string
}

// Store is a [twofactor.Store] in three tables. It is safe for concurrent use.
type Store struct {
	client *dynamodb.Client
	tables Tables
	region string
	proven atomic.Bool // the accounts table is the deployment's

	mu     sync.Mutex
	counts Counts
}

var _ twofactor.Store = (*Store)(nil)

// Counts is what a store has done since it was made.
type Counts struct {
	Loads     int64 // calls of Load
	Replaces  int64 // calls of Replace
	Conflicts int64 // of those, the ones that lost to another write

	// ReadUnits and WriteUnits are what DynamoDB says that all calls together have consumed. Of a write that lost, and of
	// an attempt that failed, it does not say.
	ReadUnits, WriteUnits float64
}

// New returns a store in the given tables of cfg's region, with cfg's credentials. It touches nothing yet. An attempt
// has one second, a request three attempts; whoever calls bounds the whole.
func New(cfg aws.Config, tables Tables, options ...func(*dynamodb.Options)) *Store {
	defaults := func(o *dynamodb.Options) {
		transport := awshttp.NewBuildableClient().GetTransport()
		transport.MaxIdleConnsPerHost = transport.MaxIdleConns // there is but one host
		transport.Protocols = new(http.Protocols)              // a connection for each request: see package thaw
		transport.Protocols.SetHTTP1(true)
		o.HTTPClient = &http.Client{Transport: transport, CheckRedirect: stay}
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
				return rand.N(meanPause << attempt), nil // attempt counts from 1
			})
		})
		o.RetryMaxAttempts = maxAttempts // whatever cfg says
	}
	answers := func(o *dynamodb.Options) { // unless an option has done so
		if _, ok := o.HTTPClient.(whole); !ok {
			o.HTTPClient = whole{o.HTTPClient, attemptTimeout}
		}
	}
	client := dynamodb.NewFromConfig(cfg, slices.Concat([]func(*dynamodb.Options){defaults}, options, []func(*dynamodb.Options){answers})...)
	return &Store{client: client, tables: tables, region: cfg.Region}
}

// stay follows no redirect: DynamoDB has none to give.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Patient is an option for a DynamoDB that shares a laptop with everything else: an attempt has ten seconds. A function on
// AWS has no such time.
func Patient(o *dynamodb.Options) {
	w, ok := o.HTTPClient.(whole)
	if !ok {
		w.client = o.HTTPClient
	}
	w.timeout = 10 * attemptTimeout
	o.HTTPClient = w
}

// Counts returns what the store has done so far.
func (s *Store) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// Used returns what of that costs something: it is a metric.Usage.
func (s *Store) Used() (readUnits, writeUnits float64, conflicts int64) {
	c := s.Counts()
	return c.ReadUnits, c.WriteUnits, c.Conflicts
}

func (s *Store) count(add func(*Counts)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	add(&s.counts)
}

// get reads an item with strong consistency; nil if there is none.
func (s *Store) get(ctx context.Context, table, key, value string) (item, error) {
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &table, Key: item{key: text(value)}, ConsistentRead: aws.Bool(true),
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	})
	if err == nil {
		err = s.countRead(out.ConsumedCapacity)
	}
	if err != nil {
		return nil, failed(table, err)
	}
	return out.Item, nil
}

// put stores an item if the condition holds. If it does not, met is false and current is the item that is there; nil if
// DynamoDB does not tell one.
func (s *Store) put(ctx context.Context, in *dynamodb.PutItemInput) (met bool, current item, err error) {
	in.ReturnValuesOnConditionCheckFailure = types.ReturnValuesOnConditionCheckFailureAllOld
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := s.client.PutItem(ctx, in)
	if err == nil {
		err = s.countWrite(out.ConsumedCapacity)
	}
	var unmet *types.ConditionalCheckFailedException
	switch {
	case errors.As(err, &unmet):
		return false, unmet.Item, nil
	case err != nil:
		return false, nil, failed(*in.TableName, err)
	}
	return true, nil, nil
}

// otherRegion says that a write was refused since one in another Region came first. That is so with multi-Region strong
// consistency only, and no item is told.
func otherRegion(err error) bool {
	var replicated *types.ReplicatedWriteConflictException
	return errors.As(err, &replicated)
}

func failed(table string, err error) error { return fmt.Errorf("table %s: %w", table, err) }
