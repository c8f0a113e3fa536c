package identity

import (
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzInquiry: whatever is answered for an inquiry, it is one of a status that we know, with texts that are fit to be shown to
// a reviewer, or an error that is fit to be logged.
func FuzzInquiry(f *testing.F) {
	answer, err := os.ReadFile("testdata/retrieve_an_inquiry.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(answer)
	f.Add([]byte(`{"data":{"type":"inquiry","id":"inq_1","attributes":{"status":"needs-review"}},"included":[{"type":"verification/government-id","attributes":{"status":"passed","name-first":"A\u202e\n"}}]}`))
	f.Add([]byte(`{"data":{"type":"inquiry","id":"inq_1","attributes":{"status":"approved","created-at":"soon"}},"included":[null]}`))
	f.Add([]byte("{\"data\":{\"type\":\"inquiry\",\"id\":\"inq_1\",\"attributes\":{\"status\":\"approved\",\"created-at\":\"so\x7fn\"}}}"))
	f.Add([]byte(`{"data":null}`))
	f.Add([]byte("{\"data\":\x01\x7f}"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if _, _, err := readNamed(answer); err != nil && !fit(err.Error(), 2000) {
			t.Errorf("%q", err)
		}
		inquiry, err := readInquiry(answer)
		if err != nil {
			if (inquiry != Inquiry{}) || !fit(err.Error(), 2000) {
				t.Errorf("%+v, %q", inquiry, err)
			}
			return
		}
		if _, known := outcomes[inquiry.Status]; !known {
			t.Errorf("the status %q is nobody's", inquiry.Status)
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
