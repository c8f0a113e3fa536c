package identity_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/nightlatch/nightlatch/pkg/identity"
	"pgregory.net/rapid"
)

// What each status means, and that a status which is none is never a pass and never told.
func TestStatuses(t *testing.T) {
	t.Parallel()
	for status, want := range map[identity.Status]identity.Outcome{
		"created": identity.Open, "pending": identity.Open,
		"completed": identity.Waiting, "needs_review": identity.Waiting,
		"approved": identity.Passed,
		"declined": identity.Failed, "failed": identity.Failed,
		"expired": identity.Lapsed,
	} {
		if got := status.Outcome(); got != want {
			t.Errorf("%s: got %d, want %d", status, got, want)
		}
		inquiry, err := fetched(t, map[string]any{"status": status}, nil)
		if err != nil || inquiry.Status != status {
			t.Errorf("%s: got %q, %v", status, inquiry.Status, err)
		}
	}
	for _, status := range []any{"", "Approved", "approved ", "passed", "reopened", nil, 1, true, []string{"approved"}} {
		inquiry, err := fetched(t, map[string]any{"status": status}, nil)
		if !errors.Is(err, identity.ErrUnavailable) || inquiry != (identity.Inquiry{}) {
			t.Errorf("%v: got %+v, %v", status, inquiry, err)
		}
		if s, ok := status.(string); ok && identity.Status(s).Outcome() != identity.Open {
			t.Errorf("%q means %d", s, identity.Status(s).Outcome())
		}
	}
	if inquiry, err := fetched(t, map[string]any{"status": "needs-review"}, nil); err != nil || inquiry.Status != identity.StatusNeedsReview {
		t.Errorf("needs-review: got %q, %v", inquiry.Status, err)
	}
}

// included is a related resource of an answer.
type included struct {
	Type       string         `json:"type"`
	ID         string         `json:"id"`
	Attributes map[string]any `json:"attributes"`
}

// fetched fetches an inquiry with these attributes.
func fetched(t *testing.T, attributes map[string]any, related []included) (inquiry identity.Inquiry, err error) {
	t.Helper()
	answer, err := json.Marshal(map[string]any{
		"data": map[string]any{"type": "inquiry", "id": inquiryID, "attributes": attributes}, "included": related,
	})
	if err != nil {
		t.Fatal(err)
	}
	return fetchedAs(t, answer)
}

func fetchedAs(t *testing.T, answer []byte) (inquiry identity.Inquiry, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, identity.Config{Transport: direct(answers(200, string(answer)))})
		inquiry, err = c.Fetch(t.Context(), inquiryID)
	})
	return inquiry, err
}

