package main

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// grant is one statement of a role: it allows actions on resources, under conditions. Grants with the same name are one.
type grant struct {
	name       string
	actions    []string
	resources  []string
	conditions object
}

func (g grant) statement() awsiam.PolicyStatement {
	props := &awsiam.PolicyStatementProps{Sid: &g.name, Actions: texts(g.actions...), Resources: texts(g.resources...)}
	if g.conditions != nil {
		props.Conditions = &g.conditions
	}
	return awsiam.NewPolicyStatement(props)
}

// role makes a role that a service of AWS takes, and that may do what the grants say, and no more.
func role(stack awscdk.Stack, id, what string, who awsiam.IPrincipal, grants []grant) awsiam.Role {
	props := &awsiam.RoleProps{AssumedBy: who, Description: &what}
	if len(grants) > 0 {
		var statements []awsiam.PolicyStatement
		for _, g := range grants {
			statements = append(statements, g.statement())
		}
		props.InlinePolicies = &map[string]awsiam.PolicyDocument{
			"Permissions": awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &statements}),
		}
	}
	return awsiam.NewRole(stack, &id, props)
}

// grants makes statements of what pkg/api says that a function may ask of AWS.
func (s *ServiceStack) grants(f api.Function) []grant {
	var all []grant
	add := func(g grant) {
		i := slices.IndexFunc(all, func(other grant) bool { return other.name == g.name })
		if i < 0 {
			all = append(all, g)
			return
		}
		all[i].merge(g)
	}
	for _, line := range f.Permissions() {
		words := strings.Split(line, " ")
		resource, action, part := words[0], words[len(words)-1], ""
		switch {
		case len(words) == 3 && words[1] == "by_due":
			resource += " by_due"
		case len(words) == 3:
			action, part = words[1], words[2]
		}
		make, known := s.resources()[resource]
		if !known {
			panic("infra: nobody knows what " + line + " is, which " + f.Name + " may")
		}
		if g := make(action, part); !slices.Equal(g.resources, []string{""}) {
			add(g)
		}
	}
	if s.data.TableKey != nil && slices.ContainsFunc(all, func(g grant) bool { return strings.HasPrefix(g.actions[0], "dynamodb:") }) {
		add(s.tableKey())
	}
	return all
}

// merge takes what another grant of the same name has. Conditions are lists of values, of which there are more then.
func (g *grant) merge(other grant) {
	union := func(a, b []string) []string {
		for _, one := range b {
			if !slices.Contains(a, one) {
				a = append(a, one)
			}
		}
		return a
	}
	g.actions, g.resources = union(g.actions, other.actions), union(g.resources, other.resources)
	for operator, values := range other.conditions {
		for key, value := range values.(object) {
			mine := g.conditions[operator].(object)
			mine[key] = union(mine[key].([]string), value.([]string))
		}
	}
}

