package notify

import (
	"context"
	"errors"
	"log/slog"
	"slices"
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
		var taken batch
		of := make([]twofactor.UserID, len(e.Records)) // whose version it is; empty if it holds none
		bad := make([]bool, len(e.Records))
		for i, r := range e.Records {
			v, ok, err := decode(r)
			replayed := r.EventSource == replaySource
			taken.replayed = taken.replayed || replayed
			switch {
			case err != nil: // says what is wrong, not what the record holds
				bad[i] = replayed || to.park(ctx, r) != nil // what is replayed is parked already
				log.ErrorContext(ctx, "record not decoded", "event", r.EventID, "sequence", r.Change.SequenceNumber, "parked", !bad[i], "cause", err)
			case ok:
				of[i] = v.User
				taken.versions = append(taken.versions, v)
			}
			if !slices.Contains(bad, true) {
				taken.comesAgain = len(taken.versions)
			}
		}
		ctx, cancel := inTime(ctx)
		defer cancel()
		failed := to.writeAll(ctx, taken)
		for _, err := range failed {
			log.ErrorContext(ctx, "versions not taken", "cause", err)
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