// Only what an accepted document or a confirmed number shows is told of a person.
func TestPerson(t *testing.T) {
	t.Parallel()
	const id, nfc, phone = "verification/government-id", "verification/government-id-nfc", "verification/phone-number"
	passed := func(kind, at string, attributes map[string]any) included {
		all := map[string]any{"status": "passed", "completed-at": at}
		for name, value := range attributes {
			all[name] = value
		}
		return included{kind, "ver_1", all}
	}
	for name, test := range map[string]struct {
		related []included
		want    identity.Person
	}{
		"nothing": {nil, identity.Person{}},
		"one document": {
			[]included{passed(id, "2026-03-02T10:00:00.000Z", map[string]any{"name-first": "ANNA", "name-last": "DOE", "birthdate": "1990-01-31"})},
			identity.Person{Name: "ANNA DOE", Birthdate: "1990-01-31"},
		},
		"a chip": {
			[]included{passed(nfc, "", map[string]any{"name-first": "ANNA MARIA", "name-last": "DOE", "birthdate": "1990-01-31"})},
			identity.Person{Name: "ANNA MARIA DOE", Birthdate: "1990-01-31"},
		},
		"a whole address": {
			[]included{passed(id, "", map[string]any{
				"address-street-1": "1 Main St", "address-street-2": "Apt 2", "address-city": "Oakland", "address-subdivision": "CA",
				"address-postal-code": "94601", "address-country-code": "US", "country-code": "FR",
			})},
			identity.Person{Address: "1 Main St, Apt 2, Oakland, CA, 94601, US"},
		},
		"a document does not show a number, nor a number a name": {
			[]included{
				passed(id, "", map[string]any{"phone-number": "+15550100001"}),
				passed(phone, "", map[string]any{"phone-number": "+15550100002", "name-first": "NOBODY", "birthdate": "1990-01-31"}),
			},
			identity.Person{Phone: "+15550100002"},
		},
		"what was not accepted": {
			[]included{
				{id, "ver_1", map[string]any{"status": "failed", "name-first": "NOBODY"}},
				{id, "ver_2", map[string]any{"status": "submitted", "name-first": "NOBODY"}},
				{id, "ver_3", map[string]any{"status": "canceled", "name-first": "NOBODY"}},
				{id, "ver_4", map[string]any{"status": true, "name-first": "NOBODY"}},
				{id, "ver_5", map[string]any{"name-first": "NOBODY"}},
				{id, "ver_6", nil},
				{phone, "ver_7", map[string]any{"status": "confirmed", "phone-number": "+15550100001"}},
			},
			identity.Person{},
		},
		"what is no document": {
			[]included{
				passed("verification/database", "", map[string]any{"name-first": "NOBODY", "phone-number": "+15550100001"}),
				passed("verification/selfie", "", map[string]any{"name-first": "NOBODY"}),
				passed("verification/document", "", map[string]any{"name-first": "NOBODY"}),
				passed("account", "", map[string]any{"name-first": "NOBODY"}),
				passed("document/government-id", "", map[string]any{"name-first": "NOBODY"}),
				passed("verification/government-id-someday", "", map[string]any{"name-first": "NOBODY"}),
			},
			identity.Person{},
		},
		"null, numbers and lists": {
			[]included{passed(id, "", map[string]any{"name-first": nil, "name-middle": 3, "name-last": "DOE", "birthdate": []string{"1990-01-31"}})},
			identity.Person{Name: "DOE"},
		},
		"two that say the same": {
			[]included{
				passed(id, "2026-03-02T10:00:00.000Z", map[string]any{"name-first": "ANNA", "birthdate": "1990-01-31"}),
				passed(nfc, "2026-03-02T10:01:00.000Z", map[string]any{"name-first": "ANNA", "birthdate": "1990-01-31"}),
			},
			identity.Person{Name: "ANNA", Birthdate: "1990-01-31"},
		},
		"two that do not, the latest first": {
			[]included{
				passed(id, "2026-03-02T10:00:00.000Z", map[string]any{"name-first": "MALLORY", "birthdate": "1999-09-09"}),
				passed(id, "2026-03-02T10:02:00.000Z", map[string]any{"name-first": "ANNA", "birthdate": "1990-01-31"}),
				passed(id, "2026-03-02T10:01:00.000Z", map[string]any{"name-first": "MALLORY", "birthdate": "1990-01-31"}),
			},
			identity.Person{Name: "ANNA / MALLORY", Birthdate: "1990-01-31 / 1999-09-09"},
		},
	} {
		typed := map[string]any{
			"status": "approved", "name-first": "Typed", "birthdate": "2000-12-31", "phone-number": "+15550100999",
			"fields": map[string]any{"name-first": map[string]any{"type": "string", "value": "Typed"}},
		}
		got, err := fetched(t, typed, test.related)
		if diff := cmp.Diff(test.want, got.Person); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

// People write what reviewers read.
func TestPersonIsFitToBeRead(t *testing.T) {
	t.Parallel()
	named := func(name string) string {
		t.Helper()
		got, err := fetched(t, map[string]any{"status": "approved"}, []included{{
			"verification/government-id", "ver_1", map[string]any{"status": "passed", "name-first": name},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return got.Person.Name
	}
	for name, want := range map[string]string{
		"Zoë Ångström-O'Brien 山田": "Zoë Ångström-O'Brien 山田",
		"  Anna \t\r\n  Doe  ":    "Anna Doe",
		"Anna\u00a0Doe\u2028":     "Anna Doe",
		"Anna\u202eeoD\u202c":     "AnnaeoD",
		"\u200bAn\u200dna\ufeff":  "Anna",
		"An\x00na\x1b[31m":        "Anna[31m",
		"An\ufffdna":              "Anna",
		"<b>Anna</b>":             "<b>Anna</b>", // pages escape
		" \u202e\x00":             "",
		strings.Repeat("a", 256):  strings.Repeat("a", 256),
		strings.Repeat("a", 257):  strings.Repeat("a", 253) + "…",
		strings.Repeat("é", 200):  strings.Repeat("é", 126) + "…",
		strings.Repeat("a ", 1e5): strings.Repeat("a ", 126) + "a…",
	} {
		if got := named(name); got != want {
			t.Errorf("%.40q: got %q, want %q", name, got, want)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		got := named(rapid.String().Draw(r, "name"))
		if len(got) > 256 || !utf8.ValidString(got) || strings.TrimSpace(got) != got ||
			strings.ContainsFunc(got, func(c rune) bool { return !unicode.IsPrint(c) }) {
			r.Fatalf("got %q", got)
		}
	})
}

// What an answer may lack, and what it may not.
func TestShapes(t *testing.T) {
	t.Parallel()
	got, err := fetched(t, map[string]any{"status": "created", "created-at": "2026-03-02T11:00:00.5+01:00", "completed-at": nil}, nil)
	if err != nil || got.CreatedAt.UTC().Format("15:04:05.0") != "10:00:00.5" || !got.CompletedAt.IsZero() || !got.DecisionedAt.IsZero() {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := fetched(t, map[string]any{"status": "approved", "decisioned-at": "yesterday"}, nil); !errors.Is(err, identity.ErrUnavailable) {
		t.Errorf("a time that is none: got %v", err)
	}
	shapeless := strings.Replace(string(read(t, "retrieve_an_inquiry.json")), `"attributes": {
        "status": "passed",`, `"attributes": [], "was": {"status": "passed",`, 1)
	if got, err := fetchedAs(t, []byte(shapeless)); err != nil || got.Status != identity.StatusApproved || got.Person.Name != "" || got.Person.Phone == "" {
		t.Errorf("a document without attributes: got %+v, %v", got, err)
	}
	other := strings.Replace(string(read(t, "retrieve_an_inquiry.json")), inquiryID, "inq_Another", 1)
	if _, err := fetchedAs(t, []byte(other)); !errors.Is(err, identity.ErrUnavailable) || !strings.Contains(err.Error(), "inq_Another") {
		t.Errorf("another inquiry: got %v", err)
	}
}