// resources says, for each resource that permissions name, what statement allows an action on it, or on a part of it.
func (s *ServiceStack) resources() map[string]func(action, part string) grant {
	table := func(name, arn string, keyed bool) func(action, part string) grant {
		return func(action, part string) grant {
			g := grant{name: name, actions: []string{"dynamodb:" + action}, resources: []string{arn}}
			if keyed || part != "" {
				g.name += action
				g.conditions = object{"ForAllValues:StringEquals": object{"dynamodb:LeadingKeys": []string{part}}}
			}
			return g
		}
	}
	on := func(name, service string, resources ...string) func(action, part string) grant {
		return func(action, _ string) grant {
			return grant{name: name, actions: []string{service + ":" + action}, resources: resources}
		}
	}
	accounts, failures := *s.data.Accounts.TableArn(), *s.data.Failures.BucketArn()
	return map[string]func(action, part string) grant{
		"accounts":        table("Accounts", accounts, false),
		"accounts by_due": table("ByDue", accounts+"/index/by_due", false),
		"history":         table("History", *s.data.History.TableArn(), false),
		"config":          table("Config", *s.data.Config.TableArn(), true),
		// Each keyset is sealed with its purpose as the encryption context: see pkg/keyring.
		"kms": func(action, purpose string) grant {
			return grant{"Keysets" + action, []string{"kms:" + action}, []string{*s.data.Keysets.KeyArn()}, object{
				"StringEquals": object{"kms:EncryptionContext:associatedData": []string{hex.EncodeToString([]byte(purpose))}},
			}}
		},
		"mails": on("Mails", "sqs", *s.mails.QueueArn()),
		"bus": func(action, _ string) grant {
			return grant{"Bus", []string{"events:" + action}, []string{*s.bus.AttrArn()}, object{
				"ForAllValues:StringEquals": object{"events:source": []string{api.EventSource}}, // a request has several events
			}}
		},
		"failures": func(action, _ string) grant {
			switch action {
			case "ListBucket":
				return grant{name: "ListFailures", actions: []string{"s3:ListBucket"}, resources: []string{failures}}
			case "PutObject":
				return grant{name: "Park", actions: []string{"s3:PutObject"}, resources: []string{failures + "/records/*"}}
			}
			return grant{name: "Failures", actions: []string{"s3:" + action}, resources: []string{failures + "/*"}}
		},
		"notify": func(action, _ string) grant {
			return grant{name: "Notify", actions: []string{"lambda:" + action}, resources: []string{*s.functions["notify"].alias.FunctionArn()}}
		},
		"persona": on("Persona", "secretsmanager", s.config.Persona.Secret),
		"webhook": on("Persona", "secretsmanager", s.config.Persona.WebhookSecret), // without recovery there is neither
		"ses": func(action, _ string) grant {
			return grant{"Send", []string{"ses:" + action}, []string{
				s.arn("ses", "identity/"+s.config.identity()), s.arn("ses", "configuration-set/"+s.config.Name),
			}, object{"StringEquals": object{"ses:FromAddress": []string{sender(s.config.Mail.From)}}}}
		},
	}
}

// tableKey lets DynamoDB, and nobody else, open a table for who asks it. A Grant would not do: it has no such condition.
func (s *ServiceStack) tableKey() grant {
	return grant{"TableKey", []string{"kms:Decrypt", "kms:DescribeKey"}, []string{*s.data.TableKey.KeyArn()}, object{
		"StringEquals": object{"kms:ViaService": []string{"dynamodb." + s.config.Region + ".amazonaws.com"}},
	}}
}

// logging lets a function write its own log, whose group is there already.
func logging(group string) grant {
	return grant{name: "Log", actions: []string{"logs:CreateLogStream", "logs:PutLogEvents"}, resources: []string{group}}
}

// triggering is what Lambda does with a function's role to call it, or when it could not.
func (s *ServiceStack) triggering(f api.Function) []grant {
	switch f.Trigger {
	case api.TriggerStream:
		failures := *s.data.Failures.BucketArn()
		return []grant{
			{name: "Stream", actions: []string{"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"},
				resources: []string{*s.data.Accounts.TableStreamArn()}},
			{name: "Streams", actions: []string{"dynamodb:ListStreams"}, resources: []string{*s.data.Accounts.TableArn() + "/stream/*"}},
			{name: "GiveUp", actions: []string{"s3:PutObject"}, resources: []string{failures + "/aws/lambda/*"}},
			{name: "GiveUpTo", actions: []string{"s3:ListBucket"}, resources: []string{failures}},
		}
	case api.TriggerQueue:
		return []grant{{name: "Queue", actions: []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
			resources: []string{*s.mails.QueueArn()}}}
	case api.TriggerFeedback:
		return []grant{{name: "GiveUp", actions: []string{"sqs:SendMessage"}, resources: []string{*s.lost.QueueArn()}}}
	}
	return nil
}

// arn names a resource of this account and Region.
func (s *ServiceStack) arn(service, resource string) string {
	return fmt.Sprintf("arn:%s:%s:%s:%s:%s", *awscdk.Aws_PARTITION(), service, s.config.Region, *s.Stack.Account(), resource)
}

// identity is what is verified in SES: the domain of who mails are from, unless it is said.
func (c Config) identity() string {
	if c.Mail.Identity != "" {
		return c.Mail.Identity
	}
	from := sender(c.Mail.From)
	return from[strings.LastIndex(from, "@")+1:]
}
