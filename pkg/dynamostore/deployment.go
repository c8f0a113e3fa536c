package dynamostore

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// deployment is the config item which says whose keysets the config table holds. Its id is in the sentinel of the accounts
// table as well, so that neither table is taken for another deployment's.
type deployment struct {
	Schema int    `json:"schema"`
	ID     string `json:"id"`
	// Joined says that the accounts table has had its sentinel. From then on none is put into any other.
	Joined bool `json:"joined"`
	// Keysets are those that were made. From then on none of them is made again.
	Keysets []string `json:"keysets,omitempty"`

	version int64 // of the item; 0: there is none
}

const (
	deploymentItem   = "deployment"
	deploymentSchema = 1
	// maxJoins is how often a write is decided again after a conflict: only deployments write the item.
	maxJoins = 8
)

// deployment returns what the config item says, or an error unless the sentinel says the same. The zero value: neither table is
// a deployment's yet.
func (s *Store) deployment(ctx context.Context) (deployment, error) {
	d, err := s.readDeployment(ctx)
	if errors.Is(err, ErrNoSentinel) || errors.Is(err, ErrOtherDeployment) {
		d, err = s.readDeployment(ctx) // one read may have come before a Join, and the other after it
	}
	return d, err
}

// readDeployment reads both at once: a cold start waits for them.
func (s *Store) readDeployment(ctx context.Context) (deployment, error) {
	var d deployment
	read := make(chan error, 1)
	go func() { read <- s.loadDeployment(ctx, &d) }()
	id, marked, err := s.sentinel(ctx)
	if err := errors.Join(err, <-read); err != nil {
		return deployment{}, err
	}
	switch {
	case d.version == 0 && marked:
		err = fmt.Errorf("%w: the accounts table is in use, and the config table %s holds no deployment: it is another table, or was lost. "+
			"New keysets would open nothing: name the config table that belongs to the accounts, or restore it", ErrOtherDeployment, s.tables.Config)
	case marked && id != d.ID:
		err = fmt.Errorf("%w: name the accounts table that belongs to the config table %s, or a restored copy of it", ErrOtherDeployment, s.tables.Config)
	case d.Joined && !marked:
		err = fmt.Errorf("%w. Name the accounts table that belongs to the config table %s, or a restored copy of it; "+
			"to begin without accounts, name a new config table as well", ErrNoSentinel, s.tables.Config)
	}
	if err != nil {
		return deployment{}, failed(s.tables.Accounts, err)
	}
	return d, nil
}

func (s *Store) loadDeployment(ctx context.Context, d *deployment) error {
	value, version, err := s.LoadConfig(ctx, deploymentItem)
	if err != nil || version == 0 {
		return err
	}
	if err := json.Unmarshal(value, d); err != nil {
		return damaged("config item %s: %w", deploymentItem, err)
	}
	switch {
	case d.Schema > deploymentSchema:
		return fmt.Errorf("config item %s: %w", deploymentItem, twofactor.ErrNewerSchema)
	case d.Schema != deploymentSchema || d.ID == "":
		return damaged("config item %s: it has no schema or no id", deploymentItem)
	}
	d.version = version
	return nil
}

func (s *Store) replaceDeployment(ctx context.Context, d deployment) error {
	value, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return s.ReplaceConfig(ctx, deploymentItem, value, d.version+1)
}

// Deployed says whether the tables are a deployment's, and which keysets it has made. An error wraps [ErrNoSentinel] or
// [ErrOtherDeployment] if the tables do not belong together, and says what to do.
func (s *Store) Deployed(ctx context.Context) (begun bool, keysets []string, err error) {
	d, err := s.deployment(ctx)
	return d.version > 0, d.Keysets, err
}

// Begin makes the tables a deployment's, unless they are. It is to be called before the first keyset is made. Of those who
// race, all succeed.
func (s *Store) Begin(ctx context.Context) error {
	d, err := s.deployment(ctx)
	if err != nil || d.version > 0 {
		return err
	}
	err = s.replaceDeployment(ctx, deployment{Schema: deploymentSchema, ID: rand.Text()})
	var conflict *twofactor.Conflict
	if errors.As(err, &conflict) {
		return nil // somebody else's is there now
	}
	return err
}

// Join marks the accounts table as the deployment's, and records that these keysets were made. It is to be called after Begin,
// and again after each keyset that is new. An accounts table is marked only once in a deployment's life: errors are those of
// Deployed. Of those who race, all succeed.
func (s *Store) Join(ctx context.Context, keysets ...string) error {
	for attempt := 1; ; attempt++ {
		d, err := s.deployment(ctx)
		if err == nil && d.version == 0 {
			err = errors.New("the deployment has not begun")
		}
		if err != nil {
			return err
		}
		if !d.Joined {
			if err := s.createSentinel(ctx, d.ID); err != nil {
				return err
			}
			if id, _, err := s.sentinel(ctx); err != nil || id != d.ID { // another deployment's may have come first
				return failed(s.tables.Accounts, errors.Join(err, ErrOtherDeployment))
			}
		}
		all := slices.Concat(d.Keysets, keysets)
		slices.Sort(all)
		all = slices.Compact(all)
		if d.Joined && len(all) == len(d.Keysets) {
			return nil
		}
		d.Joined, d.Keysets = true, all
		err = s.replaceDeployment(ctx, d)
		var conflict *twofactor.Conflict
		if !errors.As(err, &conflict) || attempt == maxJoins {
			return err
		}
	}
}
