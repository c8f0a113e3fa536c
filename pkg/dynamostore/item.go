package dynamostore

import (
	"context"
	"encoding/json"
	"fmt"
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

	attrVersion = "version" // accounts, config
	attrSchema  = "schema"  // accounts
	attrRegion  = "region"  // accounts: the Region that wrote the item
	attrValue   = "value"   // config
	attrExpires = "expires" // history: the TTL, in Unix seconds
)

// An item is a map of attributes, as DynamoDB keeps it.
type item = map[string]types.AttributeValue

// encodeAccount makes an item of an account. A write unit is 1 KB, so what says nothing is left out (compact), and times
// are Unix milliseconds.
func encodeAccount(a *twofactor.Account, region string) (item, error) {
	m, err := encode(a)
	if err != nil {
		return nil, err
	}
	shareOrigin(m)
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
	unshareOrigin(stored)
	a := new(twofactor.Account)
	if err := decode(stored, a); err != nil {
		return nil, damaged("account: %w", err)
	}
	if a.User != user || user.Validate() != nil || a.Version < 1 {
		return nil, damaged("account: version %d of another user, or of none", a.Version)
	}
	return a, nil
}

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

// compact takes away the members that say nothing, which decode to nothing as well: attributevalue knows omitempty, but
// not the omitzero of a time or a struct.
func compact(m item) {
	for name, v := range m {
		switch v := v.(type) {
		case *types.AttributeValueMemberNULL:
			delete(m, name)
		case *types.AttributeValueMemberM:
			if compact(v.Value); len(v.Value) == 0 {
				delete(m, name)
			}
		case *types.AttributeValueMemberL:
			for _, element := range v.Value {
				if element, ok := element.(*types.AttributeValueMemberM); ok {
					compact(element.Value)
				}
			}
		}
	}
}

// origin are the members of an event that say where its request came from. The events of one version mostly came from
// one request: then only the first says it, and the others have NULL in its place.
var origin = []string{"ip", "ua"}

func shareOrigin(account item) {
	each(account, func(first, e item, name string) {
		if v, ok := first[name]; ok && asText(v) == asText(e[name]) {
			e[name] = &types.AttributeValueMemberNULL{Value: true}
		}
	})
}

func unshareOrigin(account item) {
	each(account, func(first, e item, name string) {
		if _, shared := e[name].(*types.AttributeValueMemberNULL); shared && first[name] != nil {
			e[name] = first[name]
		}
	})
}

// each calls do for every event of the account but the first, and every member of its origin.
func each(account item, do func(first, e item, name string)) {
	events := eventsOf(account)
	for i := 1; i < len(events); i++ {
		for _, name := range origin {
			do(events[0], events[i], name)
		}
	}
}

func eventsOf(account item) []item {
	list, ok := account["events"].(*types.AttributeValueMemberL)
	if !ok {
		return nil
	}
	events := make([]item, 0, len(list.Value))
	for _, e := range list.Value {
		if e, ok := e.(*types.AttributeValueMemberM); ok {
			events = append(events, e.Value)
		}
	}
	return events
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

// Item returns the account as it is stored, for people to look at; nil if there is none. Secrets in it are sealed.
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

// plain writes an item as plain JSON.
func plain(stored item) (json.RawMessage, error) {
	var m map[string]any
	if err := attributevalue.UnmarshalMap(stored, &m); err != nil {
		return nil, err
	}
	return json.Marshal(m)
}
