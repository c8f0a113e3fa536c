package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/environment"
)

// TestFunctionsAreThoseOfTheTable: each function of pkg/api is deployed as it says, and nothing else is, but for what copies
// the pages.
func TestFunctionsAreThoseOfTheTable(t *testing.T) {
	t.Parallel()
	for _, config := range []string{least, most, without} {
		ts := deployed(t, config)
		made := ts.functions()
		for _, f := range functions() {
			p := made[f.Name].Properties
			want := object{
				"memory": float64(f.Memory), "timeout": f.Timeout.Seconds(), "runtime": "provided.al2023", "handler": "bootstrap",
				"architecture": "arm64", "log": "service/" + ts.idOfLog(f), "concurrency": nil,
			}
			if limit, ok := ts.config.Limits[f.Name]; ok {
				want["concurrency"] = float64(limit)
			}
			got := object{
				"memory": p["MemorySize"], "timeout": p["Timeout"], "runtime": p["Runtime"], "handler": p["Handler"],
				"architecture": at(p, "Architectures", "0"), "log": ts.resolve("service", at(p, "LoggingConfig", "LogGroup")),
				"concurrency": p["ReservedConcurrentExecutions"],
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", config, f.Name, diff)
			}
			delete(made, f.Name)
		}
		if len(made) > 0 {
			t.Errorf("%s: also deployed: %v", config, sorted(made))
		}
		others := len(ts.of("AWS::Lambda::Function")) - len(functions())
		if want := map[bool]int{true: 1, false: 0}[ts.config.Recovers()]; others != want {
			t.Errorf("%s: %d functions are not ours, want %d", config, others, want)
		}
	}
}

// TestEnvironments: each function takes what it is told, by its own reading of it.
func TestEnvironments(t *testing.T) {
	t.Parallel()
	needed := map[string][]environment.Need{
		"notify": {environment.ToQueueMails}, "mailer": {environment.ToSendMails}, "identity-webhook": {environment.ToHearPersona},
		"reset-request": {environment.ToAskPersona}, "sweep": {environment.ToAskPersona},
	}
	like := strings.NewReplacer( // what CloudFormation writes for what is not known before
		"data/Accounts", "accounts", "data/History", "history", "data/Config", "config", "data/Failures", "failures",
		"data/KeysetKey.Arn", "arn:aws:kms:eu-central-1:111122223333:key/a", "service/Api", "a1b2c3", "{AWS::URLSuffix}", "amazonaws.com",
		"{AWS::AccountId}", "111122223333", "{AWS::Partition}", "aws",
	)
	for _, config := range []string{least, most, without} {
		ts := deployed(t, config)
		for name, f := range ts.functions() {
			environ := []string{"AWS_REGION=" + ts.config.Region, "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b", "AWS_SESSION_TOKEN=c"}
			told := map[string]bool{}
			for variable, value := range at(f.Properties, "Environment", "Variables").(map[string]any) {
				text := like.Replace(ts.resolve("service", value))
				switch {
				case strings.HasPrefix(text, "service/Mails"):
					text = "https://sqs.eu-central-1.amazonaws.com/111122223333/mails"
				case strings.HasPrefix(text, "service/NotifyLive"):
					text = "arn:aws:lambda:eu-central-1:111122223333:function:nightlatch-notify:live"
				case strings.HasPrefix(text, "https://web/Distribution"):
					text = "https://d111111abcdef8.cloudfront.net"
				}
				told[variable] = true
				environ = append(environ, variable+"="+text)
			}
			e, err := environment.Read(environ, needed[name]...)
			if err != nil {
				t.Errorf("%s, %s: %v", config, name, err)
			}
			if got, want := fmt.Sprint(e.Policy), fmt.Sprint(ts.config.Policy.Policy); got != want {
				t.Errorf("%s, %s: policy %s, want %s", config, name, got, want)
			}
			if e.Settings.Issuer != like.Replace(map[bool]string{true: "https://2fa.example.com", false: "https://service/Api.execute-api.eu-central-1.{AWS::URLSuffix}"}[config == most]) {
				t.Errorf("%s, %s: issuer %s", config, name, e.Settings.Issuer)
			}
			for variable, of := range map[string][]string{
				"NIGHTLATCH_MAIL_QUEUE": {"notify"}, "NIGHTLATCH_EVENT_BUS": {"notify"}, "NIGHTLATCH_FAILURE_BUCKET": {"notify", "admin"},
				"NIGHTLATCH_NOTIFY_FUNCTION": {"admin"}, "NIGHTLATCH_MAIL_FROM": {"mailer"}, "NIGHTLATCH_MAIL_CONFIGURATION_SET": {"mailer"},
			} {
				if told[variable] != slices.Contains(of, name) {
					t.Errorf("%s, %s is told %s: %v", config, name, variable, told[variable])
				}
			}
		}
	}
	all := map[string]bool{} // the most is everything that there is
	for _, f := range deployed(t, most).functions() {
		for variable := range at(f.Properties, "Environment", "Variables").(map[string]any) {
			all[variable] = true
		}
	}
	for _, variable := range []string{
		"SUPPORT", "CLAIM_USER", "CLAIM_AUTH_TIME", "CLAIM_TOKEN_USE", "AUTH_TIME_FROM_IAT", "CLAIM_GROUPS", "CLAIM_AMR", "CLAIM_EMAIL",
		"REVIEWER_GROUP", "INQUIRY_URL", "REVIEWERS", "WORDS", "PERSONA_URL", "PERSONA_TEMPLATE", "PERSONA_SECRET", "WEBHOOK_SECRET", "WEB",
	} {
		if !all["NIGHTLATCH_"+variable] {
			t.Errorf("%s: no function is told NIGHTLATCH_%s", most, variable)
		}
	}
}

