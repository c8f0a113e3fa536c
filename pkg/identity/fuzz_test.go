package identity_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/nightlatch/nightlatch/pkg/identity"
)

// FuzzInquiry: whatever is answered for an inquiry, it is that inquiry, with texts that are fit to be shown to a reviewer, or an
// error that is fit to be logged.
func FuzzInquiry(f *testing.F) {
	f.Add(read(f, "inquiry_approved.json"))
	f.Add([]byte(`{"data":{"type":"inquiry","id":"` + inquiryID + `","attributes":{"status":"needs-review"}},"included":[{"type":"verification/government-id","attributes":{"status":"passed","name-first":"A\u202e\n"}}]}`))
	f.Add([]byte(`{"data":{"type":"inquiry","id":"` + inquiryID + `","attributes":{"status":"approved","created-at":"soon"}},"included":[null]}`))
	f.Add([]byte(`{"data":null}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		c := newClient(t, identity.Config{Transport: direct(answers(200, string(answer)))})
		inquiry, err := c.Fetch(t.Context(), inquiryID)
		if err != nil {
			if (inquiry != identity.Inquiry{}) || !fit(err.Error(), 2000) {
				t.Errorf("%+v, %q", inquiry, err)
			}
			return
		}
		if inquiry.ID != inquiryID {
			t.Errorf("it is another inquiry: %+v", inquiry)
		}
		for _, text := range []string{inquiry.Person.Name, inquiry.Person.Birthdate, inquiry.Person.Address, inquiry.Person.Phone} {
			if !fit(text, 1000) {
				t.Errorf("%q is shown to a reviewer", text)
			}
		}
	})
}

// fit says whether a text is one line of at most so many bytes, and nothing in it turns or hides what follows.
func fit(text string, most int) bool {
	return len(text) <= most && utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}
