package main

import (
	"encoding/json"
	"net/http"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// shownVersions is how many versions of an account are shown.
const shownVersions = 50

// accountResponse is an account as the engine stores it, with its secrets sealed, and its last versions, newest first. Of
// a user never seen the item is empty.
type accountResponse struct {
	Item     json.RawMessage   `json:"item"`
	Versions []json.RawMessage `json:"versions"`
}

func (s *server) account(_ http.ResponseWriter, r *http.Request, _ nothing) (accountResponse, error) {
	name, err := api.ParsePathUser(r.PathValue("user"))
	if err != nil {
		return accountResponse{}, err
	}
	user := twofactor.UserID(name)
	item, err := s.store.Item(r.Context(), user)
	if err != nil {
		return accountResponse{}, err
	}
	versions, err := s.store.Versions(r.Context(), user, shownVersions)
	if err != nil {
		return accountResponse{}, err
	}
	if item == nil {
		item = json.RawMessage("{}")
	}
	return accountResponse{item, append([]json.RawMessage{}, versions...)}, nil
}

// countersResponse is what the store has been asked for since the start, in the units of DynamoDB: strongly consistent
// reads and conditional writes of accounts.
type countersResponse struct {
	Reads  int64 `json:"reads"`
	Writes int64 `json:"writes"`
}

func (s *server) counters(http.ResponseWriter, *http.Request, nothing) (countersResponse, error) {
	return s.store.counters(), nil
}
