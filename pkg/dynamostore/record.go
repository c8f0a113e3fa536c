package dynamostore

import (
	"encoding/json"
	"errors"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// DecodeRecord returns the version of an account that a record of the accounts table's stream holds. It reports false
// for a record that holds none: the sentinel, or the removal of an item.
func DecodeRecord(r events.DynamoDBEventRecord) (version twofactor.Version, ok bool, err error) {
	if r.EventName == string(events.DynamoDBOperationTypeRemove) {
		return twofactor.Version{}, false, nil
	}
	stored, err := image(r)
	if err != nil {
		return twofactor.Version{}, false, err
	}
	user := asText(stored[keyUser])
	if user == Sentinel {
		return twofactor.Version{}, false, nil
	}
	a, err := decodeAccount(twofactor.UserID(user), stored)
	if err != nil {
		return twofactor.Version{}, false, err
	}
	return twofactor.Version{User: a.User, Version: a.Version, Events: a.Events, Past: a.Past}, true, nil
}

// RecordJSON returns the account that a record holds, as [Store.Item] does.
func RecordJSON(r events.DynamoDBEventRecord) (json.RawMessage, error) {
	stored, err := image(r)
	if err != nil {
		return nil, err
	}
	return plain(stored)
}

func image(r events.DynamoDBEventRecord) (item, error) {
	stored := item{}
	for name, v := range r.Change.NewImage {
		var err error
		if stored[name], err = attribute(v); err != nil {
			return nil, damaged("%s: %w", name, err)
		}
	}
	return stored, nil
}

var errAttribute = errors.New("an attribute of a type that accounts do not have")

// attribute is an attribute as the SDK knows it: Lambda's events have a type of their own.
func attribute(v events.DynamoDBAttributeValue) (types.AttributeValue, error) {
	switch v.DataType() {
	case events.DataTypeString:
		return text(v.String()), nil
	case events.DataTypeNumber:
		return &types.AttributeValueMemberN{Value: v.Number()}, nil
	case events.DataTypeBinary:
		return &types.AttributeValueMemberB{Value: v.Binary()}, nil
	case events.DataTypeBoolean:
		return &types.AttributeValueMemberBOOL{Value: v.Boolean()}, nil
	case events.DataTypeNull:
		return &types.AttributeValueMemberNULL{Value: true}, nil
	case events.DataTypeList:
		var list types.AttributeValueMemberL
		for _, element := range v.List() {
			e, err := attribute(element)
			if err != nil {
				return nil, err
			}
			list.Value = append(list.Value, e)
		}
		return &list, nil
	case events.DataTypeMap:
		m := types.AttributeValueMemberM{Value: item{}}
		for name, member := range v.Map() {
			var err error
			if m.Value[name], err = attribute(member); err != nil {
				return nil, err
			}
		}
		return &m, nil
	}
	return nil, errAttribute
}
