package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"

	"github.com/nightlatch/nightlatch/pkg/boltstore"
	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/notify"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// engine keeps the accounts, their history and the sealed keys: in a file, or in DynamoDB.
type engine interface {
	twofactor.Store
	twofactor.MailLog
	keyring.Store

	// Item returns the user's account as it is stored; nil if there is none.
	Item(ctx context.Context, user twofactor.UserID) (json.RawMessage, error)
	// Versions returns the last n versions of it that are still kept, newest first.
	Versions(ctx context.Context, user twofactor.UserID, n int) ([]json.RawMessage, error)

	// counters is what it has been asked for since the start.
	counters() countersResponse
	// stream has the history written, and the mails asked for, from what is stored, now and after a restart, until ctx ends.
	stream(ctx context.Context, log *slog.Logger, mails sendMails) error
	Close() error
}

// sendMails sends the mails that jobs ask for.
type sendMails = func(context.Context, []twofactor.MailJob) error

// openEngine opens the engine that the flags choose. In either case it is the embedded store's file that keeps a second
// process out of the data directory.
func openEngine(o options, data string) (engine, error) {
	database := filepath.Join(data, "nightlatch.db")
	if err := checkPrivate(database); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("-data %s: %w", o.data, err)
	}
	store, err := boltstore.Open(database)
	switch {
	case errors.Is(err, boltstore.ErrInUse):
		return nil, fmt.Errorf("-data %s: the directory is in use by another process; stop that, or choose another directory with -data", o.data)
	case err != nil:
		return nil, fmt.Errorf("-data %s: %w", o.data, err)
	case o.endpoint == "":
		return embedded{store}, nil
	}
	tables, err := openDynamo(o.endpoint, o.prefix, store)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return tables, nil
}

// embedded is the engine in a file.
type embedded struct{ *boltstore.Store }

func (e embedded) counters() countersResponse {
	c := e.Counts()
	return countersResponse{Reads: c.Loads, Writes: c.Replaces}
}

func (e embedded) stream(ctx context.Context, log *slog.Logger, mails sendMails) error {
	history := notify.Versions(notify.Sinks{History: e, Mails: mails}, log)
	return e.Stream(ctx, func(ctx context.Context, batch []twofactor.Version) error {
		err := history(ctx, batch)
		if err != nil && ctx.Err() == nil {
			log.ErrorContext(ctx, "versions not taken; they come again", "cause", err)
		}
		return err
	})
}
