package main

import (
	"errors"
	"net/http"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// admin is the operator's function, which on AWS is invoked directly.
func (s *server) admin(_ http.ResponseWriter, r *http.Request, in api.AdminRequest) (api.AdminResponse, error) {
	out, err := s.functions.Load().admin(r.Context(), in)
	var problem *api.Problem
	if errors.As(err, &problem) && problem.Code == api.CodeNotEnabled {
		err = api.NewProblem(api.CodeNotEnabled, "This user has no second factor.") // it is the operator who reads it
	}
	return out, err
}
