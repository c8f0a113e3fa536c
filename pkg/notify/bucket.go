package notify

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/nightlatch/nightlatch/pkg/thaw"
)

// newS3 returns a client as all that is done with the bucket has it.
func newS3(cfg aws.Config, options []func(*s3.Options)) *s3.Client {
	defaults := func(o *s3.Options) {
		o.HTTPClient = thaw.Client(s3Timeout)
		o.RetryMaxAttempts = maxAttempts // also where cfg has another number
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = pause })
		o.UsePathStyle = cfg.BaseEndpoint != nil // a bucket's name is no name of a host on this machine
	}
	return s3.NewFromConfig(cfg, append([]func(*s3.Options){defaults}, options...)...)
}

// S3 returns the bucket of a name, in cfg's region with cfg's credentials. It touches nothing yet.
func S3(cfg aws.Config, name string, options ...func(*s3.Options)) Bucket {
	client := newS3(cfg, options)
	return Bucket{
		List: func(ctx context.Context, after string, most int) (keys []string, more bool, err error) {
			in := &s3.ListObjectsV2Input{Bucket: &name, MaxKeys: aws.Int32(int32(most))}
			if after != "" {
				in.StartAfter = &after
			}
			out, err := client.ListObjectsV2(ctx, in)
			if err != nil {
				return nil, false, err
			}
			for _, object := range out.Contents {
				keys = append(keys, aws.ToString(object.Key))
			}
			return keys, aws.ToBool(out.IsTruncated), nil
		},
		Read: func(ctx context.Context, key string, most int) ([]byte, error) {
			out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &name, Key: &key})
			var gone *types.NoSuchKey
			switch {
			case errors.As(err, &gone):
				return nil, fmt.Errorf("%s: %w", key, ErrGone)
			case err != nil:
				return nil, err
			}
			defer out.Body.Close()
			body, err := io.ReadAll(io.LimitReader(out.Body, int64(most)+1))
			switch {
			case err != nil:
				return nil, fmt.Errorf("%s: %w", key, err)
			case len(body) > most:
				return nil, fmt.Errorf("%s: %w", key, ErrTooLarge)
			}
			return body, nil
		},
		Delete: func(ctx context.Context, key string) error {
			_, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &name, Key: &key})
			return err
		},
	}
}
