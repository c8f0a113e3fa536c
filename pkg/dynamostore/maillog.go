package dynamostore

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

var _ twofactor.MailLog = (*Store)(nil)

// attrMailed is what the attributes of a row begin with that say when a mail about its event was sent, in Unix milliseconds:
// "mailed_at:disabled:user". An attribute each needs no map to be there first.
const attrMailed = "mailed_at:"

// Mailed says whether the job's mail is marked as sent; see [twofactor.MailLog].
func (s *Store) Mailed(ctx context.Context, job twofactor.MailJob) (bool, error) {
	key, err := rowOf(job)
	if err != nil {
		return false, err
	}
	mailed := attrMailed + job.Mail()
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.tables.History, Key: key, ConsistentRead: aws.Bool(true),
		ProjectionExpression: aws.String("#mailed"), ExpressionAttributeNames: map[string]string{"#mailed": mailed},
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	})
	if err == nil {
		err = s.countRead(out.ConsumedCapacity)
	}
	if err != nil {
		return false, failed(s.tables.History, err)
	}
	return out.Item[mailed] != nil, nil
}

// MarkMailed marks the job's mail as sent; see [twofactor.MailLog].
func (s *Store) MarkMailed(ctx context.Context, job twofactor.MailJob, at time.Time) error {
	key, err := rowOf(job)
	if err != nil {
		return err
	}
	out, err := s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.tables.History, Key: key,
		UpdateExpression: aws.String("SET #mailed = if_not_exists(#mailed, :at)"),
		// A row that is not there was erased, or never was: an update would make one of nothing else.
		ConditionExpression:       aws.String("attribute_exists(#user)"),
		ExpressionAttributeNames:  map[string]string{"#mailed": attrMailed + job.Mail(), "#user": keyUser},
		ExpressionAttributeValues: item{":at": number(at.UnixMilli())},
		ReturnConsumedCapacity:    types.ReturnConsumedCapacityTotal,
	})
	if err == nil {
		err = s.countWrite(out.ConsumedCapacity)
	}
	var gone *types.ConditionalCheckFailedException
	if err != nil && !errors.As(err, &gone) {
		return failed(s.tables.History, err)
	}
	return nil
}

// rowOf is the key of the row that a job's event has in the history.
func rowOf(job twofactor.MailJob) (item, error) {
	if err := job.User.Validate(); err != nil {
		return nil, err
	}
	return item{keyUser: text(string(job.User)), keyPlace: text(place(twofactor.Event{ID: job.Event, At: job.At}))}, nil
}
