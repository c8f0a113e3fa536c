package functions_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/dynamostore/itemsize"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// What is not counted but taken for granted: how long a request of a function waits for its answer, and what a function itself
// takes, in milliseconds. The line REPORT in a function's log says what it is in a deployment.
const (
	waitDynamoDB = 5
	waitSES      = 100
	waitOther    = 20
	waitItself   = 2
)

// months is for how long the history is kept.
var months = twofactor.KeepHistory.Hours() / 730

// routeMetrics are those that API Gateway writes for each route
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html).
const routeMetrics = 6

// coldStart is what a sign-in takes more when verify has just started.
const coldStart = "besides, where verify is cold"

// browser is the user agent of what most people use.
const browser = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/146.0.0.0 Safari/537.36"

// platformLog is what Lambda writes about an invocation
// (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-view.html).
const platformLog = "START RequestId: 8476a536-e9f4-11e8-9739-2dfe598c3fcd Version: 12\n" +
	"END RequestId: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\n" +
	"REPORT RequestId: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\tDuration: 12.34 ms\tBilled Duration: 13 ms\tMemory Size: 512 MB\tMax Memory Used: 41 MB\t\n"

// till counts what is paid for in a world: by requests at its gates, by what functions say of DynamoDB's answers, by the bytes of
// their logs, and by what API Gateway would do for the requests.
type till struct {
	*client
	w         *world
	delivered func(twofactor.UserID)
	accessLog string
	requests  usage // what API Gateway takes
	user      twofactor.UserID
	phone     *phone
	backup    string
	text      string // of the newest challenge
}

func newTill(t *testing.T) *till {
	t.Helper()
	w := newWorld(t, `{"preset":"miaxdx","lock_base":"1h"}`) // a recovery needs no waiting, and a lock lasts on a slow machine
	w.startAll()
	s := &till{w: w, client: newClient(t, w.functions, timeout), accessLog: accessLog(t), requests: usage{}}
	// On a quiet day each version of an account, and each mail, is an invocation of its own: that is the most it costs.
	s.delivered = w.stream(1)
	invoke := s.invoke
	s.invoke = func(function string, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		e.RequestContext.HTTP.UserAgent = browser
		r, err := invoke(function, e)
		s.requests[unitRequest]++
		s.requests[unitTransfer] += float64(len(r.Body)) / gigabyte
		for name, value := range r.Headers {
			s.requests[unitTransfer] += float64(len(name+": "+value+"\r\n")) / gigabyte
		}
		s.requests[unitLog] += float64(len(strings.ReplaceAll(s.accessLog, "$context.routeKey", e.RouteKey))) / gigabyte
		return r, err
	}
	w.persona.webhook = func(e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		return s.invoke("identity-webhook", e)
	}
	s.outside = w.outside(s.delivered)
	s.outside.mails = func() (texts []string) {
		s.settle()
		for _, mail := range w.functions["mailer"].others.taken() {
			texts = append(texts, plain(t, mail))
		}
		return texts
	}
	return s
}

const gigabyte = 1 << 30

// accessLog is a line of the API's log, as the stack has it written, but for the route.
func accessLog(t *testing.T) string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../infra/api.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var format string
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && spec.Names[0].Name == "accessLog" {
			ast.Inspect(spec, func(n ast.Node) bool {
				if text, ok := n.(*ast.BasicLit); ok {
					part, err := strconv.Unquote(text.Value)
					if err != nil {
						t.Fatal(err)
					}
					format += part
				}
				return true
			})
		}
		return true
	})
	values := map[string]string{
		"$context.requestTimeEpoch": "1767603600000", "$context.requestId": "JKJaXmPLvHcESHA=", "$context.routeKey": "$context.routeKey",
		"$context.status": "200", "$context.error.message": "-", "$context.authorizer.error": "-",
		"$context.identity.sourceIp": "203.0.113.107", "$context.responseLatency": "21", "$context.integrationLatency": "19", "$context.integrationStatus": "200",
	}
	line := regexp.MustCompile(`\$context\.[A-Za-z.]+`).ReplaceAllStringFunc(format, func(variable string) string {
		value, known := values[variable]
		if !known {
			t.Errorf("the API's log has %s", variable)
		}
		return value
	})
	if len(line) < 100 {
		t.Fatalf("the API's log is %q", line)
	}
	return line + "\n"
}

// settle waits until all is done that follows from what the user has done.
func (s *till) settle() {
	s.delivered(s.user)
	s.w.mail(1)
}

// spent is what has been used so far; of the history, by this user.
func (s *till) spent() usage {
	s.w.tb.Helper()
	u := usage{}
	for of, n := range s.requests {
		u[of] = n
	}
	for _, known := range api.Functions() {
		f := s.w.functions[known.Name]
		u[unitInvocation] += float64(f.had)
		milliseconds := waitItself * f.had
		for _, g := range []*gate{f.dynamoDB, f.kms, f.others, f.lambdas} {
			g.mu.Lock()
			for what, n := range g.asked {
				service, operation, _ := strings.Cut(what, " ")
				switch {
				case g == f.dynamoDB:
					milliseconds += waitDynamoDB * n
					continue
				case service == "ses":
					milliseconds += waitSES * n
					u[unitMail] += float64(n)
					continue
				case service == "kms":
					u[unitKMS] += float64(n)
				case service == "mails":
					u[unitQueue] += float64(n)
				case operation == "GetSecretValue":
					u[unitSecretRead] += float64(n)
				}
				milliseconds += waitOther * n
			}
			g.mu.Unlock()
		}
		u[unitGBSecond] += float64(milliseconds) / 1000 * float64(known.Memory) / 1024
		u[unitEvent] += float64(len(f.others.events()))
		if known.Trigger == api.TriggerQueue {
			u[unitQueue] += 2 * float64(f.had) // Lambda receives its jobs, and deletes them
		}
		for _, l := range f.lines(s.w) {
			for name, of := range map[string]unit{api.MetricReadUnits: unitRead, api.MetricWriteUnits: unitWrite} {
				units, _ := l.values[name].(float64)
				u[of] += units
			}
		}
		u[unitLog] += float64(len(f.said.String())+len(f.counted.String())+f.had*len(platformLog)) / gigabyte
	}
	u[unitStorage] = s.stored() / gigabyte * months
	u[unitRecovery] = u[unitStorage]
	return u
}

// stored is how many bytes the user's history takes
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html; 100 for each item, besides).
func (s *till) stored() (bytes float64) {
	s.w.tb.Helper()
	out, err := dynamodb.NewFromConfig(s.w.dynamoDB).Query(s.w.tb.Context(), &dynamodb.QueryInput{
		TableName: &s.w.tables.History, KeyConditionExpression: new("#user = :user"), ExpressionAttributeNames: map[string]string{"#user": "user"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":user": &types.AttributeValueMemberS{Value: string(s.user)}},
	})
	if err != nil || out.LastEvaluatedKey != nil {
		s.w.tb.Fatal(err)
	}
	for _, item := range out.Items {
		bytes += 100 + float64(itemsize.Of(item))
	}
	return bytes
}
