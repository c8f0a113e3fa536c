package boltstore

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// TestMailedAt: a row tells when which mail was sent, and the first time stays. The event beside it loses nothing, not even
// what this release does not know.
func TestMailedAt(t *testing.T) {
	t.Parallel()
	s := open(t, storeIn(t))
	job := twofactor.MailJob{User: "u", Event: "v000000000007-00", At: time.Unix(1, 0), Kind: "disabled", To: twofactor.MailToUser}
	put(t, s, bucketHistory, string(rowOf(job)), []byte(`{"id":"v000000000007-00","new":[1]}`))
	for n := range 2 {
		if err := s.MarkMailed(t.Context(), job, time.Unix(1767603600+int64(n), 0)); err != nil {
			t.Fatal(err)
		}
	}
	var got string
	if err := s.view(t.Context(), func(tx *bolt.Tx) error { got = string(tx.Bucket(bucketHistory).Get(rowOf(job))); return nil }); err != nil {
		t.Fatal(err)
	}
	if want := `{"id":"v000000000007-00","mailed_at":{"disabled:user":"2026-01-05T09:00:00Z"},"new":[1]}`; got != want {
		t.Errorf("row %s, want %s", got, want)
	}
}

// TestMailLogDamage: a row that is damaged is an error, and not a mail that was not sent. It takes nobody else's write along.
func TestMailLogDamage(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"{", "[]", `{"mailed_at":1}`} {
		synctest.Test(t, func(t *testing.T) {
			s := open(t, storeIn(t))
			job := twofactor.MailJob{User: "u", Event: "1", At: time.Unix(1, 0), Kind: "disabled", To: twofactor.MailToUser}
			put(t, s, bucketHistory, string(rowOf(job)), []byte(value))
			if marked, err := s.Mailed(t.Context(), job); !errors.Is(err, ErrDamaged) || marked {
				t.Errorf("%s: Mailed = %v, %v; want ErrDamaged", value, marked, err)
			}
			release := block(s)
			errs := queued(
				func() error { return s.MarkMailed(t.Context(), job, time.Unix(2, 0)) },
				func() error { return s.Replace(t.Context(), version("u", 1)) },
			)
			release()
			if !errors.Is(errs[0], ErrDamaged) || errs[1] != nil {
				t.Errorf("%s: MarkMailed: %v, want ErrDamaged; another's write in the same commit: %v", value, errs[0], errs[1])
			}
		})
	}
}
