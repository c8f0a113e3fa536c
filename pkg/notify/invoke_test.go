package notify_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/notify"
)

const notifyARN = "arn:aws:lambda:eu-central-1:111122223333:function:nightlatch-notify:live"

// TestInvoke: notify is called as Lambda's API wants it, signed, and its report comes back. Whatever else is answered is an
// error, and never that everything was taken.
func TestInvoke(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		header map[string]string
		body   string
		want   []string
		told   string
	}{
		"all taken":          {200, nil, `{"batchItemFailures":[]}`, []string{}, ""},
		"one is not":         {200, nil, `{"batchItemFailures":[{"itemIdentifier":"97001"}]}`, []string{"97001"}, ""},
		"it fails":           {200, map[string]string{"X-Amz-Function-Error": "Unhandled"}, `{"errorMessage":"secret"}`, nil, "notify has failed: Unhandled"},
		"another function":   {200, nil, `{"statusCode":200}`, nil, "no report"},
		"nothing":            {200, nil, `null`, nil, "no report"},
		"no list":            {200, nil, `{"batchItemFailures":null}`, nil, "no report"},
		"no answer":          {200, nil, ``, nil, "no report"},
		"not at once":        {202, nil, `{"batchItemFailures":[]}`, nil, "status 202"},
		"not let in":         {403, map[string]string{"X-Amzn-Errortype": "AccessDeniedException"}, `{}`, nil, "status 403 AccessDeniedException"},
		"somewhere else":     {307, map[string]string{"Location": "http://127.0.0.1:1/"}, ``, nil, "status 307"},
		"more than a report": {200, nil, `{"batchItemFailures":[` + strings.Repeat(" ", 1<<20) + `]}`, nil, "no report"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requests := 0
			lambda := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests++
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				sum := sha256.Sum256(body)
				signed := r.Header.Get("Authorization")
				if !strings.HasPrefix(signed, "AWS4-HMAC-SHA256 Credential=test/") || !strings.Contains(signed, "/eu-central-1/lambda/aws4_request") ||
					r.Header.Get("X-Amz-Content-Sha256") != "" && r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]) {
					t.Errorf("headers %v", r.Header)
				}
				var e events.DynamoDBEvent
				if err := json.Unmarshal(body, &e); err != nil || len(e.Records) != 1 || e.Records[0].EventID != "alice@1" {
					t.Errorf("%v: %s", err, body)
				}
				if r.Method != http.MethodPost || r.URL.String() != "/2015-03-31/functions/nightlatch-notify/invocations?Qualifier=live" {
					t.Errorf("%s %s", r.Method, r.URL)
				}
				for name, value := range test.header {
					w.Header().Set(name, value)
				}
				w.WriteHeader(test.status)
				io.WriteString(w, test.body)
			}))
			t.Cleanup(lambda.Close)
			report, err := notify.Invoke(sqsConfig(lambda.URL), notifyARN, time.Now)(t.Context(), events.DynamoDBEvent{Records: []events.DynamoDBEventRecord{kept("alice", 1)}})
			if (err == nil) != (test.told == "") || err != nil && !strings.Contains(err.Error(), test.told) || err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("error %v, want %q", err, test.told)
			}
			var got []string
			if report.BatchItemFailures != nil {
				got = []string{}
			}
			for _, f := range report.BatchItemFailures {
				got = append(got, f.ItemIdentifier)
			}
			if diff := cmp.Diff(test.want, got); diff != "" || requests != 1 {
				t.Errorf("%d requests, failures (-want +got):\n%s", requests, diff)
			}
		})
	}
}

// TestInvokeNobody: without credentials, an ARN or a Lambda there is an error.
func TestInvokeNobody(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, test := range map[string]struct {
		credentials error
		arn         string
	}{"no credentials": {errFault, notifyARN}, "no ARN": {nil, "notify"}, "nobody there": {nil, notifyARN}} {
		cfg := sqsConfig(gone.URL)
		if test.credentials != nil {
			cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, test.credentials })
		}
		if _, err := notify.Invoke(cfg, test.arn, time.Now)(t.Context(), events.DynamoDBEvent{}); err == nil || test.credentials != nil && !errors.Is(err, errFault) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
