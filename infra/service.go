package main

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodedeploy"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// ServiceStack is all that runs: the functions, and what calls them.
type ServiceStack struct {
	Stack  awscdk.Stack
	config Config
	data   *DataStack
	web    *WebStack // nil: there is no recovery that needs pages

	api        awsapigatewayv2.CfnApi
	url        string       // of the API, without a slash at its end
	mails      awssqs.Queue // the jobs that notify makes for mailer
	unsent     awssqs.Queue // mail jobs that could not be done
	lost       awssqs.Queue // events and runs that no function took
	bus        awsevents.CfnEventBus
	alerts     awssns.Topic // whoever is told of alarms
	functions  map[string]*function
	serverside awscloudwatch.Alarm // too many 5xx
}

// function is one of them as it is deployed. Callers know its alias, which moves from version to version.
type function struct {
	api.Function
	lambda awslambda.Function
	alias  awslambda.Alias
	errors awscloudwatch.Alarm
}

// aliasName is what the version is called that is in use.
const aliasName = "live"

// functions are those of pkg/api.
func functions() []api.Function { return api.Functions() }

// NewService makes the stack.
func NewService(scope constructs.Construct, c Config, data *DataStack, web *WebStack, built Built) *ServiceStack {
	s := &ServiceStack{
		Stack:  newStack(scope, c, "service", "Nightlatch: functions and API"),
		config: c, data: data, web: web, functions: map[string]*function{},
	}
	s.topic()
	s.queues()
	s.bus = awsevents.NewCfnEventBus(s.Stack, text("Events"), &awsevents.CfnEventBusProps{
		Name: &c.Name, Description: text("What happens to second factors: docs/events.md"),
	})
	s.configurationSet()
	s.newAPI()
	for _, f := range functions() {
		s.functions[f.Name] = s.newFunction(f, built)
	}
	s.deployGradually()
	s.trigger()
	s.hostRole()
	if web != nil {
		web.deploy(s.Stack, c, built, s.url, s.logs("PagesDeploymentLog", "/aws/lambda/"+c.Name+"-pages"))
	}
	output(s.Stack, "ApiUrl", &s.url, "The API")
	output(s.Stack, "JwksUrl", text(s.url+"/.well-known/jwks.json"), "What assertions are verified with")
	output(s.Stack, "EventBus", s.bus.AttrArn(), "What happens to second factors: docs/events.md")
	output(s.Stack, "AdminFunction", s.functions["admin"].alias.FunctionArn(), "What operators invoke: docs/operators.md")
	return s
}

