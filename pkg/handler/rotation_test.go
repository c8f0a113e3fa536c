package handler_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/handler"
	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/token"
)

// TestKeysPromotedElsewhere: what another process has made with keys that this one has not seen yet is good here, and at
// the first try.
func TestKeysPromotedElsewhere(t *testing.T) {
	t.Parallel()
	store := openBolt(t)
	ready := func() *world {
		w := newWorldOn(t, store, `{"preset":"standard"}`)
		w.want(w.session("nobody"), "POST /v1/check", body("code", "123456"), 409, "not_enabled") // which loads the keys
		w.wind(time.Minute)                                                                       // and the ring may look again
		return w
	}
	var stale [5]*world
	for i := range stale {
		stale[i] = ready()
	}
	for _, p := range []keyring.Purpose{keyring.TOTP, keyring.Contact, keyring.Codes, keyring.Challenge} {
		id, err := keyring.Add(t.Context(), store, kek(t), p)
		if err != nil {
			t.Fatal(err)
		}
		if err := keyring.Promote(t.Context(), store, kek(t), p, id); err != nil {
			t.Fatal(err)
		}
	}
	other := ready()
	p, backup := other.enrolled("alice")
	c := other.challenge("alice")
	in := other.want(anyone, "POST /v1/verify", body("challenge", c.str("challenge"), "method", "backup_code", "code", backup), 200, "")
	_, backup = other.enrolled("bob")

	for _, w := range stale {
		w.wind(other.clock().Sub(w.clock()))
	}
	// A secret; a contact; a backup code and its challenge; a grant; a forgery names no key of anyone's.
	stale[0].want(stale[0].session("alice"), "POST /v1/check", body("code", p.code()), 200, "")
	stale[1].want(host(), "POST /v1/challenges", `{"user_id":"alice","nonce":"n"}`, 200, "")
	stale[2].want(anyone, "POST /v1/verify", body("challenge", other.challenge("bob").str("challenge"), "method", "backup_code", "code", backup), 200, "")
	stale[3].want(stale[3].session("alice"), "POST /v1/enroll", body("grant", in.str("grant")), 200, "")
	stale[4].want(anyone, "POST /v1/verify", body("challenge", "AaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaA", "method", "totp", "code", p.code()), 401, "challenge_expired")
}

// TestKeysFailInBetween: it could not be told whether there is a newer key, so nothing is told of the token.
func TestKeysFailInBetween(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	calls := 0
	d := w.deps
	d.Keys = func(ctx context.Context) (token.Keys, error) {
		if calls++; calls == 2 {
			return token.Keys{}, errors.New("broken on purpose")
		}
		return w.deps.Keys(ctx)
	}
	w.funcs["verify"] = handler.Verify(d)
	w.want(anyone, "POST /v1/verify", body("challenge", "AaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaA", "method", "totp", "code", "123456"), 503, "unavailable")
}
