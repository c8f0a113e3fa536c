package main

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// nothing is the body of a request that has none.
type nothing struct{}

// endpoint makes a handler of a function of decoded types, for the routes that this binary adds to the API's. An error
// that is a problem is told; any other is a bare 500, logged with its cause.
func endpoint[In, Out any](log *slog.Logger, do func(http.ResponseWriter, *http.Request, In) (Out, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in In
		err := decode(r, &in)
		if err == nil {
			var out Out
			if out, err = do(w, r, in); err == nil {
				if r.Method == http.MethodGet && strings.Contains(r.Header.Get("accept"), "text/html") {
					out, err := json.MarshalIndent(out, "", "  ") // somebody is looking at it in a browser
					if err != nil {
						panic(err) // as in write
					}
					send(w, http.StatusOK, "application/json", out)
					return
				}
				writeJSON(w, http.StatusOK, out)
				return
			}
		}
		writeError(log, w, r, err)
	})
}

// decode reads the body of a POST as the API's functions do.
func decode(r *http.Request, into any) error {
	if r.Method != http.MethodPost {
		return nil
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	return api.Decode(body, into)
}

// readBody reads a body of at most api.MaxBody bytes. The error is a problem.
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, api.MaxBody+1))
	switch {
	case err != nil:
		return nil, api.NewProblem(api.CodeInvalidRequest, "body: did not arrive whole")
	case len(body) > api.MaxBody:
		return nil, api.NewProblem(api.CodeTooLarge, "")
	}
	return body, nil
}

func writeJSON(w http.ResponseWriter, status int, answer any) {
	write(w, status, "application/json", answer)
}

// message is an answer that is the gateway's own, in the form of API Gateway's.
func message(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, struct {
		Message string `json:"message"`
	}{text})
}

func writeError(log *slog.Logger, w http.ResponseWriter, r *http.Request, err error) {
	var problem *api.Problem
	if !errors.As(err, &problem) {
		log.ErrorContext(r.Context(), "internal", "path", r.URL.Path, "cause", err)
		problem = api.NewProblem(api.CodeInternal, "")
	}
	switch problem.Code {
	case api.CodeUnavailable:
		w.Header().Set("retry-after", "1")
	case api.CodeUnauthorized:
		w.Header().Set("www-authenticate", "Bearer")
	}
	write(w, problem.Status, api.ProblemContentType, problem)
}

func write(w http.ResponseWriter, status int, contentType string, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		panic(err) // an answer is ours: it can be written
	}
	send(w, status, contentType, body)
}

func send(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("content-type", contentType)
	w.WriteHeader(status)
	w.Write(body) // whoever has gone does not read it
}