// TestDeployments: what is called all the time is deployed bit by bit, and taken back by an alarm.
func TestDeployments(t *testing.T) {
	t.Parallel()
	ts := deployed(t, least)
	groups := ts.of("AWS::CodeDeploy::DeploymentGroup")
	for _, f := range functions() {
		var alias resource
		for id, r := range ts.of("AWS::Lambda::Alias") {
			if strings.HasPrefix(id, "service/"+idOf(f)+"Live") {
				alias = r
			}
		}
		if alias.Properties["Name"] != "live" || ts.functions()[f.Name].Type == "" {
			t.Errorf("%s has no alias", f.Name)
			continue
		}
		group := at(alias.UpdatePolicy, "CodeDeployLambdaAliasUpdate", "DeploymentGroupName")
		often := f.Trigger == api.TriggerHTTP || f.Trigger == api.TriggerStream || f.Trigger == api.TriggerQueue
		if often != (group != nil) {
			t.Errorf("%s is deployed bit by bit: %v", f.Name, group != nil)
		}
		if group == nil {
			continue
		}
		p := groups[ts.resolve("service", group)].Properties
		alarms := []string{f.Name + "-errors"}
		if f.Trigger == api.TriggerHTTP {
			alarms = append(alarms, "5xx")
		}
		var got []string
		for _, each := range asList(at(p, "AlarmConfiguration", "Alarms")) {
			r := ts.of("AWS::CloudWatch::Alarm")[ts.resolve("service", at(each, "Name"))]
			got = append(got, strings.TrimPrefix(r.Properties["AlarmName"].(string), "nightlatch-"))
		}
		slices.Sort(alarms)
		slices.Sort(got)
		if diff := cmp.Diff(alarms, got); diff != "" || p["DeploymentConfigName"] != "CodeDeployDefault.LambdaCanary10Percent5Minutes" {
			t.Errorf("%s: %v, alarms (-want +got):\n%s", f.Name, p["DeploymentConfigName"], diff)
		}
		if events := ts.resolveAll("service", at(p, "AutoRollbackConfiguration", "Events")); !slices.Contains(events, "DEPLOYMENT_STOP_ON_ALARM") {
			t.Errorf("%s is taken back by %v", f.Name, events)
		}
	}
}

