// Package metric writes what the functions count, in CloudWatch's embedded metric format: a line of JSON in the log, of which
// CloudWatch makes metrics
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html). No
// call is made, and nothing is lost when a function is frozen.
//
// The names are those of package api, which alarms and the dashboard share. A dimension is a name that this repository knows,
// never a user's or anything that somebody has sent.
package metric

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// Writer writes points. A nil Writer writes none: so it is on a laptop. It is safe for concurrent use.
type Writer struct {
	namespace string
	now       func() time.Time

	mu   sync.Mutex
	out  io.Writer
	line []byte
}

// New returns what writes metrics of a namespace to out, which on Lambda is the standard output.
func New(out io.Writer, namespace string, now func() time.Time) *Writer {
	return &Writer{out: out, namespace: namespace, now: now}
}

// Point is one value of a metric.
type Point struct {
	Name  string
	Value float64
	By    []Dimension // the set of dimensions that it is kept under; none: it is one metric

	logged bool // only in the line, where it can be searched for: each metric is paid for
}

// Dimension is a name and what it is this time.
type Dimension struct{ Name, Value string }

// Count is one of something.
func Count(name string, by ...Dimension) Point { return Point{Name: name, Value: 1, By: by} }

// Put writes points in one line. Where several have a dimension, it is the same for all of them; so is the value of a metric
// that is kept under several sets.
func (m *Writer) Put(points ...Point) {
	if m == nil || len(points) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b := append(m.line[:0], `{"_aws":{"Timestamp":`...)
	b = strconv.AppendInt(b, m.now().UnixMilli(), 10)
	b = append(b, `,"CloudWatchMetrics":[`...)
	told := 0
	for _, p := range points {
		if p.logged {
			continue
		}
		b = comma(b, told)
		told++
		b = append(append(append(b, `{"Namespace":"`...), m.namespace...), `","Dimensions":[[`...)
		for i, d := range p.By {
			b = text(comma(b, i), d.Name)
		}
		b = text(append(b, `]],"Metrics":[{"Name":`...), p.Name)
		b = text(append(b, `,"Unit":`...), unit(p.Name))
		b = append(b, `}]}`...)
	}
	b = append(b, `]}`...)
	for i, p := range points {
		if !before(points[:i], p.Name) {
			b = text(append(b, ','), p.Name)
			b = strconv.AppendFloat(append(b, ':'), p.Value, 'f', -1, 64)
		}
		for j, d := range p.By {
			if !before(points[:i], d.Name) && !has(p.By[:j], d.Name) {
				b = text(append(b, ','), d.Name)
				b = text(append(b, ':'), d.Value)
			}
		}
	}
	m.line = append(b, "}\n"...)
	_, _ = m.out.Write(m.line) // a log that takes nothing has nowhere to be told
}

// before says whether the points have a metric or a dimension of that name.
func before(points []Point, name string) bool {
	for _, p := range points {
		if p.Name == name || has(p.By, name) {
			return true
		}
	}
	return false
}

func has(by []Dimension, name string) bool {
	for _, d := range by {
		if d.Name == name {
			return true
		}
	}
	return false
}

func comma(b []byte, i int) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	return b
}

// text appends a name. One that cannot be ours is not told: it may be somebody's.
func text(b []byte, name string) []byte {
	if !known(name) {
		name = "other"
	}
	b = append(b, '"')
	b = append(b, name...)
	return append(b, '"')
}

func known(name string) bool {
	for _, c := range []byte(name) {
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return name != "" && len(name) <= 64
}

func unit(name string) string {
	if name == api.MetricOldestReview {
		return "Seconds"
	}
	return "Count"
}

// attribute is the key of a log record's attribute that names the metric which it counts for.
const attribute = "metric"

// Counted is an attribute of a log record that counts: whoever has nothing but a log can have something counted.
func Counted(name string) slog.Attr { return slog.String(attribute, name) }

// Failed returns what logs a failure to slog's default logger, and has it counted.
func Failed(what, name string) func(context.Context, error) {
	return func(ctx context.Context, err error) {
		slog.ErrorContext(ctx, what, "cause", err, Counted(name))
	}
}

// Log returns a handler that counts the records which are Counted, and hands all on.
func (m *Writer) Log(next slog.Handler) slog.Handler { return counting{next, m} }

type counting struct {
	slog.Handler
	to *Writer
}

func (c counting) Handle(ctx context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == attribute {
			c.to.Put(Count(a.Value.String()))
		}
		return true
	})
	return c.Handler.Handle(ctx, r)
}

func (c counting) WithAttrs(attrs []slog.Attr) slog.Handler {
	return counting{c.Handler.WithAttrs(attrs), c.to}
}

func (c counting) WithGroup(name string) slog.Handler {
	return counting{c.Handler.WithGroup(name), c.to}
}

// Usage is what a store has been asked for since a function began.
type Usage func() (readUnits, writeUnits float64, conflicts int64)

// verified is the function whose units are a metric, since somebody looks at them. Those of the others are in its line only.
const verified = "verify"

// Since returns the points of what was used since it was called. A function has one event at a time.
func (u Usage) Since(function string) func() []Point {
	if u == nil {
		return func() []Point { return nil }
	}
	reads, writes, conflicts := u()
	return func() (points []Point) {
		r, w, c := u()
		by := []Dimension{{api.DimensionFunction, function}}
		logged := function != verified
		points = append(points, Point{api.MetricReadUnits, r - reads, by, logged}, Point{api.MetricWriteUnits, w - writes, by, logged})
		if c > conflicts {
			points = append(points, Point{Name: api.MetricConflicts, Value: float64(c - conflicts)})
		}
		return points
	}
}

// Done is an event of a function's, and how it ended: success, a problem's code, or failure.
func Done(function, outcome string) Point {
	return Count(api.MetricRequests, Dimension{api.DimensionFunction, function}, Dimension{api.DimensionOutcome, outcome})
}

// Event is something that has happened to an account, and how it came out by which method; none is empty.
func Event(kind, outcome, method string) []Point {
	if method == "" {
		method = "none"
	}
	of := Dimension{api.DimensionType, kind}
	return []Point{
		Count(api.MetricEvents, of, Dimension{api.DimensionOutcome, outcome}, Dimension{api.DimensionMethod, method}), Count(api.MetricEvents, of),
	}
}

// Job returns a function that has each event counted, for those that nobody calls by HTTP.
func Job[In, Out any](m *Writer, function string, used Usage, do func(context.Context, In) (Out, error)) func(context.Context, In) (Out, error) {
	if m == nil {
		return do
	}
	return func(ctx context.Context, in In) (Out, error) {
		since := used.Since(function)
		out, err := do(ctx, in)
		outcome := "success"
		if err != nil {
			outcome = "failure"
		}
		m.Put(append(since(), Done(function, outcome))...)
		return out, err
	}
}

// Task is Job for what has no answer.
func Task[In any](m *Writer, function string, used Usage, do func(context.Context, In) error) func(context.Context, In) error {
	job := Job(m, function, used, func(ctx context.Context, in In) (struct{}, error) { return struct{}{}, do(ctx, in) })
	return func(ctx context.Context, in In) error { _, err := job(ctx, in); return err }
}
