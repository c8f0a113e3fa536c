package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Config is what a deployment is told: the context "nightlatch" of the CDK, an object or the name of a file with one. Each
// setting is explained in README.md.
type Config struct {
	Name      string    `json:"name"`
	Region    string    `json:"region"`
	Account   string    `json:"account"`
	App       string    `json:"app"`
	Support   string    `json:"support"`
	Audience  string    `json:"audience"`
	Policy    Policy    `json:"policy"`
	Session   Session   `json:"session"`
	Reviewers Reviewers `json:"reviewers"`
	Host      struct {
		Principals []string `json:"principals"`
	} `json:"host"`
	API     API            `json:"api"`
	Mail    Mail           `json:"mail"`
	Persona Persona        `json:"persona"`
	Web     Web            `json:"web"`
	Tables  Tables         `json:"tables"`
	Limits  map[string]int `json:"concurrency"`
	Watch   Watch          `json:"watch"`
}

// Policy is a preset or settings, as they are handed to the functions, and what they come to.
type Policy struct {
	twofactor.Policy
	Preset string // that it is, or is made of
	Text   string
	fault  error
}

// Session is how sessions of the host's identity provider are known.
type Session struct {
	Issuer          string   `json:"issuer"`
	Audiences       []string `json:"audiences"`
	Scopes          []string `json:"scopes"`
	User            string   `json:"user_claim"`
	AuthTime        string   `json:"auth_time_claim"`
	AuthTimeFromIAT bool     `json:"auth_time_from_iat"`
	TokenUse        string   `json:"token_use"`
}

// Reviewers is how those who review resets are known, and reached.
type Reviewers struct {
	Address string   `json:"address"`
	Group   string   `json:"group"`
	Groups  string   `json:"groups_claim"`
	AMR     string   `json:"amr_claim"`
	Email   string   `json:"email_claim"`
	Scopes  []string `json:"scopes"`
}

// API is where the API is, and for whom.
type API struct {
	Domain      string   `json:"domain"`
	Certificate string   `json:"certificate"`
	Origins     []string `json:"origins"`
	Rate        float64  `json:"rate"`
	Burst       float64  `json:"burst"`
}

// Mail is what mails are sent with.
type Mail struct {
	From     string `json:"from"`
	Identity string `json:"identity"`
	Words    string `json:"words"`
}

// Persona is how identities are checked.
type Persona struct {
	Template      string `json:"template"`
	Secret        string `json:"secret"`
	WebhookSecret string `json:"webhook_secret"`
	URL           string `json:"url"`
	InquiryURL    string `json:"inquiry_url"`
}

// Web is where the pages are, and where they lead to.
type Web struct {
	Domain      string `json:"domain"`
	Certificate string `json:"certificate"`
	PasswordURL string `json:"password_url"`
	SignInURL   string `json:"sign_in_url"`
}

// Tables is how the tables are kept.
type Tables struct {
	CustomerKey bool    `json:"customer_key"`
	MaxReads    float64 `json:"max_reads"`
	MaxWrites   float64 `json:"max_writes"`
	Accounts    string  `json:"accounts"`
	Stream      string  `json:"accounts_stream"`
}

// Watch is who is told when something is wrong.
type Watch struct {
	Addresses []string `json:"addresses"`
	Budget    float64  `json:"budget"`
}

// Recovers says whether users get back in by an identity check and a review, which is what pages, Persona and reviewers are for.
func (c Config) Recovers() bool { return c.Policy.Recovery == twofactor.IdentityReview }

// defaults is what is so where nothing is said.
func defaults() Config {
	return Config{
		Name:   "nightlatch",
		API:    API{Rate: 100, Burst: 200},
		Tables: Tables{MaxReads: 4000, MaxWrites: 2000},
	}
}

// contextKey is where the CDK keeps the configuration.
const contextKey = "nightlatch"

