package main

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// newAPI makes the HTTP API, and decides where it is. What it calls is joined to it by routes.
func (s *ServiceStack) newAPI() {
	c := s.config
	origins := slices.Clone(c.API.Origins)
	if s.web != nil {
		origins = append(origins, s.web.URL)
	}
	props := &awsapigatewayv2.CfnApiProps{
		Name: &c.Name, ProtocolType: text("HTTP"), Description: text("Nightlatch"),
		DisableExecuteApiEndpoint: c.API.Domain != "",
	}
	if len(origins) > 0 {
		props.CorsConfiguration = &awsapigatewayv2.CfnApi_CorsProperty{
			AllowOrigins: texts(origins...), AllowMethods: texts(methods()...),
			AllowHeaders:  texts("authorization", "content-type", "idempotency-key"),
			ExposeHeaders: texts("retry-after", "www-authenticate"),
			MaxAge:        number(time.Hour.Seconds()),
		}
	}
	s.api = awsapigatewayv2.NewCfnApi(s.Stack, text("Api"), props)
	s.url = "https://" + *s.api.Ref() + ".execute-api." + c.Region + "." + *awscdk.Aws_URL_SUFFIX()
	if c.API.Domain != "" {
		s.url = "https://" + c.API.Domain
	}
	s.serverside = s.alarm(s.Stack, alarm{
		id: "ServerErrors", name: "5xx",
		what:   "More than 1 % of the requests are answered 5xx: nobody gets in whose request it was.",
		metric: ratio(s.apiMetric("5xx"), s.apiMetric("Count")), over: 1, periods: 2,
	})
}

