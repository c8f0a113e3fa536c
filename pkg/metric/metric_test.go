package metric_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/metric"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

// put returns the lines that points make.
func put(write func(*metric.Writer)) string {
	var out bytes.Buffer
	write(metric.New(&out, api.MetricNamespace, clock))
	return out.String()
}

// TestLine: a line is what CloudWatch's specification wants, with every set of dimensions and every value.
func TestLine(t *testing.T) {
	t.Parallel()
	function := metric.Dimension{Name: api.DimensionFunction, Value: "verify"}
	line := put(func(m *metric.Writer) {
		m.Put(metric.Point{Name: api.MetricReadUnits, Value: 1.5, By: []metric.Dimension{function}}, metric.Done("verify", "invalid_code"),
			metric.Count(api.MetricConflicts), metric.Point{Name: api.MetricOldestReview, Value: 90})
	})
	const want = `{"_aws":{"Timestamp":1772452800000,"CloudWatchMetrics":[` +
		`{"Namespace":"Nightlatch","Dimensions":[["Function"]],"Metrics":[{"Name":"ReadUnits","Unit":"Count"}]},` +
		`{"Namespace":"Nightlatch","Dimensions":[["Function","Outcome"]],"Metrics":[{"Name":"Requests","Unit":"Count"}]},` +
		`{"Namespace":"Nightlatch","Dimensions":[[]],"Metrics":[{"Name":"Conflicts","Unit":"Count"}]},` +
		`{"Namespace":"Nightlatch","Dimensions":[[]],"Metrics":[{"Name":"OldestReview","Unit":"Seconds"}]}]},` +
		`"ReadUnits":1.5,"Function":"verify","Requests":1,"Outcome":"invalid_code","Conflicts":1,"OldestReview":90}` + "\n"
	if diff := cmp.Diff(want, line); diff != "" || !json.Valid([]byte(line)) {
		t.Errorf("line (-want +got):\n%s", diff)
	}
	event := put(func(m *metric.Writer) { m.Put(metric.Event("locked", "success", "")...) })
	if strings.Count(event, `"Events":1`) != 1 || !strings.Contains(event, `"Dimensions":[["Type","Outcome","Method"]]`) ||
		!strings.Contains(event, `"Dimensions":[["Type"]]`) || strings.Count(event, `"Type":"locked"`) != 1 || !strings.Contains(event, `"Method":"none"`) {
		t.Errorf("an event: %s", event)
	}
}

// TestNobodysBusiness: what is no name of ours is never written.
func TestNobodysBusiness(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"alice@example.com", "", `"`, "a b", "JBSWY3DP\n", strings.Repeat("x", 65), "ü"} {
		line := put(func(m *metric.Writer) { m.Put(metric.Done("verify", value)) })
		if !json.Valid([]byte(line)) || !strings.Contains(line, `"Outcome":"other"`) || value != "" && value != `"` && strings.Contains(line, value) {
			t.Errorf("%q: %s", value, line)
		}
	}
}

// TestOff: on a laptop nothing is counted, and everything works.
func TestOff(t *testing.T) {
	t.Parallel()
	var m *metric.Writer
	m.Put(metric.Count(api.MetricConflicts))
	do := metric.Job(m, "sweep", nil, func(_ context.Context, in int) (int, error) { return in + 1, nil })
	if got, err := do(t.Context(), 1); got != 2 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
	if got := put(func(m *metric.Writer) { m.Put() }); got != "" {
		t.Errorf("no points: %s", got)
	}
}

