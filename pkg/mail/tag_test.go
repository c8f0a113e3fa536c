package mail

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestTags(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"v000000000012-00": "v000000000012-00", "AWJ3kq0_Zl8-": "AWJ3kq0_Zl8-", "user": "user", "": "b64_", "a.b": "b64_YS5i",
		"b64_YS5i": "b64_YjY0X1lTNWk", "é": "b64_w6k", "b64": "b64", "\r\n": "b64_DQo",
	} {
		if got := EncodeTag(id); got != want {
			t.Errorf("EncodeTag(%q) is %q, want %q", id, got, want)
		}
	}
	for _, value := range []string{"b64_!", "b64_YS5i=", "b64_YR"} {
		if id, err := DecodeTag(value); err == nil {
			t.Errorf("DecodeTag(%q) is %q", value, id)
		}
	}
}

// TestAnyTag: what SES gets it takes, if it is not too long, and it leads back to the id.
func TestAnyTag(t *testing.T) {
	t.Parallel()
	ids := rapid.OneOf(rapid.String(), rapid.StringMatching(`(b64_)?[A-Za-z0-9_=-]*`), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
	rapid.Check(t, func(t *rapid.T) {
		id := ids.Draw(t, "id")
		value := EncodeTag(id)
		if strings.Trim(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != "" || value == "" {
			t.Errorf("EncodeTag(%q) is %q", id, value)
		}
		if got, err := DecodeTag(value); got != id || err != nil {
			t.Errorf("DecodeTag(%q) is %q, %v; want %q", value, got, err, id)
		}
	})
}
