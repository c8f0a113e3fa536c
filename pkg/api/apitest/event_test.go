package apitest

import (
	"strings"
	"testing"
)

// TestCheckEvent: what a schema does not say is found, and each type is held to its own.
func TestCheckEvent(t *testing.T) {
	t.Parallel()
	const good = `{"version":1,"id":"v000000000007-00","user":"alice","at":"2026-01-05T09:01:35.73Z","type":"locked","outcome":"success",` +
		`"method":"totp","actor":"user","ip":"203.0.113.7","operation":"check"}`
	for change, want := range map[string]bool{
		"": true, `,"ip":"203.0.113.7"->`: true, `,"operation":"check"->`: true, `totp->none`: true, `:1,->:1, `: true,
		`"version":1,->`: false, `:1,->:2,`: false, `"user":"alice",->`: false, `alice->`: false, `locked->unknown`: false, `"type":"locked",->`: false,
		`success->failure`: false, `success->maybe`: false, `"method":"totp",->`: false, `totp->sms`: false, `:"user"->:"nobody"`: false,
		`2026-01-05T09:01:35.73Z->yesterday`: false, `203.0.113.7->`: false, `check->Check it`: false,
		`"operation"->"reason"`: false, `"operation"->"user_agent"`: false, `locked->login`: false, `{->`: false,
	} {
		before, after, _ := strings.Cut(change, "->")
		event := strings.Replace(good, before, after, 1)
		if err := checkEvent([]byte(event)); (err == nil) != want {
			t.Errorf("%q: %v, want it to pass: %v\n%s", change, err, want, event)
		}
	}
}
