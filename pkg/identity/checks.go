package identity

import (
	"context"
	"errors"
	"fmt"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Checks are a client as the recovery asks it: about the checks of a reset, in the words of package twofactor.
type Checks struct{ Client *Client }

// Begin opens an inquiry for a reset; the same attempt again returns the same one.
func (c Checks) Begin(ctx context.Context, resetID string, attempt int) (inquiry string, err error) {
	inquiry, err = c.Client.Create(ctx, resetID, attempt)
	return inquiry, told(err)
}

// Link returns a link to an inquiry, good once. The error is [twofactor.ErrInquiryClosed] for one that nobody can go on
// with.
func (c Checks) Link(ctx context.Context, inquiry string) (url string, err error) {
	url, err = c.Client.OneTimeLink(ctx, inquiry)
	return url, told(err)
}

// Result says what an inquiry has come to. One that the service does not know any more has lapsed.
func (c Checks) Result(ctx context.Context, inquiry string) (twofactor.IdentityOutcome, twofactor.Person, error) {
	found, err := c.Client.Fetch(ctx, inquiry)
	switch {
	case errors.Is(err, ErrNotFound):
		return twofactor.IdentityLapsed, twofactor.Person{}, nil
	case err != nil:
		return "", twofactor.Person{}, told(err)
	}
	return inWords[found.Status.Outcome()], twofactor.Person(found.Person), nil
}

var inWords = map[Outcome]twofactor.IdentityOutcome{
	Open: twofactor.IdentityOpen, Waiting: twofactor.IdentitySubmitted, Passed: twofactor.IdentityPassed,
	Failed: twofactor.IdentityFailed, Lapsed: twofactor.IdentityLapsed,
}

// told is an error in the words of package twofactor. What is our own fault stays as it is: a bare 500, for somebody to
// see.
func told(err error) error {
	switch {
	case errors.Is(err, ErrUnavailable):
		return fmt.Errorf("%w: %w", twofactor.ErrUnavailable, err)
	case errors.Is(err, ErrClosed), errors.Is(err, ErrNotFound):
		return fmt.Errorf("%w: %w", twofactor.ErrInquiryClosed, err)
	}
	return err
}

// Webhooks opens webhooks: it says which inquiry of which reset may have moved. The error is [twofactor.ErrUnavailable]
// when the secrets cannot be read; any other says that it is not to be believed.
func Webhooks(secrets *Secrets) func(ctx context.Context, signature string, body []byte) (inquiry, resetID string, err error) {
	return func(ctx context.Context, signature string, body []byte) (inquiry, resetID string, err error) {
		if err := secrets.Verify(ctx, signature, body); err != nil {
			return "", "", told(err)
		}
		hint, err := ParseWebhook(body)
		return hint.InquiryID, hint.Reference, err
	}
}
