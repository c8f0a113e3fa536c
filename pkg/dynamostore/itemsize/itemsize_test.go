package itemsize_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/nightlatch/nightlatch/pkg/dynamostore/itemsize"
	"github.com/nightlatch/nightlatch/pkg/needs"
)

type (
	item = map[string]types.AttributeValue
	text = types.AttributeValueMemberS
	list = types.AttributeValueMemberL
)

// TestOf: DynamoDB takes a write unit for what is 1024 bytes, and two for a byte more, whatever the item consists of.
func TestOf(t *testing.T) {
	t.Parallel()
	client := dynamodb.NewFromConfig(aws.Config{
		Region: "eu-central-1", BaseEndpoint: aws.String(needs.DynamoDBLocal(t)), Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
	table, key := "itemsize", "key"
	_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &table, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: &key, AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: &key, KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	units := func(i item) float64 {
		out, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: i, ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal})
		if err != nil {
			t.Fatal(err)
		}
		return *out.ConsumedCapacity.CapacityUnits
	}
	for name, value := range map[string]types.AttributeValue{
		"text": &text{Value: "täxt"}, "bytes": &types.AttributeValueMemberB{Value: make([]byte, 33)}, "true": &types.AttributeValueMemberBOOL{Value: true},
		"null": &types.AttributeValueMemberNULL{Value: true}, "7": number("7"), "42": number("42"), "100": number("100"), "101": number("101"),
		"time": number("1772633100123"), "second": number("1772633111000"), "minute": number("1772633100000"), "empty list": &list{}, "empty map": &types.AttributeValueMemberM{Value: item{}},
		"list": &list{Value: []types.AttributeValue{&text{Value: "a"}, number("12345"), &list{Value: []types.AttributeValue{number("1")}}}},
		"map":  &types.AttributeValueMemberM{Value: item{"a": number("123"), "bcd": &types.AttributeValueMemberM{Value: item{"e": &text{Value: "f"}}}}},
	} {
		i := item{key: &text{Value: name}, "value": value, "rest": &text{}}
		i["rest"] = &text{Value: strings.Repeat("x", 1024-itemsize.Of(i))}
		least := units(i)
		i["rest"] = &text{Value: i["rest"].(*text).Value + "x"}
		if most := units(i); least != 1 || most != 2 {
			t.Errorf("%s: %v units for 1024 bytes, %v for 1025", name, least, most)
		}
	}
}

func number(digits string) types.AttributeValue { return &types.AttributeValueMemberN{Value: digits} }
