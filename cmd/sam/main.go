// Sam runs the functions of template.yaml on this machine, each in the container that Lambda would run it in, by AWS's own
// program of that name. It is what `make sam` runs.
//
// Around them there is DynamoDB Local, and moto, an imitation of KMS and of everything else, in containers on a network with
// the functions. Nothing of it can be reached from outside this machine, and all of it is gone when it ends.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "sam:", err)
		os.Exit(1)
	}
}

// network is where the containers are. A second run on this machine finds its name taken.
const network = "nightlatch-sam"

// service is a container beside the functions, which know it by its name.
type service struct {
	name, port, image string
	command           []string
}

var services = []service{
	{"dynamodb", "8000", "amazon/dynamodb-local:3.3.1", []string{"-jar", "DynamoDBLocal.jar", "-inMemory", "-sharedDb", "-disableTelemetry"}},
	{"moto", "5000", "motoserver/moto:5.2.5", nil},
}

// variables is the file of what only this run knows, for --env-vars.
const variables = ".nightlatch/sam.json"

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	if err := ready(ctx); err != nil {
		return err
	}
	// Lambda's containers run what this machine's processor runs.
	if err := show(ctx, stderr, "make", "--no-print-directory", "functions", "GOARCH="+runtime.GOARCH); err != nil {
		return err
	}
	if _, err := ask(ctx, "docker", "network", "create", network); ctx.Err() != nil {
		return ctx.Err()
	} else if err != nil {
		return fmt.Errorf("%w\nIs another one running? What one has left behind that was killed goes by: docker rm --force %s; docker network rm %s",
			err, strings.Join(containers(), " "), network)
	}
	defer func() { err = errors.Join(err, clean()) }()
	endpoints := map[string]string{}
	for _, s := range services {
		endpoint, err := s.start(ctx, stderr)
		if err != nil {
			return err
		}
		endpoints[s.name] = endpoint
	}
	made, err := newWorld(ctx, endpoints["dynamodb"], endpoints["moto"])
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(map[string]any{"Parameters": made}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(variables), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(variables, text, 0o600); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "The functions can be called one by one, too, in another terminal:\n  %s\n",
		strings.Join(sam("invoke", "Challenge", "--event", "events/challenge.json"), " "))
	if err := show(ctx, stderr, append(sam("start-api", "--warm-containers", "LAZY"), args...)...); ctx.Err() == nil {
		return err
	}
	return nil // that is how it ends
}

// sam is a command of sam local, for what is here.
func sam(command ...string) []string {
	return slices.Concat([]string{"sam", "local"}, command, []string{
		"--template", "template.yaml", "--parameter-overrides", "Architecture=" + architecture(),
		"--docker-network", network, "--env-vars", variables, "--region", region,
	})
}

// architecture is what Lambda calls that of this machine.
func architecture() string {
	if runtime.GOARCH == "amd64" {
		return "x86_64"
	}
	return runtime.GOARCH
}

// ready says what is missing, and what to do.
func ready(ctx context.Context) error {
	const docker = "make sam needs Docker, whose containers the functions run in"
	_, err := ask(ctx, "docker", "info")
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return errors.New(docker + ": it is not installed: https://docs.docker.com/get-docker/. Without it, make dev runs the same functions")
	case err != nil:
		return fmt.Errorf("%s: it does not answer. Start it, or make dev runs the same functions without it: %w", docker, err)
	}
	if _, err := ask(ctx, "sam", "--version"); err != nil {
		return fmt.Errorf("make sam needs AWS's program sam: make tools fetches it, where there is Python: %w", err)
	}
	return nil
}

// start starts the container, and waits until whoever is in it answers. Only this machine reaches it.
func (s service) start(ctx context.Context, stderr io.Writer) (endpoint string, err error) {
	fmt.Fprintf(stderr, "starting %s, which the first time is fetched\n", s.image)
	if _, err := ask(ctx, slices.Concat([]string{
		"docker", "run", "--detach", "--rm", "--name", s.container(), "--network", network, "--network-alias", s.name,
		"--publish", "127.0.0.1::" + s.port, s.image,
	}, s.command)...); err != nil {
		return "", err
	}
	address, err := ask(ctx, "docker", "port", s.container(), s.port+"/tcp")
	if err != nil {
		return "", err
	}
	endpoint = "http://" + strings.TrimSpace(address)
	for last := time.After(time.Minute); ; {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, nil)
		if err != nil {
			return "", fmt.Errorf("docker port says %q: %w", address, err)
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			return endpoint, response.Body.Close()
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-last:
			return "", fmt.Errorf("%s does not answer: docker logs %s may say why: %w", s.image, s.container(), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s service) container() string { return network + "-" + s.name }

func containers() []string {
	var names []string
	for _, s := range services {
		names = append(names, s.container())
	}
	return names
}

// clean removes what run has made, even if it was interrupted.
func clean() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, containers := ask(ctx, append([]string{"docker", "rm", "--force"}, containers()...)...)
	_, network := ask(ctx, "docker", "network", "rm", network)
	return errors.Join(containers, network, os.RemoveAll(variables))
}

// environment is what programs are told: credentials that open nothing, which sam hands to the functions. Those of whoever
// runs this go to nobody, and neither do other endpoints. Sam takes NIGHTLATCH_POLICY and the like from here, where they are.
func environment() []string {
	told := slices.DeleteFunc(os.Environ(), func(variable string) bool { return strings.HasPrefix(variable, "AWS_") })
	return append(told, "AWS_ACCESS_KEY_ID="+credential, "AWS_SECRET_ACCESS_KEY="+credential)
}

// ask runs a command, and returns what it says. The error has what it says on the standard error.
func ask(ctx context.Context, command ...string) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env, cmd.Stderr = environment(), &stderr
	said, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(command[:2], " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return string(said), err
}

// show runs a command in sight of whoever has started this.
func show(ctx context.Context, stderr io.Writer, command ...string) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = environment(), stderr, stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(command[:2], " "), err)
	}
	return nil
}
