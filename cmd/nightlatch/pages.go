package main

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
)

//go:embed page
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "page/*.html"))

// What a page may do: it loads nothing from elsewhere, sends no form, and may not be framed. The lab is scripts as well,
// which speak to this server, show the QR code, and make markup of text in no other way than lit's.
const (
	pagePolicy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	labPolicy  = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types lit-html"
)

// page serves one of the pages that are in this program whatever was built, with what fill returns in it.
func (s *server) page(name string, fill func() any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		if err := pages.ExecuteTemplate(&body, name, fill()); err != nil {
			writeError(s.log, w, r, err)
			return
		}
		sendPage(w, pagePolicy, body.Bytes())
	})
}

// pageStyle is how those pages look.
func pageStyle(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, pageFiles, "page/page.css")
}

// lab serves the demo and lab from the pages that were built, and says how to build them if none were.
func (s *server) lab(built fs.FS) (http.Handler, error) {
	index, err := fs.ReadFile(built, "index.html")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s.page("unbuilt.html", func() any { return nil }), nil
	case err != nil:
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { sendPage(w, labPolicy, index) }), nil
}

// assetTypes are what the lab loads, by the ends of their names: what the machine's own table says differs.
var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// assets serves what the lab loads. Their names change with their content, so a browser may keep them for good.
func assets(built fs.FS, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		content, err := fs.ReadFile(built, path.Join("assets", name))
		switch kind := assetTypes[path.Ext(name)]; {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) || err == nil && kind == "":
			message(w, http.StatusNotFound, "Not Found")
		case err != nil:
			writeError(log, w, r, err)
		default:
			w.Header().Set("cache-control", "public, max-age=31536000, immutable")
			send(w, http.StatusOK, kind, content)
		}
	})
}

func sendPage(w http.ResponseWriter, policy string, body []byte) {
	h := w.Header()
	h.Set("content-security-policy", policy)
	h.Set("cross-origin-opener-policy", "same-origin")
	h.Set("x-frame-options", "DENY")
	send(w, http.StatusOK, "text/html; charset=utf-8", body)
}
