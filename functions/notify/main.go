// Notify takes the stream of the accounts table to the history.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/environment"
	"github.com/nightlatch/nightlatch/pkg/notify"
)

func main() {
	env := environment.Must()
	store := dynamostore.New(env.DynamoDB, env.Tables)
	lambda.Start(notify.Records(notify.Sinks{History: store}, dynamostore.DecodeRecord, env.Log))
}
