package main

import (
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// with returns the least configuration, or the one without recovery, with settings changed; null removes one.
func with(tb testing.TB, base string, change string) []byte {
	tb.Helper()
	var text []byte
	if base == without {
		text = []byte(`{"region":"eu-central-1","app":"Example","audience":"login","policy":"mirox",
			"session":{"issuer":"https://id.example.com","audiences":["app"]},"mail":{"from":"no-reply@example.com"}}`)
	} else {
		var err error
		if text, err = os.ReadFile(base); err != nil {
			tb.Fatal(err)
		}
	}
	var settings, changes object
	for _, each := range []struct {
		text []byte
		into *object
	}{{text, &settings}, {[]byte(change), &changes}} {
		if err := json.Unmarshal(each.text, each.into); err != nil {
			tb.Fatalf("%s: %v", each.text, err)
		}
	}
	merge(settings, changes)
	merged, err := json.Marshal(settings)
	if err != nil {
		tb.Fatal(err)
	}
	return merged
}

func merge(settings, changes object) {
	for name, value := range changes {
		inner, isObject := value.(object)
		if here, ok := settings[name].(object); ok && isObject {
			merge(here, inner)
		} else if value == nil {
			delete(settings, name)
		} else {
			settings[name] = value
		}
	}
}

func TestExamples(t *testing.T) {
	t.Parallel()
	c := configOf(t, least)
	if c.Name != "nightlatch" || c.API.Rate != 100 || c.Tables.MaxWrites != 2000 || c.Policy.Preset != "standard" || c.Policy.Policy != twofactor.Standard() {
		t.Errorf("the least: %+v", c)
	}
	c = configOf(t, most)
	if c.Policy.Preset != "miaxdx" || c.Policy.Reviewers != 2 || !strings.HasPrefix(c.Policy.Text, `{"preset":"miaxdx",`) || strings.Contains(c.Policy.Text, "\n") {
		t.Errorf("the most: %+v", c.Policy)
	}
	if configOf(t, without).Recovers() {
		t.Error("mirox has recovery by review")
	}
}

// TestConfigErrors: whatever is wrong is said by the setting's name, with what to do.
func TestConfigErrors(t *testing.T) {
	t.Parallel()
	const (
		region = "region: is missing: set it to the Region to deploy to, such as eu-central-1"
		bare   = without
	)
	tests := []struct {
		base, change string
		want         string // lines, separated by |
	}{
		{least, `{"region":null}`, region},
		{bare, `{"region":"Frankfurt"}`, `region: is "Frankfurt": set it to the Region*`},
		{bare, `{"name":"Night Latch"}`, `name: is "Night Latch": set it to 1 to 20 of a-z, 0-9 and -, beginning with a letter`},
		{bare, `{"name":""}`, `name: is missing: set it to 1 to 20*`},
		{bare, `{"account":"1234"}`, `account: is "1234": set it to the 12 digits*`},
		{bare, `{"app":"Example: staging"}`, `app: is "Example: staging": set it to the application's name*`},
		{bare, `{"app":null,"audience":null}`, `app: is missing:*|audience: is missing:*`},
		{bare, `{"audience":" login"}`, `audience: is " login":*`},
		{bare, `{"policy":null}`, `policy: is missing: set it to a preset (standard, mirox, miaxdx, midphase) or to settings`},
		{bare, `{"policy":"mirrox"}`, `policy: no preset "mirrox": there are *`},
		{bare, `{"policy":{"preset":"mirox","skew":2}}`, `policy: skew is 2, must be 0 or 1`},
		{bare, `{"policy":{"enforcement":"required","backup_use":"disable_2fa"}}`, `policy: enforcement=required contradicts backup_use=disable_2fa*`},
		{bare, `{"session":{"issuer":null,"audiences":null}}`, `session.audiences: is missing: list*|session.issuer: is missing: set it to*`},
		{bare, `{"session":{"issuer":"http://id.example.com"}}`, `session.issuer: is "http://id.example.com": set it to*`},
		{bare, `{"session":{"audiences":["app",""]}}`, `session.audiences[1]: is missing:*`},
		{bare, `{"session":{"scopes":["a b"],"user_claim":"a,b","auth_time_claim":"a b","token_use":"[a]"}}`,
			`session.auth_time_claim: is*|session.scopes[0]: is "a b": set it to a scope|session.token_use: is*|session.user_claim: is*`},
		{bare, `{"host":{"principals":["login"]}}`, `host.principals[0]: is "login": set it to the ARN of a role*`},
		{bare, `{"api":{"domain":"2fa.example.com"}}`, `api.domain: needs api.certificate, and the other way round: set both or neither`},
		{bare, `{"api":{"domain":"https://2fa.example.com","certificate":"arn:aws:acm:us-east-1:111122223333:certificate/a"}}`,
			`api.certificate: is "arn:aws:acm:us-east-1*": set it to the ARN of a certificate for it in eu-central-1|api.domain: is "https://2fa.example.com": set it to a host name*`},
		{bare, `{"api":{"origins":["*"]}}`, `api.origins[0]: is "*": set it to an origin such as https://app.example.com*`},
		{bare, `{"api":{"origins":["https://app.example.com/"]}}`, `api.origins[0]: is *`},
		{bare, `{"api":{"rate":0,"burst":5001}}`, `api.burst: is 5001: set it to a number from 1 to 5000|api.rate: is 0: set it to*`},
		{bare, `{"mail":{"from":null}}`, `mail.from: is missing: set it to whom mails are from*`},
		{bare, `{"mail":{"from":"Example","identity":"example.org"}}`, `mail.from: is "Example":*|mail.identity: is "example.org":*`},
		{bare, `{"mail":{"identity":"example.org","words":"polite"}}`, `mail.identity: is "example.org": set it to the domain or the address*|mail.words: is "polite": set it to a preset*`},
		{bare, `{"web":{"sign_in_url":"https://app.example.com"}}`, `web: is for recovery by identity review, and policy.recovery is *: remove it, or set policy.recovery to identity_review`},
		{bare, `{"persona":{"template":"itmpl_a"},"reviewers":{"address":"a@example.com"}}`, `persona: is for recovery*|reviewers.address: is for recovery*`},
		{least, `{"persona":null}`, `persona.secret: is missing: set it to the whole ARN*|persona.template: is missing:*|persona.webhook_secret: is missing:*`},
		{least, `{"persona":{"secret":"arn:aws:secretsmanager:eu-central-1:111122223333:secret:persona"}}`, `persona.secret: is *: set it to the whole ARN of a secret in eu-central-1*`},
		{least, `{"persona":{"url":"http://persona.example.com","inquiry_url":"persona"}}`, `persona.inquiry_url: is "persona":*|persona.url: is *`},
		{least, `{"web":null}`, `web.password_url: is missing:*|web.sign_in_url: is missing:*`},
		{least, `{"web":{"domain":"account.example.com","certificate":"arn:aws:acm:eu-central-1:111122223333:certificate/a"}}`,
			`web.certificate: is *: set it to the ARN of a certificate for it in us-east-1`},
		{least, `{"reviewers":{"address":null},"support":null}`, `reviewers.address: is missing:*|support: is missing: set it to the mail address where users find help`},
		{least, `{"reviewers":{"address":"Reviewers <a@example.com>","group":"a b","groups_claim":"[a]","amr_claim":"a,b","email_claim":"a b","scopes":[""]}}`,
			`reviewers.address: is*|reviewers.amr_claim: is*|reviewers.email_claim: is*|reviewers.group: is*|reviewers.groups_claim: is*|reviewers.scopes[0]: is missing*`},
		{bare, `{"tables":{"max_reads":5,"max_writes":1e9}}`, `tables.max_reads: is 5: set it to*|tables.max_writes: is 1e+09: set it to*`},
		{bare, `{"tables":{"accounts":"a b"}}`, `tables.accounts: is "a b": set it to the name of a table that was restored*|tables.accounts: needs tables.accounts_stream*`},
		{bare, `{"tables":{"accounts":"restored","accounts_stream":"arn:aws:dynamodb:eu-central-1:111122223333:table/other/stream/2026-01-05T09:00:00.000"}}`,
			`tables.accounts_stream: is *: set it to the ARN of the stream of tables.accounts, with new images`},
		{bare, `{"concurrency":{"verfy":10,"check":0}}`, `concurrency.check: is 0: set it to*|concurrency.verfy: there is no such function: README.md lists them`},
		{bare, `{"watch":{"addresses":["nobody"],"budget":10}}`, `watch.addresses[0]: is "nobody": set it to a mail address`},
		{bare, `{"watch":{"budget":-1}}`, `watch.budget: is -1: set it to*|watch.budget: needs watch.addresses: name whom it is told`},
		{bare, `{"polcy":"mirox"}`, `configuration: *unknown field "polcy": README.md has every setting`},
		{bare, `{"mail":{"form":"a@example.com"}}`, `configuration: *unknown field "form"*`},
		{bare, `{"api":{"rate":"many"}}`, `api.rate: is a JSON string, must be of the kind that README.md says`},
	}
	for _, test := range tests {
		_, err := ParseConfig(with(t, test.base, test.change))
		if err == nil {
			t.Errorf("%s: no error, want %s", test.change, test.want)
			continue
		}
		lines, want := strings.Split(err.Error(), "\n"), strings.Split(test.want, "|")
		if len(lines) != len(want) {
			t.Errorf("%s:\n got %s\nwant %s", test.change, strings.Join(lines, "|"), test.want)
			continue
		}
		for i, line := range lines {
			pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(want[i]), `\*`, `.*`) + "$"
			if !regexp.MustCompile(pattern).MatchString(line) {
				t.Errorf("%s:\n got %s\nwant %s", test.change, line, want[i])
			}
		}
	}
}

