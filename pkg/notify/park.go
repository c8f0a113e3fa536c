package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/nightlatch/nightlatch/pkg/thaw"
)

const (
	// parkTimeout ends an attempt that S3 does not answer.
	parkTimeout = 2 * time.Second
	parkPause   = 200 * time.Millisecond
)

// Park returns a [Sinks.Park] that keeps a record as an object of the bucket, by its event's id. It holds what the record
// holds: secrets in it are sealed, as in the table.
func Park(cfg aws.Config, bucket string, options ...func(*s3.Options)) func(context.Context, events.DynamoDBEventRecord) error {
	defaults := func(o *s3.Options) {
		o.HTTPClient = thaw.Client(parkTimeout)
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = parkPause })
		o.UsePathStyle = cfg.BaseEndpoint != nil // a bucket's name is no name of a host on this machine
	}
	client := s3.NewFromConfig(cfg, append([]func(*s3.Options){defaults}, options...)...)
	return func(ctx context.Context, r events.DynamoDBEventRecord) error {
		body, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("parking a record: %w", err)
		}
		_, err = client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &bucket, Key: aws.String("records/" + r.EventID + ".json"), Body: bytes.NewReader(body),
			ContentType: aws.String("application/json"),
		})
		if err != nil {
			return fmt.Errorf("parking a record: %w", err)
		}
		return nil
	}
}
