package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPages: CloudFront alone reads the bucket, and all that it answers has strict headers.
func TestPages(t *testing.T) {
	t.Parallel()
	for _, config := range []string{least, most} {
		ts := deployed(t, config)
		d := at(ts.one(t, "web", "AWS::CloudFront::Distribution").Properties, "DistributionConfig")
		if at(d, "DefaultRootObject") != "index.html" || at(d, "HttpVersion") != "http2and3" {
			t.Errorf("%s: %v", config, d)
		}
		if got := fmt.Sprint(ts.resolveAll("web", at(d, "Aliases"))); got != map[string]string{least: "[]", most: "[account.example.com]"}[config] {
			t.Errorf("%s: aliases %s", config, got)
		}
		if got := at(d, "ViewerCertificate", "MinimumProtocolVersion"); config == most && got != "TLSv1.2_2021" {
			t.Errorf("%s: %v", config, got)
		}
		for _, origin := range asList(at(d, "Origins")) {
			if at(origin, "OriginAccessControlId") == nil || !strings.HasPrefix(ts.resolve("web", at(origin, "DomainName")), "web/Pages") {
				t.Errorf("%s: origin %v", config, origin)
			}
		}
		behaviours := append(asList(at(d, "CacheBehaviors")), at(d, "DefaultCacheBehavior"))
		if len(behaviours) != 2 {
			t.Fatalf("%s: %d behaviours", config, len(behaviours))
		}
		caches := map[string]bool{}
		for _, b := range behaviours {
			if at(b, "ViewerProtocolPolicy") != "redirect-to-https" || fmt.Sprint(at(b, "AllowedMethods")) != "[GET HEAD]" {
				t.Errorf("%s: %v", config, b)
			}
			headers := ts.of("AWS::CloudFront::ResponseHeadersPolicy")[ts.resolve("web", at(b, "ResponseHeadersPolicyId"))].Properties["ResponseHeadersPolicyConfig"]
			s := at(headers, "SecurityHeadersConfig")
			if at(s, "ContentSecurityPolicy", "ContentSecurityPolicy") != pagePolicy || at(s, "FrameOptions", "FrameOption") != "DENY" ||
				at(s, "ReferrerPolicy", "ReferrerPolicy") != "no-referrer" || at(s, "StrictTransportSecurity", "AccessControlMaxAgeSec") != 63072000.0 ||
				at(s, "ContentTypeOptions", "Override") != true {
				t.Errorf("%s: headers %v", config, s)
			}
			for _, h := range asList(at(headers, "CustomHeadersConfig", "Items")) {
				if at(h, "Header") == "cache-control" {
					caches[fmt.Sprint(at(b, "PathPattern"), ": ", at(h, "Value"))] = true
				}
			}
		}
		want := []string{"<nil>: no-cache", "assets/*: public, max-age=31536000, immutable"}
		if diff := cmp.Diff(want, sorted(caches)); diff != "" {
			t.Errorf("%s: caching (-want +got):\n%s", config, diff)
		}
	}
}

// TestPagePolicy: the pages may load their own, and the policy of the elements' tests is at least as strict as this one.
func TestPagePolicy(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(pagePolicy, part) {
			t.Errorf("the policy has no %s", part)
		}
	}
	for _, part := range []string{"unsafe", "*", "http:", " data:;" + " script"} {
		if strings.Contains(pagePolicy, part) {
			t.Errorf("the policy has %s", part)
		}
	}
}

// TestDeployedPages: what is copied to the bucket, once CloudFormation has written in it what it alone knows.
func TestDeployedPages(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]map[string]string{
		least: {
			"api": "https://service/Api.execute-api.eu-central-1.{AWS::URLSuffix}", "app": "Example", "preset": "standard", "support": "help@example.com",
			"password_url": "https://app.example.com/password", "sign_in_url": "https://app.example.com/sign-in",
		},
		most: {
			"api": "https://2fa.example.com", "app": "Example", "preset": "miaxdx", "support": "help@example.com",
			"password_url": "https://app.example.com/password", "sign_in_url": "https://app.example.com/sign-in",
		},
	} {
		ts := deployed(t, config)
		p := ts.one(t, "service", "Custom::CDKBucketDeployment").Properties
		if p["Prune"] != false || !strings.HasPrefix(ts.resolve("service", p["DestinationBucketName"]), "web/Pages") {
			t.Errorf("%s: copied to %v, and what was there is removed: %v", config, p["DestinationBucketName"], p["Prune"])
		}
		files := map[string]string{}
		for i, key := range ts.resolveAll("service", p["SourceObjectKeys"]) {
			root := filepath.Join(ts.dir, "asset."+strings.TrimSuffix(key, ".zip"))
			err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
				if err != nil || entry.IsDir() {
					return err
				}
				text, err := os.ReadFile(path)
				for marker, value := range at(p["SourceMarkers"], fmt.Sprint(i)).(map[string]any) {
					text = []byte(strings.ReplaceAll(string(text), marker, ts.resolve("service", value)))
				}
				name := strings.TrimPrefix(path, root+"/")
				if files[name] != "" {
					t.Errorf("%s: %s comes twice", config, name)
				}
				files[name] = string(text)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]string{"assets/index.js", "config.json", "index.html"}, sorted(files)); diff != "" {
			t.Errorf("%s: files (-want +got):\n%s", config, diff)
		}
		var got map[string]string
		if err := json.Unmarshal([]byte(files["config.json"]), &got); err != nil {
			t.Errorf("%s: config.json: %v", config, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: config.json (-want +got):\n%s", config, diff)
		}
		if !strings.Contains(files["index.html"], `content="connect-src 'self' `+want["api"]+`"`) {
			t.Errorf("%s: index.html calls any API: %s", config, files["index.html"])
		}
	}
}

func TestRestrict(t *testing.T) {
	t.Parallel()
	got := restrict("<head>\n    <meta charset=\"utf-8\" />\n    <title>", "https://2fa.example.com")
	want := "<head>\n    <meta charset=\"utf-8\" />\n    <meta http-equiv=\"Content-Security-Policy\" content=\"connect-src 'self' https://2fa.example.com\" />\n    <title>"
	if got != want {
		t.Errorf("got %s", got)
	}
	for _, index := range []string{"<head>", strings.Repeat(`<meta charset="utf-8" />`, 2)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s is taken without a policy", index)
				}
			}()
			restrict(index, "https://2fa.example.com")
		}()
	}
}

// TestWithoutPages: where nobody is let in by a review, there are no pages.
func TestWithoutPages(t *testing.T) {
	t.Parallel()
	ts := deployed(t, without)
	if ts.stacks["web"] != nil || len(ts.of("AWS::S3::Bucket")) != 1 || len(ts.of("AWS::CloudFront::Distribution")) != 0 {
		t.Errorf("there are pages: %v", sorted(ts.of("AWS::S3::Bucket")))
	}
}
