// Package eventsource feeds a function with the stream of a DynamoDB table, as Lambda's event source mapping does: at
// least once, in order for each item, in batches of at most 100. What the function reports as failed comes again, with
// all that followed it. It is for a DynamoDB on this machine and for tests: on AWS, Lambda does this.
//
// The stream is read from its beginning (TRIM_HORIZON) whenever Run begins, and wherever it has been trimmed beyond what
// was delivered. DynamoDB keeps 24 hours of it.
package eventsource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

const (
	batchSize = 100
	// idle is the pause before a shard that had nothing new is read again, and shards how often new ones are looked for.
	idle   = 100 * time.Millisecond
	shards = time.Second
	// firstRetry is the pause after a failure; each further one doubles it, up to lastRetry.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 10 * time.Second
	// logAgain is how often a failure that lasts is logged.
	logAgain = time.Minute
)

// ErrGone is returned by [Run] when nothing more will ever come.
var ErrGone = errors.New("the stream is gone, or has ended: its table was deleted, or was in the memory of a DynamoDB that has been restarted")

// Function is a Lambda function that takes records of a stream and reports the ones that have failed.
type Function func(context.Context, events.DynamoDBEvent) (events.DynamoDBEventResponse, error)

// source is one stream and the function that it feeds.
type source struct {
	client *dynamodbstreams.Client
	stream string // ARN
	feed   Function
	log    *slog.Logger
}

// Run feeds the function with the stream of the table until ctx ends, whose error it returns. Any other error comes at
// the beginning, when there is no such table or no stream, or is [ErrGone]. What else fails later is logged, at once and
// then every minute, and tried again.
func Run(ctx context.Context, cfg aws.Config, table string, log *slog.Logger, feed Function) error {
	s := &source{client: dynamodbstreams.NewFromConfig(cfg), feed: feed, log: log}
	streams, err := s.client.ListStreams(ctx, &dynamodbstreams.ListStreamsInput{TableName: &table})
	switch {
	case err != nil:
		return fmt.Errorf("stream of table %s: %w", table, err)
	case len(streams.Streams) == 0:
		return fmt.Errorf("stream of table %s: there is none", table)
	}
	s.stream = *streams.Streams[len(streams.Streams)-1].StreamArn
	return fmt.Errorf("stream of table %s: %w", table, s.run(ctx))
}

