package environment_test

import (
	"encoding/json"
	"log/slog"
	"maps"
	"net/mail"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/environment"
	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

const (
	keyARN     = "arn:aws:kms:eu-central-1:111122223333:key/0a1b2c3d-0000-4000-8000-000000000000"
	personaARN = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:nightlatch/persona-a1b2c3"
	notifyARN  = "arn:aws:lambda:eu-central-1:111122223333:function:nightlatch-notify:live"
	webhookARN = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:nightlatch/webhook-d4e5f6"
)

// all are all needs that there are.
var all = []environment.Need{environment.ToQueueMails, environment.ToSendMails, environment.ToAskPersona, environment.ToHearPersona}

// whole is what a function on Lambda is told, when it is told everything.
func whole() map[string]string {
	return map[string]string{
		"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "s3cr3t", "AWS_SESSION_TOKEN": "t0k3n",
		"PATH": "/bin", "AWS_LAMBDA_FUNCTION_NAME": "verify",

		"NIGHTLATCH_ACCOUNTS_TABLE": "accounts", "NIGHTLATCH_HISTORY_TABLE": "history", "NIGHTLATCH_CONFIG_TABLE": "config",
		"NIGHTLATCH_KMS_KEY": keyARN, "NIGHTLATCH_FAILURE_BUCKET": "nightlatch-failures", "NIGHTLATCH_POLICY": "miaxdx", "NIGHTLATCH_APP": "Example", "NIGHTLATCH_SUPPORT": "help@example.com",
		"NIGHTLATCH_ISSUER": "https://2fa.example.com", "NIGHTLATCH_AUDIENCE": "example",
		"NIGHTLATCH_CLAIM_USER": "username", "NIGHTLATCH_CLAIM_AUTH_TIME": "signed_in", "NIGHTLATCH_CLAIM_TOKEN_USE": "access",
		"NIGHTLATCH_AUTH_TIME_FROM_IAT": "true",
		"NIGHTLATCH_CLAIM_GROUPS":       "groups", "NIGHTLATCH_CLAIM_AMR": "factors", "NIGHTLATCH_CLAIM_EMAIL": "mail", "NIGHTLATCH_REVIEWER_GROUP": "support",

		"NIGHTLATCH_WEB": "https://account.example.com", "NIGHTLATCH_MAIL_QUEUE": "https://sqs.eu-central-1.amazonaws.com/111122223333/mails",
		"NIGHTLATCH_MAIL_FROM": "Example <no-reply@example.com>", "NIGHTLATCH_MAIL_CONFIGURATION_SET": "nightlatch",
		"NIGHTLATCH_REVIEWERS": "reviewers@example.com", "NIGHTLATCH_WORDS": "mirox",
		"NIGHTLATCH_PERSONA_URL": "https://persona.example/x", "NIGHTLATCH_PERSONA_TEMPLATE": "itmpl_Example1",
		"NIGHTLATCH_PERSONA_SECRET": personaARN, "NIGHTLATCH_WEBHOOK_SECRET": webhookARN,
		"NIGHTLATCH_INQUIRY_URL": "https://app.withpersona.com/dashboard/inquiries/",
		"NIGHTLATCH_EVENT_BUS":   "security", "NIGHTLATCH_NOTIFY_FUNCTION": notifyARN, "NIGHTLATCH_METRIC_NAMESPACE": "Nightlatch/security",
	}
}

var optional = []string{
	"AWS_SESSION_TOKEN", "PATH", "AWS_LAMBDA_FUNCTION_NAME", "NIGHTLATCH_FAILURE_BUCKET", "NIGHTLATCH_SUPPORT", "NIGHTLATCH_CLAIM_USER",
	"NIGHTLATCH_CLAIM_AUTH_TIME", "NIGHTLATCH_CLAIM_TOKEN_USE", "NIGHTLATCH_AUTH_TIME_FROM_IAT",
	"NIGHTLATCH_CLAIM_GROUPS", "NIGHTLATCH_CLAIM_AMR", "NIGHTLATCH_CLAIM_EMAIL", "NIGHTLATCH_REVIEWER_GROUP",
	"NIGHTLATCH_MAIL_CONFIGURATION_SET", "NIGHTLATCH_REVIEWERS", "NIGHTLATCH_WORDS", "NIGHTLATCH_PERSONA_URL", "NIGHTLATCH_INQUIRY_URL",
	"NIGHTLATCH_EVENT_BUS", "NIGHTLATCH_NOTIFY_FUNCTION", "NIGHTLATCH_METRIC_NAMESPACE",
}

// needed are the settings that only some functions need, with the needs that they are for.
var needed = map[string][]environment.Need{
	"NIGHTLATCH_WEB":              {environment.ToSendMails, environment.ToAskPersona, environment.ToHearPersona},
	"NIGHTLATCH_MAIL_QUEUE":       {environment.ToQueueMails},
	"NIGHTLATCH_MAIL_FROM":        {environment.ToSendMails},
	"NIGHTLATCH_PERSONA_TEMPLATE": {environment.ToAskPersona, environment.ToHearPersona},
	"NIGHTLATCH_PERSONA_SECRET":   {environment.ToAskPersona, environment.ToHearPersona},
	"NIGHTLATCH_WEBHOOK_SECRET":   {environment.ToHearPersona},
}

func environ(variables map[string]string) []string {
	var all []string
	for name, value := range variables {
		all = append(all, name+"="+value)
	}
	return all
}

func read(t *testing.T, variables map[string]string) environment.Environment {
	t.Helper()
	e, err := environment.Read(environ(variables), all...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEverything(t *testing.T) {
	t.Parallel()
	variables := whole()
	variables["AWS_ENDPOINT_URL_DYNAMODB"] = "http://127.0.0.1:8000"
	variables["AWS_ENDPOINT_URL_KMS"] = "https://kms.test"
	variables["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = "https://secrets.test"
	variables["AWS_ENDPOINT_URL_SES"] = "https://ses.test"
	variables["AWS_ENDPOINT_URL_SQS"] = "https://sqs.test"
	variables["AWS_ENDPOINT_URL_S3"] = "https://s3.test"
	variables["AWS_ENDPOINT_URL_EVENTBRIDGE"] = "https://events.test"
	variables["AWS_ENDPOINT_URL_LAMBDA"] = "https://lambda.test"
	e := read(t, variables)

	miaxdx, err := twofactor.Preset("miaxdx")
	if err != nil {
		t.Fatal(err)
	}
	for what, diff := range map[string]string{
		"tables": cmp.Diff(dynamostore.Tables{Accounts: "accounts", History: "history", Config: "config"}, e.Tables),
		"key":    cmp.Diff(keyARN, e.KMSKey),
		"policy": cmp.Diff(miaxdx, e.Policy),
		"settings": cmp.Diff(handler.Settings{
			App: "Example", Support: "help@example.com", Issuer: "https://2fa.example.com", Audience: "example",
			Claims:     handler.Claims{User: "username", AuthTime: "signed_in", TokenUse: "access", AuthTimeFromIAT: true, Groups: "groups", AMR: "factors", Email: "mail", Reviewers: "support"},
			InquiryURL: "https://app.withpersona.com/dashboard/inquiries/",
		}, e.Settings),
		"web": cmp.Diff("https://account.example.com", e.Web),
		"mail": cmp.Diff(environment.Mail{
			Queue: "https://sqs.eu-central-1.amazonaws.com/111122223333/mails", From: mail.Address{Name: "Example", Address: "no-reply@example.com"},
			ConfigurationSet: "nightlatch", Reviewers: "reviewers@example.com", Words: "mirox",
		}, e.Mail),
		"Persona": cmp.Diff(environment.Persona{
			URL: "https://persona.example/x", Template: "itmpl_Example1", ReturnTo: "https://account.example.com/#/reset/thanks",
			APIKey: personaARN, WebhookSecret: webhookARN,
		}, e.Persona),
		"endpoint of Secrets Manager": cmp.Diff("https://secrets.test", *e.SecretsManager.BaseEndpoint),
		"endpoint of SES":             cmp.Diff("https://ses.test", *e.SES.BaseEndpoint),
		"endpoint of SQS":             cmp.Diff("https://sqs.test", *e.SQS.BaseEndpoint),
		"endpoint of S3":              cmp.Diff("https://s3.test", *e.S3.BaseEndpoint),
		"endpoint of EventBridge":     cmp.Diff("https://events.test", *e.EventBridge.BaseEndpoint),
		"endpoint of Lambda":          cmp.Diff("https://lambda.test", *e.Lambda.BaseEndpoint),
		"event bus":                   cmp.Diff("security", e.EventBus),
		"notify":                      cmp.Diff(notifyARN, e.Notify),
		"bucket":                      cmp.Diff("nightlatch-failures", e.Failures),
		"endpoint of DynamoDB":        cmp.Diff("http://127.0.0.1:8000", *e.DynamoDB.BaseEndpoint),
		"endpoint of KMS":             cmp.Diff("https://kms.test", *e.KMS.BaseEndpoint),
		"region of DynamoDB":          cmp.Diff("eu-central-1", e.DynamoDB.Region),
		"region of KMS":               cmp.Diff("eu-central-1", e.KMS.Region),
	} {
		if diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	for _, provider := range []aws.CredentialsProvider{
		e.DynamoDB.Credentials, e.KMS.Credentials, e.SecretsManager.Credentials, e.SES.Credentials, e.SQS.Credentials, e.S3.Credentials,
		e.EventBridge.Credentials, e.Lambda.Credentials,
	} {
		c, err := provider.Retrieve(t.Context())
		if err != nil || c.AccessKeyID != "ASIAEXAMPLE" || c.SecretAccessKey != "s3cr3t" || c.SessionToken != "t0k3n" {
			t.Errorf("credentials %+v, %v", c, err)
		}
	}
	if e.Log == nil {
		t.Error("no logger")
	}
}

func TestOptional(t *testing.T) {
	t.Parallel()
	variables := whole()
	for _, name := range optional {
		delete(variables, name)
	}
	variables["AWS_SESSION_TOKEN"], variables["AWS_ENDPOINT_URL_KMS"] = "", "" // as sam local sets what there is none of
	e := read(t, variables)
	want := handler.Settings{App: "Example", Issuer: "https://2fa.example.com", Audience: "example"}
	if diff := cmp.Diff(want, e.Settings); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	for _, config := range []aws.Config{e.DynamoDB, e.KMS, e.SecretsManager, e.SES, e.SQS, e.S3, e.EventBridge, e.Lambda} {
		if config.BaseEndpoint != nil || config.Region != "eu-central-1" {
			t.Errorf("without an endpoint it is %v in %s", config.BaseEndpoint, config.Region)
		}
	}
	if e.Mail.ConfigurationSet != "" || e.Mail.Reviewers != "" || e.Persona.URL != "" || e.EventBus != "" || e.Failures != "" || e.Notify != "" {
		t.Errorf("what nobody has chosen: %+v", e)
	}
}

// TestEmpty: a setting that is there and says nothing was meant to say something. That no kind of token is asked for, above
// all, must be chosen by leaving it out.
func TestEmpty(t *testing.T) {
	t.Parallel()
	for _, name := range optional {
		for _, value := range []string{"", " ", "\t\n"} {
			variables := whole()
			variables[name] = value
			_, err := environment.Read(environ(variables), all...)
			told := err != nil && !strings.Contains(err.Error(), "\n") && strings.HasPrefix(err.Error(), name+": is empty, must be ")
			if ours := strings.HasPrefix(name, "NIGHTLATCH_"); told != ours {
				t.Errorf("%s=%q: error %v, want one line that names it: %v", name, value, err, ours)
			}
		}
	}
}

// TestCredentialsInURLs: a URL with a password is refused, and not told.
func TestCredentialsInURLs(t *testing.T) {
	t.Parallel()
	for name := range whole() {
		if name == "PATH" || strings.HasPrefix(name, "AWS_") {
			continue
		}
		for _, value := range []string{"https://key:pa55@example.com", "http://key:pa55%@127.0.0.1:8000", "pa55@127.0.0.1\n"} {
			variables := whole()
			variables[name] = value
			if _, err := environment.Read(environ(variables), all...); err != nil && strings.Contains(err.Error(), "pa55") && name != "NIGHTLATCH_POLICY" {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for _, service := range []string{"DYNAMODB", "EVENTBRIDGE", "KMS", "LAMBDA", "S3", "SECRETS_MANAGER", "SES", "SQS"} {
		for _, value := range []string{"http://key:pa55@127.0.0.1:8000", "http://pa55@127.0.0.1:8000", "http://key:pa55%@127.0.0.1", "key:pa55@127.0.0.1:8000"} {
			variables := whole()
			variables["AWS_ENDPOINT_URL_"+service] = value
			_, err := environment.Read(environ(variables), all...)
			if err == nil || strings.Contains(err.Error(), "pa55") || !strings.HasPrefix(err.Error(), "AWS_ENDPOINT_URL_"+service+": must be ") {
				t.Errorf("AWS_ENDPOINT_URL_%s=%s: %v", service, value, err)
			}
		}
	}
}

// TestComment: the package's comment lists every setting, a line each, and no other.
func TestComment(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("environment.go")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, match := range regexp.MustCompile(`(?m)^//\t([A-Z0-9_]+)`).FindAllStringSubmatch(string(source), -1) {
		listed = append(listed, match[1])
	}
	var asked []string
	for _, file := range []string{"environment.go", "recovery.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`"((?:NIGHTLATCH|AWS)_[A-Z0-9_]+)"`).FindAllStringSubmatch(string(source), -1) {
			asked = append(asked, match[1])
		}
	}
	slices.Sort(listed)
	slices.Sort(asked)
	if diff := cmp.Diff(slices.Compact(asked), listed); diff != "" {
		t.Errorf("settings (-read +listed):\n%s", diff)
	}
	for _, name := range slices.Sorted(maps.Keys(whole())) {
		if strings.HasPrefix(name, "NIGHTLATCH_") && !slices.Contains(listed, name) {
			t.Errorf("%s is not listed", name)
		}
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	miaxdx, err := twofactor.Preset("miaxdx")
	if err != nil {
		t.Fatal(err)
	}
	strict := miaxdx
	strict.Skew = 0
	for text, want := range map[string]twofactor.Policy{
		"standard": twofactor.Standard(), "miaxdx": miaxdx, "{}": twofactor.Standard(), ` {"preset":"miaxdx","skew":0}`: strict,
	} {
		variables := whole()
		variables["NIGHTLATCH_POLICY"] = text
		if diff := cmp.Diff(want, read(t, variables).Policy); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	for name := range whole() {
		if slices.Contains(optional, name) {
			continue
		}
		for _, how := range []string{"missing", "empty"} {
			variables := whole()
			variables[name] = ""
			if how == "missing" {
				delete(variables, name)
			}
			_, err := environment.Read(environ(variables), all...)
			if err == nil || strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), name+": is missing, must be ") {
				t.Errorf("%s is %s: error %v, want one line that names it", name, how, err)
			}
		}
	}
}

// TestNeeds: what only some functions need is missing to nobody else, and but for the sender of mails only where somebody is
// let in again by a review.
func TestNeeds(t *testing.T) {
	t.Parallel()
	for name, needs := range needed {
		for _, policy := range []string{"miaxdx", "mirox", `{"recovery":"off"}`} {
			for _, need := range append(all, -1) {
				variables := whole()
				variables["NIGHTLATCH_POLICY"] = policy
				delete(variables, name)
				_, err := environment.Read(environ(variables), need)
				want := slices.Contains(needs, need) && (policy == "miaxdx" || name == "NIGHTLATCH_MAIL_FROM")
				if got := err != nil && strings.HasPrefix(err.Error(), name+": is missing"); got != want {
					t.Errorf("%s, for need %d under %s: error %v, want one: %v", name, need, policy, err, want)
				}
			}
		}
	}
	variables := whole()
	variables["NIGHTLATCH_POLICY"] = "mirox"
	for name := range needed {
		delete(variables, name)
	}
	e, err := environment.Read(environ(variables), environment.ToQueueMails, environment.ToHearPersona)
	if err != nil || e.Mail.Queue != "" || e.Persona.APIKey != "" || e.Persona.ReturnTo != "" || e.Persona.Template == "" {
		t.Errorf("without recovery: %+v, %+v, %v; want a client that has no key", e.Mail, e.Persona, err)
	}
}

// TestWords: without a choice, mails have the words of the preset that the policy is made of.
func TestWords(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string]string{
		"standard": "standard", "midphase": "midphase", `{"preset":"miaxdx","reviewers":2}`: "miaxdx", `{"skew":0}`: "standard",
	} {
		variables := whole()
		variables["NIGHTLATCH_POLICY"] = policy
		delete(variables, "NIGHTLATCH_WORDS")
		if got := read(t, variables).Mail.Words; got != want {
			t.Errorf("%s: the words of %s, want %s", policy, got, want)
		}
	}
}

// TestEventBus: a bus has a name, or an ARN.
func TestEventBus(t *testing.T) {
	t.Parallel()
	for _, bus := range []string{"default", "a/b_c-d.E9", "arn:aws:events:eu-central-1:111122223333:event-bus/security"} {
		variables := whole()
		variables["NIGHTLATCH_EVENT_BUS"] = bus
		if got := read(t, variables).EventBus; got != bus {
			t.Errorf("bus %q, want %q", got, bus)
		}
	}
}

func TestWrong(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]string{
		"NIGHTLATCH_ACCOUNTS_TABLE": {"ab", strings.Repeat("a", 256), "my table", "täble", "arn:aws:dynamodb:eu-central-1:1:table/x"},
		"NIGHTLATCH_HISTORY_TABLE":  {"a/b"}, "NIGHTLATCH_CONFIG_TABLE": {"a\n"},
		"NIGHTLATCH_KMS_KEY": {
			"alias/nightlatch", "0a1b2c3d-0000-4000-8000-000000000000", "arn:aws:kms:eu-central-1:111122223333:alias/x",
			strings.Replace(keyARN, "eu-central-1", "us-east-1", 1), strings.Replace(keyARN, "kms", "s3", 1),
		},
		"NIGHTLATCH_POLICY":             {"strict", "{", "[]", `{"skew":2}`, `{"skwe":1}`, `{"enforcement":"required","backup_use":"disable_2fa"}`},
		"NIGHTLATCH_APP":                {"Example: Inc", strings.Repeat("a", 65), "a\tb"},
		"NIGHTLATCH_SUPPORT":            {"two\nlines", " help@example.com"},
		"NIGHTLATCH_ISSUER":             {"2fa.example.com", "http://2fa.example.com", "https://", "https://2fa.example.com/", "https://a@b.example", "https://a.example?", "https://a.example?b", "https://a.example#b", "https://a.example#", "https://a b.example", "HTTPS:a.example"},
		"NIGHTLATCH_AUDIENCE":           {"a\x00b"},
		"NIGHTLATCH_CLAIM_USER":         {"a\nb"},
		"NIGHTLATCH_CLAIM_AUTH_TIME":    {"a\nb"},
		"NIGHTLATCH_CLAIM_TOKEN_USE":    {"a\nb", "", " ", "access ", " access"},
		"NIGHTLATCH_AUTH_TIME_FROM_IAT": {"yes", "1", "TRUE", "off"},
		"NIGHTLATCH_CLAIM_GROUPS":       {"a\nb"},
		"NIGHTLATCH_CLAIM_AMR":          {"a\nb"},
		"NIGHTLATCH_CLAIM_EMAIL":        {"a\nb"},
		"NIGHTLATCH_REVIEWER_GROUP":     {"a b", "a,b", "[a]", "a\nb"},
		"NIGHTLATCH_INQUIRY_URL":        {"http://app.withpersona.com/", "/inquiries/", "https://", "https://a@b.example/", "https://a.example/#b"},
		"NIGHTLATCH_WEB":                {"http://account.example.com", "account.example.com", "https://account.example.com/"},
		"NIGHTLATCH_MAIL_QUEUE":         {"mails", "arn:aws:sqs:eu-central-1:111122223333:mails"},
		"NIGHTLATCH_MAIL_FROM":          {"Example", "a@b.example, c@d.example", "ä@example.com", "no-reply@exämple.com", "a\nb <a@b.example>"},

		"NIGHTLATCH_MAIL_CONFIGURATION_SET": {"a set", "a/b", strings.Repeat("a", 65)},
		"NIGHTLATCH_REVIEWERS":              {"Reviewers <r@example.com>", "reviewers", "a@b.example,c@d.example", "ä@example.com"},
		"NIGHTLATCH_WORDS":                  {"strict", "Mirox"},
		"NIGHTLATCH_PERSONA_URL":            {"http://persona.example", "persona.example", "https://a@b.example", "https://a.example?b", "https://a.example?", "https://a.example#b", "http://10.0.0.1", "ftp://127.0.0.1"},
		"NIGHTLATCH_PERSONA_TEMPLATE":       {"itmpl Example", "itmpl/1"},
		"NIGHTLATCH_PERSONA_SECRET":         {"persona", keyARN, strings.Replace(personaARN, "eu-central-1", "us-east-1", 1), "persona_production_0123456789"},
		"NIGHTLATCH_WEBHOOK_SECRET":         {"webhook", keyARN},
		"AWS_ENDPOINT_URL_SECRETS_MANAGER":  {"secrets"},
		"AWS_ENDPOINT_URL_SES":              {"ses"},
		"AWS_ENDPOINT_URL_SQS":              {"sqs"},
		"AWS_ENDPOINT_URL_S3":               {"s3"},
		"AWS_ENDPOINT_URL_EVENTBRIDGE":      {"events"},
		"AWS_ENDPOINT_URL_LAMBDA":           {"lambda"},
		"NIGHTLATCH_EVENT_BUS":              {"my bus", "büs", strings.Repeat("a", 257), notifyARN, "arn:aws:events:us-east-1:111122223333:event-bus/security", "arn:aws:events:eu-central-1:111122223333:rule/security"},
		"NIGHTLATCH_METRIC_NAMESPACE":       {"a b", `a"b`, "ä", strings.Repeat("a", 256), "AWS/Lambda"},
		"NIGHTLATCH_NOTIFY_FUNCTION":        {"notify", keyARN, strings.Replace(notifyARN, "eu-central-1", "us-east-1", 1), strings.Replace(notifyARN, "function:", "layer:", 1)},
		"NIGHTLATCH_FAILURE_BUCKET":         {"ab", "Failures", "a/b", "arn:aws:s3:::failures"},

		"NIGHTLATCH_SUPORT":         {"help@example.com"},
		"NIGHTLATCH_":               {"x"},
		"AWS_ENDPOINT_URL_DYNAMODB": {"127.0.0.1:8000", "localhost:8000", "ftp://a", "http://"},
		"AWS_ENDPOINT_URL_KMS":      {"kms"},
	} {
		for _, value := range values {
			variables := whole()
			variables[name] = value
			e, err := environment.Read(environ(variables))
			if err == nil || strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), name+": ") {
				t.Errorf("%s=%q: error %v, want one line that names it", name, value, err)
			}
			if strings.HasSuffix(name, "_SECRET") && strings.Contains(err.Error(), value+`"`) {
				t.Errorf("%s: the error says what may be the secret itself: %v", name, err)
			}
			if e.Settings != (handler.Settings{}) || e.DynamoDB.Credentials != nil {
				t.Errorf("%s=%q: there is an environment beside the error", name, value)
			}
		}
	}
}

// TestAllAtOnce: every fault is told, a line each, and no credential with them.
func TestAllAtOnce(t *testing.T) {
	t.Parallel()
	variables := map[string]string{
		"AWS_ACCESS_KEY_ID": "ASIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "s3cr3t", "AWS_SESSION_TOKEN": "t0k3n",
		"NIGHTLATCH_KMS_KEY": keyARN, "NIGHTLATCH_POLICY": `{"skew":2,"reviewers":3}`, "NIGHTLATCH_ISSUER": "http://x", "NIGHTLATCH_X": "y",
	}
	_, err := environment.Read(environ(variables))
	if err == nil {
		t.Fatal("no error")
	}
	var named []string
	for line := range strings.Lines(err.Error()) {
		name, _, _ := strings.Cut(line, ":")
		named = append(named, name)
	}
	want := []string{
		"AWS_REGION", "NIGHTLATCH_ACCOUNTS_TABLE", "NIGHTLATCH_HISTORY_TABLE", "NIGHTLATCH_CONFIG_TABLE", "NIGHTLATCH_POLICY",
		"NIGHTLATCH_POLICY", "NIGHTLATCH_APP", "NIGHTLATCH_ISSUER", "NIGHTLATCH_AUDIENCE", "NIGHTLATCH_X",
	}
	if diff := cmp.Diff(want, named); diff != "" {
		t.Errorf("faults (-want +got):\n%s\n%v", diff, err)
	}
	for _, never := range []string{"ASIAEXAMPLE", "s3cr3t", "t0k3n"} {
		if strings.Contains(err.Error(), never) {
			t.Errorf("the error says %s", never)
		}
	}
}

// TestMust runs this test's own program as a function that starts.
func TestMust(t *testing.T) {
	if os.Getenv("TEST_MUST") == "run" {
		environment.Must()
		slog.Error("a package without a logger of its own")
		os.Exit(0)
	}
	t.Parallel()
	start := func(variables map[string]string) (string, error) {
		variables["TEST_MUST"] = "run"
		self := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMust$")
		self.Env = environ(variables)
		said, err := self.CombinedOutput()
		return string(said), err
	}
	if said, err := start(whole()); err != nil || !json.Valid([]byte(said)) || !strings.Contains(said, `"level":"ERROR"`) {
		t.Errorf("with all that it needs: %v, want a line of JSON\n%s", err, said)
	}
	variables := whole()
	variables["NIGHTLATCH_POLICY"] = "strict"
	delete(variables, "AWS_REGION")
	said, err := start(variables)
	exit, ok := err.(*exec.ExitError)
	if !ok || exit.ExitCode() != 1 || strings.Count(said, "\n") != 2 || !strings.HasPrefix(said, "AWS_REGION: is missing") || !strings.Contains(said, "\nNIGHTLATCH_POLICY: ") {
		t.Errorf("with two faults: %v, want exit status 1 and a line for each\n%s", err, said)
	}
}
