package main

import (
	"net/http"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// admin is the operator's function, which on AWS is invoked directly.
func (s *server) admin(_ http.ResponseWriter, r *http.Request, in api.AdminRequest) (api.StatusResponse, error) {
	return s.functions.Load().admin(r.Context(), in)
}
