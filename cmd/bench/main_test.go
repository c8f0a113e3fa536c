package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestMeasure: what is measured gets the answers that it is for, from the program as it is built.
func TestMeasure(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "nightlatch")
	if said, err := exec.Command("go", "build", "-o", program, "../nightlatch").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	var out strings.Builder
	if err := measure(&out, options{program: program, accounts: []int{40}, clients: []int{1, 8}, each: time.Millisecond}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, row := range []string{
		`\| 1 \|( \d+ ± \d+( \| [\d.]+){2} \|){2} [\d.]+ \|\n`, `\| 8 \|( \d+ ± \d+( \| [\d.]+){2} \|){2} [\d.]+ \|\n`, // codes
		`\| 8 \|( [\d.]+ \|){7}\n`,                     // sign-ins
		`\| 8 \| \d+ \| \d+ ± \d+( \| [\d.]+){2} \|\n`, // ceiling
	} {
		if !regexp.MustCompile(row).MatchString(out.String()) {
			t.Errorf("no row %s in\n%s", row, out.String())
		}
	}
}
