package notify

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

const (
	// maxReplayed is how many records notify is handed at once, as by the stream, and maxReplayedBytes how large they may be
	// together: Lambda takes 6 MB.
	maxReplayed      = 100
	maxReplayedBytes = 4 << 20
	// maxObjects and maxRead bound what one replay reads: it has all of that in memory, in several forms, to put it in order.
	// maxObject is what it reads at once. An object of Lambda's holds no more than an event does, as text in JSON.
	maxObjects = 1000
	maxRead    = 32 << 20
	maxObject  = 16 << 20
)

// replaySource is what a record's source is when it is replayed. The stream's own is aws:dynamodb.
const replaySource = "nightlatch:replay"

// A Bucket keeps what notify could not take: records that it has parked, and the batches that Lambda has given up on.
type Bucket struct {
	// List returns the keys of at most so many objects after a key, in the order of keys, and whether there are more. "" is
	// before all.
	List func(ctx context.Context, after string, most int) (keys []string, more bool, err error)
	// Read returns an object: ErrGone if there is none any more, ErrTooLarge if it has more than most bytes.
	Read func(ctx context.Context, key string, most int) ([]byte, error)
	// Delete removes one, if it is still there.
	Delete func(ctx context.Context, key string) error
}

var (
	// ErrGone is returned for an object that another replay has removed.
	ErrGone = errors.New("is not there any more")
	// ErrTooLarge is returned for an object that is none of notify's or Lambda's.
	ErrTooLarge = errors.New("larger than anything that notify is handed")
)

// Replay returns a function that reads the bucket back and has notify take what is there, in the order of each user's
// versions. An object goes when notify has taken all that is in it. What cannot be decoded by this release either, and what
// notify does not take, stays for another time; so do further records of a user of whom one was not taken.
//
// A dry run reads, and changes nothing: Taken is then what would be handed to notify. With an error the counts say how far it
// has come; all that was not taken is where it was. One that could not read everything, for lack of room or of time, says
// where it stopped: the next one begins after that, since what stays must not hide what is behind it.
func Replay(from Bucket, decode Decode, invoke func(context.Context, events.DynamoDBEvent) (events.DynamoDBEventResponse, error), log *slog.Logger) func(ctx context.Context, dryRun bool, after string) (api.ReplayResponse, error) {
	return func(ctx context.Context, dryRun bool, after string) (api.ReplayResponse, error) {
		r := replay{Bucket: from, decode: decode, invoke: invoke, log: log, seen: map[string]*replayed{}}
		err := r.read(ctx, after)
		if err == nil && !dryRun {
			err = errors.Join(r.send(ctx), r.remove(ctx))
		}
		for _, one := range r.records {
			switch {
			case one.taken || dryRun && one.cause == nil:
				r.told.Taken++
			case one.cause != nil:
				r.told.Undecodable++
			}
		}
		r.told.Records = len(r.records)
		return r.told, err
	}
}

// replay is one of them, under way.
type replay struct {
	Bucket
	decode Decode
	invoke func(context.Context, events.DynamoDBEvent) (events.DynamoDBEventResponse, error)
	log    *slog.Logger

	objects []object
	records []*replayed
	seen    map[string]*replayed // by event id: one record may be in several objects
	told    api.ReplayResponse
}

type object struct {
	key     string
	records []*replayed
}

// replayed is a record, and what became of it.
type replayed struct {
	events.DynamoDBEventRecord
	version twofactor.Version
	size    int
	cause   error // why it cannot be decoded
	taken   bool
}

// read reads the objects after a key, at least one, and puts their records in order.
func (r *replay) read(ctx context.Context, after string) error {
	keys, more, err := r.List(ctx, after, maxObjects)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	if more && len(keys) > 0 {
		r.told.Next = keys[len(keys)-1]
	}
	left, halfTime := maxRead, halfTimeOf(ctx)
	for i, key := range keys {
		if i > 0 && (left <= 0 || halfTime()) {
			r.told.Next = keys[i-1]
			break
		}
		body, err := r.Read(ctx, key, maxObject)
		switch {
		case errors.Is(err, ErrGone):
			continue
		case err != nil && !errors.Is(err, ErrTooLarge):
			return fmt.Errorf("replay: %w", err)
		}
		left -= len(body)
		r.told.Objects++
		var records []events.DynamoDBEventRecord
		if err == nil {
			records, err = recordsOf(body)
		}
		if err != nil {
			r.told.Unreadable++
			r.log.ErrorContext(ctx, "object not read", "key", key, "cause", err)
			continue
		}
		o := object{key: key}
		for _, record := range records {
			o.records = append(o.records, r.note(ctx, key, record))
		}
		r.objects = append(r.objects, o)
	}
	slices.SortStableFunc(r.records, func(a, b *replayed) int {
		return cmp.Or(cmp.Compare(a.version.User, b.version.User), cmp.Compare(a.version.Version, b.version.Version))
	})
	return nil
}

