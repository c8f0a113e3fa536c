package main

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/nightlatch/nightlatch/pkg/needs"
	"github.com/nightlatch/nightlatch/web"
)

// isBuilt says whether this program has the lab in it.
func isBuilt() bool {
	_, err := fs.Stat(web.Pages(), "index.html")
	return err == nil
}

// served is the answer of what serves the pages that were built.
func served(t *testing.T, built fs.FS, path string) *http.Response {
	t.Helper()
	s := &server{log: slog.New(slog.DiscardHandler)}
	lab, err := s.lab(built)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", lab)
	mux.Handle("GET /assets/{name}", assets(built, s.log))
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Result()
}

func textOf(t *testing.T, r *http.Response) string {
	t.Helper()
	var text strings.Builder
	if err := r.Write(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestAssets(t *testing.T) {
	t.Parallel()
	built := fstest.MapFS{
		"index.html":          {Data: []byte("<p>the lab</p>")},
		"assets/a-1234.js":    {Data: []byte("a()")},
		"assets/a-1234.css":   {Data: []byte("a{}")},
		"assets/a-1234.svg":   {Data: []byte("<svg/>")},
		"assets/a-1234.other": {Data: []byte("?")},
	}
	for path, want := range map[string]struct {
		status      int
		kind, cache string
		text        string
	}{
		"/":                       {200, "text/html; charset=utf-8", "", "<p>the lab</p>"},
		"/assets/a-1234.js":       {200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable", "a()"},
		"/assets/a-1234.css":      {200, "text/css; charset=utf-8", "public, max-age=31536000, immutable", "a{}"},
		"/assets/a-1234.svg":      {200, "image/svg+xml", "public, max-age=31536000, immutable", "<svg/>"},
		"/assets/a-1234.other":    {404, "application/json", "", "Not Found"},
		"/assets/b.js":            {404, "application/json", "", "Not Found"},
		"/assets/..%2Findex.html": {404, "application/json", "", "Not Found"},
	} {
		r := served(t, built, path)
		h := r.Header
		if r.StatusCode != want.status || h.Get("content-type") != want.kind || h.Get("cache-control") != want.cache || !strings.Contains(textOf(t, r), want.text) {
			t.Errorf("%s: %d %v, want %+v", path, r.StatusCode, h, want)
		}
	}
	if got := served(t, built, "/").Header.Get("content-security-policy"); got != labPolicy {
		t.Errorf("the lab's policy is %q", got)
	}
}

// TestUnbuilt: a program without the pages runs all the same, and says how to have them.
func TestUnbuilt(t *testing.T) {
	t.Parallel()
	built := fstest.MapFS{".keep": {}}
	r := served(t, built, "/")
	if text := textOf(t, r); r.StatusCode != 200 || !strings.Contains(text, "<code>make dev</code>") || !strings.Contains(text, "Node 20.19") {
		t.Errorf("%d %s", r.StatusCode, text)
	}
	if got := r.Header.Get("content-security-policy"); got != pagePolicy {
		t.Errorf("its policy is %q", got)
	}
	if r := served(t, built, "/assets/a.js"); r.StatusCode != 404 {
		t.Errorf("an asset: %d, want 404", r.StatusCode)
	}
}

// unreadable is a tree that cannot be read.
type unreadable struct{}

func (unreadable) Open(string) (fs.File, error) { return nil, errors.New("no disk") }

func TestPagesUnreadable(t *testing.T) {
	t.Parallel()
	s := &server{log: slog.New(slog.DiscardHandler)}
	if _, err := s.lab(unreadable{}); err == nil {
		t.Error("a lab that cannot be read is served")
	}
	w := httptest.NewRecorder()
	assets(unreadable{}, s.log).ServeHTTP(w, httptest.NewRequest("GET", "/assets/a.js", nil))
	if w.Code != 500 {
		t.Errorf("an asset that cannot be read: %d, want 500", w.Code)
	}
}

// TestBuilt: what the first page loads is there, is from here, and nothing is in the page itself that its policy forbids.
func TestBuilt(t *testing.T) {
	t.Parallel()
	if !isBuilt() {
		needs.Skip(t, "the pages, which make dev builds")
	}
	l := serve(t, dataDir(t), "standard")
	page := l.want(200, l.get("/", "")).Text
	loads := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page, -1)
	if len(loads) < 2 {
		t.Errorf("the page loads nothing:\n%s", page)
	}
	for _, load := range loads {
		path, ours := strings.CutPrefix(load[1], "./assets/")
		if !ours {
			if !strings.HasPrefix(load[1], "data:image/") {
				t.Errorf("the page loads %s", load[1])
			}
			continue
		}
		if got := l.want(200, l.get("/assets/"+path, "")).Header.Get("cache-control"); !strings.Contains(got, "immutable") {
			t.Errorf("%s: cache-control is %q", path, got)
		}
	}
	if inline := regexp.MustCompile(`<script(?:[^>]*)>[^<]|<style|style="|\son\w+=`).FindString(page); inline != "" {
		t.Errorf("the page has %q in it", inline)
	}
}
