package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"net/http"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

//go:embed page
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "page/*.html"))

// pageData is what the pages tell.
type pageData struct {
	URL        string
	ServiceKey string
	Users      []demoUser
	Password   string
	Presets    []string
	Audience   string
	PolicyName string // a preset, or that it is none
	Required   bool   // whoever has no second factor sets it up inside the sign-in
	CodeAfter  bool   // the backup code comes after the confirmation
	Policy     string // the policy in force, in JSON
	Mails      []letter
}

// tellPolicy tells the policy in force.
func (s *server) tellPolicy(d *pageData) {
	policy := s.functions.Load().policy
	text, err := json.MarshalIndent(policy, "", "  ")
	if err != nil {
		panic(err) // it was read from JSON
	}
	d.Policy, d.PolicyName, d.Presets = string(text), nameOf(policy), twofactor.Presets()
	d.Required, d.CodeAfter = policy.Enforcement == twofactor.Required, policy.BackupIssue == twofactor.AfterActivation
}

// nameOf is the preset that a policy is, if it is one.
func nameOf(policy twofactor.Policy) string {
	for _, name := range twofactor.Presets() {
		if preset, err := twofactor.Preset(name); err == nil && preset == policy {
			return name
		}
	}
	return "of your own making"
}

// page serves one of the pages. They load nothing from elsewhere, and may not be framed.
func (s *server) page(name string, fill func(*pageData)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := pageData{URL: s.url, ServiceKey: s.serviceKey, Users: demoUsers, Password: demoPassword, Audience: demoAudience}
		if fill != nil {
			fill(&d)
		}
		var body bytes.Buffer
		if err := pages.ExecuteTemplate(&body, name, d); err != nil {
			writeError(s.log, w, r, err)
			return
		}
		h := w.Header()
		h.Set("content-type", "text/html; charset=utf-8")
		h.Set("content-security-policy",
			"default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("cross-origin-opener-policy", "same-origin")
		h.Set("x-frame-options", "DENY")
		w.Write(body.Bytes()) // whoever has gone does not read it
	})
}

// assets are the files that the pages load, by name.
func assets() map[string]http.Handler {
	all := map[string]http.Handler{}
	for _, name := range []string{"page.css", "page.js"} {
		all[name] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.ServeFileFS(w, r, pageFiles, "page/"+name)
		})
	}
	return all
}