// halfTimeOf returns a function that says whether half of the time is over: the other half is for what was read.
func halfTimeOf(ctx context.Context) func() bool {
	deadline, ok := ctx.Deadline()
	half := time.Until(deadline) / 2
	return func() bool { return ok && time.Until(deadline) < half }
}

// note notes a record that was found in an object.
func (r *replay) note(ctx context.Context, key string, record events.DynamoDBEventRecord) *replayed {
	if known := r.seen[record.EventID]; known != nil && record.EventID != "" {
		return known
	}
	one := &replayed{DynamoDBEventRecord: record}
	version, ok, err := r.decode(record)
	one.version, one.cause = version, err
	one.taken = err == nil && !ok // it holds nothing that anybody would take
	one.EventSource = replaySource
	if err == nil {
		var body []byte
		body, one.cause = json.Marshal(one.DynamoDBEventRecord)
		one.size = len(body)
	}
	if one.cause != nil {
		r.log.ErrorContext(ctx, "record not decoded", "key", key, "event", record.EventID, "cause", one.cause)
	}
	r.seen[record.EventID] = one
	r.records = append(r.records, one)
	return one
}

// send hands the records to notify, batch after batch, until the time is over. Of a user of whom a record was not taken no
// later one is sent. A batch that notify breaks on is halved until it is one record, which waits; if the next breaks it as
// well, it is notify that is broken, and nothing more is sent.
func (r *replay) send(ctx context.Context) error {
	ctx, cancel := inTime(ctx)
	defer cancel()
	var broken error // by what could not be sent
	inARow := false  // nothing was taken since
	held := map[twofactor.UserID]bool{}
	waiting := slices.DeleteFunc(slices.Clone(r.records), func(one *replayed) bool { return one.cause != nil || one.taken })
	for most := maxReplayed; ; {
		waiting = slices.DeleteFunc(waiting, func(one *replayed) bool { return held[one.version.User] })
		batch := first(waiting, most)
		if len(batch) == 0 {
			return broken
		}
		var e events.DynamoDBEvent
		for _, one := range batch {
			e.Records = append(e.Records, one.DynamoDBEventRecord)
		}
		report, err := r.invoke(ctx, e)
		switch {
		case err != nil && (ctx.Err() != nil || len(batch) == 1 && inARow):
			return errors.Join(broken, fmt.Errorf("replay: %w", err))
		case err != nil && len(batch) > 1:
			most = len(batch) / 2
			continue
		case err != nil:
			broken, inARow = errors.Join(broken, fmt.Errorf("replay: event %s: %w", batch[0].EventID, err)), true
			held[batch[0].version.User] = true
			continue
		}
		failed := map[string]bool{}
		for _, f := range report.BatchItemFailures {
			failed[f.ItemIdentifier] = true
		}
		for _, one := range batch {
			// No identifier is how a function says that it has taken nothing of the batch.
			one.taken = !failed[""] && !failed[one.Change.SequenceNumber]
			if !one.taken {
				held[one.version.User] = true
			}
		}
		waiting, most, inARow = waiting[len(batch):], min(2*most, maxReplayed), false
	}
}

// first are the first of the records, at most so many, and no more than Lambda takes at once.
func first(waiting []*replayed, most int) (batch []*replayed) {
	size := 0
	for _, one := range waiting {
		if size += one.size; len(batch) == most || len(batch) > 0 && size > maxReplayedBytes {
			break
		}
		batch = append(batch, one)
	}
	return batch
}

// remove removes the objects of which everything was taken.
func (r *replay) remove(ctx context.Context) error {
	for _, o := range r.objects {
		if slices.ContainsFunc(o.records, func(one *replayed) bool { return !one.taken }) {
			continue
		}
		if err := r.Delete(ctx, o.key); err != nil {
			return fmt.Errorf("replay: %w", err)
		}
		r.told.Removed++
	}
	return nil
}

var errNoRecords = errors.New("there are no records of a stream in it")

// recordsOf returns the records of an object: one that was parked, or those of a batch that Lambda has given up on. Of such a
// batch it writes when and why it did so, and as "payload" the event that it had for the function, as text
// (https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html).
func recordsOf(body []byte) ([]events.DynamoDBEventRecord, error) {
	var kind struct {
		Payload  json.RawMessage `json:"payload"`
		DynamoDB json.RawMessage `json:"dynamodb"`
	}
	if err := json.Unmarshal(body, &kind); err != nil {
		return nil, errNoRecords // an error of the decoder's may quote what it has read
	}
	if kind.DynamoDB != nil {
		var record events.DynamoDBEventRecord
		if err := json.Unmarshal(body, &record); err != nil {
			return nil, errNoRecords
		}
		return []events.DynamoDBEventRecord{record}, nil
	}
	payload := kind.Payload
	if strings.HasPrefix(string(payload), `"`) {
		var text string
		if err := json.Unmarshal(payload, &text); err != nil {
			return nil, errNoRecords
		}
		payload = json.RawMessage(text)
	}
	var event events.DynamoDBEvent
	if err := json.Unmarshal(payload, &event); err != nil || len(event.Records) == 0 {
		return nil, errNoRecords
	}
	return event.Records, nil
}
