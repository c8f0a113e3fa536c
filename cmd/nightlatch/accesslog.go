package main

import (
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// accessLog writes a line for each request but those of the lab for itself, which looks every second at what there is.
// Queries and bodies, where tokens may be, are not in it.
func accessLog(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := r.URL.Path
		if p == "/" || strings.HasPrefix(p, "/assets/") || r.Method == http.MethodGet && strings.HasPrefix(p, "/dev/") {
			next.ServeHTTP(w, r)
			return
		}
		start := time.Now()
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(seen, r)
		log.LogAttrs(r.Context(), slog.LevelInfo, "request",
			slog.String("method", r.Method), slog.String("path", p), slog.Int("status", seen.status),
			slog.Float64("ms", float64(time.Since(start).Microseconds())/1000))
	})
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
