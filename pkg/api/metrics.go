package api

// MetricNamespace is where CloudWatch keeps what the functions count, by the embedded metric format. A deployment has a
// namespace of its own below it, so that two in one account do not count together.
const MetricNamespace = "Nightlatch"

// The metrics that the functions write, as the alarms and the dashboard of the CDK stack read them. None has a user in it: a
// metric's dimensions are names that this repository knows.
const (
	// MetricEvents counts the events of accounts, by DimensionType, DimensionOutcome and DimensionMethod; and all of a type by
	// DimensionType alone. Notify writes it when it has taken an event to the history: once, or again when the stream delivers it
	// again.
	MetricEvents = "Events"
	// MetricRequests counts the events that a function has had, by DimensionFunction and DimensionOutcome: success, the code of a
	// problem, or failure.
	MetricRequests = "Requests"
	// MetricMails counts the mails that were asked for, by DimensionOutcome: sent, needless or failed.
	MetricMails = "Mails"
	// MetricOperatorActions counts what operators did, without a dimension.
	MetricOperatorActions = "OperatorActions"
	// MetricFences counts the fences that operators raised, without a dimension.
	MetricFences = "Fences"
	// MetricProblems counts the problems that requests are answered with, by DimensionCode.
	MetricProblems = "Problems"
	// MetricConflicts counts the writes that lost to another one and were decided again, without a dimension.
	MetricConflicts = "Conflicts"
	// MetricReadUnits and MetricWriteUnits are what a request has consumed of the tables, by DimensionFunction: verify. What other
	// functions have consumed is in their logs under the same names.
	MetricReadUnits  = "ReadUnits"
	MetricWriteUnits = "WriteUnits"
	// MetricUnopened counts the secrets that their keyset did not open, and MetricKeysetFailures the keysets that could not be
	// read or opened, without a dimension.
	MetricUnopened       = "Unopened"
	MetricKeysetFailures = "KeysetFailures"
	// MetricWebhooksRefused counts the webhooks whose signature was wrong or stale, without a dimension.
	MetricWebhooksRefused = "WebhooksRefused"
	// MetricUnexpected counts the users whom a host believed to have 2FA, and who have none, without a dimension.
	MetricUnexpected = "Unexpected"
	// MetricWaiting is how many resets wait, by DimensionState, and MetricOldestReview the age in seconds of the oldest that
	// waits for a reviewer, 0 if there is none, without a dimension. Each sweep writes both.
	MetricWaiting      = "Waiting"
	MetricOldestReview = "OldestReview"
)

// The dimensions of metrics.
const (
	DimensionType     = "Type"     // of an event, as in the history
	DimensionOutcome  = "Outcome"  // success or failure, and as the metric says
	DimensionMethod   = "Method"   // of a sign-in: totp, backup_code, reset_link or none
	DimensionCode     = "Code"     // of a problem
	DimensionFunction = "Function" // as in Functions
	DimensionState    = "State"    // of a reset
)
