package dynamostore

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Sentinel is the key of the item that tells the accounts table from any other. No user id can have it, since a tab is
// not printable; an IAM policy can name it, since policies may hold tabs.
const Sentinel = "\tsentinel"

// ErrNoSentinel is returned for an accounts table that has no sentinel: it is another table, or not set up yet.
var ErrNoSentinel = errors.New("the accounts table has no sentinel: it is another table, or CreateSentinel has not run")

// CreateSentinel marks the accounts table as one. It does nothing if it is marked already.
func (s *Store) CreateSentinel(ctx context.Context) error {
	_, _, err := s.put(ctx, &dynamodb.PutItemInput{
		TableName: &s.tables.Accounts,
		Item:      item{keyUser: text(Sentinel), attrSchema: number(twofactor.Schema)},

		ConditionExpression:      aws.String("attribute_not_exists(#user)"),
		ExpressionAttributeNames: map[string]string{"#user": keyUser},
	})
	return err
}

// prove returns an error unless the accounts table has its sentinel. A failure is not kept: the next call looks again.
func (s *Store) prove(ctx context.Context) error {
	if s.proven.Load() {
		return nil
	}
	found, err := s.HasSentinel(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("sentinel: %w", err)
	case !found:
		return failed(s.tables.Accounts, ErrNoSentinel)
	}
	s.proven.Store(true)
	return nil
}

// HasSentinel says whether the accounts table is marked as one.
func (s *Store) HasSentinel(ctx context.Context) (bool, error) {
	found, err := s.get(ctx, s.tables.Accounts, keyUser, Sentinel)
	return found != nil, err
}
