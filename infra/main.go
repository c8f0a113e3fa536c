// Infra deploys Nightlatch to AWS by the CDK: four stacks, from one configuration (README.md). What functions and routes there
// are, and what each may do, comes from pkg/api.
package main

import (
	"fmt"
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

// check says what has not been built.
func (b Built) check(c Config) error {
	var missing []string
	for _, f := range functions() {
		if _, err := os.Stat(b.zip(f)); err != nil {
			missing = append(missing, b.zip(f))
		}
	}
	if c.Recovers() {
		if _, err := os.Stat(b.index()); err != nil {
			missing = append(missing, b.index())
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("not built: %s: run make build, at the top", strings.Join(missing, ", "))
	}
	return nil
}
