package mail

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/smithy-go"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/metric"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// spare is what remains of the function's time to report what it could not send. Killed, it would send everything again.
const spare = 500 * time.Millisecond

// Queue returns a function that does the jobs which an SQS queue delivers, each with do, a [Mailer.Do], and reports those
// that are not done. SQS delivers these again and in the end moves them to the dead-letter queue: also what will never be
// sent, and what is no job at all, so that none is lost in silence.
//
// One job is done after the other. When the time is over, the rest is left for another time.
func Queue(do func(context.Context, twofactor.MailJob) error, log *slog.Logger) func(context.Context, events.SQSEvent) (events.SQSEventResponse, error) {
	return func(ctx context.Context, e events.SQSEvent) (events.SQSEventResponse, error) {
		if deadline, ok := ctx.Deadline(); ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, deadline.Add(-spare))
			defer cancel()
		}
		report := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
		for _, message := range e.Records {
			if err := doMessage(ctx, do, message); err != nil {
				told := []any{"message", message.MessageId, "for_good", ForGood(err), "cause", err}
				if errors.Is(err, twofactor.ErrSealed) {
					told = append(told, metric.Counted(api.MetricUnopened))
				}
				log.ErrorContext(ctx, "mail not sent", told...)
				report.BatchItemFailures = append(report.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: message.MessageId})
			}
		}
		return report, nil
	}
}

func doMessage(ctx context.Context, do func(context.Context, twofactor.MailJob) error, message events.SQSMessage) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var job twofactor.MailJob
	d := json.NewDecoder(bytes.NewReader([]byte(message.Body)))
	d.DisallowUnknownFields() // a newer release may mean something by them
	if err := d.Decode(&job); err != nil {
		return errors.New("mail: not a job") // what it is instead is not for the logs
	}
	if err := do(ctx, job); err != nil {
		return fmt.Errorf("%s to %s for %s: %w", job.Kind, job.To, job.Event, discreet(err))
	}
	return nil
}

// discreet is an error without the addresses that SES writes into what it refuses.
func discreet(err error) error {
	var refusal smithy.APIError
	if errors.Is(err, ErrRejected) && errors.As(err, &refusal) {
		return fmt.Errorf("%w: %s", ErrRejected, refusal.ErrorCode())
	}
	return err
}