// logs makes a log group of 90 days. The record of what happened is the history; this is how it came about.
func (s *ServiceStack) logs(id, name string) awslogs.LogGroup {
	return awslogs.NewLogGroup(s.Stack, &id, &awslogs.LogGroupProps{
		LogGroupName: &name, Retention: awslogs.RetentionDays_THREE_MONTHS, RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
}

// nameOf is what a function is called in the account, and logOf its log.
func (c Config) nameOf(f api.Function) string { return c.Name + "-" + f.Name }

func (c Config) logOf(f api.Function) string { return "/aws/lambda/" + c.nameOf(f) }

func (b Built) zip(f api.Function) string { return filepath.Join(b.Dist, f.Name+".zip") }

// idOf is a function's name as logical ids are written: reset-review is ResetReview.
func idOf(f api.Function) string {
	var id strings.Builder
	for word := range strings.SplitSeq(f.Name, "-") {
		id.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return id.String()
}

func (s *ServiceStack) newFunction(f api.Function, built Built) *function {
	id, logs := idOf(f), s.logs(idOf(f)+"Log", s.config.logOf(f))
	grants := append([]grant{logging(*logs.LogGroupArn())}, s.grants(f)...)
	props := &awslambda.FunctionProps{
		FunctionName: text(s.config.nameOf(f)),
		Description:  text("Nightlatch: " + f.Name),
		Runtime:      awslambda.Runtime_PROVIDED_AL2023(),
		Architecture: awslambda.Architecture_ARM_64(),
		Handler:      text("bootstrap"),
		Code:         awslambda.Code_FromAsset(text(built.zip(f)), nil),
		MemorySize:   number(f.Memory),
		Timeout:      after(f.Timeout),
		Environment:  s.environment(f),
		LogGroup:     logs,
		Role: role(s.Stack, id+"Role", "What "+s.config.nameOf(f)+" may do",
			awsiam.NewServicePrincipal(text("lambda.amazonaws.com"), nil), append(grants, s.triggering(f)...)),
	}
	if limit, ok := s.config.Limits[f.Name]; ok {
		props.ReservedConcurrentExecutions = number(limit)
	}
	made := &function{Function: f, lambda: awslambda.NewFunction(s.Stack, &id, props)}
	made.alias = awslambda.NewAlias(s.Stack, text(id+"Live"), &awslambda.AliasProps{
		AliasName: text(aliasName), Version: made.lambda.CurrentVersion(),
	})
	made.errors = s.alarm(s.Stack, alarm{
		id: id + "Errors", name: f.Name + "-errors",
		what:   f.Name + " has failed, or was killed at its timeout.",
		metric: made.alias.MetricErrors(sumOver(5)), over: 0, periods: 1,
	})
	return made
}

// environment is what a function is told. See pkg/environment. Besides what all are told, it is told of what it may use.
func (s *ServiceStack) environment(f api.Function) *map[string]*string {
	c, told := s.config, map[string]*string{}
	tell := func(name, value string) {
		if value != "" {
			told["NIGHTLATCH_"+name] = &value
		}
	}
	may := func(resource string) bool {
		return slices.ContainsFunc(f.Permissions(), func(line string) bool { return strings.HasPrefix(line, resource+" ") })
	}
	tell("METRIC_NAMESPACE", c.namespace())
	tell("ACCOUNTS_TABLE", *s.data.Accounts.TableName())
	tell("HISTORY_TABLE", *s.data.History.TableName())
	tell("CONFIG_TABLE", *s.data.Config.TableName())
	tell("KMS_KEY", *s.data.Keysets.KeyArn())
	tell("POLICY", c.Policy.Text)
	tell("APP", c.App)
	tell("SUPPORT", c.Support)
	tell("ISSUER", s.url)
	tell("AUDIENCE", c.Audience)
	if f.Trigger == api.TriggerHTTP {
		tell("CLAIM_USER", c.Session.User)
		tell("CLAIM_AUTH_TIME", c.Session.AuthTime)
		tell("CLAIM_TOKEN_USE", c.Session.TokenUse)
		if c.Session.AuthTimeFromIAT {
			tell("AUTH_TIME_FROM_IAT", "true")
		}
		tell("CLAIM_GROUPS", c.Reviewers.Groups)
		tell("CLAIM_AMR", c.Reviewers.AMR)
		tell("CLAIM_EMAIL", c.Reviewers.Email)
		tell("REVIEWER_GROUP", c.Reviewers.Group)
		tell("INQUIRY_URL", c.Persona.InquiryURL)
	}
	if may("mails") {
		tell("MAIL_QUEUE", *s.mails.QueueUrl())
	}
	if may("bus") {
		tell("EVENT_BUS", c.Name)
	}
	if may("failures") {
		tell("FAILURE_BUCKET", *s.data.Failures.BucketName())
	}
	if may("notify") {
		tell("NOTIFY_FUNCTION", *s.functions["notify"].alias.FunctionArn())
	}
	if may("ses") {
		tell("MAIL_FROM", c.Mail.From)
		tell("MAIL_CONFIGURATION_SET", c.Name)
		tell("REVIEWERS", c.Reviewers.Address)
		tell("WORDS", c.Mail.Words)
	}
	if may("persona") {
		tell("PERSONA_URL", c.Persona.URL)
		tell("PERSONA_TEMPLATE", c.Persona.Template)
		tell("PERSONA_SECRET", c.Persona.Secret)
	}
	if may("webhook") {
		tell("WEBHOOK_SECRET", c.Persona.WebhookSecret)
	}
	if s.web != nil && (may("ses") || may("persona")) {
		tell("WEB", s.web.URL)
	}
	return &told
}

// deployGradually gives a tenth of the calls to a new version for five minutes, and all of them to the former one again when
// an alarm goes off. It is for what is called often enough that a tenth of it says something.
func (s *ServiceStack) deployGradually() {
	application := awscodedeploy.NewLambdaApplication(s.Stack, text("Deployments"), &awscodedeploy.LambdaApplicationProps{
		ApplicationName: &s.config.Name,
	})
	deployer := awsiam.NewRole(s.Stack, text("Deployer"), &awsiam.RoleProps{
		AssumedBy:   awsiam.NewServicePrincipal(text("codedeploy.amazonaws.com"), nil),
		Description: text("Moves the aliases of " + s.config.Name),
	})
	for _, f := range functions() {
		if !slices.Contains([]api.Trigger{api.TriggerHTTP, api.TriggerStream, api.TriggerQueue}, f.Trigger) {
			continue
		}
		made := s.functions[f.Name]
		alarms := []awscloudwatch.Alarm{made.errors}
		if f.Trigger == api.TriggerHTTP {
			alarms = append(alarms, s.serverside)
		}
		awscodedeploy.NewLambdaDeploymentGroup(s.Stack, text(idOf(f)+"Deployment"), &awscodedeploy.LambdaDeploymentGroupProps{
			Alias: made.alias, Application: application, Role: deployer,
			DeploymentConfig: awscodedeploy.LambdaDeploymentConfig_CANARY_10PERCENT_5MINUTES(),
			Alarms:           refs(alarms),
			AutoRollback:     &awscodedeploy.AutoRollbackConfig{DeploymentInAlarm: yes(), FailedDeployment: yes(), StoppedDeployment: yes()},
		})
	}
}
