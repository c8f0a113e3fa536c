package notify_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/notify"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// TestPark: a record that cannot be decoded is an object in the bucket, whole, and holds up no other. Where it cannot be
// parked it is reported, and nothing is lost.
func TestPark(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name           string
		status         int
		failed, parked int
	}{
		{"parked", 200, 0, 1},
		{"refused", 403, 1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			objects := map[string][]byte{}
			bucket := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err == nil && test.status == 200 && r.Method == http.MethodPut {
					objects[r.URL.Path] = body
				}
				w.WriteHeader(test.status)
			}))
			defer bucket.Close()
			park := notify.Park(aws.Config{
				Region: "local", BaseEndpoint: &bucket.URL, Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
			}, "failures")

			bad := events.DynamoDBEventRecord{EventID: "7f3e", EventName: "MODIFY"}
			bad.Change.SequenceNumber = "2"
			bad.Change.NewImage = map[string]events.DynamoDBAttributeValue{"user": events.NewStringAttribute("alice"), "box": events.NewBinaryAttribute([]byte{1, 2})}
			good := events.DynamoDBEventRecord{EventID: "7f3f"}
			good.Change.SequenceNumber = "3"
			decode := func(r events.DynamoDBEventRecord) (twofactor.Version, bool, error) {
				if r.EventID == bad.EventID {
					return twofactor.Version{}, false, errors.New("damaged")
				}
				return version("bob", 1, twofactor.EventLogin), true, nil
			}
			var logged bytes.Buffer
			store := &history{}
			response, err := notify.Records(notify.Sinks{History: store, Park: park}, decode, slog.New(slog.NewJSONHandler(&logged, nil)))(
				t.Context(), events.DynamoDBEvent{Records: []events.DynamoDBEventRecord{bad, good}})
			if err != nil || len(response.BatchItemFailures) != test.failed || len(objects) != test.parked {
				t.Errorf("%d failed, %d parked, %v; want %d, %d", len(response.BatchItemFailures), len(objects), err, test.failed, test.parked)
			}
			if len(store.ids()["bob"]) != 1 {
				t.Errorf("history %v, want bob's event", store.ids())
			}
			if !strings.Contains(logged.String(), "7f3e") || strings.Contains(logged.String(), "alice") {
				t.Errorf("logged %s", &logged)
			}
			for path, body := range objects {
				var got events.DynamoDBEventRecord
				if err := json.Unmarshal(body, &got); err != nil || path != "/failures/records/7f3e.json" {
					t.Fatalf("%s: %v: %s", path, err, body)
				}
				if diff := cmp.Diff(bad.Change.NewImage["box"].Binary(), got.Change.NewImage["box"].Binary()); diff != "" || got.EventName != bad.EventName {
					t.Errorf("parked (-want +got):\n%s", diff)
				}
			}
		})
	}
}
