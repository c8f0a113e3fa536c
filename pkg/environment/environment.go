// Package environment reads what a function is told when it starts: where its data is, under which policy it decides,
// and how the deployment calls itself.
//
// A setting that is missing, wrong or unknown ends the function before it has answered anyone: a misspelt name would
// otherwise be a default that nobody chose. What is only for some functions is missing to these alone, which name it as
// their [Need]; and what is only for recovery, only under a policy whose recovery is identity_review. Where it is there it
// must be right, whatever the function and the policy. There is no empty setting: it is left out, or it has a value.
//
// What all functions are told:
//
//	NIGHTLATCH_ACCOUNTS_TABLE          name of the table of accounts
//	NIGHTLATCH_HISTORY_TABLE           name of the table of the history
//	NIGHTLATCH_CONFIG_TABLE            name of the table of the sealed keysets
//	NIGHTLATCH_KMS_KEY                 ARN of the key that seals the keysets
//	NIGHTLATCH_POLICY                  a preset, or settings in JSON
//	NIGHTLATCH_APP                     the application's name, in authenticator apps and in mails
//	NIGHTLATCH_ISSUER                  https URL of the API, which assertions name
//	NIGHTLATCH_AUDIENCE                the host's back end, whom assertions are for
//
// What may be left out, and what is so then:
//
//	NIGHTLATCH_SUPPORT                 address or URL for people who need help; nobody is named
//	NIGHTLATCH_CLAIM_USER              claim with the user's id; sub
//	NIGHTLATCH_CLAIM_AUTH_TIME         claim with the time of the sign-in; auth_time
//	NIGHTLATCH_CLAIM_TOKEN_USE         what the claim token_use must be; it is not looked at
//	NIGHTLATCH_AUTH_TIME_FROM_IAT      true: a token is as old as its sign-in, where nothing else tells; false
//	NIGHTLATCH_CLAIM_GROUPS            claim with the user's groups; cognito:groups
//	NIGHTLATCH_CLAIM_AMR               claim with how the user signed in; amr
//	NIGHTLATCH_CLAIM_EMAIL             claim with the user's address; email
//	NIGHTLATCH_REVIEWER_GROUP          group of those who review; reviewers
//	NIGHTLATCH_INQUIRY_URL             https URL of an inquiry at Persona, but for its id; cases have no link to it
//	NIGHTLATCH_EVENT_BUS               name or ARN of the event bus; nothing is told to one
//	NIGHTLATCH_FAILURE_BUCKET          S3 bucket for records that cannot be decoded; they come again and again
//	NIGHTLATCH_NOTIFY_FUNCTION         ARN of the function notify, for replays; there are none
//	NIGHTLATCH_METRIC_NAMESPACE        CloudWatch's namespace of what is counted; Nightlatch
//	NIGHTLATCH_MAIL_CONFIGURATION_SET  configuration set of SES; none
//	NIGHTLATCH_REVIEWERS               the address that is told of cases; nobody is
//	NIGHTLATCH_WORDS                   preset whose words mails have; that of the policy
//	NIGHTLATCH_PERSONA_URL             https URL of Persona's API; its own
//
// What some functions need, for recovery:
//
//	NIGHTLATCH_WEB                     https URL of the pages that mailed links lead to
//	NIGHTLATCH_MAIL_QUEUE              URL of the SQS queue of mail jobs
//	NIGHTLATCH_MAIL_FROM               whom mails are from
//	NIGHTLATCH_PERSONA_TEMPLATE        inquiry template at Persona
//	NIGHTLATCH_PERSONA_SECRET          ARN of the secret with Persona's API key
//	NIGHTLATCH_WEBHOOK_SECRET          ARN of the secret with that of Persona's webhooks
//
// What Lambda tells, and where services are that are not AWS's own, for a laptop and for tests:
//
//	AWS_REGION                         the function's Region
//	AWS_ACCESS_KEY_ID                  its role's credentials
//	AWS_SECRET_ACCESS_KEY
//	AWS_SESSION_TOKEN
//	AWS_ENDPOINT_URL_DYNAMODB          URL of DynamoDB
//	AWS_ENDPOINT_URL_EVENTBRIDGE       of EventBridge
//	AWS_ENDPOINT_URL_KMS               of KMS
//	AWS_ENDPOINT_URL_LAMBDA            of Lambda
//	AWS_ENDPOINT_URL_S3                of S3
//	AWS_ENDPOINT_URL_SECRETS_MANAGER   of Secrets Manager
//	AWS_ENDPOINT_URL_SES               of SES
//	AWS_ENDPOINT_URL_SQS               of SQS
package environment

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/metric"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Environment is what a function is made of. A main takes from it what its function needs.
type Environment struct {
	DynamoDB       aws.Config // the function's own credentials and Region, for this service
	KMS            aws.Config // and for these
	SecretsManager aws.Config
	SES            aws.Config
	SQS            aws.Config
	S3             aws.Config
	EventBridge    aws.Config
	Lambda         aws.Config

	Tables   dynamostore.Tables
	KMSKey   string // ARN of the key that seals the keysets
	EventBus string // name or ARN; empty: there is none
	Failures string // bucket for what cannot be decoded; empty: it comes again and again
	Notify   string // ARN of the function; empty: nothing is replayed
	Policy   twofactor.Policy
	Settings handler.Settings
	Log      *slog.Logger
	Metrics  *metric.Writer

	Web     string // URL of the pages that mailed links lead to, without a slash at its end
	Mail    Mail
	Persona Persona
}