func TestFromContext(t *testing.T) {
	t.Parallel()
	good := with(t, without, `{}`)
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	var inline any
	if err := json.Unmarshal(good, &inline); err != nil {
		t.Fatal(err)
	}
	for _, value := range []any{path, inline} {
		if c, err := FromContext(value); err != nil || c.App != "Example" {
			t.Errorf("%v: %+v, %v", value, c, err)
		}
	}
	for want, value := range map[string]any{
		"there is no configuration: name a file, as in cdk synth -c nightlatch=example.json": nil,
		"-c nightlatch names the file of the configuration: open nowhere.json":               "nowhere.json",
		"configuration: ": []any{1},
	} {
		if _, err := FromContext(value); err == nil || !strings.HasPrefix(err.Error(), want) && !strings.Contains(err.Error(), "JSON array") {
			t.Errorf("%v: %v, want %s", value, err, want)
		}
	}
	if _, err := ParseConfig(append(good, '{', '}')); err == nil || !strings.Contains(err.Error(), "after its end") {
		t.Errorf("two configurations: %v", err)
	}
}

// TestNotBuilt: what was not built is named before anything is made of it.
func TestNotBuilt(t *testing.T) {
	t.Parallel()
	if err := standIns().check(configOf(t, least)); err != nil {
		t.Errorf("all is built: %v", err)
	}
	nothing := Built{Dist: t.TempDir(), Pages: t.TempDir()}
	err := nothing.check(configOf(t, least))
	if err == nil || !strings.Contains(err.Error(), "verify.zip") || !strings.Contains(err.Error(), "index.html") || !strings.HasSuffix(err.Error(), ": run make build, at the top") {
		t.Errorf("nothing is built: %v", err)
	}
	if err := nothing.check(configOf(t, without)); err == nil || strings.Contains(err.Error(), "index.html") {
		t.Errorf("without pages: %v", err)
	}
}

