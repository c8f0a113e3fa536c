package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
)

// DataStack is what must outlive everything else: the tables, the key that seals the keysets, and what could not be written to the
// history yet. It is a stack of its own, so that no deployment of the functions can touch it; nothing in it is ever deleted
// with it, and the logical ids are pinned. A table that was restored from a backup is used by its name instead.
type DataStack struct {
	Stack           awscdk.Stack
	Accounts        awsdynamodb.ITableV2 // the stack's own, or one that was restored
	History, Config awsdynamodb.TableV2
	TableKey        awskms.Key // nil: the tables have AWS's own
	Keysets         awskms.Key
	Failures        awss3.Bucket
}

// pin gives a resource its name in the template for good: another name would be another table.
func pin(c constructs.IConstruct, id string) {
	c.Node().DefaultChild().(awscdk.CfnElement).OverrideLogicalId(&id)
}

// NewData makes the stack.
func NewData(scope constructs.Construct, c Config) *DataStack {
	stack := newStack(scope, c, "data", "Nightlatch: tables and keys")
	d := &DataStack{Stack: stack}
	encryption := awsdynamodb.TableEncryptionV2_DynamoOwnedKey()
	if c.Tables.CustomerKey {
		d.TableKey = d.key("TableKey", "Encrypts the tables of "+c.Name)
		encryption = awsdynamodb.TableEncryptionV2_CustomerManagedKey(d.TableKey, nil)
	}
	reads, writes := &c.Tables.MaxReads, &c.Tables.MaxWrites
	table := func(id string, props awsdynamodb.TablePropsV2) awsdynamodb.TableV2 {
		props.Billing = awsdynamodb.Billing_OnDemand(&awsdynamodb.MaxThroughputProps{MaxReadRequestUnits: reads, MaxWriteRequestUnits: writes})
		props.Encryption = encryption
		props.PointInTimeRecoverySpecification = &awsdynamodb.PointInTimeRecoverySpecification{
			PointInTimeRecoveryEnabled: yes(), RecoveryPeriodInDays: number(35),
		}
		props.DeletionProtection = yes()
		props.RemovalPolicy = awscdk.RemovalPolicy_RETAIN
		t := awsdynamodb.NewTableV2(stack, &id, &props)
		pin(t, id)
		return t
	}
	// Names and kinds are those of pkg/dynamostore: a test holds them against the tables that it makes on a laptop.
	accounts := table("Accounts", awsdynamodb.TablePropsV2{
		PartitionKey: attribute("user", awsdynamodb.AttributeType_STRING),
		DynamoStream: awsdynamodb.StreamViewType_NEW_IMAGE,
		GlobalSecondaryIndexes: list(&awsdynamodb.GlobalSecondaryIndexPropsV2{
			IndexName:           text("by_due"),
			PartitionKey:        attribute("waits_for", awsdynamodb.AttributeType_STRING),
			SortKey:             attribute("due", awsdynamodb.AttributeType_NUMBER),
			ProjectionType:      awsdynamodb.ProjectionType_KEYS_ONLY,
			MaxReadRequestUnits: reads, MaxWriteRequestUnits: writes,
		}),
	})
	d.Accounts = accounts
	if c.Tables.Accounts != "" {
		d.Accounts = awsdynamodb.TableV2_FromTableAttributes(stack, text("Restored"), &awsdynamodb.TableAttributesV2{
			TableName: &c.Tables.Accounts, TableStreamArn: &c.Tables.Stream, GlobalIndexes: texts("by_due"),
		})
	}
	// The other stacks may go from one to the other, and back, only while both are there for them.
	for _, value := range []*string{accounts.TableArn(), accounts.TableName(), accounts.TableStreamArn()} {
		stack.ExportValue(value, nil)
	}
	d.History = table("History", awsdynamodb.TablePropsV2{
		PartitionKey:        attribute("user", awsdynamodb.AttributeType_STRING),
		SortKey:             attribute("place", awsdynamodb.AttributeType_STRING),
		TimeToLiveAttribute: text("expires"),
	})
	d.Config = table("Config", awsdynamodb.TablePropsV2{PartitionKey: attribute("name", awsdynamodb.AttributeType_STRING)})

	d.Keysets = d.key("KeysetKey", "Seals the keysets of "+c.Name+": without it no second factor can be verified")
	d.Keysets.AddAlias(text("alias/" + c.Name + "-keysets"))
	d.Failures = newBucket(stack, "Failures", &awss3.BucketProps{
		// An object that nobody has replayed for as long as the history lasts would write what has expired already.
		LifecycleRules: list(&awss3.LifecycleRule{Expiration: days(400)}),
	})
	pin(d.Failures, "Failures")
	// What the CDK has for it adds a function which may do that to every bucket.
	d.Failures.Node().DefaultChild().(awss3.CfnBucket).AddPropertyOverride(
		text("NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled"), true)

	output(stack, "AccountsTable", d.Accounts.TableName(), "Accounts")
	output(stack, "HistoryTable", d.History.TableName(), "Their history")
	output(stack, "ConfigTable", d.Config.TableName(), "Sealed keysets")
	output(stack, "FailureBucket", d.Failures.BucketName(), "Records that could not be taken to the history yet")
	return d
}

func attribute(name string, kind awsdynamodb.AttributeType) *awsdynamodb.Attribute {
	return &awsdynamodb.Attribute{Name: &name, Type: kind}
}

// key makes a key that rotates each year, and that only those may use whose own policies say so.
func (d *DataStack) key(id, what string) awskms.Key {
	k := awskms.NewKey(d.Stack, &id, &awskms.KeyProps{
		Description: &what, EnableKeyRotation: yes(), PendingWindow: days(30), RemovalPolicy: awscdk.RemovalPolicy_RETAIN,
	})
	pin(k, id)
	return k
}

// newBucket makes a bucket that is encrypted, spoken to by TLS only, never public, and not deleted with its stack.
func newBucket(stack awscdk.Stack, id string, props *awss3.BucketProps) awss3.Bucket {
	props.BlockPublicAccess = awss3.BlockPublicAccess_BLOCK_ALL()
	props.Encryption = awss3.BucketEncryption_S3_MANAGED
	props.EnforceSSL = yes()
	props.MinimumTLSVersion = number(1.2)
	props.ObjectOwnership = awss3.ObjectOwnership_BUCKET_OWNER_ENFORCED
	props.RemovalPolicy = awscdk.RemovalPolicy_RETAIN
	return awss3.NewBucket(stack, &id, props)
}
