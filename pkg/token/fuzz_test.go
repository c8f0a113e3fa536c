package token_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tink-crypto/tink-go/v2/daead"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/nightlatch/nightlatch/pkg/token"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// FuzzOpen: to the letter, only what was sealed opens, and as what it was sealed.
func FuzzOpen(f *testing.F) {
	k := newAEAD(f)
	h, err := keyset.NewHandle(daead.AESSIVKeyTemplate())
	if err != nil {
		f.Fatal(err)
	}
	ids, err := daead.New(h)
	if err != nil {
		f.Fatal(err)
	}
	aChallenge := sealed(f, k)
	aGrant, err := token.SealGrant(k, grant())
	if err != nil {
		f.Fatal(err)
	}
	anID, _, err := token.NewResetID(ids, "auth0|123")
	if err != nil {
		f.Fatal(err)
	}
	// What a worker is given was made with the keys of another: the token of this one, with a change, is the seed.
	for _, made := range []string{aChallenge, aGrant, anID} {
		for _, seed := range []string{made, made[:len(made)-1], made + "A", made + "=", made + "\n", "=" + made, "A" + made[1:]} {
			f.Add(seed, uint16(0), byte(0))
		}
		f.Add("", uint16(3), byte(1))
		for flip := range byte(64) { // some have the same bytes, and bits to spare
			f.Add("", uint16(len(made)-1), flip)
		}
	}
	f.Add("", uint16(0), byte(0))
	f.Fuzz(func(t *testing.T, text string, place uint16, flip byte) {
		for _, made := range []string{aChallenge, aGrant, anID} {
			altered := []byte(made) // and what was given in its place
			altered[int(place)%len(altered)] ^= flip
			for _, presented := range []string{text, string(altered), made + text, text + made} {
				c, err := token.OpenChallenge(k, presented)
				wantOpened(t, presented == aChallenge, err, c, challenge())
				g, err := token.OpenGrant(k, presented)
				wantOpened(t, presented == aGrant, err, g, grant())
				user, err := token.OpenResetID(ids, presented)
				wantOpened(t, presented == anID, err, user, twofactor.UserID("auth0|123"))
			}
		}
	})
}

// wantOpened fails unless what was sealed is opened as it was, and all else is nothing and ErrInvalid.
func wantOpened[T any](t *testing.T, ours bool, err error, got, want T) {
	t.Helper()
	switch {
	case ours && (err != nil || !cmp.Equal(got, want)):
		t.Errorf("opened as %+v, %v", got, err)
	case !ours && (!errors.Is(err, token.ErrInvalid) || !reflect.ValueOf(&got).Elem().IsZero()):
		t.Errorf("what nobody sealed is %+v, %v", got, err)
	}
}
