package dynamostore

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"
)

// TestMailedAt: a row tells when which mail was sent, and the first time stays.
func TestMailedAt(t *testing.T) {
	t.Parallel()
	s := open(t)
	if err := s.Append(t.Context(), "u", newest(7)[:1]); err != nil {
		t.Fatal(err)
	}
	for n, kind := range []string{"disabled", "disabled", "backup_code_used"} {
		if err := s.MarkMailed(t.Context(), about(7, kind), at(n)); err != nil {
			t.Fatal(err)
		}
	}
	row, err := s.client.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: &s.tables.History, Key: item{keyUser: text("u"), keyPlace: text("2026-03-01T23:59:59.007Z#v000000000007-00")},
	})
	got := item{}
	for name, v := range row.Item {
		if len(name) > 9 && name[:9] == "mailed_at" {
			got[name] = v
		}
	}
	want := item{"mailed_at:disabled:user": number(at(0).UnixMilli()), "mailed_at:backup_code_used:user": number(at(2).UnixMilli())}
	if diff := cmp.Diff(want, got, asStored); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
