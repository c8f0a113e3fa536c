package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/thaw"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// maxEntries is how many events EventBridge takes in one request. It also wants no more than 256 KB: ten of the longest
// that there are have not a tenth of that.
const maxEntries = 10

// Bus returns a [Sinks.Bus] that sends each event to an event bus of EventBridge, a name or an ARN, in cfg's region with cfg's
// credentials. It touches nothing yet.
//
// EventBridge takes each event by itself. What it has not taken is sent again, by itself, as often as a request would be;
// whose event it then has not said to have taken is in the result, with the reason.
func Bus(cfg aws.Config, bus string, options ...func(*eventbridge.Options)) func(context.Context, []twofactor.Version) map[twofactor.UserID]error {
	defaults := func(o *eventbridge.Options) {
		o.HTTPClient = thaw.Client(attemptTimeout)
		o.RetryMaxAttempts = maxAttempts // also where cfg has another number
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = pause })
	}
	client := eventbridge.NewFromConfig(cfg, append([]func(*eventbridge.Options){defaults}, options...)...)
	return func(ctx context.Context, batch []twofactor.Version) map[twofactor.UserID]error {
		failed := map[twofactor.UserID]error{}
		var waiting []entry
		for _, v := range batch {
			for _, e := range v.Events {
				made, err := newEntry(bus, v.User, e)
				if err != nil {
					failed[v.User] = err
					continue
				}
				waiting = append(waiting, made)
			}
		}
		for len(waiting) > 0 {
			some := waiting[:min(maxEntries, len(waiting))]
			waiting = waiting[len(some):]
			for user, err := range put(ctx, client, some) {
				failed[user] = errors.Join(failed[user], err)
			}
		}
		return failed
	}
}

// An entry is an event for the bus, and whose it is.
type entry struct {
	types.PutEventsRequestEntry
	user twofactor.UserID
}

func newEntry(bus string, user twofactor.UserID, e twofactor.Event) (entry, error) {
	detail, err := json.Marshal(Detail(user, e))
	if err != nil {
		return entry{}, fmt.Errorf("event %s: %w", e.ID, err)
	}
	return entry{types.PutEventsRequestEntry{
		EventBusName: &bus, Source: aws.String(api.EventSource), DetailType: aws.String(string(e.Type)),
		Time: aws.Time(e.At), Detail: aws.String(string(detail)),
	}, user}, nil
}

// put sends at most maxEntries entries, again and again those alone that were not taken, and returns who has one that never
// was.
func put(ctx context.Context, client *eventbridge.Client, waiting []entry) map[twofactor.UserID]error {
	failed := map[twofactor.UserID]error{}
	for attempt := 1; ; attempt++ {
		in := &eventbridge.PutEventsInput{}
		for _, e := range waiting {
			in.Entries = append(in.Entries, e.PutEventsRequestEntry)
		}
		out, err := client.PutEvents(ctx, in)
		if err == nil && len(out.Entries) != len(waiting) {
			err = errors.New("EventBridge does not say what became of an event")
		}
		if err != nil { // of all of them; the client has tried again
			for _, e := range waiting {
				failed[e.user] = err
			}
			return failed
		}
		var refused []entry
		clear(failed)
		for i, told := range out.Entries { // in the order of the request
			if told.ErrorCode != nil || aws.ToString(told.EventId) == "" {
				refused = append(refused, waiting[i])
				failed[waiting[i].user] = fmt.Errorf("EventBridge refuses an event: %s: %s", aws.ToString(told.ErrorCode), aws.ToString(told.ErrorMessage))
			}
		}
		if len(refused) == 0 || attempt == maxAttempts {
			return failed
		}
		waiting = refused
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return failed
		}
	}
}

// Detail is what the bus is told of an event. Who did it is a role and not a name; an address on the network is told of
// users and of hosts, which know it anyway, and not of those who work for the service. A reason is a code, and an address is
// one: what people have written stays in the history.
func Detail(user twofactor.UserID, e twofactor.Event) api.BusEvent {
	d := api.BusEvent{
		Version: api.EventVersion, ID: e.ID, User: string(user), At: e.At.UTC(), Type: string(e.Type), Outcome: string(e.Outcome),
		Method: string(e.Method), Actor: string(e.Actor), Operation: string(e.Operation),
	}
	if d.Method == "" {
		d.Method = string(twofactor.MethodNone)
	}
	if ip, err := netip.ParseAddr(e.IP); err == nil && (e.Actor == twofactor.ActorUser || e.Actor == twofactor.ActorHost) {
		d.IP = ip.WithZone("").String() // a zone can be anything; and hosts may pass on what a header says
	}
	if e.Actor != twofactor.ActorOperator && isCode(e.Reason) {
		d.Reason = e.Reason
	}
	return d
}

// isCode says whether a reason is one of the service's own.
func isCode(s string) bool {
	return len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") == ""
}
