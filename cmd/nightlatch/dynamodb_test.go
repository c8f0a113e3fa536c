package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// dynamoOptions are those of a server on tables of this test's own.
func dynamoOptions(t testing.TB, data string) options {
	t.Helper()
	o, _, err := devOptions(append(dynamoFlags(t), "-addr", "127.0.0.1:0", "-data", data), nil)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestDynamoDB: the local server on DynamoDB is the same to whoever calls: the live item with its versions, the counters,
// the history, and all of it after a restart.
func TestDynamoDB(t *testing.T) {
	t.Parallel()
	data := dataDir(t)
	o := dynamoOptions(t, data)
	l := serveWith(t, o)
	if kept := l.keptIn; !strings.Contains(kept, data) || !strings.Contains(kept, o.prefix) {
		t.Errorf("kept in %q, want directory and tables", kept)
	}
	a, _ := l.login("alice@example.com")
	session := a.str("session")
	secret := l.enroll(session)
	l.eventually("the mail about the set-up", func() bool { return len(l.inbox.list()) == 1 })
	for name, want := range map[string]float64{"reads": 5, "writes": 3} { // the password step tells a new address, and the mail reads
		if got := l.get("/dev/counters", "").Body[name]; got != want {
			t.Errorf("%v %s for a set-up and its confirmation, want %v", got, name, want)
		}
	}
	history := []string{"backup_code_issued", "enabled", "enrollment_started", "login"}
	l.eventually("the history", func() bool { return cmp.Equal(l.history(session), history) })
	version := func() (item, newest float64) {
		var shown struct {
			Item     map[string]any   `json:"item"`
			Versions []map[string]any `json:"versions"`
		}
		if err := json.Unmarshal([]byte(l.get("/dev/account/alice@example.com", "").Text), &shown); err != nil {
			t.Fatal(err)
		}
		if len(shown.Versions) > 0 {
			newest, _ = shown.Versions[0]["version"].(float64)
		}
		item, _ = shown.Item["version"].(float64)
		return item, newest
	}
	if item, newest := version(); item < 2 || newest != item {
		t.Errorf("the item is version %v, the newest of the versions %v", item, newest)
	}

	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	l = serveWith(t, o)
	l.eventually("the versions, again", func() bool { item, newest := version(); return item >= 2 && newest == item })
	if got := l.history(session); !cmp.Equal(got, history) {
		t.Errorf("history after a restart: %v, want %v", got, history)
	}
	challenge, cookie := l.login("alice@example.com")
	l.want(200, l.finish(cookie, l.verify(challenge.str("challenge"), l.code(secret, 1))))

	l.want(204, l.post("/v1/users/alice@example.com/events", l.serviceKey, jsonOf("type", "deleted")))
	l.eventually("only the erasure is left", func() bool { return cmp.Equal(l.history(session), []string{"erased"}) })

	// A second process on the directory, and one with other keys on the tables.
	_, err := start(o, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("a second process on the data directory: %v", err)
	}
	o.data = dataDir(t)
	if _, err := start(o, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), filepath.Join(o.data, "key-encryption-key.json")+" is missing") {
		t.Errorf("a directory without the key of the tables: %v", err)
	}
}

// TestNoDynamoDB: where none answers, that is said, and the directory is free again.
func TestNoDynamoDB(t *testing.T) {
	t.Parallel()
	o := options{addr: "127.0.0.1:0", data: dataDir(t), policy: "standard", endpoint: "http://127.0.0.1:1", prefix: "x-"}
	for range 2 {
		_, err := start(o, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), "-dynamodb-endpoint http://127.0.0.1:1: is there a DynamoDB? `make dynamodb` starts one") {
			t.Errorf("start: %v", err)
		}
	}
}

// TestVersionsKept: of the versions that come, each is kept once, and the last 1,000 of all.
func TestVersionsKept(t *testing.T) {
	t.Parallel()
	var v versions
	for n := range int64(keptVersions + 10) {
		v.note(eventOf(t, "alice", n+1))
		v.note(eventOf(t, "alice", n+1)) // again
	}
	v.note(eventOf(t, "bob", 1))
	got := v.of("alice", 2*keptVersions)
	var newest, oldest struct{ Version int64 }
	if err := json.Unmarshal(got[0], &newest); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(got[len(got)-1], &oldest); err != nil {
		t.Fatal(err)
	}
	if len(got) != keptVersions-1 || newest.Version != keptVersions+10 || oldest.Version != 12 || len(v.of("bob", 5)) != 1 || len(v.of("alice", 3)) != 3 {
		t.Errorf("%d versions of alice, from %d to %d", len(got), oldest.Version, newest.Version)
	}
	if got := v.of(twofactor.UserID("nobody"), 5); got != nil {
		t.Errorf("versions of nobody: %s", got)
	}
}

func eventOf(t *testing.T, user string, version int64) events.DynamoDBEvent {
	t.Helper()
	return events.DynamoDBEvent{Records: []events.DynamoDBEventRecord{{Change: events.DynamoDBStreamRecord{
		NewImage: map[string]events.DynamoDBAttributeValue{
			"user": events.NewStringAttribute(user), "schema": events.NewNumberAttribute("1"),
			"version": events.NewNumberAttribute(fmt.Sprint(version)),
		},
	}}}}
}

// TestEndpointIsAnAddress: what is dialled is an address, whatever was typed for it.
func TestEndpointIsAnAddress(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"http://localhost:8000": "http://127.0.0.1:8000", "http://LOCALHOST:8000": "http://127.0.0.1:8000", "http://[::1]:8000": "http://[::1]:8000",
		"http://127.0.0.1:8000/": "http://127.0.0.1:8000/", "http://localhost": "http://127.0.0.1", "http://u:p@127.0.0.1:8000": "", "http://localhost.example.com:8000": "",
	} {
		if got, err := checkEndpoint(typed); got != want || (err == nil) != (want != "") || err != nil && strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s is dialled as %q, %v; want %q", typed, got, err, want)
		}
	}
}
