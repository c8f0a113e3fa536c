package main

import (
	"crypto/rand"
	"encoding/base64"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// event makes of a request what an HTTP API hands to a function, payload format 2.0: header names in lower case,
// repeated headers and parameters joined by commas, cookies apart, a body that is not text in base64.
func event(r *http.Request, route api.Route, parameters map[string]string, body []byte, now time.Time) events.APIGatewayV2HTTPRequest {
	key := route.Key()
	e := events.APIGatewayV2HTTPRequest{
		Version:               "2.0",
		RouteKey:              key,
		RawPath:               r.URL.Path,
		RawQueryString:        r.URL.RawQuery,
		Cookies:               cookies(r.Header),
		Headers:               headers(r),
		QueryStringParameters: query(r.URL.RawQuery),
		PathParameters:        parameters,
		RequestContext: events.APIGatewayV2HTTPRequestContext{
			RouteKey:   key,
			AccountID:  "000000000000",
			APIID:      "local",
			DomainName: r.Host,
			Stage:      "$default",
			RequestID:  rand.Text(),
			Time:       now.UTC().Format("02/Jan/2006:15:04:05 -0700"),
			TimeEpoch:  now.UnixMilli(),
			HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{
				Method: r.Method, Path: r.URL.Path, Protocol: r.Proto, SourceIP: sourceIP(r), UserAgent: r.UserAgent(),
			},
		},
	}
	if len(body) == 0 {
		return e
	}
	if isText(r.Header.Get("content-type")) {
		e.Body = string(body)
	} else {
		e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	return e
}

func headers(r *http.Request) map[string]string {
	h := make(map[string]string, len(r.Header)+1)
	for name, values := range r.Header {
		h[strings.ToLower(name)] = strings.Join(values, ",")
	}
	delete(h, "cookie")
	h["host"] = r.Host
	return h
}

func cookies(h http.Header) []string {
	var all []string
	for _, line := range h["Cookie"] {
		all = append(all, strings.Split(line, "; ")...)
	}
	return all
}

func query(raw string) map[string]string {
	if raw == "" {
		return nil
	}
	values, _ := url.ParseQuery(raw) // what it cannot read it leaves out
	joined := make(map[string]string, len(values))
	for name, v := range values {
		joined[name] = strings.Join(v, ",")
	}
	return joined
}

// sourceIP is the other end of the connection, whatever the headers say.
func sourceIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// isText says whether an HTTP API hands a body of this type to a function as it is.
func isText(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	switch media {
	case "application/json", "application/xml", "application/javascript":
		return err == nil
	}
	return err == nil && strings.HasPrefix(media, "text/")
}
