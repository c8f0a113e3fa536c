package eventsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"
)

// A script answers in place of a DynamoDB, which keeps 24 hours and cannot be made to forget sooner. It gets the operation
// and the request. What is no JSON object is the name of an exception; nothing is a refused connection.
type script func(operation, request string) (answer string)

func (s script) RoundTrip(r *http.Request) (*http.Response, error) {
	request, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	answer, status := s(operation, string(request)), http.StatusOK
	if answer == "" {
		return nil, errors.New("connection refused")
	}
	if answer[0] != '{' {
		answer, status = fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#%s"}`, answer), http.StatusBadRequest
	}
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, Header: http.Header{},
		ContentLength: int64(len(answer)), Body: io.NopCloser(strings.NewReader(answer)),
	}, nil
}

const (
	oneStream = `{"Streams":[{"StreamArn":"arn"}]}`
	twoShards = `{"StreamDescription":{"Shards":[{"ShardId":"parent"},{"ShardId":"child","ParentShardId":"parent"}]}}`
)

// records is an answer of records; an empty next ends the shard.
func records(next string, numbers ...string) string {
	var all []string
	for _, n := range numbers {
		all = append(all, fmt.Sprintf(`{"dynamodb":{"SequenceNumber":%q}}`, n))
	}
	if next != "" {
		next = fmt.Sprintf(`,"NextShardIterator":%q`, next)
	}
	return fmt.Sprintf(`{"Records":[%s]%s}`, strings.Join(all, ","), next)
}

// run runs a script until the function has seen the last record, or for ten minutes of the bubble's.
func (s script) run(t *testing.T, log io.Writer, last string, function func(number string) error) error {
	t.Helper()
	ctx, end := context.WithTimeout(t.Context(), 10*time.Minute)
	defer end()
	config := aws.Config{
		Region: "local", BaseEndpoint: aws.String("http://192.0.2.1"), HTTPClient: &http.Client{Transport: s},
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}
	return Run(ctx, config, "accounts", slog.New(slog.NewTextHandler(log, nil)), func(_ context.Context, e events.DynamoDBEvent) (r events.DynamoDBEventResponse, err error) {
		for _, record := range e.Records {
			if err := function(record.Change.SequenceNumber); err != nil {
				return r, err
			}
			if record.Change.SequenceNumber == last {
				end()
			}
		}
		return r, nil
	})
}

// TestTrimmed: when the place that was reached is gone, what is left of the shard comes, and then its children.
func TestTrimmed(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]string{"an iterator's": "TrimmedDataAccessException", "a read's": `{"ShardIterator":"trimmed"}`} {
		synctest.Test(t, func(t *testing.T) {
			asleep := false
			s := script(func(operation, request string) string {
				switch asked := func(part string) bool { return strings.Contains(request, `"`+part+`"`) }; {
				case operation == "ListStreams":
					return oneStream
				case operation == "DescribeStream":
					return twoShards
				case asked("AFTER_SEQUENCE_NUMBER"):
					return place
				case asked("child"):
					return `{"ShardIterator":"child's"}`
				case operation == "GetShardIterator" && asleep:
					return `{"ShardIterator":"left"}`
				case operation == "GetShardIterator":
					return `{"ShardIterator":"first"}`
				case asked("first"):
					return records("second", "100")
				case asked("second"):
					asleep = true
					return "ExpiredIteratorException"
				case asked("trimmed"):
					return "TrimmedDataAccessException"
				case asked("left"):
					return records("", "150", "160")
				}
				return records("on", "200")
			})
			var got []string
			err := s.run(t, io.Discard, "200", func(number string) error { got = append(got, number); return nil })
			if diff := cmp.Diff([]string{"100", "150", "160", "200"}, got); diff != "" || !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v; delivered (-want +got):\n%s", name, err, diff)
			}
		})
	}
}

