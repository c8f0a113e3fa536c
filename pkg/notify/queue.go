package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/nightlatch/nightlatch/pkg/thaw"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

const (
	// attemptTimeout ends an attempt that SQS does not answer. A usual answer takes some ten milliseconds.
	attemptTimeout = time.Second
	// maxAttempts is how often a request is sent, with a pause of at most so long before the second attempt and the third.
	maxAttempts = 3
	pause       = 200 * time.Millisecond
	// maxMessages is how many messages SQS takes in one request.
	maxMessages = 10
)

// Queue returns a [Sinks.Mails] that puts each job, in JSON, on the SQS queue at the URL, in cfg's region with cfg's
// credentials. It touches nothing yet.
//
// It returns nil when SQS has taken every job. Otherwise it may have taken some: asked again, they are on the queue twice.
func Queue(cfg aws.Config, url string, options ...func(*sqs.Options)) func(context.Context, []twofactor.MailJob) error {
	defaults := func(o *sqs.Options) {
		o.HTTPClient = thaw.Client(attemptTimeout)
		o.RetryMaxAttempts = maxAttempts // also where cfg has another number
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = pause })
	}
	client := sqs.NewFromConfig(cfg, append([]func(*sqs.Options){defaults}, options...)...)
	return func(ctx context.Context, jobs []twofactor.MailJob) error {
		var all error
		for some := range slices.Chunk(jobs, maxMessages) {
			all = errors.Join(all, send(ctx, client, url, some))
		}
		return all
	}
}

// send puts at most maxMessages jobs on the queue. SQS takes each by itself: its answer is a success also where it has
// refused some.
func send(ctx context.Context, client *sqs.Client, url string, jobs []twofactor.MailJob) error {
	in := &sqs.SendMessageBatchInput{QueueUrl: &url}
	for i, job := range jobs {
		body, err := json.Marshal(job)
		if err != nil {
			return fmt.Errorf("job %s: %w", job.Event, err)
		}
		in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(string(body)),
		})
	}
	out, err := client.SendMessageBatch(ctx, in)
	if err != nil {
		return err
	}
	var refused error
	for _, f := range out.Failed {
		refused = errors.Join(refused, fmt.Errorf("SQS refuses a job: %s: %s", aws.ToString(f.Code), aws.ToString(f.Message)))
	}
	for i := range jobs {
		taken := slices.ContainsFunc(out.Successful, func(s types.SendMessageBatchResultEntry) bool { return aws.ToString(s.Id) == strconv.Itoa(i) })
		if !taken && refused == nil {
			refused = errors.New("SQS does not say what became of a job")
		}
	}
	return refused
}
