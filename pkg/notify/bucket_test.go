package notify_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/needs"
	"github.com/nightlatch/nightlatch/pkg/notify"
)

// TestBucket: what was parked is listed, read and removed. The imitation of KMS is one of S3 as well.
func TestBucket(t *testing.T) {
	t.Parallel()
	cfg, name := sqsConfig(needs.KMS(t)), "failures-"+strings.ToLower(rand.Text())
	client := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	bucket, park := notify.S3(cfg, name), notify.Park(cfg, name)
	if _, _, err := bucket.List(t.Context(), "", 10); err == nil {
		t.Error("no bucket there: no error")
	}
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{
		Bucket: &name, CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(cfg.Region)},
	}); err != nil {
		t.Fatal(err)
	}
	if keys, more, err := bucket.List(t.Context(), "", 10); err != nil || len(keys) > 0 || more {
		t.Errorf("an empty bucket: %v, %v, %v", keys, more, err)
	}
	var want []string
	for n := range 3 {
		r := kept("alice", n)
		r.EventID = fmt.Sprint(n)
		if err := park(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf("records/%d.json", n))
	}
	for most, n := range map[int]int{2: 2, 3: 3, 10: 3} {
		keys, more, err := bucket.List(t.Context(), "", most)
		if diff := cmp.Diff(want[:n], keys); diff != "" || err != nil || more != (most < 3) {
			t.Errorf("the first %d: more %v, %v (-want +got):\n%s", most, more, err, diff)
		}
	}
	for after, left := range map[string][]string{want[0]: want[1:], "records/00": want[1:], want[2]: nil} {
		if keys, more, err := bucket.List(t.Context(), after, 10); err != nil || more || !cmp.Equal(keys, left) {
			t.Errorf("after %s: %v, more %v, %v", after, keys, more, err)
		}
	}
	r := kept("alice", 1)
	r.EventID = "1"
	body, err := bucket.Read(t.Context(), want[1], 10_000)
	if diff := cmp.Diff(written(r), string(body)); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := bucket.Read(t.Context(), want[1], len(body)); err != nil {
		t.Errorf("as large as it may be: %v", err)
	}
	if body, err := bucket.Read(t.Context(), want[1], len(body)-1); !errors.Is(err, notify.ErrTooLarge) || body != nil {
		t.Errorf("too large: %d bytes, %v", len(body), err)
	}
	if _, err := bucket.Read(t.Context(), "records/none.json", 10); !errors.Is(err, notify.ErrGone) {
		t.Errorf("no object there: %v", err)
	}
	for range 2 {
		if err := bucket.Delete(t.Context(), want[1]); err != nil {
			t.Fatal(err)
		}
	}
	if keys, _, err := bucket.List(t.Context(), "", 10); err != nil || !cmp.Equal(keys, []string{want[0], want[2]}) {
		t.Errorf("after one was removed: %v, %v", keys, err)
	}
}

// TestClients: every client bears a freeze, and follows no redirect.
func TestClients(t *testing.T) {
	t.Parallel()
	thawed := 0
	note := func(client any) {
		if c, ok := client.(*http.Client); ok && c.CheckRedirect != nil && c.Timeout > 0 {
			thawed++
		}
	}
	cfg := aws.Config{Region: "eu-central-1"}
	notify.Queue(cfg, "", func(o *sqs.Options) { note(o.HTTPClient) })
	notify.Bus(cfg, "", func(o *eventbridge.Options) { note(o.HTTPClient) })
	notify.Park(cfg, "", func(o *s3.Options) { note(o.HTTPClient) })
	notify.S3(cfg, "", func(o *s3.Options) { note(o.HTTPClient) })
	if thawed != 4 {
		t.Errorf("%d clients of 4", thawed)
	}
}
