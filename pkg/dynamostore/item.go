package dynamostore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// The names of the tables' keys, of their one index, and of the attributes that conditions read. All others are the JSON
// names of [twofactor.Account] and [twofactor.Event].
const (
	keyUser  = "user"      // accounts, history
	keyPlace = "place"     // history: time#event id
	keyName  = "name"      // config
	indexDue = "by_due"    // of accounts; sparse, keys only
	keyWaits = "waits_for" // in by_due
	keyDue   = "due"       // in by_due, in Unix milliseconds

	attrVersion    = "version"    // accounts, config
	attrSchema     = "schema"     // accounts
	attrRegion     = "region"     // accounts: the Region that wrote the item
	attrDeployment = "deployment" // accounts: of the sentinel, the id of the deployment
	attrValue      = "value"      // config
	attrExpires    = "expires"    // history: the TTL, in Unix seconds
)

// An item is a map of attributes, as DynamoDB keeps it.
type item = map[string]types.AttributeValue

// encodeAccount makes an item of an account, as small as it can be (small.go).
func encodeAccount(a *twofactor.Account, region string) (item, error) {
	m, err := encode(a)
	if err != nil {
		return nil, err
	}
	shrink(m)
	m[attrRegion] = text(region)
	if waiting, due := a.WaitsFor(); waiting != "" {
		m[keyWaits], m[keyDue] = text(string(waiting)), number(due.UnixMilli())
	}
	return m, nil
}

// decodeAccount returns the account that is stored; the zero account if nothing is. Attributes that it does not know are
// nothing to it: a release that could not bear to lose them would have raised the schema.
func decodeAccount(user twofactor.UserID, stored item) (*twofactor.Account, error) {
	if stored == nil {
		return &twofactor.Account{User: user}, nil
	}
	schema, err := strconv.Atoi(asText(stored[attrSchema]))
	switch {
	case err != nil || schema < 1:
		return nil, damaged("account: schema %q", asText(stored[attrSchema]))
	case schema > twofactor.Schema:
		return nil, twofactor.ErrNewerSchema
	}
	unshrink(stored)
	for name, v := range stored {
		if null(v) {
			return nil, damaged("account: NULL in %s", name)
		}
	}
	a := new(twofactor.Account)
	if err := decode(stored, a); err != nil {
		return nil, damaged("account: %w", err)
	}
	if a.User != user || user.Validate() != nil || a.Version < 1 {
		return nil, damaged("account: version %d of another user, or of none", a.Version)
	}
	return a, nil
}

// null says whether there is NULL anywhere in a value. None is left in an account, and it would decode to nothing: to no
// authenticator, above all.
func null(v types.AttributeValue) bool {
	switch v := v.(type) {
	case *types.AttributeValueMemberNULL:
		return true
	case *types.AttributeValueMemberL:
		return slices.ContainsFunc(v.Value, null)
	case *types.AttributeValueMemberM:
		for _, member := range v.Value {
			if null(member) {
				return true
			}
		}
	}
	return false
}

// encode makes an item of a value. Times are Unix milliseconds.
func encode(v any) (item, error) {
	m, err := attributevalue.MarshalMapWithOptions(v, func(o *attributevalue.EncoderOptions) {
		o.TagKey = "json"
		o.EncodeTime = func(t time.Time) (types.AttributeValue, error) {
			if t.IsZero() {
				return &types.AttributeValueMemberNULL{Value: true}, nil // compact takes it away
			}
			return number(t.UnixMilli()), nil
		}
	})
	compact(m)
	return m, err
}

func decode(m item, into any) (err error) {
	defer func() {
		if r := recover(); r != nil { // attributevalue, at a digest of another length
			err = fmt.Errorf("%v", r)
		}
	}()
	return attributevalue.UnmarshalMapWithOptions(m, into, func(o *attributevalue.DecoderOptions) {
		o.TagKey = "json"
		o.DecodeTime.N = func(s string) (time.Time, error) {
			ms, err := strconv.ParseInt(s, 10, 64)
			return time.UnixMilli(ms).UTC(), err
		}
	})
}

// asText is the text of a string or the digits of a number; of anything else nothing.
func asText(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberN:
		return v.Value
	}
	return ""
}

// Item returns the account as it is stored, with what its item leaves out, for people to look at; nil if there is none.
// Secrets in it are sealed.
func (s *Store) Item(ctx context.Context, user twofactor.UserID) (json.RawMessage, error) {
	if err := user.Validate(); err != nil {
		return nil, err
	}
	stored, err := s.get(ctx, s.tables.Accounts, keyUser, string(user))
	if err != nil || stored == nil {
		return nil, err
	}
	return plain(stored)
}

// plain writes an account's item, with what it leaves out, as plain JSON.
func plain(stored item) (json.RawMessage, error) {
	unshrink(stored)
	var m map[string]any
	if err := attributevalue.UnmarshalMap(stored, &m); err != nil {
		return nil, err
	}
	return json.Marshal(m)
}
