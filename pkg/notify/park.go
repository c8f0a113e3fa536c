package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// s3Timeout ends an attempt that S3 does not answer.
const s3Timeout = 2 * time.Second

// Park returns a [Sinks.Park] that keeps a record as an object of the bucket, by its event's id. It holds what the record
// holds: secrets in it are sealed, as in the table.
func Park(cfg aws.Config, bucket string, options ...func(*s3.Options)) func(context.Context, events.DynamoDBEventRecord) error {
	client := newS3(cfg, options)
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