// methods are those of all routes.
func methods() []string {
	var all []string
	for _, r := range api.Routes() {
		all = append(all, r.Method)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// routes joins the API to the functions. There is no route but those of pkg/api: one that caught the rest, behind an
// authorizer, would answer a browser's OPTIONS with 401.
func (s *ServiceStack) routes() {
	c := s.config
	sessions := awsapigatewayv2.NewCfnAuthorizer(s.Stack, text("Sessions"), &awsapigatewayv2.CfnAuthorizerProps{
		ApiId: s.api.Ref(), AuthorizerType: text("JWT"), Name: text("sessions"),
		IdentitySource: texts("$request.header.Authorization"),
		JwtConfiguration: &awsapigatewayv2.CfnAuthorizer_JWTConfigurationProperty{
			Issuer: &c.Session.Issuer, Audience: texts(c.Session.Audiences...),
		},
	})
	settings := object{}
	for _, r := range api.Routes() {
		settings[r.Key()] = s.throttle(r)
	}
	stage := awsapigatewayv2.NewCfnStage(s.Stack, text("Stage"), &awsapigatewayv2.CfnStageProps{
		ApiId: s.api.Ref(), StageName: text("$default"), AutoDeploy: true,
		DefaultRouteSettings: &awsapigatewayv2.CfnStage_RouteSettingsProperty{
			ThrottlingRateLimit: &c.API.Rate, ThrottlingBurstLimit: &c.API.Burst, DetailedMetricsEnabled: true,
		},
		RouteSettings: settings,
		AccessLogSettings: &awsapigatewayv2.CfnStage_AccessLogSettingsProperty{
			DestinationArn: s.logs("AccessLog", "/aws/vendedlogs/"+c.Name+"-api").LogGroupArn(), Format: text(accessLog),
		},
	})
	for _, f := range functions() {
		routes := f.Routes()
		if len(routes) == 0 {
			continue
		}
		integration := awsapigatewayv2.NewCfnIntegration(s.Stack, text(idOf(f)+"Integration"), &awsapigatewayv2.CfnIntegrationProps{
			ApiId: s.api.Ref(), IntegrationType: text("AWS_PROXY"), PayloadFormatVersion: text("2.0"),
			IntegrationUri: s.functions[f.Name].alias.FunctionArn(),
			// The function has ended by then, or was killed: whoever waits is told.
			TimeoutInMillis: number((f.Timeout + time.Second).Seconds() * 1000),
		})
		s.allow(f.Name, idOf(f)+"Invocation", "apigateway.amazonaws.com", s.arn("execute-api", *s.api.Ref()+"/$default/*"))
		for _, r := range routes {
			props := &awsapigatewayv2.CfnRouteProps{
				ApiId: s.api.Ref(), RouteKey: text(r.Key()), Target: "integrations/" + *integration.Ref(), AuthorizationType: text("NONE"),
			}
			switch r.Caller {
			case api.CallerSession, api.CallerReviewer:
				props.AuthorizationType, props.AuthorizerId = text("JWT"), sessions.Ref()
				scopes := c.Session.Scopes
				if r.Caller == api.CallerReviewer {
					scopes = append(slices.Clone(scopes), c.Reviewers.Scopes...)
				}
				if len(scopes) > 0 {
					props.AuthorizationScopes = texts(scopes...)
				}
			case api.CallerHost:
				props.AuthorizationType = text("AWS_IAM")
			}
			route := awsapigatewayv2.NewCfnRoute(s.Stack, text("Route"+routeID(r)), props)
			// What a route may be called says something about a route that is there.
			stage.AddResourceDependency(route, nil)
		}
	}
	if c.API.Domain != "" {
		s.domain(stage)
	}
}

// accessLog is a line for each request, without its path, which has a user's id in it, and without what it carries.
const accessLog = `{"time":"$context.requestTimeEpoch","request_id":"$context.requestId","route":"$context.routeKey",` +
	`"status":"$context.status","error":"$context.error.message","authorizer":"$context.authorizer.error","ip":"$context.identity.sourceIp",` +
	`"latency":"$context.responseLatency","integration":"$context.integrationLatency","integration_status":"$context.integrationStatus"}`

// throttle is how often a route may be called. Those that whoever can call without a proof that was looked at yet have a
// share only, so that they cannot take it all from the sign-ins.
func (s *ServiceStack) throttle(r api.Route) object {
	share := 1.0
	switch r.Caller {
	case api.CallerLink, api.CallerWebhook, api.CallerReviewer, api.CallerPublic:
		share = 0.25
	}
	return object{
		"ThrottlingRateLimit": max(1, s.config.API.Rate*share), "ThrottlingBurstLimit": max(1, float64(int(s.config.API.Burst*share))),
		"DetailedMetricsEnabled": true,
	}
}

// routeID is a route as logical ids are written: POST /v1/users/{user}/events is PostV1UsersUserEvents.
func routeID(r api.Route) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	var id strings.Builder
	for _, word := range strings.FieldsFunc(strings.ToLower(r.Key()), func(r rune) bool { return !strings.ContainsRune(letters, r) }) {
		id.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return id.String()
}

// allow lets one source call a function's alias.
func (s *ServiceStack) allow(function, id, service, source string) awslambda.CfnPermission {
	return awslambda.NewCfnPermission(s.Stack, &id, &awslambda.CfnPermissionProps{
		Action: text("lambda:InvokeFunction"), FunctionName: s.functions[function].alias.FunctionArn(),
		Principal: &service, SourceArn: &source, SourceAccount: s.Stack.Account(),
	})
}

// domain puts the API where the configuration says, and nowhere else.
func (s *ServiceStack) domain(stage awsapigatewayv2.CfnStage) {
	name := awsapigatewayv2.NewCfnDomainName(s.Stack, text("Domain"), &awsapigatewayv2.CfnDomainNameProps{
		DomainName: &s.config.API.Domain,
		DomainNameConfigurations: list[any](&awsapigatewayv2.CfnDomainName_DomainNameConfigurationProperty{
			CertificateArn: &s.config.API.Certificate, EndpointType: text("REGIONAL"), SecurityPolicy: text("TLS_1_2"),
		}),
	})
	awsapigatewayv2.NewCfnApiMapping(s.Stack, text("DomainMapping"), &awsapigatewayv2.CfnApiMappingProps{
		ApiId: s.api.Ref(), DomainName: name.Ref(), Stage: stage.Ref(),
	})
	output(s.Stack, "ApiTarget", name.AttrRegionalDomainName(), "Where the DNS record of api.domain leads to")
}

// hostRole is what the application's login back end takes on. It may call the host's routes, and nothing else.
func (s *ServiceStack) hostRole() {
	var callable []string
	for _, r := range api.Routes() {
		if r.Caller == api.CallerHost {
			callable = append(callable, s.arn("execute-api", *s.api.Ref()+"/$default/"+r.Method+anyParameter(r.Path)))
		}
	}
	var who awsiam.IPrincipal = awsiam.NewAccountRootPrincipal()
	if arns := s.config.Host.Principals; len(arns) > 0 {
		var principals []awsiam.IPrincipal
		for _, arn := range arns {
			principals = append(principals, awsiam.NewArnPrincipal(&arn))
		}
		who = awsiam.NewCompositePrincipal(principals...)
	}
	host := role(s.Stack, "HostRole", "What the login back end that uses "+s.config.Name+" takes on", who, []grant{
		{name: "Call", actions: []string{"execute-api:Invoke"}, resources: callable},
	})
	output(s.Stack, "HostRoleArn", host.RoleArn(), "The role that the application's login back end takes on")
}

// anyParameter is a route's path as IAM writes it: with * for a parameter, which it has to be.
func anyParameter(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if strings.HasPrefix(part, "{") {
			parts[i] = "*"
		}
	}
	return cmp.Or(strings.Join(parts, "/"), "/")
}
