package environment_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
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

const keyARN = "arn:aws:kms:eu-central-1:111122223333:key/0a1b2c3d-0000-4000-8000-000000000000"

// whole is what a function on Lambda is told, when it is told everything.
func whole() map[string]string {
	return map[string]string{
		"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "s3cr3t", "AWS_SESSION_TOKEN": "t0k3n",
		"PATH": "/bin", "AWS_LAMBDA_FUNCTION_NAME": "verify",

		"NIGHTLATCH_ACCOUNTS_TABLE": "accounts", "NIGHTLATCH_HISTORY_TABLE": "history", "NIGHTLATCH_CONFIG_TABLE": "config",
		"NIGHTLATCH_KMS_KEY": keyARN, "NIGHTLATCH_POLICY": "mirox", "NIGHTLATCH_APP": "Example", "NIGHTLATCH_SUPPORT": "help@example.com",
		"NIGHTLATCH_ISSUER": "https://2fa.example.com", "NIGHTLATCH_AUDIENCE": "example",
		"NIGHTLATCH_CLAIM_USER": "username", "NIGHTLATCH_CLAIM_AUTH_TIME": "signed_in", "NIGHTLATCH_CLAIM_TOKEN_USE": "access",
		"NIGHTLATCH_AUTH_TIME_FROM_IAT": "true",
	}
}

var optional = []string{
	"AWS_SESSION_TOKEN", "PATH", "AWS_LAMBDA_FUNCTION_NAME", "NIGHTLATCH_SUPPORT", "NIGHTLATCH_CLAIM_USER",
	"NIGHTLATCH_CLAIM_AUTH_TIME", "NIGHTLATCH_CLAIM_TOKEN_USE", "NIGHTLATCH_AUTH_TIME_FROM_IAT",
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
	e, err := environment.Read(environ(variables))
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
	e := read(t, variables)

	mirox, err := twofactor.Preset("mirox")
	if err != nil {
		t.Fatal(err)
	}
	for what, diff := range map[string]string{
		"tables": cmp.Diff(dynamostore.Tables{Accounts: "accounts", History: "history", Config: "config"}, e.Tables),
		"key":    cmp.Diff(keyARN, e.KMSKey),
		"policy": cmp.Diff(mirox, e.Policy),
		"settings": cmp.Diff(handler.Settings{
			App: "Example", Support: "help@example.com", Issuer: "https://2fa.example.com", Audience: "example",
			Claims: handler.Claims{User: "username", AuthTime: "signed_in", TokenUse: "access", AuthTimeFromIAT: true},
		}, e.Settings),
		"endpoint of DynamoDB": cmp.Diff("http://127.0.0.1:8000", *e.DynamoDB.BaseEndpoint),
		"endpoint of KMS":      cmp.Diff("https://kms.test", *e.KMS.BaseEndpoint),
		"region of DynamoDB":   cmp.Diff("eu-central-1", e.DynamoDB.Region),
		"region of KMS":        cmp.Diff("eu-central-1", e.KMS.Region),
	} {
		if diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	for _, provider := range []aws.CredentialsProvider{e.DynamoDB.Credentials, e.KMS.Credentials} {
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
	for i, name := range optional {
		if i%2 == 0 {
			delete(variables, name)
		} else {
			variables[name] = "" // as a template sets what nobody has chosen
		}
	}
	e := read(t, variables)
	want := handler.Settings{App: "Example", Issuer: "https://2fa.example.com", Audience: "example"}
	if diff := cmp.Diff(want, e.Settings); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if e.DynamoDB.BaseEndpoint != nil || e.KMS.BaseEndpoint != nil {
		t.Error("without an endpoint there is one")
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
			_, err := environment.Read(environ(variables))
			if err == nil || strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), name+": is missing, must be ") {
				t.Errorf("%s is %s: error %v, want one line that names it", name, how, err)
			}
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
		"NIGHTLATCH_SUPPORT":            {"two\nlines"},
		"NIGHTLATCH_ISSUER":             {"2fa.example.com", "http://2fa.example.com", "https://", "https://2fa.example.com/", "https://a@b.example", "https://a.example?", "https://a.example?b", "https://a.example#b", "https://a.example#", "https://a b.example", "HTTPS:a.example"},
		"NIGHTLATCH_AUDIENCE":           {"a\x00b"},
		"NIGHTLATCH_CLAIM_USER":         {"a\nb"},
		"NIGHTLATCH_CLAIM_AUTH_TIME":    {"a\nb"},
		"NIGHTLATCH_CLAIM_TOKEN_USE":    {"a\nb"},
		"NIGHTLATCH_AUTH_TIME_FROM_IAT": {"yes", "1", "TRUE", "off"},
		"NIGHTLATCH_SUPORT":             {"help@example.com"},
		"NIGHTLATCH_":                   {"x"},
		"AWS_ENDPOINT_URL_DYNAMODB":     {"127.0.0.1:8000", "localhost:8000", "ftp://a", "http://"},
		"AWS_ENDPOINT_URL_KMS":          {"kms"},
	} {
		for _, value := range values {
			variables := whole()
			variables[name] = value
			e, err := environment.Read(environ(variables))
			if err == nil || strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), name+": ") {
				t.Errorf("%s=%q: error %v, want one line that names it", name, value, err)
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
