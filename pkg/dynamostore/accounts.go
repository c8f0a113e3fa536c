package dynamostore

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Load returns the account; see [twofactor.Store].
func (s *Store) Load(ctx context.Context, user twofactor.UserID) (*twofactor.Account, error) {
	s.count(func(n *Counts) { n.Loads++ })
	if err := user.Validate(); err != nil {
		return nil, err
	}
	proven := make(chan error, 1)
	if s.proven.Load() {
		proven <- nil
	} else {
		go func() { proven <- s.prove(ctx) }() // beside the account: a cold start waits once
	}
	stored, err := s.get(ctx, s.tables.Accounts, keyUser, string(user))
	if err := errors.Join(err, <-proven); err != nil {
		return nil, err
	}
	return decodeAccount(user, stored)
}

// Replace stores the account's next version; see [twofactor.Store].
func (s *Store) Replace(ctx context.Context, next *twofactor.Account) error {
	s.count(func(n *Counts) { n.Replaces++ })
	if err := next.User.Validate(); err != nil {
		return err
	}
	if err := s.prove(ctx); err != nil {
		return err
	}
	stored, err := encodeAccount(next, s.region)
	if err != nil {
		return err
	}
	in := &dynamodb.PutItemInput{TableName: &s.tables.Accounts, Item: stored}
	if next.Version == 1 {
		in.ConditionExpression = aws.String("attribute_not_exists(#user)")
		in.ExpressionAttributeNames = map[string]string{"#user": keyUser}
	} else {
		// An item of a newer schema may have fields that this code would drop.
		in.ConditionExpression = aws.String("#version = :before AND #schema <= :known")
		in.ExpressionAttributeNames = map[string]string{"#version": attrVersion, "#schema": attrSchema}
		in.ExpressionAttributeValues = item{":before": number(next.Version - 1), ":known": number(twofactor.Schema)}
	}
	met, current, err := s.put(ctx, in)
	switch {
	case otherRegion(err):
		s.count(func(n *Counts) { n.Conflicts++ })
		return &twofactor.Conflict{}
	case err != nil || met:
		return err
	case current == nil: // nothing is there, or only not told: a read tells
		if current, err = s.get(ctx, s.tables.Accounts, keyUser, string(next.User)); err != nil {
			return err
		}
	}
	return s.lost(next, current)
}

// lost tells a write that lost the race from one that had landed before, and whose answer did not arrive.
func (s *Store) lost(next *twofactor.Account, current item) error {
	account, err := decodeAccount(next.User, current)
	if err != nil {
		return err
	}
	if n := len(next.Writes); n > 0 && slices.Contains(account.Writes, next.Writes[n-1]) {
		return nil
	}
	s.count(func(n *Counts) { n.Conflicts++ })
	return &twofactor.Conflict{Current: account}
}

// Due lists accounts by what they wait for; see [twofactor.Store]. The index lags behind by some milliseconds.
func (s *Store) Due(ctx context.Context, waiting twofactor.Waiting, page twofactor.Page) (twofactor.DuePage, error) {
	if waiting == "" {
		return twofactor.DuePage{}, ctx.Err() // nothing waits for it
	}
	if err := s.prove(ctx); err != nil {
		return twofactor.DuePage{}, err
	}
	q := &dynamodb.QueryInput{
		TableName: &s.tables.Accounts, IndexName: aws.String(indexDue),
		KeyConditionExpression:    aws.String("#waits = :waits"),
		ExpressionAttributeNames:  map[string]string{"#waits": keyWaits},
		ExpressionAttributeValues: item{":waits": text(string(waiting))},
	}
	place := func(due item) []string { return []string{string(waiting), asText(due[keyDue]), asText(due[keyUser])} }
	if page.Cursor != "" {
		parts, err := parseCursor(page.Cursor, string(waiting), 3)
		if err != nil {
			return twofactor.DuePage{}, err
		}
		due, err := strconv.ParseInt(parts[1], 10, 64)
		if err != nil || twofactor.UserID(parts[2]).Validate() != nil {
			return twofactor.DuePage{}, twofactor.ErrCursor
		}
		q.ExclusiveStartKey = item{keyWaits: text(parts[0]), keyDue: number(due), keyUser: text(parts[2])}
	}
	items, next, err := s.page(ctx, q, page.Limit, place)
	if err != nil {
		return twofactor.DuePage{}, err
	}
	found := twofactor.DuePage{Next: next}
	for _, i := range items {
		ms, err := strconv.ParseInt(asText(i[keyDue]), 10, 64)
		if err != nil {
			return twofactor.DuePage{}, damaged("due: %w", err)
		}
		found.Accounts = append(found.Accounts, twofactor.Due{
			User: twofactor.UserID(asText(i[keyUser])), At: time.UnixMilli(ms).UTC(),
		})
	}
	return found, nil
}