// TestBuiltForAnother: GOARCH=amd64 make build, and make sam, leave zips that would be deployed and not run.
func TestBuiltForAnother(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		zipped("bootstrap", "", elf.EM_X86_64):       "not built for arm64: %s: run make build, at the top, without GOARCH",
		zipped("verify", "", elf.EM_AARCH64):         "not built: %s: run make build, at the top",
		zipped("bootstrap", "", elf.EM_AARCH64)[:40]: "not built: %s: run make build, at the top",
	} {
		b := Built{Dist: t.TempDir()}
		for _, f := range functions() {
			if err := os.Symlink(standIns().zip(f), b.zip(f)); err != nil {
				t.Fatal(err)
			}
		}
		verify := filepath.Join(b.Dist, "verify.zip")
		if err := errors.Join(os.Remove(verify), os.WriteFile(verify, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := b.check(configOf(t, without)); err == nil || err.Error() != strings.ReplaceAll(want, "%s", verify) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// settings are the names of all settings, as README.md writes them.
func settings(kind reflect.Type, prefix string) []string {
	var all []string
	for i := range kind.NumField() {
		f := kind.Field(i)
		name := prefix + strings.Split(f.Tag.Get("json"), ",")[0]
		if f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[Policy]() {
			all = append(all, settings(f.Type, name+".")...)
			continue
		}
		all = append(all, name)
	}
	return all
}

// TestFull: the most has every setting, but those for a restored table.
func TestFull(t *testing.T) {
	t.Parallel()
	var full object
	if err := json.Unmarshal(with(t, most, `{}`), &full); err != nil {
		t.Fatal(err)
	}
	for _, name := range settings(reflect.TypeFor[Config](), "") {
		restored := strings.HasPrefix(name, "tables.accounts")
		if got := at(full, strings.Split(name, ".")...) != nil; got == restored {
			t.Errorf("%s has %s: %v", most, name, got)
		}
	}
}

// TestREADME: every setting is explained, once and in the order of config.go, with its default.
func TestREADME(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9_.]+)` \\|(.*)$").FindAllStringSubmatch(string(text), -1) {
		got = append(got, row[1])
	}
	if diff := cmp.Diff(settings(reflect.TypeFor[Config](), ""), got); diff != "" {
		t.Errorf("README.md (-config.go +README.md):\n%s", diff)
	}
	d := defaults()
	for name, value := range map[string]any{
		"name": d.Name, "api.rate": d.API.Rate, "api.burst": d.API.Burst, "tables.max_reads": d.Tables.MaxReads, "tables.max_writes": d.Tables.MaxWrites,
	} {
		if row := fmt.Sprintf("| `%s` | `%v` |", name, value); !strings.Contains(string(text), row) {
			t.Errorf("README.md has no %s", row)
		}
	}
	for _, f := range functions() {
		if !strings.Contains(string(text), "`"+f.Name+"`") {
			t.Errorf("README.md does not name %s", f.Name)
		}
	}
	for _, name := range []string{"ApiUrl", "WebUrl", "JwksUrl", "HostRoleArn", "AccountsTable", "HistoryTable", "ConfigTable"} {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("README.md does not name the output %s", name)
		}
		found := false
		for _, stack := range deployed(t, least).stacks {
			_, ok := stack.Outputs[name]
			found = found || ok
		}
		if !found {
			t.Errorf("there is no output %s", name)
		}
	}
}