// run reads all shards, a child only when its parent has ended, so that the versions of an item stay in order.
func (s *source) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	begun, ended := map[string]bool{}, map[string]bool{}
	ends := make(chan string)
	reading := 0
	var last logged
	defer func() {
		stop()
		for range reading {
			<-ends
		}
	}()
	for {
		all, closed, err := s.shards(ctx)
		var gone *types.ResourceNotFoundException
		if errors.As(err, &gone) || closed && !slices.ContainsFunc(all, func(shard types.Shard) bool { return !ended[*shard.ShardId] }) {
			return ErrGone
		}
		if err != nil && ctx.Err() == nil && last.due() {
			s.log.ErrorContext(ctx, "stream: its shards cannot be listed; it is tried again", "cause", err)
		}
		listed := map[string]bool{}
		for _, shard := range all {
			listed[*shard.ShardId] = true
		}
		for _, shard := range all {
			parent := aws.ToString(shard.ParentShardId)
			if id := *shard.ShardId; !begun[id] && (!listed[parent] || ended[parent]) {
				begun[id] = true
				reading++
				go func() { s.read(ctx, id); ends <- id }()
			}
		}
		select {
		case id := <-ends:
			reading--
			ended[id] = true
		case <-time.After(shards):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// shards lists the stream's shards. It is closed when no more will come.
func (s *source) shards(ctx context.Context) (all []types.Shard, closed bool, err error) {
	in := &dynamodbstreams.DescribeStreamInput{StreamArn: &s.stream}
	for {
		out, err := s.client.DescribeStream(ctx, in)
		if err != nil {
			return nil, false, err
		}
		all = append(all, out.StreamDescription.Shards...)
		if in.ExclusiveStartShardId = out.StreamDescription.LastEvaluatedShardId; in.ExclusiveStartShardId == nil {
			return all, out.StreamDescription.StreamStatus == types.StreamStatusDisabled, nil
		}
	}
}

// read reads a shard until it has ended, is not there any more, or ctx ends.
func (s *source) read(ctx context.Context, shard string) {
	var done string // the sequence number of the last record that was delivered
	var last logged
	pause := firstRetry
	for {
		before := done
		err := s.readOn(ctx, shard, &done)
		var gone *types.ResourceNotFoundException
		if err == nil || ctx.Err() != nil || errors.As(err, &gone) {
			return
		}
		if done != before {
			pause = firstRetry
		}
		var trimmed *types.TrimmedDataAccessException
		if errors.As(err, &trimmed) {
			done = "" // what follows it is gone; what is left may come twice
		}
		if last.due() {
			s.log.ErrorContext(ctx, "stream: a shard cannot be read; it is tried again", "shard", shard, "cause", err)
		}
		if wait(ctx, pause) != nil {
			return
		}
		pause = min(2*pause, lastRetry)
	}
}

// readOn reads a shard from the record after done. It returns nil when the shard has ended.
func (s *source) readOn(ctx context.Context, shard string, done *string) error {
	in := &dynamodbstreams.GetShardIteratorInput{
		StreamArn: &s.stream, ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	}
	if *done != "" {
		in.ShardIteratorType, in.SequenceNumber = types.ShardIteratorTypeAfterSequenceNumber, done
	}
	begin, err := s.client.GetShardIterator(ctx, in)
	if err != nil {
		return err
	}
	for next := begin.ShardIterator; next != nil; {
		out, err := s.client.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: next, Limit: aws.Int32(batchSize)})
		if err != nil {
			return err
		}
		next = out.NextShardIterator
		if len(out.Records) == 0 {
			if err := wait(ctx, idle); err != nil {
				return err
			}
			continue
		}
		if err := s.deliver(ctx, out.Records); err != nil {
			return err
		}
		*done = *out.Records[len(out.Records)-1].Dynamodb.SequenceNumber
	}
	return nil
}

// deliver feeds the function with the records until it has taken all of them, or ctx ends.
func (s *source) deliver(ctx context.Context, records []types.Record) error {
	event := make([]events.DynamoDBEventRecord, len(records))
	for i, r := range records {
		event[i] = record(r, s.stream)
	}
	var last logged
	for pause := firstRetry; ; pause = min(2*pause, lastRetry) {
		response, err := s.feed(ctx, events.DynamoDBEvent{Records: event})
		taken := taken(event, response, err)
		if taken == len(event) {
			return nil
		}
		if taken > 0 {
			pause = firstRetry
		}
		event = event[taken:]
		if ctx.Err() == nil && last.due() {
			s.log.WarnContext(ctx, "stream: records come again", "records", len(event), "cause", err)
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
	}
}

// taken is how many records need not come again: those before the first that has failed. An error, and a report that
// names no record of the batch, is a failure of all.
func taken(batch []events.DynamoDBEventRecord, response events.DynamoDBEventResponse, err error) int {
	if err != nil {
		return 0
	}
	position := map[string]int{}
	for i, r := range batch {
		position[r.Change.SequenceNumber] = i
	}
	taken := len(batch)
	for _, f := range response.BatchItemFailures {
		at, known := position[f.ItemIdentifier]
		if !known {
			return 0
		}
		taken = min(taken, at)
	}
	return taken
}

// logged is when a failure was last logged.
type logged struct{ at time.Time }

// due says whether it is time to log it, and notes that it is done.
func (l *logged) due() bool {
	now := time.Now()
	if !l.at.IsZero() && now.Sub(l.at) < logAgain {
		return false
	}
	l.at = now
	return true
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
