package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/nightlatch/nightlatch/pkg/boltstore"
	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/dynamostore/eventsource"
	"github.com/nightlatch/nightlatch/pkg/notify"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// dynamo is the engine in a DynamoDB on this machine. What is no account (the key file, the clock) is in the data
// directory all the same; the embedded store, which holds it against a second process, is empty.
type dynamo struct {
	*dynamostore.Store
	config aws.Config
	tables dynamostore.Tables
	dir    *boltstore.Store
	seen   versions
}

// openDynamo opens the tables, and makes them on the first start. With it is closed dir, the data directory's store.
func openDynamo(endpoint, prefix string, dir *boltstore.Store) (*dynamo, error) {
	d := &dynamo{
		config: aws.Config{
			Region: "local", BaseEndpoint: &endpoint,
			Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
		},
		tables: dynamostore.Tables{Accounts: prefix + "accounts", History: prefix + "history", Config: prefix + "config"},
		dir:    dir,
	}
	d.Store = dynamostore.New(d.config, d.tables, dynamostore.Patient)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := dynamostore.CreateTables(ctx, d.Store); err != nil {
		return nil, fmt.Errorf("-dynamodb-endpoint %s: is there a DynamoDB? `make dynamodb` starts one at http://127.0.0.1:8000: %w", endpoint, err)
	}
	return d, nil
}

// defaultPrefix is how the names of the tables begin, unless a flag says otherwise.
const defaultPrefix = "nightlatch-"

// checkPrefix refuses what cannot begin the name of a table.
func checkPrefix(prefix string) error {
	for _, r := range prefix {
		if r > 'z' || !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789_-.", unicode.ToLower(r)) {
			return fmt.Errorf("-dynamodb-prefix %q: must be made of letters, digits, dots, hyphens and underscores", prefix)
		}
	}
	return nil
}

// checkEndpoint refuses what is not a DynamoDB on this machine: the local server makes tables, and its clock can be put
// forward.
//
// A name is replaced by the address that it stands for, so that neither a name server nor a proxy has a part in it.
func checkEndpoint(endpoint string) (string, error) {
	if endpoint == "" {
		return "", errors.New("-store dynamodb: say where it is with -dynamodb-endpoint, such as http://127.0.0.1:8000; `make dynamodb` starts one there")
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("-dynamodb-endpoint: must be a URL with a scheme and without a path or a password, such as http://127.0.0.1:8000")
	case !isLoopback(u.Hostname()):
		return "", fmt.Errorf("-dynamodb-endpoint %s: is not on this machine; the local server is for a DynamoDB at a loopback address only, such as http://127.0.0.1:8000", endpoint)
	}
	if strings.EqualFold(u.Hostname(), "localhost") {
		u.Host = "127.0.0.1" + strings.TrimPrefix(u.Host, u.Hostname())
	}
	return u.String(), nil
}

func (d *dynamo) counters() countersResponse {
	c := d.Counts()
	return countersResponse{Reads: c.Loads, Writes: c.Replaces}
}

// stream delivers DynamoDB's own stream to the function that does so on AWS, and notes what it sees.
func (d *dynamo) stream(ctx context.Context, log *slog.Logger, mails sendMails) error {
	function := notify.Records(notify.Sinks{History: d.Store, Mails: mails, Park: parkNowhere}, dynamostore.DecodeRecord, log)
	return eventsource.Run(ctx, d.config, d.tables.Accounts, log, func(ctx context.Context, e events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
		d.seen.note(e)
		return function(ctx, e)
	})
}

// parkNowhere passes over a record that cannot be decoded: it has been logged, and on a laptop nobody replays it.
func parkNowhere(context.Context, events.DynamoDBEventRecord) error { return nil }

// Versions returns the last versions that the stream has delivered since the start, which begins with all of the last 24
// hours.
func (d *dynamo) Versions(_ context.Context, user twofactor.UserID, n int) ([]json.RawMessage, error) {
	return d.seen.of(user, n), nil
}

func (d *dynamo) Close() error { return d.dir.Close() }

// keptVersions is how many versions of all users together are kept, as in the embedded store.
const keptVersions = 1000

// versions are the last that the stream has delivered. The zero value is ready.
type versions struct {
	mu   sync.Mutex
	last map[twofactor.UserID]int64
	all  []seenVersion // oldest first
}

type seenVersion struct {
	user  twofactor.UserID
	image json.RawMessage
}

// note keeps the versions of a batch, but for those that have come before.
func (v *versions) note(e events.DynamoDBEvent) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.last == nil {
		v.last = map[twofactor.UserID]int64{}
	}
	for _, r := range e.Records {
		version, ok, err := dynamostore.DecodeRecord(r)
		if err != nil || !ok || version.Version <= v.last[version.User] {
			continue
		}
		image, err := dynamostore.RecordJSON(r)
		if err != nil {
			continue
		}
		v.last[version.User] = version.Version
		v.all = append(v.all, seenVersion{version.User, image})
	}
	if over := len(v.all) - keptVersions; over > 0 {
		v.all = append([]seenVersion(nil), v.all[over:]...)
	}
}

// of returns the user's last n versions, newest first.
func (v *versions) of(user twofactor.UserID, n int) (images []json.RawMessage) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := len(v.all) - 1; i >= 0 && len(images) < n; i-- {
		if v.all[i].user == user {
			images = append(images, v.all[i].image)
		}
	}
	return images
}
