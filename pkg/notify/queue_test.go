package notify_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/needs"
	"github.com/nightlatch/nightlatch/pkg/notify"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// sqsConfig is for an imitation of SQS. That it wants more attempts than there is time for is not to count.
func sqsConfig(endpoint string) aws.Config {
	return aws.Config{
		Region: "eu-central-1", BaseEndpoint: &endpoint, RetryMaxAttempts: 20,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	}
}

func jobs(n int) []twofactor.MailJob {
	var all []twofactor.MailJob
	for i := range n {
		all = append(all, twofactor.MailJob{
			User: "alice", Event: fmt.Sprintf("v%012d-00", i), At: time.Unix(1767603600, 412e6).UTC(), Kind: "locked", To: twofactor.MailToUser,
		})
	}
	return all
}

// TestQueue: what is put on the queue comes off it as it was, also where it takes several requests. The imitation of KMS is
// one of SQS as well.
func TestQueue(t *testing.T) {
	t.Parallel()
	cfg := sqsConfig(needs.KMS(t))
	client := sqs.NewFromConfig(cfg)
	made, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("mails-" + rand.Text())})
	if err != nil {
		t.Fatal(err)
	}
	queue := notify.Queue(cfg, *made.QueueUrl)
	if err := queue(t.Context(), nil); err != nil {
		t.Errorf("no jobs: %v", err)
	}
	want := jobs(23)
	if err := queue(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	got := map[string]twofactor.MailJob{}
	for len(got) < len(want) {
		out, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: made.QueueUrl, MaxNumberOfMessages: 10})
		if err != nil || len(out.Messages) == 0 {
			t.Fatalf("%d jobs of %d are on the queue, %v", len(got), len(want), err)
		}
		for _, m := range out.Messages {
			var job twofactor.MailJob
			if err := json.Unmarshal([]byte(*m.Body), &job); err != nil {
				t.Fatal(err)
			}
			got[job.Event] = job
		}
	}
	for _, job := range want {
		if diff := cmp.Diff(job, got[job.Event]); diff != "" {
			t.Errorf("job (-want +got):\n%s", diff)
		}
	}
	if err := notify.Queue(cfg, *made.QueueUrl+"-of-nobody")(t.Context(), want); err == nil {
		t.Error("no queue there: no error")
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestQueueFaults: a job that SQS has not said to have taken is an error, however it says so; and nobody waits for long.
func TestQueueFaults(t *testing.T) {
	t.Parallel()
	respond := func(status int, body string) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, ProtoMajor: 1, ProtoMinor: 1,
				Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body)),
			}, nil
		}
	}
	const no = `{"Id":"1","Code":"InternalError","Message":"some trouble","SenderFault":false}`
	for name, test := range map[string]struct {
		fault func(*http.Request) (*http.Response, error)
		asked int32
		told  string
	}{
		"one of two refused": {respond(200, `{"Successful":[],"Failed":[`+no+`]}`), 1, "InternalError: some trouble"},
		"nothing said":       {respond(200, `{"Successful":[],"Failed":[]}`), 1, "does not say"},
		"no queue":           {respond(400, `{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no"}`), 1, "QueueDoesNotExist"},
		"not let in":         {respond(403, `{"__type":"AccessDenied","message":"no"}`), 1, "AccessDenied"},
		"throttled":          {respond(400, `{"__type":"ThrottlingException","message":"slow"}`), 3, "ThrottlingException"},
		"broken":             {respond(500, `{}`), 3, "500"},
		"no answer": {func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, 3, "exceeded"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var asked atomic.Int32
			queue := notify.Queue(sqsConfig("http://localhost"), "http://localhost/111122223333/mails", func(o *sqs.Options) {
				o.HTTPClient = &http.Client{
					Timeout: o.HTTPClient.(*http.Client).Timeout,
					Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
						asked.Add(1)
						return test.fault(r)
					}),
				}
			})
			begun := time.Now()
			err := queue(t.Context(), jobs(2))
			if err == nil || !strings.Contains(err.Error(), test.told) || asked.Load() != test.asked || time.Since(begun) > 4*time.Second {
				t.Errorf("%s: got %v after %d attempts in %v, want %q after %d", name, err, asked.Load(), time.Since(begun), test.told, test.asked)
			}
		})
	}
}
