package main

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/identity"
	"github.com/nightlatch/nightlatch/pkg/identity/standin"
	"github.com/nightlatch/nightlatch/pkg/token"
)

// reviewersAddress is where the demo's reviewers are told of cases.
const reviewersAddress = "reviewers@example.com"

// sweepEvery is how often is looked for what time has made due. On AWS it is five minutes.
const sweepEvery = 2 * time.Second

// identityPath is where the stand-in for the identity service is.
const identityPath = "/dev/identity"

// check is what the recovery asks who somebody is: the real client, and the stand-in for the service that it asks.
type check struct {
	service  *standin.Service
	client   handler.Identity
	webhooks handler.Webhook
}

// openCheck makes the stand-in with the inquiries that are kept in the data directory, and the client that asks it.
func (s *server) openCheck(data string) (check, error) {
	key, err := keepText(filepath.Join(data, "identity-key"), "persona_")
	if err != nil {
		return check{}, err
	}
	kept := filepath.Join(data, "identity.json")
	service, err := standin.New(standin.Config{
		URL: s.url + identityPath, APIKey: key, WebhookURL: s.url + "/v1/webhooks/persona", WebhookSecret: s.webhookKey,
		Person: s.personOf, Now: s.clock.now, Log: s.log,
		Load: func() ([]byte, error) {
			content, err := readFile(kept)
			if errors.Is(err, fs.ErrNotExist) {
				return nil, nil
			}
			return content, err
		},
		Save: func(content []byte) error { return replacePrivate(kept, content) },
	})
	if err != nil {
		return check{}, err
	}
	text := func(secret string) *identity.Secrets {
		return identity.NewSecrets(func(context.Context) ([]byte, error) { return []byte(secret), nil }, s.clock.now)
	}
	client, err := identity.New(identity.Config{
		URL: s.url + identityPath, Template: "itmpl_demo", ReturnTo: s.url + "/#/reset/thanks", APIKey: text(key),
	})
	if err != nil {
		return check{}, errors.Join(err, closed(service))
	}
	return check{service, identity.Checks{Client: client}, identity.Webhooks(text(s.webhookKey))}, nil
}

func closed(s *standin.Service) error {
	s.Close()
	return nil
}

// personOf is who shows an ID for a reset: its user, as the demo application knows them.
func (s *server) personOf(reference string) standin.Person {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	keys, err := s.keys.Tokens(ctx)
	if err != nil {
		return standin.Person{}
	}
	user, err := token.OpenResetID(keys.IDs, reference)
	if err != nil {
		return standin.Person{}
	}
	known, _ := userOf(string(user))
	return standin.Person{
		First: known.First, Last: known.Last, Birthdate: known.Birthdate, Phone: known.Phone,
		Street: "1 Sample Street", City: "Oakland", Region: "CA", PostalCode: "94601", Country: "US",
	}
}

// sweep looks every few seconds for what time has made due, until ctx ends.
func (s *server) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = s.functions.Load().sweep(ctx) // it has told what failed, and comes again
		}
	}
}

// readFile reads a private file of any length.
func readFile(path string) ([]byte, error) {
	if err := checkPrivate(path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// inquiries is where reviewers see an inquiry.
func (s *server) inquiries() string {
	u, err := url.JoinPath(s.url, identityPath)
	if err != nil {
		panic(err) // it is ours
	}
	return u + "/"
}
