package main

import (
	"strings"
	"testing"
)

func TestGuard(t *testing.T) {
	t.Parallel()
	l := serve(t, dataDir(t), "standard")
	port := l.port()
	tests := []struct {
		host, origin string // PORT stands for ours
		ok           bool
	}{
		{"127.0.0.1:PORT", "", true},
		{"localhost:PORT", "", true},
		{"LOCALHOST:PORT", "", true},
		{"[::1]:PORT", "", true},
		{"127.0.0.1:PORT", "http://127.0.0.1:PORT", true},
		{"127.0.0.1:PORT", "http://localhost:PORT", true},
		{"localhost:PORT", "http://[::1]:PORT", true},
		{"127.0.0.1", "", false},
		{"localhost", "", false},
		{"127.0.0.1:1", "", false},
		{"evil.example:PORT", "", false},
		{"127.0.0.1.evil.example:PORT", "", false},
		{"localhost.evil.example:PORT", "", false},
		{"localhost.:PORT", "", false},
		{"app.localhost:PORT", "", false},
		{"127.1:PORT", "", false},
		{"0.0.0.0:PORT", "", false},
		{"192.0.2.1:PORT", "", false},
		{"[::]:PORT", "", false},
		{"127.0.0.1:PORT", "null", false},
		{"127.0.0.1:PORT", "http://evil.example", false},
		{"127.0.0.1:PORT", "http://evil.example:PORT", false},
		{"127.0.0.1:PORT", "http://127.0.0.1:PORT.evil.example", false},
		{"127.0.0.1:PORT", "http://127.0.0.1:PORT/", false},
		{"127.0.0.1:PORT", "http://127.0.0.1:PORT@evil.example", false},
		{"127.0.0.1:PORT", "http://127.0.0.1", false},
		{"127.0.0.1:PORT", "http://127.0.0.1:1", false},
		{"127.0.0.1:PORT", "https://127.0.0.1:PORT", false},
		{"127.0.0.1:PORT", "file://", false},
		{"127.0.0.1:PORT", "chrome-extension://abcdef", false},
		{"127.0.0.1:PORT", "127.0.0.1:PORT", false},
	}
	for _, path := range []string{"/", "/v1/status", "/.well-known/jwks.json", "/dev/mail.json", "/dev/clock", "/dev/assets/page.css", "/assets/nothing.js", "/demo/login", "/nowhere"} {
		usual := l.get(path, "").Status
		for _, test := range tests {
			c := call{method: "GET", path: path, host: strings.ReplaceAll(test.host, "PORT", port), header: map[string]string{}}
			if test.origin != "" {
				c.header["origin"] = strings.ReplaceAll(test.origin, "PORT", port)
			}
			want := 403
			if test.ok {
				want = usual
			}
			if a := l.do(c); a.Status != want {
				t.Errorf("%s with Host %q and Origin %q: %d, want %d", path, c.host, c.header["origin"], a.Status, want)
			}
		}
	}
	// Nothing has happened for a foreign page, not even to its own harm.
	a := l.do(call{method: "POST", path: "/dev/clock", body: `{"offset_seconds":60}`, header: map[string]string{"origin": "http://evil.example"}})
	if a.Status != 403 || l.clock.offset.Load() != 0 {
		t.Errorf("a foreign page set the clock: %d, offset %d", a.Status, l.clock.offset.Load())
	}
}

// TestForm: a form of a page of ours that tells no referrer, such as the identity check's, may be sent.
func TestForm(t *testing.T) {
	t.Parallel()
	l := serve(t, dataDir(t), "standard")
	for site, want := range map[string]int{"same-origin": 200, "same-site": 403, "cross-site": 403, "none": 403, "": 403} {
		a := l.do(call{method: "POST", path: "/dev/clock", body: `{"offset_seconds":0}`, header: map[string]string{"origin": "null", "sec-fetch-site": site}})
		if a.Status != want {
			t.Errorf("Origin null, Sec-Fetch-Site %q: %d, want %d", site, a.Status, want)
		}
	}
	a := l.do(call{method: "POST", path: "/dev/clock", body: `{"offset_seconds":0}`, header: map[string]string{"origin": "http://evil.example", "sec-fetch-site": "same-origin"}})
	if a.Status != 403 {
		t.Errorf("a foreign origin: %d, want 403", a.Status)
	}
}

// TestPort80: there the port may be left out, as browsers do.
func TestPort80(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "[::1]": true, "localhost:80": true, "[::1]:80": true,
		"": false, "evil.example": false, "localhost:8080": false, "[::1%25lo]": false,
	} {
		if got := ours(host, "80"); got != want {
			t.Errorf("ours(%q, 80) = %t, want %t", host, got, want)
		}
	}
}

// TestHeaders: no answer is cached, guessed at, or to be had by another origin.
func TestHeaders(t *testing.T) {
	t.Parallel()
	l := serve(t, dataDir(t), "standard")
	policies := map[string]string{"/": pagePolicy, "/dev/mail": pagePolicy}
	if isBuilt() {
		policies["/"] = labPolicy
	}
	for _, path := range []string{"/", "/dev/mail", "/dev/mail.json", "/dev/assets/page.css", "/assets/nothing.js", "/v1/status", "/nowhere", "/dev/nowhere", "/demo/login"} {
		h := l.get(path, "").Header
		for name, want := range map[string]string{
			"cache-control": "no-store", "x-content-type-options": "nosniff", "cross-origin-resource-policy": "same-origin",
			"referrer-policy": "no-referrer",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		isPage := path == "/" || path == "/dev/mail"
		if policy := h.Get("content-security-policy"); policy != policies[path] {
			t.Errorf("%s: content-security-policy is %q, want %q", path, policy, policies[path])
		}
		if want := map[bool]string{true: "text/html; charset=utf-8", false: "application/json"}[isPage]; h.Get("content-type") != want && path != "/dev/assets/page.css" {
			t.Errorf("%s: content-type is %q, want %q", path, h.Get("content-type"), want)
		}
	}
	if got := l.get("/.well-known/jwks.json", "").Header.Get("cache-control"); got != "public, max-age=3600" {
		t.Errorf("the key set's cache-control is %q", got)
	}
}
