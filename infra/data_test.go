package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/dynamostore"
)

// TestKept: whatever happens to its stack, what must outlive it stays; and the stacks cannot be deleted by accident.
func TestKept(t *testing.T) {
	t.Parallel()
	for config, want := range map[string][]string{
		least: {"Accounts", "Config", "Failures", "History", "KeysetKey"},
		most:  {"Accounts", "Config", "Failures", "History", "KeysetKey", "TableKey"},
	} {
		kept := map[string]bool{}
		for id, r := range deployed(t, config).stacks["data"].Resources {
			if r.DeletionPolicy == "Retain" && r.UpdateReplacePolicy == "Retain" {
				kept[id] = true
			} else if r.Type != "AWS::S3::BucketPolicy" && r.Type != "AWS::KMS::Alias" {
				t.Errorf("%s: %s, a %s, goes with its stack", config, id, r.Type)
			}
		}
		if diff := cmp.Diff(want, sorted(kept)); diff != "" {
			t.Errorf("%s: pinned, and kept (-want +got):\n%s", config, diff)
		}
	}
}

func TestTables(t *testing.T) {
	t.Parallel()
	for config, encryption := range map[string]any{least: object{"SSEEnabled": false}, most: object{"SSEEnabled": true, "SSEType": "KMS"}} {
		ts := deployed(t, config)
		tables := ts.of("AWS::DynamoDB::GlobalTable")
		if len(tables) != 3 {
			t.Fatalf("%s: %d tables", config, len(tables))
		}
		for id, table := range tables {
			p := table.Properties
			replicas := asList(p["Replicas"])
			if len(replicas) != 1 {
				t.Fatalf("%s is in %d Regions", id, len(replicas))
			}
			got := object{
				"protected": at(p, "Replicas", "0", "DeletionProtectionEnabled"),
				"recovery":  at(p, "Replicas", "0", "PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled"),
				"days":      at(p, "Replicas", "0", "PointInTimeRecoverySpecification", "RecoveryPeriodInDays"),
				"billing":   p["BillingMode"], "encryption": p["SSESpecification"],
				"reads":  at(p, "Replicas", "0", "ReadOnDemandThroughputSettings", "MaxReadRequestUnits"),
				"writes": at(p, "WriteOnDemandThroughputSettings", "MaxWriteRequestUnits"),
				"region": at(p, "Replicas", "0", "Region"),
			}
			want := object{
				"protected": true, "recovery": true, "days": 35.0, "billing": "PAY_PER_REQUEST", "encryption": encryption,
				"reads": ts.config.Tables.MaxReads, "writes": ts.config.Tables.MaxWrites, "region": ts.config.Region,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", config, id, diff)
			}
			key := at(p, "Replicas", "0", "SSESpecification", "KMSMasterKeyId")
			if config == most && ts.resolve("data", key) != "data/TableKey.Arn" || config == least && key != nil {
				t.Errorf("%s, %s: encrypted by %v", config, id, key)
			}
			if index := at(p, "GlobalSecondaryIndexes", "0"); index != nil {
				if got := at(index, "WriteOnDemandThroughputSettings", "MaxWriteRequestUnits"); got != ts.config.Tables.MaxWrites {
					t.Errorf("%s: the index takes %v writes", id, got)
				}
				if got := at(p, "Replicas", "0", "GlobalSecondaryIndexes", "0", "ReadOnDemandThroughputSettings", "MaxReadRequestUnits"); got != ts.config.Tables.MaxReads {
					t.Errorf("%s: the index takes %v reads", id, got)
				}
			}
		}
	}
}

// TestTablesAreThoseOfTheCode: the stack's tables have the keys, the index, the stream and the TTL of those that the code makes
// on a laptop, where its tests run.
func TestTablesAreThoseOfTheCode(t *testing.T) {
	t.Parallel()
	want, items := map[string]object{}, map[string]any{}
	dynamoDB := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked object
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		name, _ := asked["TableName"].(string)
		answer := `{}`
		switch _, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); operation {
		case "CreateTable":
			want[name] = object{
				"keys": asked["KeySchema"], "attributes": asked["AttributeDefinitions"],
				"stream": at(asked, "StreamSpecification", "StreamViewType"), "ttl": nil, "index": nil,
			}
			if index := at(asked, "GlobalSecondaryIndexes", "0"); index != nil {
				want[name]["index"] = object{
					"name": at(index, "IndexName"), "keys": at(index, "KeySchema"), "projection": at(index, "Projection"),
				}
			}
		case "DescribeTable":
			answer = `{"Table":{"TableStatus":"ACTIVE"}}`
		case "UpdateTimeToLive":
			want[name]["ttl"] = at(asked, "TimeToLiveSpecification")
		case "PutItem", "GetItem":
			if operation == "PutItem" {
				items[name] = asked["Item"]
			}
			told, err := json.Marshal(object{"Item": items[name], "ConsumedCapacity": object{"TableName": name, "CapacityUnits": 1}})
			if err != nil {
				t.Error(err)
			}
			answer = string(told)
		}
		_, _ = w.Write([]byte(answer))
	}))
	defer dynamoDB.Close()
	store := dynamostore.New(aws.Config{
		Region: "eu-central-1", BaseEndpoint: &dynamoDB.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
	}, dynamostore.Tables{Accounts: "Accounts", History: "History", Config: "Config"})
	if err := dynamostore.CreateTables(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	got := map[string]object{}
	for id, table := range deployed(t, least).of("AWS::DynamoDB::GlobalTable") {
		p := table.Properties
		one := object{
			"keys": p["KeySchema"], "attributes": p["AttributeDefinitions"],
			"stream": at(p, "StreamSpecification", "StreamViewType"), "ttl": p["TimeToLiveSpecification"], "index": nil,
		}
		if index := at(p, "GlobalSecondaryIndexes", "0"); index != nil {
			one["index"] = object{"name": at(index, "IndexName"), "keys": at(index, "KeySchema"), "projection": at(index, "Projection")}
		}
		got[strings.TrimPrefix(id, "data/")] = one
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tables (-of the code +of the stack):\n%s", diff)
	}
}

