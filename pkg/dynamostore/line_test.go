package dynamostore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// A line lies between a store and DynamoDB. It carries every request but those that a fault is meant for.
type line struct {
	mu       sync.Mutex
	faults   map[string][]fault // of each operation's next requests, in their order; nil carries one
	always   fault              // of all others, if set
	sent     map[string]int     // requests of each operation, whatever became of them
	underWay int

	parts int // how many items DynamoDB gives at most for one Query, if set
}

// A fault is what becomes of a request. deliver has it carried out by DynamoDB.
type fault func(request *http.Request, deliver func() (*http.Response, error)) (*http.Response, error)

// faulty is a second store in the tables of s, at the end of a line. It knows the sentinel.
func faulty(t testing.TB, s *Store) (*Store, *line) {
	l := &line{faults: map[string][]fault{}, sent: map[string]int{}}
	f := New(local(t), s.tables, l.under, Patient)
	f.proven.Store(true)
	return f, l
}

// under puts the line under a client.
func (l *line) under(o *dynamodb.Options) { o.HTTPClient = &http.Client{Transport: l} }

// next says what becomes of the operation's next requests.
func (l *line) next(operation string, faults ...fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults[operation] = faults
}

// all says what becomes of all requests from now on.
func (l *line) all(f fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.always = f
}

// requests is how many there were of the operation.
func (l *line) requests(operation string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent[operation]
}

// carrier keeps connections to DynamoDB Local for all lines.
var carrier = &http.Transport{MaxIdleConnsPerHost: 64}

func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "DynamoDB_20120810.")
	l.mu.Lock()
	l.sent[operation]++
	l.underWay++
	f := l.always
	if faults := l.faults[operation]; len(faults) > 0 {
		f, l.faults[operation] = faults[0], faults[1:]
	}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.underWay--
	}()
	defer r.Body.Close()
	if operation == "Query" && l.parts > 0 {
		if err := inParts(r, l.parts); err != nil {
			return nil, err
		}
	}
	if f == nil {
		return carrier.RoundTrip(r)
	}
	return f(r, func() (*http.Response, error) { return carrier.RoundTrip(r) })
}

// inParts lowers the limit that a Query names, or sets one. DynamoDB Local does not look at the signature.
func inParts(r *http.Request, most int) error {
	query := map[string]any{}
	if err := json.NewDecoder(r.Body).Decode(&query); err != nil {
		return err
	}
	if limit, ok := query["Limit"].(float64); !ok || int(limit) > most {
		query["Limit"] = most
	}
	body, err := json.Marshal(query)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return err
}

// unsent fails before DynamoDB hears of it.
func unsent(err error) fault {
	return func(*http.Request, func() (*http.Response, error)) (*http.Response, error) { return nil, err }
}

// hang never answers, and DynamoDB does not hear of it.
func hang(r *http.Request, _ func() (*http.Response, error)) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// says answers in DynamoDB's place.
func says(status int, body string) fault {
	return func(r *http.Request, _ func() (*http.Response, error)) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Status: fmt.Sprint(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
			Header: http.Header{}, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)),
		}, nil
	}
}

// refuses answers with an error of DynamoDB's.
func refuses(code string) fault {
	return says(http.StatusBadRequest, fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"on purpose"}`, code))
}

// answered has DynamoDB carry the request out, and lets edit spoil the answer.
func answered(edit func(r *http.Request, answer *http.Response, body []byte) (*http.Response, error)) fault {
	return func(r *http.Request, deliver func() (*http.Response, error)) (*http.Response, error) {
		answer, err := deliver()
		if err != nil {
			return nil, err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			return nil, err
		}
		return edit(r, answer, body)
	}
}

// with is the answer with another body.
func with(answer *http.Response, body []byte) *http.Response {
	answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return answer
}

// then lets other things happen between the request and what becomes of its answer.
func then(happen func(), f fault) fault {
	return func(r *http.Request, deliver func() (*http.Response, error)) (*http.Response, error) {
		return f(r, func() (*http.Response, error) {
			answer, err := deliver()
			happen()
			return answer, err
		})
	}
}

var (
	refusedConnection = unsent(&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED})
	resetConnection   = unsent(&net.OpError{Op: "write", Net: "tcp", Err: syscall.ECONNRESET})

	throttled = refuses("ThrottlingException")
	denied    = refuses("AccessDeniedException")
)

// The ways in which an answer is lost to a request that DynamoDB has carried out.
var (
	lost = answered(func(*http.Request, *http.Response, []byte) (*http.Response, error) {
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	})
	closed   = answered(func(*http.Request, *http.Response, []byte) (*http.Response, error) { return nil, io.EOF })
	cutShort = answered(func(_ *http.Request, answer *http.Response, body []byte) (*http.Response, error) {
		half := io.MultiReader(bytes.NewReader(body[:len(body)/2]), broken{})
		answer.Body = io.NopCloser(half)
		return answer, nil
	})
	tooLate = answered(func(r *http.Request, _ *http.Response, _ []byte) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	stuck = answered(func(r *http.Request, answer *http.Response, body []byte) (*http.Response, error) {
		half := io.MultiReader(bytes.NewReader(body[:len(body)/2]), waiting{r})
		answer.Body = io.NopCloser(half)
		return answer, nil
	})
	emptied = answered(func(_ *http.Request, answer *http.Response, _ []byte) (*http.Response, error) {
		answer.Header.Del("X-Amz-Crc32")
		return with(answer, nil), nil
	})
	// altered still says what was consumed, but nothing else: only its checksum is wrong.
	altered = answered(func(_ *http.Request, answer *http.Response, body []byte) (*http.Response, error) {
		answer.Header.Set("X-Amz-Crc32", fmt.Sprint(crc32.ChecksumIEEE(body))) // DynamoDB Local says it of successes only
		return with(answer, []byte(`{"ConsumedCapacity":{"CapacityUnits":1}}`)), nil
	})
)

// broken is a body that breaks off.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// waiting is a body that never goes on.
type waiting struct{ r *http.Request }

func (w waiting) Read([]byte) (int, error) {
	<-w.r.Context().Done()
	return 0, w.r.Context().Err()
}
