package main

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ses"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/keyring"
)

const (
	region     = "eu-central-1"
	credential = "local" // DynamoDB Local takes letters and digits only
)

// newWorld makes what a deployment makes, under the names that template.yaml has: the tables, the key and the keysets that it
// seals, and what functions write to. It returns the variables whose values are known only now.
func newWorld(ctx context.Context, dynamoDB, moto string) (map[string]string, error) {
	at := func(endpoint string) aws.Config {
		return aws.Config{Region: region, BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider(credential, credential, "")}
	}
	others := at(moto)
	store := dynamostore.New(at(dynamoDB), dynamostore.Tables{
		Accounts: "nightlatch-accounts", History: "nightlatch-history", Config: "nightlatch-config",
	})
	if err := dynamostore.CreateTables(ctx, store); err != nil {
		return nil, fmt.Errorf("making the tables: %w", err)
	}
	key, err := kms.NewFromConfig(others).CreateKey(ctx, &kms.CreateKeyInput{})
	if err != nil {
		return nil, fmt.Errorf("making the key: %w", err)
	}
	arn := *key.KeyMetadata.Arn
	if err := keyring.Create(ctx, store, keyring.KMS(others, arn), keyring.Purposes()...); err != nil {
		return nil, err
	}
	if _, err := sqs.NewFromConfig(others).CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("nightlatch-mails")}); err != nil {
		return nil, fmt.Errorf("making the queue: %w", err)
	}
	if _, err := eventbridge.NewFromConfig(others).CreateEventBus(ctx, &eventbridge.CreateEventBusInput{Name: aws.String("nightlatch")}); err != nil {
		return nil, fmt.Errorf("making the bus: %w", err)
	}
	_, err = s3.NewFromConfig(others, func(o *s3.Options) { o.UsePathStyle = true }).CreateBucket(ctx, &s3.CreateBucketInput{
		Bucket:                    aws.String("nightlatch-failures"),
		CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: region},
	})
	if err != nil {
		return nil, fmt.Errorf("making the bucket: %w", err)
	}
	mail := ses.NewFromConfig(others)
	if _, err := mail.VerifyDomainIdentity(ctx, &ses.VerifyDomainIdentityInput{Domain: aws.String("example.com")}); err != nil {
		return nil, fmt.Errorf("making the sender: %w", err)
	}
	made := map[string]string{"NIGHTLATCH_KMS_KEY": arn}
	// Persona has not given them: it refuses what is asked with the one, and nothing is signed with the other.
	for variable, name := range map[string]string{"NIGHTLATCH_PERSONA_SECRET": "persona", "NIGHTLATCH_WEBHOOK_SECRET": "persona-webhook"} {
		secret, err := secretsmanager.NewFromConfig(others).CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: &name})
		if err != nil {
			return nil, fmt.Errorf("making the secret %s: %w", name, err)
		}
		made[variable] = *secret.ARN
	}
	return made, nil
}
