package boltstore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"github.com/nightlatch/nightlatch/pkg/totp"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// What is stored is read by later releases: a spent code that a release no longer finds would be good again. So an
// account in which everything is set is kept as it is stored, here and in ../dynamostore/testdata. A test that fails on
// it has found one of these:
//
//   - A field was added. Add it to the account below, to testdata/account.json, and to ../dynamostore/testdata/account.json
//     (an event's to event.json as well). Never change or remove a line of these files.
//   - A field was renamed, removed, or is stored in another way. Accounts that are stored would lose it: undo that, or read
//     the former form as well.

// full is an account in which everything is set, each number and text unlike all others, so that none passes for another.
func full() *twofactor.Account {
	return &twofactor.Account{
		User: "alice", Schema: 1, Version: 2, Writes: []twofactor.WriteID{"AAAAAAAAAAAB", "AAAAAAAAAAAC"},
		Incarnation: 3, Epoch: 4, Generation: 20,
		Authenticator: &twofactor.Authenticator{
			Secret: twofactor.Sealed{Generation: 5, Box: []byte("secret")}, Params: totp.Params{Algorithm: "SHA1", Digits: 6, Period: 30},
			ActivatedAt: ms(1), LastStep: 59079120, Burned: []totp.Step{59079121, 59079122}, Replays: 7,
			LastFrom: []byte("home"),
		},
		Pending: &twofactor.Enrolment{
			ID: digest("pending"),
			Authenticator: twofactor.Authenticator{
				Secret: twofactor.Sealed{Generation: 8, Box: []byte("pending")}, Params: totp.Params{Algorithm: "SHA256", Digits: 8, Period: 60},
				ActivatedAt: ms(2), LastStep: 29539561, Burned: []totp.Step{29539562}, Replays: 9,
				LastFrom: []byte("away"),
			},
			BackupCode: &twofactor.BackupCode{
				Digest: [16]byte([]byte("pending's backup")), KeyID: 4000000010, Generation: 11, Length: 12, IssuedAt: ms(3),
			},
			Grant: digest("begun with"), Reset: digest("completes"), BegunAt: ms(4), Failures: 13,
		},
		BackupCode: &twofactor.BackupCode{
			Digest: [16]byte([]byte("the backup code ")), KeyID: 4000000014, Generation: 15, Length: 16, IssuedAt: ms(5),
		},
		Grant: &twofactor.OpenGrant{ID: digest("grant"), Scope: "any", ExpiresAt: ms(6)},
		Codes: twofactor.CodeThrottle{
			Failures: 17, LockedUntil: ms(7), SuspendedAt: ms(8),
			Days: []twofactor.DayCount{{Day: 20513, Failures: 18}, {Day: 20514, Failures: 19}},
		},
		Backups:        twofactor.BackupThrottle{Failures: 21, LockedUntil: ms(9)},
		Contact:        &twofactor.Sealed{Generation: 22, Box: []byte("contact")},
		Previous:       &twofactor.Previous{Contact: twofactor.Sealed{Generation: 23, Box: []byte("previous")}, Until: ms(10)},
		AddressChanged: ms(11), FreshSince: ms(12),
		Challenges: []twofactor.Spent{{Challenge: digest("spent"), Until: ms(13)}, {Challenge: digest("spent as well"), Until: ms(14)}},
		SignIn: &twofactor.Success{
			Request: digest("sign-in"), Challenge: digest("signed in"), At: ms(15), Method: "totp", Enrolled: true, Reset: true, State: "enabled",
		},
		Answered: &twofactor.Answered{Request: digest("answered"), Key: digest("key"), At: ms(16)},
		Reset: &twofactor.Reset{
			ID: "reset", Reference: "AB-12", LinkKey: 4000000029, State: "in_review", RequestedAt: ms(17), IP: "198.51.100.8", UserAgent: "Chrome",
			EnteredAt: ms(18), EffectiveAt: ms(19), ExpiresAt: ms(20), MailedAt: ms(24), RemindedAt: ms(25), CaseVersion: 24, Round: 25,
			Reviewed: true, TriesLeft: 26, ReasonCode: "lost", Bounced: true, Inquiry: "inquiry", Attempt: 30, Submitted: true,
			Approvals: []twofactor.Approval{{By: "carol", At: ms(21)}, {By: "dave", At: ms(22)}},
			Subject:   &twofactor.Sealed{Generation: 27, Box: []byte("subject")},
			Identity:  &twofactor.Sealed{Generation: 28, Box: []byte("identity")},
		},
		ResetReviews: []int64{1772366429, 1772366430}, ResetMails: []int64{1772366431, 1772366432},
		Events: []twofactor.Event{event(0), event(1)}, Past: &twofactor.Recorded{Version: 1, At: ms(26), Events: 31}, ReuseQuiet: 492325,
		Ended: ms(27),
	}
}

