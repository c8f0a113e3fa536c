package dynamostore

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// passing are the faults that another attempt may get over.
var passing = map[string]fault{
	"ThrottlingException":                    throttled,
	"ProvisionedThroughputExceededException": refuses("ProvisionedThroughputExceededException"),
	"RequestLimitExceeded":                   refuses("RequestLimitExceeded"),
	"InternalServerError":                    says(http.StatusInternalServerError, `{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError"}`),
	"500 in words":                           says(http.StatusInternalServerError, "<html><body>no</body></html>"),
	"503 and nothing else":                   says(http.StatusServiceUnavailable, ""),
	"connection refused":                     refusedConnection,
	"connection reset":                       resetConnection,
}

// TestThirdAttempt: what passes is got over twice, and what does not is given up the third time.
func TestThirdAttempt(t *testing.T) {
	t.Parallel()
	for name, f := range passing {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			one := put(t, s, &twofactor.Account{User: "u"}, 1)
			two := next(one)
			s, line := faulty(t, s)
			sent := func(operation string, want int) {
				t.Helper()
				if got := line.requests(operation); got != want {
					t.Errorf("%d requests of %s, want %d", got, operation, want)
				}
			}
			line.next("GetItem", f, f)
			wantStored(t, s, one)
			sent("GetItem", 3)
			line.next("PutItem", f, f)
			if err := s.Replace(t.Context(), two); err != nil {
				t.Error(err)
			}
			sent("PutItem", 3)
			wantStored(t, s, two)
			sent("GetItem", 4)

			line.next("GetItem", f, f, f)
			if a, err := s.Load(t.Context(), "u"); err == nil || a != nil {
				t.Errorf("Load = %v, %v; want an error", a, err)
			}
			sent("GetItem", 7)
			line.next("PutItem", f, f, f)
			err := s.Replace(t.Context(), next(two))
			if _, conflict := isConflict(err); err == nil || conflict {
				t.Errorf("Replace: %v, want an error that is no conflict", err)
			}
			sent("PutItem", 6)
			wantStored(t, s, two)
		})
	}
}

// TestOneAttempt: when all is well nothing is sent twice.
func TestOneAttempt(t *testing.T) {
	t.Parallel()
	s, line := faulty(t, open(t))
	one := put(t, s, &twofactor.Account{User: "u"}, 1)
	wantStored(t, s, one)
	if _, conflict := isConflict(s.Replace(t.Context(), one)); conflict {
		t.Error("what had landed is a conflict")
	}
	if _, conflict := isConflict(s.Replace(t.Context(), first("u"))); !conflict {
		t.Error("no conflict")
	}
	if puts, gets := line.requests("PutItem"), line.requests("GetItem"); puts != 3 || gets != 1 {
		t.Errorf("%d and %d requests, want 3 and 1", puts, gets)
	}
}

// TestHanging: when DynamoDB does not answer at all, three attempts and two pauses end within four seconds. The clock is
// the bubble's.
func TestHanging(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &line{faults: map[string][]fault{}, sent: map[string]int{}, always: hang}
		s := New(aws.Config{
			Region: "eu-central-1", BaseEndpoint: aws.String("http://192.0.2.1"),
			Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
		}, Tables{"accounts", "history", "config"}, l.under)
		s.proven.Store(true)
		start := time.Now()
		a, err := s.Load(t.Context(), "u")
		if err == nil || a != nil {
			t.Errorf("Load = %v, %v; want an error", a, err)
		}
		if took := time.Since(start); took < 3*time.Second || took > 3300*time.Millisecond {
			t.Errorf("given up after %v, want three seconds and up to 300 ms of pauses", took)
		}
		if n := l.requests("GetItem"); n != 3 {
			t.Errorf("%d attempts, want 3", n)
		}
	})
}

// TestClient: the client that is used when no option says otherwise, whatever the rest of the program is configured to.
func TestClient(t *testing.T) {
	t.Parallel()
	if attemptTimeout != time.Second || maxAttempts != 3 {
		t.Errorf("%d attempts of %v, want 3 of a second", maxAttempts, attemptTimeout)
	}
	s := New(aws.Config{
		RetryMaxAttempts: 10, RetryMode: aws.RetryModeAdaptive, HTTPClient: http.DefaultClient,
		Retryer: func() aws.Retryer { return aws.NopRetryer{} },
	}, Tables{})
	o := s.client.Options()
	if n := o.Retryer.MaxAttempts(); n != maxAttempts {
		t.Errorf("%d attempts, want %d", n, maxAttempts)
	}
	for attempt, most := range map[int]time.Duration{1: 2 * meanPause, 2: 4 * meanPause} {
		var longest time.Duration
		for range 1000 {
			pause, err := o.Retryer.RetryDelay(attempt, errors.New("any"))
			if err != nil || pause < 0 || pause >= most {
				t.Fatalf("pause %v, %v after attempt %d; want less than %v", pause, err, attempt, most)
			}
			longest = max(longest, pause)
		}
		if longest < most*9/10 { // once in 10^45
			t.Errorf("the longest of a thousand pauses after attempt %d is %v, want them up to %v", attempt, longest, most)
		}
	}
	client, ok := o.HTTPClient.(whole)
	if !ok {
		t.Fatalf("client %T", o.HTTPClient)
	}
	if client.timeout != attemptTimeout {
		t.Errorf("attempts end after %v, want %v", client.timeout, attemptTimeout)
	}
	own, ok := client.client.(*http.Client)
	if !ok {
		t.Fatalf("client %T", client.client)
	}
	if n := own.Transport.(*http.Transport).MaxIdleConnsPerHost; n < 64 {
		t.Errorf("%d idle connections are kept, want 64", n)
	}
	if o.EndpointDiscovery.EnableEndpointDiscovery == aws.EndpointDiscoveryEnabled {
		t.Error("each endpoint is discovered first")
	}
	if got := New(aws.Config{}, Tables{}, func(o *dynamodb.Options) { o.HTTPClient = http.DefaultClient }); got.client.Options().HTTPClient != (whole{http.DefaultClient, attemptTimeout}) {
		t.Errorf("with an option the client is %#v", got.client.Options().HTTPClient)
	}
	if got := New(aws.Config{}, Tables{}, Patient).client.Options().HTTPClient.(whole); got.timeout != 10*attemptTimeout || got.client == nil {
		t.Errorf("the patient client is %#v", got)
	}
}
