// Package itemsize says how large an item is to DynamoDB, which does not tell it. It is for tests.
package itemsize

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Of is what an item counts for, in bytes ("DynamoDB item sizes and formats" in the DynamoDB Developer Guide).
func Of(item map[string]types.AttributeValue) (bytes int) {
	for name, value := range item {
		bytes += len(name) + of(value)
	}
	return bytes
}

func of(value types.AttributeValue) int {
	switch v := value.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberN: // of a whole number: a byte for two digits, from the last ones on, and one more
		digits := v.Value
		for strings.HasSuffix(digits, "00") {
			digits = strings.TrimSuffix(digits, "00")
		}
		return (len(digits)+1)/2 + 1
	case *types.AttributeValueMemberB:
		return len(v.Value)
	case *types.AttributeValueMemberBOOL, *types.AttributeValueMemberNULL:
		return 1
	case *types.AttributeValueMemberL:
		n := 3
		for _, element := range v.Value {
			n += 1 + of(element)
		}
		return n
	case *types.AttributeValueMemberM:
		return 3 + len(v.Value) + Of(v.Value)
	}
	panic(fmt.Sprintf("an attribute of type %T", value))
}
