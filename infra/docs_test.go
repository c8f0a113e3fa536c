package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestOperations: docs/operations.md, which every alarm names, says of each what to do, and of no other.
func TestOperations(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\|").FindAllStringSubmatch(string(text), -1) {
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			explained[name[1]] = false
		}
	}
	for id, alarm := range deployed(t, least).of("AWS::CloudWatch::Alarm") {
		name := strings.TrimPrefix(alarm.Properties["AlarmName"].(string), "nightlatch-")
		for _, kind := range []string{"table-", ""} {
			for _, end := range []string{"-throttled", "-throttles", "-errors"} {
				if _, known := explained[name]; !known && strings.HasPrefix(name, kind) && strings.HasSuffix(name, end) {
					name = kind + "…" + end
				}
			}
		}
		if _, known := explained[name]; !known {
			t.Errorf("%s: nobody says what to do about %s", id, name)
		}
		explained[name] = true
	}
	for name, used := range explained {
		if !used {
			t.Errorf("there is no alarm %s", name)
		}
	}
}
