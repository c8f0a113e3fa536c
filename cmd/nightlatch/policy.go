package main

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// loadPolicy returns the policy that a flag names: a preset, or a file of settings in JSON.
func loadPolicy(name string) (twofactor.Policy, error) {
	if slices.Contains(twofactor.Presets(), name) {
		return twofactor.Preset(name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return twofactor.Policy{}, fmt.Errorf("-policy %s: is neither a preset (%s) nor a file that can be read: %w",
			name, strings.Join(twofactor.Presets(), ", "), err)
	}
	policy, err := twofactor.ParsePolicy(text)
	if err != nil {
		return twofactor.Policy{}, fmt.Errorf("-policy %s: %w", name, err)
	}
	return policy, nil
}

// nameOf is the preset that a policy is; empty if it is none.
func nameOf(policy twofactor.Policy) string {
	for _, name := range twofactor.Presets() {
		if preset, err := twofactor.Preset(name); err == nil && preset == policy {
			return name
		}
	}
	return ""
}

func (s *server) getPolicy(http.ResponseWriter, *http.Request, nothing) (twofactor.Policy, error) {
	return s.functions.Load().policy, nil
}

// setPolicy puts another policy in force, until the next start: {"preset":"mirox"}, with other settings beside it. Each
// request is decided under one policy, the one before or the new one.
func (s *server) setPolicy(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r)
	if err != nil {
		writeError(s.log, w, r, err)
		return
	}
	policy, err := twofactor.ParsePolicy(body)
	if err != nil {
		writeError(s.log, w, r, api.NewProblem(api.CodeInvalidRequest, err.Error()))
		return
	}
	s.functions.Store(s.wire(policy))
	writeJSON(w, http.StatusOK, policy)
}