// TestJob: each event is counted by how it ended, with what it has used; what it answers is not touched.
func TestJob(t *testing.T) {
	t.Parallel()
	var reads, writes float64
	var conflicts int64
	used := func() (float64, float64, int64) { return reads, writes, conflicts }
	wrong := errors.New("wrong")
	for _, test := range []struct {
		err   error
		lost  int64
		parts []string
	}{
		{nil, 0, []string{`"ReadUnits":2,`, `"WriteUnits":1,`, `"Outcome":"success"`}},
		{wrong, 3, []string{`"Conflicts":3`, `"Outcome":"failure"`}},
	} {
		line := put(func(m *metric.Writer) {
			do := metric.Job(m, "sweep", used, func(_ context.Context, in int) (int, error) {
				reads, writes, conflicts = reads+2, writes+1, conflicts+test.lost
				return in + 1, test.err
			})
			if got, err := do(t.Context(), 1); got != 2 || !errors.Is(err, test.err) {
				t.Errorf("%d, %v", got, err)
			}
		})
		if strings.Contains(line, `"Name":"ReadUnits"`) || strings.Contains(line, `"Name":"WriteUnits"`) {
			t.Errorf("units that nobody looks at are metrics: %s", line)
		}
		for _, part := range test.parts {
			if !strings.Contains(line, part) {
				t.Errorf("lacks %s: %s", part, line)
			}
		}
		if (test.lost > 0) != strings.Contains(line, "Conflicts") {
			t.Errorf("%d conflicts: %s", test.lost, line)
		}
	}
	line := put(func(m *metric.Writer) {
		m.Put(append(metric.Usage(used).Since("verify")(), metric.Done("verify", "success"))...)
	})
	if !strings.Contains(line, `"Name":"ReadUnits"`) || !strings.Contains(line, `"Name":"WriteUnits"`) || !strings.Contains(line, `"WriteUnits":0,`) {
		t.Errorf("those of a verification: %s", line)
	}
	line = put(func(m *metric.Writer) {
		if err := metric.Task(m, "sweep", nil, func(context.Context, struct{}) error { return wrong })(t.Context(), struct{}{}); !errors.Is(err, wrong) {
			t.Errorf("got %v", err)
		}
	})
	if strings.Contains(line, "Units") || !strings.Contains(line, `"Requests":1`) {
		t.Errorf("a store that does not say: %s", line)
	}
}

// TestLog: a record of the log that is to be counted is, and is in the log as ever.
func TestLog(t *testing.T) {
	t.Parallel()
	var out, logged bytes.Buffer
	log := slog.New(metric.New(&out, api.MetricNamespace, clock).Log(slog.NewJSONHandler(&logged, nil)))
	log.Info("nothing")
	log.With("purpose", "totp").WithGroup("g").Error("keyset not loaded", metric.Counted(api.MetricKeysetFailures))
	if got := strings.Count(out.String(), "\n"); got != 1 || !strings.Contains(out.String(), `"KeysetFailures":1`) {
		t.Errorf("counted %s", &out)
	}
	if got := strings.Count(logged.String(), "\n"); got != 2 || !strings.Contains(logged.String(), `"purpose":"totp"`) {
		t.Errorf("logged %s", &logged)
	}
}

// TestEveryMetricIsWritten: each name in package api is used by some package of the service: an alarm on what nobody writes
// would be silent for ever.
func TestEveryMetricIsWritten(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, dir := range []string{"../environment", "../handler", "../keyring", "../mail", "../notify", ".", "../../functions/mailer", "../../functions/notify"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", dir, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					used[s.Sel.Name] = true
				}
				return true
			})
		}
	}
	file, err := parser.ParseFile(token.NewFileSet(), "../api/metrics.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for name := range file.Scope.Objects {
		if strings.HasPrefix(name, "Metric") || strings.HasPrefix(name, "Dimension") {
			if found++; !used[name] {
				t.Errorf("nobody writes %s", name)
			}
		}
	}
	if found < 15 {
		t.Errorf("there are %d names", found)
	}
}

// BenchmarkRequest is what a sign-in's metrics cost: nanoseconds of its 100 microseconds.
func BenchmarkRequest(b *testing.B) {
	m := metric.New(io.Discard, api.MetricNamespace, time.Now)
	var reads float64
	used := metric.Usage(func() (float64, float64, int64) { reads++; return reads, reads, 0 })
	b.ReportAllocs()
	for b.Loop() {
		since := used.Since("verify")
		m.Put(append(since(), metric.Done("verify", "success"))...)
	}
}
