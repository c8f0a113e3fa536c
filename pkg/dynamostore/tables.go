package dynamostore

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// tableTimeout is how long a table may take until it can be used.
const tableTimeout = 30 * time.Second

// CreateTables makes the tables that are not there yet, with their keys, index, stream and TTL, and marks the accounts
// table with its sentinel. It is for a DynamoDB on this machine and for tests: on AWS the stack makes them.
func CreateTables(ctx context.Context, s *Store) error {
	s = &Store{client: dynamodb.New(s.client.Options(), Patient), tables: s.tables, region: s.region}
	for _, table := range []*dynamodb.CreateTableInput{
		{
			TableName:            &s.tables.Accounts,
			KeySchema:            keySchema(keyUser),
			AttributeDefinitions: attributes(keyUser, keyWaits, keyDue),
			GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
				IndexName: aws.String(indexDue), KeySchema: keySchema(keyWaits, keyDue),
				Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
			}},
			StreamSpecification: &types.StreamSpecification{
				StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewImage,
			},
		},
		{
			TableName:            &s.tables.History,
			KeySchema:            keySchema(keyUser, keyPlace),
			AttributeDefinitions: attributes(keyUser, keyPlace),
		},
		{
			TableName:            &s.tables.Config,
			KeySchema:            keySchema(keyName),
			AttributeDefinitions: attributes(keyName),
		},
	} {
		table.BillingMode = types.BillingModePayPerRequest
		_, err := s.client.CreateTable(ctx, table)
		var there *types.ResourceInUseException
		if err != nil && !errors.As(err, &there) {
			return failed(*table.TableName, err)
		}
		exists := dynamodb.NewTableExistsWaiter(s.client, func(o *dynamodb.TableExistsWaiterOptions) {
			o.MinDelay, o.MaxDelay = 50*time.Millisecond, time.Second
		})
		if err := exists.Wait(ctx, &dynamodb.DescribeTableInput{TableName: table.TableName}, tableTimeout); err != nil {
			return failed(*table.TableName, err)
		}
	}
	if err := expire(ctx, s); err != nil {
		return err
	}
	if err := s.Begin(ctx); err != nil {
		return err
	}
	return s.Join(ctx)
}

// expire turns the history's TTL on. DynamoDB refuses that where it is on already.
func expire(ctx context.Context, s *Store) error {
	_, refused := s.client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName: &s.tables.History,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{
			AttributeName: aws.String(attrExpires), Enabled: aws.Bool(true),
		},
	})
	if refused == nil {
		return nil
	}
	is, err := s.client.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &s.tables.History})
	if err != nil {
		return failed(s.tables.History, errors.Join(refused, err))
	}
	d := is.TimeToLiveDescription
	if d != nil && (d.TimeToLiveStatus == types.TimeToLiveStatusEnabled || d.TimeToLiveStatus == types.TimeToLiveStatusEnabling) {
		return nil
	}
	return failed(s.tables.History, refused)
}

func keySchema(names ...string) []types.KeySchemaElement {
	kinds := []types.KeyType{types.KeyTypeHash, types.KeyTypeRange}
	schema := make([]types.KeySchemaElement, len(names))
	for i, name := range names {
		schema[i] = types.KeySchemaElement{AttributeName: aws.String(name), KeyType: kinds[i]}
	}
	return schema
}

func attributes(names ...string) []types.AttributeDefinition {
	definitions := make([]types.AttributeDefinition, len(names))
	for i, name := range names {
		kind := types.ScalarAttributeTypeS
		if name == keyDue {
			kind = types.ScalarAttributeTypeN
		}
		definitions[i] = types.AttributeDefinition{AttributeName: aws.String(name), AttributeType: kind}
	}
	return definitions
}
