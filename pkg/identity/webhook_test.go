package identity_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nightlatch/nightlatch/pkg/identity"
	"pgregory.net/rapid"
)

const (
	secret = "wbhsec_0001"
	other  = "wbhsec_0002"
)

// A signature by another hand: printf '1772446172.{"data":{"type":"event"}}\n' | openssl dgst -sha256 -hmac wbhsec_0001
var (
	sentAt   = time.Unix(1772446172, 0)
	signed   = []byte("{\"data\":{\"type\":\"event\"}}\n")
	theirs   = "f7d1c87b295814ba00b140c38a9bb623994a5346319cc801aa83ede18954bb95"
	byHeader = "t=1772446172,v1=" + theirs
)

func TestVerifyWebhook(t *testing.T) {
	t.Parallel()
	foreign := identity.Sign("somebody's own", signed, sentAt)
	rotated := identity.Sign(other, signed, sentAt)
	old := identity.Sign(secret, signed, sentAt.Add(-time.Hour))
	// by signs as Persona does, with whatever for a time.
	by := func(at string) string {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(at + "." + string(signed)))
		return hex.EncodeToString(mac.Sum(nil))
	}
	for name, test := range map[string]struct {
		header  string
		body    []byte
		secrets []string
		now     time.Time
		want    error
	}{
		"signed":                            {byHeader, signed, []string{secret}, sentAt, nil},
		"in capitals":                       {"t=1772446172,v1=" + strings.ToUpper(theirs), signed, []string{secret}, sentAt, nil},
		"the other way around":              {"v1=" + theirs + ",t=1772446172", signed, []string{secret}, sentAt, nil},
		"with what is to come":              {byHeader + ",v2=abc", signed, []string{secret}, sentAt, nil},
		"the second of ours":                {byHeader, signed, []string{other, secret}, sentAt, nil},
		"the second of theirs":              {rotated + " " + byHeader, signed, []string{secret}, sentAt, nil},
		"both of theirs, both of ours":      {foreign + " " + rotated, signed, []string{secret, other}, sentAt, nil},
		"after one that is too old":         {old + " " + byHeader, signed, []string{secret}, sentAt, nil},
		"before one that is too old":        {byHeader + " " + old, signed, []string{secret}, sentAt, nil},
		"two in one":                        {"t=1772446172,v1=" + strings.Repeat("0", 64) + ",v1=" + theirs, signed, []string{secret}, sentAt, nil},
		"among what is none":                {"nonsense t=,v1= " + byHeader, signed, []string{secret}, sentAt, nil},
		"five minutes old":                  {byHeader, signed, []string{secret}, sentAt.Add(5 * time.Minute), nil},
		"a little more than five minutes":   {byHeader, signed, []string{secret}, sentAt.Add(5*time.Minute + 1), identity.ErrStale},
		"an hour old":                       {byHeader, signed, []string{secret}, sentAt.Add(time.Hour), identity.ErrStale},
		"five minutes to come":              {byHeader, signed, []string{secret}, sentAt.Add(-5 * time.Minute), nil},
		"a little more than that to come":   {byHeader, signed, []string{secret}, sentAt.Add(-5*time.Minute - 1), identity.ErrStale},
		"an hour to come":                   {byHeader, signed, []string{secret}, sentAt.Add(-time.Hour), identity.ErrStale},
		"long ago":                          {byHeader, signed, []string{secret}, time.Unix(1<<40, 0), identity.ErrStale},
		"too old, and a foreign one":        {old + " " + foreign, signed, []string{secret}, sentAt, identity.ErrStale},
		"a foreign secret":                  {foreign, signed, []string{secret, other}, sentAt, identity.ErrSignature},
		"a foreign secret, too old":         {foreign, signed, []string{secret}, sentAt.Add(time.Hour), identity.ErrSignature},
		"another body":                      {byHeader, signed[1:], []string{secret}, sentAt, identity.ErrSignature},
		"a longer body":                     {byHeader, append(bytes.Clone(signed), ' '), []string{secret}, sentAt, identity.ErrSignature},
		"no body":                           {byHeader, nil, []string{secret}, sentAt, identity.ErrSignature},
		"another time":                      {"t=1772446173,v1=" + theirs, signed, []string{secret}, sentAt, identity.ErrSignature},
		"the same time otherwise":           {"t=01772446172,v1=" + theirs, signed, []string{secret}, sentAt, identity.ErrSignature},
		"the time moved into the body":      {"t=177244617,v1=" + theirs, append([]byte("2."), signed...), []string{secret}, sentAt, identity.ErrSignature},
		"two times":                         {"t=1772446172,t=1772446172,v1=" + theirs, signed, []string{secret}, sentAt, identity.ErrSignature},
		"a fresh time beside the signed":    {strings.Replace(old, "t=", "t=1772446172,t=", 1), signed, []string{secret}, sentAt, identity.ErrSignature},
		"a signature and a half":            {byHeader + "00", signed, []string{secret}, sentAt, identity.ErrSignature},
		"half a signature":                  {byHeader[:len(byHeader)-2], signed, []string{secret}, sentAt, identity.ErrSignature},
		"no signature":                      {"t=1772446172", signed, []string{secret}, sentAt, identity.ErrSignature},
		"an empty signature":                {"t=1772446172,v1=", signed, []string{secret}, sentAt, identity.ErrSignature},
		"not hex":                           {"t=1772446172,v1=" + theirs[:63] + "x", signed, []string{secret}, sentAt, identity.ErrSignature},
		"no time":                           {"v1=" + theirs, signed, []string{secret}, sentAt, identity.ErrSignature},
		"no time, and signed":               {"v1=" + by(""), signed, []string{secret}, sentAt, identity.ErrSignature},
		"an empty time, and signed":         {"t=,v1=" + by(""), signed, []string{secret}, sentAt, identity.ErrSignature},
		"a time in hex, and signed":         {"t=0x69A56B9C,v1=" + by("0x69A56B9C"), signed, []string{secret}, time.Unix(0x69A56B9C, 0), identity.ErrSignature},
		"a time below zero, and signed":     {"t=-5,v1=" + by("-5"), signed, []string{secret}, time.Unix(-5, 0), identity.ErrSignature},
		"the same by hand":                  {"t=5,v1=" + by("5"), signed, []string{secret}, time.Unix(5, 0), nil},
		"a time with a sign":                {"t=+1772446172,v1=" + theirs, signed, []string{secret}, sentAt, identity.ErrSignature},
		"a time that is none":               {"t=now,v1=" + theirs, signed, []string{secret}, sentAt, identity.ErrSignature},
		"a time beyond all":                 {"t=99999999999999999999,v1=" + theirs, signed, []string{secret}, sentAt, identity.ErrSignature},
		"another scheme":                    {"t=1772446172,v0=" + theirs, signed, []string{secret}, sentAt, identity.ErrSignature},
		"no header":                         {"", signed, []string{secret}, sentAt, identity.ErrSignature},
		"no secrets":                        {byHeader, signed, nil, sentAt, identity.ErrSignature},
		"an empty secret, which all know":   {identity.Sign("", signed, sentAt), signed, []string{"", secret}, sentAt, identity.ErrSignature},
		"the fifth of many":                 {strings.Repeat(foreign+" ", 4) + byHeader, signed, []string{secret}, sentAt, identity.ErrSignature},
		"a header longer than any":          {byHeader + strings.Repeat(" ", 2<<10), signed, []string{secret}, sentAt, identity.ErrSignature},
		"with a comma where a space is due": {foreign + "," + byHeader, signed, []string{secret}, sentAt, identity.ErrSignature},
	} {
		if got := identity.VerifyWebhook(test.header, test.body, test.secrets, test.now); !errors.Is(got, test.want) {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

func TestSign(t *testing.T) {
	t.Parallel()
	if got := identity.Sign(secret, signed, sentAt); got != byHeader {
		t.Errorf("got %s, want %s", got, byHeader)
	}
}

// TestAttackForgedWebhook is somebody who has a signed webhook, and no secret, and changes one bit of its body, its header
// or the secret. They want it to verify. Whatever is signed does, and nothing else.
func TestAttackForgedWebhook(t *testing.T) {
	t.Parallel()
	forged, verified := 0, 0
	defer func() { t.Logf("%d webhooks changed in one bit: %d verified", forged, verified) }()
	rapid.Check(t, func(t *rapid.T) {
		refused := func(err error) bool {
			forged++
			if err == nil {
				verified++
			}
			return errors.Is(err, identity.ErrSignature)
		}
		body := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "body")
		key := rapid.StringMatching(`wbhsec_[0-9a-f]{1,40}`).Draw(t, "secret")
		at := time.Unix(rapid.Int64Range(1, 1<<33).Draw(t, "at"), 0)
		header := identity.Sign(key, body, at)
		if err := identity.VerifyWebhook(header, body, []string{key}, at); err != nil {
			t.Fatalf("signed: %v", err)
		}
		whole := slices.Concat(body, []byte(key))
		bit := rapid.IntRange(0, 8*len(whole)-1).Draw(t, "bit")
		whole[bit/8] ^= 1 << (bit % 8)
		if err := identity.VerifyWebhook(header, whole[:len(body)], []string{string(whole[len(body):])}, at); !refused(err) {
			t.Fatalf("bit %d: got %v", bit, err)
		}
		changed := []byte(header)
		i := rapid.IntRange(0, len(changed)-1).Draw(t, "character")
		changed[i] ^= 1 << rapid.IntRange(0, 4).Draw(t, "bit of it")
		if err := identity.VerifyWebhook(string(changed), body, []string{key}, at); !refused(err) {
			t.Fatalf("%q: got %v", changed, err)
		}
	})
}

func TestParseWebhook(t *testing.T) {
	t.Parallel()
	event := func(name, data string) string {
		return `{"data":{"type":"event","id":"evt_1","attributes":{"name":"` + name + `","payload":{"data":` + data + `}}}}`
	}
	for name, test := range map[string]struct {
		body string
		want identity.Hint
	}{
		"as documented": {string(read(t, "inquiry_approved.json")), identity.Hint{InquiryID: inquiryID, Reference: reference, Event: "inquiry.approved"}},
		"in snake case": {event("inquiry.failed", `{"type":"inquiry","id":"inq_1","attributes":{"reference_id":"r"}}`), identity.Hint{InquiryID: "inq_1", Reference: "r", Event: "inquiry.failed"}},
		"in camel case": {event("inquiry.failed", `{"type":"inquiry","id":"inq_1","attributes":{"referenceId":"r"}}`), identity.Hint{InquiryID: "inq_1", Reference: "r", Event: "inquiry.failed"}},
		"no reference":  {event("inquiry.created", `{"type":"inquiry","id":"inq_1","attributes":{"reference-id":null}}`), identity.Hint{InquiryID: "inq_1", Event: "inquiry.created"}},
		"no attributes": {event("inquiry.created", `{"type":"inquiry","id":"inq_1"}`), identity.Hint{InquiryID: "inq_1", Event: "inquiry.created"}},
		"a reference that is nobody's": {
			event("inquiry.created", `{"type":"inquiry","id":"inq_1","attributes":{"reference-id":"' or 1=1 --\n"}}`), identity.Hint{InquiryID: "inq_1", Event: "inquiry.created"},
		},
		"a long reference": {
			event("inquiry.created", `{"type":"inquiry","id":"inq_1","attributes":{"reference-id":"`+strings.Repeat("a", 256)+`"}}`), identity.Hint{InquiryID: "inq_1", Event: "inquiry.created"},
		},
		"about something else": {event("account.created", `{"type":"account","id":"act_1","attributes":{"reference-id":"r"}}`), identity.Hint{Event: "account.created"}},
		"about nothing":        {`{"data":{"type":"event","attributes":{"name":"ping"}}}`, identity.Hint{Event: "ping"}},
		"an event to come":     {event("inquiry.\\u001b[2Jcontemplated", `{"type":"inquiry","id":"inq_1","attributes":{}}`), identity.Hint{InquiryID: "inq_1", Event: "inquiry.[2Jcontemplated"}},
	} {
		got, err := identity.ParseWebhook([]byte(test.body))
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	for name, body := range map[string]string{
		"nothing":                    "",
		"null":                       "null",
		"a list":                     "[]",
		"a page":                     "<html>",
		"empty":                      "{}",
		"more than one":              event("inquiry.created", `{"type":"inquiry","id":"inq_1"}`) + "{}",
		"no event":                   `{"data":{"type":"inquiry","id":"inq_1","attributes":{"name":"inquiry.approved"}}}`,
		"an event without a name":    event("", `{"type":"inquiry","id":"inq_1","attributes":{}}`),
		"an inquiry without an id":   event("inquiry.created", `{"type":"inquiry","attributes":{}}`),
		"an id that leads elsewhere": event("inquiry.created", `{"type":"inquiry","id":"../accounts","attributes":{}}`),
		"attributes that are none":   event("inquiry.created", `{"type":"inquiry","id":"inq_1","attributes":[]}`),
	} {
		if got, err := identity.ParseWebhook([]byte(body)); err == nil || got != (identity.Hint{}) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

// Whatever comes, it is not verified unless it was signed, and it does not end the function.
func FuzzVerifyWebhook(f *testing.F) {
	f.Add(byHeader, signed)
	f.Add(identity.Sign(other, signed, sentAt)+" "+byHeader, signed)
	f.Add("t=1,v1=,t=2,v1=00 t=,", []byte("."))
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		err := identity.VerifyWebhook(header, body, []string{secret, ""}, sentAt)
		if err == nil && (!bytes.Equal(body, signed) || !strings.Contains(strings.ToLower(header), theirs)) {
			t.Errorf("verified: %q over %q", header, body)
		}
		if err != nil && !errors.Is(err, identity.ErrSignature) && !errors.Is(err, identity.ErrStale) {
			t.Errorf("got %v", err)
		}
	})
}

// Whatever is signed, a hint has nothing in it that means something in a path, a header or a log.
func FuzzParseWebhook(f *testing.F) {
	f.Add(read(f, "inquiry_approved.json"))
	f.Add([]byte(`{"data":{"type":"event","attributes":{"name":"a","payload":{"data":{"type":"inquiry","id":"b","attributes":{"referenceId":"c","reference_id":"d"}}}}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		hint, err := identity.ParseWebhook(body)
		if err != nil {
			if hint != (identity.Hint{}) {
				t.Errorf("got %+v with %v", hint, err)
			}
			return
		}
		if !json.Valid(body) {
			t.Errorf("got %+v of what is not JSON", hint)
		}
		if strings.ContainsAny(hint.InquiryID, "./?#%\\ \n") || strings.ContainsAny(hint.Reference, " \r\n\x00") ||
			strings.ContainsAny(hint.Event, "\r\n\x1b\u202e") || len(hint.InquiryID) > 128 || len(hint.Reference) > 255 || len(hint.Event) > 256 {
			t.Errorf("got %+v", hint)
		}
	})
}
