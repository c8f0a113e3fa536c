package dynamostore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

var errConfigName = errors.New("config: name must have 1 to 255 bytes")

// LoadConfig returns a config item (a sealed keyset, the JWK set, the fence) and its version, strongly consistent.
// Version 0 means that there is none; an error never does.
func (s *Store) LoadConfig(ctx context.Context, name string) (value []byte, version int64, err error) {
	if name == "" || len(name) > 255 {
		return nil, 0, errConfigName
	}
	stored, err := s.get(ctx, s.tables.Config, keyName, name)
	if err != nil || stored == nil {
		return nil, 0, err
	}
	version, err = strconv.ParseInt(asText(stored[attrVersion]), 10, 64)
	b, ok := stored[attrValue].(*types.AttributeValueMemberB)
	if err != nil || version < 1 || !ok {
		return nil, 0, damaged("config item %s: %w", name, errors.Join(err, errors.New("it has no version or no value")))
	}
	return b.Value, version, nil
}

// ReplaceConfig stores value as the given version of a config item if and only if the stored version is the one before
// (0 being none), durably; otherwise it returns a [*twofactor.Conflict]. Any other error means that it is not known
// whether the value has been stored.
func (s *Store) ReplaceConfig(ctx context.Context, name string, value []byte, version int64) error {
	if name == "" || len(name) > 255 {
		return errConfigName
	}
	in := &dynamodb.PutItemInput{
		TableName: &s.tables.Config,
		Item:      item{keyName: text(name), attrVersion: number(version), attrValue: &types.AttributeValueMemberB{Value: value}},
	}
	if version == 1 {
		in.ConditionExpression = aws.String("attribute_not_exists(#name)")
		in.ExpressionAttributeNames = map[string]string{"#name": keyName}
	} else {
		in.ConditionExpression = aws.String("#version = :before")
		in.ExpressionAttributeNames = map[string]string{"#version": attrVersion}
		in.ExpressionAttributeValues = item{":before": number(version - 1)}
	}
	met, current, err := s.put(ctx, in)
	if err != nil && !otherRegion(err) || met {
		return err
	}
	if b, ok := current[attrValue].(*types.AttributeValueMemberB); ok &&
		asText(current[attrVersion]) == strconv.FormatInt(version, 10) && bytes.Equal(b.Value, value) {
		return nil // it had landed before, and its answer was lost
	}
	return &twofactor.Conflict{}
}

// ErrDamaged is returned for an item that this package cannot have written.
var ErrDamaged = errors.New("damaged item")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, args...))
}
