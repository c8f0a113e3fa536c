package notify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/nightlatch/nightlatch/pkg/thaw"
)

const (
	// invokeTimeout is longer than notify may take.
	invokeTimeout = 15 * time.Second
	// maxReport is how large an answer may be: that of a batch has a hundred numbers.
	maxReport = 1 << 20
)

// Invoke returns a function that hands records to notify and waits for what it reports. It calls the Lambda function of the
// ARN, in cfg's region with cfg's credentials. It touches nothing yet.
//
// That is one request, signed, and nothing else of Lambda's API: the SDK's client would be as large as the rest of what calls
// this. It is sent once, since whoever replays can do so again.
func Invoke(cfg aws.Config, functionARN string, now func() time.Time) func(context.Context, events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
	client, signer := thaw.Client(invokeTimeout), v4.NewSigner()
	return func(ctx context.Context, e events.DynamoDBEvent) (report events.DynamoDBEventResponse, err error) {
		body, err := json.Marshal(e)
		if err != nil {
			return report, err
		}
		address, err := invocationsURL(cfg, functionARN)
		if err != nil {
			return report, err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
		if err != nil {
			return report, err
		}
		request.Header.Set("Content-Type", "application/json")
		credentials, err := cfg.Credentials.Retrieve(ctx)
		if err != nil {
			return report, err
		}
		sum := sha256.Sum256(body)
		if err := signer.SignHTTP(ctx, credentials, request, hex.EncodeToString(sum[:]), "lambda", cfg.Region, now()); err != nil {
			return report, err
		}
		response, err := client.Do(request)
		if err != nil {
			return report, fmt.Errorf("invoking notify: %w", err)
		}
		defer response.Body.Close()
		answer, err := io.ReadAll(io.LimitReader(response.Body, maxReport+1))
		switch failure := response.Header.Get("X-Amz-Function-Error"); {
		case err != nil:
			return report, fmt.Errorf("invoking notify: %w", err)
		case response.StatusCode != http.StatusOK:
			return report, fmt.Errorf("invoking notify: status %d %s", response.StatusCode, response.Header.Get("X-Amzn-Errortype"))
		case failure != "":
			return report, fmt.Errorf("notify has failed: %s: its log says why", failure)
		}
		return reportOf(answer)
	}
}

// reportOf reads what notify reports. What has no list of failures is no report: anything else that a function answers must
// not pass for everything being well.
func reportOf(answer []byte) (events.DynamoDBEventResponse, error) {
	var report struct {
		BatchItemFailures *[]events.DynamoDBBatchItemFailure `json:"batchItemFailures"`
	}
	if err := json.Unmarshal(answer, &report); err != nil || report.BatchItemFailures == nil {
		return events.DynamoDBEventResponse{}, errors.New("invoking notify: what it answers is no report of a batch")
	}
	return events.DynamoDBEventResponse{BatchItemFailures: *report.BatchItemFailures}, nil
}

// invocationsURL is where a function of the ARN is invoked. Its resource is function:name, or function:name:qualifier.
func invocationsURL(cfg aws.Config, functionARN string) (string, error) {
	a, err := arn.Parse(functionARN)
	if err != nil {
		return "", err
	}
	name, qualifier, qualified := strings.Cut(strings.TrimPrefix(a.Resource, "function:"), ":")
	base := "https://lambda." + a.Region + ".amazonaws.com"
	if a.Partition == "aws-cn" {
		base += ".cn"
	}
	if cfg.BaseEndpoint != nil {
		base = strings.TrimSuffix(*cfg.BaseEndpoint, "/")
	}
	address := base + "/2015-03-31/functions/" + url.PathEscape(name) + "/invocations"
	if qualified {
		address += "?Qualifier=" + url.QueryEscape(qualifier)
	}
	return address, nil
}