// Mail is what mails are made with.
type Mail struct {
	Queue            string       // URL of the queue of mail jobs; empty: no mail is sent
	From             mail.Address // who they are from
	ConfigurationSet string       // of SES; may be empty
	Reviewers        string       // the address that is told of cases; empty: nobody is
	Words            string       // the name of the preset whose words they have
}

// Persona is how the identity service is asked.
type Persona struct {
	URL           string // of its API; empty: its own
	Template      string // of inquiries
	ReturnTo      string // where people come back to; may be empty
	APIKey        string // ARN of the secret with the API key; empty: every question is refused unasked
	WebhookSecret string // ARN of the secret with those of the webhooks; likewise
}

// Need is what only some functions need.
type Need int

// The needs.
const (
	ToQueueMails  Need = iota // Mail.Queue
	ToSendMails               // Web and the rest of Mail
	ToAskPersona              // Web and Persona, but for the webhooks' secret
	ToHearPersona             // that, too
)

// Must returns the environment of this process. If anything is wrong with it, it says what, a line for each fault, and
// ends the process. What is logged by whoever has no logger of its own goes the way of the rest.
func Must(needs ...Need) Environment {
	e, err := Read(os.Environ(), needs...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	slog.SetDefault(e.Log)
	return e
}

// Read reads an environment, each entry a "name=value" as [os.Environ] has them. The error names every fault, a line for
// each, and never repeats a credential.
func Read(environ []string, needs ...Need) (Environment, error) {
	r := reader{values: map[string]string{}}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		r.values[name] = value
	}
	namespace := r.may("NIGHTLATCH_METRIC_NAMESPACE", "a namespace of CloudWatch: at most 255 of a-z, A-Z, 0-9, and ./_#:-", isNamespace)
	e := Environment{Metrics: metric.New(os.Stdout, cmp.Or(namespace, api.MetricNamespace), time.Now)}
	e.Log = slog.New(e.Metrics.Log(slog.NewJSONHandler(os.Stderr, nil)))

	// What Lambda tells. The credentials are the role's, and live longer than the process. SDKs look for a config file
	// and other sources, too, which a function does not have.
	region := r.need("AWS_REGION", "a Region such as eu-central-1", nonEmpty)
	shared := aws.Config{Region: region, Credentials: credentials.NewStaticCredentialsProvider(
		r.need("AWS_ACCESS_KEY_ID", "an access key", nonEmpty),
		r.need("AWS_SECRET_ACCESS_KEY", "its secret", nonEmpty),
		r.values["AWS_SESSION_TOKEN"], // a role has one; the keys that a developer gives to sam local may have none
	)}
	at := func(endpoint string) aws.Config {
		config := shared
		config.BaseEndpoint = r.endpoint(endpoint)
		return config
	}
	e.DynamoDB, e.KMS = at("AWS_ENDPOINT_URL_DYNAMODB"), at("AWS_ENDPOINT_URL_KMS")
	e.SecretsManager, e.SES = at("AWS_ENDPOINT_URL_SECRETS_MANAGER"), at("AWS_ENDPOINT_URL_SES")
	e.SQS, e.S3 = at("AWS_ENDPOINT_URL_SQS"), at("AWS_ENDPOINT_URL_S3")
	e.EventBridge, e.Lambda = at("AWS_ENDPOINT_URL_EVENTBRIDGE"), at("AWS_ENDPOINT_URL_LAMBDA")

	// What the deployment tells.
	e.Tables = dynamostore.Tables{
		Accounts: r.need("NIGHTLATCH_ACCOUNTS_TABLE", "the name of the accounts table", isTable),
		History:  r.need("NIGHTLATCH_HISTORY_TABLE", "the name of the history table", isTable),
		Config:   r.need("NIGHTLATCH_CONFIG_TABLE", "the name of the config table", isTable),
	}
	e.KMSKey = r.need("NIGHTLATCH_KMS_KEY", "the ARN of a KMS key in this Region, such as arn:aws:kms:eu-central-1:111122223333:key/…",
		func(s string) bool { return isKey(s, region) })
	e.Failures = r.may("NIGHTLATCH_FAILURE_BUCKET", "the name of an S3 bucket: 3 to 63 of a-z, 0-9, . and -", isBucket)
	e.EventBus = r.may("NIGHTLATCH_EVENT_BUS", "the name of an event bus, or its ARN in this Region",
		func(s string) bool { return isBus(s) || isARN(s, "events", region, "event-bus/") })
	e.Notify = r.may("NIGHTLATCH_NOTIFY_FUNCTION", "the ARN of the function notify in this Region, such as arn:aws:lambda:eu-central-1:111122223333:function:…",
		func(s string) bool { return isARN(s, "lambda", region, "function:") })
	e.Policy = r.policy("NIGHTLATCH_POLICY")
	e.Settings = handler.Settings{
		App:      r.need("NIGHTLATCH_APP", "the application's name in authenticator apps: at most 64 bytes, no colon", isApp),
		Support:  r.may("NIGHTLATCH_SUPPORT", "an address or URL for people who need help, on one line", isText),
		Issuer:   r.need("NIGHTLATCH_ISSUER", "the https URL of the API without a slash at its end, such as https://2fa.example.com", isIssuer),
		Audience: r.need("NIGHTLATCH_AUDIENCE", "the name under which the host's back end expects assertions", isText),
		Claims: handler.Claims{
			User:            r.may("NIGHTLATCH_CLAIM_USER", "the name of the claim with the user's id", isText),
			AuthTime:        r.may("NIGHTLATCH_CLAIM_AUTH_TIME", "the name of the claim with the time of the sign-in", isText),
			TokenUse:        r.may("NIGHTLATCH_CLAIM_TOKEN_USE", "what the claim token_use must be", isText),
			AuthTimeFromIAT: r.may("NIGHTLATCH_AUTH_TIME_FROM_IAT", "true or false", isBool) == "true",
			Groups:          r.may("NIGHTLATCH_CLAIM_GROUPS", "the name of the claim with the user's groups", isText),
			AMR:             r.may("NIGHTLATCH_CLAIM_AMR", "the name of the claim with how the user signed in", isText),
			Email:           r.may("NIGHTLATCH_CLAIM_EMAIL", "the name of the claim with the user's address", isText),
			Reviewers:       r.may("NIGHTLATCH_REVIEWER_GROUP", "the name of the group of those who review", isWord),
		},
		InquiryURL: r.may("NIGHTLATCH_INQUIRY_URL", "the https URL of an inquiry at Persona, but for its id", isHTTPS),
	}
	r.recovery(&e, region, needs)
	r.rest()
	if r.faults != nil {
		return Environment{}, errors.Join(r.faults...)
	}
	return e, nil
}
