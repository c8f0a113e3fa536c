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

var (
	// ErrNoSentinel is returned for an accounts table that has no sentinel: it is another table, or not set up yet.
	ErrNoSentinel = errors.New("the accounts table has no sentinel: it is another table, or the deployment is not complete")
	// ErrOtherDeployment is returned for an accounts table and a config table that do not belong together.
	ErrOtherDeployment = errors.New("the accounts table is not that of the config table's deployment")
)

// prove returns an error unless the accounts table is that of the deployment which the config table names. A failure is not
// kept: the next call looks again.
func (s *Store) prove(ctx context.Context) error {
	if s.proven.Load() {
		return nil
	}
	d, err := s.deployment(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("sentinel: %w", err)
	case !d.Joined:
		return failed(s.tables.Accounts, ErrNoSentinel)
	}
	s.proven.Store(true)
	return nil
}

// sentinel returns the id of the deployment that the accounts table belongs to; found is false if it is marked as none's.
func (s *Store) sentinel(ctx context.Context) (id string, found bool, err error) {
	stored, err := s.get(ctx, s.tables.Accounts, keyUser, Sentinel)
	return asText(stored[attrDeployment]), stored != nil, err
}

// createSentinel marks the accounts table as the deployment's, unless it is marked already, as whoever's.
func (s *Store) createSentinel(ctx context.Context, id string) error {
	_, _, err := s.put(ctx, &dynamodb.PutItemInput{
		TableName: &s.tables.Accounts,
		Item:      item{keyUser: text(Sentinel), attrSchema: number(twofactor.Schema), attrDeployment: text(id)},

		ConditionExpression:      aws.String("attribute_not_exists(#user)"),
		ExpressionAttributeNames: map[string]string{"#user": keyUser},
	})
	return err
}
