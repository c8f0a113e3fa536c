package functions_test

import (
	"encoding/json"
	"strings"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// line is what a function counts at once.
type line struct {
	AWS struct {
		Timestamp         int64
		CloudWatchMetrics []struct {
			Namespace  string
			Dimensions [][]string
			Metrics    []struct{ Name, Unit string }
		}
	} `json:"_aws"`
	values map[string]any
}

// lines are what a function has counted so far.
func (f *function) lines(w *world) (all []line) {
	w.tb.Helper()
	for text := range strings.Lines(f.counted.String()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil || json.Unmarshal([]byte(text), &l.values) != nil || len(l.AWS.CloudWatchMetrics) == 0 {
			w.tb.Fatalf("%s counts what is no metric: %v, %s", f.name, err, text)
		}
		for _, d := range l.AWS.CloudWatchMetrics {
			for _, m := range d.Metrics {
				if _, ok := l.values[m.Name].(float64); !ok || d.Namespace != api.MetricNamespace || m.Unit == "" {
					w.tb.Errorf("%s has no value for %s: %s", f.name, m.Name, text)
				}
			}
			for _, set := range d.Dimensions {
				for _, name := range set {
					if value, _ := l.values[name].(string); value == "" || value == "other" {
						w.tb.Errorf("%s has %q for %s: %s", f.name, value, name, text)
					}
				}
			}
		}
		all = append(all, l)
	}
	return all
}

// counted holds what the functions have counted to what they did.
func (w *world) counted() {
	w.tb.Helper()
	sums := map[string]float64{}
	for name, f := range w.functions {
		requests := 0.0
		for _, l := range f.lines(w) {
			for metric, value := range l.values {
				number, ok := value.(float64)
				if !ok {
					continue
				}
				if kind, ok := l.values[api.DimensionType].(string); ok {
					metric += " " + kind
				}
				sums[metric] += number
				if metric == api.MetricRequests {
					requests++
					if l.values[api.DimensionFunction] != name {
						w.tb.Errorf("%s counts a request of %v", name, l.values[api.DimensionFunction])
					}
				}
			}
		}
		if asked := len(f.dynamoDB.permissions()) > 0; asked != (requests > 0) {
			w.tb.Errorf("%s has counted %v requests, and was at work: %v", name, requests, asked)
		}
		if strings.Contains(f.counted.String(), "alice") || strings.Contains(f.counted.String(), "example") {
			w.tb.Errorf("%s counts by user:\n%s", name, f.counted)
		}
	}
	for _, name := range []string{
		api.MetricRequests, api.MetricReadUnits, api.MetricWriteUnits, api.MetricOperatorActions, api.MetricEvents + " enabled", api.MetricEvents + " login",
		api.MetricEvents + " erased",
	} {
		if sums[name] == 0 {
			w.tb.Errorf("nobody has counted %s: %v", name, sums)
		}
	}
}