// TestRoutes: the API has the routes of pkg/api, each with the proof that its caller has, and no other.
func TestRoutes(t *testing.T) {
	t.Parallel()
	for _, config := range []string{least, most} {
		ts := deployed(t, config)
		stage := ts.one(t, "service", "AWS::ApiGatewayV2::Stage").Properties
		throttles := stage["RouteSettings"].(map[string]any)
		got := map[string]string{}
		for id, r := range ts.of("AWS::ApiGatewayV2::Route") {
			p := r.Properties
			integration := strings.TrimPrefix(ts.resolve("service", p["Target"]), "integrations/")
			calls := ts.resolve("service", ts.of("AWS::ApiGatewayV2::Integration")[integration].Properties["IntegrationUri"])
			line := fmt.Sprint(p["AuthorizationType"])
			if p["AuthorizerId"] != nil {
				line += " " + ts.resolve("service", p["AuthorizerId"])
			}
			line += " " + strings.Join(ts.resolveAll("service", p["AuthorizationScopes"]), "+")
			got[p["RouteKey"].(string)] = line + " " + plain(calls)
			limit := throttles[p["RouteKey"].(string)]
			if at(limit, "ThrottlingRateLimit") == nil || at(limit, "ThrottlingBurstLimit") == nil || at(limit, "DetailedMetricsEnabled") != true {
				t.Errorf("%s has no throttle: %v", id, limit)
			}
		}
		want := map[string]string{}
		for _, r := range api.Routes() {
			line := "NONE "
			switch r.Caller {
			case api.CallerSession, api.CallerReviewer:
				line = "JWT service/Sessions " + map[string]string{most: "2fa"}[config]
				if r.Caller == api.CallerReviewer && config == most {
					line += "+reviews"
				}
			case api.CallerHost:
				line = "AWS_IAM "
			}
			want[r.Key()] = line + " service/" + idOf(api.Function{Name: r.Function}) + "Live"
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: routes (-of pkg/api +of the stack):\n%s", config, diff)
		}
		if len(throttles) != len(want) {
			t.Errorf("%s: %d throttles for %d routes", config, len(throttles), len(want))
		}
		for _, r := range ts.of("AWS::ApiGatewayV2::Integration") {
			if r.Properties["PayloadFormatVersion"] != "2.0" {
				t.Errorf("payload %v", r.Properties["PayloadFormatVersion"])
			}
		}
		jwt := ts.one(t, "service", "AWS::ApiGatewayV2::Authorizer").Properties
		if at(jwt, "JwtConfiguration", "Issuer") != ts.config.Session.Issuer ||
			!slices.Equal(ts.resolveAll("service", at(jwt, "JwtConfiguration", "Audience")), ts.config.Session.Audiences) {
			t.Errorf("%s: sessions of %v", config, jwt["JwtConfiguration"])
		}
		if stage["StageName"] != "$default" || stage["AutoDeploy"] != true || at(stage, "DefaultRouteSettings", "ThrottlingRateLimit") != ts.config.API.Rate {
			t.Errorf("%s: stage %v", config, stage)
		}
	}
}

