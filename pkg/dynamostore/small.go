package dynamostore

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// A write unit is 1 KB, and an account in daily use is not far from it. So its item leaves out what says nothing, and what
// can be told from the rest.

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

// shrink takes from an account what unshrink gives back. The write ids become one binary. An event loses the id that its
// place gives it; the version's first one what is as usual, and others what they have in common with it, since they mostly
// came from the same request. An address becomes its bytes. The newest sign-in gets an empty binary for the time of the first
// event, and loses its challenge, which is the last that succeeded. An authenticator of the usual kind loses its parameters.
// Where the events before are becomes one binary. Whatever is not as expected stays as it is.
func shrink(account item) {
	if ids, ok := account["writes"].(*types.AttributeValueMemberL); ok {
		if packed := packWrites(ids.Value); packed != nil {
			account["writes"] = &types.AttributeValueMemberB{Value: packed}
		}
	}
	events := eventsOf(account)
	for n, e := range slices.Backward(events) { // the first one last
		if asText(e["id"]) == eventID(account, n) {
			delete(e, "id")
		}
		subtract(e, modelOf(events, n))
		if packed := packIP(asText(e["ip"])); packed != nil {
			e["ip"] = &types.AttributeValueMemberB{Value: packed}
		}
	}
	for _, a := range authenticatorsOf(account) {
		if reflect.DeepEqual(a["params"], usualParams) {
			delete(a, "params")
		}
	}
	if s := members(account["sign_in"]); s != nil {
		if s["ch"] != nil && reflect.DeepEqual(s["ch"], lastChallenge(account)) {
			delete(s, "ch")
		}
		if len(events) > 0 && asText(s["at"]) != "" && asText(s["at"]) == asText(events[0]["at"]) {
			s["at"] = &types.AttributeValueMemberB{Value: []byte{}} // nil is no attribute
		}
	}
	if packed := packPast(account[attrVersion], members(account["past"])); packed != nil {
		account["past"] = &types.AttributeValueMemberB{Value: packed}
	}
}

func unshrink(account item) {
	if packed, ok := account["writes"].(*types.AttributeValueMemberB); ok && len(packed.Value)%writeBytes == 0 {
		account["writes"] = unpackWrites(packed.Value)
	}
	events := eventsOf(account)
	for n, e := range events {
		if e["id"] == nil {
			e["id"] = text(eventID(account, n))
		}
		if packed, ok := e["ip"].(*types.AttributeValueMemberB); ok {
			if ip, ok := netip.AddrFromSlice(packed.Value); ok {
				e["ip"] = text(ip.String())
			}
		}
		add(e, modelOf(events, n))
	}
	for _, a := range authenticatorsOf(account) {
		if a["params"] == nil {
			a["params"] = usualParams
		}
	}
	if s := members(account["sign_in"]); s != nil {
		if ch := lastChallenge(account); s["ch"] == nil && ch != nil {
			s["ch"] = ch
		}
		if b, ok := s["at"].(*types.AttributeValueMemberB); ok && len(b.Value) == 0 && len(events) > 0 && events[0]["at"] != nil {
			s["at"] = events[0]["at"]
		}
	}
	if packed, ok := account["past"].(*types.AttributeValueMemberB); ok {
		if past := unpackPast(account[attrVersion], packed.Value); past != nil {
			account["past"] = past
		}
	}
}

// usualEvent has what package twofactor puts into an event that does not say otherwise. Were that changed, events that are
// stored would not be.
var usualEvent = item{"actor": text("user"), "outcome": text("success")}

// modelOf is what the nth event is stored in comparison with.
func modelOf(events []item, n int) item {
	if n == 0 {
		return usualEvent
	}
	return events[0]
}

// subtract takes from an event what is the same in the model, and gives it an empty text for what only the model has. An id
// is its own.
func subtract(event, model item) {
	for name, v := range model {
		switch {
		case name == "id":
		case event[name] == nil:
			event[name] = text("")
		case reflect.DeepEqual(event[name], v):
			delete(event, name)
		}
	}
}

// add gives back what subtract took; the event has its id by then.
func add(event, model item) {
	for name, v := range model {
		switch {
		case event[name] == nil:
			event[name] = v
		case reflect.DeepEqual(event[name], text("")):
			delete(event, name)
		}
	}
}