// FromContext reads the configuration from the value that the CDK's context has for it.
func FromContext(value any) (Config, error) {
	switch v := value.(type) {
	case nil:
		return Config{}, fmt.Errorf("there is no configuration: name a file, as in cdk synth -c %s=example.json", contextKey)
	case string:
		text, err := os.ReadFile(v)
		if err != nil {
			return Config{}, fmt.Errorf("-c %s names the file of the configuration: %w", contextKey, err)
		}
		return ParseConfig(text)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return Config{}, err
	}
	return ParseConfig(text)
}

// ParseConfig reads a configuration and checks it. The error names every setting that is not right, a line for each, and says
// what to do.
func ParseConfig(text []byte) (Config, error) {
	c := defaults()
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) && kind.Field != "" {
			return Config{}, fmt.Errorf("%s: is a JSON %s, must be of the kind that README.md says", kind.Field, kind.Value)
		}
		return Config{}, fmt.Errorf("configuration: %w: README.md has every setting", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Config{}, errors.New("configuration: there is something after its end: remove it")
	}
	if err := c.check(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// UnmarshalJSON takes the name of a preset or settings. What is wrong with them is told with the rest.
func (p *Policy) UnmarshalJSON(text []byte) error {
	p.Preset = twofactor.Presets()[0]
	if json.Unmarshal(text, &p.Preset) == nil {
		p.Text = p.Preset
		p.Policy, p.fault = twofactor.Preset(p.Preset)
		return nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return err
	}
	p.Text = compact.String()
	p.Policy, p.fault = twofactor.ParsePolicy(text)
	var settings struct{ Preset string }
	if json.Unmarshal(text, &settings) == nil && settings.Preset != "" {
		p.Preset = settings.Preset
	}
	return nil
}

// faults collects what is wrong.
type faults []error

func (f *faults) say(setting, format string, args ...any) {
	*f = append(*f, fmt.Errorf("%s: "+format, append([]any{setting}, args...)...))
}

// need checks a setting that must be there, may one that may be left out.
func (f *faults) need(setting, value, must string, ok func(string) bool) {
	if value == "" {
		f.say(setting, "is missing: set it to %s", must)
		return
	}
	f.may(setting, value, must, ok)
}

func (f *faults) may(setting, value, must string, ok func(string) bool) {
	if value != "" && !ok(value) {
		f.say(setting, "is %q: set it to %s", value, must)
	}
}

func (f *faults) each(setting string, values []string, must string, ok func(string) bool) {
	for i, value := range values {
		f.need(fmt.Sprintf("%s[%d]", setting, i), value, must, ok)
	}
}

const (
	aText    = "some text on one line, without space at its ends"
	aURL     = "an https URL without a query and without a slash at its end"
	aDomain  = "a host name, such as 2fa.example.com"
	anOrigin = "an origin such as https://app.example.com"
)

func (c *Config) check() error {
	var f faults
	f.need("name", c.Name, "1 to 20 of a-z, 0-9 and -, beginning with a letter", match(`[a-z][a-z0-9-]{0,19}`))
	f.need("region", c.Region, "the Region to deploy to, such as eu-central-1", match(`[a-z]{2}(-[a-z]+)+-[0-9]`))
	f.may("account", c.Account, "the 12 digits of the account to deploy to", match(`[0-9]{12}`))
	f.need("app", c.App, "the application's name in authenticator apps: at most 64 bytes, no colon", isApp)
	f.need("audience", c.Audience, "the name under which the host's back end expects assertions", isText)
	if c.Policy.Text == "" {
		f.say("policy", "is missing: set it to a preset (%s) or to settings", strings.Join(twofactor.Presets(), ", "))
	}
	if c.Policy.fault != nil {
		for line := range strings.Lines(c.Policy.fault.Error()) { // one for each fault
			f.say("policy", "%s", strings.TrimPrefix(strings.TrimSpace(line), "policy: "))
		}
	}

	f.need("session.issuer", c.Session.Issuer, "the issuer of the host's session tokens, an https URL as it stands in them", isHTTPS)
	if len(c.Session.Audiences) == 0 {
		f.say("session.audiences", "is missing: list the audiences, or client ids, of the host's session tokens")
	}
	f.each("session.audiences", c.Session.Audiences, aText, isText)
	f.each("session.scopes", c.Session.Scopes, "a scope", isWord)
	f.may("session.user_claim", c.Session.User, "the name of a claim", isWord)
	f.may("session.auth_time_claim", c.Session.AuthTime, "the name of a claim", isWord)
	f.may("session.token_use", c.Session.TokenUse, "what the claim token_use must be, such as access", isWord)

	f.each("host.principals", c.Host.Principals, "the ARN of a role or user that the login back end runs as", match(`arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/.+`))
	c.checkAPI(&f)

	f.need("mail.from", c.Mail.From, "whom mails are from, such as Example <no-reply@example.com>", func(s string) bool { return sender(s) != "" })
	f.may("mail.identity", c.Mail.Identity, "the domain or the address that is verified in SES and has that of mail.from in it",
		func(s string) bool {
			return s == sender(c.Mail.From) || strings.HasSuffix(sender(c.Mail.From), "@"+s) || strings.HasSuffix(sender(c.Mail.From), "."+s)
		})
	f.may("mail.words", c.Mail.Words, "a preset ("+strings.Join(twofactor.Presets(), ", ")+") whose words mails have",
		func(s string) bool { return slices.Contains(twofactor.Presets(), s) })
	if c.Policy.Text != "" && c.Policy.fault == nil {
		c.checkRecovery(&f)
	}
	c.checkReviewers(&f)

	f.number("tables.max_reads", c.Tables.MaxReads, 10, 40000)
	f.number("tables.max_writes", c.Tables.MaxWrites, 10, 40000)
	f.may("tables.accounts", c.Tables.Accounts, "the name of a table that was restored, and is to be used for the accounts", match(`[A-Za-z0-9_.-]{3,255}`))
	f.may("tables.accounts_stream", c.Tables.Stream, "the ARN of the stream of tables.accounts, with new images", match(
		`arn:aws[a-z-]*:dynamodb:`+c.here()+`:[0-9]{12}:table/`+regexp.QuoteMeta(c.Tables.Accounts)+`/stream/.+`))
	if (c.Tables.Accounts == "") != (c.Tables.Stream == "") {
		f.say("tables.accounts", "needs tables.accounts_stream, and the other way round: set both or neither")
	}
	for name, limit := range c.Limits {
		if !slices.ContainsFunc(api.Functions(), func(f api.Function) bool { return f.Name == name }) {
			f.say("concurrency."+name, "there is no such function: README.md lists them")
		}
		f.number("concurrency."+name, float64(limit), 1, 1000)
	}
	f.each("watch.addresses", c.Watch.Addresses, "a mail address", isAddress)
	if c.Watch.Budget != 0 {
		f.number("watch.budget", c.Watch.Budget, 1, 1e6)
		if len(c.Watch.Addresses) == 0 {
			f.say("watch.budget", "needs watch.addresses: name whom it is told")
		}
	}
	slices.SortFunc(f, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) }) // a map has no order
	return errors.Join(f...)
}

