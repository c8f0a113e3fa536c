package main

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

// The CDK takes pointers. These make them.

func text(s string) *string { return jsii.String(s) }

func texts(s ...string) *[]*string { return jsii.Strings(s...) }

func number[N int | float64](n N) *float64 { return jsii.Number(float64(n)) }

func yes() *bool { return jsii.Bool(true) }

func no() *bool { return jsii.Bool(false) }

func list[T any](items ...T) *[]T { return &items }

func after(d time.Duration) awscdk.Duration { return awscdk.Duration_Seconds(number(d.Seconds())) }

func days(n int) awscdk.Duration { return awscdk.Duration_Days(number(n)) }

// object is a piece of a template, or of a policy, as CloudFormation writes it.
type object = map[string]any

func output(stack awscdk.Stack, name string, value *string, what string) {
	awscdk.NewCfnOutput(stack, text(name), &awscdk.CfnOutputProps{Value: value, Description: &what})
}
