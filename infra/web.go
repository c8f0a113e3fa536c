package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscertificatemanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudfront"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudfrontorigins"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3deployment"
	"github.com/aws/constructs-go/constructs/v10"
)

// WebStack is where the pages are that mailed links lead to: a private bucket, and CloudFront before it. What is in the bucket
// knows the API, and the API knows who may call it, so the service's stack fills the bucket: [WebStack.deploy].
type WebStack struct {
	Stack  awscdk.Stack
	Bucket awss3.Bucket
	URL    string // without a slash at its end
}

// pagePolicy allows what the pages load, which is their own, and nothing else. Which API they may call they say themselves, in
// index.html: a policy in a page can only take away.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' https:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types lit-html"

// NewWeb makes the stack.
func NewWeb(scope constructs.Construct, c Config) *WebStack {
	stack := newStack(scope, c, "web", "Nightlatch: pages")
	w := &WebStack{Stack: stack, Bucket: newBucket(stack, "Pages", &awss3.BucketProps{})}

	behaviour := func(id, caching string, cache awscloudfront.ICachePolicy) *awscloudfront.BehaviorOptions {
		return &awscloudfront.BehaviorOptions{
			Origin:               awscloudfrontorigins.S3BucketOrigin_WithOriginAccessControl(w.Bucket, nil),
			AllowedMethods:       awscloudfront.AllowedMethods_ALLOW_GET_HEAD(),
			CachePolicy:          cache,
			Compress:             yes(),
			ViewerProtocolPolicy: awscloudfront.ViewerProtocolPolicy_REDIRECT_TO_HTTPS,
			ResponseHeadersPolicy: awscloudfront.NewResponseHeadersPolicy(stack, &id, &awscloudfront.ResponseHeadersPolicyProps{
				ResponseHeadersPolicyName: text(c.Name + "-" + c.Region + "-" + strings.ToLower(id)),
				SecurityHeadersBehavior:   securityHeaders(),
				CustomHeadersBehavior: &awscloudfront.ResponseCustomHeadersBehavior{CustomHeaders: list(
					header("cache-control", caching),
					header("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
					header("cross-origin-opener-policy", "same-origin"),
					header("cross-origin-resource-policy", "same-origin"),
				)},
			}),
		}
	}
	props := &awscloudfront.DistributionProps{
		Comment:           text(c.Name + ": pages"),
		DefaultRootObject: text("index.html"),
		// A new release is seen at once; what it loads has its hash in its name.
		DefaultBehavior: behaviour("Headers", "no-cache", awscloudfront.CachePolicy_CACHING_DISABLED()),
		AdditionalBehaviors: &map[string]*awscloudfront.BehaviorOptions{
			"assets/*": behaviour("AssetHeaders", "public, max-age=31536000, immutable", awscloudfront.CachePolicy_CACHING_OPTIMIZED()),
		},
		HttpVersion: awscloudfront.HttpVersion_HTTP2_AND_3,
		PriceClass:  awscloudfront.PriceClass_PRICE_CLASS_ALL,
	}
	if c.Web.Domain != "" {
		props.DomainNames = texts(c.Web.Domain)
		props.MinimumProtocolVersion = awscloudfront.SecurityPolicyProtocol_TLS_V1_2_2021 // CloudFront's own domain has its own
		props.Certificate = awscertificatemanager.Certificate_FromCertificateArn(stack, text("Certificate"), &c.Web.Certificate)
	}
	distribution := awscloudfront.NewDistribution(stack, text("Distribution"), props)
	w.URL = "https://" + *distribution.DistributionDomainName()
	if c.Web.Domain != "" {
		w.URL = "https://" + c.Web.Domain
	}
	output(stack, "WebUrl", &w.URL, "The pages")
	output(stack, "WebTarget", distribution.DistributionDomainName(), "Where the DNS record of web.domain leads to")
	return w
}

func securityHeaders() *awscloudfront.ResponseSecurityHeadersBehavior {
	return &awscloudfront.ResponseSecurityHeadersBehavior{
		ContentSecurityPolicy: &awscloudfront.ResponseHeadersContentSecurityPolicy{ContentSecurityPolicy: text(pagePolicy), Override: yes()},
		ContentTypeOptions:    &awscloudfront.ResponseHeadersContentTypeOptions{Override: yes()},
		FrameOptions:          &awscloudfront.ResponseHeadersFrameOptions{FrameOption: awscloudfront.HeadersFrameOption_DENY, Override: yes()},
		ReferrerPolicy: &awscloudfront.ResponseHeadersReferrerPolicy{
			ReferrerPolicy: awscloudfront.HeadersReferrerPolicy_NO_REFERRER, Override: yes(),
		},
		StrictTransportSecurity: &awscloudfront.ResponseHeadersStrictTransportSecurity{
			AccessControlMaxAge: days(730), IncludeSubdomains: no(), Override: yes(),
		},
	}
}

func header(name, value string) *awscloudfront.ResponseCustomHeader {
	return &awscloudfront.ResponseCustomHeader{Header: &name, Value: &value, Override: yes()}
}

func (b Built) index() string { return filepath.Join(b.Pages, "index.html") }

// deploy fills the bucket, from a stack that knows the API. What a page that is still open may load is not removed.
func (w *WebStack) deploy(stack awscdk.Stack, c Config, built Built, apiURL string, logs awslogs.LogGroup) {
	index, err := os.ReadFile(built.index())
	if err != nil {
		panic(err) // it was there when the configuration was checked
	}
	awss3deployment.NewBucketDeployment(stack, text("PagesDeployment"), &awss3deployment.BucketDeploymentProps{
		DestinationBucket: w.Bucket,
		Sources: list(
			awss3deployment.Source_Asset(&built.Pages, &awss3assets.AssetOptions{Exclude: texts("index.html")}),
			awss3deployment.Source_Data(text("index.html"), text(restrict(string(index), apiURL)), nil),
			awss3deployment.Source_JsonData(text("config.json"), map[string]string{
				"api": apiURL, "app": c.App, "preset": c.Policy.Preset, "support": c.Support,
				"password_url": c.Web.PasswordURL, "sign_in_url": c.Web.SignInURL,
			}, nil),
		),
		Prune:       no(),
		MemoryLimit: number(256),
		LogGroup:    logs,
	})
}

// restrict lets a page call no other API.
func restrict(index, apiURL string) string {
	const charset = `<meta charset="utf-8" />`
	if strings.Count(index, charset) != 1 {
		panic(fmt.Sprintf("index.html has no %s after which its policy could stand", charset))
	}
	return strings.Replace(index, charset, charset+"\n    "+
		`<meta http-equiv="Content-Security-Policy" content="connect-src 'self' `+apiURL+`" />`, 1)
}