// TestCORS: whom browsers may call the API for is said by name.
func TestCORS(t *testing.T) {
	t.Parallel()
	for config, want := range map[string][]string{
		least: {"https://app.example.com", "https://web/Distribution"}, without: nil,
		most: {"https://app.example.com", "https://admin.example.com:8443", "https://account.example.com"},
	} {
		ts := deployed(t, config)
		p := ts.one(t, "service", "AWS::ApiGatewayV2::Api").Properties
		var got []string
		for _, origin := range ts.resolveAll("service", at(p, "CorsConfiguration", "AllowOrigins")) {
			if strings.HasPrefix(origin, "https://web/Distribution") {
				origin = "https://web/Distribution"
			}
			got = append(got, origin)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: origins (-want +got):\n%s", config, diff)
		}
		if config == without {
			continue
		}
		for property, want := range map[string]string{
			"AllowHeaders": "authorization content-type idempotency-key", "ExposeHeaders": "retry-after www-authenticate", "AllowMethods": "DELETE GET POST",
		} {
			if got := strings.Join(ts.resolveAll("service", at(p, "CorsConfiguration", property)), " "); got != want {
				t.Errorf("%s: %s %s, want %s", config, property, got, want)
			}
		}
		if got := p["DisableExecuteApiEndpoint"]; got != (config == most) {
			t.Errorf("%s: the API is at its own domain only: %v", config, got)
		}
	}
}

// TestInvocations: each function may be called by what triggers it, from this account, and by nobody else.
func TestInvocations(t *testing.T) {
	t.Parallel()
	ts := deployed(t, least)
	got := map[string]string{}
	for _, r := range ts.of("AWS::Lambda::Permission") {
		p := r.Properties
		got[plain(ts.resolve("service", p["FunctionName"]))] = fmt.Sprint(p["Principal"], " ", ts.resolve("service", p["SourceArn"]), " ", ts.resolve("service", p["SourceAccount"]))
	}
	want := map[string]string{"service/MailFeedbackLive": "events.amazonaws.com service/MailFeedbackRule.Arn {AWS::AccountId}"}
	for _, f := range functions() {
		if f.Trigger == api.TriggerHTTP {
			want["service/"+idOf(f)+"Live"] = "apigateway.amazonaws.com arn:{AWS::Partition}:execute-api:eu-central-1:{AWS::AccountId}:service/Api/$default/* {AWS::AccountId}"
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestHostRole: who may take it on, and what it may do.
func TestHostRole(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]string{
		least: "[arn:{AWS::Partition}:iam::{AWS::AccountId}:root]",
		most:  "[arn:aws:iam::111122223333:role/login arn:aws:iam::444455556666:role/login]",
	} {
		ts := deployed(t, config)
		for id, r := range ts.of("AWS::IAM::Role") {
			if plain(id) != "service/HostRole" {
				continue
			}
			var who []string
			for _, s := range asList(at(r.Properties["AssumeRolePolicyDocument"], "Statement")) {
				who = append(who, ts.resolveAll("service", at(s, "Principal", "AWS"))...)
			}
			if got := fmt.Sprint(who); got != want {
				t.Errorf("%s: %s, want %s", config, got, want)
			}
			calls := ts.statements(id, at(r.Properties["Policies"], "0", "PolicyDocument"))
			if len(calls) != 1 || len(calls[0].resources) != 2 || !slices.Equal(calls[0].actions, []string{"execute-api:Invoke"}) ||
				!strings.HasSuffix(calls[0].resources[0], "service/Api/$default/POST/v1/challenges") {
				t.Errorf("%s: %v", config, calls)
			}
		}
	}
}

// TestAccessLog: it is JSON, and has neither a path, in which users are, nor a query, a header or a body.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	ts := deployed(t, least)
	format := at(ts.one(t, "service", "AWS::ApiGatewayV2::Stage").Properties, "AccessLogSettings", "Format").(string)
	var line map[string]string
	if err := json.Unmarshal([]byte(format), &line); err != nil {
		t.Fatal(err)
	}
	for name, value := range line {
		if !slices.Contains([]string{
			"$context.requestTimeEpoch", "$context.requestId", "$context.routeKey", "$context.status", "$context.error.message",
			"$context.authorizer.error", "$context.identity.sourceIp", "$context.responseLatency", "$context.integrationLatency",
			"$context.integrationStatus",
		}, value) {
			t.Errorf("%s: %s is logged", name, value)
		}
	}
}
