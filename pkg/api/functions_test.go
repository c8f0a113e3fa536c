package api_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// TestFunctions: functions and routes are one table. Whoever is called by HTTP has routes, in the order of the functions, and
// nobody else has any.
func TestFunctions(t *testing.T) {
	t.Parallel()
	var routes []api.Route
	known := map[string]bool{}
	for _, f := range api.Functions() {
		if known[f.Name] {
			t.Errorf("%s is there twice", f.Name)
		}
		known[f.Name] = true
		if got := f.Trigger == api.TriggerHTTP; got != (len(f.Routes()) > 0) {
			t.Errorf("%s is called by HTTP: %v, and has %d routes", f.Name, got, len(f.Routes()))
		}
		routes = append(routes, f.Routes()...)
	}
	if diff := cmp.Diff(api.Routes(), routes); diff != "" {
		t.Errorf("routes (-all +of the functions):\n%s", diff)
	}
}

// TestRuns: what Lambda, API Gateway and the programs themselves can do with it.
func TestRuns(t *testing.T) {
	t.Parallel()
	for _, f := range api.Functions() {
		if f.Memory < 128 || f.Memory > 10240 {
			t.Errorf("%s has %d MB; Lambda gives 128 to 10240", f.Name, f.Memory)
		}
		if f.Timeout < time.Second || f.Timeout > 15*time.Minute || f.Timeout%time.Second != 0 {
			t.Errorf("%s has %v for an event; Lambda gives whole seconds up to 15 minutes", f.Name, f.Timeout)
		}
		if f.Trigger == api.TriggerHTTP && f.Timeout > 29*time.Second {
			t.Errorf("%s may take %v; an HTTP API waits 30 s", f.Name, f.Timeout)
		}
		scheduled := slices.Contains([]api.Trigger{api.TriggerSchedule, api.TriggerDeployment}, f.Trigger)
		if scheduled != (f.Every > 0) || f.Every%time.Minute != 0 || scheduled && f.Timeout >= f.Every {
			t.Errorf("%s, by %s, runs every %v and may take %v", f.Name, f.Trigger, f.Every, f.Timeout)
		}
	}
}

func TestFunctionsBelongToTheCaller(t *testing.T) {
	t.Parallel()
	api.Functions()[0].Name = "changed"
	if got := api.Functions()[0].Name; got != "enroll" {
		t.Errorf("a caller's change reached the table: %s", got)
	}
}
