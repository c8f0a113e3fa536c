package main

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/keyring"
)

// statement is one of a policy, with everything in it resolved.
type statement struct {
	where              string // the policy's resource, by stack and id
	effect             string
	actions, resources []string
	conditions         map[string]string // "operator key" to the values, separated by commas
}

func (ts *templates) statements(where string, document any) []statement {
	part, _, _ := strings.Cut(where, "/")
	var all []statement
	for _, each := range asList(at(document, "Statement")) {
		one := statement{where: where, effect: at(each, "Effect").(string), conditions: map[string]string{}}
		one.actions, one.resources = ts.resolveAll(part, at(each, "Action")), ts.resolveAll(part, at(each, "Resource"))
		if conditions, ok := at(each, "Condition").(map[string]any); ok {
			for operator, keys := range conditions {
				for key, values := range keys.(map[string]any) {
					one.conditions[operator+" "+key] = strings.Join(ts.resolveAll(part, values), ",")
				}
			}
		}
		all = append(all, one)
	}
	return all
}

// names are the resources as permissions name them.
var names = map[string]string{
	"data/Accounts.Arn": "accounts", "data/Accounts.Arn/index/by_due": "accounts by_due", "data/Accounts.StreamArn": "stream",
	"data/Accounts.Arn/stream/*": "streams", "data/History.Arn": "history", "data/Config.Arn": "config", "data/KeysetKey.Arn": "kms",
	"data/Failures.Arn": "failures", "data/Failures.Arn/*": "failures", "data/Failures.Arn/records/*": "failures",
	"data/Failures.Arn/aws/lambda/*": "failures", "service/Events.Arn": "bus", "data/TableKey.Arn": "table key",
}

