// Infra deploys Nightlatch to AWS by the CDK: four stacks, from one configuration (README.md). What functions and routes there
// are, and what each may do, comes from pkg/api.
package main

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

func main() {
	defer jsii.Close()
	app := newApp(nil)
	config, err := FromContext(app.Node().TryGetContext(text(contextKey)))
	built := Built{Dist: "../dist", Pages: "../web/site/dist"}
	if err == nil {
		err = built.check(config)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		jsii.Close()
		os.Exit(1)
	}
	NewDeployment(app, config, built)
	app.Synth(nil)
}

// newApp makes an app that writes to a folder, or where the CDK wants it to.
func newApp(to *string) awscdk.App {
	return awscdk.NewApp(&awscdk.AppProps{Outdir: to, AnalyticsReporting: no(), Context: &map[string]any{
		// What another stack uses cannot be deleted.
		"@aws-cdk/core:defaultCrossStackReferences": "strong",
	}})
}

// Deployment is all of it.
type Deployment struct {
	Data    *DataStack
	Web     *WebStack
	Service *ServiceStack
	Watch   awscdk.Stack
}

// NewDeployment makes the stacks, each of what the ones before it have made.
func NewDeployment(scope constructs.Construct, c Config, built Built) *Deployment {
	d := &Deployment{Data: NewData(scope, c)}
	if c.Recovers() {
		d.Web = NewWeb(scope, c)
	}
	d.Service = NewService(scope, c, d.Data, d.Web, built)
	d.Watch = NewWatch(scope, c, d.Data, d.Service)
	return d
}

func newStack(scope constructs.Construct, c Config, part, what string) awscdk.Stack {
	env := &awscdk.Environment{Region: &c.Region}
	if c.Account != "" {
		env.Account = &c.Account
	}
	id := c.Name + "-" + part
	stack := awscdk.NewStack(scope, &id, &awscdk.StackProps{
		StackName: &id, Description: &what, Env: env, TerminationProtection: yes(), AnalyticsReporting: no(),
	})
	awscdk.Tags_Of(stack).Add(text("application"), &c.Name, nil)
	return stack
}

// Built is where what make has built is.
type Built struct {
	Dist  string // a zip for each function
	Pages string // index.html and what it loads
}

// check says what has not been built, or for another processor than functions have.
func (b Built) check(c Config) error {
	var missing, others []string
	for _, f := range functions() {
		machine, err := machineOf(b.zip(f))
		switch {
		case err != nil:
			missing = append(missing, b.zip(f))
		case machine != elf.EM_AARCH64:
			others = append(others, b.zip(f))
		}
	}
	if c.Recovers() {
		if _, err := os.Stat(b.index()); err != nil {
			missing = append(missing, b.index())
		}
	}
	switch {
	case len(missing) > 0:
		return fmt.Errorf("not built: %s: run make build, at the top", strings.Join(missing, ", "))
	case len(others) > 0:
		return fmt.Errorf("not built for arm64: %s: run make build, at the top, without GOARCH", strings.Join(others, ", "))
	}
	return nil
}

// machineOf reads which processor the program in a function's zip is for.
func machineOf(path string) (elf.Machine, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	archive, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		return 0, err
	}
	program, err := archive.Open("bootstrap")
	if err != nil {
		return 0, err
	}
	defer func() { _ = program.Close() }() // it was only read
	var header [64]byte                    // which is that of an ELF file of 64 bits
	_, err = io.ReadFull(program, header[:])
	return elf.Machine(binary.LittleEndian.Uint16(header[18:])), err // e_machine
}