// event is the nth of the account's version, all of its fields set.
func event(n int) twofactor.Event {
	return twofactor.Event{
		ID: fmt.Sprintf("v%012d-%02d", 2, n), At: ms(23), Type: twofactor.EventType([]string{"backup_code_used", "login"}[n]), Outcome: "success",
		Method: "backup_code", Actor: "user", IP: "203.0.113.7", UserAgent: "Firefox", Operation: "verify", Reason: "phone lost", By: "erin", Note: "called back",
	}
}

// ms is n milliseconds, the precision of every engine, after a fixed time.
func ms(n int) time.Time {
	return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Millisecond)
}

// digest is one that can be read, in base64.
func digest(s string) (d twofactor.Digest) { copy(d[:], s); return d }

// before is what stands before the account: version, schema, and since when it waits for review.
const before = "\x00\x00\x00\x00\x00\x00\x00\x02" + "\x00\x00\x00\x01" + "\x28" + "\x09in_review" + "2026-03-01T12:00:00.018000000Z"

// TestFormat: an account in which everything is set is stored as it was before, and read.
func TestFormat(t *testing.T) {
	t.Parallel()
	want := full()
	if path := unset(reflect.ValueOf(want), "Account"); path != "" {
		t.Errorf("%s is set nowhere: what to do is said at the top of this file", path)
	}
	image := fixture(t, "account.json")
	got, err := decode("alice", append([]byte(before), image...))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("what was stored is read as %v (-want +got), what to do is said at the top of this file:\n%s", err, diff)
	}

	s := open(t, storeIn(t))
	for _, a := range []*twofactor.Account{{User: "alice", Schema: 1, Version: 1}, want} {
		if err := s.Replace(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := s.stored(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	now, ok := bytes.CutPrefix(stored, []byte(before))
	if !ok {
		t.Fatalf("stored with %q before it, want %q", stored[:min(len(stored), len(before))], before)
	}
	if diff := cmp.Diff(members(t, image), members(t, now)); diff != "" {
		t.Errorf("stored in another way (-want +got), what to do is said at the top of this file:\n%s", diff)
	}
}

// TestHistoryFormat: so is a row of the history.
func TestHistoryFormat(t *testing.T) {
	t.Parallel()
	s := open(t, storeIn(t))
	key := append([]byte("\x05alice2026-03-01T12:00:00.023000000Z"), event(0).ID...)
	image := fixture(t, "event.json")
	if err := s.Append(t.Context(), "alice", []twofactor.Event{event(0)}); err != nil {
		t.Fatal(err)
	}
	var now []byte
	if err := s.view(t.Context(), func(tx *bolt.Tx) error { now = bytes.Clone(tx.Bucket(bucketHistory).Get(key)); return nil }); err != nil || now == nil {
		t.Fatalf("nothing is stored at %q: %v", key, err)
	}
	if diff := cmp.Diff(members(t, image), members(t, now)); diff != "" {
		t.Errorf("stored in another way (-want +got), what to do is said at the top of this file:\n%s", diff)
	}
	err := s.commit(t.Context(), func(tx *bolt.Tx) (bool, error) { return true, tx.Bucket(bucketHistory).Put(key, image) })
	if err != nil {
		t.Fatal(err)
	}
	page, err := s.History(t.Context(), "alice", twofactor.Page{Limit: 2})
	if diff := cmp.Diff([]twofactor.Event{event(0)}, page.Events); diff != "" || err != nil {
		t.Errorf("what was stored is read as %v (-want +got), what to do is said at the top of this file:\n%s", err, diff)
	}
}

func fixture(t *testing.T, name string) []byte {
	t.Helper()
	image, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// members are the members of a JSON object; numbers are texts, since no float64 holds all of them.
func members(t *testing.T, image []byte) (m map[string]any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(image))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

// unset returns the path of a field that is zero, or "".
func unset(v reflect.Value, path string) string {
	if v.IsZero() {
		return path
	}
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
	case v.Kind() == reflect.Pointer:
		return unset(v.Elem(), path)
	case v.Kind() == reflect.Slice:
		if v.Len() == 0 {
			return path
		}
		for i := range v.Len() {
			if p := unset(v.Index(i), fmt.Sprintf("%s[%d]", path, i)); p != "" {
				return p
			}
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if p := unset(v.Field(i), path+"."+v.Type().Field(i).Name); p != "" {
				return p
			}
		}
	}
	return ""
}