func (f *faults) number(setting string, value, least, most float64) {
	if value < least || value > most {
		f.say(setting, "is %v: set it to a number from %v to %v", value, least, most)
	}
}

func (c *Config) checkAPI(f *faults) {
	f.pair("api.domain", c.API.Domain, aDomain, isDomain, "api.certificate", c.API.Certificate, c.Region)
	f.each("api.origins", c.API.Origins, anOrigin+", where the host's own pages are", isOrigin)
	f.number("api.rate", c.API.Rate, 1, 10000)
	f.number("api.burst", c.API.Burst, 1, 5000)
}

// pair checks a domain and its certificate, which need each other.
func (f *faults) pair(domain, name, must string, ok func(string) bool, certificate, arn, region string) {
	f.may(domain, name, must, ok)
	f.may(certificate, arn, "the ARN of a certificate for it in "+region, match(`arn:aws[a-z-]*:acm:`+regexp.QuoteMeta(region)+`:[0-9]{12}:certificate/.+`))
	if (name == "") != (arn == "") {
		f.say(domain, "needs %s, and the other way round: set both or neither", certificate)
	}
}

// checkRecovery checks what is for recovery by review, and only for that.
func (c *Config) checkRecovery(f *faults) {
	if !c.Recovers() {
		for setting, set := range map[string]bool{
			"persona": c.Persona != Persona{}, "web": c.Web != Web{}, "reviewers.address": c.Reviewers.Address != "",
		} {
			if set {
				f.say(setting, "is for recovery by identity review, and policy.recovery is %s: remove it, or set policy.recovery to %s",
					c.Policy.Recovery, twofactor.IdentityReview)
			}
		}
		f.may("support", c.Support, aText, isText)
	} else {
		secret := match(`arn:aws[a-z-]*:secretsmanager:` + c.here() + `:[0-9]{12}:secret:.+-[A-Za-z0-9]{6}`)
		f.need("persona.template", c.Persona.Template, "the inquiry template at Persona, such as itmpl_…", match(`[A-Za-z0-9_-]{1,64}`))
		f.need("persona.secret", c.Persona.Secret, "the whole ARN of a secret in "+c.Region+" with Persona's API key", secret)
		f.need("persona.webhook_secret", c.Persona.WebhookSecret, "the whole ARN of a secret in "+c.Region+" with that of Persona's webhooks", secret)
		f.may("persona.url", c.Persona.URL, aURL, isHTTPS)
		f.may("persona.inquiry_url", c.Persona.InquiryURL, "the https URL of an inquiry at Persona, but for its id", isHTTPS)
		f.need("web.password_url", c.Web.PasswordURL, "the https URL where users change their password", isHTTPS)
		f.need("web.sign_in_url", c.Web.SignInURL, "the https URL where users sign in", isHTTPS)
		f.pair("web.domain", c.Web.Domain, aDomain, isDomain, "web.certificate", c.Web.Certificate, "us-east-1")
		f.need("reviewers.address", c.Reviewers.Address, "the mail address that is told of cases", isAddress)
		f.need("support", c.Support, "the mail address where users find help", isAddress)
	}
}