// packIP returns the 4 or 16 bytes of an address; nil if they would not give it back as it is written.
func packIP(written string) []byte {
	ip, err := netip.ParseAddr(written)
	if again, _ := netip.AddrFromSlice(ip.AsSlice()); err != nil || again.String() != written { // zones, and other spellings
		return nil
	}
	return ip.AsSlice()
}

// A write id is 9 bytes in base64url, 12 characters.
const (
	writeBytes = 9
	writeChars = 12
)

// packWrites returns the bytes of all write ids; nil if one of them is something else.
func packWrites(ids []types.AttributeValue) []byte {
	var all strings.Builder
	for _, id := range ids {
		if len(asText(id)) != writeChars {
			return nil
		}
		all.WriteString(asText(id))
	}
	packed, err := base64.RawURLEncoding.DecodeString(all.String())
	if err != nil || base64.RawURLEncoding.EncodeToString(packed) != all.String() { // line ends are skipped
		return nil
	}
	return packed
}

func unpackWrites(packed []byte) *types.AttributeValueMemberL {
	var ids types.AttributeValueMemberL
	for id := range slices.Chunk(packed, writeBytes) {
		ids.Value = append(ids.Value, text(base64.RawURLEncoding.EncodeToString(id)))
	}
	return &ids
}

// packPast packs where the events before are: how many versions back, how many, and when. It returns nil if that would not
// give them back.
func packPast(version types.AttributeValue, past item) []byte {
	back, events, at := asInt(version)-asInt(past["v"]), asInt(past["n"]), asInt(past["at"])
	packed := binary.AppendUvarint(nil, uint64(back))
	packed = binary.AppendUvarint(packed, uint64(events))
	packed = binary.AppendUvarint(packed, uint64(at))
	if again := unpackPast(version, packed); again == nil || !reflect.DeepEqual(again.Value, past) {
		return nil
	}
	return packed
}

func unpackPast(version types.AttributeValue, packed []byte) *types.AttributeValueMemberM {
	r := bytes.NewReader(packed)
	back, err1 := binary.ReadUvarint(r)
	events, err2 := binary.ReadUvarint(r)
	at, err3 := binary.ReadUvarint(r)
	if errors.Join(err1, err2, err3) != nil || r.Len() > 0 {
		return nil
	}
	return &types.AttributeValueMemberM{Value: item{
		"v": number(asInt(version) - int64(back)), "n": number(int64(events)), "at": number(int64(at)),
	}}
}

// asInt is a number; 0 if it is none.
func asInt(v types.AttributeValue) int64 {
	n, err := strconv.ParseInt(asText(v), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// eventID is the id that package twofactor gives to the nth event of an account's version.
func eventID(account item, n int) string {
	return fmt.Sprintf("v%012d-%02d", asInt(account[attrVersion]), n)
}

// usualParams are those of nearly every authenticator, and what one without parameters has. They are not the default of
// package totp: were that changed, authenticators that are stored would not be.
var usualParams = &types.AttributeValueMemberM{Value: item{"alg": text("SHA1"), "digits": number(6), "period": number(30)}}

// lastChallenge is the id of the last challenge that succeeded; nil if there is none.
func lastChallenge(account item) types.AttributeValue {
	list, ok := account["challenges"].(*types.AttributeValueMemberL)
	if !ok || len(list.Value) == 0 {
		return nil
	}
	return members(list.Value[len(list.Value)-1])["id"]
}

// eventsOf are the members of the account's events.
func eventsOf(account item) (events []item) {
	if list, ok := account["events"].(*types.AttributeValueMemberL); ok {
		for _, e := range list.Value {
			events = append(events, members(e))
		}
	}
	return slices.DeleteFunc(events, func(e item) bool { return e == nil })
}

// authenticatorsOf are the members of the account's authenticators, in force and pending.
func authenticatorsOf(account item) []item {
	all := []item{members(account["auth"]), members(members(account["pending"])["auth"])}
	return slices.DeleteFunc(all, func(a item) bool { return a == nil })
}

// members are what a map holds; nil if it is none.
func members(v types.AttributeValue) item {
	if m, ok := v.(*types.AttributeValueMemberM); ok {
		return m.Value
	}
	return nil
}
