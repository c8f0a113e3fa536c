package functions_test

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/api/samtest"
	"github.com/nightlatch/nightlatch/pkg/needs"
)

// TestMakeSam runs what make sam runs, with DynamoDB Local and moto in the place of their containers. In the world that it
// makes, each program runs with the environment that sam would give it, and takes its sample.
func TestMakeSam(t *testing.T) {
	t.Parallel()
	located := strings.NewReplacer("http://dynamodb:8000", needs.NewDynamoDBLocal(t), "http://moto:5000", needs.NewKMS(t))
	template := samtest.Read(t, "../template.yaml")

	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	host := func(url string) string { return strings.TrimPrefix(located.Replace(url), "http://") }
	for name, script := range map[string]string{
		"docker": `echo "docker $*" >>calls; case "$*" in
			"port nightlatch-sam-dynamodb 8000/tcp") echo ` + host("http://dynamodb:8000") + `;;
			"port nightlatch-sam-moto 5000/tcp") echo ` + host("http://moto:5000") + `;;
		esac`,
		"make": `echo "make $*" >>calls`,
		"sam":  `echo "sam $*" >>calls; [ "$1" = --version ] || { env; echo started; exec sleep 600; } >&2`,
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	made := filepath.Join(dir, "sam")
	if said, err := exec.CommandContext(t.Context(), needs.Program(t, "go"), "build", "-o", made, "../cmd/sam").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	cmd := exec.CommandContext(t.Context(), made, "--port", "4000")
	cmd.Dir, cmd.Stdout = dir, t.Output()
	cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "AWS_PROFILE=mine", "AWS_ENDPOINT_URL_KMS=http://elsewhere"}
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{} // by sam, besides what the template says
	said := bufio.NewScanner(stderr)
	for said.Scan() && said.Text() != "started" {
		if name, value, ok := strings.Cut(said.Text(), "="); ok && strings.HasPrefix(name, "AWS_") {
			told[name] = value
		} else {
			t.Log(said.Text())
		}
	}
	if diff := cmp.Diff(map[string]string{"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}, told); diff != "" {
		t.Errorf("what sam is told of AWS (-want +got):\n%s", diff)
	}
	told["AWS_REGION"], told["AWS_SESSION_TOKEN"], told["AWS_SAM_LOCAL"] = region, "", "true"
	var overrides struct{ Parameters map[string]string }
	if err := json.Unmarshal(read(t, filepath.Join(dir, ".nightlatch/sam.json")), &overrides); err != nil {
		t.Fatal(err)
	}

	programs := map[string]*function{}
	for _, name := range names(t) {
		environment := template.Environment(name)
		for variable, value := range environment {
			if known, ok := overrides.Parameters[variable]; ok {
				value = known
			}
			environment[variable] = located.Replace(value)
		}
		maps.Copy(environment, told)
		programs[name] = &function{lambda: startLambda(t, name, program(t, name), environment)}
	}
	c := newClient(t, programs, timeout)
	for _, f := range api.Functions() {
		if f.Trigger == api.TriggerHTTP {
			e, want := decode[events.APIGatewayV2HTTPRequest](t, f.Name), sampled[f.Name]
			a := c.send(route(t, e), e)
			t.Logf("%s: %d %.100s", f.Name, a.status, a.text)
			if a.status != want.status || a.str("code") != want.code || !strings.Contains(a.text, want.body) {
				t.Errorf("%s: %d %s, want %d %s %s", f.Name, a.status, a.text, want.status, want.code, want.body)
			}
			continue
		}
		o := programs[f.Name].invoke(sample(t, f.Name), f.Timeout)
		t.Logf("%s: %.100s", f.Name, o.answer)
		if o.err != nil || strings.Contains(string(o.answer), "itemIdentifier") {
			t.Errorf("%s: %s, %v; it says:\n%s", f.Name, o.answer, o.err, &programs[f.Name].said)
		}
	}

	// Ctrl-C, or the like: what was made goes.
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	architecture := map[string]string{"amd64": "x86_64"}[runtime.GOARCH]
	if architecture == "" {
		architecture = runtime.GOARCH
	}
	want := []string{
		"docker info",
		"sam --version",
		"make --no-print-directory functions GOARCH=" + runtime.GOARCH,
		"docker network create nightlatch-sam",
		"docker run --detach --rm --name nightlatch-sam-dynamodb --network nightlatch-sam --network-alias dynamodb --publish 127.0.0.1::8000 " +
			"amazon/dynamodb-local:3.3.1 -jar DynamoDBLocal.jar -inMemory -sharedDb -disableTelemetry",
		"docker port nightlatch-sam-dynamodb 8000/tcp",
		"docker run --detach --rm --name nightlatch-sam-moto --network nightlatch-sam --network-alias moto --publish 127.0.0.1::5000 " + motoImage(t),
		"docker port nightlatch-sam-moto 5000/tcp",
		"sam local start-api --warm-containers LAZY --template template.yaml --parameter-overrides Architecture=" + architecture +
			" --docker-network nightlatch-sam --env-vars .nightlatch/sam.json --region eu-central-1 --port 4000",
		"docker rm --force nightlatch-sam-dynamodb nightlatch-sam-moto",
		"docker network rm nightlatch-sam",
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(string(read(t, filepath.Join(dir, "calls")))), "\n")); diff != "" {
		t.Errorf("what it runs (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(dir, ".nightlatch/sam.json")); !os.IsNotExist(err) {
		t.Errorf("it leaves its variables behind: %v", err)
	}
}

// motoImage is the container of the moto that tests use.
func motoImage(tb testing.TB) string {
	tb.Helper()
	pins := strings.Fields(string(read(tb, "../pkg/needs/tools/requirements.txt")))
	i := slices.IndexFunc(pins, func(pin string) bool { return strings.HasPrefix(pin, "moto==") })
	return "motoserver/moto:" + strings.TrimPrefix(pins[i], "moto==")
}
