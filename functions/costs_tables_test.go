package functions_test

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/dynamostore/itemsize"
)

// lineTable has a line for each unit: how much, and for how much, the dearest first.
func lineTable(u usage) string {
	var of []unit
	for _, p := range prices {
		if u[p.unit] != 0 {
			of = append(of, p.unit)
		}
	}
	slices.SortStableFunc(of, func(a, b unit) int { return cmp.Compare(u.cost(b), u.cost(a)) })
	var b strings.Builder
	fmt.Fprintf(&b, "| unit | in a million | USD |\n|---|---:|---:|\n")
	for _, of := range of {
		fmt.Fprintf(&b, "| %s | %s | %.2f |\n", of, amount(u[of]*1e6), u.cost(of)*1e6)
	}
	fmt.Fprintf(&b, "| **in all** | | **%.2f** |\n", u.total()*1e6)
	return b.String()
}

func amount(n float64) string {
	if n >= 1e5 {
		return strconv.FormatFloat(math.Round(n/1e4)/100, 'f', -1, 64) + " million"
	}
	return strconv.FormatFloat(math.Round(n*10)/10, 'f', -1, 64)
}

// journeyTable has a row for each journey, with what each takes, and what a million of them cost.
func journeyTable(took map[string]usage) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| what | HTTP | Lambda | ms | RRU | WRU | history, bytes | bus | SQS | mails | KMS | log, bytes | USD a million |\n"+
		"|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	row := func(name string) {
		u := took[name]
		fmt.Fprintf(&b, "| %s | %g | %g | %.0f | %g | %g | %.0f | %g | %g | %g | %g | %.0f | %.2f |\n", name, u[unitRequest], u[unitInvocation], u[unitGBSecond]*2000,
			u[unitRead], u[unitWrite], u[unitStorage]/months*gigabyte, u[unitEvent], u[unitQueue], u[unitMail], u[unitKMS], u[unitLog]*gigabyte, u.total()*1e6)
	}
	for _, j := range journeys {
		row(j.name)
	}
	row(coldStart)
	return b.String()
}

// monthTable has what is paid for each month, whether anybody signs in or not. How many metrics the alarms look at, only the
// stacks know: infra's TestMonth holds that number to them.
func (s *till) monthTable(told string) string {
	s.w.tb.Helper()
	metrics := map[string]bool{}
	for _, f := range s.w.functions {
		for _, l := range f.lines(s.w) {
			for _, d := range l.AWS.CloudWatchMetrics {
				for _, set := range d.Dimensions {
					id := d.Metrics[0].Name
					for _, dimension := range set {
						id += fmt.Sprint(" ", l.values[dimension])
					}
					metrics[id] = true
				}
			}
		}
	}
	alarms := regexp.MustCompile(`\| metrics that alarms look at \| (\d+) \|`).FindStringSubmatch(told)
	if alarms == nil {
		s.w.tb.Fatal("docs/operations.md does not say how many metrics alarms look at")
	}
	watched, err := strconv.Atoi(alarms[1])
	if err != nil {
		s.w.tb.Fatal(err)
	}
	account, err := dynamodb.NewFromConfig(s.w.dynamoDB).GetItem(s.w.tb.Context(), &dynamodb.GetItemInput{
		TableName: &s.w.tables.Accounts, Key: map[string]types.AttributeValue{"user": &types.AttributeValueMemberS{Value: string(s.user)}},
	})
	if err != nil {
		s.w.tb.Fatal(err)
	}
	accounts := float64(100+itemsize.Of(account.Item)) * 1e6 / gigabyte
	var b strings.Builder
	fmt.Fprintf(&b, "| what | how many | USD a month |\n|---|---:|---:|\n")
	for _, row := range []struct {
		what string
		of   unit
		n    float64
	}{
		{"metrics of routes, by API Gateway", unitMetric, float64(len(api.Routes()) * routeMetrics)},
		{"metrics that the functions write", unitMetric, float64(len(metrics))},
		{"metrics that alarms look at", unitAlarm, float64(watched)},
		{"dashboards", unitDashboard, 1},
		{"KMS keys", unitKey, 1},
		{"secrets, for recovery by review", unitSecret, 2},
		{"a million accounts, GB", unitStorage, accounts},
		{"their point-in-time recovery, GB", unitRecovery, accounts},
	} {
		fmt.Fprintf(&b, "| %s | %s | %.2f |\n", row.what, strconv.FormatFloat(math.Round(row.n*100)/100, 'f', -1, 64), usage{row.of: row.n}.cost(row.of))
	}
	return b.String()
}

func priceTable() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| unit | USD | for | read at | of |\n|---|---:|---:|---|---|\n")
	for _, p := range prices {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", p.unit, strconv.FormatFloat(p.usd, 'f', -1, 64), strings.TrimPrefix(amount(p.per), "1 "), p.source, p.date)
	}
	return b.String()
}

var numeral = regexp.MustCompile(`\d+(\.\d+)?`)

// alike says whether two tables have the same text, and numbers that differ by a twentieth at most, or in the last decimal place:
// a QR code, and with it an answer, is a little longer or shorter each time.
func alike(a, b string) bool {
	if numeral.ReplaceAllString(a, "0") != numeral.ReplaceAllString(b, "0") {
		return false
	}
	of := numeral.FindAllString(b, -1)
	for i, text := range numeral.FindAllString(a, -1) {
		x, _ := strconv.ParseFloat(text, 64)
		y, _ := strconv.ParseFloat(of[i], 64)
		rounded := 0.0
		if _, places, ok := strings.Cut(text, "."); ok {
			rounded = 1.01 * math.Pow10(-len(places))
		}
		if math.Abs(x-y) > max(x, y)/20+rounded {
			return false
		}
	}
	return true
}

// TestAlike: another number, another word and another row are seen; a slightly longer answer is not.
func TestAlike(t *testing.T) {
	t.Parallel()
	for other, want := range map[string]bool{
		"| a | 3 | 1000 |\n": true, "| a | 3 | 1020 |\n": true, "| a | 4 | 1000 |\n": false, "| a | 3 | 1100 |\n": false, "| b | 3 | 1000 |\n": false,
		"| a | 3 | 1000 |\n| a | 3 | 1000 |\n": false, "": false,
	} {
		if got := alike("| a | 3 | 1000 |\n", other); got != want {
			t.Errorf("%q: %v", other, got)
		}
	}
	if !alike("| 1.6 |", "| 1.7 |") || alike("| 1.6 |", "| 1.8 |") { // 1.649 and 1.651
		t.Error("the last decimal place")
	}
}
