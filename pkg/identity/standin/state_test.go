package standin_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nightlatch/nightlatch/pkg/identity"
	"github.com/nightlatch/nightlatch/pkg/identity/standin"
)

// A disk keeps what was last saved, unless it is full.
type disk struct {
	content []byte
	full    bool
}

var errFull = errors.New("no space left")

func (d *disk) load() ([]byte, error) { return d.content, nil }

func (d *disk) save(content []byte) error {
	if d.full {
		return errFull
	}
	d.content = content
	return nil
}

func on(d *disk) func(*standin.Config) {
	return func(c *standin.Config) { c.Load, c.Save = d.load, d.save }
}

// A stand-in that is started again knows what it knew: inquiries, people, links and answers.
func TestRestart(t *testing.T) {
	t.Parallel()
	d := &disk{}
	before := newWorld(t, on(d))
	open := before.create(t)
	passed := newInquiry(t, before, back)
	if status := before.result(t, passed, "pass"); status != 200 {
		t.Fatalf("pass: %d", status)
	}
	link, err := before.client.OneTimeLink(t.Context(), open)
	if err != nil {
		t.Fatal(err)
	}
	want, err := before.client.Fetch(t.Context(), passed)
	if err != nil {
		t.Fatal(err)
	}
	before.Close()

	after := newWorld(t, on(d))
	if got, err := after.client.Fetch(t.Context(), passed); err != nil || !cmp.Equal(got, want) || got.Person != aliceRead {
		t.Errorf("got %v (-want +got):\n%s", err, cmp.Diff(want, got))
	}
	if id := after.create(t); id != open {
		t.Errorf("the same key made another inquiry: %s, want %s", id, open)
	}
	if status, _, _ := send(t, http.MethodPost, after.url+link[len(before.url):], form, "result=pass"); status != 200 {
		t.Errorf("the link of before: %d", status)
	}
	if got, err := after.client.Fetch(t.Context(), open); err != nil || got.Status != identity.StatusApproved {
		t.Errorf("got %+v, %v", got, err)
	}
}

// What cannot be saved does not happen.
func TestNothingHappensUnsaved(t *testing.T) {
	t.Parallel()
	d := &disk{}
	w := newWorld(t, on(d))
	id := w.create(t)
	link, err := w.client.OneTimeLink(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	saved := string(d.content)
	d.full = true
	if _, err := w.client.Create(t.Context(), reference, 2); !errors.Is(err, identity.ErrUnavailable) {
		t.Errorf("Create: %v", err)
	}
	if _, err := w.client.OneTimeLink(t.Context(), id); !errors.Is(err, identity.ErrUnavailable) {
		t.Errorf("OneTimeLink: %v", err)
	}
	if status := w.result(t, id, "pass"); status != 500 {
		t.Errorf("in JSON: %d", status)
	}
	if status, _, _ := send(t, http.MethodPost, link, form, "result=pass"); status != 500 {
		t.Errorf("by the button: %d", status)
	}
	d.full = false
	if got, err := w.client.Fetch(t.Context(), id); err != nil || got.Status != identity.StatusCreated {
		t.Errorf("got %+v, %v", got, err)
	}
	if diff := cmp.Diff(indented(t, []byte(saved)), indented(t, d.content)); diff != "" {
		t.Errorf("saved (-before +after):\n%s", diff)
	}
	if status, _, _ := send(t, http.MethodPost, link, form, "result=pass"); status != 200 {
		t.Errorf("the same link, when there is space: %d", status)
	}
	w.Close()
	if len(w.webhooks) > 1 {
		t.Errorf("%d webhooks came", len(w.webhooks))
	}
}

// Answers are kept for a day.
func TestAnswersGo(t *testing.T) {
	t.Parallel()
	d, now := &disk{}, time.Now()
	w := newWorld(t, on(d), func(c *standin.Config) { c.Now = func() time.Time { return now } })
	w.create(t)
	now = now.Add(24*time.Hour - 1)
	newInquiry(t, w, "")
	if !strings.Contains(string(d.content), `"`+reference+`-1"`) {
		t.Errorf("gone before: %s", d.content)
	}
	now = now.Add(1)
	newInquiry(t, w, "")
	if strings.Contains(string(d.content), `"`+reference+`-1"`) {
		t.Errorf("still there: %s", d.content)
	}
}

// There is an end to what is kept.
func TestOldestGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second := newInquiry(t, w, ""), newInquiry(t, w, "")
	for range 999 {
		newInquiry(t, w, "")
	}
	if _, err := w.client.Fetch(t.Context(), first); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("the oldest: %v", err)
	}
	if _, err := w.client.Fetch(t.Context(), second); err != nil {
		t.Errorf("the next: %v", err)
	}
}
