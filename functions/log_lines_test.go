package functions_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// logged are the lines that functions write, and the members that each may have besides its time and its level. A line or a
// member that is not here fails the tests: somebody looks at what it can tell before it is added.
var logged = map[string]string{
	"CloudFormation not answered":            "request cause",
	"a mail about no reset of ours was lost": "event cause",
	"admin":                                  "operation cause metric",
	"expected enabled":                       "user metric",
	"fence":                                  "cause metric",
	"gap in a history":                       "version at",
	"internal":                               "route request_id cause",
	"keys":                                   "operation operator reason done cause",
	"keyset not loaded":                      "purpose err metric",
	"keyset not looked at; the loaded one serves on": "purpose since err metric",
	"keysets not made":             "request cause",
	"mail feedback":                "event cause",
	"mail not sent":                "message for_good cause metric",
	"mail sent, and not marked":    "event kind to cause",
	"not swept; it is tried again": "waiting user cause",
	"object not read":              "key cause",
	"order":                        "operation user operator reason verdict dry_run told at",
	"panic":                        "route request_id panic stack",
	"record not decoded":           "key event sequence parked cause",
	"sealed":                       "route request_id cause metric",
	"unavailable":                  "route request_id cause",
	"versions not taken":           "cause",
	"webhook refused":              "request_id cause metric",
}

// measured are the members of the lines of metrics.
var measured = []string{
	api.MetricEvents, api.MetricRequests, api.MetricMails, api.MetricOperatorActions, api.MetricFences, api.MetricProblems, api.MetricConflicts,
	api.MetricReadUnits, api.MetricWriteUnits, api.MetricUnopened, api.MetricKeysetFailures, api.MetricWebhooksRefused, api.MetricUnexpected,
	api.MetricWaiting, api.MetricOldestReview,
	api.DimensionType, api.DimensionOutcome, api.DimensionMethod, api.DimensionCode, api.DimensionFunction, api.DimensionState,
}

// shapes are what members say in these tests, so that what has another form is looked at as well.
var shapes = map[string]*regexp.Regexp{
	"time at since":             regexp.MustCompile(`^2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z$`),
	"level":                     regexp.MustCompile(`^(INFO|WARN|ERROR)$`),
	"operation verdict purpose": regexp.MustCompile(`^[a-z_]*$`),
	"metric request":            regexp.MustCompile(`^[A-Za-z]+$`),
	"waiting kind to":           regexp.MustCompile(`^[a-z_]+$`),
	"user operator reason":      regexp.MustCompile(`^[a-z ]{0,10}$`),
	"route":                     regexp.MustCompile(`^(GET|POST|DELETE) /[a-z0-9/.{}_-]+$`),
	"request_id":                regexp.MustCompile(`^[A-Z2-7]{26}$`),
	"event":                     regexp.MustCompile(`^([0-9a-f-]{36}|x[0-9])$`),
	"message":                   regexp.MustCompile(`^([0-9]|none)$`),
	"for_good dry_run parked":   regexp.MustCompile(`^(true|false)$`),
	"version":                   regexp.MustCompile(`^[0-9]{1,3}$`),
	"done told":                 regexp.MustCompile(`^\{(,?"[a-z]+":[0-9]{1,3})*\}$`),
	"errorType":                 regexp.MustCompile(`^[A-Za-z]+$`),
	"cause err errorMessage":    regexp.MustCompile(`^("?` + saying + `[",.:;]*(\s+|$))*$`),
	"_counted":                  regexp.MustCompile(`^([0-9]+([.]5)?|"[a-z_-]+")$`),
}

// saying is a word of an error: one of ours or of a library, what a table or a host is called here, a number shorter than a
// code, the number of a key.
const saying = `([A-Za-z]+([._][A-Za-z]+)*|[0-9]{1,3}|x[0-9]|key [0-9]{1,10}|'<'|(accounts|history|config)-[A-Z2-7]{26}|http://127\.0\.0\.1:[0-9]+/)?`