// TestShardGone: a shard that is not there any more has ended: its children come.
func TestShardGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := script(func(operation, request string) string {
			switch {
			case operation == "ListStreams":
				return oneStream
			case operation == "DescribeStream":
				return twoShards
			case strings.Contains(request, "parent"):
				return "ResourceNotFoundException"
			case operation == "GetShardIterator":
				return `{"ShardIterator":"child's"}`
			}
			return records("on", "200")
		})
		if err := s.run(t, io.Discard, "200", func(string) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestGone: Run ends and says why when the stream is not there any more, whatever becomes of the shards meanwhile.
func TestGone(t *testing.T) {
	t.Parallel()
	for name, shard := range map[string]string{"gone": "ResourceNotFoundException", "not answered": ""} {
		synctest.Test(t, func(t *testing.T) {
			var described atomic.Bool
			s := script(func(operation, _ string) string {
				switch {
				case operation == "ListStreams":
					return oneStream
				case operation == "DescribeStream" && !described.Swap(true):
					return twoShards
				case operation == "DescribeStream":
					return "ResourceNotFoundException"
				}
				return shard
			})
			begin := time.Now()
			err := s.run(t, io.Discard, "", nil)
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("shards %s: ended after %v", name, took)
			}
			if !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), "table accounts: the stream is gone") {
				t.Errorf("shards %s: %v, want ErrGone", name, err)
			}
		})
	}
}

// TestTableDeleted: all that was written before the table was deleted comes, and that is the end.
func TestTableDeleted(t *testing.T) {
	t.Parallel()
	tab := newTable(t)
	want := tab.write("u", 3)
	ctx, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	var got []string
	err := Run(ctx, tab.config, tab.name, slog.New(slog.DiscardHandler), func(_ context.Context, e events.DynamoDBEvent) (r events.DynamoDBEventResponse, err error) {
		for _, rec := range e.Records {
			if v := versionOf(t, rec); v != "" {
				got = append(got, v)
			}
		}
		if len(got) == len(want) {
			_, err = dynamodb.NewFromConfig(tab.config).DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &tab.name})
		}
		return r, err
	})
	if diff := cmp.Diff([]string{"u 1", "u 2", "u 3"}, got); diff != "" || !errors.Is(err, ErrGone) {
		t.Errorf("Run: %v, want ErrGone; delivered (-want +got):\n%s", err, diff)
	}
}

// TestLogged: what fails for ten minutes is logged at once and then every minute.
func TestLogged(t *testing.T) {
	t.Parallel()
	for message, working := range map[string]string{
		"its shards cannot be listed": "ListStreams GetShardIterator", "a shard cannot be read": "ListStreams DescribeStream",
		"records come again": "ListStreams DescribeStream GetShardIterator GetRecords",
	} {
		synctest.Test(t, func(t *testing.T) {
			answers := map[string]string{
				"ListStreams": oneStream, "DescribeStream": twoShards, "GetShardIterator": `{"ShardIterator":"a"}`, "GetRecords": records("b", "100"),
			}
			s := script(func(operation, _ string) string {
				if !strings.Contains(working, operation) {
					return ""
				}
				return answers[operation]
			})
			begin := time.Now()
			var lines timed
			if err := s.run(t, &lines, "", func(string) error { return errors.New("broken") }); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Run: %v", err)
			}
			lines.mu.Lock()
			defer lines.mu.Unlock()
			if n := len(lines.at); n < 8 || n > 10 || lines.at[0].Sub(begin) > 10*time.Second {
				t.Errorf("%s: logged %d times in ten minutes, at %v", message, n, lines.at)
			}
			for i, text := range lines.text {
				if !strings.Contains(text, message) || !strings.Contains(text, "cause=") {
					t.Errorf("logged %s, want %q", text, message)
				}
				if i > 0 && lines.at[i].Sub(lines.at[i-1]) < time.Minute {
					t.Errorf("logged again after %v", lines.at[i].Sub(lines.at[i-1]))
				}
			}
		})
	}
}

// timed are lines of a log, and when they were written.
type timed struct {
	mu   sync.Mutex
	at   []time.Time
	text []string
}

func (l *timed) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at, l.text = append(l.at, time.Now()), append(l.text, string(p))
	return len(p), nil
}
