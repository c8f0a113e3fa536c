package main

import (
	"fmt"
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

// TestMonth: docs/operations.md counts the metrics that alarms look at, each of which is paid for, and two more for the band of
// an anomaly.
func TestMonth(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	ts, metrics := deployed(t, least), 0
	for _, alarm := range ts.of("AWS::CloudWatch::Alarm") {
		if alarm.Properties["MetricName"] != nil {
			metrics++
		}
		for _, m := range asList(alarm.Properties["Metrics"]) {
			if at(m, "MetricStat") != nil {
				metrics++
			}
		}
		if alarm.Properties["ThresholdMetricId"] != nil {
			metrics += 2
		}
	}
	if want := fmt.Sprintf("| metrics that alarms look at | %d |", metrics); !strings.Contains(string(text), want) {
		t.Errorf("docs/operations.md lacks %q", want)
	}
	for kind, row := range map[string]string{"AWS::CloudWatch::Dashboard": "dashboards", "AWS::KMS::Key": "KMS keys"} {
		if want := fmt.Sprintf("| %s | %d |", row, len(ts.of(kind))); !strings.Contains(string(text), want) {
			t.Errorf("docs/operations.md lacks %q", want)
		}
	}
}
