package main

import (
	"cmp"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatchactions"
	"github.com/aws/aws-cdk-go/awscdk/v2/interfaces/interfacesawscloudwatch"
)

// alarm is when somebody is told, and what. It goes off when a metric is over its threshold in each of so many periods.
type alarm struct {
	id, name string // in the template, and in CloudWatch after the deployment's own
	what     string // what it means, in a sentence; docs/operations.md says what to do
	metric   awscloudwatch.IMetric
	over     float64
	periods  int
	under    bool // it goes off when the metric is not over the threshold
	silence  bool // no data is the worst sign; otherwise it is a good one
}

// alarm makes one.
func (s *ServiceStack) alarm(stack awscdk.Stack, a alarm) awscloudwatch.Alarm {
	props := &awscloudwatch.AlarmProps{
		AlarmName: text(s.config.Name + "-" + a.name), AlarmDescription: text(a.what + " See docs/operations.md."),
		Metric: a.metric, Threshold: &a.over, EvaluationPeriods: number(cmp.Or(a.periods, 1)),
		ComparisonOperator: awscloudwatch.ComparisonOperator_GREATER_THAN_THRESHOLD,
		TreatMissingData:   awscloudwatch.TreatMissingData_NOT_BREACHING,
	}
	if a.under {
		props.ComparisonOperator = awscloudwatch.ComparisonOperator_LESS_THAN_OR_EQUAL_TO_THRESHOLD
	}
	if a.silence {
		props.TreatMissingData = awscloudwatch.TreatMissingData_BREACHING
	}
	made := awscloudwatch.NewAlarm(stack, &a.id, props)
	s.tell(made)
	return made
}

// tell has those told who are told of alarms, also when it is over.
func (s *ServiceStack) tell(a interface {
	AddAlarmAction(...awscloudwatch.IAlarmAction)
	AddOkAction(...awscloudwatch.IAlarmAction)
}) {
	a.AddAlarmAction(awscloudwatchactions.NewSnsAction(s.alerts))
	a.AddOkAction(awscloudwatchactions.NewSnsAction(s.alerts))
}

func refs(alarms []awscloudwatch.Alarm) *[]interfacesawscloudwatch.IAlarmRef {
	var all []interfacesawscloudwatch.IAlarmRef
	for _, a := range alarms {
		all = append(all, a)
	}
	return &all
}

// metric is one of AWS or of ours, summed up over five minutes unless it says otherwise. Dimensions are names and values.
func metric(namespace, name string, dimensions ...string) awscloudwatch.Metric {
	props := &awscloudwatch.MetricProps{
		Namespace: &namespace, MetricName: &name, Statistic: text("Sum"), Period: after(5 * time.Minute),
	}
	if len(dimensions) > 0 {
		values := map[string]*string{}
		for i := 0; i < len(dimensions); i += 2 {
			values[dimensions[i]] = text(dimensions[i+1])
		}
		props.DimensionsMap = &values
	}
	return awscloudwatch.NewMetric(props)
}

// by is a metric with another statistic.
func by(m awscloudwatch.Metric, statistic string, period time.Duration) awscloudwatch.Metric {
	return m.With(&awscloudwatch.MetricOptions{Statistic: &statistic, Period: after(period)})
}

// labelled is a metric as a dashboard calls it.
func labelled(m awscloudwatch.Metric, label string) awscloudwatch.Metric {
	return m.With(&awscloudwatch.MetricOptions{Label: &label})
}

// sumOver is a sum over so many minutes.
func sumOver(minutes int) *awscloudwatch.MetricOptions {
	return &awscloudwatch.MetricOptions{Statistic: text("Sum"), Period: after(time.Duration(minutes) * time.Minute)}
}

// ratio is one metric in percent of another.
func ratio(part, whole awscloudwatch.Metric) awscloudwatch.MathExpression {
	return expression("100 * part / whole", map[string]awscloudwatch.IMetric{"part": part, "whole": whole})
}

func expression(formula string, of map[string]awscloudwatch.IMetric) awscloudwatch.MathExpression {
	return awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		Expression: &formula, UsingMetrics: &of, Period: after(5 * time.Minute), Label: &formula,
	})
}

// apiMetric is one of the whole API.
func (s *ServiceStack) apiMetric(name string) awscloudwatch.Metric {
	return metric("AWS/ApiGateway", name, "ApiId", *s.api.Ref())
}
