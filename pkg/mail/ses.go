package mail

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	netmail "net/mail"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ses"
	"github.com/aws/aws-sdk-go-v2/service/ses/types"
	"github.com/aws/smithy-go"

	"github.com/nightlatch/nightlatch/pkg/thaw"
)

const (
	// attemptTimeout ends an attempt that SES does not answer. A usual answer takes some hundred milliseconds.
	attemptTimeout = 2 * time.Second
	// maxAttempts is how often a mail is tried at once. With the pauses between them they take 7 seconds at most, of the
	// 10 that a function has.
	maxAttempts = 3
	// pause is the longest before the second attempt and the third. The SDK's own goes to 20 seconds.
	pause = 500 * time.Millisecond
)

// ErrRejected is the error of a mail that will never be sent: the address is none, or SES refuses the sender, the
// recipient (in the sandbox, any that is not verified) or the content. After any other error it can be tried again.
var ErrRejected = errors.New("mail: rejected")

// SES sends mails through Amazon SES.
type SES struct {
	client           *ses.Client
	from             netmail.Address
	configurationSet string
}

// NewSES returns a sender in cfg's region with cfg's credentials. It touches nothing yet. The configuration set is what
// tells bounces; it may be empty.
func NewSES(cfg aws.Config, from netmail.Address, configurationSet string, options ...func(*ses.Options)) *SES {
	defaults := func(o *ses.Options) {
		o.HTTPClient = thaw.Client(attemptTimeout)
		o.RetryMaxAttempts = maxAttempts // also where cfg has another number
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = pause })
	}
	client := ses.NewFromConfig(cfg, append([]func(*ses.Options){defaults}, options...)...)
	return &SES{client, from, configurationSet}
}

// Send sends a message to one address and returns the id that SES gave it. Tags come back with what SES tells of the
// mail later: their names are ASCII letters, digits, hyphens and underscores, their values become so by [EncodeTag]. A
// mail whose answer was lost may have been sent: trying again may send it twice.
func (s *SES) Send(ctx context.Context, to string, m Message, tags map[string]string) (messageID string, err error) {
	raw, err := m.MIME(Envelope{From: s.from, To: to, Date: time.Now(), ID: rand.Text()})
	if err != nil {
		return "", err
	}
	in := &ses.SendRawEmailInput{
		Source: &s.from.Address, Destinations: []string{to}, // whatever the header says
		RawMessage: &types.RawMessage{Data: raw},
	}
	if s.configurationSet != "" {
		in.ConfigurationSetName = &s.configurationSet
	}
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		value := EncodeTag(tags[name])
		if !isTag(name) || !isTag(value) {
			return "", fmt.Errorf("mail: not a tag: %q: %q", name, tags[name])
		}
		in.Tags = append(in.Tags, types.MessageTag{Name: &name, Value: &value})
	}
	switch out, err := s.client.SendRawEmail(ctx, in); {
	case err != nil && isRejection(err):
		return "", fmt.Errorf("%w: %w", ErrRejected, err)
	case err != nil:
		return "", fmt.Errorf("mail: %w", err)
	case aws.ToString(out.MessageId) == "":
		return "", errors.New("mail: SES answers without a message id")
	default:
		return *out.MessageId, nil
	}
}

// isRejection tells what SES will answer again from what may pass: too much at once, a pause, a configuration set or a
// permission that is missing.
func isRejection(err error) bool {
	var refusal smithy.APIError
	return errors.As(err, &refusal) &&
		slices.Contains([]string{"MessageRejected", "InvalidParameterValue"}, refusal.ErrorCode())
}
