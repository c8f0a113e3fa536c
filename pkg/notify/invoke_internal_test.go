package notify

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// TestInvocationsURL: a function is where its ARN says, in every partition that has the service's usual name.
func TestInvocationsURL(t *testing.T) {
	t.Parallel()
	local := "http://127.0.0.1:3001/"
	for arn, want := range map[string]string{
		"arn:aws:lambda:eu-central-1:111122223333:function:notify":         "https://lambda.eu-central-1.amazonaws.com/2015-03-31/functions/notify/invocations",
		"arn:aws:lambda:eu-central-1:111122223333:function:notify:live":    "https://lambda.eu-central-1.amazonaws.com/2015-03-31/functions/notify/invocations?Qualifier=live",
		"arn:aws:lambda:eu-central-1:111122223333:function:notify:$LATEST": "https://lambda.eu-central-1.amazonaws.com/2015-03-31/functions/notify/invocations?Qualifier=%24LATEST",
		"arn:aws-cn:lambda:cn-north-1:111122223333:function:notify":        "https://lambda.cn-north-1.amazonaws.com.cn/2015-03-31/functions/notify/invocations",
		"arn:aws:lambda:eu-central-1:111122223333:function:a/../b?c":       "https://lambda.eu-central-1.amazonaws.com/2015-03-31/functions/a%2F..%2Fb%3Fc/invocations",
	} {
		if got, err := invocationsURL(aws.Config{}, arn); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", arn, got, err, want)
		}
	}
	if got, err := invocationsURL(aws.Config{BaseEndpoint: &local}, "arn:aws:lambda:eu-central-1:111122223333:function:notify"); err != nil || got != local+"2015-03-31/functions/notify/invocations" {
		t.Errorf("%s, %v", got, err)
	}
}
