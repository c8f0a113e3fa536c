package main

import (
	"errors"
	"testing"

	"github.com/nightlatch/nightlatch/pkg/keyring"
)

// TestKeys: each user of the key ring is given the keys of its purpose. A mistake would work, until the deployment.
func TestKeys(t *testing.T) {
	t.Parallel()
	l := serve(t, dataDir(t), "standard")
	all, err := l.keys.ring.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rules, err := l.keys.rules(t.Context())
	if err != nil || rules.Secrets != all.TOTP || rules.Contacts != all.Contact || rules.Codes != all.Codes {
		t.Errorf("rules = %+v, %v; want totp, contact and codes", rules, err)
	}
	tokens, err := l.keys.tokens(t.Context())
	if err != nil || tokens.Challenge != all.Challenge || tokens.Signer != all.Signing {
		t.Errorf("tokens = %+v, %v; want challenge and signing", tokens, err)
	}
}

// TestConfigStore: the key ring understands who lost a race.
func TestConfigStore(t *testing.T) {
	t.Parallel()
	l := serve(t, dataDir(t), "standard")
	c := configStore{l.store}
	for i, want := range []error{nil, keyring.ErrConflict} {
		if err := c.ReplaceConfig(t.Context(), "test", []byte("value"), 1); !errors.Is(err, want) {
			t.Errorf("write %d: %v, want %v", i+1, err, want)
		}
	}
	if err := c.ReplaceConfig(t.Context(), "", nil, 1); err == nil || errors.Is(err, keyring.ErrConflict) {
		t.Errorf("a write that fails: %v, want another error", err)
	}
}