// TestBuckets: nothing is public, nothing is stored or sent in the clear.
func TestBuckets(t *testing.T) {
	t.Parallel()
	ts := deployed(t, most)
	buckets := ts.of("AWS::S3::Bucket")
	if diff := cmp.Diff(2, len(buckets)); diff != "" {
		t.Fatalf("buckets: %s", diff)
	}
	for id, bucket := range buckets {
		closed := object{"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true}
		if diff := cmp.Diff(any(closed), bucket.Properties["PublicAccessBlockConfiguration"]); diff != "" {
			t.Errorf("%s is not closed: %s", id, diff)
		}
		if got := at(bucket.Properties, "BucketEncryption", "ServerSideEncryptionConfiguration", "0", "ServerSideEncryptionByDefault", "SSEAlgorithm"); got != "AES256" {
			t.Errorf("%s is encrypted by %v", id, got)
		}
		if bucket.DeletionPolicy != "Retain" {
			t.Errorf("%s goes with its stack", id)
		}
	}
	if got := at(buckets["data/Failures"].Properties, "NotificationConfiguration", "EventBridgeConfiguration", "EventBridgeEnabled"); got != true {
		t.Errorf("of a record that failed EventBridge is told: %v", got)
	}
}

// TestSecureTransport: each bucket, queue and topic refuses whoever does not speak TLS.
func TestSecureTransport(t *testing.T) {
	t.Parallel()
	ts := deployed(t, most)
	refuses := map[string]bool{}
	for _, s := range ts.allStatements() {
		if s.effect == "Deny" && s.conditions["Bool aws:SecureTransport"] == "false" {
			for _, resource := range s.resources {
				refuses[strings.TrimSuffix(strings.TrimSuffix(resource, "/*"), ".Arn")] = true
			}
		}
	}
	for _, kind := range []string{"AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::SNS::Topic"} {
		for id := range ts.of(kind) {
			if !refuses[id] {
				t.Errorf("%s may be spoken to in the clear", id)
			}
		}
	}
}

// TestKeys: the keys rotate, and wait for a month before they are gone.
func TestKeys(t *testing.T) {
	t.Parallel()
	for id, key := range deployed(t, most).of("AWS::KMS::Key") {
		if key.Properties["EnableKeyRotation"] != true || key.Properties["PendingWindowInDays"] != 30.0 {
			t.Errorf("%s: %v", id, key.Properties)
		}
	}
}

// TestRestored: a table that was restored is used wherever the stack's own was, which stays, with what others may still import.
func TestRestored(t *testing.T) {
	t.Parallel()
	const stream = "arn:aws:dynamodb:eu-central-1:111122223333:table/restored/stream/2026-01-05T09:00:00.000"
	before := deployed(t, least)
	synthesises.Lock()
	defer synthesises.Unlock()
	ts := synth(t, parsed(t, string(with(t, least, `{"tables":{"accounts":"restored","accounts_stream":"`+stream+`"}}`))))
	if table := ts.stacks["data"].Resources["Accounts"]; table.DeletionPolicy != "Retain" {
		t.Errorf("the former table: %+v", table)
	}
	for name, output := range before.stacks["data"].Outputs {
		if output.Export.Name != "" && ts.stacks["data"].Outputs[name].Export.Name != output.Export.Name {
			t.Errorf("%s is gone, which another stack may import", name)
		}
	}
	for _, part := range []string{"service", "watch"} {
		if text := ts.stacks[part].text; strings.Contains(text, "AttAccounts") || strings.Contains(text, "RefAccounts") || !strings.Contains(text, `"restored"`) {
			t.Errorf("%s knows the former table", part)
		}
	}
	if got := ts.stacks["service"].Resources["Stream"].Properties["EventSourceArn"]; got != stream {
		t.Errorf("notify reads %v", got)
	}
	restored := "arn:{AWS::Partition}:dynamodb:eu-central-1:{AWS::AccountId}:table/restored"
	var got []string
	for _, s := range ts.roleOf(t, functionOf("stream")) {
		if s.resources[0] == restored+"/stream/*" || s.resources[0] == stream {
			got = append(got, s.actions...)
		}
	}
	if len(got) != 4 {
		t.Errorf("notify may %v", got)
	}
}
