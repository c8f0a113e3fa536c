package notify

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Decode returns the version that a record of the stream holds, and reports false for one that holds none: of an item
// that is no account, or the removal of one.
type Decode func(events.DynamoDBEventRecord) (version twofactor.Version, ok bool, err error)

// Records returns a function that takes what DynamoDB's stream delivers to the sinks, as [Versions] does, and reports
// the records that it could not write. Lambda brings those again, and all that follow the first of them.
//
// A user whose write failed has all their records of the batch reported, and nobody else's. A record that cannot be
// decoded is logged and parked; one that cannot be parked is reported. Its user's other records are written nevertheless.
func Records(to Sinks, decode Decode, log *slog.Logger) func(context.Context, events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
	to.log = log
	return func(ctx context.Context, e events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
		to := to // of this batch
		var batch []twofactor.Version
		of := make([]twofactor.UserID, len(e.Records)) // whose version it is; empty if it holds none
		bad := make([]bool, len(e.Records))
		for i, r := range e.Records {
			v, ok, err := decode(r)
			to.replayed = to.replayed || r.EventSource == replaySource
			switch {
			case err != nil: // says what is wrong, not what the record holds
				bad[i] = r.EventSource == replaySource || to.park(ctx, r) != nil // what is replayed is parked already
				log.ErrorContext(ctx, "record not decoded", "event", r.EventID, "sequence", r.Change.SequenceNumber, "parked", !bad[i], "cause", err)
			case ok:
				of[i] = v.User
				batch = append(batch, v)
			}
		}
		ctx, cancel := inTime(ctx)
		defer cancel()
		failed := to.writeAll(ctx, batch)
		for _, err := range failed {
			log.ErrorContext(ctx, "history not written", "cause", err)
		}
		report := events.DynamoDBEventResponse{BatchItemFailures: []events.DynamoDBBatchItemFailure{}}
		for i, r := range e.Records {
			if bad[i] || failed[of[i]] != nil {
				report.BatchItemFailures = append(report.BatchItemFailures,
					events.DynamoDBBatchItemFailure{ItemIdentifier: r.Change.SequenceNumber})
			}
		}
		return report, nil
	}
}

var errNoPark = errors.New("there is nowhere to park")

func (to Sinks) park(ctx context.Context, r events.DynamoDBEventRecord) error {
	if to.Park == nil {
		return errNoPark
	}
	return to.Park(ctx, r)
}

// spare is what remains of the function's time to report what it could not write. Killed, it would have to begin again.
const spare = 500 * time.Millisecond

func inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-spare))
	}
	return ctx, func() {} // not on Lambda
}
