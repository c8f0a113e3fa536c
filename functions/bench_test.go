package functions_test

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

const (
	// starts is how often each program is started.
	starts = 60
	// maxColdStart is the budget for a cold start, in those of a program that does nothing.
	maxColdStart = 2.5
)

// BenchmarkColdStart starts every function's program again and again, all of them in turn, beside one that does nothing.
// It tells how large its zip is, and medians: how long until it asks for its first event, how many times as long as the empty
// one in the same round that is, and how long until it has answered that event. The last is to be compared with itself only:
// the services that are asked are imitations. What else the machine does is in both, and so is not in the ratio, which has a
// budget. Programs get an environment of their own, so nothing that is set here, such as AWS_CA_BUNDLE, counts.
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

	ready, answered, ratios := map[string][]time.Duration{}, map[string][]time.Duration{}, map[string][]float64{}
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
				if o.err != nil && !strings.Contains(o.err.Error(), `"errorType":"Problem"`) { // a refusal is an answer, too
					b.Fatalf("%s: %v\n%s", name, o.err, l.said)
				}
				l.stop()
				l.api.Close()
				ready[name] = append(ready[name], l.asked.Sub(l.begun))
				answered[name] = append(answered[name], o.at.Sub(l.begun))
				started := ready[empty]
				ratios[name] = append(ratios[name], float64(l.asked.Sub(l.begun))/float64(started[len(started)-1]))
			}
		}
	}
	var table strings.Builder
	columns := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(columns, "zip, bytes\tto first event, ms\tof the empty one\tto first answer, ms\t")
	for _, name := range all {
		size, ratio := len(read(b, filepath.Join(scratch, name+".zip"))), median(ratios[name])
		said := filepath.Base(name)
		if size > maxZip || ratio > maxColdStart {
			said += "  OVER THE BUDGET"
		}
		fmt.Fprintf(columns, "%d\t%.1f\t%.2f\t%.1f\t  %s\n", size, milliseconds(median(ready[name])), ratio, milliseconds(median(answered[name])), said)
	}
	columns.Flush()
	fmt.Printf("cold starts, medians of %d; budgets %d bytes and %g of the empty one:\n%s", len(ready[empty]), maxZip, maxColdStart, &table) // of what a benchmark logs, go test shows ten lines
}

func median[T cmp.Ordered](all []T) T {
	slices.Sort(all)
	return all[len(all)/2]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