// causes are what the system, Go and the SDK say of connections that break and of answers that do not come, as the saying of
// them depends on when that is: with the addresses of this machine and the numbers of requests, which are nobody's.
var causes = []*regexp.Regexp{
	regexp.MustCompile(`\b(read|write|dial) (tcp|udp) (` + loopback + `->)?` + loopback + `(: |$)`),
	regexp.MustCompile(`\bi/o timeout\b`),
	regexp.MustCompile(`\bnet/http: (request canceled|timeout awaiting response headers|TLS handshake timeout|HTTP/1\.x transport connection broken)`),
	regexp.MustCompile(`\(Client\.Timeout (exceeded while awaiting headers|or context cancellation while reading body)\)`),
	regexp.MustCompile(`\bRequestID: ([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[A-Z0-9]{52})\b`),
}

const loopback = `(127(\.[0-9]{1,3}){3}|\[::1\]):[0-9]{1,5}`

// shaped says whether a member says what members of its name do.
func shaped(name, value string) bool {
	if slices.Contains([]string{"cause", "err", "errorMessage"}, name) {
		for _, cause := range causes {
			value = cause.ReplaceAllString(value, " ")
		}
	}
	for names, shape := range shapes {
		if names == name || slices.Contains(strings.Fields(names), name) {
			return shape.MatchString(value)
		}
	}
	return false
}

// told are what a line of a log or of metrics says, by member. It is an error if it says what no line may.
func told(line string) (map[string]string, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(line), &raw); err != nil {
		return nil, fmt.Errorf("a line that is not JSON: %w", err)
	}
	members := map[string]string{}
	for name, value := range raw {
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(value)
		}
		members[name] = text
	}
	if _, ok := raw["_aws"]; ok {
		for name := range members {
			if name != "_aws" && (!slices.Contains(measured, name) || !shaped("_counted", string(raw[name]))) {
				return members, fmt.Errorf("metrics have %s = %s", name, raw[name])
			}
		}
		return members, nil
	}
	may, ok := logged[members["msg"]]
	if of := (struct{ ErrorMessage, ErrorType *string }{}); !ok { // what Lambda's runtime writes of an error
		d := json.NewDecoder(strings.NewReader(members["msg"]))
		d.DisallowUnknownFields()
		if d.Decode(&of) != nil || of.ErrorMessage == nil || of.ErrorType == nil {
			return members, fmt.Errorf("%q is not among the lines that are logged", members["msg"])
		}
		members["errorMessage"], members["errorType"], may = *of.ErrorMessage, *of.ErrorType, "errorMessage errorType"
	}
	for name, text := range members {
		if name == "msg" {
			continue
		}
		if !slices.Contains(strings.Fields("time level "+may), name) {
			return members, fmt.Errorf("%q has no member %s", members["msg"], name)
		}
		if !shaped(name, text) {
			return members, fmt.Errorf("%s is of another form than it has been: %q", name, text)
		}
	}
	return members, nil
}

// broken are what is said of connections and of time that runs out, under load.
var broken = []string{
	`read tcp 127.0.0.1:4242->127.0.0.1:8000: read: connection reset by peer`,
	`write tcp [::1]:42420->[::1]:8000: write: broken pipe`,
	`dial tcp 127.0.0.1:8000: connect: connection refused`,
	`dial tcp 127.0.0.1:8000: i/o timeout`,
	`net/http: request canceled (Client.Timeout exceeded while awaiting headers)`,
	`net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)`,
	`context deadline exceeded (Client.Timeout exceeded while awaiting headers)`,
	`context deadline exceeded (Client.Timeout or context cancellation while reading body)`,
	`net/http: HTTP/1.x transport connection broken: unexpected EOF`,
	`request send failed, Post "http://127.0.0.1:8000/": read tcp 127.0.0.1:4242->127.0.0.1:8000: i/o timeout`,
	`operation error DynamoDB: GetItem, https response error StatusCode: 400, RequestID: 12a18625-3cb3-fafc-b6e0-4f3bd5b9b7a4, api error x`,
	`https response error StatusCode: 500, RequestID: ` + strings.Repeat("AB12", 13) + `, InternalServerError`,
}

