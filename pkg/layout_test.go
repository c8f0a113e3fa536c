// Package pkg_test holds the module to its layout: what may import what.
package pkg_test

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/nightlatch/nightlatch/"
	aws    = `github\.com/aws/`
	ours   = `(cmd|functions|pkg|web)(/|$)` // this module's packages, whose names stand here without the module's
)

// A rule says what some packages must not need. Every member is a pattern for the beginning of an import path.
type rule struct {
	why    string
	of     string // the packages that the rule is about
	spare  string // those of them that it is not about
	never  string // what they must not need,
	but    string // except this
	direct bool   // only what a package imports itself, not what that needs in turn
}

var rules = []rule{
	{why: "codes are made and matched without AWS",
		of: `pkg/(backupcode|totp)$`, never: aws},
	{why: "the rules know neither AWS, nor HTTP, nor a database",
		of: `pkg/twofactor$`, never: aws + `|net/http$|database/|go\.etcd\.io/|pkg/(boltstore|dynamostore)$`},
	{why: "whoever imports the API's names gets nothing else",
		of: `pkg/api$`, never: `[^/]+\.[^/]+/|` + ours},
	{why: "a host imports the API's names, a signer for its requests, and no Tink, no KMS",
		of: `pkg/host$`, never: `github\.com/tink-crypto/|` + aws + `aws-sdk-go-v2/service/kms|` + ours, but: `pkg/api$`},
	{why: "an example needs what its reader has",
		of: `pkg/host/examples/`, never: ours, but: `pkg/(api|host)$`},
	{why: "HTTP clients for services know none of them",
		of: `pkg/thaw$`, never: aws + `aws-sdk-go-v2/service/|` + ours},
	{why: "a service's client is met in its adapter or in a main",
		of: `pkg/`, spare: `pkg/(dynamostore|host|identity|keyring|mail|notify)(/|$)`,
		never: aws + `aws-sdk-go-v2/service/`, direct: true},
	{why: "the embedded database is the laptop's",
		of: `(functions|pkg)/`, spare: `pkg/boltstore(/|$)`, never: `go\.etcd\.io/|pkg/boltstore$|cmd/`},
	{why: "what a function is told when it starts, its main hands on",
		of: `(cmd|pkg)/`, never: `pkg/environment$`},
	{why: "a function starts with what Lambda tells it, and looks nowhere else",
		of: `functions/`, never: aws + `aws-sdk-go-v2/(config|feature/ec2/imds|service/(signin|sso|ssooidc|sts))(/|$)`},
	{why: "a function that opens no key has nothing to open one with",
		of: `functions/(notify|status)$`, never: `pkg/keyring$|` + aws + `aws-sdk-go-v2/service/kms(/|$)`},
	{why: "only the mailer writes mails, and one reads their tags",
		of: `functions/`, spare: `functions/mail(er|-feedback)$`, never: `pkg/mail$|` + aws + `aws-sdk-go-v2/service/ses(/|$)`},
	{why: "only who asks or hears the identity service has its secrets",
		of: `functions/`, spare: `functions/(identity-webhook|reset-request|sweep)$`,
		never: `pkg/identity$|` + aws + `aws-sdk-go-v2/service/secretsmanager(/|$)`},
	{why: "what stands in for the identity service is not deployed",
		of: `functions/`, never: `pkg/identity/standin$`},
	{why: "what tests are made of is not shipped",
		of: `(cmd|functions|pkg)/`, spare: `pkg/api/(api|sam)test$|pkg/needs$|pkg/twofactor/storetest$`,
		never: `testing$|github\.com/(getkin/kin-openapi|google/go-cmp|oasdiff|rogpeppe)/|pgregory\.net/|pkg/(dynamostore/itemsize|needs)$`},

	// Adapters do not know one another. Where two meet, the type lives in twofactor and a main joins them.
	adapter("boltstore"), adapter("dynamostore"), adapter("identity"), adapter("keyring"), adapter("mail"), adapter("notify"),
}

func adapter(name string) rule {
	return rule{why: "adapters do not know one another", of: `pkg/` + name + `$`,
		never: `pkg/(boltstore|dynamostore|handler|identity|keyring|mail|notify)$`}
}

// breaches says how a package breaks the rule.
func (r rule) breaches(p goPackage) []string {
	name := short(p.ImportPath)
	if !begins(r.of, name) || begins(r.spare, name) {
		return nil
	}
	needs := p.Deps
	if r.direct {
		needs = p.Imports
	}
	var found []string
	for _, need := range needs {
		if need := short(need); begins(r.never, need) && !begins(r.but, need) {
			found = append(found, name+" must not need "+need+": "+r.why)
		}
	}
	return found
}

func short(path string) string { return strings.TrimPrefix(path, module) }

func begins(pattern, s string) bool {
	return pattern != "" && regexp.MustCompile(`^(`+pattern+`)`).MatchString(s)
}

