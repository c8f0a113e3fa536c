package twofactor

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// FuzzParsePolicy: a policy that is taken holds by its own rules, and is the same when it is written and read again; one that
// is not taken is none.
func FuzzParsePolicy(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `{"preset":"mirox"}`, `{"preset":"miaxdx","reviewers":2}`, `{"preset":null}`, `{"reset_wait":"24h","reset_wait":"1h"}`,
		`{"enforcement":"required","backup_use":"disable_2fa"}`, `{"lock_base":"1m","lock_max":"720h"}`, `{"skew":1.0}`, `{"Skew":1}`,
		`{"address_hold":"-1h"}`, `{"reset_wait":"9223372036854775807ns"}`, `{"lock_base":null}`, `{"monthly_failures":1e2}`, `{"x":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParsePolicy(text)
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, "policy: ") {
					t.Errorf("%q: the error does not say of what it is: %q", text, line)
				}
			}
			return
		}
		if err := p.Validate(); err != nil {
			t.Errorf("%q is taken: %v", text, err)
		}
		written, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParsePolicy(written); err != nil || again != p {
			t.Errorf("%q is %+v, written as %s, read as %+v, %v", text, p, written, again, err)
		}
	})
}

// FuzzLink: to the letter, only the tokens of the mailed links of a reset open it, each for its own purpose.
func FuzzLink(f *testing.F) {
	const id = "Ad7h2kPq9vXe4mTz0cRw"
	rules := Rules{Keys: Keys{Links: prf{primary: 2}}}
	a := &Account{User: "alice", Reset: &Reset{ID: id, State: ResetInReview, LinkKey: 1, Round: 1}}
	links := map[string]LinkPurpose{}
	for _, purpose := range linkPurposes {
		link, err := rules.link(a, purpose)
		if err != nil {
			f.Fatal(err)
		}
		links[link] = purpose
	}
	token, err := rules.Link(a, LinkCancel)
	if err != nil {
		f.Fatal(err)
	}
	tag := strings.TrimPrefix(token, id+".")
	for _, seed := range []string{"", token, id, id + ".", "." + tag, token + "\n", token + "=", strings.ToUpper(token), id + "." + tag[:21], id + "." + tag[:21] + "_"} {
		f.Add(seed, uint16(0), byte(0))
	}
	f.Fuzz(func(t *testing.T, text string, place uint16, flip byte) {
		altered := []byte(token)
		altered[int(place)%len(altered)] ^= flip
		for _, presented := range []string{text, string(altered), id + "." + text, token + text} {
			purpose, err := rules.linkPurpose(a, presented)
			if purpose != links[presented] || (err == nil) != (purpose != "") || err != nil && !errors.Is(err, ErrLinkExpired) {
				t.Errorf("%q opens %q, %v", presented, purpose, err)
			}
		}
	})
}
