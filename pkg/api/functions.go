package api

import (
	"slices"
	"time"
)

// Trigger is what makes a function run.
type Trigger string

// The triggers.
const (
	TriggerHTTP       Trigger = "http"       // a request on one of its routes
	TriggerStream     Trigger = "stream"     // new images of the accounts table
	TriggerQueue      Trigger = "queue"      // the queue of mail jobs
	TriggerSchedule   Trigger = "schedule"   // the time alone
	TriggerFeedback   Trigger = "feedback"   // what SES tells of mails, by EventBridge
	TriggerDeployment Trigger = "deployment" // each deployment, as a custom resource of CloudFormation, and the time
	TriggerOperator   Trigger = "operator"   // somebody who may invoke it
)

// Function is one program in functions/, and how it is run.
type Function struct {
	Name    string // of its folder in functions/, its zip in dist/ and its sample in events/
	Trigger Trigger
	Memory  int           // MB; a function's share of a processor grows with it
	Timeout time.Duration // what an event may take; a program stops itself half a second before
	Every   time.Duration // between two runs by the schedule; 0: there is none
}

// Routes returns the routes that the function serves, in the order of the design.
func (f Function) Routes() []Route {
	return slices.DeleteFunc(Routes(), func(r Route) bool { return r.Function != f.Name })
}

// A request is answered, or given up, before whoever waits for it has gone away. The rest has the time that its work takes.
const (
	memory  = 512
	timeout = 10 * time.Second
)

// functions is the one table of functions: the CDK stack, the SAM template, the folders in functions/ and the samples in
// events/ are held against it, as is the table of routes.
var functions = []Function{
	{"enroll", TriggerHTTP, memory, timeout, 0},
	{"verify", TriggerHTTP, memory, timeout, 0},
	{"check", TriggerHTTP, memory, timeout, 0},
	{"rotate-backup", TriggerHTTP, memory, timeout, 0},
	{"disable", TriggerHTTP, memory, timeout, 0},
	{"reset-request", TriggerHTTP, memory, timeout, 0},
	{"status", TriggerHTTP, memory, timeout, 0},
	{"challenge", TriggerHTTP, memory, timeout, 0},
	{"reset-review", TriggerHTTP, memory, timeout, 0},
	{"identity-webhook", TriggerHTTP, memory, timeout, 0},
	{"jwks", TriggerHTTP, memory, timeout, 0},

	// A replay waits 15 seconds for notify, which must have ended by then. A part of a batch is taken again.
	{"notify", TriggerStream, memory, timeout, 0},
	// SES may take 7 seconds for a mail that it does not take, and a batch has four.
	{"mailer", TriggerQueue, memory, 30 * time.Second, 0},
	// One round has ended when the next begins.
	{"sweep", TriggerSchedule, memory, 4 * time.Minute, 5 * time.Minute},
	{"mail-feedback", TriggerFeedback, memory, timeout, 0},
	// What is due is done half a day late at most. A day's wait is a day and a half then.
	{"keys", TriggerDeployment, memory, time.Minute, 12 * time.Hour},
	// A replay reads for half of its time and hands on in the other half, 64 MB at most.
	{"admin", TriggerOperator, memory, 5 * time.Minute, 0},
}

// Functions returns all functions, in the order of the design. The slice is the caller's.
func Functions() []Function { return slices.Clone(functions) }