// name is what a resource is called in permissions, for a deployment of this configuration.
func (ts *templates) name(resource string) string {
	for prefix, name := range map[string]string{
		"service/Mails": "mails", "service/LostEvents": "lost", "service/NotifyLive": "notify",
	} {
		if strings.HasPrefix(resource, prefix) {
			return name
		}
	}
	account := or(ts.config.Account, "{AWS::AccountId}")
	c := ts.config
	ses := fmt.Sprintf("arn:{AWS::Partition}:ses:%s:%s:", c.Region, account)
	switch {
	case resource == ses+"identity/"+c.identity(), resource == ses+"configuration-set/"+c.Name:
		return "ses"
	case resource == c.Persona.Secret && resource != "":
		return "persona"
	case resource == c.Persona.WebhookSecret && resource != "":
		return "webhook"
	case names[resource] != "":
		return names[resource]
	}
	return "unknown " + resource
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// lines says what a statement allows, in the words of pkg/api, so that no way that a policy is written hides anything.
func (ts *templates) lines(s statement) []string {
	if s.effect != "Allow" {
		return []string{"unknown effect " + s.effect}
	}
	parts, left := []string{""}, map[string]string{}
	for condition, values := range s.conditions {
		switch condition {
		case "ForAllValues:StringEquals dynamodb:LeadingKeys":
			parts = strings.Split(values, ",")
		case "StringEquals kms:EncryptionContext:associatedData":
			parts = nil
			for _, value := range strings.Split(values, ",") {
				raw, err := hex.DecodeString(value)
				if err != nil {
					return []string{"unknown purpose " + value}
				}
				parts = append(parts, string(raw))
			}
		default:
			left[condition] = values
		}
	}
	var all []string
	for _, resource := range s.resources {
		for _, action := range s.actions {
			service, verb, _ := strings.Cut(action, ":")
			if service == "logs" {
				all = append(all, strings.TrimSuffix("log "+verb, " "))
				continue
			}
			for _, part := range parts {
				line := strings.TrimSpace(ts.name(resource) + " " + verb + " " + strings.ReplaceAll(part, "\t", "⇥"))
				for _, condition := range sorted(left) {
					line += ", " + condition + " " + left[condition]
				}
				all = append(all, strings.ReplaceAll(line, "⇥", "\t"))
			}
		}
	}
	return all
}

// always is what a permission of pkg/api is bound to besides.
func (ts *templates) bound(line string) string {
	switch {
	case strings.HasPrefix(line, "bus "):
		line += ", ForAllValues:StringEquals events:source nightlatch.2fa"
	case strings.HasPrefix(line, "ses "):
		line += ", StringEquals ses:FromAddress " + sender(ts.config.Mail.From)
	}
	return line
}

// lambdaDoes is what Lambda does with a function's role.
var lambdaDoes = map[api.Trigger][]string{
	api.TriggerStream: {
		"stream DescribeStream", "stream GetRecords", "stream GetShardIterator", "streams ListStreams",
		"failures PutObject", "failures ListBucket",
	},
	api.TriggerQueue:    {"mails ReceiveMessage", "mails DeleteMessage", "mails GetQueueAttributes"},
	api.TriggerFeedback: {"lost SendMessage"},
}

// TestPermissions holds the role of each function to the table of pkg/api, which the programs are held to: what a role allows
// and the table does not have is too much, what the table has and no role allows is too little.
func TestPermissions(t *testing.T) {
	t.Parallel()
	for _, config := range []string{least, most, without} {
		ts := deployed(t, config)
		for _, f := range functions() {
			want := map[string]bool{"log CreateLogStream": true, "log PutLogEvents": true}
			for _, line := range append(f.Permissions(), lambdaDoes[f.Trigger]...) {
				if config == without && (strings.HasPrefix(line, "persona ") || strings.HasPrefix(line, "webhook ")) {
					continue // there is no such secret
				}
				want[ts.bound(line)] = true
			}
			if config == most && len(f.Permissions()) > 0 {
				for _, verb := range []string{"Decrypt", "DescribeKey"} {
					want["table key "+verb+", StringEquals kms:ViaService dynamodb.eu-central-1.amazonaws.com"] = true
				}
			}
			got := map[string]bool{}
			for _, s := range ts.roleOf(t, f) {
				for _, line := range ts.lines(s) {
					got[line] = true
				}
			}
			if diff := cmp.Diff(sorted(want), sorted(got)); diff != "" {
				t.Errorf("%s, %s (-may +is allowed):\n%s", config, f.Name, diff)
			}
		}
	}
}

// roleOf returns all that the role of a function allows.
func (ts *templates) roleOf(t *testing.T, f api.Function) []statement {
	t.Helper()
	made, ok := ts.functions()[f.Name]
	if !ok {
		t.Fatalf("%s is not deployed", f.Name)
	}
	id := strings.TrimSuffix(ts.resolve("service", made.Properties["Role"]), ".Arn")
	role := ts.of("AWS::IAM::Role")[id]
	if managed := role.Properties["ManagedPolicyArns"]; managed != nil {
		t.Errorf("%s has policies of somebody else: %v", f.Name, managed)
	}
	if who := ts.statements(id, role.Properties["AssumeRolePolicyDocument"]); len(who) != 1 || !slices.Equal(who[0].actions, []string{"sts:AssumeRole"}) {
		t.Errorf("%s: who takes its role: %v", f.Name, who)
	}
	var all []statement
	for _, policy := range asList(role.Properties["Policies"]) {
		all = append(all, ts.statements(id, at(policy, "PolicyDocument"))...)
	}
	for other, policy := range ts.of("AWS::IAM::Policy") {
		for _, attached := range ts.resolveAll("service", policy.Properties["Roles"]) {
			if attached == id {
				t.Errorf("%s has another policy: %s", f.Name, other)
			}
		}
	}
	for _, s := range all { // its own log, and no other
		if strings.HasPrefix(s.actions[0], "logs:") && !slices.Equal(s.resources, []string{"service/" + ts.idOfLog(f) + ".Arn"}) {
			t.Errorf("%s may write %v", f.Name, s.resources)
		}
	}
	return all
}

// functions are those that are deployed, by their names in pkg/api.
func (ts *templates) functions() map[string]resource {
	found := map[string]resource{}
	for _, r := range ts.of("AWS::Lambda::Function") {
		if name, ok := r.Properties["FunctionName"].(string); ok {
			found[strings.TrimPrefix(name, ts.config.Name+"-")] = r
		}
	}
	return found
}

func (ts *templates) idOfLog(f api.Function) string {
	for id, r := range ts.of("AWS::Logs::LogGroup") {
		if r.Properties["LogGroupName"] == ts.config.logOf(f) {
			return strings.TrimPrefix(id, "service/")
		}
	}
	return "none"
}

// TestPurposes: the purposes of pkg/api are those of pkg/keyring.
func TestPurposes(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, p := range keyring.Purposes() {
		known[string(p)] = true
	}
	for _, f := range functions() {
		for _, line := range f.Permissions() {
			if purpose, ok := strings.CutPrefix(line, "kms Decrypt "); ok && !known[purpose] {
				t.Errorf("%s: there is no keyset %q", f.Name, purpose)
			}
		}
	}
}

// stars are the only statements with a * in them, and why each has it.
var stars = map[string]string{
	"data/KeysetKey kms:* on *": "a key's own policy speaks of that key, and without its account in it nobody could ever change it",
	"data/TableKey kms:* on *":  "the same",
	"service/NotifyRole dynamodb:ListStreams on data/Accounts.Arn/stream/*":        "the streams of a table are named by when they began",
	"service/NotifyRole s3:PutObject on data/Failures.Arn/records/*":               "objects under a prefix",
	"service/NotifyRole s3:PutObject on data/Failures.Arn/aws/lambda/*":            "the prefix that Lambda has for what it gives up on",
	"service/AdminRole s3:GetObject on data/Failures.Arn/*":                        "the objects of a bucket",
	"service/AdminRole s3:DeleteObject on data/Failures.Arn/*":                     "the objects of a bucket",
	"service/HostRole execute-api:Invoke on {api}/$default/POST/v1/users/*/events": "a user's id is part of the path",
	// The CDK's own function that copies the pages: from its bucket of assets to the one of the pages, and nothing else.
	"service/CustomCDKBucketDeployment s3:GetObject* on {assets}":               "the CDK's",
	"service/CustomCDKBucketDeployment s3:GetBucket* on {assets}":               "the CDK's",
	"service/CustomCDKBucketDeployment s3:List* on {assets}":                    "the CDK's",
	"service/CustomCDKBucketDeployment s3:GetObject* on {assets}/*":             "the CDK's",
	"service/CustomCDKBucketDeployment s3:GetBucket* on {assets}/*":             "the CDK's",
	"service/CustomCDKBucketDeployment s3:List* on {assets}/*":                  "the CDK's",
	"service/CustomCDKBucketDeployment s3:GetObject* on {pages}":                "the CDK's",
	"service/CustomCDKBucketDeployment s3:GetBucket* on {pages}":                "the CDK's",
	"service/CustomCDKBucketDeployment s3:List* on {pages}":                     "the CDK's",
	"service/CustomCDKBucketDeployment s3:DeleteObject* on {pages}":             "the CDK's",
	"service/CustomCDKBucketDeployment s3:Abort* on {pages}":                    "the CDK's",
	"service/CustomCDKBucketDeployment s3:GetObject* on {pages}/*":              "the CDK's",
	"service/CustomCDKBucketDeployment s3:GetBucket* on {pages}/*":              "the CDK's",
	"service/CustomCDKBucketDeployment s3:List* on {pages}/*":                   "the CDK's",
	"service/CustomCDKBucketDeployment s3:DeleteObject* on {pages}/*":           "the CDK's",
	"service/CustomCDKBucketDeployment s3:Abort* on {pages}/*":                  "the CDK's",
	"service/CustomCDKBucketDeployment s3:PutObject on {pages}/*":               "the CDK's",
	"service/CustomCDKBucketDeployment s3:PutObjectLegalHold on {pages}/*":      "the CDK's",
	"service/CustomCDKBucketDeployment s3:PutObjectRetention on {pages}/*":      "the CDK's",
	"service/CustomCDKBucketDeployment s3:PutObjectTagging on {pages}/*":        "the CDK's",
	"service/CustomCDKBucketDeployment s3:PutObjectVersionTagging on {pages}/*": "the CDK's",
	"web/PagesPolicy s3:GetObject on {pages}/*":                                 "the objects of a bucket, for its distribution",
}

// TestStars: no statement that allows something has a * but where AWS demands it. One that denies may: it denies more.
func TestStars(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for _, config := range []string{least, most, without} {
		ts := deployed(t, config)
		account := or(ts.config.Account, "{AWS::AccountId}")
		short := strings.NewReplacer(
			fmt.Sprintf("arn:{AWS::Partition}:execute-api:%s:%s:service/Api", ts.config.Region, account), "{api}",
			fmt.Sprintf("arn:{AWS::Partition}:s3:::cdk-hnb659fds-assets-%s-%s", account, ts.config.Region), "{assets}",
		)
		for _, s := range ts.allStatements() {
			if s.effect != "Allow" {
				continue
			}
			for _, action := range s.actions {
				for _, resource := range s.resources {
					if !strings.Contains(action+resource, "*") {
						continue
					}
					line := short.Replace(plain(s.where) + " " + action + " on " + plain(resource))
					found[line] = true
					if stars[line] == "" {
						t.Errorf("%s: %s", config, line)
					}
				}
			}
		}
	}
	for line := range stars {
		if !found[line] {
			t.Errorf("it is said why there is this, and there is not: %s", line)
		}
	}
}

// plain is a logical id without the hash that the CDK puts at its end.
func plain(id string) string {
	if strings.HasPrefix(id, "service/CustomCDKBucketDeployment") {
		return "service/CustomCDKBucketDeployment"
	}
	id, rest, _ := strings.Cut(id, ".Arn")
	if rest != "" || strings.HasPrefix(id, "web/Pages") {
		rest = ".Arn" + rest
	}
	if strings.HasPrefix(id, "web/Pages") && !strings.HasPrefix(id, "web/PagesPolicy") {
		return "{pages}" + strings.TrimPrefix(rest, ".Arn")
	}
	if strings.HasPrefix(id, "web/PagesPolicy") {
		return "web/PagesPolicy"
	}
	if n := len(id) - 8; n > 0 && strings.Trim(id[n:], "0123456789ABCDEF") == "" {
		id = id[:n]
	}
	return id + rest
}

// allStatements are those of all roles, policies, buckets, queues, topics and keys.
func (ts *templates) allStatements() []statement {
	var all []statement
	for id, r := range ts.of("AWS::IAM::Role") {
		for _, policy := range asList(r.Properties["Policies"]) {
			all = append(all, ts.statements(id, at(policy, "PolicyDocument"))...)
		}
	}
	for kind, property := range map[string]string{
		"AWS::IAM::Policy": "PolicyDocument", "AWS::S3::BucketPolicy": "PolicyDocument", "AWS::SQS::QueuePolicy": "PolicyDocument",
		"AWS::SNS::TopicPolicy": "PolicyDocument", "AWS::KMS::Key": "KeyPolicy",
	} {
		for id, r := range ts.of(kind) {
			all = append(all, ts.statements(id, r.Properties[property])...)
		}
	}
	return all
}

// TestManaged: policies that AWS keeps are taken by two roles only, neither of which is a function's of ours.
func TestManaged(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"service/Deployer":                  "arn:{AWS::Partition}:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited",
		"service/CustomCDKBucketDeployment": "arn:{AWS::Partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
	}
	got := map[string]string{}
	ts := deployed(t, least)
	for id, r := range ts.of("AWS::IAM::Role") {
		if managed := ts.resolveAll("service", r.Properties["ManagedPolicyArns"]); len(managed) > 0 {
			got[plain(id)] = strings.Join(managed, " ")
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