// TestLogLinesShapes: what a broken connection is called has the shape of a cause, and what is beside it has to have it too.
func TestLogLinesShapes(t *testing.T) {
	t.Parallel()
	for _, cause := range broken {
		for _, name := range []string{"cause", "err", "errorMessage"} {
			if !shaped(name, cause) {
				t.Errorf("%s may not be %q", name, cause)
			}
		}
		for _, other := range []string{"493817", "alice@example.com", "7QH4-XK2M", "user/alice", "203.0.113.7:443", "(alice)"} {
			for _, text := range []string{cause + " " + other, other + " " + cause, cause + ": " + other, cause + other} {
				if shaped("cause", text) {
					t.Errorf("a cause may be %q", text)
				}
			}
		}
		if shaped("user", cause) {
			t.Errorf("a user may be %q", cause)
		}
	}
	for _, text := range []string{
		"dial tcp 203.0.113.7:443: connect: connection refused", "read tcp 127.0.0.1:493817: i/o timeout", "127.0.0.1:4242", "net/http: alice/smith",
		"(Client.Timeout of alice)", "12a18625-3cb3-fafc-b6e0-4f3bd5b9b7a4", "RequestID: 493817", "RequestID: 12a18625-3cb3-fafc-b6e0-4f3bd5b9b7a4-7QH4",
	} {
		if shaped("cause", text) {
			t.Errorf("a cause may be %q", text)
		}
	}
}

// TestLogLines: what the functions are made of logs these lines with these members, those included that no test provokes.
func TestLogLines(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	err := filepath.WalkDir("../pkg", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{"host", "standin", "eventsource"}, d.Name()): // which no function has
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		names := map[string]string{}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for i, value := range n.Values {
					names[n.Names[i].Name] = literal(value)
				}
			case *ast.CallExpr:
				message, members, ok := logs(n, names)
				if !ok {
					break
				}
				found[message] = true
				for _, member := range members {
					if may, ok := logged[message]; !ok || !slices.Contains(strings.Fields(may), member) {
						t.Errorf("%s logs %q with %s, which is not in the list of what is logged", files.Position(n.Pos()), message, member)
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for message := range logged {
		if !found[message] {
			t.Errorf("nothing logs %q", message)
		}
	}
}

// logs is the message of a call that logs, and the members that it names.
func logs(call *ast.CallExpr, names map[string]string) (message string, members []string, ok bool) {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", nil, false
	}
	switch {
	case f.Sel.Name == "Failed" && len(call.Args) == 2: // metric's, which logs for others
		return literal(call.Args[0]), []string{"cause", "metric"}, true
	case !slices.Contains([]string{"ErrorContext", "WarnContext", "InfoContext", "DebugContext"}, f.Sel.Name):
		return "", nil, false
	}
	message = literal(call.Args[1])
	if id, ok := call.Args[1].(*ast.Ident); ok {
		if message, ok = names[id.Name]; !ok {
			return "", nil, false // metric.Failed itself
		}
	}
	for i := 2; i < len(call.Args); i++ {
		if attribute, ok := call.Args[i].(*ast.CallExpr); ok {
			switch made, _ := attribute.Fun.(*ast.SelectorExpr); {
			case made == nil, made.Sel.Name == "Counted": // unopened is one that counts
				members = append(members, "metric")
			default:
				members = append(members, literal(attribute.Args[0]))
			}
			continue
		}
		if call.Ellipsis.IsValid() {
			break // TestNothingIsTold sees those
		}
		members = append(members, literal(call.Args[i]))
		i++
	}
	return message, members, true
}

// literal is the text that is written in a source; of another expression how it cannot be spelled.
func literal(e ast.Expr) string {
	if l, ok := e.(*ast.BasicLit); ok {
		if text, err := strconv.Unquote(l.Value); err == nil {
			return text
		}
	}
	return fmt.Sprintf("%T", e)
}
