package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/nightlatch/nightlatch/pkg/thaw"
)

const (
	secretsFor = 5 * time.Minute // secrets are believed without another look
	againAfter = time.Minute     // between two looks ahead of time
	maxSecrets = 4               // in one value; while one is replaced there are two

	secretAttemptFor = time.Second            // an attempt that Secrets Manager does not answer
	secretPause      = 200 * time.Millisecond // at most, before the second attempt and the third
)

// Secrets are values that are kept somewhere else: Persona's API key, or the secrets of its webhooks. They are fetched when
// they are first needed, and again after five minutes. A failure is not kept. They do not show themselves: every fmt verb
// gives "[secrets]", and JSON nothing. Safe for concurrent use.
//
// Where they are kept they are text, and each is a word of it: two of them while one is replaced by the other.
type Secrets struct {
	fetch func(context.Context) ([]byte, error)
	now   func() time.Time

	turn    chan struct{} // whoever has put something in may touch what follows
	values  []string
	fetched time.Time // when values were
	again   time.Time // when somebody last looked ahead of time
}

// NewSecrets returns what fetch fetches. It fetches nothing yet.
func NewSecrets(fetch func(context.Context) ([]byte, error), now func() time.Time) *Secrets {
	return &Secrets{fetch: fetch, now: now, turn: make(chan struct{}, 1)}
}

// Get returns the secrets, one at least, which are not five minutes old. Error: ErrUnavailable.
func (s *Secrets) Get(ctx context.Context) ([]string, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	defer s.done()
	if age := s.now().Sub(s.fetched); s.values != nil && 0 <= age && age < secretsFor {
		return slices.Clone(s.values), nil
	}
	return s.load(ctx)
}

// Again is for somebody with whom the secrets did not do: they may have been replaced. It fetches them, once a minute at
// most, since whoever sends forged webhooks has them do for nobody; in between it is Get. Error: ErrUnavailable.
func (s *Secrets) Again(ctx context.Context) ([]string, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	now := s.now()
	if now.Sub(s.again) < againAfter {
		s.done()
		return s.Get(ctx)
	}
	defer s.done()
	s.again = now
	return s.load(ctx)
}

// Verify is VerifyWebhook with the secrets, and with them fetched again where none of them matches.
// Errors: ErrSignature, ErrStale, ErrUnavailable.
func (s *Secrets) Verify(ctx context.Context, header string, body []byte) error {
	secrets, err := s.Get(ctx)
	if err != nil {
		return err
	}
	err = VerifyWebhook(header, body, secrets, s.now())
	if !errors.Is(err, ErrSignature) {
		return err
	}
	fresh, unavailable := s.Again(ctx)
	if unavailable != nil {
		return unavailable
	}
	if slices.Equal(fresh, secrets) {
		return err
	}
	return VerifyWebhook(header, body, fresh, s.now())
}

// load fetches, with the turn taken.
func (s *Secrets) load(ctx context.Context) ([]string, error) {
	at := s.now()
	value, err := s.fetch(ctx)
	var values []string
	if err == nil {
		values, err = parseSecrets(value)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: its secrets: %w", ErrUnavailable, err)
	}
	s.values, s.fetched = values, at
	return slices.Clone(values), nil
}

func (s *Secrets) wait(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: its secrets: %w", ErrUnavailable, ctx.Err())
	}
}

func (s *Secrets) done() { <-s.turn }

// parseSecrets takes a value apart. Its errors do not quote it.
func parseSecrets(value []byte) ([]string, error) {
	words := strings.Fields(string(value))
	switch {
	case len(words) == 0:
		return nil, errors.New("there is nothing in them")
	case len(words) > maxSecrets:
		return nil, fmt.Errorf("there are more than %d", maxSecrets)
	}
	for _, word := range words {
		if !isReference(word) || strings.ContainsAny(word, `{}"`) {
			return nil, errors.New("they must be themselves, in plain text and not in JSON, with space between")
		}
	}
	return words, nil
}

// Format writes "[secrets]", whatever the verb.
func (*Secrets) Format(f fmt.State, _ rune) { io.WriteString(f, "[secrets]") }

// SecretsManager returns a fetch for NewSecrets: the current version of a secret in Secrets Manager, in cfg's region with
// cfg's credentials. It touches nothing yet.
func SecretsManager(cfg aws.Config, secretARN string, options ...func(*secretsmanager.Options)) func(context.Context) ([]byte, error) {
	defaults := func(o *secretsmanager.Options) {
		o.HTTPClient = thaw.Client(secretAttemptFor)
		o.RetryMaxAttempts = attempts // also where cfg has another number
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = secretPause })
	}
	client := secretsmanager.NewFromConfig(cfg, append([]func(*secretsmanager.Options){defaults}, options...)...)
	return func(ctx context.Context) ([]byte, error) {
		if secretARN == "" {
			return nil, errors.New("no secret is configured")
		}
		out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &secretARN})
		if err != nil {
			return nil, err
		}
		if out.SecretString != nil {
			return []byte(*out.SecretString), nil
		}
		return out.SecretBinary, nil
	}
}