// here is a pattern for the Region, and for any while it is not known.
func (c *Config) here() string { return cmp.Or(regexp.QuoteMeta(c.Region), "[a-z0-9-]+") }

func (c *Config) checkReviewers(f *faults) {
	f.may("reviewers.group", c.Reviewers.Group, "the group of those who review", isWord)
	f.may("reviewers.groups_claim", c.Reviewers.Groups, "the name of a claim", isWord)
	f.may("reviewers.amr_claim", c.Reviewers.AMR, "the name of a claim", isWord)
	f.may("reviewers.email_claim", c.Reviewers.Email, "the name of a claim", isWord)
	f.each("reviewers.scopes", c.Reviewers.Scopes, "a scope", isWord)
}

func match(pattern string) func(string) bool {
	return regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString
}

var (
	isText   = match(`[^\s\pC](?:[^\pC]*[^\s\pC])?`)
	isWord   = match(`[^\s\pC,\[\]]+`)
	isDomain = match(`(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}`)
)

func isApp(s string) bool { return isText(s) && len(s) <= 64 && !strings.Contains(s, ":") }

func isHTTPS(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && u.RawQuery == "" && !u.ForceQuery && u.Fragment == ""
}

func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && isHTTPS(s) && u.Path == ""
}

// sender is the address of one with or without a name; SES takes ASCII only.
func sender(s string) string {
	a, err := mail.ParseAddress(s)
	if err != nil || strings.ContainsFunc(a.Address, func(r rune) bool { return r > 126 }) {
		return ""
	}
	return a.Address
}

func isAddress(s string) bool { return s != "" && sender(s) == s }