func TestImports(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, r := range rules {
			for _, breach := range r.breaches(p) {
				t.Error(breach)
			}
		}
	}
}

// A pattern that matches nothing would let everything pass.
func TestRulesForbid(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, need string
		want       bool
	}{
		{"pkg/totp", "github.com/aws/aws-sdk-go-v2/aws", true},
		{"pkg/backupcode", "github.com/aws/aws-lambda-go/events", true},
		{"pkg/twofactor", "net/http", true},
		{"pkg/twofactor", "net/http/httptest", false},
		{"pkg/twofactor", "go.etcd.io/bbolt", true},
		{"pkg/twofactor", module + "pkg/totp", false},
		{"pkg/api", "github.com/google/uuid", true},
		{"pkg/api", "encoding/json", false},
		{"pkg/api", module + "pkg/twofactor", true},
		{"pkg/host", "github.com/tink-crypto/tink-go/v2/aead", true},
		{"pkg/host", "github.com/aws/aws-sdk-go-v2/service/kms", true},
		{"pkg/host", "github.com/aws/aws-sdk-go-v2/aws/signer/v4", false},
		{"pkg/host", module + "pkg/api", false},
		{"pkg/host", module + "pkg/token", true},
		{"pkg/handler", "github.com/aws/aws-sdk-go-v2/service/dynamodb", true},
		{"pkg/dynamostore", "github.com/aws/aws-sdk-go-v2/service/dynamodb", false},
		{"functions/verify", "go.etcd.io/bbolt", true},
		{"functions/verify", "github.com/aws/aws-sdk-go-v2/config", true},
		{"functions/verify", "github.com/aws/aws-sdk-go-v2/service/dynamodb", false},
		{"functions/verify", module + "pkg/environment", false},
		{"functions/verify", module + "pkg/keyring", false},
		{"functions/status", module + "pkg/keyring", true},
		{"functions/notify", "github.com/aws/aws-sdk-go-v2/service/kms", true},
		{"functions/admin", module + "pkg/keyring", false},
		{"functions/notify", module + "pkg/mail", true},
		{"functions/notify", "github.com/aws/aws-sdk-go-v2/service/sqs", false},
		{"functions/mailer", "github.com/aws/aws-sdk-go-v2/service/ses", false},
		{"functions/mailer", module + "pkg/identity", true},
		{"functions/verify", "github.com/aws/aws-sdk-go-v2/service/ses", true},
		{"functions/reset-review", "github.com/aws/aws-sdk-go-v2/service/secretsmanager", true},
		{"functions/sweep", module + "pkg/identity", false},
		{"functions/sweep", module + "pkg/identity/standin", true},
		{"pkg/handler", module + "pkg/environment", true},
		{"cmd/nightlatch", "go.etcd.io/bbolt", false},
		{"pkg/handler", "github.com/getkin/kin-openapi/openapi3", true},
		{"pkg/api/apitest", "github.com/getkin/kin-openapi/openapi3", false},
		{"pkg/api/samtest", "github.com/oasdiff/yaml", false},
		{"cmd/sam", "github.com/oasdiff/yaml", true},
		{"cmd/nightlatch", "testing", true},
		{"pkg/dynamostore", module + "pkg/dynamostore/itemsize", true},
		{"pkg/notify", module + "pkg/mail", true},
		{"pkg/notify", module + "pkg/twofactor", false},
		{"pkg/notify", module + "pkg/thaw", false},
		{"pkg/thaw", "github.com/aws/aws-sdk-go-v2/service/s3", true},
		{"pkg/thaw", module + "pkg/notify", true},
	}
	for _, test := range tests {
		p := goPackage{ImportPath: module + test.name, Imports: []string{test.need}, Deps: []string{test.need}}
		got := slices.ContainsFunc(rules, func(r rule) bool { return len(r.breaches(p)) > 0 })
		if got != test.want {
			t.Errorf("%s needing %s is forbidden: %v, want %v", test.name, test.need, got, test.want)
		}
	}
}

// goPackage is what go list tells of a package, its tests left out. Deps are all that it needs, Imports what it names.
type goPackage struct {
	ImportPath    string
	Imports, Deps []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	// go list is another process: go test would not see that a package has changed, but for what the test looks at.
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") {
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports,Deps", module+"...")
	list.Stderr = t.Output()
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	for _, name := range []string{
		"pkg/totp", "pkg/backupcode", "pkg/twofactor", "pkg/api", "pkg/host", "pkg/boltstore", "pkg/environment", "pkg/keyring",
		"pkg/notify", "pkg/thaw", "pkg/identity", "pkg/identity/standin", "pkg/mail", "functions/admin", "functions/identity-webhook",
		"functions/mailer", "functions/notify", "functions/reset-request", "functions/status", "functions/sweep", "functions/verify",
	} {
		if !slices.ContainsFunc(all, func(p goPackage) bool { return short(p.ImportPath) == name }) {
			t.Fatalf("go list does not know %s", name)
		}
	}
	return all
}
