package functions_test

// unit is what AWS asks a price for.
type unit string

// The units, as the tables of docs/operations.md call them.
const (
	unitRequest    unit = "HTTP API request"
	unitInvocation unit = "Lambda invocation"
	unitGBSecond   unit = "Lambda GB-second, arm64"
	unitRead       unit = "DynamoDB read request unit"
	unitWrite      unit = "DynamoDB write request unit"
	unitStorage    unit = "DynamoDB storage, GB-month"
	unitRecovery   unit = "DynamoDB point-in-time recovery, GB-month"
	unitEvent      unit = "EventBridge custom event"
	unitQueue      unit = "SQS request"
	unitMail       unit = "SES mail"
	unitSecretRead unit = "Secrets Manager call"
	unitKMS        unit = "KMS request"
	unitLog        unit = "CloudWatch Logs, GB ingested"
	unitTransfer   unit = "Data transfer out, GB"

	unitMetric    unit = "CloudWatch custom metric, month"
	unitAlarm     unit = "CloudWatch alarm metric, month"
	unitDashboard unit = "CloudWatch dashboard, month"
	unitKey       unit = "KMS key, month"
	unitSecret    unit = "Secrets Manager secret, month"
)

// price is what AWS lists for a unit.
type price struct {
	unit   unit
	usd    float64 // for so many
	per    float64
	source string // where it was read
	date   string // of what was read there
}

// prices are list prices of us-east-1 in US dollars, of the first tier, without any free tier. For another Region: replace
// them from https://calculator.aws, run make costs, and put what it prints into docs/operations.md.
//
// AWS's own pages show most prices by a script, which copies of them lack. Where the source is another's, it quotes AWS.
var prices = []price{
	{unitRequest, 1.00, 1e6, "an example on https://aws.amazon.com/api-gateway/pricing/", "2026-09-20"},
	{unitInvocation, 0.20, 1e6, "https://cloudchipr.com/blog/aws-lambda-pricing", "2024"},
	{unitGBSecond, 0.0000133334, 1, "https://cloudchipr.com/blog/aws-lambda-pricing", "2024"},
	{unitRead, 0.125, 1e6, "https://airbyte.com/data-engineering-resources/dynamodb-pricing", "2025-07-21"},
	{unitWrite, 0.625, 1e6, "https://airbyte.com/data-engineering-resources/dynamodb-pricing", "2025-07-21"},
	{unitStorage, 0.25, 1, "https://aws.amazon.com/dynamodb/pricing/", "undated"},
	{unitRecovery, 0.20, 1, "not confirmed", ""},
	{unitEvent, 1.00, 1e6, "https://cloudburn.io/blog/amazon-eventbridge-pricing", "2026-03-13"},
	{unitQueue, 0.40, 1e6, "https://cloudburn.io/blog/amazon-sqs-pricing", "2026-03-14"},
	{unitMail, 0.10, 1e3, "https://www.acecloudinterviews.com/tutorials/aws/ses/", "undated"},
	{unitSecretRead, 0.05, 1e4, "an example on https://aws.amazon.com/secrets-manager/pricing/", "2026-09-20"},
	{unitKMS, 0.03, 1e4, "https://cloudburn.io/blog/aws-kms-pricing", "2026-03-14"},
	{unitLog, 0.50, 1, "https://www.factualminds.com/blog/amazon-cloudwatch-pricing-metrics-logs-alarms-dashboards/", "2026-06-13"},
	{unitTransfer, 0.09, 1, "https://awsforengineers.com/blog/aws-api-gateway-pricing-explained", "2025-05-19"},

	{unitMetric, 0.30, 1, "https://signoz.io/guides/cloudwatch-pricing", "2026-02-15"},
	{unitAlarm, 0.10, 1, "https://c3x.dev/resources/aws/aws_cloudwatch_metric_alarm", "undated"},
	{unitDashboard, 3.00, 1, "https://www.factualminds.com/blog/amazon-cloudwatch-pricing-metrics-logs-alarms-dashboards/", "2026-06-13"},
	{unitKey, 1.00, 1, "https://cloudburn.io/blog/aws-kms-pricing", "2026-03-14"},
	{unitSecret, 0.40, 1, "an example on https://aws.amazon.com/secrets-manager/pricing/", "2026-09-20"},
}

// usage is how much was used of what is paid for.
type usage map[unit]float64

// cost is what a usage costs, of one unit.
func (u usage) cost(of unit) float64 {
	for _, p := range prices {
		if p.unit == of {
			return u[of] * p.usd / p.per
		}
	}
	panic("there is no price for " + of)
}

// total is what it costs in all.
func (u usage) total() (usd float64) {
	for of := range u {
		usd += u.cost(of)
	}
	return usd
}
