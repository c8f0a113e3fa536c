package functions_test

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// starts is how often each program is started.
const starts = 60

// BenchmarkColdStart starts every function's program again and again, all of them in turn, beside one that does nothing.
// It tells the medians: how long until it asks for its first event, how many times as long as the empty one that is, and
// how long until it has answered that event. The last is to be compared with itself only: the services that are asked
// are imitations. Programs get an environment of their own, so nothing that is set here, such as AWS_CA_BUNDLE, counts.
func BenchmarkColdStart(b *testing.B) {
	const empty = "testdata/empty"
	w := newWorld(b, "standard")
	all := append([]string{empty}, names(b)...)
	program(b, all[1]) // and with it the others
	if err := makeZips("..", scratch, filepath.Join(scratch, empty+".zip")); err != nil {
		b.Fatal(err)
	}
	environment := maps.Clone(w.settings)
	maps.Copy(environment, endpoints(*w.dynamoDB.BaseEndpoint, *w.moto.BaseEndpoint, *w.moto.BaseEndpoint, w.lambda))

	ready, answered := map[string][]time.Duration{}, map[string][]time.Duration{}
	for b.Loop() {
		for range starts {
			for _, name := range all {
				event := sample(b, "jwks")
				if name != empty {
					event = sample(b, name)
				}
				l := startLambda(b, name, filepath.Join(scratch, name, "bootstrap"), environment)
				<-l.ready
				o := l.invoke(event, timeout)
				if o.err != nil {
					b.Fatalf("%s: %v\n%s", name, o.err, &l.said)
				}
				l.stop()
				l.api.Close()
				ready[name] = append(ready[name], l.asked.Sub(l.begun))
				answered[name] = append(answered[name], o.at.Sub(l.begun))
			}
		}
	}
	for _, name := range all {
		b.Run(filepath.Base(name), func(b *testing.B) {
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(milliseconds(median(ready[name])), "ms-to-first-event")
			b.ReportMetric(float64(median(ready[name]))/float64(median(ready[empty])), "x-empty")
			b.ReportMetric(milliseconds(median(answered[name])), "ms-to-first-answer")
		})
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
